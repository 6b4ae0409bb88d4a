package vault

import (
	"crypto/sha256"
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
// logged in to with scope offline_access. One that has ended or was revoked gives
// CodeInvalidToken when Auth0 is asked next, after [Config.MaxAge] at most: the user
// logs in again. An application that rotates refresh tokens cannot exchange them.
//
// Nothing in it is verified here, so what one token brought is given to no other, not
// even of the same user, and each counts as an agent of its own.
type RefreshToken struct {
	// Subject and OrgID are the `sub` and `org_id` of the login that brought the
	// token, as [Client.VerifyIDToken] returns them. Subject is required.
	Subject string
	OrgID   string

	// Token is the refresh token, which prints as a placeholder. Required.
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

// agent is through what a user calls, and in which organization. Most users have the
// same few, so each is kept once.
type agent struct {
	orgID, azp, clientID string

	login digest // of a refresh token, which nobody has verified; zero: none
}

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
	login := unique.Make(agent{orgID: t.OrgID, azp: c.clientID, login: sha256.Sum256([]byte(t.Token.Reveal()))})
	return subject{kind: refreshTokenType, token: t.Token, user: t.Subject, agent: login}, nil
}
