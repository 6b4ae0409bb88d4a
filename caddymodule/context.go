package caddymodule

import (
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
		if c.repeatable {
			return c.ownGroups()
		}
	}
	return c.Context.Value(key)
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

// Format implements fmt.Formatter: contexts get printed, and a call holds
// credentials.
func (c *call) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// String implements fmt.Stringer, which package context asks.
func (*call) String() string { return "token_vault" }
