package main

import (
	"fmt"
	"slices"
	"time"
)

// paired are measurements of two things that took turns.
type paired struct {
	first, second, ratios []float64
}

// inTurns measures two things, A B, B A, A B and so on, so that what changes on
// the machine meanwhile meets both.
func inTurns(pairs int, first, second func() (float64, error)) (*paired, error) {
	p := &paired{}
	for i := range pairs {
		var a, b float64
		steps := []func() error{
			func() (err error) { a, err = first(); return err },
			func() (err error) { b, err = second(); return err },
		}
		if i%2 == 1 {
			slices.Reverse(steps)
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return nil, err
			}
		}
		p.first, p.second, p.ratios = append(p.first, a), append(p.second, b), append(p.ratios, a/b)
	}
	return p, nil
}

// ratio is the median of the pairs' own.
func (p *paired) ratio() float64 { return median(p.ratios) }

// describe is the ratio with the smallest and the largest, and both medians.
func (p *paired) describe(unit string) string {
	return fmt.Sprintf("%.2f (%.2f to %.2f); %.4g against %.4g %s", p.ratio(),
		slices.Min(p.ratios), slices.Max(p.ratios), median(p.first), median(p.second), unit)
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
