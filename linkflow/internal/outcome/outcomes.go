package outcome

import (
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/tokenvault/caddy-token-vault/vault"
)

const (
	// maxOutcomes bounds the memory of a Board.
	maxOutcomes = 100_000

	// maxSiblings bounds the tickets that are remembered for one account.
	maxSiblings = 256

	// LateLife is how much longer than its ticket an outcome is remembered, for
	// agents that ask late.
	LateLife = 10 * time.Minute

	// maxWaiters is how many may wait for one ticket: the agent, and its next
	// try after a connection that broke without notice.
	maxWaiters = 2
)

// Board remembers what became of tickets, by their ids, which are never
// used twice. It may be shared by several Flows and outlive each of them. Make
// one with [New].
type Board struct {
	mu       sync.Mutex
	tickets  map[string]*fact
	accounts map[Account]map[*fact]struct{} // the same, by whose account it is
	held     map[Wish]chan struct{}         // closed when the held call is to go on
	sweepAt  int                            // how many entries make it worth looking for ended ones
	budget   *rate.Limiter                  // of questions to the vault

	closeOnce sync.Once
	Closed    chan struct{} // closed when nobody is to wait any more
}

// Account is a user at a connection, whichever of several accounts it is.
type Account struct{ Issuer, Subject, Connection string }

// Wish is for whom and what tickets are made: an agent that tries again gets
// another ticket for the same wish.
type Wish struct {
	Account
	OrgID, Agent, LoginHint string
}

// Ticket is what a link is about.
type Ticket struct {
	ID string
	Wish
	Scopes []string
	Open   bool // for whoever signs in
	Expiry time.Time
}

// State is what became of a ticket; empty while nothing happened.
type State string

// The states of a ticket.
const (
	Begun     State = "begun"     // the user has signed in and decides
	Connected State = "connected" // a flow has connected an account, and whether it suffices is for the vault to say
	Completed State = "completed" // the account is connected and suffices
	Declined  State = "declined"
	Failed    State = "failed"
)

// fact is what is known about a ticket. Its fields are guarded by
// Board.mu.
type fact struct {
	id       string // of the ticket
	wish     Wish
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

// New returns an empty Board.
func New() *Board {
	return &Board{
		tickets:  make(map[string]*fact),
		accounts: make(map[Account]map[*fact]struct{}),
		held:     make(map[Wish]chan struct{}),
		sweepAt:  1024,
		budget:   rate.NewLimiter(askRate, askRate),
		Closed:   make(chan struct{}),
	}
}

func (o *Board) Close() { o.closeOnce.Do(func() { close(o.Closed) }) }

// Begin notes that t's user has signed in and decides now. Nobody who waits has
// to know.
func (o *Board) Begin(t Ticket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if entry := o.entry(t); entry.state != Completed {
		entry.state = Begun
	}
}

// Leave notes that t's user turned out to be somebody else.
func (o *Board) Leave(t Ticket) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if entry := o.entry(t); entry.state == Begun {
		entry.state = ""
	}
}

// Disconnected notes that an account is gone that was connected.
func (o *Board) Disconnected(issuer, subject, connection string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for entry := range o.accounts[Account{issuer, subject, connection}] {
		if entry.state == Completed || entry.state == Connected {
			entry.state = ""
		}
	}
}

// Record notes what became of t and wakes all who wait for it. An account that
// was connected stays so, whatever a second opening of the link leads to;
// everything else may change until the ticket ends.
func (o *Board) Record(t Ticket, state State) {
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
	case Connected:
		o.lookAgain(entry)
	case Completed:
		o.complete(entry)
	}
}

// LookNow has whoever waits for t ask the vault at once, the call that is held
// included: something happened that may suffice.
func (o *Board) LookNow(t Ticket) {
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
func (o *Board) lookAgain(ended *fact) {
	first := ended
	for other := range o.accounts[ended.wish.Account] {
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
		if held.Account == ended.wish.Account {
			o.letGo(held)
		}
	}
}

// complete ends the other tickets that the vault's yes to one of them answers
// too.
func (o *Board) complete(known *fact) {
	for other := range o.accounts[known.wish.Account] {
		if other.wish == known.wish && other.state != Completed && vault.MissingScopes(known.scopes, other.scopes) == nil {
			other.state = Completed
			other.wake()
		}
	}
}

// Settle ends the doubt about an account that a flow connected: it failed if the
// vault still wants a link, and is completed if the vault cannot be asked.
func (o *Board) Settle(t Ticket, insufficient bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	entry := o.entry(t)
	if entry.state != Connected {
		return
	}
	entry.state = Completed
	if insufficient {
		entry.state = Failed
	}
	entry.wake()
}

func (e *fact) wake() {
	close(e.changed)
	e.changed = make(chan struct{})
}

// Known returns what is recorded of t, and a channel that is closed when it is
// worth while to look again.
func (o *Board) Known(t Ticket) (State, <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	entry := o.entry(t)
	return entry.state, entry.changed
}

// Wait counts the caller among those who wait for t, until it calls leave. It
// returns nil if there are enough.
func (o *Board) Wait(t Ticket) (leave func()) {
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

func (o *Board) entry(t Ticket) *fact {
	if entry := o.tickets[t.ID]; entry != nil {
		if t.Open && entry.wish != t.Wish { // somebody else signed in, or chose
			o.unfile(entry)
			entry.wish, entry.scopes = t.Wish, t.Scopes
			if entry.state != Begun {
				entry.state = ""
			}
			o.file(entry)
		}
		return entry
	}
	if len(o.tickets) >= o.sweepAt {
		o.sweep()
	}
	entry := &fact{id: t.ID, wish: t.Wish, scopes: t.Scopes, changed: make(chan struct{}), expiry: t.Expiry, until: t.Expiry.Add(LateLife)}
	o.tickets[t.ID] = entry
	o.file(entry)
	return entry
}

// file puts an outcome among those of its account.
func (o *Board) file(entry *fact) {
	siblings := o.accounts[entry.wish.Account]
	if siblings == nil {
		siblings = make(map[*fact]struct{})
		o.accounts[entry.wish.Account] = siblings
	}
	if len(siblings) >= maxSiblings {
		o.forgetOldest(siblings, entry.wish)
	}
	siblings[entry] = struct{}{}
}

// unfile takes it away from there.
func (o *Board) unfile(entry *fact) {
	siblings := o.accounts[entry.wish.Account]
	delete(siblings, entry)
	if len(siblings) == 0 {
		delete(o.accounts, entry.wish.Account)
	}
}

// forgetOldest makes room among the tickets for one account, if it can by one
// of that very wish: an agent pushes out its own first.
func (o *Board) forgetOldest(siblings map[*fact]struct{}, w Wish) {
	var oldest *fact
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
func (o *Board) sweep() {
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

func (o *Board) remove(entry *fact) {
	delete(o.tickets, entry.id)
	o.unfile(entry)
}

// Connecting tells how long the user may still take who has signed in to grant
// this wish: until the last ticket ends. 0 means that there is none who has.
func (o *Board) Connecting(w Wish) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.left(w)
}

func (o *Board) left(w Wish) (left time.Duration) {
	for entry := range o.accounts[w.Account] {
		if entry.wish == w && entry.state == Begun {
			left = max(left, time.Until(entry.expiry))
		}
	}
	return left
}

// Hold is connecting for a call that waits. It returns a channel that is closed
// when the wait is over, and a function to call in the end; or neither, if
// there is nothing to wait for or somebody waits already.
func (o *Board) Hold(w Wish) (ended <-chan struct{}, left time.Duration, leave func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	left = o.left(w)
	if left <= 0 || o.held[w] != nil {
		return nil, 0, nil
	}
	c := make(chan struct{})
	o.held[w] = c
	return c, left, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.held[w] == c {
			delete(o.held, w)
		}
	}
}

// letGo ends the wait of the call that is held for w, if there is one.
func (o *Board) letGo(w Wish) {
	if c := o.held[w]; c != nil {
		close(c)
		delete(o.held, w)
	}
}
