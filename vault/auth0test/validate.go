package auth0test

import (
	"fmt"
	"slices"
	"strings"
)

// validate reports the first thing in an expanded config that Auth0's
// Management API would not have let anyone create.
func (cfg *Config) validate() error {
	checks := []func() error{
		cfg.checkResourceServers, cfg.checkClients, cfg.checkClientGrants,
		cfg.checkConnections, cfg.checkUsers, cfg.checkActions, cfg.Settings.validate,
	}
	for _, check := range checks {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

func (cfg *Config) checkResourceServers() error {
	seen := map[string]bool{}
	for _, rs := range cfg.ResourceServers {
		at := fmt.Sprintf("resource server %q", rs.Identifier)
		if err := unique(seen, "resource server", rs.Identifier); err != nil {
			return err
		}
		if err := oneOf(at+": signing_alg", rs.SigningAlg, "RS256", "PS256", "ES256", "HS256"); err != nil {
			return err
		}
		if rs.SigningAlg == "HS256" && rs.SigningSecret == "" {
			return fmt.Errorf("%s: HS256 needs a signing_secret", at)
		}
		if err := oneOf(at+": token_dialect", rs.TokenDialect,
			"", "access_token", "access_token_authz", "rfc9068_profile", "rfc9068_profile_authz"); err != nil {
			return err
		}
		for _, policy := range []string{rs.policy("user"), rs.policy("client")} {
			if err := oneOf(at+": policy", policy, "allow_all", "require_client_grant", "deny_all"); err != nil {
				return err
			}
		}
	}
	return nil
}

func (cfg *Config) checkClients() error {
	seen := map[string]bool{}
	served := map[string]bool{}
	for _, c := range cfg.Clients {
		at := fmt.Sprintf("client %q", c.ClientID)
		if err := unique(seen, "client", c.ClientID); err != nil {
			return err
		}
		if err := oneOf(at+": app_type", c.AppType, "", "regular_web", "native", "spa", "non_interactive", "resource_server"); err != nil {
			return err
		}
		if err := oneOf(at+": token_endpoint_auth_method", c.TokenEndpointAuthMethod,
			"", "client_secret_post", "client_secret_basic", "none"); err != nil {
			return err
		}
		if c.TokenEndpointAuthMethod != "none" && c.ClientSecret == "" {
			return fmt.Errorf("%s: client_secret is missing (or set token_endpoint_auth_method to none)", at)
		}
		if c.RequirePushedAuthorizationRequests && !cfg.Settings.PushedAuthorizationRequestsSupported {
			return fmt.Errorf("%s: it requires pushed authorization requests, which the tenant's settings do not support", at)
		}
		if err := oneOf(at+": organization_usage", c.OrganizationUsage, "", "deny", "allow", "require"); err != nil {
			return err
		}
		if d := c.DefaultOrganization; d != nil && cfg.Settings.organization(d.OrganizationID) == nil {
			return fmt.Errorf("%s: default_organization: no organization %q", at, d.OrganizationID)
		}
		if err := oneOf(at+": rotation_type", c.RefreshToken.RotationType, "rotating", "non-rotating"); err != nil {
			return err
		}
		if err := oneOf(at+": jwt_configuration.alg", c.JWTConfiguration.Alg, "", "RS256", "HS256"); err != nil {
			return err
		}
		if err := cfg.checkCustomAPIClient(at, c, served); err != nil {
			return err
		}
	}
	return nil
}

// checkCustomAPIClient: an Auth0 Custom API client belongs to exactly one API.
func (cfg *Config) checkCustomAPIClient(at string, c Client, served map[string]bool) error {
	if (c.AppType == "resource_server") != (c.ResourceServerIdentifier != "") {
		return fmt.Errorf("%s: app_type resource_server and resource_server_identifier go together", at)
	}
	if c.ResourceServerIdentifier == "" {
		return nil
	}
	if cfg.resourceServer(c.ResourceServerIdentifier) == nil {
		return fmt.Errorf("%s: no resource server %q", at, c.ResourceServerIdentifier)
	}
	return unique(served, "Custom API client of resource server", c.ResourceServerIdentifier)
}

func (cfg *Config) checkClientGrants() error {
	for _, g := range cfg.ClientGrants {
		if cfg.client(g.ClientID) == nil {
			return fmt.Errorf("client grant on %q: no client %q", g.Audience, g.ClientID)
		}
		if cfg.resourceServer(g.Audience) == nil {
			return fmt.Errorf("client grant of %q: no resource server %q", g.ClientID, g.Audience)
		}
		if err := oneOf("client grant: subject_type", g.SubjectType, "", "client", "user"); err != nil {
			return err
		}
	}
	return nil
}

func (cfg *Config) checkConnections() error {
	seen := map[string]bool{}
	for _, c := range cfg.Connections {
		if err := unique(seen, "connection", c.Name); err != nil {
			return err
		}
		if err := oneOf(fmt.Sprintf("connection %q: strategy", c.Name), c.Strategy, append(strategies(), databaseProvider)...); err != nil {
			return err
		}
		if at := c.option("authorizationURL", ""); c.Strategy == slack.strategy && at != "" && !strings.HasPrefix(at, "https://slack.com/") {
			return fmt.Errorf("connection %q: %s has no stand-in; of strategy oauth2 only https://slack.com/ has", c.Name, at)
		}
		for _, id := range c.EnabledClients {
			if cfg.client(id) == nil {
				return fmt.Errorf("connection %q: no client %q", c.Name, id)
			}
		}
	}
	return nil
}

func (cfg *Config) checkUsers() error {
	for _, a := range cfg.ProviderAccounts {
		if err := oneOf(fmt.Sprintf("provider account %q: strategy", a.Account), a.Strategy, strategies()...); err != nil {
			return err
		}
	}
	seen, identities := map[string]bool{}, map[string]bool{}
	for _, u := range cfg.Users {
		if err := unique(seen, "user", u.UserID); err != nil {
			return err
		}
		for _, a := range u.Authenticators {
			if err := oneOf(fmt.Sprintf("user %q: authenticator", u.UserID), a.Type, factorTypes...); err != nil {
				return err
			}
		}
		for _, i := range u.Identities {
			if err := unique(identities, "identity", i.Provider+"|"+i.UserID); err != nil {
				return err
			}
		}
		for _, a := range u.ConnectedAccounts {
			if c := cfg.connection(a.Connection); c == nil || c.Strategy == "auth0" {
				return fmt.Errorf("user %q: no connection %q to have an account on", u.UserID, a.Connection)
			}
		}
	}
	return nil
}

func (cfg *Config) resourceServer(identifier string) *ResourceServer {
	return find(cfg.ResourceServers, func(rs ResourceServer) bool { return rs.Identifier == identifier })
}

func (cfg *Config) client(id string) *Client {
	return find(cfg.Clients, func(c Client) bool { return c.ClientID == id })
}

func (cfg *Config) connection(name string) *Connection {
	return find(cfg.Connections, func(c Connection) bool { return c.Name == name })
}

// user finds a user by id.
func (cfg *Config) user(id string) *User {
	return find(cfg.Users, func(u User) bool { return u.UserID == id })
}

// userByLogin finds a user by what the login page takes. Who has a password
// for it comes first: a social user's e-mail address may be the same.
func (cfg *Config) userByLogin(name string) *User {
	if u := find(cfg.Users, func(u User) bool { return u.password(name) != "" }); u != nil {
		return u
	}
	return find(cfg.Users, func(u User) bool { return u.called(name) })
}

func (u *User) called(name string) bool {
	return name != "" && (strings.EqualFold(u.Email, name) || u.Username == name)
}

// grant finds the client grant for a subject type.
func (cfg *Config) grant(clientID, audience, subjectType string) *ClientGrant {
	return find(cfg.ClientGrants, func(g ClientGrant) bool {
		kind := g.SubjectType
		setDefault(&kind, "client")
		return g.ClientID == clientID && g.Audience == audience && kind == subjectType
	})
}

// active tells whether its accounts go into the vault. Auth0 takes the switch
// for a database too, which has no accounts.
func (c *Connection) active() bool {
	return c.ConnectedAccounts != nil && c.ConnectedAccounts.Active && c.social()
}

func (c *Connection) enabledFor(clientID string) bool {
	return slices.Contains(c.EnabledClients, clientID)
}

// option reads a text from the connection's options.
func (c *Connection) option(name, fallback string) string {
	if s, ok := c.Options[name].(string); ok && s != "" {
		return s
	}
	return fallback
}

// scopes are the ones set on the dashboard: a list, or for a custom social
// connection a text.
func (c *Connection) scopes() []string {
	var out []string
	switch set := c.Options["scope"].(type) {
	case string:
		out = splitScopes(set)
	case []any:
		for _, v := range set {
			if s, ok := v.(string); ok {
				out = append(out, s)
			}
		}
	}
	return noOffline(out)
}

// offline reports whether the operator asked the provider for refresh tokens.
func (c *Connection) offline() bool {
	if on, _ := c.Options["offline_access"].(bool); on {
		return true
	}
	list, _ := c.Options["scope"].([]any)
	return slices.Contains(list, any("offline_access"))
}

func find[T any](list []T, match func(T) bool) *T {
	if i := slices.IndexFunc(list, match); i >= 0 {
		return &list[i]
	}
	return nil
}

func unique(seen map[string]bool, what, name string) error {
	if name == "" {
		return fmt.Errorf("a %s has no name", what)
	}
	if seen[name] {
		return fmt.Errorf("%s %q is there twice", what, name)
	}
	seen[name] = true
	return nil
}

func oneOf(what, value string, allowed ...string) error {
	if slices.Contains(allowed, value) {
		return nil
	}
	return fmt.Errorf("%s is %q, expected one of %s", what, value, strings.TrimPrefix(strings.Join(allowed, ", "), ", "))
}
