package auth0test

import (
	"encoding/json"
	"net/http"
	"slices"
)

// connections are the identity providers.
func (t *Tenant) connections() *collection[Connection] {
	return &collection[Connection]{
		tenant:  t,
		name:    "connections",
		items:   func(cfg *Config) *[]Connection { return &cfg.Connections },
		is:      func(c Connection, id string) bool { return c.ID == id },
		missing: inexistent("connection", "The connection does not exist"),
		view:    func(c Connection, _ *managementRequest) map[string]any { return objectOf(c) },
		always:  []string{"is_domain_connection"},
		filters: map[string]func(Connection, string) bool{
			"name":     func(c Connection, value string) bool { return c.Name == value },
			"strategy": func(c Connection, value string) bool { return c.Strategy == value },
		},
		required: []string{"name", "strategy"},
		readOnly: []string{"id"},
		fixed:    []string{"name", "strategy"},
		adding: func(cfg *Config, c *Connection, _ map[string]json.RawMessage) error {
			if cfg.connection(c.Name) != nil {
				return conflict("connection_conflict", "A connection with the same name already exists")
			}
			c.ID = "con_" + randomAlnum(16)
			if c.Strategy == databaseProvider {
				c.Options = withDefaults(c.Options, map[string]any{
					"mfa": map[string]any{"active": true, "return_enroll_settings": true}, "passwordPolicy": "good", "strategy_version": 2,
				})
			}
			c.completeOptions()
			return nil
		},
		changing: func(cfg *Config, _ Connection, c *Connection, given map[string]json.RawMessage) error {
			if _, ok := given["enabled_clients"]; ok && cfg.Settings.PatchEnabledClients == "refused" {
				return invalidBody("Additional properties not allowed: enabled_clients")
			}
			if _, ok := given["options"]; ok { // they replace all that was there
				c.completeOptions()
			}
			return nil
		},
		later: true,
		removing: func(_ *Config, c Connection) error {
			t.removeAccounts(func(a *account) bool { return a.connection == c.Name })
			return nil
		},
	}
}

// completeOptions adds what Auth0 adds to a strategy's options.
func (c *Connection) completeOptions() {
	switch c.Strategy {
	case databaseProvider:
		c.Options = withDefaults(c.Options, map[string]any{
			"authentication_methods": map[string]any{
				"password": map[string]any{"enabled": true}, "passkey": map[string]any{"enabled": false},
			},
			"passkey_options": map[string]any{
				"challenge_ui": "both", "progressive_enrollment_enabled": true, "local_enrollment_enabled": true,
			},
			"brute_force_protection": true,
		})
	default:
		if p := standInFor(c.Strategy); p != nil && p.complete != nil {
			c.Options = p.complete(c.Options)
		}
		c.Options = withDefaults(c.Options, map[string]any{"scope": []any{}})
	}
}

func withDefaults(options, defaults map[string]any) map[string]any {
	override(defaults, options)
	return defaults
}

// enabledClient is an item of …/connections/{id}/clients.
type enabledClient struct {
	ClientID string `json:"client_id"`
	Status   *bool  `json:"status,omitempty"`
}

// listEnabledClients is GET …/connections/{id}/clients.
func (t *Tenant) listEnabledClients(r *managementRequest) (reply, error) {
	page, err := r.page(checkpoints)
	if err != nil {
		return reply{}, err
	}
	all := t.connections()
	c := all.find(t.cfg(), r.PathValue("id"))
	if c == nil {
		return reply{}, all.missing
	}
	list := []any{}
	for _, id := range c.EnabledClients {
		list = append(list, enabledClient{ClientID: id})
	}
	return page.reply("clients", list, r), nil
}

// patchEnabledClients is PATCH …/connections/{id}/clients.
func (t *Tenant) patchEnabledClients(r *managementRequest) (reply, error) {
	var changes []enabledClient
	if err := decodeMembers(r.body, &changes); err != nil {
		return reply{}, err
	}
	all := t.connections()
	err := t.change(func(cfg *Config) error {
		c := all.find(cfg, r.PathValue("id"))
		if c == nil {
			return all.missing
		}
		for _, change := range changes {
			if change.Status == nil {
				return invalidBody("Missing required property: status")
			}
			c.EnabledClients = slices.DeleteFunc(c.EnabledClients, func(id string) bool { return id == change.ClientID })
			if *change.Status {
				c.EnabledClients = append(c.EnabledClients, change.ClientID)
			}
		}
		return cfg.accept(t.base)
	})
	return reply{http.StatusNoContent, nil}, err
}
