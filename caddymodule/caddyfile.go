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
	httpcaddyfile.RegisterGlobalOption("token_vault", parseTenantOption)

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
	if err := a.validate(); err != nil {
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

// words are the subdirectives of a block. Each parses its arguments.
type words map[string]func(*caddyfile.Dispenser) error

func parseBlock(d *caddyfile.Dispenser, known words) error {
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		parse, ok := known[d.Val()]
		if !ok {
			return d.Errf("unknown word %q: expected %s", d.Val(), known)
		}
		if err := parse(d); err != nil {
			return err
		}
	}
	return nil
}

// scalar parses one argument. what names it in errors.
func scalar(target *string, what string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		value, err := onlyArgument(d, *target != "", what)
		*target = value
		return err
	}
}

// checked is scalar for values that can be judged now; one with a placeholder
// is judged when it has been expanded.
func checked(target *string, what string, check func(string) error) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		value, err := onlyArgument(d, *target != "", what)
		if err != nil {
			return err
		}
		if !strings.Contains(value, "{") {
			if err := check(value); err != nil {
				return d.Errf("%s %q: %v; expected %s", word, value, err, what)
			}
		}
		*target = value
		return nil
	}
}

// choice parses one of a few words.
func choice(target *string, options ...string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		what := strings.Join(options, ", ")
		value, err := onlyArgument(d, *target != "", what)
		if err != nil {
			return err
		}
		if !slices.Contains(options, value) {
			return d.Errf("%s %q: expected one of %s", word, value, what)
		}
		*target = value
		return nil
	}
}

// listOf parses one argument or more. Lines add up.
func listOf(target *[]string, what string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		args := d.RemainingArgs()
		if len(args) == 0 || slices.Contains(args, "") {
			return d.Errf("%s: expected %s", word, what)
		}
		*target = append(*target, args...)
		return nil
	}
}

// scopeList parses one scope or more. Lines add up.
func scopeList(target *[]string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		var scopes []string
		if err := listOf(&scopes, "scopes, each an argument of its own")(d); err != nil {
			return err
		}
		if err := checkScopes(scopes); err != nil {
			return d.Errf("%s: %v", word, err)
		}
		*target = append(*target, scopes...)
		return nil
	}
}

// duration parses a positive duration.
func duration(target *caddy.Duration) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word := d.Val()
		const what = "a duration above zero, such as 10s"
		value, err := onlyArgument(d, *target != 0, what)
		if err != nil {
			return err
		}
		parsed, err := caddy.ParseDuration(value)
		if err != nil || parsed <= 0 {
			return d.Errf("%s %q: expected %s", word, value, what)
		}
		*target = caddy.Duration(parsed)
		return nil
	}
}

// onlyArgument returns the one argument of the current word.
func onlyArgument(d *caddyfile.Dispenser, given bool, what string) (string, error) {
	word := d.Val()
	if given {
		return "", d.Errf("%s: given twice", word)
	}
	args := d.RemainingArgs()
	if len(args) != 1 || args[0] == "" {
		return "", d.Errf("%s: expected one argument, %s, got %q", word, what, args)
	}
	return args[0], nil
}

// Interface guards
var (
	_ caddyfile.Unmarshaler = (*Handler)(nil)
	_ caddyfile.Unmarshaler = (*LinkHandler)(nil)
)
