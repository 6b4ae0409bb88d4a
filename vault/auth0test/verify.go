package auth0test

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

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
	// SessionID is an ID token's.
	SessionID string `json:"sid"`
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
// caller's to check. Of an expired token the claims are there too.
func (t *Tenant) verifyToken(token string) (verified, error) {
	jws, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256, jose.HS256})
	if err != nil || len(jws.Headers) != 1 {
		return verified{}, fmt.Errorf("%w: it is no signed JWT", errBadToken)
	}
	key := t.verificationKey(jws)
	if key == nil {
		return verified{}, fmt.Errorf("%w: no key of the tenant's has the kid %q and the alg %s", errBadToken, jws.Headers[0].KeyID, jws.Headers[0].Algorithm)
	}
	var v verified
	if err := jws.Claims(key, &v); err != nil {
		return verified{}, fmt.Errorf("%w: its signature is wrong, or its claims are", errBadToken)
	}
	if v.Issuer != t.Issuer() || v.Subject == "" || v.Expiry == nil {
		return verified{}, fmt.Errorf("%w: its iss is %q, its sub %q, its exp %v", errBadToken, v.Issuer, v.Subject, v.Expiry)
	}
	if expiry := v.Expiry.Time(); expiry.Unix() <= t.now() {
		return v, fmt.Errorf("%w: it was good until %s", errExpiredToken, timestamp(expiry))
	}
	return v, nil
}

// verificationKey is the one key that may have made the signature: an HS256
// token counts only for the API, or as an ID token for the client, whose secret it
// is.
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
		if c := t.cfg().client(claims.Audience[0]); c != nil && c.ClientSecret != "" {
			return []byte(c.ClientSecret)
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
