package outcome

import "time"

// Who waits: agents for what becomes of a ticket, and calls that are held.

const (
	// maxWaits is how many may wait in all, userWaits for one user, and ticketWaits
	// for one ticket: the agent, and its next try after a connection that broke
	// without notice.
	maxWaits    = 4000
	userWaits   = 32
	ticketWaits = 2
)

// Wait counts the caller among those who wait for t, until it calls leave. It
// returns nil if there are enough.
func (b *Board) Wait(t Ticket) (leave func()) {
	p := b.lock(t.User)
	defer p.mu.Unlock()
	if p.waiting == userWaits || p.waits[t.ID] == ticketWaits {
		return nil
	}
	if b.waiting.Add(1) > maxWaits {
		b.waiting.Add(-1)
		return nil
	}
	q := p.question(t)
	q.waits++
	p.waiting++
	p.waits[t.ID]++
	return func() {
		b.waiting.Add(-1)
		p.mu.Lock()
		defer p.mu.Unlock()
		q.waits--
		p.waiting--
		if p.waits[t.ID]--; p.waits[t.ID] == 0 {
			delete(p.waits, t.ID)
		}
	}
}

// Connecting tells how long the user may still take who has signed in to grant
// this wish: until the last ticket ends. 0 means that there is none who has.
func (b *Board) Connecting(w Wish) time.Duration {
	p := b.lock(w.User)
	defer p.mu.Unlock()
	return p.left(w)
}

func (p *person) left(w Wish) (left time.Duration) {
	for _, f := range p.tickets {
		if f.wish == w && f.state == Begun {
			left = max(left, time.Until(f.expiry))
		}
	}
	return left
}

// Hold is Connecting for a call that waits. It returns a channel that is closed
// when the wait is over, and a function to call in the end; or neither, if
// there is nothing to wait for or somebody waits already.
func (b *Board) Hold(w Wish) (ended <-chan struct{}, left time.Duration, leave func()) {
	p := b.lock(w.User)
	defer p.mu.Unlock()
	left = p.left(w)
	if left <= 0 || p.held[w] != nil {
		return nil, 0, nil
	}
	c := make(chan struct{})
	p.held[w] = c
	return c, left, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.held[w] == c {
			delete(p.held, w)
		}
	}
}

// letGo ends the wait of the call that is held for w, if there is one.
func (p *person) letGo(w Wish) {
	if c := p.held[w]; c != nil {
		close(c)
		delete(p.held, w)
	}
}
