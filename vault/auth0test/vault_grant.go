package auth0test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

// The token types of the Token Vault exchange. The requested type really
// begins with http, not https.
const (
	typeAccessToken  = "urn:ietf:params:oauth:token-type:access_token"
	typeRefreshToken = "urn:ietf:params:oauth:token-type:refresh_token"
	typeVaultToken   = "http://auth0.com/oauth/token-type/federated-connection-access-token"
)

// vaultResponse is the exchange's success. It never has a refresh token, and
// the token is always a bearer token, even for a bound subject token.
type vaultResponse struct {
	AccessToken     string  `json:"access_token"`
	Scope           *string `json:"scope,omitempty"`
	ExpiresIn       *int64  `json:"expires_in,omitempty"`
	IssuedTokenType string  `json:"issued_token_type"`
	TokenType       string  `json:"token_type"`
}

// exchange is the Token Vault grant. The order of its checks is the documented
// one: the client and the token's API, the user's account on the connection,
// the login hint, and only then the stored token and its provider.
func (t *Tenant) exchange(client *Client, p params) (any, *oauthError) {
	if why := client.whyNoExchange(); why != "" {
		return nil, grantNotAllowed(grantVault).because("%s", why)
	}
	if oerr := checkVaultParams(p); oerr != nil {
		return nil, oerr
	}
	userID, oerr := t.vaultSubject(client, p)
	if oerr != nil {
		return nil, oerr
	}
	if t.cfg().user(userID) == nil { // a machine, or a user who is gone
		return nil, t.userNotFound(t.cfg().Settings.UnknownUserError).because("the subject token's %q is no user of this tenant", userID)
	}
	if t.cfg().Settings.MFAPolicy == "always" {
		oerr := refuse(t.cfg().Settings.MFARequiredStatus, "mfa_required", "Multifactor authentication required")
		oerr.MFAToken = "Fe26.2*" + randomID(43)
		return nil, oerr
	}
	if why := t.cfg().whyNoVault(p["connection"], client.ClientID); why != "" {
		return nil, t.unknownConnection(p["connection"]).because("%s", why)
	}
	connection := t.cfg().connection(p["connection"])
	acct, oerr := t.pickAccount(userID, connection.Name, p["login_hint"])
	if oerr != nil {
		return nil, oerr
	}
	tokens, oerr := t.usableTokens(acct, connection)
	if oerr != nil {
		return nil, oerr
	}
	return t.vaultAnswer(tokens, p["scope"])
}

func checkVaultParams(p params) *oauthError {
	for _, name := range []string{"subject_token", "subject_token_type", "requested_token_type", "connection"} {
		if p[name] == "" {
			return missing(name)
		}
	}
	if kind := p["subject_token_type"]; kind != typeAccessToken && kind != typeRefreshToken {
		return refuse(http.StatusBadRequest, "invalid_request", "Unsupported subject_token_type: %s", kind)
	}
	if kind := p["requested_token_type"]; kind != typeVaultToken {
		return refuse(http.StatusBadRequest, "invalid_request", "Unsupported requested_token_type: %s", kind)
	}
	return nil
}

// vaultSubject finds the user behind the subject token.
func (t *Tenant) vaultSubject(client *Client, p params) (string, *oauthError) {
	if p["subject_token_type"] == typeRefreshToken {
		rt, oerr := t.findRefreshToken(client, p["subject_token"])
		if oerr != nil {
			return "", oerr
		}
		if client.RefreshToken.RotationType == "rotating" {
			return "", refuse(http.StatusForbidden, t.cfg().Settings.RotatingSubjectError,
				"Refresh token rotation is not supported for this grant.")
		}
		return rt.grant.UserID, nil
	}
	v, err := t.verifyToken(p["subject_token"])
	if err == nil && t.cfg().Settings.RefuseBoundSubject && len(v.Binding) > 0 {
		err = errors.New("bound to a key, which the setting refuse_bound_subject refuses")
	}
	if err != nil {
		return "", refuse(http.StatusUnauthorized, t.cfg().Settings.InvalidSubjectError, "Invalid or expired subject token.").
			because("the subject token is %v", err)
	}
	// Only the Custom API client of the very API that the token is for.
	if api := client.ResourceServerIdentifier; api == "" || !slices.Contains(v.Audience, api) {
		return "", refuse(t.cfg().Settings.WrongAudienceStatus, t.cfg().Settings.WrongAudienceError,
			"The client is not linked to the audience of the subject token.").
			because("the subject token is for %s, and the resource_server_identifier of %s is %q", v.Audience, client.ClientID, api)
	}
	return v.Subject, nil
}

func (t *Tenant) notConnected() *oauthError {
	return refuse(http.StatusUnauthorized, t.cfg().Settings.NotConnectedError, "Federated connection Refresh Token not found.")
}

func (t *Tenant) userNotFound(code string) *oauthError {
	oerr := refuse(http.StatusUnauthorized, code, "Identity User not found.")
	oerr.Member = t.cfg().Settings.UserNotFoundMember
	return oerr
}

// unknownConnection: in practice Auth0's answer cannot be told from that for a
// user without an account.
func (t *Tenant) unknownConnection(name string) *oauthError {
	if code := t.cfg().Settings.UnknownConnectionError; code != "" {
		return refuse(http.StatusBadRequest, code, "Connection %s is not enabled for the client.", name)
	}
	return t.notConnected()
}

// pickAccount finds the account the exchange is about.
func (t *Tenant) pickAccount(userID, connection, hint string) (*account, *oauthError) {
	t.mu.Lock()
	list := t.accountsOf(userID, connection)
	t.mu.Unlock()
	if len(list) == 0 {
		return nil, t.notConnected().because("%s has no account on the connection %s", userID, connection)
	}
	if hint != "" {
		for _, a := range list {
			if a.providerUserID == hint || (t.cfg().Settings.LoginHintEmail && strings.EqualFold(a.email, hint)) {
				return a, nil
			}
		}
		return nil, t.userNotFound("user_not_found").because("login_hint names none of the accounts that %s has on %s", userID, connection)
	}
	switch t.cfg().Settings.SeveralAccounts {
	case "newest":
		return list[len(list)-1], nil
	case "error":
		if len(list) > 1 {
			return nil, refuse(http.StatusBadRequest, "invalid_request", "Several accounts match: login_hint is required.")
		}
	}
	return list[0], nil
}

// usableTokens returns the stored tokens while they are valid, and otherwise
// what the provider gives for the stored refresh token.
func (t *Tenant) usableTokens(a *account, c *Connection) (providerTokens, *oauthError) {
	a.refreshing.Lock()
	defer a.refreshing.Unlock()
	t.mu.Lock()
	tokens := a.tokens
	t.mu.Unlock()
	if tokens.refresh == "" {
		// Auth0: without a refresh token from the provider the account is as
		// good as not connected.
		return tokens, t.notConnected().because("%s", a.whyNoRefreshToken())
	}
	leeway := time.Duration(t.cfg().Settings.RefreshLeeway) * time.Second
	if time.Now().Add(leeway).Before(tokens.expires) {
		return tokens, nil
	}
	fresh, err := t.providers[c.Strategy].refreshAt(context.Background(), c, tokens)
	if err != nil {
		return tokens, refuse(http.StatusUnauthorized, "federated_connection_refresh_token_flow_failed",
			"Refresh Token flow for the Federated Connection failed").
			because("the provider of %s refused the stored refresh token: %v", c.Name, err)
	}
	t.mu.Lock()
	if a.tokens.refresh == tokens.refresh { // or the user reconnected meanwhile
		a.tokens = fresh
	}
	t.mu.Unlock()
	return fresh, nil
}

// vaultAnswer shows the provider token with its remaining life.
func (t *Tenant) vaultAnswer(tokens providerTokens, wanted string) (any, *oauthError) {
	s := t.cfg().Settings
	scope := tokens.scopeText
	switch {
	case wanted != "" && s.VaultRequestScope == "rejected":
		return nil, refuse(http.StatusBadRequest, "invalid_request", "Parameter scope is not supported for this grant.")
	case wanted != "" && s.VaultRequestScope == "honoured":
		scope = strings.Join(intersect(strings.Fields(wanted), tokens.scopes), " ")
	case s.ScopeSeparator == "space":
		scope = strings.Join(tokens.scopes, " ")
	case s.ScopeSeparator == "comma":
		scope = strings.Join(tokens.scopes, ",")
	}
	out := vaultResponse{
		AccessToken: tokens.access, Scope: &scope, IssuedTokenType: typeVaultToken, TokenType: "Bearer",
		ExpiresIn: new(int64(time.Until(tokens.expires) / time.Second)),
	}
	if s.ExpiresIn != nil {
		out.ExpiresIn = s.ExpiresIn
	}
	if s.OmitExpiresIn {
		out.ExpiresIn = nil
	}
	if s.OmitScope {
		out.Scope = nil
	}
	return out, nil
}
