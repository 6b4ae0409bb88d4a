package caddymodule

import (
	"slices"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

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
