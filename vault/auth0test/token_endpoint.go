package auth0test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The grants of the token endpoint.
const (
	grantCode              = "authorization_code"
	grantRefresh           = "refresh_token"
	grantClientCredentials = "client_credentials"
	grantVault             = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
)

func supportedGrants() []string {
	return []string{grantCode, grantRefresh, grantClientCredentials, grantVault}
}

// oidcScopes are scopes that belong to no API.
var oidcScopes = []string{
	"openid", "profile", "offline_access", "name", "given_name", "family_name", "nickname",
	"email", "email_verified", "picture", "created_at", "identities", "phone", "address",
}

// tokenResponse is the token endpoint's success. Auth0 leaves out what is
// empty: a token without scopes has no scope member.
type tokenResponse struct {
	AccessToken  string `json:"access_token"`
	RefreshToken string `json:"refresh_token,omitempty"`
	IDToken      string `json:"id_token,omitempty"`
	Scope        string `json:"scope,omitempty"`
	ExpiresIn    int    `json:"expires_in"`
	TokenType    string `json:"token_type"`
}

// serveToken is POST /oauth/token.
func (t *Tenant) serveToken(w http.ResponseWriter, r *http.Request) {
	answer, oerr := t.token(r)
	if oerr != nil {
		oerr.write(w)
		return
	}
	writeJSON(w, http.StatusOK, answer)
}

// token goes from the request to the grant, in Auth0's order: grant type,
// client, its secret, its right to the grant.
func (t *Tenant) token(r *http.Request) (any, *oauthError) {
	p, oerr := readParams(r)
	if oerr != nil {
		return nil, oerr
	}
	grant := p["grant_type"]
	if grant == "" {
		return nil, missing("grant_type")
	}
	if !slices.Contains(supportedGrants(), grant) {
		return nil, refuse(t.cfg().Settings.UnsupportedGrantStatus, "unsupported_grant_type", "Unsupported grant type: %s", grant)
	}
	client, oerr := t.authenticate(r, p)
	if oerr != nil {
		return nil, oerr
	}
	if oerr := client.mayUse(grant); oerr != nil {
		return nil, oerr
	}
	switch grant {
	case grantCode:
		return t.redeemCode(client, p)
	case grantRefresh:
		return t.redeemRefreshToken(client, p)
	case grantClientCredentials:
		return t.issueToMachine(client, p)
	default:
		return t.exchange(client, p)
	}
}

// codeLifetime is how long Auth0 keeps an authorization code.
const codeLifetime = 10 * time.Minute

// An authCode is what a login left behind for the token endpoint.
type authCode struct {
	grant       tokenGrant
	redirectURI string // empty when /authorize was not given one
	challenge   string
	method      string
	expires     time.Time
}

// redeemCode is the authorization_code grant.
func (t *Tenant) redeemCode(client *Client, p params) (any, *oauthError) {
	if p["code"] == "" {
		return nil, missing("code")
	}
	// The code is spent by the attempt, whatever comes of it.
	t.mu.Lock()
	code := t.codes[p["code"]]
	delete(t.codes, p["code"])
	t.mu.Unlock()
	if why := code.whyNot(client); why != "" {
		return nil, refuse(http.StatusForbidden, "invalid_grant", "Invalid authorization code").because("%s", why)
	}
	if code.redirectURI != "" && p["redirect_uri"] != code.redirectURI {
		return nil, refuse(http.StatusForbidden, "invalid_grant",
			"The redirect URI is wrong. You sent %s, and we expected %s", p["redirect_uri"], code.redirectURI)
	}
	if client.public() && code.challenge == "" {
		return nil, t.unauthorized().because("neither a secret nor PKCE says that %s asks", client.ClientID)
	}
	if !code.verifies(p["code_verifier"]) {
		return nil, refuse(http.StatusForbidden, "invalid_grant", "Failed to verify code verifier")
	}
	answer, err := t.issue(client, code.grant)
	if err != nil {
		return nil, serverError(err)
	}
	if client.mayUse(grantRefresh) == nil && slices.Contains(code.grant.Scope, "offline_access") {
		answer.RefreshToken = t.newRefreshToken(client, code.grant)
	}
	return answer, nil
}

// whyNot is why a code is not good for a client; empty when it is.
func (c *authCode) whyNot(client *Client) string {
	switch {
	case c == nil:
		return "the authorization code is unknown, or was used before"
	case c.grant.ClientID != client.ClientID:
		return fmt.Sprintf("the authorization code is %s's, not %s's", c.grant.ClientID, client.ClientID)
	case time.Now().After(c.expires):
		return "the authorization code has expired"
	}
	return ""
}

func (c *authCode) verifies(verifier string) bool {
	switch {
	case c.challenge == "":
		return verifier == ""
	case c.method == "S256":
		return challengeOf(verifier) == c.challenge
	default:
		return verifier == c.challenge
	}
}

// issueToMachine is the client_credentials grant.
func (t *Tenant) issueToMachine(client *Client, p params) (any, *oauthError) {
	audience := p["audience"]
	if audience == "" {
		return nil, refuse(http.StatusForbidden, "access_denied",
			"No audience parameter was provided, and no default audience has been configured")
	}
	if client.public() {
		return nil, grantNotAllowed(grantClientCredentials)
	}
	rs := t.cfg().resourceServer(audience)
	if rs == nil {
		return nil, refuse(http.StatusForbidden, "access_denied", "Service not found: %s", audience)
	}
	allowed, oerr := t.machineScopes(client, rs)
	if oerr != nil {
		return nil, oerr
	}
	g := tokenGrant{ClientID: client.ClientID, Audience: audience, Scope: allowed, Type: "client-credentials"}
	if scope := p["scope"]; scope != "" {
		g.Scope = intersect(strings.Fields(scope), allowed)
	}
	org := p["organization"]
	if d := client.DefaultOrganization; org == "" && d != nil && slices.Contains(d.Flows, grantClientCredentials) {
		org = d.OrganizationID
	}
	if org != "" {
		if t.cfg().Settings.organization(org) == nil {
			return nil, refuse(http.StatusForbidden, "invalid_request", "parameter organization is invalid")
		}
		g.OrgID = org
	}
	answer, err := t.issue(client, g)
	if err != nil {
		return nil, serverError(err)
	}
	return answer, nil
}

// machineScopes are what a machine may have of an API.
func (t *Tenant) machineScopes(client *Client, rs *ResourceServer) ([]string, *oauthError) {
	refused := refuse(http.StatusForbidden, "access_denied",
		"Client is not authorized to access %q. You need to create a \"client-grant\" associated to this API. "+
			"See: https://auth0.com/docs/api/v2#!/Client_Grants/post_client_grants", rs.Identifier)
	switch rs.policy("client") {
	case "allow_all":
		return rs.scopeValues(), nil
	case "require_client_grant":
		if g := t.cfg().grant(client.ClientID, rs.Identifier, "client"); g != nil {
			return g.scopes(rs), nil
		}
	}
	return nil, refused
}

// issue makes the tokens of a grant. Without an API the access token is
// opaque and good for /userinfo only.
func (t *Tenant) issue(client *Client, g tokenGrant) (*tokenResponse, error) {
	out := &tokenResponse{Scope: strings.Join(g.Scope, " "), TokenType: "Bearer", ExpiresIn: 86400}
	if g.Audience == "" || g.Audience == t.Issuer()+"userinfo" {
		out.AccessToken = t.newOpaqueToken(g)
	} else {
		rs := t.audience(g.Audience)
		token, err := t.signToken(t.accessClaims(g, rs), rs, nil)
		if err != nil {
			return nil, err
		}
		out.AccessToken, out.ExpiresIn = token, rs.TokenLifetime
	}
	if slices.Contains(g.Scope, "openid") && g.UserID != "" {
		id, err := t.signToken(t.idClaims(g), t.idTokenAPI(client), nil)
		if err != nil {
			return nil, err
		}
		out.IDToken = id
	}
	return out, nil
}

func (rs *ResourceServer) scopeValues() []string {
	out := make([]string, 0, len(rs.Scopes))
	for _, s := range rs.Scopes {
		out = append(out, s.Value)
	}
	return out
}

func (g *ClientGrant) scopes(rs *ResourceServer) []string {
	if g.AllowAllScopes {
		return rs.scopeValues()
	}
	return g.Scope
}

// intersect keeps what of want is in have, in want's order, once.
func intersect(want, have []string) []string {
	out := []string{}
	for _, s := range want {
		if slices.Contains(have, s) && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func serverError(err error) *oauthError {
	return refuse(http.StatusInternalServerError, "server_error", "%v", err)
}
