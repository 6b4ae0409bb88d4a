package main

import (
	"bytes"
	"context"
	"fmt"
	"regexp"
	"strconv"
)

// The Go benchmarks of the handler, whose next handler does nothing.
const (
	checkout       = "../.." // of the module that is measured, from this one
	handlerPackage = "./caddymodule"
	warmBenchmark  = "BenchmarkHandlerWarm"     // a token that was seen before
	newBenchmark   = "BenchmarkHandlerNewToken" // one that was not, RS256 with 2048 bits
	rsaBenchmark   = "BenchmarkRSAVerify"       // the verification of such a signature
)

func measureHandler(ctx context.Context, s *stage) error {
	results, err := s.runBenchmarks(ctx)
	if err != nil {
		return err
	}
	const warm, fresh = "handler alone, warm, 900-byte token, 4 headers", "handler alone, new valid token, above the bare RSA verification"
	if r, ok := results[warmBenchmark]; ok {
		s.row(warm, "≤ 2 µs, ≤ 8 allocations", fmt.Sprintf("%.2f µs, %.0f allocations", r.time()/1e3, median(r.allocs)),
			r.time() <= 2e3 && median(r.allocs) <= 8)
	} else {
		s.row(warm, "≤ 2 µs, ≤ 8 allocations", "not there: "+warmBenchmark, false)
	}
	first, ok := results[newBenchmark]
	rsa, also := results[rsaBenchmark]
	if !ok || !also {
		s.row(fresh, "≤ 25 µs", "not there: "+newBenchmark+" or "+rsaBenchmark, false)
		return nil
	}
	above := (first.time() - rsa.time()) / 1e3
	s.row(fresh, "≤ 25 µs", fmt.Sprintf("%.1f µs: %.1f less %.1f", above, first.time()/1e3, rsa.time()/1e3), above <= 25)
	return nil
}

// benchmark is what one printed, once for each time it ran.
type benchmark struct{ nanoseconds, allocs []float64 }

func (b benchmark) time() float64 { return median(b.nanoseconds) }

var benchmarkLine = regexp.MustCompile(`(?m)^(Benchmark\w+)(?:-\d+)?\s+\d+\s+([0-9.]+) ns/op.*?(\d+) allocs/op`)

// runBenchmarks runs them on all cores, since they are to be built first; each
// uses one.
func (s *stage) runBenchmarks(ctx context.Context) (map[string]benchmark, error) {
	args := []string{"-C", checkout, "test", "-run", "^$", "-bench", "^(BenchmarkHandler|BenchmarkRSAVerify)", "-benchmem", "-cpu", "1", "-count", strconv.Itoa(s.scale(5, 1))}
	if s.quick {
		args = append(args, "-benchtime", "100x")
	}
	out, err := s.cores.command(ctx, s.cores.all, "go", append(args, handlerPackage)...).CombinedOutput()
	if err != nil {
		return nil, fmt.Errorf("go test: %w: %s", err, bytes.TrimSpace(out))
	}
	found := make(map[string]benchmark)
	for _, match := range benchmarkLine.FindAllSubmatch(out, -1) {
		b := found[string(match[1])]
		nanoseconds, _ := strconv.ParseFloat(string(match[2]), 64)
		allocs, _ := strconv.ParseFloat(string(match[3]), 64)
		b.nanoseconds, b.allocs = append(b.nanoseconds, nanoseconds), append(b.allocs, allocs)
		found[string(match[1])] = b
	}
	return found, nil
}
