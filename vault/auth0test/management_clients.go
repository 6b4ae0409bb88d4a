package auth0test

import (
	"encoding/json"
	"net/http"
	"slices"
)

// clients are the applications. What a client is worth, its secret, needs
// read:client_keys, except in the answer to who made or changed it.
func (t *Tenant) clients() *collection[Client] {
	return &collection[Client]{
		tenant:  t,
		name:    "clients",
		items:   func(cfg *Config) *[]Client { return &cfg.Clients },
		is:      func(c Client, id string) bool { return c.ClientID == id },
		missing: inexistent("client", "The client does not exist"),
		view: func(c Client, r *managementRequest) map[string]any {
			view := objectOf(c)
			if r.Method == http.MethodGet && !r.has("read:client_keys") {
				delete(view, "client_secret")
			}
			if urls := c.OIDCLogout["backchannel_logout_urls"]; urls != nil { // its older name
				view["oidc_backchannel_logout"] = map[string]any{"backchannel_logout_urls": urls}
			}
			if len(c.ClientAuthenticationMethods) > 0 {
				view["client_authentication_methods"] = c.ClientAuthenticationMethods.view(r)
			}
			return view
		},
		filters: map[string]func(Client, string) bool{
			"is_first_party": func(c Client, value string) bool { return *c.IsFirstParty == (value == "true") },
			"is_global":      func(_ Client, value string) bool { return value != "true" },
			"app_type":       func(c Client, value string) bool { return c.AppType == value },
		},
		required: []string{"name"},
		readOnly: []string{"client_id"},
		fixed:    []string{"resource_server_identifier"},
		adding: func(_ *Config, c *Client, given map[string]json.RawMessage) error {
			if _, ok := given["client_secret"]; ok { // it can be changed, not chosen
				return invalidBody("Additional properties not allowed: client_secret")
			}
			c.ClientID, c.ClientSecret = randomAlnum(32), randomID(64)
			c.ClientAuthenticationMethods.complete()
			return nil
		},
		changing: func(_ *Config, old Client, c *Client, given map[string]json.RawMessage) error {
			c.ClientAuthenticationMethods.complete()
			if _, ok := given["client_metadata"]; ok { // merged, as a user's is
				c.ClientMetadata = merged(old.ClientMetadata, c.ClientMetadata)
			}
			return nil
		},
		removing: func(cfg *Config, c Client) error {
			cfg.ClientGrants = slices.DeleteFunc(cfg.ClientGrants, func(g ClientGrant) bool { return g.ClientID == c.ClientID })
			for i := range cfg.Connections {
				connection := &cfg.Connections[i]
				connection.EnabledClients = slices.DeleteFunc(connection.EnabledClients, func(id string) bool { return id == c.ClientID })
			}
			return nil
		},
	}
}

// clientGrants let clients have the tokens of APIs.
func (t *Tenant) clientGrants() *collection[ClientGrant] {
	return &collection[ClientGrant]{
		tenant:  t,
		name:    "client_grants",
		items:   func(cfg *Config) *[]ClientGrant { return &cfg.ClientGrants },
		is:      func(g ClientGrant, id string) bool { return g.ID == id },
		missing: inexistent("client_grant", "The grant does not exist."),
		view:    func(g ClientGrant, _ *managementRequest) map[string]any { return objectOf(g) },
		filters: map[string]func(ClientGrant, string) bool{
			"client_id":    func(g ClientGrant, value string) bool { return g.ClientID == value },
			"audience":     func(g ClientGrant, value string) bool { return g.Audience == value },
			"subject_type": func(g ClientGrant, value string) bool { return g.SubjectType == value },
			"allow_any_organization": func(g ClientGrant, value string) bool {
				return (g.AllowAnyOrganization != nil && *g.AllowAnyOrganization) == (value == "true")
			},
		},
		required: []string{"client_id", "audience"},
		readOnly: []string{"id", "is_system"},
		fixed:    []string{"client_id", "audience", "subject_type"},
		adding: func(cfg *Config, g *ClientGrant, given map[string]json.RawMessage) error {
			setDefault(&g.SubjectType, "client")
			if cfg.Settings.ClientGrantSubjectType == "client" {
				g.SubjectType = "client"
			}
			if _, ok := given["scope"]; !ok && !g.AllowAllScopes {
				return invalidBody("Missing required property: scope")
			}
			// No grant activates an API, unlike one in a tenant.json.
			if cfg.client(g.ClientID) == nil {
				return t.clients().missing
			}
			if cfg.resourceServer(g.Audience) == nil {
				return t.resourceServers().missing
			}
			if cfg.grant(g.ClientID, g.Audience, g.SubjectType) != nil {
				return conflict("", "A client grant for this client and audience already exists")
			}
			g.ID = "cgr_" + randomAlnum(16)
			return nil
		},
	}
}
