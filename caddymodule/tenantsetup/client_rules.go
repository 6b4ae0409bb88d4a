package tenantsetup

import (
	"cmp"
	"slices"
	"strings"

	"github.com/auth0/go-auth0/management"

	"github.com/tokenvault/caddy-token-vault/linkflow"
)

// clientRule is what one member of a client has to be.
type clientRule struct {
	check    string
	good     func(*management.Client) bool
	found    func(*management.Client) string
	expected string
	where    string // in the client's page of the Dashboard
	// members are what PATCH sends to mend it; nil where that would take away what
	// somebody means to be there.
	members func(*management.Client) map[string]any
	// byHand tells whether others may depend on what is there. Default: they do not.
	byHand func(*management.Client) bool
}

func (r clientRule) judge(c *management.Client) Finding {
	if r.good(c) {
		return fine(r.check, r.found(c))
	}
	f := wrong(r.check, r.found(c), r.expected, "Applications > Applications > "+c.GetName()+" > "+r.where)
	members := r.members(c)
	if members == nil {
		return f
	}
	f = f.mendedBy(Change{What: "application " + c.GetName(), Method: "PATCH", Path: []string{"clients", c.GetClientID()}, Body: members})
	f.byHand = r.byHand != nil && r.byHand(c)
	return f
}

// exchangeRules are what the exchange takes of its client (Auth0: Configure Token
// Vault).
var exchangeRules = []clientRule{
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

// appTypeRule is what the link pages' application has to be before anything else.
var appTypeRule = clientRule{
	check: "link.app_type", expected: "a regular web application of its own (regular_web), or the id of one in the link block's client",
	where:   "Settings > Application Properties > Application Type",
	good:    isWeb,
	found:   func(c *management.Client) string { return "app_type " + c.GetAppType() },
	members: func(*management.Client) map[string]any { return map[string]any{"app_type": "regular_web"} },
	byHand:  func(*management.Client) bool { return true },
}

// linkRules are what the link pages take of their application besides.
func linkRules(n *Needs) []clientRule {
	return []clientRule{
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
		idTokenRule(n),
		authMethodRule("link.auth_method"),
		grantRule("link.grant", grantCode, grantCode),
	}
}

// idTokenRule: without an algorithm Auth0 signs a client's ID tokens with its
// secret, and such a token proves nothing to anybody else. The Management API takes
// RS256 alone as the proof of a second identity.
func idTokenRule(n *Needs) clientRule {
	counts := []string{"RS256", "PS256"}
	if n.Link.Via == linkflow.ViaManagement {
		counts = []string{"RS256"}
	}
	return clientRule{
		check: "link.id_token_alg", expected: strings.Join(counts, " or "), where: "Settings > Advanced > OAuth > JSON Web Token (JWT) Signature Algorithm",
		good: func(c *management.Client) bool {
			return slices.Contains(counts, c.GetJWTConfiguration().GetAlgorithm())
		},
		found: func(c *management.Client) string {
			return "ID tokens are signed with " + cmp.Or(c.GetJWTConfiguration().GetAlgorithm(), "HS256, since no algorithm is set")
		},
		byHand: func(c *management.Client) bool { return c.GetJWTConfiguration().GetAlgorithm() != "" },
		members: func(c *management.Client) map[string]any {
			jwt := map[string]any{"alg": "RS256"}
			if old := c.GetJWTConfiguration(); old != nil { // whether PATCH keeps it is not known
				if old.LifetimeInSeconds != nil {
					jwt["lifetime_in_seconds"] = *old.LifetimeInSeconds
				}
				if old.Scopes != nil {
					jwt["scopes"] = *old.Scopes
				}
			}
			return map[string]any{"jwt_configuration": jwt}
		},
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
		members: func(c *management.Client) map[string]any {
			if c.ClientAuthenticationMethods != nil {
				return nil // somebody means it to have keys
			}
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
