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

// health is how a tenant, or an API of it with a rate limit of its own, has been
// answering.
type health struct {
	mu          sync.Mutex
	tenant      gate             // closed by a 429, and when nothing can be reached
	connections map[string]*gate // closed by other failures
	failing     map[asker]*failing
}

// gate is what calls pass while it is open. A closed one, which circuit breakers call
// open, lets one call at a time through, to try whether that is over; all others are
// refused without being sent.
type gate struct {
	closed *Error    // why calls are refused; nil: they are not
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

// asker is who causes a call. The zero asker stands for calls that anybody can
// cause, such as sign-ins.
type asker struct {
	user       string
	agent      unique.Handle[agent]
	connection string
}

// check returns why a call has no chance now, or nil.
func (h *health) check(a asker) *Error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refusal(a, time.Now())
}

func (h *health) refusal(a asker, now time.Time) *Error {
	f := h.failing[a]
	if f != nil && f.allowance.TokensAt(now) < 1 {
		return notAsked(f.err, time.Second)
	}
	for _, g := range h.gates(a) {
		if err := g.refusal(now, f != nil); err != nil {
			return err
		}
	}
	return nil
}

// admit is check for a call that is then made: where a gate is closed, it is the
// one that tries.
func (h *health) admit(a asker) *Error {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if err := h.refusal(a, now); err != nil {
		return err
	}
	if f := h.failing[a]; f != nil {
		f.allowance.AllowN(now, 1)
	}
	for _, g := range h.gates(a) {
		if g.closed != nil {
			g.probe = now.Add(probeInterval)
		}
	}
	return nil
}

// gates are those that the asker's calls pass.
func (h *health) gates(a asker) [2]*gate { return [2]*gate{&h.tenant, h.connection(a)} }

func (h *health) connection(a asker) *gate {
	g := h.connections[a.connection]
	if g == nil {
		g = new(gate)
		if h.connections == nil {
			h.connections = make(map[string]*gate)
		}
		h.connections[a.connection] = g
	}
	return g
}

// open tells whether nothing is known to fail for the asker.
func (h *health) open(a asker) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.tenant.closed == nil && h.connection(a).closed == nil
}

// report says what became of a call that was made at that time. err is nil if the
// tenant answered, whatever it said.
func (h *health) report(a asker, asked time.Time, err *Error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil:
		delete(h.failing, a)
		for _, g := range h.gates(a) {
			g.succeed(asked)
		}
	case err.Code == CodeThrottled:
		h.tenant.close(err, now, err.RetryAfter+jittered(err.RetryAfter/10))
	case h.fail(a, err):
		// Who fails again says nothing new about the tenant.
	case err.Reason == reasonUnreachable: // which is nothing that a user can cause
		h.tenant.strike(a.user, asked, err, now)
	default:
		h.connection(a).strike(a.user, asked, err, now)
	}
}

// fail notes that a call failed. It reports whether the one before did, too, while
// the gates are open: then only a call that tries is news.
func (h *health) fail(a asker, err *Error) (repeated bool) {
	if a == (asker{}) {
		return false
	}
	f := h.failing[a]
	if f == nil {
		if len(h.failing) >= maxFailing || h.failing == nil {
			h.failing = make(map[asker]*failing)
		}
		h.failing[a] = &failing{rate.NewLimiter(failures, failuresBurst), err}
		return false
	}
	f.err = err
	return h.tenant.closed == nil && h.connection(a).closed == nil
}

// refusal returns why a call is refused, or nil. Those whose last call failed let
// others try first.
func (g *gate) refusal(now time.Time, failed bool) *Error {
	probe := g.probe
	if failed {
		probe = probe.Add(probeInterval / 2)
	}
	if g.closed == nil || !now.Before(probe) {
		return nil
	}
	return notAsked(g.closed, probe.Sub(now))
}

// succeed opens the gate, unless the call was made before that closed: then it is
// no news.
func (g *gate) succeed(asked time.Time) {
	g.struck = nil
	if asked.After(g.well) {
		g.well = asked
	}
	if asked.After(g.since) {
		g.closed = nil
	}
}

// strike closes the gate when the calls of enough users failed.
func (g *gate) strike(user string, asked time.Time, err *Error, now time.Time) {
	if asked.Before(g.well) {
		return // a younger call succeeded
	}
	if !slices.Contains(g.struck, user) && len(g.struck) < failingUsers {
		g.struck = append(g.struck, user)
	}
	switch {
	case g.closed != nil: // the next one to try may already be on its way
		if asked.After(g.since) {
			g.closed, g.since = err, asked
		}
	case len(g.struck) >= failingUsers:
		g.close(err, now, jittered(probeInterval))
	}
}

func (g *gate) close(err *Error, now time.Time, wait time.Duration) {
	if next := now.Add(wait); g.closed == nil || next.After(g.probe) || now.After(g.probe) {
		g.probe = next
	}
	g.closed, g.since = err, now
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
