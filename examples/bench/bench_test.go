package main

import (
	"testing"
	"time"
)

func TestTheProxyGetsTheFirstCore(t *testing.T) {
	for list, want := range map[string][2]string{
		"0,1": {"0", "1"}, "0-3": {"0", "1-3"}, "4-5,8": {"4", "5-5,8"}, "7": {"7", ""}, "2,5-6": {"2", "5-6"},
	} {
		if first, rest := splitCores(list); first != want[0] || rest != want[1] {
			t.Errorf("%s: %s and %s", list, first, rest)
		}
	}
}

func TestTheBusiestSecondIsAnySecond(t *testing.T) {
	start := time.Now()
	d := &door{}
	for _, at := range []int{0, 600, 900, 1500, 1599, 1600, 3000} {
		d.attempts = append(d.attempts, start.Add(time.Duration(at)*time.Millisecond))
	}
	if all, busiest := d.attemptsWhileDown(); all != 7 || busiest != 4 {
		t.Errorf("%d attempts, %d in a second", all, busiest)
	}
}

func TestABenchmarksLineIsUnderstood(t *testing.T) {
	const line = "BenchmarkHandlerWarm-2 \t  500000\t      1999.5 ns/op\t     900 B/op\t       8 allocs/op"
	got := benchmarkLine.FindStringSubmatch(line)
	if len(got) != 4 || got[1] != warmBenchmark || got[2] != "1999.5" || got[3] != "8" {
		t.Errorf("%q", got)
	}
}

func TestTurnsAreTakenAndRatiosAreOfPairs(t *testing.T) {
	order := ""
	values := map[string][]float64{"A": {2, 9, 4}, "B": {1, 3, 4}}
	turn := func(name string) func() (float64, error) {
		return func() (float64, error) {
			order += name
			value := values[name][0]
			values[name] = values[name][1:]
			return value, nil
		}
	}
	p, err := inTurns(3, turn("A"), turn("B"))
	if err != nil || order != "ABBAAB" || p.ratio() != 2 {
		t.Errorf("%v, order %s, ratio %v", err, order, p.ratio())
	}
}

func TestPercentiles(t *testing.T) {
	r := &results{}
	for i := range 100 {
		r.took = append(r.took, time.Duration(i+1))
	}
	if r.percentile(50) != 50 || r.percentile(99) != 99 || r.longest() != 100 {
		t.Errorf("%d, %d, %d", r.percentile(50), r.percentile(99), r.longest())
	}
}
