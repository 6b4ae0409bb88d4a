package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// coolDown separates two fetches of the key set.
const coolDown = 10 * time.Second

// measureUnknownKeys floods the proxy with tokens that name keys which the tenant
// does not have, as anybody can make them up. A flood of any kind keeps the
// proxy's core busy and delays everybody; what counts is that one of these is no
// worse for other users than one of as many good requests.
func measureUnknownKeys(ctx context.Context, s *stage) error {
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
	f := &flooded{stage: s, proxy: p, others: tokens[:others]}
	quiet := mixed(p.address, f.others, fixedConns).atRate(ctx, 500, s.time)

	before, start := t.keys.Load(), time.Now()
	floods := 0
	unknown := load{address: p.address, conns: closedConns}
	unknown.request = func(i int) []byte {
		return get(p.address, "/", withKey(tokens[others], fmt.Sprintf("made-up-%d-%d", floods, i)))
	}
	good := same(p.address, get(p.address, "/", tokens[others]), closedConns)
	size := s.scale(10_000, 300)
	pairs, err := inTurns(min(s.pairs, 3),
		func() (float64, error) { floods++; return f.p99(ctx, unknown, size, http.StatusUnauthorized) },
		func() (float64, error) { return f.p99(ctx, good, size, http.StatusOK) })
	if err != nil {
		return err
	}
	fetches, allowed := t.keys.Load()-before, 1+int64(time.Since(start)/coolDown)
	s.row(fmt.Sprintf("%d × %d requests with unknown kid: key fetches in %.0f s", floods, size, time.Since(start).Seconds()), "≤ 1 in 10 s",
		fmt.Sprint(fetches), fetches <= allowed)
	s.row("the same: other users' warm p99 against a flood of good requests", "≤ 2",
		fmt.Sprintf("%s; %.3g without any", pairs.describe("ms"), milliseconds(quiet.percentile(99))), pairs.ratio() <= 2)
	return quiet.check()
}

// flooded is a proxy with users who are disturbed by a flood.
type flooded struct {
	*stage
	proxy  *proxy
	others []string // the users' tokens
}

// p99 is that of the users while the flood lasts, all of which has to be
// answered with one status.
func (f *flooded) p99(ctx context.Context, flood load, size, status int) (float64, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() {
		done <- flood.all(ctx, size).check(status)
		stop()
	}()
	r := mixed(f.proxy.address, f.others, fixedConns).atRate(ctx, 500, time.Minute)
	return milliseconds(r.percentile(99)), errors.Join(<-done, r.check())
}

// withKey is a token whose header names another key. Its signature is not
// looked at, since there is nothing to verify it with.
func withKey(token, kid string) string {
	parts := strings.Split(token, ".")
	header := map[string]any{}
	raw, err := base64.RawURLEncoding.DecodeString(parts[0])
	if err == nil {
		err = json.Unmarshal(raw, &header)
	}
	if err != nil {
		return token // which the proxy lets through, and the flood's check notices
	}
	header["kid"] = kid
	if raw, err = json.Marshal(header); err != nil {
		return token
	}
	return strings.Join(slices.Concat([]string{base64.RawURLEncoding.EncodeToString(raw)}, parts[1:]), ".")
}
