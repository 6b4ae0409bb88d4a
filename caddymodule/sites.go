package caddymodule

import (
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
		logger := a.logger.With(zap.String("server", name))
		if err := warnOf(server, served, logger); err != nil {
			return err
		}
	}
	for _, tenant := range a.Tenants {
		if tenant.flow != nil && !served[tenant] {
			tenant.logger.Warn("no site here serves the link pages: links lead nowhere unless another Caddy has token_vault_link for this tenant")
		}
	}
	return nil
}

// warnOf warns of what is wrong on one server, and notes whose pages it serves.
func warnOf(server *caddyhttp.Server, served map[*Tenant]bool, logger *zap.Logger) error {
	var agents, pages []hosts
	exposed := make(map[*Handler]bool)
	err := walkServer(server, func(handler any, at place) {
		switch handler := handler.(type) {
		case *Handler:
			agents = append(agents, at.hosts)
		case *LinkHandler:
			pages = append(pages, at.hosts)
			served[handler.tenant] = true
		case *caddyhttp.Subroute:
			if at.behind != nil && handler.Errors != nil && !exposed[at.behind] {
				exposed[at.behind] = true
				logger.Warn("the errors of a subroute behind token_vault run on the request with the provider's token, and send it on where they have an upstream: put them around token_vault, or remove the header there",
					zap.String("connection", at.behind.Connection), zap.String("header", at.behind.tokenHeader))
			}
		}
	})
	if overlap(agents, pages) {
		logger.Warn("token_vault and token_vault_link share a site: what the upstreams answer can then act as the link pages' origin in a browser; give the pages a host of their own")
	}
	return err
}
