package tenantsetup

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/auth0/go-auth0/management"
)

// clientRule is what one member of a client has to be.
type clientRule struct {
	check    string
	good     func(*management.Client) bool
	found    func(*management.Client) string
	expected string
	where    string // in the client's page of the Dashboard
	// members are what PATCH sends to mend it; nil where that takes another client.
	members func(*management.Client) map[string]any
}

func (r clientRule) judge(c *management.Client) Finding {
	if r.good(c) {
		return fine(r.check, r.found(c))
	}
	f := wrong(r.check, r.found(c), r.expected, "Applications > Applications > "+c.GetName()+" > "+r.where)
	if r.members == nil {
		return f
	}
	return f.mendedBy(Change{What: "application " + c.GetName(), Method: "PATCH", Path: []string{"clients", c.GetClientID()}, Body: r.members(c)})
}

// exchangeRules are what the exchange takes of its client (Auth0: Configure Token
// Vault).
func exchangeRules(n *Needs) []clientRule {
	return []clientRule{
		{
			check: "client.linked", expected: "a Custom API client of " + n.Audience + " (app_type resource_server): another id in client",
			good: func(c *management.Client) bool {
				return c.GetAppType() == "resource_server" && c.GetResourceServerIdentifier() == n.Audience
			},
			found: func(c *management.Client) string {
				if api := c.GetResourceServerIdentifier(); api != "" {
					return "linked to the API " + api
				}
				return "linked to no API, app_type " + c.GetAppType()
			},
			where: "none; Applications > APIs > (the API) > Add Application",
		},
		{
			check: "client.first_party", expected: "is_first_party true", where: "Settings > Advanced",
			good: (*management.Client).GetIsFirstParty,
			found: func(c *management.Client) string {
				return either(c.GetIsFirstParty(), "first-party", "third-party")
			},
			members: func(*management.Client) map[string]any { return map[string]any{"is_first_party": true} },
		},
		{
			check: "client.oidc_conformant", expected: "oidc_conformant true", where: "Settings > Advanced > OAuth > OIDC Conformant",
			good: (*management.Client).GetOIDCConformant,
			found: func(c *management.Client) string {
				return either(c.GetOIDCConformant(), "OIDC-conformant", "not OIDC-conformant")
			},
			members: func(*management.Client) map[string]any { return map[string]any{"oidc_conformant": true} },
		},
		authMethodRule("client.auth_method"),
		grantRule("client.grant", grantVault, "the Token Vault grant"),
	}
}

// linkRules are what the link pages take of their application.
func linkRules(n *Needs) []clientRule {
	return []clientRule{
		{
			check: "link.app_type", expected: "a regular web application of its own: another id in the link block's client", where: "none; Applications > Create Application",
			good:  func(c *management.Client) bool { return c.GetAppType() == "regular_web" },
			found: func(c *management.Client) string { return "app_type " + c.GetAppType() },
		},
		{
			check: "link.callback", expected: n.Link.Callback, where: "Settings > Allowed Callback URLs",
			good: func(c *management.Client) bool { return slices.Contains(c.GetCallbacks(), n.Link.Callback) },
			found: func(c *management.Client) string {
				return "callbacks " + list(c.GetCallbacks())
			},
			members: func(c *management.Client) map[string]any {
				return map[string]any{"callbacks": append(slices.Clone(c.GetCallbacks()), n.Link.Callback)}
			},
		},
		{
			check: "link.logout_url", expected: n.Link.Accounts + ", first", where: "Settings > Allowed Logout URLs",
			// The pages name no address when they sign out: Auth0 takes the first.
			good: func(c *management.Client) bool {
				urls := c.GetAllowedLogoutURLs()
				return len(urls) > 0 && urls[0] == n.Link.Accounts
			},
			found: func(c *management.Client) string { return "logout URLs " + list(c.GetAllowedLogoutURLs()) },
			members: func(c *management.Client) map[string]any {
				others := slices.DeleteFunc(slices.Clone(c.GetAllowedLogoutURLs()), func(u string) bool { return u == n.Link.Accounts })
				return map[string]any{"allowed_logout_urls": append([]string{n.Link.Accounts}, others...)}
			},
		},
		authMethodRule("link.auth_method"),
		grantRule("link.grant", grantCode, grantCode),
	}
}

// authMethodRule: a client with a secret, which Auth0 takes in the body and as
// Basic credentials alike. A client that says nothing has one, unless it has keys.
func authMethodRule(check string) clientRule {
	return clientRule{
		check: check, expected: "client_secret_post or client_secret_basic", where: "Credentials > Authentication Method",
		good: func(c *management.Client) bool {
			method := c.GetTokenEndpointAuthMethod()
			return method == "client_secret_post" || method == "client_secret_basic" || method == "" && c.ClientAuthenticationMethods == nil
		},
		found: func(c *management.Client) string {
			return either(c.ClientAuthenticationMethods != nil, "authenticates with keys, not with a secret",
				"authentication method "+cmp.Or(c.GetTokenEndpointAuthMethod(), "client_secret_post, by default"))
		},
		members: func(*management.Client) map[string]any {
			return map[string]any{"token_endpoint_auth_method": "client_secret_post"}
		},
	}
}

func grantRule(check, grant, name string) clientRule {
	has := func(c *management.Client) bool { return slices.Contains(c.GetGrantTypes(), grant) }
	return clientRule{
		check: check, expected: "grant_types with " + grant, where: "Settings > Advanced > Grant Types",
		good:  has,
		found: func(c *management.Client) string { return either(has(c), name, "grant types "+list(c.GetGrantTypes())) },
		members: func(c *management.Client) map[string]any { // PATCH replaces the whole list
			return map[string]any{"grant_types": append(slices.Clone(c.GetGrantTypes()), grant)}
		},
	}
}

func checkExchange(n *Needs, o *observed) []Finding {
	if err := cmp.Or(o.management, o.clients.err); err != nil {
		return append(probedClient("client", "the Token Vault grant; first-party, OIDC-conformant, and not public", o.probes.exchange),
			unseenAll(err, "client.linked", "client.first_party", "client.oidc_conformant", "client.auth_method")...)
	}
	c := o.clients.value[n.Exchange.ID]
	if c == nil {
		return []Finding{missingExchange(n, o)}
	}
	findings := []Finding{fine("client.exists", "application "+c.GetName())}
	for _, rule := range exchangeRules(n) {
		if rule.check != "client.linked" || o.apis.value[n.Audience] != nil {
			findings = append(findings, rule.judge(c))
		}
	}
	return append(findings, secretOf("client", c, o.probes.exchange)...)
}

func checkLink(n *Needs, o *observed) []Finding {
	if n.Link == nil {
		return nil
	}
	if err := cmp.Or(o.management, o.clients.err); err != nil {
		return append(append(probedClient("link", "the grant "+grantCode, o.probes.login), probedURLs(n, o)...),
			unseenAll(err, "link.app_type", "link.auth_method")...)
	}
	c := o.clients.value[n.Link.Client.ID]
	if c == nil {
		return []Finding{missingLink(n)}
	}
	findings := []Finding{fine("link.exists", "application "+c.GetName())}
	for _, rule := range linkRules(n) {
		findings = append(findings, rule.judge(c))
	}
	return append(findings, secretOf("link", c, o.probes.login)...)
}

func missingExchange(n *Needs, o *observed) Finding {
	found := "no application " + orNone(n.Exchange.ID)
	if rs := o.apis.value[n.Audience]; rs.GetClientID() != "" {
		found += "; the API's is " + rs.GetClientID()
	}
	return wrong("client.exists", found, "the Custom API client of "+n.Audience, "Applications > APIs > (the API) > Add Application").
		mendedBy(Change{What: "the Custom API client", Method: "POST", Path: []string{"clients"}, as: newExchange, Body: map[string]any{
			"name": "Token Vault exchange", "app_type": "resource_server", "resource_server_identifier": n.Audience,
			"grant_types": []string{grantVault},
		}})
}

func missingLink(n *Needs) Finding {
	return wrong("link.exists", "no application "+orNone(n.Link.Client.ID), "the regular web application of the link pages", "Applications > Create Application").
		mendedBy(Change{What: "the link pages' application", Method: "POST", Path: []string{"clients"}, as: newLink, Body: map[string]any{
			"name": n.Link.Name, "app_type": "regular_web", "grant_types": []string{grantCode},
			"callbacks": []string{n.Link.Callback}, "allowed_logout_urls": []string{n.Link.Accounts},
			"oidc_conformant": true,
		}})
}

// secretOf is what a probe says of a client's secret.
func secretOf(group string, c *management.Client, v verdict) []Finding {
	id := group + ".secret"
	switch {
	case c.GetTokenEndpointAuthMethod() == "none":
		return nil // there is none
	case v == badClient:
		return []Finding{wrong(id, "Auth0 refuses its secret", "the secret of "+c.GetClientID(),
			"Applications > Applications > "+c.GetName()+" > Settings > Client Secret")}
	case v == unclear:
		return []Finding{unseen(id, errUnclear)}
	}
	return []Finding{fine(id, "Auth0 accepts its secret")}
}

var errUnclear = errors.New("the tenant's answer does not tell")

// probedClient is what a probe alone says of a client.
func probedClient(group, grant string, v verdict) []Finding {
	const where = "Applications > Applications"
	switch v {
	case badClient:
		return append([]Finding{wrong(group+".secret", "Auth0 refuses its id or its secret", "those of one application", where)},
			unseen(group+".grant", errUnclear))
	case badGrant:
		return []Finding{fine(group+".secret", "Auth0 accepts its id and secret"),
			wrong(group+".grant", "Auth0 does not let it", grant, where+" > (the application) > Settings > Advanced > Grant Types")}
	case accepted:
		return []Finding{fine(group+".secret", "Auth0 accepts its id and secret"), fine(group+".grant", "Auth0 lets it use its grant")}
	}
	return unseenAll(errUnclear, group+".secret", group+".grant")
}

// probedURLs is what probes alone say of the link pages' addresses.
func probedURLs(n *Needs, o *observed) (findings []Finding) {
	const where = "Applications > Applications > (the link pages' application) > Settings"
	if o.probes.login == badClient {
		return unseenAll(errUnclear, "link.callback", "link.logout_url")
	}
	switch o.probes.authorize {
	case accepted, badAPI, badGrant:
		findings = append(findings, fine("link.callback", "Auth0 sends browsers to "+n.Link.Callback))
	case badCallback:
		findings = append(findings, wrong("link.callback", "Auth0 does not send browsers to the pages", n.Link.Callback, where+" > Allowed Callback URLs"))
	default:
		findings = append(findings, unseen("link.callback", errUnclear))
	}
	switch o.probes.logout {
	case accepted:
		findings = append(findings, fine("link.logout_url", "Auth0 sends browsers to "+n.Link.Accounts))
	case badCallback:
		findings = append(findings, wrong("link.logout_url", "Auth0 does not send browsers to the pages", n.Link.Accounts+", first", where+" > Allowed Logout URLs"))
	default:
		findings = append(findings, unseen("link.logout_url", errUnclear))
	}
	return findings
}

func either[T any](cond bool, yes, no T) T {
	if cond {
		return yes
	}
	return no
}

func orNone(s string) string { return either(s == "", "none", s) }

func list(values []string) string { return orNone(strings.Join(values, " ")) }
