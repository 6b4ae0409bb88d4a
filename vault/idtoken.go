package vault

import (
	"context"
	"slices"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// IDToken is an ID token that [Client.VerifyIDToken] accepted.
type IDToken struct {
	Subject string
	OrgID   string
	// Name is how the user is known to people: e-mail address, nickname or
	// name, in this order; empty if the token has none of them.
	Name string
	// AuthTime is when the user authenticated, to the second; zero if the token
	// does not say. Auth0 says it where the login asked for max_age.
	AuthTime time.Time
	// MFA says that the user authenticated with more than one factor (`amr` has
	// "mfa", RFC 8176 §2).
	MFA bool
}

// MultiFactor is what a login says in acr_values to ask for a second factor (OpenID
// Provider Authentication Policy Extension 1.0 §4). At Auth0 the tenant's Actions
// have to act on it.
const MultiFactor = "http://schemas.openid.net/pape/policies/2007/06/multi-factor"

// VerifyIDToken checks an ID token that was issued to the client clientID in a
// login that began with nonce, as OpenID Connect Core §3.1.3.7 says.
//
// Errors are CodeInvalidRequest, CodeInvalidToken, CodeKeysUnavailable, or the error of
// ctx.
func (c *Client) VerifyIDToken(ctx context.Context, raw, clientID, nonce string) (*IDToken, error) {
	// What applications may sign ID tokens with in Auth0, less HS256.
	jws, err := c.verifySignature(ctx, raw, []jose.SignatureAlgorithm{jose.RS256, jose.PS256})
	if err != nil {
		return nil, err
	}
	claims, err := parseClaims[idClaims](jws.payload)
	if err != nil {
		return nil, err
	}
	if err := claims.check(c.issuer, clientID, time.Now()); err != nil {
		return nil, err
	}
	if nonce == "" || claims.Nonce != nonce {
		return nil, invalidToken("wrong_nonce")
	}
	if len(claims.Audience) > 1 && claims.AuthorizedParty == nil || claims.AuthorizedParty != nil && *claims.AuthorizedParty != clientID {
		return nil, invalidToken("wrong_client")
	}
	return claims.idToken(), nil
}

// idClaims are those of an ID token. In an access token an Action may have given
// their names to something else.
type idClaims struct {
	claims
	Nonce    string       `json:"nonce"`
	AuthTime *numericDate `json:"auth_time"`
	Methods  []string     `json:"amr"`
	Email    string       `json:"email"`
	Nickname string       `json:"nickname"`
	Name     string       `json:"name"`
}

func (c *idClaims) idToken() *IDToken {
	t := &IDToken{Subject: c.Subject, OrgID: c.OrgID, MFA: slices.Contains(c.Methods, "mfa")}
	if c.AuthTime != nil {
		t.AuthTime = c.AuthTime.time()
	}
	for _, name := range []string{c.Email, c.Nickname, c.Name} {
		if t.Name == "" {
			t.Name = name
		}
	}
	return t
}
