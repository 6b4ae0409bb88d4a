package tenantsetup

import (
	"cmp"
	"slices"
	"time"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// Needs is what one tenant block of a configuration, and the routes that name
// it, ask of an Auth0 tenant. Placeholders are expanded.
type Needs struct {
	// Tenant is what the configuration calls the tenant.
	Tenant string
	// Issuer is the tenant's issuer, with its slash at the end.
	Issuer string
	// Audience is the identifier of the API whose tokens agents send.
	Audience string
	// Algorithms are the signatures that count on these tokens.
	Algorithms []string
	// Timeout bounds one call to Auth0. Default: vault.DefaultTimeout.
	Timeout time.Duration
	// Exchange is the Custom API client.
	Exchange Client
	// Link is about the link pages; nil without them.
	Link *Link
	// Agents are those in allow_clients, but for `*`.
	Agents []Agent
	// AnyAgent is whether some route lets any agent through.
	AnyAgent bool
	// Permissions are the Auth0 scopes that routes require of agents' tokens.
	Permissions []string
	// Routes are the connections that routes use, with the scopes they need.
	Routes []Route
	// Management is the machine client for the Management API; its zero value
	// means that there is none.
	Management Client
	// Linker is the id of the machine client with which the pages may link
	// identities: the configuration's, which Management need not be. Default: none.
	Linker string
	// User is the person that doctor is asked about: a user id or an e-mail
	// address. Default: nobody.
	User string
	// CreateAgents makes setup create applications for agents that there are none
	// for.
	CreateAgents bool
	// ManagementDomain is the issuer of the tenant's own domain, where Issuer is
	// a custom domain. Default: Issuer.
	ManagementDomain string
}

// Client is a client of the tenant, as the configuration has it.
type Client struct {
	ID string
	// Secret may be empty for a client that is yet to be created.
	Secret vault.Secret
	// IDVariable and SecretVariable are the environment variables that the
	// configuration takes both from.
	IDVariable, SecretVariable string
}

// Agent is an agent that the configuration names.
type Agent struct {
	ID string
	// Name is what it is called; its id, if it has none.
	Name string
	// IDVariable is the environment variable that the configuration takes the id
	// from; empty if it is not known to take it from one.
	IDVariable string
}

// Link is what the link pages need.
type Link struct {
	Client Client
	// Callback and Accounts are URLs of the pages: where Auth0 sends a browser
	// after a login, and after a logout.
	Callback, Accounts string
	// Name is the product's name, which people see when they sign in.
	Name string
	// Via is how accounts are connected.
	Via linkflow.Via
	// TrustEmail are the connections that are believed about e-mail addresses.
	TrustEmail []string
}

// identities tells whether the pages link identities.
func (l *Link) identities() bool {
	return l != nil && l.Via.Merges()
}

// Route is a connection that some route uses.
type Route struct {
	Connection string
	// Scopes are the least that an account has to grant, MaxScopes the most; nil
	// means any.
	Scopes, MaxScopes []string
	// OneAccount is whether the configuration names one account by its id at the
	// provider, and so neither Auth0 nor the agent chooses.
	OneAccount bool
}

// connections returns the names of the connections, each once: those of routes,
// and those that the pages trust.
func (n *Needs) connections() (names []string) {
	add := func(name string) {
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	for _, route := range n.Routes {
		add(route.Connection)
	}
	if n.Link != nil {
		for _, name := range n.Link.TrustEmail {
			add(name)
		}
	}
	return names
}

// inRoute tells whether some route uses a connection.
func (n *Needs) inRoute(connection string) bool {
	return slices.ContainsFunc(n.Routes, func(r Route) bool { return r.Connection == connection })
}

// scopesOf returns all scopes that routes need on a connection, each once.
func (n *Needs) scopesOf(connection string) (scopes []string) {
	for _, route := range n.Routes {
		if route.Connection == connection {
			scopes = vault.MergeScopes(connection, scopes, route.Scopes)
		}
	}
	return scopes
}

// clientsOf returns the clients that have to use a connection: on routes the
// exchange, and the link pages, where people connect it or sign in through it.
func (n *Needs) clientsOf(connection string) (ids []string) {
	if n.inRoute(connection) {
		ids = append(ids, n.Exchange.ID)
	}
	if n.Link != nil {
		ids = append(ids, n.Link.Client.ID)
	}
	return ids
}

// managementIssuer is where the Management API is, with its slash at the end.
func (n *Needs) managementIssuer() string { return cmp.Or(n.ManagementDomain, n.Issuer) }

// myAccount is the identifier of the My Account API on the tenant's own domain.
func (n *Needs) myAccount() string { return n.managementIssuer() + "me/" }

func (n *Needs) timeout() time.Duration { return cmp.Or(n.Timeout, vault.DefaultTimeout) }

// secrets are what no output may repeat.
func (n *Needs) secrets() []string {
	secrets := []string{n.Exchange.Secret.Reveal(), n.Management.Secret.Reveal()}
	if n.Link != nil {
		secrets = append(secrets, n.Link.Client.Secret.Reveal())
	}
	return secrets
}

const (
	grantVault        = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
	grantCode         = "authorization_code"
	grantDeviceCode   = "urn:ietf:params:oauth:grant-type:device_code"
	grantRefreshToken = "refresh_token"

	subjectUser = "user"
)

// accountScopes are what the link pages ask of the My Account API.
var accountScopes = []string{"create:me:connected_accounts", "read:me:connected_accounts", "delete:me:connected_accounts"}
