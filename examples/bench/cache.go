package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"
)

// Many users: what each of them costs, and that they do not cost more than they
// are allowed to.

// measureCrowd makes the calls of many users, and compares with a proxy that has
// one. The memory that is counted is that of both tokens of a user, the agent's
// and the provider's, and of whatever is kept beside them; the tokens' own bytes
// are taken off.
func measureCrowd(ctx context.Context, s *stage) error {
	users := s.scale(100_000, 1000)
	t, _, err := s.startStandIn(time.Hour, 0)
	if err != nil {
		return err
	}
	tokens, err := t.issueMany(users)
	if err != nil {
		return err
	}
	crowded, err := s.startModule(ctx, t, unlimited)
	if err != nil {
		return err
	}
	if err := s.warm(crowded, tokens[0]); err != nil {
		return err
	}
	if err := s.measureMemory(ctx, crowded, tokens); err != nil {
		return err
	}
	lone, err := s.startModule(ctx, t, unlimited)
	if err != nil {
		return err
	}
	if err := s.warm(lone, tokens[0]); err != nil {
		return err
	}
	return s.measureCrowdLatency(ctx, crowded, lone, tokens)
}

func (s *stage) measureMemory(ctx context.Context, p *proxy, tokens []string) error {
	before, err := s.memory(ctx, p)
	if err != nil {
		return err
	}
	if err := mixed(p.address, tokens, closedConns).all(ctx, len(tokens)).check(); err != nil {
		return err
	}
	after, err := s.memory(ctx, p)
	if err != nil {
		return err
	}
	own := int64(len(tokens[0]) + len(providerTokenText(0)))
	each := (after - before) / int64(len(tokens))
	s.row(fmt.Sprintf("%d cached users, memory of each beyond the tokens' bytes", len(tokens)), "≤ 1024 bytes",
		fmt.Sprintf("%d bytes: %d less %d", each-own, each, own), each-own <= 1024)
	return nil
}

// memory is what is in use when nothing goes on.
func (s *stage) memory(ctx context.Context, p *proxy) (int64, error) {
	s.upstream.closeIdle()
	now, err := p.settled(ctx)
	return int64(now.Memory), err //nolint:gosec // far from overflowing
}

func (s *stage) measureCrowdLatency(ctx context.Context, crowded, lone *proxy, tokens []string) error {
	var slowest, slowestAlone []float64
	of := func(p *proxy, users int, p99 *[]float64) func() (float64, error) {
		l := load{address: p.address, conns: fixedConns, request: func(int) []byte {
			return get(p.address, "/", tokens[rand.IntN(users)]) //nolint:gosec // not a secret
		}}
		return func() (float64, error) {
			r := l.atRate(ctx, fixedRate, s.time)
			*p99 = append(*p99, milliseconds(r.percentile(99)))
			return milliseconds(r.percentile(50)), r.check()
		}
	}
	p, err := inTurns(min(s.pairs, 5), of(crowded, len(tokens), &slowest), of(lone, 1, &slowestAlone))
	if err != nil {
		return err
	}
	s.row(fmt.Sprintf("%d cached users, median latency against 1 user", len(tokens)), "≤ 1.2",
		fmt.Sprintf("%s; p99 %.3g against %.3g ms", p.describe("ms"), median(slowest), median(slowestAlone)), p.ratio() <= 1.2)
	return nil
}

// measureCap lets ten times as many users call as there may be entries. At
// twice as many everything is full that has a limit; from there to ten times as
// many memory may grow by a tenth of what the users cost until then.
func measureCap(ctx context.Context, s *stage) error {
	most := s.scale(2500, 200)
	t, _, err := s.startStandIn(time.Hour, 0)
	if err != nil {
		return err
	}
	tokens, err := t.issueMany(10 * most)
	if err != nil {
		return err
	}
	p, err := s.startModule(ctx, t, unlimited, fmt.Sprintf("cache {\n max_entries %d\n }", most))
	if err != nil {
		return err
	}
	if err := s.warm(p, tokens[0]); err != nil {
		return err
	}
	failed := 0
	var memory [3]int64
	for i, upTo := range []int{1, 2 * most, 10 * most} {
		r := mixed(p.address, tokens[:upTo], closedConns).all(ctx, upTo)
		failed += len(r.took) - r.statuses[http.StatusOK]
		if memory[i], err = s.memory(ctx, p); err != nil {
			return err
		}
	}
	full, grown := memory[1]-memory[0], memory[2]-memory[1]
	s.row(fmt.Sprintf("%d users, max_entries %d: memory from twice to ten times as many", len(tokens), most), "flat, 0 failed",
		fmt.Sprintf("%+d KiB after %d KiB (%d bytes a user), %d failed", grown>>10, full>>10, grown/int64(8*most), failed),
		grown <= full/10 && failed == 0)
	return nil
}
