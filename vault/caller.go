package vault

import (
	"errors"
	"time"
	"unique"
)

// Caller is whose provider token is asked for: an [*AccessToken] that
// [Client.Verify] accepted or, with [Config.RefreshTokens], a [*RefreshToken].
type Caller interface {
	subject(c *Client) (subject, error)
}

// RefreshToken is a user's Auth0 refresh token, in the application that the user
// logged in to, with scope offline_access: an application without an API of its own
// has no access token to exchange. Auth0 refuses it where the application rotates
// refresh tokens. A token that was refused, or has ended, gives CodeInvalidToken: the
// user logs in again.
//
// Nothing in it is verified here. It prints as a placeholder wherever it stands.
type RefreshToken struct {
	// Subject and OrgID are the `sub` and `org_id` of the login that brought the
	// token, as [Client.VerifyIDToken] returns them. Answers are kept by these, and
	// shared by all tokens of a user: another user's Subject gets that user's. Subject
	// is required.
	Subject string
	OrgID   string

	// Token is the refresh token. Required.
	Token Secret
}

// subject is what is exchanged for a provider's token, and for whom.
type subject struct {
	kind   string // of token (RFC 8693 §3)
	token  Secret
	user   string
	agent  unique.Handle[agent]
	expiry time.Time // of token; zero: not known
}

// agent is through what a user calls, and in which organization. Users have few
// different ones, so each is kept once.
type agent struct{ orgID, azp, clientID string }

// The kinds of subject tokens (Auth0: "Access Token Exchange with Token Vault",
// "Refresh Token Exchange with Token Vault").
const (
	accessTokenType  = "urn:ietf:params:oauth:token-type:access_token"
	refreshTokenType = "urn:ietf:params:oauth:token-type:refresh_token"
)

func (t *AccessToken) subject(c *Client) (subject, error) {
	if c.refreshTokens {
		return subject{}, errors.New("vault: a Client with Config.RefreshTokens exchanges no access token")
	}
	return subject{kind: accessTokenType, token: t.raw, user: t.Subject, agent: t.agent, expiry: t.Expiry}, nil
}

func (t *RefreshToken) subject(c *Client) (subject, error) {
	switch {
	case !c.refreshTokens:
		return subject{}, errors.New("vault: a Client without Config.RefreshTokens exchanges no refresh token")
	case t.Subject == "" || t.Token.Reveal() == "":
		return subject{}, errors.New("vault: RefreshToken.Subject and Token are required")
	}
	own := unique.Make(agent{orgID: t.OrgID, azp: c.clientID})
	return subject{kind: refreshTokenType, token: t.Token, user: t.Subject, agent: own}, nil
}
