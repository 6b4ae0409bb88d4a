package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenvault/caddy-token-vault/caddymodule/tenantsetup"
	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// needsOf reads what a configuration in JSON needs, tenant by tenant.
func needsOf(config []byte, beforeSetup bool) ([]*tenantsetup.Needs, error) {
	var all struct {
		Apps struct {
			TokenVault App             `json:"token_vault"`
			HTTP       json.RawMessage `json:"http"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &all); err != nil {
		return nil, fmt.Errorf("not a Caddy configuration in JSON; is --adapter missing? %w", err)
	}
	routes, err := routesIn(all.Apps.HTTP)
	if err != nil {
		return nil, err
	}
	var needs []*tenantsetup.Needs
	for _, name := range slices.Sorted(maps.Keys(all.Apps.TokenVault.Tenants)) {
		tenant := all.Apps.TokenVault.Tenants[name]
		if tenant == nil {
			return nil, fmt.Errorf("tenant %s: empty", name)
		}
		n, err := tenant.needs(name, routes[name], beforeSetup)
		if err != nil {
			return nil, fmt.Errorf("tenant %s: %w", name, err)
		}
		needs = append(needs, n)
	}
	return needs, nil
}

// routesIn finds the token_vault handlers of an HTTP app, wherever they are in
// it, by tenant.
func routesIn(app json.RawMessage) (map[string][]*Handler, error) {
	routes := make(map[string][]*Handler)
	if len(app) == 0 {
		return routes, nil
	}
	var walk func(data json.RawMessage) error
	walk = func(data json.RawMessage) error {
		var members map[string]json.RawMessage
		var items []json.RawMessage
		switch {
		case json.Unmarshal(data, &members) == nil:
			if string(members["handler"]) == `"token_vault"` {
				handler := new(Handler)
				if err := json.Unmarshal(data, handler); err != nil {
					return fmt.Errorf("a token_vault handler: %w", err)
				}
				tenant := cmp.Or(handler.Tenant, defaultTenant)
				routes[tenant] = append(routes[tenant], handler)
				return nil
			}
			for _, name := range slices.Sorted(maps.Keys(members)) {
				items = append(items, members[name])
			}
		case json.Unmarshal(data, &items) != nil:
			return nil // no place for a handler
		}
		for _, item := range items {
			if err := walk(item); err != nil {
				return err
			}
		}
		return nil
	}
	return routes, walk(app)
}

// needs turns a tenant and its routes into plain data, with placeholders
// expanded. Before setup its clients' ids and secrets may be missing.
func (t *Tenant) needs(name string, routes []*Handler, beforeSetup bool) (*tenantsetup.Needs, error) {
	repl := caddy.NewReplacer()
	n := &tenantsetup.Needs{Tenant: name, Algorithms: t.Algorithms, Timeout: time.Duration(t.Timeout)}
	if len(n.Algorithms) == 0 {
		n.Algorithms = []string{"RS256"}
	}
	var domain string
	err := expandAll(repl, []expansion{{"domain", t.Domain, &domain}, {"audience", t.Audience, &n.Audience}})
	if err != nil {
		return nil, err
	}
	if n.Issuer, err = vault.ParseDomain(domain); err != nil {
		return nil, fmt.Errorf("domain: %w", err)
	}
	if n.Exchange, err = t.Client.needs(repl, beforeSetup, envClientID, envClientSecret); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if t.Management != nil {
		as := &Client{ID: t.Management.ID, Secret: t.Management.Secret}
		if n.Management, err = as.needs(repl, true, envManagementID, envManagementSecret); err != nil {
			return nil, fmt.Errorf("management: %w", err)
		}
	}
	var names map[string]string                // of agents, by client id
	if t.Link != nil && t.Link.Client != nil { // without one nobody signs in here
		if n.Link, err = t.Link.needs(repl, beforeSetup); err != nil {
			return nil, fmt.Errorf("link: %w", err)
		}
		if names, err = t.Link.clientNames(repl); err != nil {
			return nil, fmt.Errorf("link: %w", err)
		}
		n.Linker = n.Management.ID
	}
	addRoutes(n, routes)
	return n, addAgents(n, repl, names, t.AllowClients, routes)
}

// addRoutes adds what the routes need of accounts and of agents' tokens.
func addRoutes(n *tenantsetup.Needs, routes []*Handler) {
	for _, h := range routes {
		route := tenantsetup.Route{
			Connection: h.Connection, Scopes: h.Scopes, MaxScopes: h.MaxScopes,
			OneAccount: h.LoginHint != "" && !strings.Contains(h.LoginHint, "{http."),
		}
		if !slices.ContainsFunc(n.Routes, func(r tenantsetup.Route) bool { return reflect.DeepEqual(r, route) }) {
			n.Routes = append(n.Routes, route)
		}
		n.Permissions = vault.MergeScopes(n.Permissions, h.RequireScopes)
	}
}

// addAgents adds whom the routes let through; names are what agents are called.
func addAgents(n *tenantsetup.Needs, repl *caddy.Replacer, names map[string]string, allowed []string, routes []*Handler) error {
	for _, h := range routes {
		texts := h.clientTexts(allowed)
		ids, err := expandList(repl, "allow_clients", texts)
		if err != nil {
			return err
		}
		for i, id := range ids {
			n.AnyAgent = n.AnyAgent || id == anyClient
			if id != anyClient && !slices.ContainsFunc(n.Agents, func(a tenantsetup.Agent) bool { return a.ID == id }) {
				n.Agents = append(n.Agents, tenantsetup.Agent{ID: id, Name: cmp.Or(names[id], id), IDVariable: variable(texts[i], "")})
			}
		}
	}
	if len(n.Agents) == 1 {
		n.Agents[0].IDVariable = cmp.Or(n.Agents[0].IDVariable, envAgentID)
	}
	return nil
}

// envPlaceholder is a placeholder for one environment variable and nothing else.
var envPlaceholder = regexp.MustCompile(`^\{env\.([A-Za-z_][A-Za-z0-9_]*)\}$`)

// variable is the environment variable that a text takes its value from, or the
// one of the README's table.
func variable(text, usual string) string {
	if match := envPlaceholder.FindStringSubmatch(text); match != nil {
		return match[1]
	}
	return usual
}

func (c *Client) needs(repl *caddy.Replacer, mayMiss bool, id, secret string) (tenantsetup.Client, error) {
	if c == nil {
		return tenantsetup.Client{}, errors.New("required")
	}
	n := tenantsetup.Client{IDVariable: variable(c.ID, id), SecretVariable: variable(c.Secret, secret)}
	var revealed string
	for _, field := range []expansion{{"id", c.ID, &n.ID}, {"secret", c.Secret, &revealed}} {
		if err := expandAll(repl, []expansion{field}); err != nil && !mayMiss {
			return n, err
		}
	}
	n.Secret = vault.NewSecret(revealed)
	return n, nil
}

func (l *Link) needs(repl *caddy.Replacer, beforeSetup bool) (*tenantsetup.Link, error) {
	n := &tenantsetup.Link{Name: cmp.Or(l.Name, "Token Vault"), Via: linkflow.Via(l.Via), TrustEmail: l.TrustEmail}
	var origin string
	if err := expandAll(repl, []expansion{{"origin", l.Origin, &origin}}); err != nil {
		return nil, err
	}
	base := origin + cmp.Or(l.Path, linkflow.DefaultPath)
	n.Callback, n.Accounts = base+"/callback", base+"/accounts"
	var err error
	n.Client, err = l.Client.needs(repl, beforeSetup, envLinkClientID, envLinkClientSecret)
	return n, err
}
