package auth0test

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"time"
)

// audience is the API behind an identifier; an unknown one gets the defaults.
func (t *Tenant) audience(identifier string) *ResourceServer {
	if rs := t.cfg().resourceServer(identifier); rs != nil {
		return rs
	}
	rs := &ResourceServer{Identifier: identifier}
	rs.fillDefaults(t.base)
	return rs
}

// idTokenAPI dresses a client's ID-token settings up as an API's.
func (t *Tenant) idTokenAPI(c *Client) *ResourceServer {
	rs := &ResourceServer{SigningAlg: "RS256"}
	if c != nil {
		rs.SigningAlg, rs.SigningSecret = c.JWTConfiguration.Alg, c.ClientSecret
		setDefault(&rs.SigningAlg, t.cfg().Settings.IDTokenAlg)
	}
	return rs
}

func (t *Tenant) myAccountAudience() string { return t.Issuer() + "me/" }

func (t *Tenant) managementAudience() string { return t.Issuer() + "api/v2/" }

// A tokenGrant is what a token is issued for.
type tokenGrant struct {
	ClientID, UserID, Audience, OrgID, Nonce, SessionID string

	Scope []string
	// Type is the gty claim, which Auth0 sets for some grants only.
	Type string
	// AuthTime is set when the request had max_age.
	AuthTime time.Time
	// MFA is set when the session had a second factor.
	MFA bool
}

func (g tokenGrant) subject() string {
	if g.UserID == "" {
		return g.ClientID + "@clients"
	}
	return g.UserID
}

// now is the tenant's clock in Unix seconds.
func (t *Tenant) now() int64 { return time.Now().Unix() + int64(t.cfg().Settings.ClockSkew) }

// accessClaims follows the API's access-token profile: Auth0's own has azp and
// gty, RFC 9068's has client_id and jti.
func (t *Tenant) accessClaims(g tokenGrant, rs *ResourceServer) map[string]any {
	now := t.now()
	claims := map[string]any{
		"iss": t.Issuer(), "sub": g.subject(), "aud": rs.Identifier,
		"iat": now, "exp": now + int64(rs.TokenLifetime),
	}
	if slices.Contains(g.Scope, "openid") {
		claims["aud"] = []string{rs.Identifier, t.Issuer() + "userinfo"}
	}
	if len(g.Scope) > 0 {
		claims["scope"] = strings.Join(g.Scope, " ")
	}
	if strings.HasPrefix(rs.TokenDialect, "rfc9068") {
		claims["client_id"], claims["jti"] = g.ClientID, randomAlnum(22)
	} else {
		claims["azp"] = g.ClientID
		if g.Type != "" {
			claims["gty"] = g.Type
		}
	}
	if g.ClientID == "" {
		delete(claims, "azp")
		delete(claims, "client_id")
	}
	if strings.HasSuffix(rs.TokenDialect, "_authz") && rs.EnforcePolicies {
		claims["permissions"] = t.permissions(g, rs)
	}
	if g.OrgID != "" {
		claims["org_id"] = g.OrgID
	}
	return claims
}

// permissions are the user's, or for a machine what its grant gives it.
func (t *Tenant) permissions(g tokenGrant, rs *ResourceServer) []string {
	if u := t.cfg().user(g.UserID); u != nil {
		return u.permissions(rs.Identifier)
	}
	return append([]string{}, g.Scope...)
}

func (u *User) permissions(audience string) []string {
	out := []string{}
	for _, p := range u.Permissions {
		if p.ResourceServerIdentifier == audience {
			out = append(out, p.PermissionName)
		}
	}
	return out
}

// idClaims are an ID token's: who logged in, and what the scope tells of them.
func (t *Tenant) idClaims(g tokenGrant) map[string]any {
	now, lifetime := t.now(), 36000
	if c := t.cfg().client(g.ClientID); c != nil && c.JWTConfiguration.LifetimeInSeconds > 0 {
		lifetime = c.JWTConfiguration.LifetimeInSeconds
	}
	claims := map[string]any{
		"iss": t.Issuer(), "sub": g.subject(), "aud": g.ClientID,
		"iat": now, "exp": now + int64(lifetime),
	}
	maps.Copy(claims, t.profileClaims(g.UserID, g.Scope))
	if g.Nonce != "" {
		claims["nonce"] = g.Nonce
	}
	if g.SessionID != "" {
		claims["sid"] = g.SessionID
	}
	if !g.AuthTime.IsZero() {
		claims["auth_time"] = g.AuthTime.Unix()
	}
	if g.MFA {
		claims["amr"] = []string{"mfa"}
	}
	if g.OrgID != "" {
		claims["org_id"] = g.OrgID
	}
	return claims
}

// profileClaims are what the scopes profile and email stand for.
func (t *Tenant) profileClaims(userID string, scope []string) map[string]any {
	claims := map[string]any{}
	u := t.cfg().user(userID)
	if u == nil {
		return claims
	}
	if slices.Contains(scope, "profile") {
		picture := u.Picture
		setDefault(&picture, t.base+"/avatars/default.png")
		claims["name"], claims["nickname"], claims["picture"] = u.Name, u.Nickname, picture
		claims["updated_at"] = timestamp(time.Now())
		for name, value := range map[string]string{"given_name": u.GivenName, "family_name": u.FamilyName} {
			if value != "" {
				claims[name] = value
			}
		}
	}
	if slices.Contains(scope, "email") && u.Email != "" {
		claims["email"], claims["email_verified"] = u.Email, u.EmailVerified
	}
	return claims
}

func override(members, with map[string]any) {
	for name, value := range with {
		if value == nil {
			delete(members, name)
		} else {
			members[name] = value
		}
	}
}

// signToken makes a compact JWS. It is put together by hand because a library
// would refuse to make the bad tokens that tests need.
func (t *Tenant) signToken(claims map[string]any, rs *ResourceServer, header map[string]any) (string, error) {
	t.mu.Lock()
	key := t.keys.current
	t.mu.Unlock()
	h := map[string]any{"alg": rs.SigningAlg, "typ": "JWT"}
	if strings.HasPrefix(rs.TokenDialect, "rfc9068") {
		h["typ"] = "at+jwt"
	}
	alg := rs.SigningAlg
	if a, ok := header["alg"].(string); ok {
		h["alg"], alg = a, a
	}
	if alg != "HS256" && alg != "none" {
		h["kid"] = key.kidFor(alg)
	}
	override(h, header)
	head, err := json.Marshal(h)
	if err != nil {
		return "", err
	}
	body, err := json.Marshal(claims)
	if err != nil {
		return "", err
	}
	enc := base64.RawURLEncoding.EncodeToString
	input := enc(head) + "." + enc(body)
	signature, err := key.sign(alg, rs.SigningSecret, []byte(input))
	return input + "." + enc(signature), err
}
