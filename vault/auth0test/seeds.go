package auth0test

import "slices"

// Seeds is the tenant that runs without a config file: two users, an agent's
// client, the Custom API client that does the exchange, the regular web
// application of the link pages, a machine for the Management API, and two
// connections, google-oauth2 and github; and those of further strategies that are
// named (windowslive; oauth2, which is Slack). Every call returns a fresh copy, to be
// changed at will.
func Seeds(strategies ...string) Config {
	return Config{
		ResourceServers: seedResourceServers(),
		Clients:         seedClients(),
		ClientGrants:    seedClientGrants(),
		Connections:     seedConnections(strategies),
		Users:           seedUsers(),
		Settings: Settings{Organizations: []Organization{{
			ID: "org_example", Name: "example", DisplayName: "Example Inc.",
			Members: []string{"auth0|alice", "auth0|bob"},
		}}},
	}
}

// seedAudience is the API that agents call.
const seedAudience = "https://agents.example.com/"

func seedResourceServers() []ResourceServer {
	return []ResourceServer{
		{
			Name: "Agents API", Identifier: seedAudience, AllowOfflineAccess: true,
			SkipConsent: true,
			Scopes: []Scope{
				{Value: "read:calendar", Description: "Read calendars"},
				{Value: "write:calendar", Description: "Change calendars"},
				{Value: "read:repos", Description: "Read repositories"},
			},
		},
		{Name: myAccountName, Identifier: "{tenant}/me/", AllowOfflineAccess: true, SkipConsent: true},
	}
}

func seedClients() []Client {
	return []Client{
		{
			ClientID: "vault-exchange", ClientSecret: "vault-exchange-secret", Name: "Vault exchange",
			AppType: "resource_server", ResourceServerIdentifier: seedAudience,
			IsFirstParty: new(true), OIDCConformant: new(true),
			GrantTypes: []string{grantVault},
		},
		{
			ClientID: "link-pages", ClientSecret: "link-pages-secret", Name: "Link pages",
			AppType: "regular_web", OIDCConformant: new(true),
			GrantTypes:        []string{grantCode, grantRefresh},
			JWTConfiguration:  &JWTConfig{Alg: "RS256"},
			OrganizationUsage: "allow",
			Callbacks:         []string{"http://localhost:8080/auth/callback", "http://127.0.0.1:8080/auth/callback"},
			AllowedLogoutURLs: []string{
				"http://localhost:8080/auth/accounts", "http://127.0.0.1:8080/auth/accounts",
				"http://localhost:8080/", "http://127.0.0.1:8080/",
			},
		},
		{
			ClientID: "demo-agent", ClientSecret: "demo-agent-secret", Name: "Demo agent",
			AppType: "regular_web", OIDCConformant: new(true),
			GrantTypes:        []string{grantCode, grantRefresh, grantClientCredentials},
			OrganizationUsage: "allow",
			Callbacks:         []string{"http://localhost:8090/callback", "http://127.0.0.1:8090/callback"},
		},
		{
			ClientID: "tenant-management", ClientSecret: "tenant-management-secret", Name: "Tenant management",
			AppType: "non_interactive", OIDCConformant: new(true),
			GrantTypes: []string{grantClientCredentials},
		},
	}
}

func seedClientGrants() []ClientGrant {
	connected := []string{"create:me:connected_accounts", "read:me:connected_accounts", "delete:me:connected_accounts"}
	scopes := []string{"read:calendar", "write:calendar", "read:repos"}
	return []ClientGrant{
		{ID: "cgr_linkpagesaccount", ClientID: "link-pages", Audience: "{tenant}/me/", Scope: connected, SubjectType: "user"},
		{ID: "cgr_demoagentuser000", ClientID: "demo-agent", Audience: seedAudience, Scope: scopes, SubjectType: "user"},
		{ID: "cgr_demoagentclient0", ClientID: "demo-agent", Audience: seedAudience, Scope: scopes, SubjectType: "client"},
		{
			ID: "cgr_tenantmanagement", ClientID: "tenant-management", Audience: "{tenant}/api/v2/",
			Scope: seedManagementScopes(), SubjectType: "client",
		},
	}
}

// seedManagementScopes are what linking, checking and setting up a tenant
// need.
func seedManagementScopes() []string {
	scopes := []string{ //nolint:prealloc // once, at the start
		"read:users", "update:users", "read:authentication_methods", "read:client_keys",
		"read:tenant_settings", "read:mfa_policies", "read:guardian_factors",
	}
	for _, of := range []string{"clients", "client_grants", "connections", "resource_servers"} {
		scopes = append(scopes, "read:"+of, "create:"+of, "update:"+of)
	}
	return scopes
}

func seedConnections(further []string) []Connection {
	var out []Connection
	for _, p := range standIns {
		if p.extra && !slices.Contains(further, p.strategy) {
			continue
		}
		c := p.seed()
		c.Strategy, c.DisplayName = p.strategy, p.name
		c.Options["client_id"], c.Options["client_secret"] = p.credentials(&c)
		c.EnabledClients = []string{"vault-exchange", "link-pages", "demo-agent"}
		c.ConnectedAccounts, c.Authentication = &Active{true}, &Active{true}
		out = append(out, c)
	}
	return out
}

func seedUsers() []User {
	return []User{
		{
			UserID: "auth0|alice", Email: "alice@example.com", EmailVerified: true,
			Name: "Alice Example", Nickname: "alice", Password: "alice-password",
		},
		{
			UserID: "auth0|bob", Email: "bob@example.com", EmailVerified: true,
			Name: "Bob Example", Nickname: "bob", Password: "bob-password",
		},
	}
}

func myAccountScopes() []Scope {
	return []Scope{
		{Value: "create:me:connected_accounts", Description: "Create Connected Accounts"},
		{Value: "read:me:connected_accounts", Description: "Read Connected Accounts"},
		{Value: "delete:me:connected_accounts", Description: "Delete Connected Accounts"},
	}
}
