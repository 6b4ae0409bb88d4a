package vault

import (
	"slices"
	"sync"
	"time"
	"unique"
)

// cacheShards is how many parts the kept answers are in, each with a lock of its
// own: requests of different users do not wait for each other.
const cacheShards = 64

// shard has the kept answers of some users, and the exchanges for them that are
// on their way. Its methods are for whoever holds mu.
type shard struct {
	mu      sync.Mutex
	flights map[flightName]*flight
	users   map[string]*pending // those with any, by subject
	entries map[string][]*entry // by subject: few each
	newest  *entry              // the one used last; they form a list
	oldest  *entry
	last    time.Time // when the newest was used
}

// account is what Client.Forget forgets: a user's account at a connection.
type account struct {
	issuer              unique.Handle[string]
	subject, connection string
}

func (s *shard) entry(q question) *entry {
	for _, e := range s.entries[q.account.subject] {
		if e.id == q.id && e.account == q.account {
			return e
		}
	}
	return nil
}

// pending is what goes on for one user.
type pending struct {
	callers int // that wait
	flights int // that were begun, whether or not somebody still waits for them
}

// room is how much there is at all, and how much of it one user may take up.
type room struct {
	forCallers, forFlights             bool
	callersOfOneUser, flightsOfOneUser int
}

func (s *shard) pending(subject string) *pending {
	p := s.users[subject]
	if p == nil {
		p = new(pending)
		s.users[subject] = p
	}
	return p
}

// settle forgets a user for whom nothing goes on.
func (s *shard) settle(subject string) {
	if *s.users[subject] == (pending{}) {
		delete(s.users, subject)
	}
}

func (s *shard) mayWait(q question, r room) bool {
	p := s.users[q.account.subject]
	return r.forCallers && (p == nil || p.callers < r.callersOfOneUser)
}

func (s *shard) mayFly(q question, r room) bool {
	p := s.users[q.account.subject]
	return r.forFlights && (p == nil || p.flights < r.flightsOfOneUser)
}

// begin enters a flight.
func (s *shard) begin(f *flight) *flight {
	f.done = make(chan struct{})
	s.flights[f.name] = f
	s.pending(f.name.account.subject).flights++
	return f
}

// strand keeps what flights bring from being kept, and others from joining them.
func (s *shard) strand(which func(flightName) bool) {
	for name, f := range s.flights {
		if which(name) {
			f.stale = true
			delete(s.flights, name)
		}
	}
}

// use makes e the entry that was used last, at a time of its own.
func (s *shard) use(e *entry, now time.Time) {
	if !now.After(s.last) {
		now = s.last.Add(1)
	}
	e.used, s.last = now, now
	s.unlink(e)
	s.link(e)
}

func (s *shard) add(q question) *entry {
	e := &entry{id: q.id, account: q.account}
	s.link(e)
	s.entries[q.account.subject] = append(s.entries[q.account.subject], e)
	return e
}

func (s *shard) remove(e *entry) {
	s.unlink(e)
	subject := e.account.subject
	others := slices.DeleteFunc(slices.Clone(s.entries[subject]), func(other *entry) bool { return other == e })
	if len(others) == 0 {
		delete(s.entries, subject)
		return
	}
	s.entries[subject] = others
}

// link makes e the newest.
func (s *shard) link(e *entry) {
	e.newer, e.older = nil, s.newest
	if s.newest == nil {
		s.oldest = e
	} else {
		s.newest.newer = e
	}
	s.newest = e
}

func (s *shard) unlink(e *entry) {
	if e.newer == nil {
		s.newest = e.older
	} else {
		e.newer.older = e.older
	}
	if e.older == nil {
		s.oldest = e.newer
	} else {
		e.older.newer = e.newer
	}
}

// hinted are the entries of q's user, agent, organization and connection that
// have a login hint, the last used first. Their number is bounded, so that an
// agent which makes hints up pushes out its own answers and nobody else's.
func (s *shard) hinted(q question) []*entry {
	var hinted []*entry
	for _, e := range s.entries[q.account.subject] {
		if e.id.hint != "" && e.account == q.account && e.id.client == q.id.client && e.id.agent == q.id.agent {
			hinted = append(hinted, e)
		}
	}
	slices.SortFunc(hinted, func(a, b *entry) int { return b.used.Compare(a.used) })
	return hinted
}

// idle returns when the entry that was used least recently was used.
func (s *shard) idle() (since time.Time, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oldest == nil {
		return time.Time{}, false
	}
	return s.oldest.used, true
}

// removeIdle removes that entry. It reports whether there was one.
func (s *shard) removeIdle() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.oldest == nil {
		return false
	}
	s.remove(s.oldest)
	return true
}
