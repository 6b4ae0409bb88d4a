package vault

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
	"unique"
)

// memory keeps the vault's answers: they are looked for here first, and a call that
// finds one asks nobody else.
type memory struct {
	mu             sync.Mutex
	entries        map[string][]*entry // by subject: few each
	count          int
	uses           uint64 // so far
	newest, oldest *entry // the one used last, and the one used least recently
}

// account is what Client.Forget forgets: a user's account at a connection.
type account struct {
	issuer              unique.Handle[string]
	subject, connection string
}

// has tells whether a is of that user and, if other names one, that connection.
func (a account) has(other account) bool {
	return a.issuer == other.issuer && a.subject == other.subject && (a.connection == other.connection || a.connection == "")
}

// key is all that an answer of the vault depends on.
type key struct {
	account
	client unique.Handle[string] // issuer, API and exchange client
	agent  unique.Handle[agent]
	hint   string
}

// entry is a kept answer. One without an answer remembers that the vault served
// the account, and what its term says.
type entry struct {
	key
	term
	answer       *answer
	used         uint64 // a greater one was used later
	newer, older *entry // in the order of use

	rejected time.Time
	dropped  bool // when rejected: the answer does not serve until the vault was asked
	tellHint bool // the caller may be told the hint
}

// answer is what the vault said, or why it was not asked.
type answer struct {
	token   *Token
	err     *Error
	asked   time.Time
	refused Secret // the subject token that err is about; empty: none

	verdicts atomic.Pointer[verdict] // on the token
}

// lasts tells whether the answer says something about the account, and not about
// the token that was exchanged, or about how Auth0 is doing.
func (a *answer) lasts() bool {
	return a.err == nil || a.err.Code == CodeLinkRequired || a.err.Code == CodeRelinkRequired
}

// serves tells whether e has an answer that was asked for at or after oldest. A
// nil entry has none.
func (e *entry) serves(now, oldest time.Time) bool {
	return e != nil && e.answer != nil && !e.dropped && now.Before(e.until) && !e.answer.asked.Before(oldest)
}

func (m *memory) find(k key) *entry {
	for _, e := range m.entries[k.subject] {
		if e.key == k {
			return e
		}
	}
	return nil
}

// get returns the answer under k that serves and was asked for at or after oldest, and
// whether it is time to ask for what comes next. Without one it returns when the
// vault may be asked: the zero time is now.
func (m *memory) get(k key, now, oldest time.Time, tellHint bool) (a *answer, renew bool, notBefore time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.find(k)
	switch {
	case e == nil:
		return nil, false, time.Time{}
	case !e.serves(now, oldest):
		return nil, false, e.resume
	}
	m.use(e)
	e.tellHint = e.tellHint || tellHint
	return e.answer, !e.renewal.IsZero() && !now.Before(e.renewal), time.Time{}
}

// put keeps a under k for as long as it serves, and returns what those get who wait
// for it. That is another one where Auth0 failed: a kept token that the provider had
// rejected serves on, since the vault may be out of reach for long.
func (m *memory) put(k key, tellHint bool, a *answer, renewed bool, maxAge time.Duration, most int) *answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, now := m.find(k), time.Now()
	if !a.lasts() { // which says nothing about the account
		if e == nil {
			return a
		}
		if renewed {
			e.term = e.term.outlasting(now)
		}
		if e.dropped && !a.err.aboutSubject() {
			e.dropped = false
			if e.serves(now, time.Time{}) {
				return e.answer
			}
		}
		return a
	}
	if e == nil {
		e = m.add(k)
	}
	e.term, e.dropped, e.answer = e.term.after(a, renewed, maxAge, now), false, a
	if a.token != nil {
		a.token.entry = e
	}
	if a.err == nil && !now.Before(e.until) {
		e.answer = nil // it is for those who wait, once
	}
	e.tellHint = e.tellHint || tellHint
	m.use(e)
	if hinted := m.hinted(k); len(hinted) > MaxLoginHints {
		m.remove(hinted[MaxLoginHints])
	}
	for m.count > most {
		m.remove(m.oldest)
	}
	return a
}

// forget drops all of an account or, if it names no connection, of a user.
func (m *memory) forget(a account) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range slices.Clone(m.entries[a.subject]) {
		if a.has(e.account) {
			m.remove(e)
		}
	}
}

// reject drops a token if it is what its entry gives, once in a rejectInterval, and
// reports whether it did.
func (m *memory) reject(token *Token) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, now := token.entry, time.Now()
	if e.dropped || e.last != digestOf(token) || e.answer != nil && e.answer.err != nil || now.Sub(e.rejected) < rejectInterval {
		return false
	}
	e.rejected, e.dropped = now, true
	return true
}

// loginHints lists the hints of k's group that the vault served an account under, the
// last used first.
func (m *memory) loginHints(k key) []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	var hints []string
	for _, e := range m.hinted(k) {
		if e.tellHint && (e.answer == nil || e.answer.err == nil) {
			hints = append(hints, e.hint)
		}
	}
	return hints
}

// hinted are the entries that differ from k in their login hint only and have one, the
// last used first. Their number is bounded, so that an agent which makes hints up
// pushes out its own answers and nobody else's.
func (m *memory) hinted(k key) []*entry {
	var hinted []*entry
	for _, e := range m.entries[k.subject] {
		like := e.key
		like.hint = k.hint
		if e.hint != "" && like == k {
			hinted = append(hinted, e)
		}
	}
	slices.SortFunc(hinted, func(a, b *entry) int { return int(b.used - a.used) }) //nolint:gosec // two of eight are no 2^63 uses apart
	return hinted
}

func (m *memory) add(k key) *entry {
	e := &entry{key: k}
	if m.entries == nil {
		m.entries = make(map[string][]*entry)
	}
	m.entries[k.subject] = append(m.entries[k.subject], e)
	m.count++
	m.link(e)
	return e
}

func (m *memory) remove(e *entry) {
	m.unlink(e)
	m.count--
	others := slices.DeleteFunc(m.entries[e.subject], func(other *entry) bool { return other == e })
	if len(others) == 0 {
		delete(m.entries, e.subject)
		return
	}
	m.entries[e.subject] = others
}

// use makes e the entry that was used last.
func (m *memory) use(e *entry) {
	m.uses++
	e.used = m.uses
	if m.newest != e {
		m.unlink(e)
		m.link(e)
	}
}

// link makes e the newest.
func (m *memory) link(e *entry) {
	e.newer, e.older = nil, m.newest
	if m.newest == nil {
		m.oldest = e
	} else {
		m.newest.newer = e
	}
	m.newest = e
}

func (m *memory) unlink(e *entry) {
	if e.newer == nil {
		m.newest = e.older
	} else {
		e.newer.older = e.older
	}
	if e.older == nil {
		m.oldest = e.newer
	} else {
		e.older.newer = e.newer
	}
}
