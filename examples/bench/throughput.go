package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// compare starts the module and something to compare it with, makes both warm,
// and returns a token that both take.
func (s *stage) compare(ctx context.Context, other func(context.Context, *tenant) (*proxy, error)) (module, rival *proxy, token string, err error) {
	t, err := s.startTenant(1)
	if err != nil {
		return nil, nil, "", err
	}
	if token, err = t.issue(user(0)); err != nil {
		return nil, nil, "", err
	}
	if module, err = s.startModule(ctx, t); err != nil {
		return nil, nil, "", err
	}
	if rival, err = other(ctx, t); err != nil {
		return nil, nil, "", err
	}
	return module, rival, token, errors.Join(s.warm(module, token), s.warm(rival, token))
}

func (s *stage) bareBeside(ctx context.Context, _ *tenant) (*proxy, error) { return s.startBare(ctx) }

func measureThroughput(ctx context.Context, s *stage) error {
	p, err := s.compareThroughput(ctx, s.bareBeside)
	if err == nil {
		s.row(fmt.Sprintf("warm throughput, module ÷ bare, %d connections, 1 KB", closedConns), "≥ 0.97",
			p.describe("requests/s"), p.ratio() >= 0.97)
	}
	return err
}

func measureSidecar(ctx context.Context, s *stage) error {
	p, err := s.compareThroughput(ctx, s.startSidecar)
	if err == nil {
		s.row("warm throughput, module ÷ forward_auth sidecar", "≥ 1.8", p.describe("requests/s"), p.ratio() >= 1.8)
	}
	return err
}

func (s *stage) compareThroughput(ctx context.Context, other func(context.Context, *tenant) (*proxy, error)) (*paired, error) {
	module, rival, token, err := s.compare(ctx, other)
	if err != nil {
		return nil, err
	}
	of := func(p *proxy, d time.Duration) func() (float64, error) {
		return func() (float64, error) { return s.throughput(ctx, p, token, d) }
	}
	if _, err := inTurns(1, of(module, time.Second), of(rival, time.Second)); err != nil {
		return nil, err // the first second fills pools and grows heaps
	}
	return inTurns(s.pairs, of(module, s.time), of(rival, s.time))
}

// measureCPU compares what a request costs the process, whoever else runs beside it:
// user and system time over a fixed number of requests, which a busy machine changes
// much less than throughput.
func measureCPU(ctx context.Context, s *stage) error {
	module, bare, token, err := s.compare(ctx, s.bareBeside)
	if err != nil {
		return err
	}
	requests := s.scale(40_000, 500)
	of := func(p *proxy) func() (float64, error) {
		return func() (float64, error) {
			before, err := p.now(ctx)
			if err != nil {
				return 0, err
			}
			r := same(p.address, get(p.address, "/", token), closedConns).all(ctx, requests)
			after, err := p.now(ctx)
			return max(1, after.CPU-before.CPU), errors.Join(err, r.check())
		}
	}
	if _, err := inTurns(1, of(bare), of(module)); err != nil {
		return err
	}
	p, err := inTurns(s.pairs, of(bare), of(module))
	if err == nil {
		s.row(fmt.Sprintf("CPU of %d warm requests, bare ÷ module", requests), "≥ 0.97", p.describe("ticks"), p.ratio() >= 0.97)
	}
	return err
}

const (
	fixedRate  = 1000
	fixedConns = 64
)

func measureLatency(ctx context.Context, s *stage) error {
	module, bare, token, err := s.compare(ctx, s.bareBeside)
	if err != nil {
		return err
	}
	of := func(p *proxy) func() (float64, error) {
		return func() (float64, error) {
			r := same(p.address, get(p.address, "/", token), fixedConns).atRate(ctx, fixedRate, s.time)
			return milliseconds(r.percentile(99)), r.check()
		}
	}
	p, err := inTurns(s.pairs, of(module), of(bare))
	if err == nil {
		s.row(fmt.Sprintf("warm p99 at %d requests/s, module ÷ bare", fixedRate), "≤ 1.10", p.describe("ms"), p.ratio() <= 1.10)
	}
	return err
}
