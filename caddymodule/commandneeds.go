package caddymodule

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenvault/caddy-token-vault/caddymodule/tenantsetup"
	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// The environment variables of the README's table.
const (
	envClientID         = "AUTH0_CLIENT_ID"
	envClientSecret     = "AUTH0_CLIENT_SECRET" //nolint:gosec // a name
	envLinkClientID     = "AUTH0_LINK_CLIENT_ID"
	envLinkClientSecret = "AUTH0_LINK_CLIENT_SECRET" //nolint:gosec // a name
	envAgentID          = "AGENT_CLIENT_ID"
	envManagementID     = "AUTH0_MANAGEMENT_CLIENT_ID"
	envManagementSecret = "AUTH0_MANAGEMENT_CLIENT_SECRET"
)

// needs reads the configuration, and what it needs of its tenants. Before setup
// its clients may be missing.
func (f *commandFlags) needs(beforeSetup bool) ([]*tenantsetup.Needs, error) {
	if beforeSetup {
		defer setMissing(envClientID, envLinkClientID)()
	}
	config, err := readConfig(f.config, f.adapter)
	if err != nil {
		return nil, err
	}
	needs, err := needsOf(config, beforeSetup)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.config, err)
	}
	var names []string
	for _, n := range needs {
		names = append(names, n.Tenant)
	}
	if f.tenant != "" {
		needs = slices.DeleteFunc(needs, func(n *tenantsetup.Needs) bool { return n.Tenant != f.tenant })
	}
	if len(needs) == 0 {
		return nil, fmt.Errorf("%s: no such tenant; the app token_vault configures %s", f.config, cmp.Or(strings.Join(names, ", "), "none"))
	}
	for _, n := range needs {
		if err := f.addManagement(n); err != nil {
			return nil, err
		}
	}
	return needs, nil
}

// setMissing gives ids of clients that are yet to be made a value, so that a
// Caddyfile that takes them from the environment can be read.
func setMissing(names ...string) (restore func()) {
	var set []string
	for _, name := range names {
		if os.Getenv(name) == "" && os.Setenv(name, "not-created-yet") == nil {
			set = append(set, name)
		}
	}
	return func() {
		for _, name := range set {
			_ = os.Unsetenv(name)
		}
	}
}

// readConfig reads a configuration as `caddy adapt` does, without its log.
func readConfig(file, adapter string) ([]byte, error) {
	data, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	base := strings.ToLower(filepath.Base(file))
	if adapter == "" && filepath.Ext(base) != ".json" && (strings.HasPrefix(base, "caddyfile") || strings.HasSuffix(base, ".caddyfile")) {
		adapter = "caddyfile"
	}
	if adapter == "" {
		return data, nil
	}
	adapt := caddyconfig.GetAdapter(adapter)
	if adapt == nil {
		return nil, fmt.Errorf("there is no config adapter %q", adapter)
	}
	config, _, err := adapt.Adapt(data, map[string]any{"filename": file})
	return config, err
}

// addManagement takes the management client from flags and environment, where
// they name one.
func (f *commandFlags) addManagement(n *tenantsetup.Needs) error {
	if id := cmp.Or(f.managementID, os.Getenv(envManagementID)); id != "" {
		secret := os.Getenv(envManagementSecret)
		if secret == "" {
			return fmt.Errorf("%s: required with a management client id", envManagementSecret)
		}
		n.Management = tenantsetup.Client{ID: id, Secret: vault.NewSecret(secret)}
	}
	if configured := n.Management.SecretVariable != ""; configured && (n.Management.ID == "" || n.Management.Secret.Reveal() == "") {
		return fmt.Errorf("tenant %s: management: the id or the secret is missing or empty", n.Tenant)
	}
	if f.managementDomain == "" {
		return nil
	}
	issuer, err := vault.ParseDomain(f.managementDomain)
	if err != nil {
		return fmt.Errorf("management-domain: %w", err)
	}
	n.ManagementDomain = issuer
	return nil
}

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
	routes, err := agentRoutes(all.Apps.HTTP)
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

// agentRoutes finds the token_vault handlers of an HTTP app, by tenant.
func agentRoutes(config json.RawMessage) (map[string][]*Handler, error) {
	routes := make(map[string][]*Handler)
	var app caddyhttp.App
	if len(config) == 0 {
		return routes, nil
	}
	if err := json.Unmarshal(config, &app); err != nil {
		return nil, fmt.Errorf("the http app: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(app.Servers)) {
		err := walkServer(app.Servers[name], func(handler any, _ place) {
			if h, ok := handler.(*Handler); ok {
				tenant := cmp.Or(h.Tenant, defaultTenant)
				routes[tenant] = append(routes[tenant], h)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("server %s: %w", name, err)
		}
	}
	return routes, nil
}

// needs turns a tenant and its routes into plain data, with placeholders expanded.
// Before setup its clients' ids and secrets may be missing.
func (t *Tenant) needs(name string, routes []*Handler, beforeSetup bool) (*tenantsetup.Needs, error) {
	n := &tenantsetup.Needs{Tenant: name}
	rest, err := t.addClients(n, beforeSetup)
	if err != nil {
		return nil, err
	}
	e, err := expanded(rest)
	if err != nil {
		return nil, err
	}
	if e.Audience == "" {
		return nil, errors.New("audience: required")
	}
	n.Audience, n.Algorithms, n.Timeout = e.Audience, e.Algorithms, time.Duration(e.Timeout)
	if len(n.Algorithms) == 0 {
		n.Algorithms = []string{"RS256"}
	}
	if n.Issuer, err = vault.ParseDomain(e.Domain); err != nil {
		return nil, fmt.Errorf("domain: %w", err)
	}
	if n.Link != nil {
		if err := linkflow.CheckOrigin(e.Link.Origin); err != nil {
			return nil, fmt.Errorf("link: origin: %w", err)
		}
		e.Link.addNeeds(n.Link)
	}
	for _, h := range routes {
		if err := e.addRoute(n, h, t.AllowClients); err != nil {
			return nil, fmt.Errorf("token_vault %s: %w", h.Connection, err)
		}
	}
	if len(n.Agents) == 1 {
		n.Agents[0].IDVariable = cmp.Or(n.Agents[0].IDVariable, envAgentID)
	}
	return n, nil
}

// addClients adds the clients, some of which may be missing, and returns the
// configuration without them.
func (t *Tenant) addClients(n *tenantsetup.Needs, beforeSetup bool) (rest *Tenant, err error) {
	if n.Exchange, err = t.Client.needs(beforeSetup, envClientID, envClientSecret); err != nil {
		return nil, fmt.Errorf("client: %w", err)
	}
	if t.Management != nil {
		as := &Client{ID: t.Management.ID, Secret: t.Management.Secret}
		if n.Management, err = as.needs(true, envManagementID, envManagementSecret); err != nil {
			return nil, fmt.Errorf("management: %w", err)
		}
	}
	rest = &Tenant{
		Domain: t.Domain, Audience: t.Audience, AllowClients: t.AllowClients, Algorithms: t.Algorithms, Timeout: t.Timeout,
	}
	if t.Link != nil && t.Link.Client != nil { // without one nobody signs in here
		n.Link, n.Linker = new(tenantsetup.Link), n.Management.ID
		if n.Link.Client, err = t.Link.Client.needs(beforeSetup, envLinkClientID, envLinkClientSecret); err != nil {
			return nil, fmt.Errorf("link: client: %w", err)
		}
		link := *t.Link
		link.Client, rest.Link = nil, &link
	}
	return rest, nil
}

// addRoute adds what a route needs of accounts and of agents' tokens, and whom it
// lets through. t is expanded; agents are its allow_clients as they are written.
func (t *Tenant) addRoute(n *tenantsetup.Needs, h *Handler, agents []string) error {
	if len(h.AllowClients) > 0 {
		agents = h.AllowClients
	}
	if err := h.expand(); err != nil {
		return err
	}
	if len(h.AllowClients) == 0 {
		h.AllowClients = t.AllowClients
	}
	route := tenantsetup.Route{
		Connection: h.Connection, Scopes: h.Scopes, MaxScopes: h.MaxScopes,
		OneAccount: h.LoginHint != "" && !h.hint.hasPlaceholders(""),
	}
	if !slices.ContainsFunc(n.Routes, func(r tenantsetup.Route) bool { return reflect.DeepEqual(r, route) }) {
		n.Routes = append(n.Routes, route)
	}
	for _, permission := range h.RequireScopes { // Auth0's own, which have one name each
		if !slices.Contains(n.Permissions, permission) {
			n.Permissions = append(n.Permissions, permission)
		}
	}
	for i, id := range h.AllowClients {
		n.AnyAgent = n.AnyAgent || id == anyClient
		if id != anyClient && !slices.ContainsFunc(n.Agents, func(a tenantsetup.Agent) bool { return a.ID == id }) {
			n.Agents = append(n.Agents, tenantsetup.Agent{ID: id, Name: t.agentName(id), IDVariable: variable(agents[i], "")})
		}
	}
	return nil
}

// agentName is what an agent is called.
func (t *Tenant) agentName(id string) string {
	if t.Link == nil {
		return id
	}
	return cmp.Or(t.Link.ClientName[id], id)
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

// needs expands a client; where its id and secret may be missing, they are empty then.
func (c *Client) needs(mayMiss bool, id, secret string) (tenantsetup.Client, error) {
	if c == nil {
		return tenantsetup.Client{}, errors.New("required")
	}
	n := tenantsetup.Client{IDVariable: variable(c.ID, id), SecretVariable: variable(c.Secret, secret)}
	var revealed string
	for _, field := range []struct {
		name, text string
		value      *string
	}{{"id", c.ID, &n.ID}, {"secret", c.Secret, &revealed}} {
		value, err := expandText(caddy.NewReplacer(), field.text)
		if value == "" && err == nil {
			err = errors.New("required")
		}
		if err != nil && !mayMiss {
			return n, fmt.Errorf("%s: %w", field.name, err)
		}
		*field.value = value
	}
	n.Secret = vault.NewSecret(revealed)
	return n, nil
}

// addNeeds adds what the pages need beside their client.
func (l *Link) addNeeds(n *tenantsetup.Link) {
	base := l.Origin + cmp.Or(l.Path, linkflow.DefaultPath)
	n.Callback, n.Accounts = base+"/callback", base+"/accounts"
	n.Name, n.Via, n.TrustEmail = cmp.Or(l.Name, "Token Vault"), linkflow.Via(l.Via), l.TrustEmail
}
