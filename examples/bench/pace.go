package main

import (
	"context"
	"time"
)

// doze is how long before it is time a goroutine stops sleeping the way of Go,
// which wakes up to a millisecond late, and begins to sleep precisely: see
// sleepPrecisely. That millisecond would be counted as the proxy's.
const doze = 2 * time.Millisecond

// sleepUntil returns when it is time, or false when ctx ends before.
func sleepUntil(ctx context.Context, at time.Time) bool {
	if wait := time.Until(at) - doze; wait > 0 {
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return false
		}
	}
	if wait := time.Until(at); wait > 0 {
		sleepPrecisely(wait)
	}
	return ctx.Err() == nil
}
