package vault

import (
	"hash/maphash"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// Cache is what outlives a configuration: signing keys, verified tokens, the vault's
// answers, exchanges on their way, budgets, how the tenant has been answering, and
// idle connections to Auth0. Several Clients may share one; nothing in it crosses from
// one tenant, API, user, agent, organization or account to another.
type Cache struct {
	budgets  budgets
	verified verifiedTokens

	mu        sync.Mutex
	keySets   map[string]*keySet
	healths   map[string]*health
	transport *http.Transport // nil before a Client needs it

	seed   maphash.Seed
	kept   atomic.Int64 // entries in all shards
	shards [cacheShards]shard
}

// NewCache returns an empty Cache.
func NewCache() *Cache {
	c := &Cache{
		verified: verifiedTokens{seed: maphash.MakeSeed()},
		keySets:  make(map[string]*keySet),
		healths:  make(map[string]*health),
		seed:     maphash.MakeSeed(),
	}
	for i := range c.shards {
		c.shards[i].entries = make(map[string][]*entry)
		c.shards[i].flights = make(map[flightName]*flight)
		c.shards[i].users = make(map[string]*pending)
	}
	return c
}

// CloseIdleConnections closes connections to Auth0 that carry no call. Calls on
// their way finish, and a Client that is still in use opens new ones.
func (c *Cache) CloseIdleConnections() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
}

// roundTripper carries the calls to Auth0 of Clients without a transport of their own.
func (c *Cache) roundTripper() http.RoundTripper {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport == nil {
		c.transport = newTransport()
	}
	return c.transport
}

// newTransport returns one like the program's default, if that is of a kind that can
// be copied.
func newTransport() *http.Transport {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: 90 * time.Second}
	if common, ok := http.DefaultTransport.(*http.Transport); ok {
		transport = common.Clone()
	}
	transport.MaxIdleConnsPerHost = 32 // all calls go to one host
	return transport
}

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

func (c *Cache) health(issuer string) *health {
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.healths[issuer]
	if h == nil {
		h = new(health)
		c.healths[issuer] = h
	}
	return h
}

// board returns the kept answer to q, if it was asked for at or after oldest, and
// the flight that the caller has to fly, or wait for without a kept answer. It is
// one step, so that nobody begins a flight just after one landed.
//
//	kept and a flight: the answer serves and is about to end; the caller flies
//	kept:              all is said
//	a flight:          the caller waits for it, and flies it if it is the first
//	nothing:           there is no room for the caller, or for another flight
func (c *Cache) board(q question, name flightName, oldest time.Time, r room) (kept *answer, f *flight, first bool) {
	s := c.shard(q.account.subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entry(q)
	if e.serves(q.at, oldest) {
		s.use(e, q.at)
		e.tellHint = e.tellHint || !q.request.HideHint
		if e.renewal.IsZero() || q.at.Before(e.renewal) || s.flights[name] != nil || !s.mayFly(q, r) {
			return e.answer, nil, false
		}
		return e.answer, s.begin(&flight{name: name, renews: true}), true
	}
	f = s.flights[name]
	if !s.mayWait(q, r) || f == nil && !s.mayFly(q, r) {
		return nil, nil, false
	}
	s.pending(q.account.subject).callers++
	if f != nil {
		return nil, f, false
	}
	f = &flight{name: name}
	if e != nil {
		f.notBefore = e.resume
	}
	return nil, s.begin(f), true
}

// leave is for each caller to whom board gave a flight to wait for.
func (c *Cache) leave(q question) {
	s := c.shard(q.account.subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending(q.account.subject).callers--
	s.settle(q.account.subject)
}

// land gives the flight's answer to those who wait, and keeps it as the answer to
// q for as long as it serves, unless the account was forgotten since the flight
// began.
func (c *Cache) land(f *flight, q question, maxAge time.Duration, maxEntries int) {
	added := c.keep(f, q, maxAge)
	close(f.done)
	if added {
		c.makeRoom(maxEntries)
	}
}

// keep reports whether there is one entry more.
func (c *Cache) keep(f *flight, q question, maxAge time.Duration) (added bool) {
	s := c.shard(q.account.subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pending(q.account.subject).flights--
	s.settle(q.account.subject)
	if f.stale {
		return false
	}
	delete(s.flights, f.name)
	e, now := s.entry(q), time.Now()
	if !f.answer.lasts() { // which says nothing about the kept answer
		if e != nil {
			e.outlast(f, now)
		}
		return false
	}
	if e == nil {
		e, added = s.add(q), true
		c.kept.Add(1)
	}
	e.keep(f.answer, f.renews, maxAge, now)
	e.tellHint = e.tellHint || !q.request.HideHint
	s.use(e, now)
	if hinted := s.hinted(q); len(hinted) > MaxLoginHints {
		s.remove(hinted[MaxLoginHints])
		c.kept.Add(-1)
	}
	return added
}

// makeRoom removes the entries that were used least recently, whichever shards
// they are in, until there are most at most. Looking at all shards takes some
// microseconds, after an exchange that took milliseconds.
func (c *Cache) makeRoom(most int) {
	for c.kept.Load() > int64(most) {
		var idle *shard
		var since time.Time
		for i := range c.shards {
			if used, ok := c.shards[i].idle(); ok && (idle == nil || used.Before(since)) {
				idle, since = &c.shards[i], used
			}
		}
		if idle != nil && idle.removeIdle() {
			c.kept.Add(-1)
		}
	}
}

// forget drops all of an account or, if it names no connection, of a user.
func (c *Cache) forget(a account) {
	s := c.shard(a.subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	of := func(other account) bool {
		return other == a || a.connection == "" && other.issuer == a.issuer && other.subject == a.subject
	}
	for _, e := range s.entries[a.subject] {
		if of(e.account) {
			s.remove(e)
			c.kept.Add(-1)
		}
	}
	s.strand(func(name flightName) bool { return of(name.account) })
}

// reject drops a token, and reports whether asking again may bring another answer.
func (c *Cache) reject(token *Token) bool {
	e := token.entry
	if e == nil {
		return true // it was never kept
	}
	s := c.shard(e.account.subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	dropped, another := e.reject(token, time.Now())
	if dropped { // what was asked before does not bring it back
		s.strand(func(name flightName) bool { return name.account == e.account && name.id == e.id })
	}
	return another
}

// loginHints lists the hints of q's group that the vault served an account
// under, the last used first.
func (c *Cache) loginHints(q question) []string {
	s := c.shard(q.account.subject)
	s.mu.Lock()
	defer s.mu.Unlock()
	var hints []string
	for _, e := range s.hinted(q) {
		if e.tellHint && (e.answer == nil || e.answer.err == nil) {
			hints = append(hints, e.id.hint)
		}
	}
	return hints
}

func (c *Cache) shard(subject string) *shard {
	return &c.shards[maphash.String(c.seed, subject)%cacheShards]
}
