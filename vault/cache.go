package vault

import (
	"cmp"
	"container/list"
	"net/http"
	"slices"
	"sync"
	"time"
)

const (
	// expiryMargin is how long before its end a provider's token is no longer
	// handed out: it still has to travel.
	expiryMargin = 5 * time.Second

	// rejectInterval separates two drops of one entry. An upstream path that
	// answers 401 to everybody must not cost an exchange per request.
	rejectInterval = time.Minute
)

// Cache is what outlives a configuration: signing keys, verified tokens, the vault's answers,
// exchanges on their way, budgets, and idle connections to Auth0. Several
// Clients may share one; nothing in it crosses from one tenant, API, user,
// agent, organization or account to another.
type Cache struct {
	transport *http.Transport
	budgets   budgets
	verified  verifiedTokens

	mu      sync.Mutex
	keySets map[string]*keySet
	flights map[string]*flight

	// entries are the kept answers by question, and the same by account.
	// recent has the one used last in front.
	entries  map[string]*entry
	accounts map[string]map[*entry]struct{}
	recent   list.List
	uses     uint64
}

// entry is a kept answer. One whose token was rejected stays, without its
// answer, to remember when that was, and so does one whose token is to be used
// once: no answer means that the vault did serve the account.
type entry struct {
	key, account string
	group, hint  string // see question.group
	tellHint     bool   // the caller may be told the hint
	answer       *answer
	until        time.Time
	rejected     time.Time
	used         uint64 // Cache.uses when it was used last
	element      *list.Element
}

// NewCache returns an empty Cache.
func NewCache() *Cache {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = 32 // all calls go to one host
	return &Cache{
		transport: transport,
		keySets:   make(map[string]*keySet),
		flights:   make(map[string]*flight),
		entries:   make(map[string]*entry),
		accounts:  make(map[string]map[*entry]struct{}),
	}
}

// CloseIdleConnections closes connections to Auth0 that carry no call. Calls on
// their way finish, and a Client that is still in use opens new ones.
func (c *Cache) CloseIdleConnections() { c.transport.CloseIdleConnections() }

func (c *Cache) keySet(url string) *keySet {
	c.mu.Lock()
	defer c.mu.Unlock()
	set := c.keySets[url]
	if set == nil {
		set = &keySet{url: url}
		c.keySets[url] = set
	}
	return set
}

// board returns the kept answer to q if it was asked for at or after oldest;
// otherwise the flight of that name, and whether it is new and the caller's to
// fly. It is one step, so that nobody begins a flight just after one landed.
func (c *Cache) board(q question, name string, oldest time.Time) (kept *answer, f *flight, first bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[q.key]
	if e != nil && e.answer != nil && time.Now().Before(e.until) && !e.answer.asked.Before(oldest) {
		c.use(e)
		e.tellHint = e.tellHint || !q.request.HideHint
		return e.answer, nil, false
	}
	if f := c.flights[name]; f != nil {
		return nil, f, false
	}
	f = &flight{account: q.account, done: make(chan struct{})}
	c.flights[name] = f
	return nil, f, true
}

// land gives the flight's answer to those who wait, and keeps it as the answer
// to q until then, unless the account was forgotten since the flight began.
func (c *Cache) land(name string, f *flight, q question, until time.Time, maxEntries int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(f.done)
	if f.stale {
		return
	}
	delete(c.flights, name)
	e := c.entries[q.key]
	if !time.Now().Before(until) {
		if f.answer.err == nil && e != nil {
			e.answer = nil // a token to be used once supersedes a kept one
		}
		return // a failure says nothing about the kept answer
	}
	if f.answer.token != nil {
		f.answer.token.key = q.key
	}
	if e == nil {
		e = c.add(q)
	}
	e.answer, e.until = f.answer, until
	e.tellHint = e.tellHint || !q.request.HideHint
	c.use(e)
	if hinted := c.hinted(q); len(hinted) > MaxLoginHints {
		c.remove(hinted[MaxLoginHints])
	}
	for len(c.entries) > maxEntries {
		c.remove(c.recent.Back().Value.(*entry))
	}
}

func (c *Cache) forget(account string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := range c.accounts[account] {
		c.remove(e)
	}
	for name, f := range c.flights {
		if f.account == account {
			f.stale = true
			delete(c.flights, name)
		}
	}
}

func (c *Cache) reject(token *Token) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.entries[token.key]
	if e == nil || e.answer == nil || e.answer.token != token || time.Since(e.rejected) < rejectInterval {
		return false
	}
	e.answer, e.rejected = nil, time.Now()
	return true
}

// loginHints lists the hints of q's group that the vault served an account
// under, the last used first.
func (c *Cache) loginHints(q question) []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var hints []string
	for _, e := range c.hinted(q) {
		if e.tellHint && (e.answer == nil || e.answer.err == nil) {
			hints = append(hints, e.hint)
		}
	}
	return hints
}

// hinted are the entries of q's group that have a login hint, the last used
// first. Their number is bounded by land, so that an agent which makes hints up
// pushes out its own answers and nobody else's.
func (c *Cache) hinted(q question) []*entry {
	var hinted []*entry
	group := q.group()
	for e := range c.accounts[q.account] {
		if e.hint != "" && e.group == group {
			hinted = append(hinted, e)
		}
	}
	slices.SortFunc(hinted, func(a, b *entry) int { return cmp.Compare(b.used, a.used) })
	return hinted
}

// use makes e the entry that was used last.
func (c *Cache) use(e *entry) {
	c.uses++
	e.used = c.uses
	c.recent.MoveToFront(e.element)
}

func (c *Cache) add(q question) *entry {
	e := &entry{key: q.key, account: q.account, group: q.group(), hint: q.request.LoginHint}
	e.element = c.recent.PushFront(e)
	c.entries[e.key] = e
	if c.accounts[e.account] == nil {
		c.accounts[e.account] = make(map[*entry]struct{})
	}
	c.accounts[e.account][e] = struct{}{}
	return e
}

func (c *Cache) remove(e *entry) {
	c.recent.Remove(e.element)
	delete(c.entries, e.key)
	delete(c.accounts[e.account], e)
	if len(c.accounts[e.account]) == 0 {
		delete(c.accounts, e.account)
	}
}
