package caddymodule

import (
	"context"
	"fmt"
	"io"
	"maps"

	"github.com/caddyserver/caddy/v2"
)

// A call is the context of the request that goes on. It differs from that of the
// request that came in what a second token_vault finds there, and, where the
// request may go on twice, in what the first time must not leave to the second.

type callKey struct{}

// routeGroups is where Caddy's routes note which of a group has matched, so that
// no other does. Each time has to find that as it was.
const routeGroups = caddy.CtxKey("route_group")

// Value implements context.Context.
func (c *call) Value(key any) any {
	switch key {
	case callKey{}:
		return c
	case routeGroups:
		if c.replay.possible {
			return c.ownGroups()
		}
	}
	return c.parent().Value(key)
}

func (c *call) ownGroups() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.groups == nil {
		groups, _ := c.Context.Value(routeGroups).(map[string]struct{})
		c.groups = maps.Clone(groups)
	}
	return c.groups
}

// ending is a context that can end before the request that came.
type ending struct {
	context.Context
	cancel context.CancelFunc
}

// Done implements context.Context. An end of its own is made for a request only
// when somebody waits for it, since most that is cheap does not.
func (c *call) Done() <-chan struct{} {
	if !c.replay.possible {
		return c.Context.Done()
	}
	return c.ownEnding().Done()
}

// Err implements context.Context.
func (c *call) Err() error { return c.parent().Err() }

func (c *call) parent() context.Context {
	if e := c.ending.Load(); e != nil {
		return e
	}
	return c.Context
}

func (c *call) ownEnding() *ending {
	c.mu.Lock()
	defer c.mu.Unlock()
	e := c.ending.Load()
	if e == nil {
		ctx, cancel := context.WithCancel(c.Context)
		e = &ending{ctx, cancel}
		c.ending.Store(e)
	}
	return e
}

// giveUp ends what still goes on with the request.
func (c *call) giveUp() { c.ownEnding().cancel() }

// end frees what was made, when nothing goes on any more.
func (c *call) end() {
	if e := c.ending.Load(); e != nil {
		e.cancel()
	}
}

// Format implements fmt.Formatter: contexts get printed, and a call holds
// credentials.
func (c *call) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// String implements fmt.Stringer, which package context asks.
func (*call) String() string { return "token_vault" }
