package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// What a tenant that is down or slow does to those who are served from memory,
// and to those who need it.

const (
	warmUsers = 100
	warmRate  = 500
	newRate   = 20 // first calls a second, each of another user
	newConns  = 200
)

// population are users who called before, and endlessly many who did not.
type population struct {
	*stage
	tenant *tenant
	proxy  *proxy
	warm   []string // tokens
	fresh  []string
	next   atomic.Int64 // of fresh
}

// timeout is that of one call to the tenant in these measurements.
const timeout = 5 * time.Second

func (s *stage) startPopulation(ctx context.Context, words string) (*population, error) {
	t, _, err := s.startStandIn(time.Hour, 0)
	if err != nil {
		return nil, err
	}
	tokens, err := t.issueMany(warmUsers + s.scale(2000, 400))
	if err != nil {
		return nil, err
	}
	p, err := s.startModule(ctx, t, words)
	if err != nil {
		return nil, err
	}
	warm := tokens[:warmUsers]
	err = mixed(p.address, warm, 1).all(ctx, warmUsers).check()
	return &population{stage: s, tenant: t, proxy: p, warm: warm, fresh: tokens[warmUsers:]}, err
}

// newcomers are the first calls of so many users.
func (p *population) newcomers(conns int) load {
	return load{address: p.proxy.address, conns: conns, request: func(int) []byte {
		i := int(p.next.Add(1)-1) % len(p.fresh)
		return get(p.proxy.address, "/", p.fresh[i])
	}}
}

// crowd makes both call for so long.
func (p *population) crowd(ctx context.Context, rate int, d time.Duration) (warm, fresh *results) {
	var both sync.WaitGroup
	both.Go(func() { warm = mixed(p.proxy.address, p.warm, fixedConns).atRate(ctx, rate, d) })
	both.Go(func() { fresh = p.newcomers(newConns).atRate(ctx, newRate, d) })
	both.Wait()
	return warm, fresh
}

// measureOutage takes the tenant away, in both ways in which one can be: for the
// first half connections are refused, for the second they are taken and nothing
// is ever answered.
func measureOutage(ctx context.Context, s *stage) error {
	p, err := s.startPopulation(ctx, fmt.Sprintf("timeout %v", timeout))
	if err != nil {
		return err
	}
	half := time.Duration(s.scale(15, 2)) * time.Second
	p.tenant.set(refusing)
	turn := time.AfterFunc(half, func() { p.tenant.set(silent) })
	defer turn.Stop()
	var back time.Duration
	var backErr error
	var returned sync.WaitGroup
	returned.Go(func() {
		if sleepUntil(ctx, time.Now().Add(2*half)) {
			p.tenant.set(open)
			back, backErr = p.untilServed(ctx)
		}
	})
	warm, fresh := p.crowd(ctx, warmRate, 2*half)
	returned.Wait()
	if backErr != nil {
		return backErr
	}
	what := fmt.Sprintf("tenant down %v: ", 2*half)
	s.row(what+"warm users served", "all", fmt.Sprintf("%d of %d", len(warm.took)-warm.notOK(), len(warm.took)), warm.notOK() == 0)
	const slack = 250 * time.Millisecond // for the answer itself, on a busy machine
	s.row(what+"new users answered", fmt.Sprintf("all, within %v", timeout),
		fmt.Sprintf("%d of %d, the last after %v", len(fresh.took)-fresh.failed, len(fresh.took), fresh.longest().Round(time.Millisecond)),
		fresh.failed == 0 && fresh.longest() <= timeout+slack)
	attempts, busiest := p.tenant.attemptsWhileDown()
	s.row(what+"connection attempts", "≤ 10 in any second", fmt.Sprintf("%d, %d in all", busiest, attempts), busiest <= 10)
	s.row(what+"a new user served after its return", "≤ 1 s", back.Round(time.Millisecond).String(), back <= time.Second)
	return nil
}

// untilServed is how long it takes until a new user's call goes through.
func (p *population) untilServed(ctx context.Context) (time.Duration, error) {
	start := time.Now()
	for ctx.Err() == nil && time.Since(start) < patience {
		if r := p.newcomers(1).all(ctx, 1); r.notOK() == 0 {
			return time.Since(start), nil
		}
		sleepUntil(ctx, time.Now().Add(20*time.Millisecond))
	}
	return 0, errors.New("no new user is served after the tenant's return")
}

// perNewcomer is how many goroutines a waiting call may cost: its connection
// takes two, the exchange one, and the connection to the tenant two.
const perNewcomer = 8

// measureSlowTenant has newcomers wait five seconds each, and compares with as
// many who do not wait.
func measureSlowTenant(ctx context.Context, s *stage) error {
	p, err := s.startPopulation(ctx, "")
	if err != nil {
		return err
	}
	delay := time.Duration(s.scale(5000, 1000)) * time.Millisecond
	most := 0
	of := func(slow time.Duration) func() (float64, error) {
		return func() (float64, error) {
			p.tenant.delay.Store(int64(slow))
			stop := p.proxy.most(ctx)
			warm, fresh := p.crowd(ctx, fixedRate, s.time+delay)
			peak, err := stop()
			if slow > 0 {
				most = max(most, peak.Goroutines)
			}
			return milliseconds(warm.percentile(99)), errors.Join(err, warm.check(), fresh.check(http.StatusOK, http.StatusServiceUnavailable))
		}
	}
	idle, err := p.proxy.settled(ctx)
	if err != nil {
		return err
	}
	pairs, err := inTurns(min(s.pairs, 3), of(delay), of(0))
	if err != nil {
		return err
	}
	waiting := newRate*int(delay/time.Second) + fixedConns
	s.row(fmt.Sprintf("tenant answers in %v: warm p99 against without", delay), "≤ 1.2", pairs.describe("ms"), pairs.ratio() <= 1.2)
	s.row("the same: goroutines", fmt.Sprintf("≤ %d for each of %d calls", perNewcomer, waiting),
		fmt.Sprintf("%d, %d before", most, idle.Goroutines), most-idle.Goroutines <= perNewcomer*waiting)
	return s.goroutinesAfter(ctx, p.tenant, p.proxy, idle, "the same: goroutines afterwards")
}

// goroutinesAfter adds a row on what is left behind. Connections that are kept
// for later are not, so the tenant and the upstream close them.
func (s *stage) goroutinesAfter(ctx context.Context, t *tenant, p *proxy, before state, what string) error {
	const slack = 5
	var now state
	for end := time.Now().Add(10 * time.Second); ; {
		s.upstream.closeIdle()
		t.set(open)
		var err error
		if now, err = p.settled(ctx); err != nil {
			return err
		}
		if now.Goroutines <= before.Goroutines+slack || time.Now().After(end) {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	s.row(what, fmt.Sprintf("as before, ± %d", slack), fmt.Sprintf("%d, %d before", now.Goroutines, before.Goroutines),
		now.Goroutines <= before.Goroutines+slack)
	return nil
}
