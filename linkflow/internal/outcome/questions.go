package outcome

import (
	"slices"
	"time"
)

// What is asked of the vault about tickets, and how often.

const (
	// askRate is how many questions a second go to the vault for all tickets
	// together, and how many at once. A thousand waiting agents must not spend
	// what Auth0 allows the tenant.
	askRate = 10

	// askReserve is what of these is left to tickets whose account has just
	// been connected.
	askReserve = 3
)

// urgency says when the vault may be asked about a ticket.
type urgency int

const (
	routine urgency = iota // once in an interval, and as the budget allows
	soon                   // now, as the budget allows: the account was connected
	atOnce                 // now: once for each account that a flow connected
)

// Turn returns a channel that is closed when the vault has answered about t, or
// nil if there is no question to be had. If it is the caller's turn to ask, the
// caller gets a function to close the channel with.
// The interval begins with the answer, so that the next question reaches Auth0
// and not what the vault remembers for as long.
func (o *Board) Turn(t Ticket, interval time.Duration) (asking <-chan struct{}, finish func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	entry := o.entry(t)
	if entry.urgency == routine {
		if asked := o.askedLately(entry, interval); asked != nil {
			return asked, nil
		}
	}
	if !o.afford(entry.urgency) {
		return nil, nil
	}
	done := make(chan struct{})
	entry.urgency, entry.asking, entry.answered = routine, done, time.Time{}
	return done, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if entry.asking == (<-chan struct{})(done) { // and not a question asked since
			entry.answered = time.Now()
		}
		close(done)
	}
}

// askedLately returns the question that was asked last for what entry is about,
// be it for another ticket: an agent that holds many costs no more than one that
// holds one. It is nil if that is too long ago.
func (o *Board) askedLately(entry *fact, interval time.Duration) <-chan struct{} {
	for other := range o.accounts[entry.wish.Account] {
		if other.asking != nil && (other.answered.IsZero() || time.Since(other.answered) < interval) &&
			other.wish == entry.wish && slices.Equal(other.scopes, entry.scopes) {
			return other.asking
		}
	}
	return nil
}

// afford takes a question off the budget, if there is one to take.
func (o *Board) afford(u urgency) bool {
	switch u {
	case atOnce:
		return true
	case routine:
		return o.budget.Tokens() >= askReserve+1 && o.budget.Allow()
	}
	return o.budget.Allow()
}
