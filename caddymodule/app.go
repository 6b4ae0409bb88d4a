package caddymodule

import (
	"cmp"
	"errors"
	"fmt"

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
