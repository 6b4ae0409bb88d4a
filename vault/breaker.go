package vault

import (
	"fmt"
	"slices"
	"sync"
	"time"
	"unique"

	"golang.org/x/time/rate"
)

const (
	// failingUsers is how many users' calls have to fail, without one success
	// among them, for a connection or the tenant to count as failing: what one
	// user's account causes must not keep others from theirs.
	failingUsers = 3

	// probeInterval is at most between two calls for what fails, while somebody
	// needs one: so Auth0 is asked by few, and it is noticed within this time that it
	// works again.
	probeInterval = 500 * time.Millisecond

	// An agent whose calls for a user and connection fail may go on at this rate.
	failures      = rate.Limit(1)
	failuresBurst = 8

	// maxFailing bounds how many of these are remembered.
	maxFailing = 1000
)

// breakers are the circuit breakers of an API with a rate limit of its own.
type breakers struct {
	mu          sync.Mutex
	api         breaker             // opened by a 429, and when nothing can be reached
	connections map[string]*breaker // opened by other failures
	failing     map[asker]*failing
}

// breaker is what calls pass while it is closed. An open one lets one call at a time
// through, to try whether that is over; all others are refused without being sent.
type breaker struct {
	open   *Error    // why calls are refused; nil: they are not
	since  time.Time // when that was found
	probe  time.Time // when the next call may try
	well   time.Time // when the last call was made that succeeded
	struck []string  // users whose calls failed since the last success
}

// failing is an agent whose last call for a user and connection failed.
type failing struct {
	allowance *rate.Limiter
	err       *Error
}

// asker is who causes an exchange. The zero asker stands for calls that anybody can
// cause, such as sign-ins.
type asker struct {
	user       string
	agent      unique.Handle[agent]
	connection string
}

// refusal returns why a call has no chance now, or nil.
func (b *breakers) refusal(a asker) *Error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.refusalAt(a, time.Now())
}

func (b *breakers) refusalAt(a asker, now time.Time) *Error {
	f := b.failing[a]
	if f != nil && f.allowance.TokensAt(now) < 1 {
		return notAsked(f.err, time.Second)
	}
	for _, each := range b.of(a) {
		if err := each.refusal(now, f != nil); err != nil {
			return err
		}
	}
	return nil
}

// admit is refusal for a call that is then made, if it can be paid for: where a
// breaker is open, it is the one that tries.
func (b *breakers) admit(a asker, pay func() *Error) *Error {
	b.mu.Lock()
	defer b.mu.Unlock()
	now := time.Now()
	if err := b.refusalAt(a, now); err != nil {
		return err
	}
	if err := pay(); err != nil {
		return err
	}
	if f := b.failing[a]; f != nil {
		f.allowance.AllowN(now, 1)
	}
	for _, each := range b.of(a) {
		if each.open != nil {
			each.probe = now.Add(probeInterval)
		}
	}
	return nil
}

// of are those that the asker's calls pass.
func (b *breakers) of(a asker) [2]*breaker {
	connection := b.connections[a.connection]
	if connection == nil {
		connection = new(breaker)
		if b.connections == nil {
			b.connections = make(map[string]*breaker)
		}
		b.connections[a.connection] = connection
	}
	return [2]*breaker{&b.api, connection}
}

// closed tells whether nothing is known to fail for the asker.
func (b *breakers) closed(a asker) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.allClosed(a)
}

func (b *breakers) allClosed(a asker) bool {
	of := b.of(a)
	return of[0].open == nil && of[1].open == nil
}

// report says what became of a call that was made at that time. err is nil if the
// tenant answered, whatever it said.
func (b *breakers) report(a asker, asked time.Time, err *Error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	now, of := time.Now(), b.of(a)
	switch {
	case err == nil:
		delete(b.failing, a)
		for _, each := range of {
			each.succeed(asked)
		}
	case err.Code == CodeThrottled:
		b.api.trip(err, now, err.RetryAfter+jittered(err.RetryAfter/10))
	case b.fail(a, err):
		// Who fails again says nothing new about the tenant.
	case err.Reason == reasonUnreachable: // which is nothing that a user can cause
		b.api.strike(a.user, asked, err, now)
	default:
		of[1].strike(a.user, asked, err, now)
	}
}

// fail notes that a call failed. It reports whether the one before did, too, while
// the breakers are closed: otherwise only a call that tries is news.
func (b *breakers) fail(a asker, err *Error) (repeated bool) {
	if a == (asker{}) {
		return false
	}
	f := b.failing[a]
	if f == nil {
		if len(b.failing) >= maxFailing || b.failing == nil {
			b.failing = make(map[asker]*failing)
		}
		b.failing[a] = &failing{rate.NewLimiter(failures, failuresBurst), err}
		return false
	}
	f.err = err
	return b.allClosed(a)
}

// refusal returns why a call is refused, or nil. Those whose last call failed let
// others try first.
func (b *breaker) refusal(now time.Time, failed bool) *Error {
	probe := b.probe
	if failed {
		probe = probe.Add(probeInterval / 2)
	}
	if b.open == nil || !now.Before(probe) {
		return nil
	}
	return notAsked(b.open, probe.Sub(now))
}

// succeed closes the breaker, unless the call was made before it opened: then it is
// no news.
func (b *breaker) succeed(asked time.Time) {
	b.struck = nil
	if asked.After(b.well) {
		b.well = asked
	}
	if asked.After(b.since) {
		b.open = nil
	}
}

// strike opens the breaker when the calls of enough users failed.
func (b *breaker) strike(user string, asked time.Time, err *Error, now time.Time) {
	if asked.Before(b.well) {
		return // a younger call succeeded
	}
	if !slices.Contains(b.struck, user) && len(b.struck) < failingUsers {
		b.struck = append(b.struck, user)
	}
	switch {
	case b.open != nil: // the next one to try may already be on its way
		if asked.After(b.since) {
			b.open, b.since = err, asked
		}
	case len(b.struck) >= failingUsers:
		b.trip(err, now, jittered(probeInterval))
	}
}

// trip opens the breaker.
func (b *breaker) trip(err *Error, now time.Time, wait time.Duration) {
	if next := now.Add(wait); b.open == nil || next.After(b.probe) || now.After(b.probe) {
		b.probe = next
	}
	b.open, b.since = err, now
}

// notAsked is what the tenant said to another call, for one that is not made.
func notAsked(err *Error, wait time.Duration) *Error {
	refusal := *err
	refusal.Err = fmt.Errorf("not asked again so soon: %w", err)
	if err.Code == CodeThrottled {
		refusal.RetryAfter = wait
	}
	return &refusal
}
