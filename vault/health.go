package vault

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// failingUsers is how many users' calls have to fail, without one success
	// among them, for the tenant to count as failing: what one user's account
	// causes must not keep others from theirs.
	failingUsers = 3

	// probeInterval is at most between two calls to a tenant that fails, while
	// somebody needs one: so it is asked by few, and it is noticed within this time
	// that it is back.
	probeInterval = 500 * time.Millisecond

	// A user whose own calls fail may go on failing at this rate.
	userFailures      = rate.Limit(1)
	userFailuresBurst = 8

	// maxFailing bounds how many users are remembered for that.
	maxFailing = 1000
)

// health is how a tenant has been answering. While it fails, or has told us to
// wait (429), one call at a time tries whether that is over; all others are refused
// without being sent.
type health struct {
	mu      sync.Mutex
	closed  *Error    // why calls are refused; nil: they are not
	since   time.Time // when that was found
	well    time.Time // when the last call was made that succeeded
	probe   time.Time // when the next call may try
	struck  []string  // whose calls failed since the last success
	failing map[string]*failing
}

// failing is a user whose last call failed.
type failing struct {
	allowance *rate.Limiter
	err       *Error
}

// check returns why a call for the user has no chance now, or nil. The empty
// user stands for everybody's calls together.
func (h *health) check(user string) *Error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.refusal(user, time.Now())
}

// admit is check for a call that is then made: if the tenant is closed, it is the
// one that tries.
func (h *health) admit(user string) *Error {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	err := h.refusal(user, now)
	if err == nil && h.closed != nil {
		h.probe = now.Add(probeInterval)
	}
	return err
}

func (h *health) refusal(user string, now time.Time) *Error {
	if f := h.failing[user]; f != nil && f.allowance.TokensAt(now) < 1 {
		return notAsked(f.err, time.Second)
	}
	if h.closed != nil && now.Before(h.probe) {
		return notAsked(h.closed, h.probe.Sub(now))
	}
	return nil
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

// open tells whether the tenant is thought to be well.
func (h *health) open() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.closed == nil
}

// report says what became of a call that was made for the user at that time. err
// is nil if the tenant answered, whatever it said.
func (h *health) report(user string, asked time.Time, err *Error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	switch {
	case err == nil:
		delete(h.failing, user)
		h.struck = nil
		if asked.After(h.well) {
			h.well = asked
		}
		if asked.After(h.since) { // an older call's success is no news
			h.closed = nil
		}
	case err.Code == CodeThrottled:
		h.close(err, now, err.RetryAfter+jittered(err.RetryAfter/10))
	default:
		repeated := h.fail(user, err)
		if repeated || asked.Before(h.well) {
			break // it says nothing new about the tenant
		}
		if !slices.Contains(h.struck, user) && len(h.struck) < failingUsers {
			h.struck = append(h.struck, user)
		}
		if len(h.struck) >= failingUsers || h.closed != nil && asked.After(h.since) {
			h.close(err, now, jittered(probeInterval))
		}
	}
}

func (h *health) close(err *Error, now time.Time, wait time.Duration) {
	if next := now.Add(wait); h.closed == nil || next.After(h.probe) || now.After(h.probe) {
		h.probe = next
	}
	h.closed, h.since = err, now
}

// fail notes that a call of the user failed. It reports whether the one before
// did, too.
func (h *health) fail(user string, err *Error) (repeated bool) {
	if user == "" {
		return false
	}
	f := h.failing[user]
	if repeated = f != nil; !repeated {
		if len(h.failing) >= maxFailing || h.failing == nil {
			h.failing = make(map[string]*failing)
		}
		f = &failing{allowance: rate.NewLimiter(userFailures, userFailuresBurst)}
		h.failing[user] = f
	}
	f.allowance.Allow()
	f.err = err
	return repeated
}
