package tenantsetup

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/auth0/go-auth0/management"
)

func checkConnections(n *Needs, o *observed) (findings []Finding) {
	for _, name := range n.connections() {
		findings = append(findings, checkConnection(n, o, name)...)
	}
	return findings
}

func checkConnection(n *Needs, o *observed, name string) []Finding {
	ids := []string{"connection.exists", "connection.enabled"}
	if n.inRoute(name) {
		ids = append(ids, "connection.active")
	} else {
		ids = append(ids, "connection.login")
	}
	var findings []Finding
	switch c := o.connections[name]; {
	case o.management != nil:
		findings = unseenAll(o.management, ids...)
	case c.err != nil:
		findings = unseenAll(c.err, ids...)
	case c.value == nil:
		findings = []Finding{missingConnection(n, name)}
	default:
		findings = []Finding{fine("connection.exists", "strategy "+c.value.Strategy)}
		if n.inRoute(name) {
			findings = append(findings, checkRouted(n, c.value)...)
		}
		findings = append(findings, checkEnabled(n, o, c.value)...)
		findings = append(findings, checkLogin(n, c.value)...)
	}
	for i := range findings {
		findings[i].Subject = name
	}
	return findings
}

func missingConnection(n *Needs, name string) Finding {
	const id, found = "connection.exists", "no connection "
	create := Change{What: "connection " + name, Method: "POST", Path: []string{"connections"}, Body: newConnection(n, name)}
	if !n.inRoute(name) {
		return wrong(id, found+name+", which trust_email names", "another name in trust_email, or a connection of this one", "Authentication").
			mendedByHand(create)
	}
	return wrong(id, found+name, "a connection of this name, with a client of yours at the provider", "Authentication > Social > Create Connection").
		mendedByHand(create)
}

// newConnection is a connection with … where only a person knows what to write.
func newConnection(n *Needs, name string) map[string]any {
	const yours = "…"
	body := map[string]any{"name": name, "strategy": yours}
	if slices.Contains(ownNames, name) {
		body["strategy"] = name
	}
	if n.inRoute(name) {
		options := map[string]any{"client_id": yours, "client_secret": yours}
		if slices.Contains(offlineStrategies, name) {
			options["offline_access"] = true
		}
		body["options"], body["connected_accounts"] = options, map[string]any{"active": true}
	}
	return body
}

// ownNames are strategies whose connections the Dashboard calls like them.
var ownNames = []string{"google-oauth2", "github", "windowslive", "box", "salesforce"}

// checkRouted is about a connection whose accounts agents use.
func checkRouted(n *Needs, c *connection) []Finding {
	return append([]Finding{checkKeysOf(c), checkActive(c), checkOffline(c)}, checkScopes(n, c)...)
}

// pageOf is where the dashboard has a connection.
func pageOf(c *connection) string {
	kind := "Social"
	switch {
	case c.Strategy == "auth0":
		kind = "Database"
	case c.Strategy == "email" || c.Strategy == "sms":
		kind = "Passwordless"
	case slices.Contains(enterpriseStrategies, c.Strategy):
		kind = "Enterprise"
	}
	return "Authentication > " + kind + " > " + c.Name
}

// enterpriseStrategies are those of Auth0's "Enterprise Connections".
var enterpriseStrategies = []string{
	"ad", "adfs", "auth0-adldap", "google-apps", "ip", "office365", "oidc", "okta", "pingfederate", "samlp", "sharepoint", "waad",
}

func patchConnection(c *connection, members map[string]any) Change {
	return Change{What: "connection " + c.Name, Method: "PATCH", Path: []string{"connections", c.ID}, Body: members}
}

// option reads a text from the options.
func (c *connection) option(name string) (text string) {
	_ = json.Unmarshal(c.Options[name], &text) // anything else is no text
	return text
}

func checkKeysOf(c *connection) Finding {
	const id = "connection.keys"
	switch {
	case c.Options == nil:
		return unseen(id, fmt.Errorf("the Management API does not show the options"))
	case c.option("client_id") == "":
		return wrong(id, "no client id of the provider: Auth0's own developer keys, which the vault does not serve",
			"the id and secret of your client at the provider", pageOf(c)+" > Settings > Client ID")
	}
	return fine(id, "client "+c.option("client_id")+" at the provider")
}

func checkActive(c *connection) Finding {
	const id = "connection.active"
	if c.ConnectedAccounts.GetActive() {
		return fine(id, "Connected Accounts is on")
	}
	return wrong(id, "Connected Accounts is off", "the purpose Connected Accounts, or both", pageOf(c)+" > Settings > Purpose").
		mendedBy(patchConnection(c, map[string]any{"connected_accounts": map[string]any{"active": true}}))
}

// offlineStrategies give no refresh token unless they are asked for one.
var offlineStrategies = []string{"google-oauth2", "google-apps", "windowslive", "waad"}

func checkOffline(c *connection) Finding {
	const id = "connection.offline_access"
	switch {
	case c.Strategy == "github":
		return fine(id, "nothing to ask for; only GitHub Apps with expiring user tokens give refresh tokens")
	case c.Options == nil:
		return unseen(id, fmt.Errorf("the Management API does not show the options"))
	case c.offline():
		return fine(id, "offline access is asked for")
	case !slices.Contains(offlineStrategies, c.Strategy):
		return unseen(id, fmt.Errorf("not asked for; whether %s gives a refresh token without it is not known", c.Strategy))
	}
	f := wrong(id, "offline access is not asked for: there is no refresh token, and every exchange fails", "offline_access true in the connection's options",
		pageOf(c)+" > Settings > Offline Access")
	if c.option("client_id") != "" && c.option("client_secret") == "" {
		return f // sending the options without the secret would delete it
	}
	options := make(map[string]any, len(c.Options)+1)
	for name, value := range c.Options {
		options[name] = value
	}
	options["offline_access"] = true
	change := patchConnection(c, map[string]any{"options": options})
	change.Shown = map[string]any{"options": map[string]any{"offline_access": true, "…": "the others as they are"}}
	return f.mendedBy(change)
}

// offline tells whether the connection asks for refresh tokens.
func (c *connection) offline() bool {
	var on bool
	_ = json.Unmarshal(c.Options["offline_access"], &on)
	var scopes []string
	if json.Unmarshal(c.Options["scope"], &scopes) != nil {
		scopes = strings.Fields(c.option("scope"))
	}
	return on || slices.Contains(scopes, "offline_access")
}

// checkEnabled: the exchange uses the connections of routes, and people connect
// accounts or sign in through them.
func checkEnabled(n *Needs, o *observed, c *connection) (findings []Finding) {
	const id = "connection.enabled"
	if c.enabled.err != nil {
		return unseenAll(c.enabled.err, id)
	}
	var enabled []string
	needed := n.clientsOf(c.Name)
	names := make([]string, len(needed))
	for i, client := range needed {
		names[i] = o.nameOf(client)
	}
	for i, client := range needed {
		if o.clients.err == nil && !o.isOurs(n, client) {
			continue // that is said elsewhere
		}
		if c.enabled.value[client] {
			enabled = append(enabled, names[i])
			continue
		}
		findings = append(findings, wrong(id, "not enabled for "+names[i], "enabled for "+strings.Join(names, ", "),
			pageOf(c)+" > Applications").mendedBy(Change{
			What: "the applications of connection " + c.Name, Method: "PATCH", Path: []string{"connections", c.ID, "clients"},
			Body: []any{map[string]any{"client_id": client, "status": true}},
		}))
	}
	if findings == nil && enabled != nil {
		return []Finding{fine(id, "enabled for "+strings.Join(enabled, ", "))}
	}
	return findings
}

// googleScopes are what Google's scopes look like: short names, or URLs. Auth0 keeps
// offline_access to itself.
var googleScopes = []string{"https://www.googleapis.com/auth/", "https://mail.google.com/", "https://www.google.com/"}

// checkScopes: a misspelt scope fails only when a person stands before Google.
func checkScopes(n *Needs, c *connection) []Finding {
	const id = "connection.scopes"
	if c.Strategy != "google-oauth2" && c.Strategy != "google-apps" {
		return nil
	}
	var unknown []string
	for _, scope := range n.scopesOf(c.Name) {
		isURL := slices.ContainsFunc(googleScopes, func(prefix string) bool { return strings.HasPrefix(scope, prefix) })
		if !isURL && !slices.Contains([]string{"openid", "email", "profile", "offline_access"}, scope) {
			unknown = append(unknown, scope)
		}
	}
	if unknown == nil {
		return []Finding{fine(id, "scopes look like Google's")}
	}
	return []Finding{wrong(id, "Google has no scope "+strings.Join(unknown, ", "), "scopes by their full names, such as https://www.googleapis.com/auth/calendar.readonly",
		"none; scopes of the route, in the configuration")}
}

// clone copies a connection for a plan to work on.
func (c *connection) clone() *connection {
	copied := *c
	copied.Options = maps.Clone(c.Options)
	copied.enabled.value = maps.Clone(c.enabled.value)
	if c.ConnectedAccounts != nil {
		copied.ConnectedAccounts = &management.ConnectedAccounts{Active: c.ConnectedAccounts.Active}
	}
	if c.Authentication != nil {
		copied.Authentication = &management.Authentication{Active: c.Authentication.Active}
	}
	return &copied
}
