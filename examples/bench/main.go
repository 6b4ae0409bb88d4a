// Command bench measures what the module costs and what it withstands, on this
// machine and with nothing else: it starts the tenant, the upstream and the
// proxies on loopback, and prints a table of what is to be reached and what was
// measured. Run it in the checkout, on a machine that does nothing else.
//
//	go -C examples/bench run .                    # all of it, about a quarter of an hour
//	go -C examples/bench run . -list              # the names of the measurements
//	go -C examples/bench run . -only latency,cap  # some of them
//	go -C examples/bench run . -quick             # tries the program; its figures mean nothing
//
// It is a module of its own, so that nobody who builds the plugin builds this.
//
// Three set-ups are compared, with identical requests:
//
//	bare     Caddy with reverse_proxy, which attaches a fixed token
//	module   Caddy with token_vault and reverse_proxy
//	sidecar  Caddy with forward_auth, a small HTTP service made from the package
//	         vault beside it, and reverse_proxy: what one builds without the module
//
// # How it measures
//
// Each proxy is a process of its own, with GOMAXPROCS=1 and pinned to one core,
// which the sidecar shares. Load, upstream and tenant have the other cores. What
// is compared runs in turns (A B, B A, A B …), the ratio is taken for each pair,
// and the median counts; the smallest and the largest are printed beside it.
// Throughput is that of 32 connections that always have a request on the way, by
// wrk where it is installed. Latency is measured at a fixed rate and counted from
// when a request was due, whether or not the one before was answered.
//
// The tenant is that of vault/auth0test. Where a measurement needs a hundred
// thousand users, or provider's tokens that live for seconds, it is a simpler one,
// see standin.go.
//
// # Exit codes
//
// 0: everything ran. 1: something could not be measured. 2: with -strict, a
// figure was missed.
//
// # Where to read on
//
// setup.go, cores.go, machine.go, tenant.go, standin.go and upstream.go (what is around the
// proxies), proxy.go, child.go and roles.go (the proxies), load.go, pace.go and
// wrk.go (how it measures), pairs.go and table.go (what it makes of that), then
// any measurement: throughput.go, handler.go, exchanges.go, cache.go, keys.go,
// outages.go, refused.go, strangers.go (with people.go), reload.go, streaming.go.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"
)

// measurement is one thing to find out. It may print several rows.
type measurement struct {
	name, what string
	run        func(context.Context, *stage) error
}

var measurements = []measurement{
	{"throughput", "warm throughput, module against bare", measureThroughput},
	{"cpu", "the proxy's CPU time per warm request, bare against module", measureCPU},
	{"latency", "warm latency at a fixed rate, module against bare", measureLatency},
	{"sidecar", "warm throughput, module against sidecar", measureSidecar},
	{"handler", "the handler alone, by its Go benchmarks", measureHandler},
	{"stampede", "many first calls of one user at once", measureStampede},
	{"expiries", "steady traffic while provider's tokens expire", measureExpiries},
	{"crowd", "memory and latency with many cached users", measureCrowd},
	{"cap", "ten times as many users as the cache may hold", measureCap},
	{"unknown-keys", "access tokens that name unknown keys", measureUnknownKeys},
	{"outage", "the tenant is down", measureOutage},
	{"slow-tenant", "the tenant takes five seconds", measureSlowTenant},
	{"refused", "an upstream that always answers 401", measureRefused},
	{"strangers", "strangers and one hostile user beside people who connect accounts", measureStrangers},
	{"reload", "reloads under load", measureReload},
	{"streaming", "events, WebSockets and large bodies", measureStreaming},
}

func main() {
	if role := os.Getenv(roleVariable); role != "" {
		fmt.Fprintln(os.Stderr, play(role))
		os.Exit(1)
	}
	o, list, err := parseFlags()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	if list {
		for _, m := range measurements {
			fmt.Printf("%-14s%s\n", m.name, m.what)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, o))
}

// options are what the command line says.
type options struct {
	only    []string
	pairs   int
	time    time.Duration // of one measurement
	quick   bool
	strict  bool
	builtin bool
}

func parseFlags() (o options, list bool, err error) {
	only := flag.String("only", "", "measure only these, separated by commas")
	flag.BoolVar(&list, "list", false, "print the names of the measurements")
	flag.IntVar(&o.pairs, "pairs", 7, "how many pairs a comparison takes")
	flag.DurationVar(&o.time, "time", 5*time.Second, "how long one side of a pair takes")
	flag.BoolVar(&o.quick, "quick", false, "try everything with small numbers: the figures mean nothing")
	flag.BoolVar(&o.strict, "strict", false, "exit with 2 if a figure was missed")
	flag.BoolVar(&o.builtin, "builtin", false, "measure throughput without wrk")
	flag.Parse()
	if flag.NArg() > 0 || o.pairs < 1 || o.time <= 0 {
		return o, list, errors.New("see bench -help")
	}
	if *only != "" {
		o.only = strings.Split(*only, ",")
	}
	for _, name := range o.only {
		if !slices.ContainsFunc(measurements, func(m measurement) bool { return m.name == name }) {
			return o, list, fmt.Errorf("no measurement %q, see bench -list", name)
		}
	}
	if o.quick {
		o.pairs, o.time = 1, time.Second
	}
	return o, list, nil
}

// run measures, prints, and returns the exit code.
func run(ctx context.Context, o options) int {
	b, err := newBench(ctx, o)
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		return 1
	}
	defer b.close()
	for _, m := range measurements {
		if len(o.only) > 0 && !slices.Contains(o.only, m.name) {
			continue
		}
		if ctx.Err() != nil {
			b.failed = true
			break
		}
		b.measure(ctx, m)
	}
	b.print(os.Stdout)
	switch {
	case b.failed:
		return 1
	case o.strict && b.missed:
		return 2
	}
	return 0
}

// measure runs one measurement, and takes down what it put up.
func (b *bench) measure(ctx context.Context, m measurement) {
	start := time.Now()
	fmt.Fprintf(os.Stderr, "%s: %s …", m.name, m.what)
	s, before := &stage{bench: b}, len(b.rows)
	err := m.run(ctx, s)
	s.end()
	fmt.Fprintf(os.Stderr, " %.0f s\n", time.Since(start).Seconds())
	if ctx.Err() != nil { // what was measured last was cut short
		b.rows, err = b.rows[:before], ctx.Err()
	}
	if err != nil {
		b.failed = true
		b.note(m.what, "", "not measured: "+err.Error(), "")
	}
}
