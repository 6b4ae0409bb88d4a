package auth0test

import (
	"errors"
	"slices"
	"strings"
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

// setLifetime moves the expiry; a token that has already expired was issued a
// day before that.
func setLifetime(claims map[string]any, seconds int) {
	iat := claims["iat"].(int64)
	claims["exp"] = iat + int64(seconds)
	if seconds <= 0 {
		claims["iat"] = iat + int64(seconds) - 86400
	}
}
