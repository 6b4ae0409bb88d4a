package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
)

// bench is one run of the program.
type bench struct {
	options
	table
	head     string // of the table
	started  cpuTime
	cores    cores
	wrk      string // the program, or empty
	dir      string // for what children write
	upstream *upstream
}

func newBench(ctx context.Context, o options) (b *bench, err error) {
	b = &bench{options: o, cores: findCores(ctx), started: readCPUTime()}
	if !o.builtin {
		b.wrk, _ = exec.LookPath("wrk") // without it, by ourselves
	}
	b.head = b.describe()
	if err := b.cores.leaveProxys(ctx); err != nil {
		return nil, err
	}
	if b.dir, err = os.MkdirTemp("", "token-vault-bench-"); err != nil {
		return nil, err
	}
	if b.upstream, err = startUpstream(); err != nil {
		b.close()
		return nil, err
	}
	return b, nil
}

func (b *bench) close() {
	if b.upstream != nil {
		b.upstream.close()
	}
	_ = os.RemoveAll(b.dir)
}

// describe is the head of the table.
func (b *bench) describe() string {
	throughput := "wrk"
	if b.wrk == "" {
		throughput = "the built-in loop"
	}
	return fmt.Sprintf("%d cores, %s; %s %s/%s; Caddy %s; throughput by %s; %d pairs of %v",
		runtime.NumCPU(), b.cores, runtime.Version(), runtime.GOOS, runtime.GOARCH, caddyVersion(), throughput, b.pairs, b.time)
}

func caddyVersion() string {
	info, _ := debug.ReadBuildInfo()
	if info != nil {
		for _, dep := range info.Deps {
			if dep.Path == "github.com/caddyserver/caddy/v2" {
				return dep.Version
			}
		}
	}
	return "of unknown version"
}

// scale is n, or a small part of it in a try.
func (b *bench) scale(n, quick int) int {
	if b.quick {
		return quick
	}
	return n
}

// stage is what one measurement put up. It is taken down at its end, the last
// first.
type stage struct {
	*bench
	closers []func()
}

func (s *stage) later(f func()) { s.closers = append(s.closers, f) }

func (s *stage) end() {
	for _, closer := range slices.Backward(s.closers) {
		closer()
	}
	s.upstream.closeIdle()
}

// freePort finds a port below those that systems give away by themselves, so
// that nobody else gets it before the proxy does.
func freePort() (int, error) {
	for range 100 {
		port := 10_000 + rand.IntN(20_000) //nolint:gosec // not a secret
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		_ = listener.Close()
		return port, nil
	}
	return 0, errors.New("no port is free")
}
