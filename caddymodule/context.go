package caddymodule

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenvault/caddy-token-vault/vault"
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

func replacer(r *http.Request) *caddy.Replacer {
	return r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
}

// setUser sets the placeholders of the authenticated user. The id is set and not
// mapped, since it has to win over another authenticator's. What is not known is
// empty: header_up would send the name of an unknown placeholder.
func setUser(r *http.Request, caller *vault.AccessToken) {
	repl := replacer(r)
	repl.Set("http.auth.user.id", caller.Subject)
	repl.Map(func(key string) (any, bool) {
		field, ok := strings.CutPrefix(key, "http.auth.user.")
		if !ok {
			return nil, false
		}
		switch field {
		case "client_id":
			return caller.ClientID, true
		case "scope":
			return strings.Join(caller.Scopes, " "), true
		case "org_id":
			return caller.OrgID, true
		}
		return nil, false
	})
}
