package tenantsetup

import (
	"cmp"
	"errors"

	"github.com/auth0/go-auth0/management"
)

// isExchange tells whether c is the API's client, and isWeb whether it is of the kind
// that the link pages take. One of another kind is somebody else's, most likely:
// nothing else is asked of it, so that nobody makes it what it is not.
func (n *Needs) isExchange(c *management.Client) bool {
	return c.GetAppType() == "resource_server" && c.GetResourceServerIdentifier() == n.Audience
}

func isWeb(c *management.Client) bool { return c.GetAppType() == "regular_web" }

// isOurs tells whether the application of this id is there and one of the two.
func (o *observed) isOurs(n *Needs, id string) bool {
	c := o.clients.value[id]
	return id == n.Exchange.ID && n.isExchange(c) || n.Link != nil && id == n.Link.Client.ID && isWeb(c)
}

func checkExchange(n *Needs, o *observed) []Finding {
	if err := cmp.Or(o.management, o.clients.err); err != nil {
		return append(probedClient("client", "the Token Vault grant; first-party, OIDC-conformant, and not public", n.Exchange.ID, o.probes.exchange),
			unseenAll(err, "client.linked", "client.first_party", "client.oidc_conformant", "client.auth_method")...)
	}
	c := o.clients.value[n.Exchange.ID]
	if c == nil {
		return []Finding{missingExchange(n, o)}
	}
	findings := []Finding{fine("client.exists", "application "+c.GetName())}
	if o.apis.value[n.Audience] != nil {
		findings = append(findings, checkLinked(n, o, c))
	}
	if !n.isExchange(c) {
		return findings
	}
	for _, rule := range exchangeRules {
		findings = append(findings, rule.judge(c))
	}
	return append(findings, secretOf("client", c, o.probes.exchange)...)
}

func checkLink(n *Needs, o *observed) []Finding {
	if n.Link == nil {
		return nil
	}
	if err := cmp.Or(o.management, o.clients.err); err != nil {
		return append(append(probedClient("link", "the grant "+grantCode, n.Link.Client.ID, o.probes.login), probedURLs(n, o)...),
			unseenAll(err, "link.app_type", "link.id_token_alg", "link.auth_method")...)
	}
	c := o.clients.value[n.Link.Client.ID]
	if c == nil {
		return []Finding{missingLink(n, o)}
	}
	findings := []Finding{fine("link.exists", "application "+c.GetName()), appTypeRule.judge(c)}
	if !isWeb(c) {
		return findings
	}
	for _, rule := range linkRules(n) {
		findings = append(findings, rule.judge(c))
	}
	return append(findings, secretOf("link", c, o.probes.login)...)
}

func missingExchange(n *Needs, o *observed) Finding {
	return anotherExchange("client.exists", "no application "+orNone(n.Exchange.ID), n, o)
}

// anotherExchange is a finding that takes another client: the API's own, or a new
// one, since an API has one at most.
func anotherExchange(id, found string, n *Needs, o *observed) Finding {
	const where = "Applications > APIs > (the API) > Add Application"
	if own := o.apis.value[n.Audience].GetClientID(); own != "" {
		return wrong(id, found, own+" and its secret in client: the API's own", inConfiguration)
	}
	return wrong(id, found, "the Custom API client of "+n.Audience, where).
		mendedBy(Change{What: "the Custom API client", Method: "POST", Path: []string{"clients"}, as: newExchange, Body: map[string]any{
			"name": "Token Vault exchange", "app_type": "resource_server", "resource_server_identifier": n.Audience,
			"grant_types": []string{grantVault},
		}})
}

// checkLinked: the exchange's client has to be the API's. What another one is for
// is not known, so the operator decides.
func checkLinked(n *Needs, o *observed, c *management.Client) Finding {
	const id = "client.linked"
	of := c.GetResourceServerIdentifier()
	if n.isExchange(c) {
		return fine(id, "linked to the API "+of)
	}
	f := anotherExchange(id, either(of == "", "linked to no API, app_type "+c.GetAppType(), "linked to the API "+of), n, o)
	f.byHand = true
	return f
}

// inConfiguration is where to change what the tenant has right.
const inConfiguration = "none; the configuration, or the environment that it is filled in from"

func missingLink(n *Needs, o *observed) Finding {
	const id = "link.exists"
	found := "no application " + orNone(n.Link.Client.ID)
	if other := o.applicationFor(n, n.Link.fits); other != "" {
		return wrong(id, found, other+" and its secret in the link block's client: it has our callback", inConfiguration)
	}
	return wrong(id, found, "the regular web application of the link pages", "Applications > Create Application").
		mendedBy(Change{What: "the link pages' application", Method: "POST", Path: []string{"clients"}, as: newLink, Body: map[string]any{
			"name": n.Link.Name, "app_type": "regular_web", "grant_types": []string{grantCode},
			"callbacks": []string{n.Link.Callback}, "allowed_logout_urls": []string{n.Link.Accounts},
			"oidc_conformant": true, "jwt_configuration": map[string]any{"alg": "RS256"},
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
func probedClient(group, grant, id string, v verdict) []Finding {
	const where = "Applications > Applications"
	switch v {
	case badClient:
		return append([]Finding{wrong(group+".secret", "Auth0 refuses its id or its secret", "those of one application", where)},
			unseen(group+".grant", errUnclear))
	case badGrant:
		return []Finding{
			fine(group+".secret", "Auth0 accepts its id and secret"),
			wrong(group+".grant", "Auth0 does not let it", grant, where+" > (the application) > Settings > Advanced > Grant Types").opens(id),
		}
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
		findings = append(findings, wrong("link.callback", "Auth0 does not send browsers to the pages", n.Link.Callback, where+" > Allowed Callback URLs").opens(n.Link.Client.ID))
	default:
		findings = append(findings, unseen("link.callback", errUnclear))
	}
	switch o.probes.logout {
	case accepted:
		findings = append(findings, fine("link.logout_url", "Auth0 sends browsers to "+n.Link.Accounts))
	case badCallback:
		findings = append(findings, wrong("link.logout_url", "Auth0 does not send browsers to the pages", n.Link.Accounts+", first", where+" > Allowed Logout URLs").opens(n.Link.Client.ID))
	default:
		findings = append(findings, unseen("link.logout_url", errUnclear))
	}
	return findings
}
