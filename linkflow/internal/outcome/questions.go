package outcome

import "time"

// What is asked of the vault about wishes, and how often.

const (
	// askRate is how many questions a second go to the vault for all users
	// together, and how many at once. A thousand waiting agents must not spend
	// what Auth0 allows the tenant.
	askRate = 10

	// askReserve is what of these is left to users whose account has just
	// been connected.
	askReserve = 3
)

// urgency says when the vault may be asked.
type urgency int

const (
	routine urgency = iota // once in an interval, and as the budget allows
	soon                   // now, as the budget allows: the account was connected
	atOnce                 // now: once for each account that a flow connected
)

// about is what a question to the vault is about: an agent that holds many tickets
// costs no more than one that holds one.
type about struct {
	Wish
	scopes string
}

// question is what the vault is asked, again and again.
type question struct {
	entry
	scopes   []string
	urgency  urgency         // of the next time
	asking   <-chan struct{} // closed when the vault has answered
	answered time.Time       // when that was; zero while it is being asked
	served   time.Time       // when the vault last said yes
}

// question is the one about t.
func (p *person) question(t Ticket) *question {
	key := about{t.Wish, scopeText(t.Scopes)}
	q := p.questions[key]
	if q == nil {
		makeRoom(p.questions, t.Wish)
		q = &question{entry: entry{wish: t.Wish}, scopes: t.Scopes}
		p.questions[key] = q
	}
	q.until = t.Expiry.Add(LateLife)
	p.keepUntil(q.until)
	return q
}

// LookNow has whoever waits for t ask the vault at once, the call that is held
// included: something happened that may suffice.
func (b *Board) LookNow(t Ticket) {
	p := b.lock(t.User)
	defer p.mu.Unlock()
	p.question(t).urgency = atOnce
	p.wake()
	p.letGo(t.Wish)
}

// lookAgain makes everybody ask the vault who waits for the account that a flow
// connected: the agent may have tried again and hold a newer ticket than the
// one its user opened, and other agents wait for the account too.
func (p *person) lookAgain(ended Ticket) {
	own := p.question(ended)
	first := own
	for key, q := range p.questions {
		if key.Account != ended.Account || q == own || q.waits == 0 {
			continue
		}
		q.urgency = soon
		if own.waits == 0 && (first == own || key.Wish == ended.Wish) {
			first = q
		}
	}
	first.urgency = atOnce
	for w := range p.held {
		if w.Account == ended.Account {
			p.letGo(w)
		}
	}
}

// Turn returns a channel that is closed when the vault has answered about t, or
// nil if there is no question to be had. If it is the caller's turn to ask, the
// caller gets a function to close the channel with.
// The interval begins with the answer, so that the next question reaches Auth0
// and not what the vault remembers for as long.
func (b *Board) Turn(t Ticket, interval time.Duration) (asking <-chan struct{}, finish func()) {
	p := b.lock(t.User)
	defer p.mu.Unlock()
	q := p.question(t)
	if q.urgency == routine && q.asking != nil && (q.answered.IsZero() || time.Since(q.answered) < interval) {
		return q.asking, nil
	}
	if !b.afford(q.urgency) {
		return nil, nil
	}
	done := make(chan struct{})
	q.urgency, q.asking, q.answered = routine, done, time.Time{}
	return done, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if q.asking == (<-chan struct{})(done) { // and not a question asked since
			q.answered = time.Now()
		}
		close(done)
	}
}

// afford takes a question off the budget, if there is one to take.
func (b *Board) afford(u urgency) bool {
	switch u {
	case atOnce:
		return true
	case routine:
		return b.budget.Tokens() >= askReserve+1 && b.budget.Allow()
	}
	return b.budget.Allow()
}
