package vault

import (
	"sync"
	"time"
	"unique"

	"golang.org/x/time/rate"
)

const (
	// maxBudgets bounds how many budgets are remembered.
	maxBudgets = 100_000

	// minSweep is how many are not worth looking through.
	minSweep = 1000
)

// budgets are token buckets by who spends from them. They keep a looping agent from spending
// the tenant's rate limit for everybody else.
type budgets struct {
	mu      sync.Mutex
	buckets map[spender]*rate.Limiter
	sweepAt int // how many there are when those that are whole again are forgotten next
}

// spender is who has a budget: a tenant for a purpose, or a user's agent there.
type spender struct {
	issuer, purpose string
	user            string
	agent           unique.Handle[agent]
}

// spend takes one call off the budget of who. It returns 0, or how long to wait
// until there is one to take; then nothing was taken. The rate is per second.
func (b *budgets) spend(who spender, perSecond float64, burst int) (wait time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	limiter := b.buckets[who]
	if limiter == nil {
		b.makeRoom()
		limiter = rate.NewLimiter(rate.Limit(perSecond), burst)
		if b.buckets == nil {
			b.buckets = make(map[spender]*rate.Limiter)
		}
		b.buckets[who] = limiter
	}
	if limiter.Limit() != rate.Limit(perSecond) || limiter.Burst() != burst { // another configuration's
		limiter.SetLimit(rate.Limit(perSecond))
		limiter.SetBurst(burst)
	}
	reservation := limiter.Reserve()
	if wait = reservation.Delay(); wait > 0 {
		reservation.Cancel()
	}
	return wait
}

// makeRoom forgets budgets that are whole again: a new one would equal them. It
// looks at all only when they have doubled since. While maxBudgets are being spent
// at once, it forgets any.
func (b *budgets) makeRoom() {
	if len(b.buckets) < max(b.sweepAt, minSweep) {
		return
	}
	for who, limiter := range b.buckets {
		if limiter.Tokens() >= float64(limiter.Burst()) {
			delete(b.buckets, who)
		}
	}
	for who := range b.buckets {
		if len(b.buckets) < maxBudgets {
			break
		}
		delete(b.buckets, who)
	}
	b.sweepAt = min(2*len(b.buckets), maxBudgets)
}
