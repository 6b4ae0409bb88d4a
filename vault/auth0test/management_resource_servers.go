package auth0test

import (
	"encoding/json"
	"slices"
)

// resourceServers are the APIs, found by id or identifier.
func (t *Tenant) resourceServers() *collection[ResourceServer] {
	return &collection[ResourceServer]{
		tenant:  t,
		name:    "resource_servers",
		items:   func(cfg *Config) *[]ResourceServer { return &cfg.ResourceServers },
		is:      func(rs ResourceServer, id string) bool { return rs.ID == id || rs.Identifier == id },
		missing: inexistent("resource_server", "The resource server does not exist."),
		view: func(rs ResourceServer, _ *managementRequest) map[string]any {
			if c := find(t.cfg().Clients, func(c Client) bool { return c.ResourceServerIdentifier == rs.Identifier }); c != nil {
				rs.ClientID = c.ClientID
			}
			view := objectOf(rs)
			delete(view, "signing_secret")
			if rs.TokenDialect != "" { // RBAC was set, one way or the other
				view["enforce_policies"] = rs.EnforcePolicies
			}
			return view
		},
		filters: map[string]func(ResourceServer, string) bool{
			"identifiers": func(rs ResourceServer, value string) bool { return rs.Identifier == value },
		},
		required: []string{"identifier"},
		readOnly: []string{"id", "client_id", "is_system"},
		fixed:    []string{"identifier"},
		adding: func(cfg *Config, rs *ResourceServer, _ map[string]json.RawMessage) error {
			if cfg.resourceServer(rs.Identifier) != nil {
				return conflict("resource_server_conflict", "A resource server with the same identifier already exists")
			}
			rs.ID = hexID(rs.Identifier, randomID(16))
			if rs.SigningAlg == "HS256" && rs.SigningSecret == "" {
				rs.SigningSecret = randomID(32)
			}
			return t.activate(rs)
		},
		changing: func(_ *Config, old ResourceServer, rs *ResourceServer, given map[string]json.RawMessage) error {
			for _, name := range []string{"name", "scopes"} {
				if _, ok := given[name]; ok && old.IsSystem {
					return invalidBody("Additional properties not allowed: %s", name)
				}
			}
			if rs.SigningAlg == "HS256" && rs.SigningSecret == "" {
				rs.SigningSecret = randomID(32)
			}
			return nil
		},
		removing: func(cfg *Config, rs ResourceServer) error {
			if rs.Identifier == t.managementAudience() {
				return badRequest("operation_not_supported", "The Management API cannot be deleted.")
			}
			// Auth0 documents nothing about the API's own client; without the API it
			// would be one that cannot be made.
			cfg.Clients = slices.DeleteFunc(cfg.Clients, func(c Client) bool { return c.ResourceServerIdentifier == rs.Identifier })
			cfg.ClientGrants = slices.DeleteFunc(cfg.ClientGrants, func(g ClientGrant) bool { return g.Audience == rs.Identifier })
			return nil
		},
	}
}

// activate completes the My Account API as Auth0 does, whatever was sent with
// it.
func (t *Tenant) activate(rs *ResourceServer) error {
	if rs.Identifier != t.myAccountAudience() {
		return nil
	}
	if t.cfg().Settings.MyAccountAPI == "dashboard" {
		return badRequest("operation_not_supported", "The My Account API cannot be created.")
	}
	rs.Name, rs.Scopes = myAccountName, myAccountScopes()
	rs.AllowOfflineAccess, rs.SkipConsent = true, true
	rs.ProofOfPossession = &ProofOfPossession{Mechanism: "dpop"}
	return nil
}
