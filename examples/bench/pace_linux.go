package main

import (
	"syscall"
	"time"
)

// sleepPrecisely keeps a thread, and wakes up some 0.1 ms late. A signal may end
// it early.
func sleepPrecisely(d time.Duration) {
	spec := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&spec, nil)
}
