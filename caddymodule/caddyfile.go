package caddymodule

import (
	"cmp"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

func init() {
	// After every standard directive that authenticates or changes request
	// headers: token_vault passes on a copy, which they would not see.
	httpcaddyfile.RegisterHandlerDirective("token_vault", parseHandler)
	httpcaddyfile.RegisterDirectiveOrder("token_vault", httpcaddyfile.After, "request_header")

	// Before the first one that authenticates: the pages have their own login.
	httpcaddyfile.RegisterHandlerDirective("token_vault_link", parseLinkHandler)
	httpcaddyfile.RegisterDirectiveOrder("token_vault_link", httpcaddyfile.Before, "basicauth")
}

func parseHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(Handler)
	err := handler.unmarshal(h.Dispenser, tenantChecker(h))
	return handler, err
}

// UnmarshalCaddyfile sets up the handler from a Caddyfile:
//
//	token_vault [<matcher>] <connection> {
//		tenant         <name>
//		scopes         <scope>...
//		max_scopes     <scope>...
//		login_hint     <text>
//		require_scopes <scope>...
//		allow_clients  <client_id>...
//		attach         bearer | header <name> [<prefix>] | basic <username>
//		on_missing     problem | redirect | error
//		hold           <duration> [any]
//	}
//
// Lists accumulate over lines.
func (h *Handler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	return h.unmarshal(d, func(string) error { return nil })
}

func (h *Handler) unmarshal(d *caddyfile.Dispenser, checkTenant func(string) error) error {
	d.Next() // the directive's name
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return d.Errf("token_vault: expected one argument, the name of an Auth0 connection, got %q", args)
	}
	h.Connection = args[0]
	err := parseBlock(d, words{
		"tenant": func(d *caddyfile.Dispenser) error {
			if err := scalar(&h.Tenant, "the name of a tenant")(d); err != nil {
				return err
			}
			return checkTenant(h.Tenant)
		},
		"scopes":         scopeList(&h.Scopes),
		"max_scopes":     scopeList(&h.MaxScopes),
		"login_hint":     scalar(&h.LoginHint, "the user's id at the provider"),
		"require_scopes": scopeList(&h.RequireScopes),
		"allow_clients":  listOf(&h.AllowClients, "client ids, or *"),
		"attach":         h.Attach.unmarshal,
		"on_missing":     choice(&h.OnMissing, onMissingWords...),
		"hold":           h.unmarshalHold,
	})
	if err != nil || h.Tenant != "" {
		return err
	}
	return checkTenant(defaultTenant)
}

func (h *Handler) unmarshalHold(d *caddyfile.Dispenser) error {
	const grammar = "hold: expected a duration above zero and up to " + maxHoldShort + ", and perhaps any"
	if h.Hold != 0 {
		return d.Err("hold: given twice")
	}
	args := d.RemainingArgs()
	h.HoldAny = len(args) == 2 && args[1] == "any"
	if len(args) != 1 && !h.HoldAny {
		return d.Errf("%s, got %q", grammar, args)
	}
	parsed, err := caddy.ParseDuration(args[0])
	if err != nil || parsed <= 0 || parsed > maxHold {
		return d.Errf("%s, got %q", grammar, args)
	}
	h.Hold = caddy.Duration(parsed)
	return nil
}

func (a *Attach) unmarshal(d *caddyfile.Dispenser) error {
	const grammar = "attach: expected bearer, header <name> [<prefix>], or basic <username>"
	if a.Scheme != "" {
		return d.Err("attach: given twice")
	}
	args := d.RemainingArgs()
	switch {
	case len(args) == 1 && args[0] == "bearer":
	case (len(args) == 2 || len(args) == 3) && args[0] == "header":
		a.Name = args[1]
		a.Prefix = strings.Join(args[2:], "")
	case len(args) == 2 && args[0] == "basic":
		a.Username = args[1]
	default:
		return d.Errf("%s, got %q", grammar, strings.Join(args, " "))
	}
	a.Scheme = args[0]
	if err := a.validate(); err != nil && !slices.ContainsFunc(args, hasPlaceholder) {
		return d.Errf("attach: %v", err)
	}
	return nil
}

func parseLinkHandler(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
	handler := new(LinkHandler)
	if err := handler.UnmarshalCaddyfile(h.Dispenser); err != nil {
		return nil, err
	}
	return handler, tenantChecker(h)(handler.Tenant)
}

// UnmarshalCaddyfile sets up the handler from a Caddyfile:
//
//	token_vault_link [<matcher>] [<tenant>]
func (h *LinkHandler) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive's name
	args := d.RemainingArgs()
	if len(args) > 1 {
		return d.Errf("token_vault_link: expected at most one argument, the name of a tenant, got %d", len(args))
	}
	h.Tenant = strings.Join(args, "")
	return parseBlock(d, words{})
}

// tenantChecker finds a misspelt tenant while there still is a line to name.
func tenantChecker(h httpcaddyfile.Helper) func(string) error {
	tenants := appOf(h.Option(appName)).Tenants
	return func(name string) error {
		name = cmp.Or(name, defaultTenant)
		if tenants[name] == nil {
			return h.Errf("tenant %q: expected one that a global token_vault option configures", name)
		}
		return nil
	}
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Handler)(nil)
	_ caddyfile.Unmarshaler = (*LinkHandler)(nil)
)
