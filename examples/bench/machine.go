package main

import (
	"os"
	"strconv"
	"strings"
)

// cpuTime is what the system's cores did since it started, in ticks.
type cpuTime struct{ all, stolen float64 }

// readCPUTime reads Linux' account; elsewhere there is none.
func readCPUTime() (t cpuTime) {
	account, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(account), "\n")
	for i, field := range strings.Fields(line) {
		ticks, _ := strconv.ParseFloat(field, 64) // the first field is a name
		const steal, guest = 8, 9
		if i < guest { // what guests use is counted as the system's own too
			t.all += ticks
		}
		if i == steal {
			t.stolen = ticks
		}
	}
	return t
}

// stolenSince is how much of the time the cores were away, in percent: a virtual
// machine shares them with others. Where that is more than a little, compare no
// latencies.
func (t cpuTime) stolenSince(before cpuTime) float64 {
	if t.all <= before.all {
		return 0
	}
	return 100 * (t.stolen - before.stolen) / (t.all - before.all)
}
