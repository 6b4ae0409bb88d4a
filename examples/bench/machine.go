package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"
)

// cpuTime is what the cores did since the system started, in ticks: in all, for
// whomever, and for this process and the children that it waited for.
type cpuTime struct{ all, busy, ours float64 }

// readCPUTime reads Linux' accounts; elsewhere there are none.
func readCPUTime() (t cpuTime) {
	system, _ := os.ReadFile("/proc/stat")
	line, _, _ := strings.Cut(string(system), "\n")
	for i, ticks := range numbers(strings.TrimPrefix(line, "cpu")) {
		switch i {
		case 0, 1, 2, 7: // user, nice, system, and stolen by other machines
			t.busy += ticks
			t.all += ticks
		case 3, 4, 5, 6: // idle, and what nobody in particular is charged for
			t.all += ticks
		}
	}
	own, _ := os.ReadFile("/proc/self/stat")
	_, fields, _ := strings.Cut(string(own), ") ") // the name has spaces, maybe
	for i, ticks := range numbers(fields) {
		if i >= 11 && i <= 14 { // user and system, ours and our children's
			t.ours += ticks
		}
	}
	return t
}

func numbers(text string) (found []float64) {
	for field := range strings.FieldsSeq(text) {
		number, _ := strconv.ParseFloat(field, 64)
		found = append(found, number)
	}
	return found
}

// others says how much of the time since then the cores worked for somebody
// else. Where that is more than a little, no latency means anything.
func (t cpuTime) others(since cpuTime) string {
	if t.all <= since.all {
		return "what else ran is not known"
	}
	share := ((t.busy - since.busy) - (t.ours - since.ours)) / (t.all - since.all)
	return fmt.Sprintf("others took %.0f %% of the cores' time", 100*max(0, share))
}
