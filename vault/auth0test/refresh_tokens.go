package auth0test

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// A refreshToken is Auth0's own, not a provider's.
type refreshToken struct {
	grant   tokenGrant
	expires time.Time // zero: never
	// family links the tokens of one rotation chain: reuse of an old one ends
	// them all.
	family  string
	rotated time.Time // zero: this one is the newest
}

// newRefreshToken starts a chain.
func (t *Tenant) newRefreshToken(client *Client, g tokenGrant) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.storeRefreshToken(client, g, randomID(16))
}

// storeRefreshToken adds a token to a family; the caller holds the mutex.
func (t *Tenant) storeRefreshToken(client *Client, g tokenGrant, family string) string {
	g.Nonce = "" // belongs to the login alone
	rt := &refreshToken{grant: g, family: family}
	if conf := client.RefreshToken; conf.ExpirationType == "expiring" && !conf.InfiniteTokenLifetime {
		rt.expires = time.Now().Add(time.Duration(conf.TokenLifetime) * time.Second)
	}
	token := "v1." + randomID(43)
	t.refresh[token] = rt
	return token
}

var errRefreshToken = refuse(http.StatusForbidden, "invalid_grant", "Unknown or invalid refresh token.")

// findRefreshToken returns a usable refresh token of a client.
func (t *Tenant) findRefreshToken(client *Client, token string) (*refreshToken, *oauthError) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.usableRefreshToken(client, token)
}

// usableRefreshToken is findRefreshToken for who holds the mutex.
func (t *Tenant) usableRefreshToken(client *Client, token string) (*refreshToken, *oauthError) {
	rt := t.refresh[token]
	switch {
	case rt == nil:
		return nil, errRefreshToken.because("the refresh token is unknown, or was revoked")
	case rt.grant.ClientID != client.ClientID:
		return nil, errRefreshToken.because("the refresh token is %s's, not %s's", rt.grant.ClientID, client.ClientID)
	case !rt.expires.IsZero() && time.Now().After(rt.expires):
		return nil, errRefreshToken.because("the refresh token has expired")
	}
	leeway := time.Duration(client.RefreshToken.Leeway) * time.Second
	if !rt.rotated.IsZero() && time.Since(rt.rotated) >= leeway {
		t.endFamily(rt.family)
		return nil, errRefreshToken.because("the refresh token was rotated before, and all of its family end with this second use")
	}
	return rt, nil
}

// rotate puts a new refresh token in the place of one that is still usable. Of two
// requests with one token the second finds it rotated, and ends the family with
// what the first one got.
func (t *Tenant) rotate(client *Client, token string) (string, *oauthError) {
	t.mu.Lock()
	defer t.mu.Unlock()
	rt, oerr := t.usableRefreshToken(client, token)
	if oerr != nil {
		return "", oerr
	}
	if rt.rotated.IsZero() {
		rt.rotated = time.Now()
	}
	return t.storeRefreshToken(client, rt.grant, rt.family), nil
}

// endFamily revokes a rotation chain; the caller holds the mutex.
func (t *Tenant) endFamily(family string) {
	for token, rt := range t.refresh {
		if rt.family == family {
			delete(t.refresh, token)
		}
	}
}

// redeemRefreshToken is the refresh_token grant, with rotation when the client
// has it, and for other APIs when a multi-resource policy lists them.
func (t *Tenant) redeemRefreshToken(client *Client, p params) (any, *oauthError) {
	token := p["refresh_token"]
	if token == "" {
		return nil, missing("refresh_token")
	}
	rt, oerr := t.findRefreshToken(client, token)
	if oerr != nil {
		return nil, oerr
	}
	g, oerr := t.refreshedGrant(client, rt.grant, p)
	if oerr != nil {
		return nil, oerr
	}
	answer, err := t.issue(client, g)
	if err != nil {
		return nil, serverError(err)
	}
	if client.RefreshToken.RotationType == "rotating" {
		// Last, so that a request that comes to nothing uses no token up.
		if answer.RefreshToken, oerr = t.rotate(client, token); oerr != nil {
			return nil, oerr
		}
	}
	return answer, nil
}

// refreshedGrant is the grant of the new tokens: fewer scopes if asked, or
// another API.
func (t *Tenant) refreshedGrant(client *Client, g tokenGrant, p params) (tokenGrant, *oauthError) {
	g.Type = "refresh_token"
	want := strings.Fields(p["scope"])
	if audience := p["audience"]; audience != "" && audience != g.Audience {
		policy := find(client.RefreshToken.Policies, func(rp RefreshPolicy) bool { return rp.Audience == audience })
		// Auth0 keeps the Management API out of multi-resource refresh tokens.
		if policy == nil || !*client.IsFirstParty || audience == t.managementAudience() {
			return g, notAuthorized(client, audience).because("the refresh-token policies of %s do not name %s, or Auth0 allows it no other API", client.ClientID, audience)
		}
		allowed := slices.Concat(policy.Scope, oidcOf(g.Scope))
		if len(want) == 0 {
			want = allowed
		}
		g.Audience = audience
		// What the policy does not list is dropped without a word.
		scope, oerr := t.userScopes(client, g.UserID, audience, intersect(want, allowed))
		g.Scope = scope
		return g, oerr
	}
	if len(want) > 0 {
		g.Scope = intersect(want, g.Scope)
	}
	return g, nil
}

func oidcOf(scopes []string) []string { return intersect(scopes, oidcScopes) }

// notAuthorized is the refusal of an API whose client grant is missing.
func notAuthorized(client *Client, audience string) *oauthError {
	return refuse(http.StatusBadRequest, "invalid_request",
		"Client \"%s\" is not authorized to access resource server \"%s\".", client.ClientID, audience)
}

// userScopes are what a user gets of the scopes wanted: the API's policy, the
// client's grant and, with RBAC, the user's permissions each narrow them.
func (t *Tenant) userScopes(client *Client, userID, audience string, want []string) ([]string, *oauthError) {
	oidc := oidcOf(want)
	if audience == "" || audience == t.Issuer()+"userinfo" {
		return oidc, nil
	}
	rs := t.cfg().resourceServer(audience)
	if rs == nil {
		return nil, refuse(http.StatusForbidden, "access_denied", "Service not found: %s", audience)
	}
	allowed := rs.scopeValues()
	if audience == t.managementAudience() {
		allowed = currentUserScopes
	}
	switch rs.policy("user") {
	case "deny_all":
		return nil, notAuthorized(client, audience).because("the policy of %s gives no user a token", audience)
	case "require_client_grant":
		grant := t.cfg().grant(client.ClientID, audience, "user")
		if grant == nil {
			return nil, notAuthorized(client, audience).because("%s has no client grant with subject_type user on %s", client.ClientID, audience)
		}
		allowed = intersect(allowed, grant.scopes(rs))
	}
	if u := t.cfg().user(userID); rs.EnforcePolicies && u != nil {
		allowed = intersect(allowed, u.permissions(audience))
	}
	if !rs.AllowOfflineAccess {
		oidc = slices.DeleteFunc(oidc, func(s string) bool { return s == "offline_access" })
	}
	return intersect(want, slices.Concat(oidc, allowed)), nil
}
