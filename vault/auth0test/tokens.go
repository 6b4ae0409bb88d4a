package auth0test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// Tokens are what the tenant issues for a [TokenRequest].
type Tokens struct {
	AccessToken string `json:"access_token"`
	// IDToken is empty when the request names no user.
	IDToken string `json:"id_token,omitempty"`
	// RefreshToken is there for a user and a client of the tenant when the scope has
	// offline_access.
	RefreshToken string `json:"refresh_token,omitempty"`
}

// TokenRequest asks for tokens without a login. Nothing in it is validated:
// it is there to make good tokens quickly, and bad ones at all.
type TokenRequest struct {
	// User is a user id, or a known user's e-mail address. When empty the
	// subject is ClientID and "@clients", a machine.
	User string `json:"user,omitempty"`
	// ClientID goes into azp or client_id; when empty the token has neither.
	ClientID string `json:"client_id,omitempty"`
	// Audience is the API. When empty it is the config's first one.
	Audience string `json:"audience,omitempty"`
	Scope    string `json:"scope,omitempty"`
	// ExpiresIn is in seconds and may be negative; nil means the API's default.
	ExpiresIn *int `json:"expires_in,omitempty"`
	// Claims override the access token's claims; nil removes one.
	Claims map[string]any `json:"claims,omitempty"`
	// Header overrides the access token's header; nil removes a member. alg
	// also picks the key: RS256, PS256, ES256, HS256 (with a fixed secret) and
	// none are signed accordingly, others with the RSA key.
	Header map[string]any `json:"header,omitempty"`
}

// IssueToken signs the tokens that req describes.
func (t *Tenant) IssueToken(req TokenRequest) (Tokens, error) {
	if req.User == "" && req.ClientID == "" {
		return Tokens{}, errors.New("auth0test: a token needs a user or a client")
	}
	if req.Audience == "" {
		req.Audience = t.firstAudience()
	}
	g := tokenGrant{ClientID: req.ClientID, UserID: req.User, Audience: req.Audience, Scope: strings.Fields(req.Scope)}
	if u, err := t.findUser(req.User); err == nil {
		g.UserID = u.UserID
	}
	if req.User == "" {
		g.Type = "client-credentials"
	}
	rs := t.audience(req.Audience)
	claims := t.accessClaims(g, rs)
	if req.ExpiresIn != nil {
		setLifetime(claims, *req.ExpiresIn)
	}
	override(claims, req.Claims)
	access, err := t.signToken(claims, rs, req.Header)
	if err != nil || req.User == "" {
		return Tokens{AccessToken: access}, err
	}
	idClaims := t.idClaims(g)
	if req.ExpiresIn != nil {
		setLifetime(idClaims, *req.ExpiresIn)
	}
	client := t.cfg().client(req.ClientID)
	id, err := t.signToken(idClaims, t.idTokenAPI(client), nil)
	tokens := Tokens{AccessToken: access, IDToken: id}
	if client != nil && slices.Contains(g.Scope, "offline_access") {
		tokens.RefreshToken = t.newRefreshToken(client, g)
	}
	return tokens, err
}

func (t *Tenant) firstAudience() string {
	for _, rs := range t.cfg().ResourceServers {
		if rs.Identifier != t.myAccountAudience() && rs.Identifier != t.managementAudience() {
			return rs.Identifier
		}
	}
	return t.Issuer() + "userinfo"
}

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
	t.addOrganization(claims, g.OrgID)
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

func (t *Tenant) addOrganization(claims map[string]any, id string) {
	if id != "" {
		claims["org_id"] = id
	}
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
	t.addOrganization(claims, g.OrgID)
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

// setLifetime moves the expiry; a token that has already expired was issued a
// day before that.
func setLifetime(claims map[string]any, seconds int) {
	iat := claims["iat"].(int64)
	claims["exp"] = iat + int64(seconds)
	if seconds <= 0 {
		claims["iat"] = iat + int64(seconds) - 86400
	}
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

// verified are the claims of an access token that this tenant accepts back.
type verified struct {
	Subject  string           `json:"sub"`
	Issuer   string           `json:"iss"`
	Audience jwt.Audience     `json:"aud"`
	Expiry   *jwt.NumericDate `json:"exp"`
	Scope    string           `json:"scope"`
	OrgID    string           `json:"org_id"`
	AZP      string           `json:"azp"`
	ClientID string           `json:"client_id"`
	Binding  map[string]any   `json:"cnf"`
}

// client is who the token was issued to.
func (v verified) client() string {
	if v.AZP != "" {
		return v.AZP
	}
	return v.ClientID
}

func (v verified) hasScope(scope string) bool {
	return slices.Contains(strings.Fields(v.Scope), scope)
}

// What verifyToken finds wrong with a token.
var (
	errBadToken     = errors.New("not a valid token of this tenant")
	errExpiredToken = errors.New("an expired token")
)

// verifyToken checks signature, issuer and expiry; the audience is the
// caller's to check.
func (t *Tenant) verifyToken(token string) (verified, error) {
	jws, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.HS256})
	if err != nil || len(jws.Headers) != 1 {
		return verified{}, errBadToken
	}
	key := t.verificationKey(jws)
	if key == nil {
		return verified{}, errBadToken
	}
	var v verified
	if err := jws.Claims(key, &v); err != nil {
		return verified{}, errBadToken
	}
	if v.Issuer != t.Issuer() || v.Subject == "" || v.Expiry == nil {
		return verified{}, errBadToken
	}
	if v.Expiry.Time().Unix() <= t.now() {
		return verified{}, errExpiredToken
	}
	return v, nil
}

// verificationKey is the one key that may have made the signature: an HS256
// token counts only for the API whose secret it is.
func (t *Tenant) verificationKey(jws *jwt.JSONWebToken) any {
	header := jws.Headers[0]
	if header.Algorithm == "HS256" {
		var claims struct {
			Audience jwt.Audience `json:"aud"`
		}
		if jws.UnsafeClaimsWithoutVerification(&claims) != nil || len(claims.Audience) == 0 {
			return nil
		}
		if rs := t.cfg().resourceServer(claims.Audience[0]); rs != nil && rs.SigningAlg == "HS256" {
			return []byte(rs.SigningSecret)
		}
		return nil
	}
	if !slices.Contains(t.cfg().signingAlgs(), header.Algorithm) {
		return nil // only keys that are published count
	}
	t.mu.Lock()
	pairs := t.keys.all()
	t.mu.Unlock()
	for _, k := range pairs {
		if k.kidFor(header.Algorithm) == header.KeyID {
			return k.public(header.Algorithm).Key
		}
	}
	return nil
}

func (t *Tenant) myAccountAudience() string { return t.Issuer() + "me/" }

func (t *Tenant) managementAudience() string { return t.Issuer() + "api/v2/" }
