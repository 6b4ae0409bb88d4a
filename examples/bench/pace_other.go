//go:build !linux

package main

import "time"

// sleepPrecisely does not.
func sleepPrecisely(d time.Duration) { time.Sleep(d) }
