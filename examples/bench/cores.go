package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
)

// cores says which core the proxies have to themselves. Pinning needs taskset,
// and two cores; otherwise nothing is pinned, and the figures are worth less.
type cores struct {
	taskset string // the program, or empty
	all     string // as taskset writes them
	proxy   string
	rest    string
}

// findCores asks taskset which cores this process may use.
func findCores(ctx context.Context) cores {
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return cores{}
	}
	out, err := exec.CommandContext(ctx, taskset, "-pc", strconv.Itoa(os.Getpid())).Output() //nolint:gosec // our own id
	_, list, found := strings.Cut(string(out), "list: ")
	if err != nil || !found {
		return cores{}
	}
	list = strings.TrimSpace(list)
	proxy, rest := splitCores(list)
	if rest == "" {
		return cores{}
	}
	return cores{taskset: taskset, all: list, proxy: proxy, rest: rest}
}

// splitCores takes the first core off a list such as "0-3,8".
func splitCores(list string) (first, rest string) {
	part, others, _ := strings.Cut(list, ",")
	first, last, isRange := strings.Cut(part, "-")
	if number, err := strconv.Atoi(first); isRange && err == nil {
		part = fmt.Sprintf("%d-%s", number+1, last)
		if others != "" {
			part += ","
		}
		return first, part + others
	}
	return first, others
}

// String says what is pinned where.
func (c cores) String() string {
	if c.taskset == "" {
		return "nothing pinned"
	}
	return fmt.Sprintf("proxy on core %s, all else on %s", c.proxy, c.rest)
}

// command is a command that runs on some of the cores.
func (c cores) command(ctx context.Context, on, program string, args ...string) *exec.Cmd {
	if c.taskset == "" {
		return exec.CommandContext(ctx, program, args...) //nolint:gosec // wrk, go, or this program
	}
	return exec.CommandContext(ctx, c.taskset, append([]string{"-c", on, program}, args...)...) //nolint:gosec // see above
}

// leaveProxys moves this process and all its threads off the proxies' core.
func (c cores) leaveProxys(ctx context.Context) error {
	// Threads that wait in a precise sleep count as running, see pace.go.
	runtime.GOMAXPROCS(max(8, 2*runtime.NumCPU()))
	if c.taskset == "" {
		return nil
	}
	pid := strconv.Itoa(os.Getpid())
	if out, err := exec.CommandContext(ctx, c.taskset, "-apc", c.rest, pid).CombinedOutput(); err != nil { //nolint:gosec // our own id
		return fmt.Errorf("taskset: %w: %s", err, out)
	}
	return nil
}
