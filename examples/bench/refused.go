package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// measureRefused has one agent call a path a thousand times a second that
// answers 401 to every token, and compares with one that calls a path which
// answers 200. A 401 may mean that the provider's token is no good any more, so
// the vault may be asked again, but not each time.
func measureRefused(ctx context.Context, s *stage) error {
	const others = 20
	t, err := s.startTenant(others + 1)
	if err != nil {
		return err
	}
	tokens, err := t.issueMany(others + 1)
	if err != nil {
		return err
	}
	p, err := s.startModule(ctx, t)
	if err != nil {
		return err
	}
	if err := mixed(p.address, tokens, 1).all(ctx, len(tokens)).check(); err != nil {
		return err
	}
	start, asked := time.Now(), t.exchanges.Load()
	beside := func(path string, status int) func() (float64, error) {
		return func() (float64, error) {
			var agent, rest *results
			var both sync.WaitGroup
			both.Go(func() {
				agent = same(p.address, get(p.address, path, tokens[others]), fixedConns).atRate(ctx, fixedRate, s.time)
			})
			both.Go(func() { rest = mixed(p.address, tokens[:others], fixedConns).atRate(ctx, warmRate, s.time) })
			both.Wait()
			return milliseconds(rest.percentile(99)), errors.Join(agent.check(status), rest.check())
		}
	}
	pairs, err := inTurns(min(s.pairs, 5), beside("/denied", http.StatusUnauthorized), beside("/", http.StatusOK))
	if err != nil {
		return err
	}
	exchanges, took := t.exchanges.Load()-asked, time.Since(start)
	s.row(fmt.Sprintf("upstream that always answers 401, %d requests/s by one agent: exchanges in %.0f s", fixedRate, took.Seconds()),
		"≤ 1 a minute", fmt.Sprint(exchanges), exchanges <= 1+int64(took/time.Minute))
	s.row("the same: other users' p99 against an upstream that answers 200", "≤ 1.2", pairs.describe("ms"), pairs.ratio() <= 1.2)
	return nil
}
