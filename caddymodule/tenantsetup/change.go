package tenantsetup

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Change is one call of the Management API that mends something.
type Change struct {
	// Check is the check that asks for it.
	Check string
	// What names the object, for people.
	What string
	// Method is POST, which creates, PATCH, which replaces the members that it sends
	// and no others, or PUT, which replaces a whole list.
	Method string
	// Path is below /api/v2/, in unescaped parts.
	Path []string
	// Body is what is sent: a map of members, the list of a connection's clients,
	// or with PUT the new list.
	Body any
	// Shown is what of Body is new, where it repeats what the tenant has; that
	// may be a provider's secret.
	Shown map[string]any
	// Dashboard is where to do it by hand.
	Dashboard string

	// as stands for the id of what this one creates, in changes that follow.
	as string
}

// creates tells whether the change makes something new.
func (c *Change) creates() bool { return c.Method == http.MethodPost }

// shown is what a plan prints of the body.
func (c *Change) shown() any {
	if c.Shown != nil {
		return c.Shown
	}
	return c.Body
}

// cli is the same call with Auth0's own command line; empty where it would have
// to repeat what is not shown.
func (c *Change) cli() string {
	if c.Shown != nil {
		return ""
	}
	return "auth0 api " + strings.ToLower(c.Method) + " " + quote(strings.Join(c.Path, "/")) + " --data " + quote(compact(c.Body))
}

// merge takes another change of the same object in, if one call can do both.
func (c *Change) merge(other Change) bool {
	if c.creates() || other.creates() || !slices.Equal(c.Path, other.Path) {
		return false
	}
	if mine, ok := c.Body.([]any); ok { // the clients of a connection
		c.Body = slices.Concat(mine, other.Body.([]any))
		return true
	}
	if c.Shown != nil || other.Shown != nil {
		c.Shown = union(c.shown(), other.shown())
	}
	c.Body = union(c.Body, other.Body)
	return true
}

// union is the members of both.
func union(a, b any) map[string]any {
	all := make(map[string]any)
	for _, members := range []any{a, b} {
		maps.Copy(all, members.(map[string]any)) // what PATCH sends, but for a connection's clients
	}
	return all
}

// compact is JSON on one line.
func compact(v any) string {
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return ""
	}
	return strings.TrimSpace(text.String())
}

// quote keeps a shell from reading anything into a word.
func quote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
