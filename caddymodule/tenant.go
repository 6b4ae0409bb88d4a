package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

func init() {
	caddy.RegisterModule(App{})
}

const (
	appName       = "token_vault"
	defaultTenant = "default"
)

// App holds the Auth0 tenants whose users' accounts the `token_vault` routes
// use. Handlers name a tenant; the one they mean without a name is "default".
//
// Loading it makes no network call and writes nothing. A reload keeps what is
// cached for a tenant as long as its domain stays the same.
type App struct {
	// Tenants by the name that handlers use. At least one is required.
	Tenants map[string]*Tenant `json:"tenants,omitempty"`

	ctx    caddy.Context
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: appName, New: func() caddy.Module { return new(App) }}
}

// Provision sets up every tenant.
func (a *App) Provision(ctx caddy.Context) error {
	a.ctx, a.logger = ctx, ctx.Logger()
	if len(a.Tenants) == 0 {
		return fmt.Errorf("no tenant is configured")
	}
	for name, tenant := range a.Tenants {
		if tenant == nil {
			return fmt.Errorf("tenant %s: empty", name)
		}
		if err := tenant.provision(ctx, name, a.logger.With(zap.String("tenant", name))); err != nil {
			return fmt.Errorf("tenant %s: %w", name, err)
		}
	}
	return nil
}

// Stop implements caddy.App. There is nothing to stop.
func (*App) Stop() error { return nil }

// Cleanup gives back what the tenants share with other configurations.
func (a *App) Cleanup() error {
	for _, tenant := range a.Tenants {
		if tenant != nil {
			tenant.cleanup()
		}
	}
	return nil
}

// tenant returns the tenant of that name; empty means the default one.
func (a *App) tenant(name string) (*Tenant, error) {
	name = cmp.Or(name, defaultTenant)
	if tenant, ok := a.Tenants[name]; ok {
		return tenant, nil
	}
	return nil, fmt.Errorf("tenant %q is not configured in the token_vault app", name)
}

// findTenant returns the tenant that a handler names.
func findTenant(ctx caddy.Context, name string) (*Tenant, error) {
	app, err := ctx.AppIfConfigured(appName)
	if errors.Is(err, caddy.ErrNotConfigured) {
		return nil, fmt.Errorf("the token_vault app has to be configured, in the Caddyfile by the global option token_vault: %w", err)
	}
	if err != nil {
		return nil, err
	}
	return app.(*App).tenant(name)
}

// pool holds what outlives a configuration, by domain: not by clients or
// secrets, so that changing one empties no cache, and what a person disconnects
// is forgotten whichever tenant block it was used by.
var pool = caddy.NewUsagePool()

// shared is what the configurations of one Auth0 tenant have in common, over time
// and side by side.
type shared struct {
	cache    *vault.Cache
	outcomes *linkflow.Outcomes
}

// Destruct runs when no configuration uses the tenant any more. Requests may
// still be on their way, so it ends nothing that they need.
func (s *shared) Destruct() error {
	s.cache.CloseIdleConnections()
	return nil
}

// Interface guards
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
	_ caddy.Destructor   = (*shared)(nil)
)

// Tenant is one Auth0 tenant, one API of it, and the clients that act for it.
//
// Every text may hold placeholders such as `{env.AUTH0_CLIENT_SECRET}` or
// `{file./run/secrets/auth0}`, except where it says otherwise. They are expanded
// once, when the configuration loads. One that is missing or empty fails the load.
// So does any other brace but `\{` and `\}`, and white space in all but secrets, names
// that people see, `templates`, and what is attached.
type Tenant struct {
	// The tenant's or its custom domain's host, or an https URL of it. An http
	// URL is accepted for loopback hosts only. Required.
	Domain string `json:"domain,omitempty"`

	// The identifier of the API whose access tokens agents send. Required.
	Audience string `json:"audience,omitempty"`

	// The Custom API client that is linked to this API and has the Token Vault
	// grant: it does the exchange. Required.
	Client *Client `json:"client,omitempty"`

	// Client ids of the agents that routes without an `allow_clients` of their
	// own let through; `*` means any. Default: none.
	AllowClients []string `json:"allow_clients,omitempty"`

	// Signature algorithms that count: RS256, PS256, ES256. Default: RS256.
	Algorithms []string `json:"algorithms,omitempty"`

	// How long one call to Auth0 may take. Default: 10s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// A machine-to-machine application that may read users (`read:users`) and change
	// their identities (`update:users`) by the Management API. `link.trust_email`
	// needs it; linking uses it where Auth0 does not take the person's own token.
	// Default: none.
	Management *Management `json:"management,omitempty"`

	// The pages on which people connect accounts. Default: none; answers to
	// agents then have no link.
	Link *Link `json:"link,omitempty"`

	// How much is kept in memory, and for how long.
	Cache *Cache `json:"cache,omitempty"`

	// How many calls to Auth0 may be made.
	Budget *Budget `json:"budget,omitempty"`

	name         string
	allowClients []string // expanded
	logger       *zap.Logger
	vault        *vault.Client
	flow         *linkflow.Flow // nil without Link
	offers       offers
	key          string // in pool; empty if nothing was taken from it
}

// Client is a client (application) of the Auth0 tenant.
type Client struct {
	// The client id. Required.
	ID string `json:"id,omitempty"`

	// The client secret. Required.
	Secret string `json:"secret,omitempty" text:"is Auth0's to choose"`

	// How the client authenticates: `client_secret_post` or
	// `client_secret_basic`. Default: `client_secret_post`.
	AuthMethod string `json:"auth_method,omitempty"`
}

// Management is an application of the Auth0 tenant that acts for itself, by client
// credentials, on the Management API.
type Management struct {
	// The client id. Required.
	ID string `json:"id,omitempty"`

	// The client secret. Required.
	Secret string `json:"secret,omitempty" text:"is Auth0's to choose"`
}

// Cache bounds what is kept in memory.
type Cache struct {
	// How many answers of the vault are kept, and how many access tokens that were
	// verified and are still used. Default: 100000.
	MaxEntries int `json:"max_entries,omitempty"`

	// How long a provider's token is kept at most, and thus the longest that a
	// link revoked elsewhere lives on here. Default: 1h.
	MaxAge caddy.Duration `json:"max_age,omitempty"`
}

// Budget bounds the calls to Auth0, so that a looping agent does not spend the
// tenant's rate limit, and what waits for them, so that a slow tenant does not
// fill the memory.
type Budget struct {
	// Exchanges that one agent may cause for one user in a minute. Default: 300.
	User int `json:"user,omitempty"`

	// Calls a second that may go to the tenant, ten seconds' worth at once.
	// Default: 100.
	Tenant int `json:"tenant,omitempty"`

	// Exchanges under way at once. Further ones wait for half of `timeout` at most.
	// Default: 256.
	Exchanges int `json:"exchanges,omitempty"`

	// Requests that may wait for an exchange at once. Default: 20000.
	Waiting int `json:"waiting,omitempty"`
}

func (t *Tenant) provision(ctx caddy.Context, name string, logger *zap.Logger) error {
	t.name, t.logger = name, logger
	e, err := expanded(t) // the secrets are not to stay
	if err != nil {
		return err
	}
	if err := e.Management.check(); err != nil {
		return err
	}
	t.allowClients = e.AllowClients
	cfg, err := e.vaultConfig()
	if err != nil {
		return err
	}
	linkCfg, err := e.linkConfig(ctx, t)
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	common, err := t.share(cfg.Domain)
	if err != nil {
		return err
	}
	cfg.Cache, linkCfg.Outcomes = common.cache, common.outcomes
	if t.vault, err = vault.New(cfg); err != nil {
		return err
	}
	if t.Link == nil {
		logger.Warn("without a link block, agents are told that an account is not connected, but get no link")
		return nil
	}
	linkCfg.Vault = t.vault
	if t.flow, err = linkflow.New(linkCfg); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	return nil
}

// vaultConfig is what the vault needs to know.
func (t *Tenant) vaultConfig() (cfg vault.Config, err error) {
	if t.Client == nil {
		return cfg, errors.New("client: required")
	}
	cfg = vault.Config{
		Domain:       t.Domain,
		Audience:     t.Audience,
		ClientID:     t.Client.ID,
		ClientSecret: vault.NewSecret(t.Client.Secret),
		AuthMethod:   t.Client.AuthMethod,
		Algorithms:   t.Algorithms,
		Timeout:      time.Duration(t.Timeout),
	}
	if t.Cache != nil {
		cfg.MaxEntries, cfg.MaxAge = t.Cache.MaxEntries, time.Duration(t.Cache.MaxAge)
	}
	if t.Budget != nil {
		cfg.UserBudget, cfg.TenantBudget = t.Budget.User, t.Budget.Tenant
		cfg.MaxExchanges, cfg.MaxWaiting = t.Budget.Exchanges, t.Budget.Waiting
	}
	return cfg, nil
}

// share takes from the pool what all who use this Auth0 tenant have in common.
func (t *Tenant) share(domain string) (*shared, error) {
	issuer, err := vault.ParseDomain(domain)
	if err != nil {
		return nil, fmt.Errorf("domain: %w", err)
	}
	value, _, err := pool.LoadOrNew(issuer, func() (caddy.Destructor, error) {
		return &shared{cache: vault.NewCache(), outcomes: linkflow.NewOutcomes()}, nil
	})
	if err != nil {
		return nil, err
	}
	t.key = issuer
	return value.(*shared), nil
}

func (t *Tenant) cleanup() {
	if t.key != "" {
		_, _ = pool.Delete(t.key) // a Destruct of ours does not fail
		t.key = ""
	}
}

// check tells what is missing.
func (m *Management) check() error {
	switch {
	case m == nil:
		return nil
	case m.ID == "":
		return errors.New("management: id: required")
	case m.Secret == "":
		return errors.New("management: secret: required")
	}
	return nil
}

// offers are what the routes of one configuration ask of users' accounts:
// scopes by connection.
type offers struct {
	mu     sync.Mutex
	scopes map[string][]string
}

// add notes what one more route asks for.
func (o *offers) add(connection string, scopes []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.scopes == nil {
		o.scopes = make(map[string][]string)
	}
	o.scopes[connection] = vault.MergeScopes(connection, o.scopes[connection], scopes)
}

// find tells whether some route uses the connection, and what for.
func (o *offers) find(connection string) (scopes []string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	scopes, ok = o.scopes[connection]
	return scopes, ok
}
