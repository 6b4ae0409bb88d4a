package outcome

import (
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/tokenvault/caddy-token-vault/vault"
)

const (
	// maxPeople bounds the users about whom a Board remembers anything.
	maxPeople = 100_000

	// maxEntries bounds the tickets, and the questions, of one user.
	maxEntries = 64

	// LateLife is how much longer than its ticket an outcome is remembered, for
	// agents that ask late.
	LateLife = 10 * time.Minute

	// precision is that of Ticket.Made.
	precision = time.Second
)

// User is who signs in.
type User struct{ Issuer, Subject string }

// Account is a user at a connection, whichever of several accounts it is.
type Account struct {
	User
	Connection string
}

// Wish is for whom and what tickets are made.
type Wish struct {
	Account
	OrgID, Agent, LoginHint string
}

// Ticket is what a link is about. Its id is never used twice. Who may be whoever
// signs in is part of the wish as soon as it is known.
type Ticket struct {
	ID string
	Wish
	Scopes []string
	Made   time.Time // rounded down to the second
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

// Board remembers. It is safe for concurrent use. Make one with [New].
type Board struct {
	mu      sync.Mutex
	people  map[User]*person
	sweepAt int           // how many people make it worth looking for those who can be forgotten
	budget  *rate.Limiter // of questions to the vault
	waiting atomic.Int64  // how many wait in all

	closeOnce sync.Once
	closed    chan struct{}
}

// person is what is known about one user's links.
type person struct {
	mu        sync.Mutex
	forgotten bool // and another one may have taken its place
	until     time.Time
	tickets   map[string]*fate // to which something happened, by id
	questions map[about]*question
	waits     map[string]int         // how many wait for a ticket, by id
	waiting   int                    // all of them
	held      map[Wish]chan struct{} // closed when the held call is to go on
	changed   chan struct{}          // closed when it is worth while to look again
}

// entry is what tickets and questions have in common.
type entry struct {
	wish  Wish
	until time.Time
	waits int // how many wait, for whom it has to stay
}

func (e *entry) rest() *entry { return e }

// fate is what happened to a ticket.
type fate struct {
	entry
	state  State
	expiry time.Time
}

// New returns an empty Board.
func New() *Board {
	return &Board{
		people:  make(map[User]*person),
		sweepAt: 1024,
		budget:  rate.NewLimiter(askRate, askRate),
		closed:  make(chan struct{}),
	}
}

// Close ends all waits, for good.
func (b *Board) Close() { b.closeOnce.Do(func() { close(b.closed) }) }

// Closed is closed when nobody is to wait any more.
func (b *Board) Closed() <-chan struct{} { return b.closed }

// lock returns what is known about a user, for the caller to unlock.
func (b *Board) lock(u User) *person {
	for {
		p := b.find(u)
		p.mu.Lock()
		if !p.forgotten {
			return p
		}
		p.mu.Unlock()
	}
}

func (b *Board) find(u User) *person {
	b.mu.Lock()
	defer b.mu.Unlock()
	p := b.people[u]
	if p == nil {
		if len(b.people) >= b.sweepAt {
			b.sweep()
		}
		p = &person{
			tickets: make(map[string]*fate), questions: make(map[about]*question),
			waits: make(map[string]int), held: make(map[Wish]chan struct{}), changed: make(chan struct{}),
		}
		b.people[u] = p
	}
	return p
}

// sweep forgets people whose links have ended; and if those are too few, any for whom
// nobody waits, so many that it is not needed again soon.
func (b *Board) sweep() {
	now := time.Now()
	for u, p := range b.people {
		b.forget(u, p, now)
	}
	for u, p := range b.people {
		if len(b.people) < maxPeople-maxPeople/8 {
			break
		}
		b.forget(u, p, p.until)
	}
	b.sweepAt = min(max(1024, 2*len(b.people)), maxPeople)
}

// forget forgets p if it can be by then.
func (b *Board) forget(u User, p *person, then time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.waiting == 0 && len(p.held) == 0 && !then.Before(p.until) {
		p.forgotten = true
		delete(b.people, u)
	}
}

// Begin notes that t's user has signed in and decides now. Nobody who waits has
// to know.
func (b *Board) Begin(t Ticket) {
	p := b.lock(t.User)
	defer p.mu.Unlock()
	if p.state(t) != Completed {
		p.fate(t).state = Begun
	}
}

// Leave notes that t's user turned out to be somebody else.
func (b *Board) Leave(t Ticket) {
	p := b.lock(t.User)
	defer p.mu.Unlock()
	if p.state(t) == Begun {
		delete(p.tickets, t.ID)
	}
}

// Disconnected notes that an account is gone that was connected.
func (b *Board) Disconnected(a Account) {
	p := b.lock(a.User)
	defer p.mu.Unlock()
	for id, f := range p.tickets {
		if f.wish.Account == a && (f.state == Completed || f.state == Connected) {
			delete(p.tickets, id)
		}
	}
	for key, q := range p.questions {
		if key.Account == a {
			q.served = time.Time{}
		}
	}
}

// Record notes what became of t and wakes all who wait for it. An account that
// was connected stays so, whatever a second opening of the link leads to;
// everything else may change until the ticket ends. Completed is the vault's word, and
// answers all earlier tickets for the same wish that want no more.
func (b *Board) Record(t Ticket, state State) {
	p := b.lock(t.User)
	defer p.mu.Unlock()
	before := p.state(t)
	if state == Completed {
		p.question(t).served = time.Now()
	}
	if before == Completed {
		return
	}
	p.fate(t).state = state
	p.wake()
	p.letGo(t.Wish)
	if state == Connected {
		p.lookAgain(t)
	}
}

// Settle ends the doubt about an account that a flow connected: it failed if the
// vault still wants a link, and is completed if the vault cannot be asked.
func (b *Board) Settle(t Ticket, insufficient bool) {
	p := b.lock(t.User)
	defer p.mu.Unlock()
	if p.state(t) != Connected {
		return
	}
	p.fate(t).state = Completed
	if insufficient {
		p.fate(t).state = Failed
	}
	p.wake()
}

// Known returns what is recorded of t, and a channel that is closed when it is
// worth while to look again.
func (b *Board) Known(t Ticket) (State, <-chan struct{}) {
	p := b.lock(t.User)
	defer p.mu.Unlock()
	return p.state(t), p.changed
}

func (p *person) state(t Ticket) State {
	for key, q := range p.questions {
		if key.Wish == t.Wish && !q.served.Before(t.Made.Add(precision)) && vault.MissingScopes(q.scopes, t.Scopes) == nil {
			return Completed
		}
	}
	if f := p.tickets[t.ID]; f != nil && f.wish == t.Wish {
		return f.state
	}
	return ""
}

// fate is what happened to t, for the caller to change. A ticket for whoever signs in
// may have been for another connection until now.
func (p *person) fate(t Ticket) *fate {
	f := p.tickets[t.ID]
	if f == nil || f.wish != t.Wish {
		delete(p.tickets, t.ID)
		makeRoom(p.tickets, t.Wish)
		f = &fate{entry: entry{wish: t.Wish, until: t.Expiry.Add(LateLife)}, expiry: t.Expiry}
		p.tickets[t.ID] = f
		p.keepUntil(f.until)
	}
	return f
}

func (p *person) keepUntil(t time.Time) {
	if p.until.Before(t) {
		p.until = t
	}
}

// wake has all look again who wait for anything of this user's: they are few.
func (p *person) wake() {
	close(p.changed)
	p.changed = make(chan struct{})
}

// makeRoom lets the oldest entry go if there are many, one of the same agent's first:
// agents push out their own.
func makeRoom[K comparable, V interface{ rest() *entry }](entries map[K]V, w Wish) {
	if len(entries) < maxEntries {
		return
	}
	var oldest *entry
	var at K
	for key, value := range entries {
		e := value.rest()
		if e.waits > 0 {
			continue
		}
		if oldest == nil || e.wish.Agent == w.Agent && oldest.wish.Agent != w.Agent ||
			(e.wish.Agent == w.Agent) == (oldest.wish.Agent == w.Agent) && e.until.Before(oldest.until) {
			oldest, at = e, key
		}
	}
	delete(entries, at)
}

func scopeText(scopes []string) string { return strings.Join(scopes, " ") }
