package linkflow

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tokenvault/caddy-token-vault/vault"
)

const (
	// maxOutcomes bounds the memory of an Outcomes.
	maxOutcomes = 100_000

	// maxSiblings bounds the tickets that are remembered for one account.
	maxSiblings = 256

	// lateLife is how much longer than its ticket an outcome is remembered, for
	// agents that ask late.
	lateLife = ticketLife

	// maxWaiters is how many may wait for one ticket: the agent, and its next
	// try after a connection that broke without notice.
	maxWaiters = 2
)

// Outcomes remembers what became of tickets, by their ids, which are never
// used twice. It may be shared by several Flows and outlive each of them. Make
// one with [NewOutcomes].
type Outcomes struct {
	mu       sync.Mutex
	tickets  map[string]*outcome
	accounts map[account]map[*outcome]struct{} // the same, by whose account it is
	held     map[wish]chan struct{}            // closed when the held call is to go on
	sweepAt  int                               // how many entries make it worth looking for ended ones
	budget   *rate.Limiter                     // of questions to the vault

	closeOnce sync.Once
	closed    chan struct{} // closed when nobody is to wait any more
}

// account is a user at a connection, whichever of several accounts it is.
type account struct{ issuer, subject, connection string }

// wish is for whom and what tickets are made: an agent that tries again gets
// another ticket for the same wish.
type wish struct {
	account
	orgID, agent, loginHint string
}

func wishOf(t ticket) wish {
	return wish{account{t.Issuer, t.Subject, t.Connection}, t.OrgID, t.Agent, t.LoginHint}
}

// outcome is what is known about a ticket. Its fields are guarded by
// Outcomes.mu.
type outcome struct {
	id       string // of the ticket
	wish     wish
	scopes   []string
	state    State           // empty while nothing happened
	changed  chan struct{}   // closed when it is worth while to look again
	waiters  int             // who wait for that
	urgency  urgency         // of the next question to the vault
	asking   <-chan struct{} // closed when the vault has answered
	answered time.Time       // when that was; zero while it is being asked
	expiry   time.Time       // of the ticket
	until    time.Time
}

// NewOutcomes returns an empty Outcomes.
func NewOutcomes() *Outcomes {
	return &Outcomes{
		tickets:  make(map[string]*outcome),
		accounts: make(map[account]map[*outcome]struct{}),
		held:     make(map[wish]chan struct{}),
		sweepAt:  1024,
		budget:   rate.NewLimiter(askRate, askRate),
		closed:   make(chan struct{}),
	}
}

func (o *Outcomes) close() { o.closeOnce.Do(func() { close(o.closed) }) }

// begin notes that t's user has signed in and decides now. Nobody who waits has
// to know.
func (o *Outcomes) begin(t ticket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if entry := o.entry(t); entry.state != Completed {
		entry.state = begun
	}
}

// leave notes that t's user turned out to be somebody else.
func (o *Outcomes) leave(t ticket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if entry := o.entry(t); entry.state == begun {
		entry.state = ""
	}
}

// disconnected notes that an account is gone that was connected.
func (o *Outcomes) disconnected(issuer, subject, connection string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for entry := range o.accounts[account{issuer, subject, connection}] {
		if entry.state == Completed || entry.state == connected {
			entry.state = ""
		}
	}
}

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
	entry.state = state
	entry.wake()
	o.letGo(entry.wish)
	switch state {
	case connected:
		o.lookAgain(entry)
	case Completed:
		o.complete(entry)
	}
}

// lookNow has whoever waits for t ask the vault at once, the call that is held
// included: something happened that may suffice.
func (o *Outcomes) lookNow(t ticket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	entry := o.entry(t)
	entry.urgency = atOnce
	entry.wake()
	o.letGo(entry.wish)
}

// lookAgain makes everybody ask the vault who waits for the account that a flow
// connected: the agent may have tried again and hold a newer ticket than the
// one its user opened, and other agents wait for the account too.
func (o *Outcomes) lookAgain(ended *outcome) {
	first := ended
	for other := range o.accounts[ended.wish.account] {
		if other == ended || other.waiters == 0 || other.state == Completed {
			continue
		}
		other.urgency = soon
		other.wake()
		if ended.waiters == 0 && (first == ended || other.wish == ended.wish) {
			first = other
		}
	}
	first.urgency = atOnce
	for held := range o.held {
		if held.account == ended.wish.account {
			o.letGo(held)
		}
	}
}

// complete ends the other tickets that the vault's yes to one of them answers
// too.
func (o *Outcomes) complete(known *outcome) {
	for other := range o.accounts[known.wish.account] {
		if other.wish == known.wish && other.state != Completed && vault.MissingScopes(known.scopes, other.scopes) == nil {
			other.state = Completed
			other.wake()
		}
	}
}

// settle ends the doubt about an account that a flow connected: it failed if the
// vault still wants a link, and is completed if the vault cannot be asked.
func (o *Outcomes) settle(t ticket, insufficient bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	entry := o.entry(t)
	if entry.state != connected {
		return
	}
	entry.state = Completed
	if insufficient {
		entry.state = Failed
	}
	entry.wake()
}

func (e *outcome) wake() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// known returns what is recorded of t, and a channel that is closed when it is
// worth while to look again.
func (o *Outcomes) known(t ticket) (State, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	entry := o.entry(t)
	return entry.state, entry.changed
}

// wait counts the caller among those who wait for t, until it calls leave. It
// returns nil if there are enough.
func (o *Outcomes) wait(t ticket) (leave func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	entry := o.entry(t)
	if entry.waiters == maxWaiters {
		return nil
	}
	entry.waiters++
	return func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		entry.waiters--
	}
}

func (o *Outcomes) entry(t ticket) *outcome {
	if entry := o.tickets[t.ID]; entry != nil {
		if w := wishOf(t); t.Open && entry.wish != w { // somebody else signed in, or chose
			o.unfile(entry)
			entry.wish, entry.scopes = w, t.Scopes
			if entry.state != begun {
				entry.state = ""
			}
			o.file(entry)
		}
		return entry
	}
	if len(o.tickets) >= o.sweepAt {
		o.sweep()
	}
	expiry := time.Unix(t.Expiry, 0)
	entry := &outcome{id: t.ID, wish: wishOf(t), scopes: t.Scopes, changed: make(chan struct{}), expiry: expiry, until: expiry.Add(lateLife)}
	o.tickets[t.ID] = entry
	o.file(entry)
	return entry
}

// file puts an outcome among those of its account.
func (o *Outcomes) file(entry *outcome) {
	siblings := o.accounts[entry.wish.account]
	if siblings == nil {
		siblings = make(map[*outcome]struct{})
		o.accounts[entry.wish.account] = siblings
	}
	if len(siblings) >= maxSiblings {
		o.forgetOldest(siblings, entry.wish)
	}
	siblings[entry] = struct{}{}
}

// unfile takes it away from there.
func (o *Outcomes) unfile(entry *outcome) {
	siblings := o.accounts[entry.wish.account]
	delete(siblings, entry)
	if len(siblings) == 0 {
		delete(o.accounts, entry.wish.account)
	}
}

// forgetOldest makes room among the tickets for one account, if it can by one
// of that very wish: an agent pushes out its own first.
func (o *Outcomes) forgetOldest(siblings map[*outcome]struct{}, w wish) {
	var oldest *outcome
	for other := range siblings {
		if other.waiters == 0 && (oldest == nil || other.wish == w && oldest.wish != w ||
			(other.wish == w) == (oldest.wish == w) && other.expiry.Before(oldest.expiry)) {
			oldest = other
		}
	}
	if oldest != nil {
		o.remove(oldest)
	}
}

// sweep forgets what has ended; and if that is too little, anything, so much
// that it is not needed again soon.
func (o *Outcomes) sweep() {
	now := time.Now()
	for _, entry := range o.tickets {
		if !now.Before(entry.until) {
			o.remove(entry)
		}
	}
	for _, entry := range o.tickets {
		if len(o.tickets) < maxOutcomes-maxOutcomes/8 {
			break
		}
		o.remove(entry)
	}
	o.sweepAt = min(max(1024, 2*len(o.tickets)), maxOutcomes)
}

func (o *Outcomes) remove(entry *outcome) {
	delete(o.tickets, entry.id)
	o.unfile(entry)
}
