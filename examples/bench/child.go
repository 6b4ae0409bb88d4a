package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// child is this program, started again in one of its roles. It ends when its
// standard input does, so none is left behind however this process ends.
type child struct {
	service string // where it serves; a Caddy serves where its configuration says
	control string // where it answers questions about itself
	stderr  tail
}

// startChild starts a role on the proxies' core and waits until it serves.
func (s *stage) startChild(ctx context.Context, role, config string) (*child, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(s.dir, role)
	if err != nil {
		return nil, err
	}
	c := &child{}
	cmd := s.cores.command(ctx, s.cores.proxy, program)
	cmd.Env = append(os.Environ(), "GOMAXPROCS=1", roleVariable+"="+role, configVariable+"="+config,
		dirVariable+"="+dir, "AUTH0_CLIENT_SECRET="+vaultKey)
	cmd.Stderr = &c.stderr
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s.later(func() {
		_ = input.Close()
		kill := time.AfterFunc(5*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		kill.Stop()
	})
	line, err := bufio.NewReader(output).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		return nil, fmt.Errorf("the %s did not start: %s", role, c.stderr.String())
	}
	c.control, c.service, _ = strings.Cut(strings.TrimSpace(line), " ")
	return c, nil
}

// state is what a child tells about itself.
type state struct {
	Memory     uint64  `json:"memory"` // heap and stacks in use, in bytes
	Goroutines int     `json:"goroutines"`
	CPU        float64 `json:"cpu"` // user and system time since it started, in ticks; 0 where the system keeps no such account
}

// settled is the state after a garbage collection, and now without one.
func (c *child) settled(ctx context.Context) (state, error) { return c.ask(ctx, "/settled") }
func (c *child) now(ctx context.Context) (state, error)     { return c.ask(ctx, "/now") }

func (c *child) ask(ctx context.Context, path string) (s state, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.control+path, nil)
	if err != nil {
		return s, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return s, err
	}
	defer func() { _ = resp.Body.Close() }()
	err = json.NewDecoder(resp.Body).Decode(&s)
	return s, err
}

// most watches a child until the returned function is called, which says the
// most that it had of everything.
func (c *child) most(ctx context.Context) (stop func() (state, error)) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	var most state
	var err error
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			var s state
			if s, err = c.now(ctx); err != nil {
				return
			}
			most.Memory, most.Goroutines = max(most.Memory, s.Memory), max(most.Goroutines, s.Goroutines)
			time.Sleep(20 * time.Millisecond)
		}
	}()
	return func() (state, error) {
		stopped := ctx.Err()
		cancel()
		<-done
		if stopped == nil {
			err = nil // we ended the last question
		}
		return most, err
	}
}

// tail keeps the end of what is written to it.
type tail struct {
	mu   sync.Mutex
	text []byte
}

var _ io.Writer = (*tail)(nil)

// Write implements io.Writer.
func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	const most = 4 << 10
	t.text = append(t.text, p...)
	t.text = t.text[max(0, len(t.text)-most):]
	return len(p), nil
}

// String implements fmt.Stringer.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.text)
}
