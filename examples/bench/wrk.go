package main

import (
	"context"
	"fmt"
	"math"
	"os"
	"regexp"
	"strconv"
	"time"
)

// closedConns is how many connections always have a request on the way when
// throughput is measured.
const closedConns = 32

// throughput is how many requests a second a proxy answers when it is always
// asked, by wrk or by ourselves.
func (b *bench) throughput(ctx context.Context, p *proxy, token string, d time.Duration) (float64, error) {
	if b.wrk != "" {
		return b.runWrk(ctx, p.address, token, d)
	}
	r := same(p.address, get(p.address, "/", token), closedConns).flatOut(ctx, d)
	return float64(len(r.took)) / r.elapsed.Seconds(), r.check()
}

var (
	wrkRate   = regexp.MustCompile(`Requests/sec:\s+([0-9.]+)`)
	wrkFailed = regexp.MustCompile(`Non-2xx.*|Socket errors.*`)
)

// runWrk sends what get makes. The token is in a script, since arguments can be
// seen by everybody on the machine.
func (b *bench) runWrk(ctx context.Context, address, token string, d time.Duration) (float64, error) {
	script := fmt.Sprintf("wrk.headers = {Authorization = %q, Accept = %q, [%q] = %q, [%q] = %q}\n",
		"Bearer "+token, "*/*", "User-Agent", "agent/1.0", "X-Request-Id", "4bf92f3577b34da6")
	file := b.dir + "/wrk.lua"
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		return 0, err
	}
	seconds := max(1, int(math.Round(d.Seconds()))) // it takes no fractions
	out, err := b.cores.command(ctx, b.cores.rest, b.wrk, "-t1", fmt.Sprintf("-c%d", closedConns),
		fmt.Sprintf("-d%ds", seconds), "-s", file, "http://"+address+"/").Output()
	if err != nil {
		return 0, fmt.Errorf("wrk: %w", err)
	}
	if failed := wrkFailed.Find(out); failed != nil {
		return 0, fmt.Errorf("wrk: %s", failed)
	}
	found := wrkRate.FindSubmatch(out)
	if found == nil {
		return 0, fmt.Errorf("wrk printed no rate: %s", out)
	}
	return strconv.ParseFloat(string(found[1]), 64)
}
