package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// How many exchanges the tenant is asked for.

func measureStampede(ctx context.Context, s *stage) error {
	for _, calls := range []int{s.scale(1000, 50), s.scale(10_000, 500)} {
		if err := s.stampede(ctx, calls); err != nil {
			return err
		}
	}
	return nil
}

// stampede makes that many first calls of one user at the same moment, each on
// a connection of its own.
func (s *stage) stampede(ctx context.Context, calls int) error {
	t, err := s.startTenant(1)
	if err != nil {
		return err
	}
	t.delay.Store(int64(50 * time.Millisecond))
	token, err := t.issue(user(0))
	if err != nil {
		return err
	}
	// Without a limit there would be as many connections to the upstream, and a
	// system may not have that many files.
	site := moduleSite(s.upstream.address + " {\n transport http {\n max_conns_per_host 256\n }\n }")
	p, err := s.startCaddy(ctx, "off", t.tenantBlock(), site)
	if err != nil {
		return err
	}
	r, err := atOnce(p.address, get(p.address, "/", token), calls)
	if err != nil {
		return err
	}
	exchanges := t.exchanges.Load()
	s.row(fmt.Sprintf("%d concurrent first calls of one user, 50 ms token endpoint", calls), "1 exchange, 0 failed",
		fmt.Sprintf("%d, %d failed; the last answer after %v", exchanges, r.notOK(), r.longest().Round(time.Millisecond)),
		exchanges == 1 && r.notOK() == 0)
	return nil
}

// atOnce opens all connections first, then sends the request on each.
func atOnce(address string, request []byte, calls int) (*results, error) {
	conns := make([]*conn, calls)
	for i := range conns {
		conns[i] = &conn{address: address}
		defer conns[i].close()
		if err := conns[i].open(); err != nil {
			return nil, err
		}
	}
	var mu sync.Mutex
	var waiting sync.WaitGroup
	sum := &results{statuses: make(map[int]int)}
	start := time.Now()
	for _, c := range conns {
		waiting.Go(func() {
			status, err := c.do(request)
			mu.Lock()
			defer mu.Unlock()
			sum.note(time.Since(start), status, err)
		})
	}
	waiting.Wait()
	sum.sort()
	return sum, nil
}

// expiring is a user's steady traffic while the provider's tokens expire.
type expiring struct {
	name, reach  string
	life, leeway time.Duration // of the stand-in
	most         time.Duration // until so many tokens were replaced
	maxWait      time.Duration // that any request may take

	tenant  *tenant
	standIn *standIn
	proxy   *proxy
}

// exchangeTime is how long the tenant takes for an exchange while tokens
// expire: long enough to tell one that a request waited for from noise.
const exchangeTime = 400 * time.Millisecond

// measureExpiries runs both kinds of tenant side by side, since each takes its
// time.
//
// With leeway 0 the tenant gives a stored token out until it ends. Tokens live 9
// seconds: more than the 5 that are kept back for the way, so each has some
// seconds of use.
//
// With a leeway the tenant replaces a token while it is still good, so one that
// is asked for early enough is there before anybody needs it. Auth0's leeway is
// not known; 60 seconds would make ten expiries take hours, so life and leeway
// are shortened together: the module asks ten seconds before the end at most, and
// 15 seconds of leeway are more than that.
func measureExpiries(ctx context.Context, s *stage) error {
	kinds := []expiring{
		{
			name: "refresh_leeway 0", reach: "1 exchange an expiry, no wait longer than one, 0 failed",
			life: 9 * time.Second, most: 100 * time.Second, maxWait: exchangeTime * 3 / 2,
		},
		{
			name: "refresh_leeway before the end", reach: "1 exchange an expiry, 0 waited, 0 failed",
			life: 20 * time.Second, leeway: 15 * time.Second, most: 150 * time.Second, maxWait: exchangeTime / 2,
		},
	}
	for i := range kinds {
		if err := s.startExpiring(ctx, &kinds[i]); err != nil {
			return err
		}
	}
	var both sync.WaitGroup
	outcomes, errs := make([]*expiries, len(kinds)), make([]error, len(kinds))
	for i := range kinds {
		both.Go(func() { outcomes[i], errs[i] = s.expire(ctx, &kinds[i]) })
	}
	both.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for i := range kinds {
		s.rowExpiries(&kinds[i], outcomes[i])
	}
	return nil
}

func (s *stage) startExpiring(ctx context.Context, kind *expiring) (err error) {
	if kind.tenant, kind.standIn, err = s.startStandIn(kind.life, kind.leeway); err != nil {
		return err
	}
	kind.tenant.delay.Store(int64(exchangeTime))
	kind.proxy, err = s.startModule(ctx, kind.tenant)
	return err
}

// expiries are what became of some.
type expiries struct {
	*results
	exchanges int64
	replaced  int // tokens by new ones
	slow      int // requests that took longer than they may
}

// expire makes traffic until ten tokens were replaced.
func (s *stage) expire(ctx context.Context, kind *expiring) (*expiries, error) {
	t, in, p := kind.tenant, kind.standIn, kind.proxy
	token, err := t.issue(user(0))
	if err != nil {
		return nil, err
	}
	first := same(p.address, get(p.address, "/", token), 1).all(ctx, 1)
	if err := first.check(); err != nil {
		return nil, err
	}
	before := in.replaced()
	asked := t.exchanges.Load()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		defer stop()
		for in.replaced()-before < s.scale(10, 1) {
			if !sleepUntil(ctx, time.Now().Add(exchangeTime)) {
				return
			}
		}
		sleepUntil(ctx, time.Now().Add(2*exchangeTime)) // the last exchange lands
	}()
	limit := time.Duration(s.scale(int(kind.most), int(15*time.Second)))
	r := same(p.address, get(p.address, "/", token), fixedConns).atRate(ctx, 100, limit)
	e := &expiries{results: r, exchanges: t.exchanges.Load() - asked, replaced: in.replaced() - before}
	for _, took := range r.took {
		if took > kind.maxWait {
			e.slow++
		}
	}
	return e, nil
}

func (s *stage) rowExpiries(kind *expiring, e *expiries) {
	s.row("steady traffic of one user, ten expiries, "+kind.name, kind.reach,
		fmt.Sprintf("%d exchanges for %d new tokens, longest %v of %v for an exchange, %d over, %d failed",
			e.exchanges, e.replaced, e.longest().Round(time.Millisecond), exchangeTime, e.slow, e.notOK()),
		e.replaced >= s.scale(10, 1) && e.exchanges == int64(e.replaced) && e.slow == 0 && e.notOK() == 0)
}
