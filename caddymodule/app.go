package caddymodule

import (
	"errors"
	"fmt"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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
// cached for a tenant as long as its domain and client ids stay the same.
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

// Start warns of sites that will not do what was meant. It has to wait until
// now for the HTTP app to be complete.
func (a *App) Start() error {
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil // no HTTP app, no routes
	}
	served := make(map[*Tenant]bool)
	for name, server := range app.(*caddyhttp.App).Servers {
		var agents, pages []caddyhttp.Route // of this server
		for _, route := range server.Routes {
			a, p := findHandlers(route.Handlers)
			if len(a) > 0 {
				agents = append(agents, route)
			}
			if len(p) > 0 {
				pages = append(pages, route)
			}
			for _, page := range p {
				served[page.tenant] = true
			}
		}
		if sharesHost(agents, pages) {
			a.logger.Warn("token_vault and token_vault_link share a site: what the upstreams answer can then act as the link pages' origin in a browser; give the pages a host of their own",
				zap.String("server", name))
		}
	}
	for _, tenant := range a.Tenants {
		if tenant.flow != nil && !served[tenant] {
			tenant.logger.Warn("no site here serves the link pages: links lead nowhere unless another Caddy has token_vault_link for this tenant")
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
	if name == "" {
		name = defaultTenant
	}
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

// sharesHost tells whether one of agents and one of pages serve the same host.
func sharesHost(agents, pages []caddyhttp.Route) bool {
	for _, agent := range agents {
		for _, page := range pages {
			a, p := hostsOf(agent), hostsOf(page)
			if len(a) == 0 || len(p) == 0 || slices.ContainsFunc(a, func(host string) bool { return slices.Contains(p, host) }) {
				return true
			}
		}
	}
	return false
}

// hostsOf returns the hosts that a route is for; none means any.
func hostsOf(route caddyhttp.Route) (hosts []string) {
	for _, set := range route.MatcherSets {
		for _, matcher := range set {
			if match, ok := matcher.(*caddyhttp.MatchHost); ok {
				hosts = append(hosts, *match...)
			}
		}
	}
	return hosts
}

// findHandlers returns those of our handlers that are among these, at any depth.
func findHandlers(handlers []caddyhttp.MiddlewareHandler) (agents []*Handler, pages []*LinkHandler) {
	for _, handler := range handlers {
		switch handler := handler.(type) {
		case *Handler:
			agents = append(agents, handler)
		case *LinkHandler:
			pages = append(pages, handler)
		case *caddyhttp.Subroute:
			for _, route := range handler.Routes {
				a, p := findHandlers(route.Handlers)
				agents, pages = append(agents, a...), append(pages, p...)
			}
		}
	}
	return agents, pages
}

// pool holds what outlives a configuration, by domain and client ids: not by
// secrets, so that changing one empties no cache.
var pool = caddy.NewUsagePool()

// shared is what the configurations of one tenant have in common over time.
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
