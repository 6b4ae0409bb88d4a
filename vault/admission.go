package vault

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"
	"unique"

	"golang.org/x/time/rate"
)

// errand is what a call to Auth0 is made for.
type errand string

const (
	exchanging errand = "exchange" // a subject's token, for the asker
	forPages   errand = "pages"    // what a page shows or does, for somebody who signed in
	signingIn  errand = "sign-ins" // for somebody who is not known yet
)

// enter lets a call to Auth0 be made: by what is known of how Auth0 does, within the
// budget of the errand and of the tenant and, for an exchange, when one of the
// exchanges under way has ended. leave is to be called with what came of the call.
func (c *Client) enter(req *http.Request, e errand, who asker) (leave func(*Error), refused *Error) {
	to := apiOf(req)
	report, err := c.mayEnter(req.Context(), c.cache.breakersOf(c.issuer+to.path), e, who)
	if err != nil {
		c.throttled(to, err)
		return nil, err
	}
	return func(err *Error) {
		c.throttled(to, err)
		report(err)
	}, nil
}

func (c *Client) mayEnter(ctx context.Context, b *breakers, e errand, who asker) (report func(*Error), refused *Error) {
	if err := b.refusal(who); err != nil { // which nobody has to wait for
		return nil, err
	}
	if err := c.afford(ctx, e, who); err != nil {
		return nil, err
	}
	free := func() {}
	if e == exchanging {
		if err := c.takeSlot(); err != nil {
			return nil, err
		}
		free = func() { <-c.slots }
	}
	refused = b.admit(who, func() *Error {
		return c.spend(spender{issuer: c.issuer}, float64(c.tenantBudget), 10*c.tenantBudget, "tenant_budget")
	})
	if refused != nil {
		free()
		return nil, refused
	}
	asked := time.Now()
	return func(err *Error) {
		free()
		switch {
		case errors.Is(ctx.Err(), context.Canceled): // which says nothing about the tenant
		case err != nil && err.Code == CodeMisconfigured:
			b.report(who, asked, nil)
		default:
			b.report(who, asked, err)
		}
	}, nil
}

// api is a part of Auth0 with a rate limit of its own. The Management API's is a low
// one. Of the My Account API Auth0 does not tell; if it counts with the exchanges, they
// are told 429 themselves.
type api struct{ path, name string }

var apis = []api{{"api/v2/", "management"}, {"me/", "my_account"}}

func apiOf(req *http.Request) api {
	for _, a := range apis {
		if strings.HasPrefix(req.URL.Path, "/"+a.path) {
			return a
		}
	}
	return api{"", "authentication"}
}

func (c *Client) throttled(a api, err *Error) {
	if err != nil && err.Code == CodeThrottled {
		c.tell(Event{Kind: Throttled, API: a.name, Err: err})
	}
}

// takeSlot waits for one of the exchanges under way to end, if there are as many
// as may be.
func (c *Client) takeSlot() *Error {
	select {
	case c.slots <- struct{}{}:
		return nil
	default:
	}
	patience := time.NewTimer(c.timeout / 2)
	defer patience.Stop()
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-patience.C:
		return &Error{Code: CodeThrottled, Reason: "too_many_exchanges", RetryAfter: time.Second}
	}
}

// afford takes the call off the budget of its errand: an agent's for a user, or a
// quarter of the tenant's for each errand of pages, so that whatever browsers do, what
// agents need is out of their reach.
func (c *Client) afford(ctx context.Context, e errand, who asker) *Error {
	if e == exchanging {
		return c.spend(spender{c.issuer, e, who.user, who.agent}, float64(c.userBudget)/60, c.userBudget, "user_budget")
	}
	quarter := max(1, c.tenantBudget/4)
	all, own := spender{issuer: c.issuer, errand: e}, spender{issuer: c.issuer, errand: e, name: shareOf(ctx)}
	if own.name == "" || c.cache.budgets.holds(all, reserve) {
		return c.spend(all, float64(quarter), 10*quarter, "tenant_budget")
	}
	if err := c.spend(own, float64(quarter)/4, max(1, 10*quarter/4), "tenant_budget"); err != nil {
		return err
	}
	return c.spend(all, float64(quarter), 10*quarter, "tenant_budget")
}

// reserve is the part of a budget below which everybody is held to their share.
const reserve = 0.5

type shareKey struct{}

// WithShare returns a context for [Client.Call] and the client of [Client.HTTPClient],
// whose budgets it makes fair: calls with the same name, an address or a person, may
// spend all that nobody else needs, and a quarter of it otherwise.
func WithShare(ctx context.Context, name string) context.Context {
	return context.WithValue(ctx, shareKey{}, name)
}

func shareOf(ctx context.Context) string {
	name, _ := ctx.Value(shareKey{}).(string)
	return name
}

func (c *Client) spend(who spender, perSecond float64, burst int, reason string) *Error {
	if wait := c.cache.budgets.spend(who, perSecond, burst); wait > 0 {
		return &Error{Code: CodeThrottled, Reason: reason, RetryAfter: wait}
	}
	return nil
}

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

// spender is who has a budget: a tenant, one of its errands, a user's agent there, or
// a share.
type spender struct {
	issuer string
	errand errand
	name   string
	agent  unique.Handle[agent]
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

// holds tells whether more than a part of who's budget is left.
func (b *budgets) holds(who spender, part float64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	limiter := b.buckets[who]
	return limiter == nil || limiter.Tokens() > part*float64(limiter.Burst())
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
