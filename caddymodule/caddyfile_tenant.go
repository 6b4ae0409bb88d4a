package caddymodule

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/tokenvault/caddy-token-vault/vault"
)

func init() {
	httpcaddyfile.RegisterGlobalOption("token_vault", parseTenantOption)
}

// parseTenantOption parses one global option token_vault into the app's
// configuration, beside the tenants that others configured before.
func parseTenantOption(d *caddyfile.Dispenser, existing any) (any, error) {
	app := appOf(existing)
	d.Next() // the option's name
	args := d.RemainingArgs()
	if len(args) > 1 {
		return nil, d.Errf("token_vault: expected at most one argument, the name of the tenant, got %d", len(args))
	}
	name := defaultTenant
	if len(args) == 1 {
		name = args[0]
	}
	if app.Tenants[name] != nil {
		return nil, d.Errf("token_vault: tenant %q is configured twice", name)
	}
	tenant := new(Tenant)
	if err := tenant.unmarshal(d); err != nil {
		return nil, err
	}
	app.Tenants[name] = tenant
	return httpcaddyfile.App{Name: appName, Value: caddyconfig.JSON(app, nil)}, nil
}

// appOf reads an option's value back.
func appOf(option any) *App {
	app := &App{Tenants: make(map[string]*Tenant)}
	if configured, ok := option.(httpcaddyfile.App); ok {
		_ = json.Unmarshal(configured.Value, app) // parseTenantOption wrote it
	}
	return app
}

// unmarshal sets up a tenant from a Caddyfile:
//
//	token_vault [<tenant>] {
//		domain    <host or https URL>
//		audience  <identifier>
//		client    <id> <secret> [client_secret_post | client_secret_basic]
//		allow_clients <client_id>...
//		algorithms RS256 | PS256 | ES256 ...
//		timeout   <duration>
//		management <id> <secret>
//		link {
//			origin    <url>
//			path      <path>
//			client    <id> <secret> [client_secret_post | client_secret_basic]
//			via       connected_accounts | link_account | management | url <template>
//			return_to <origin>...
//			client_name <client_id> <text>...
//			name      <text>
//			templates <dir>
//			prompt    auto | connection
//			key       <base64 32 bytes>...
//			require_mfa
//			require_verified_email
//			pin_ip
//			trust_email <connection>...
//		}
//		cache {
//			max_entries <n>
//			max_age     <duration>
//		}
//		budget {
//			user      <n>
//			tenant    <n>
//			exchanges <n>
//			waiting   <n>
//		}
//	}
func (t *Tenant) unmarshal(d *caddyfile.Dispenser) error {
	err := parseBlock(d, words{
		"domain": checked(&t.Domain, "a host or an https URL (http for loopback hosts only)", func(s string) error {
			_, err := vault.ParseDomain(s)
			return err
		}),
		"audience":      scalar(&t.Audience, "the identifier of an API"),
		"client":        client(&t.Client),
		"allow_clients": listOf(&t.AllowClients, "client ids, or *"),
		"algorithms":    choices(&t.Algorithms, "RS256", "PS256", "ES256"),
		"timeout":       duration(&t.Timeout),
		"management":    t.unmarshalManagement,
		"link":          block(&t.Link, (*Link).unmarshal),
		"cache":         block(&t.Cache, (*Cache).unmarshal),
		"budget":        block(&t.Budget, (*Budget).unmarshal),
	})
	switch {
	case err != nil:
		return err
	case t.Domain == "" || t.Audience == "" || t.Client == nil:
		return d.Err("token_vault: domain, audience and client are required")
	}
	cfg := t.viaConfig()
	if err := cfg.CheckVia(); err != nil && !hasPlaceholder(t.Link.Via) {
		return d.Errf("link: %v", err)
	}
	return nil
}

func (t *Tenant) unmarshalManagement(d *caddyfile.Dispenser) error {
	if t.Management != nil {
		return d.Err("management: given twice")
	}
	args := d.RemainingArgs()
	if len(args) != 2 || slices.Contains(args, "") {
		// The arguments may hold the secret.
		return d.Errf("management: expected a client id and a secret, got %d arguments", len(args))
	}
	t.Management = &Management{ID: args[0], Secret: args[1]}
	return nil
}

func (c *Cache) unmarshal(d *caddyfile.Dispenser) error {
	return parseBlock(d, words{
		"max_entries": count(&c.MaxEntries),
		"max_age":     duration(&c.MaxAge),
	})
}

func (b *Budget) unmarshal(d *caddyfile.Dispenser) error {
	return parseBlock(d, words{
		"user":      count(&b.User),
		"tenant":    count(&b.Tenant),
		"exchanges": count(&b.Exchanges),
		"waiting":   count(&b.Waiting),
	})
}

// client parses `client <id> <secret> [<method>]`.
func client(target **Client) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		if *target != nil {
			return d.Err("client: given twice")
		}
		args := d.RemainingArgs()
		if len(args) != 2 && len(args) != 3 {
			// The arguments may hold the secret.
			return d.Errf("client: expected an id, a secret, and perhaps client_secret_post or client_secret_basic; got %d arguments", len(args))
		}
		c := &Client{ID: args[0], Secret: args[1], AuthMethod: strings.Join(args[2:], "")}
		if _, err := vault.ParseAuthMethod(c.AuthMethod); err != nil && !hasPlaceholder(c.AuthMethod) {
			return d.Errf("client: %v", err)
		}
		*target = c
		return nil
	}
}

// choices parses one or more of a few words. Lines add up.
func choices(target *[]string, options ...string) func(*caddyfile.Dispenser) error {
	return func(d *caddyfile.Dispenser) error {
		word, what := d.Val(), "one or more of "+strings.Join(options, ", ")
		var values []string
		if err := listOf(&values, what)(d); err != nil {
			return err
		}
		for _, value := range values {
			if !slices.Contains(options, value) && !hasPlaceholder(value) {
				return d.Errf("%s %q: expected %s", word, value, what)
			}
		}
		*target = append(*target, values...)
		return nil
	}
}
