package vault

import (
	"context"
	"errors"
	"sync"
	"time"
)

// flight is an exchange on its way. done is closed when the answer is there.
type flight struct {
	name   flightName
	done   chan struct{}
	answer *answer
	stale  bool // what it brings is not to be kept; guarded by flights.mu
}

// flightName tells flights apart.
type flightName struct {
	key
	token digest // of the one subject token that it is for; zero: anybody's
}

// flights are the exchanges on their way, each shared by all who wait for its answer.
// A user may have a part of them only, so that it takes several to keep all others out.
type flights struct {
	mu      sync.Mutex
	byName  map[flightName]*flight
	users   map[string]*pending // those with any, by subject
	waiting int                 // callers
	begun   int                 // flights, which may outlast their callers
}

// pending is what goes on for one user.
type pending struct {
	waiting int // callers
	begun   int // flights, whether or not somebody still waits for them
}

// limits are those of a Client.
type limits struct{ waiting, waitingOfOneUser, begunOfOneUser int }

// join returns the flight of that name, and whether the caller has to fly it: it is
// the first. wait counts the caller among those who wait, until leave. It returns
// nil where there is no room for the caller, or for another flight.
func (fs *flights) join(name flightName, l limits, wait bool) (f *flight, first bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	p := fs.users[name.subject]
	if p == nil {
		p = new(pending)
	}
	f = fs.byName[name]
	switch {
	case wait && (fs.waiting >= l.waiting || p.waiting >= l.waitingOfOneUser),
		f == nil && (fs.begun >= l.waiting || p.begun >= l.begunOfOneUser):
		return nil, false
	case f == nil:
		f, first = &flight{name: name, done: make(chan struct{})}, true
		fs.byName[name] = f
		p.begun++
		fs.begun++
	}
	if wait {
		p.waiting++
		fs.waiting++
	}
	if *p != (pending{}) {
		fs.users[name.subject] = p
	}
	return f, first
}

// leave is for each caller who waited.
func (fs *flights) leave(subject string) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	fs.waiting--
	fs.users[subject].waiting--
	fs.settle(subject)
}

// settle forgets a user for whom nothing goes on.
func (fs *flights) settle(subject string) {
	if *fs.users[subject] == (pending{}) {
		delete(fs.users, subject)
	}
}

// land ends a flight. keep is what makes its answer one that lasts: whoever joins no
// flight afterwards finds it there. It is not called for what is not to be kept.
func (fs *flights) land(f *flight, keep func()) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	if !f.stale {
		keep()
		delete(fs.byName, f.name)
	}
	fs.begun--
	fs.users[f.name.subject].begun--
	fs.settle(f.name.subject)
	close(f.done)
}

// strand keeps what flights bring from being kept, and others from joining them.
func (fs *flights) strand(which func(key) bool) {
	fs.mu.Lock()
	defer fs.mu.Unlock()
	for name, f := range fs.byName {
		if which(name.key) {
			f.stale = true
			delete(fs.byName, name)
		}
	}
}

// join returns the kept answer to q if it was asked for at or after oldest.
// Without one it waits for the flight of that subject token, beginning it if there is
// none. It ends early with ctx; the flight goes on for the others.
func (c *Client) join(ctx context.Context, q question, token digest, oldest time.Time) (*answer, error) {
	name := flightName{q.key, token}
	kept, renew, _ := c.cache.answers.get(q.key, q.at, oldest, !q.request.HideHint)
	if kept != nil {
		c.tell(Event{Kind: Remembered, Connection: q.connection})
		if renew {
			if f, first := c.cache.flights.join(name, c.limits, false); first {
				go c.fly(context.WithoutCancel(ctx), q, f, true, time.Time{})
			}
		}
		return kept, nil
	}
	c.tell(Event{Kind: Missed, Connection: q.connection})
	f, first := c.cache.flights.join(name, c.limits, true)
	if f == nil {
		return nil, &Error{Code: CodeThrottled, Reason: "too_many_waiting", RetryAfter: time.Second}
	}
	defer c.cache.flights.leave(q.key.subject)
	if first {
		// One may have landed since the first look.
		kept, _, notBefore := c.cache.answers.get(q.key, q.at, oldest, !q.request.HideHint)
		if kept != nil {
			f.answer = kept
			c.cache.flights.land(f, func() {})
			return kept, nil
		}
		go c.fly(context.WithoutCancel(ctx), q, f, false, notBefore)
	}
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if end := q.subject.expiry; q.at.Before(end) && !time.Now().Before(end) { // while it waited
		return nil, invalidToken("expired")
	}
	return f.answer, nil
}

// fly asks the vault, not before that time, and lands the flight, whatever happens. A
// store that nodes share would be asked where this begins, and told where it ends.
func (c *Client) fly(ctx context.Context, q question, f *flight, renews bool, notBefore time.Time) {
	f.answer = &answer{
		asked: time.Now(),
		err:   &Error{Code: CodeUnavailable, Reason: "internal", Err: errors.New("the exchange did not finish")},
	}
	defer c.cache.flights.land(f, func() {
		f.answer = c.cache.answers.put(q.key, !q.request.HideHint, f.answer, renews, c.maxAge, c.maxEntries)
	})
	if wait := time.Until(notBefore); wait > 0 {
		time.Sleep(wait)
	}
	begun := time.Now()
	f.answer = c.exchange(ctx, q)
	e := Event{Kind: Exchanged, Connection: q.connection, Duration: time.Since(begun)}
	if f.answer.err != nil {
		e.Err = f.answer.err
	}
	c.tell(e)
}
