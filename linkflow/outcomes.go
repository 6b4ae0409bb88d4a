package linkflow

import (
	"sync"
	"time"
)

const (
	// maxOutcomes bounds the memory of an Outcomes.
	maxOutcomes = 100_000

	// lateLife is how much longer than its ticket an outcome is remembered, for
	// agents that ask late.
	lateLife = ticketLife
)

// Outcomes remembers what became of tickets, by their ids, which are never
// used twice. It may be shared by several Flows and outlive each of them. Make
// one with [NewOutcomes].
type Outcomes struct {
	mu      sync.Mutex
	tickets map[string]*outcome
	sweepAt int // how many entries make it worth looking for ended ones

	closeOnce sync.Once
	closed    chan struct{} // closed when nobody is to wait any more
}

// outcome is what is known about a ticket. Its fields are guarded by
// Outcomes.mu.
type outcome struct {
	state    State           // empty while nothing happened
	changed  chan struct{}   // closed at the next change of state
	asking   <-chan struct{} // closed when the vault has answered
	answered time.Time       // when that was; zero while it is being asked
	until    time.Time
}

// NewOutcomes returns an empty Outcomes.
func NewOutcomes() *Outcomes {
	return &Outcomes{tickets: make(map[string]*outcome), sweepAt: 1024, closed: make(chan struct{})}
}

func (o *Outcomes) close() { o.closeOnce.Do(func() { close(o.closed) }) }

// record notes what became of t and wakes all who wait for it. An account that
// was connected stays so, whatever a second opening of the link leads to;
// everything else may change until the ticket ends.
func (o *Outcomes) record(t ticket, state State) {
	o.mu.Lock()
	defer o.mu.Unlock()
	entry := o.entry(t)
	if entry.state == Completed {
		return
	}
	entry.change(state)
	if state == connected {
		entry.asking = nil // what the vault said before is no answer any more
	}
}

// begin notes that t's user has signed in and decides now.
func (o *Outcomes) begin(t ticket) {}

// settle ends the doubt about an account that a flow connected: it failed if the
// vault still wants a link, and is completed if the vault cannot be asked.
func (o *Outcomes) settle(t ticket, insufficient bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	entry := o.entry(t)
	if entry.state != connected {
		return
	}
	if insufficient {
		entry.change(Failed)
	} else {
		entry.change(Completed)
	}
}

// change sets the state and wakes all who wait for that.
func (e *outcome) change(state State) {
	e.state = state
	close(e.changed)
	e.changed = make(chan struct{})
}

// known returns what is recorded of t, and a channel that is closed when that
// changes.
func (o *Outcomes) known(t ticket) (State, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	entry := o.entry(t)
	return entry.state, entry.changed
}

// turn returns a channel that is closed when the vault has answered about t. If
// it is the caller's turn to ask, the caller gets a function to close it with.
// The interval begins with the answer, so that the next question reaches Auth0
// and not what the vault remembers for as long.
func (o *Outcomes) turn(t ticket, interval time.Duration) (asking <-chan struct{}, finish func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	entry := o.entry(t)
	if entry.asking != nil && (entry.answered.IsZero() || time.Since(entry.answered) < interval) {
		return entry.asking, nil
	}
	done := make(chan struct{})
	entry.asking, entry.answered = done, time.Time{}
	return done, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if entry.asking == (<-chan struct{})(done) { // and not a question asked since
			entry.answered = time.Now()
		}
		close(done)
	}
}

func (o *Outcomes) entry(t ticket) *outcome {
	if entry := o.tickets[t.ID]; entry != nil {
		return entry
	}
	if len(o.tickets) >= o.sweepAt {
		o.sweep()
	}
	entry := &outcome{changed: make(chan struct{}), until: time.Unix(t.Expiry, 0).Add(lateLife)}
	o.tickets[t.ID] = entry
	return entry
}

// sweep forgets what has ended; and if that is too little, anything.
func (o *Outcomes) sweep() {
	now := time.Now()
	for id, entry := range o.tickets {
		if !now.Before(entry.until) {
			delete(o.tickets, id)
		}
	}
	for id := range o.tickets {
		if len(o.tickets) < maxOutcomes {
			break
		}
		delete(o.tickets, id)
	}
	o.sweepAt = min(max(1024, 2*len(o.tickets)), maxOutcomes)
}
