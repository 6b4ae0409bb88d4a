package vault

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unique"

	"golang.org/x/oauth2"
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

// MaxLoginHints is how many login hints are remembered of one user, agent and
// connection: more accounts than people have at one provider.
const MaxLoginHints = 8

// Request says which of a caller's provider tokens is wanted.
type Request struct {
	// Connection is the name of the Auth0 connection. Required.
	Connection string

	// LoginHint picks one account where the user has connected several: the
	// user's id at the provider. Empty leaves the choice to Auth0.
	LoginHint string

	// HideHint keeps LoginHint out of [Client.LoginHints]: it is not the caller's
	// own word, and nothing that the caller has to learn.
	HideHint bool

	// Scopes are the least that the token must carry, MaxScopes the most; nil
	// means any. A token whose scopes the vault does not tell passes Scopes
	// and fails MaxScopes. They are compared as [MissingScopes] says; within
	// MaxScopes is what is the same, and where [ScopeProvider] knows whose the
	// connection is, what goes by another name or is included there.
	Scopes    []string
	MaxScopes []string

	prepared *demand // of a Request that was prepared
}

// question is one exchange to be made, with all that its answer depends on.
type question struct {
	key
	subject subject
	request Request
	at      time.Time // when it was asked
}

func (c *Client) question(caller Caller, req Request, at time.Time) (question, error) {
	if req.Connection == "" {
		return question{}, errors.New("vault: Request.Connection is required")
	}
	s, err := caller.subject(c)
	return question{
		key:     key{account{c.tenant, s.user, req.Connection}, c.id, s.agent, req.LoginHint},
		subject: s,
		request: req,
		at:      at,
	}, err
}

func (q question) asker() asker { return asker{q.key.subject, q.agent, q.connection} }

// Token returns the provider's token of the user who caller speaks for, from
// memory or from Auth0 Token Vault. What req demands of it is checked on every
// call.
//
// Errors are [*Error] or the error of ctx; any other says that caller is not one for
// this Client, or req names no connection. A caller that gives up disturbs nobody
// else who waits for the same answer.
func (c *Client) Token(ctx context.Context, caller Caller, req Request) (*Token, error) {
	now := time.Now()
	q, err := c.question(caller, req, now)
	if err != nil {
		return nil, err
	}
	a, err := c.ask(ctx, q, now.Add(-c.maxAge))
	if err != nil {
		return nil, err
	}
	token, err := a.judge(req)
	if err != nil && a.asked.Before(now.Add(-linkMaxAge)) {
		q.at = time.Now()
		if a, err = c.ask(ctx, q, now.Add(-linkMaxAge)); err != nil {
			return nil, err
		}
		token, err = a.judge(req)
	}
	return token, err
}

// judge is what is said again for every call: the vault's refusal, or whether
// the token carries enough and not too much.
func (a *answer) judge(req Request) (*Token, error) {
	if a.err != nil {
		return nil, a.err
	}
	if err := a.check(req); err != nil {
		return nil, err
	}
	return a.token, nil
}

// ask returns the vault's answer to q that was asked for at or after oldest: a
// kept one, one that is on its way, or a new one.
func (c *Client) ask(ctx context.Context, q question, oldest time.Time) (*answer, error) {
	a, err := c.join(ctx, q, digest{}, oldest)
	if err == nil && a.asked.Before(oldest) {
		return c.ask(ctx, q, oldest) // it was on its way before; what is now is younger
	}
	own := q.subject.token.Reveal()
	if err != nil || a.refused == (Secret{}) || a.refused.Reveal() == own {
		return a, err
	}
	// Another token of the user was refused, which says nothing about ours.
	return c.join(ctx, q, sha256.Sum256([]byte(own)), oldest)
}

// Token is a user's token at a provider. It prints as a placeholder in every
// format.
type Token struct {
	// Scopes are what the provider granted; nil if the vault does not tell, or more
	// than [GrantedScopes] takes. Not to be changed: other callers have the same
	// Token.
	Scopes []string

	// Expiry is when the provider's token ends; zero if the vault does not tell.
	Expiry time.Time

	bearer  Secret // "Bearer " and the token, so that no request puts them together
	entry   *entry // that it belongs to; nil: it was never kept
	unknown *Error // why there are no Scopes, if some were told
}

const bearerPrefix = "Bearer "

// Reveal returns the access token itself.
func (t *Token) Reveal() string { return strings.TrimPrefix(t.Bearer(), bearerPrefix) }

// Bearer returns what an Authorization header with the token says (RFC 6750 §2.1).
func (t *Token) Bearer() string { return t.bearer.Reveal() }

// OAuth2 returns the token in the form that golang.org/x/oauth2 uses. The
// result does not redact itself.
func (t *Token) OAuth2() *oauth2.Token {
	return &oauth2.Token{AccessToken: t.Reveal(), TokenType: "Bearer", Expiry: t.Expiry}
}

// Format implements fmt.Formatter for every verb.
func (t *Token) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String implements fmt.Stringer, for callers that do not go through fmt.
func (t *Token) String() string { return redacted }

// MarshalText redacts in JSON, XML and every encoder built on them.
func (t *Token) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Forget drops what is known about a user's account at a connection, for every
// agent, organization and login hint. Call it when the account was connected,
// reconnected or disconnected. Exchanges that began before are answered, but
// what they bring is not kept.
func (c *Client) Forget(subject, connection string) {
	c.cache.forget(account{c.tenant, subject, connection})
}

// ForgetUser is Forget for all connections of a user. Call it for both users when
// identities were linked or unlinked: whose account is whose may have changed.
func (c *Client) ForgetUser(subject string) {
	c.cache.forget(account{c.tenant, subject, ""})
}

// LoginHints returns the login hints under which the vault has served accounts
// of the user who caller speaks for at a connection, the last used first, at
// most MaxLoginHints. Nil if there are none. Only what this very agent asked for,
// in this organization, through this Client's API and exchange client, is told,
// and nothing that was hidden whenever it was asked for.
//
// They come from what is kept for [Client.Token], some of which may have expired
// since; the vault is not asked. A hint that the vault has no account for, or
// whose account it refuses, is not among them. Safe for concurrent use; the
// slice is the caller's.
func (c *Client) LoginHints(caller Caller, connection string) []string {
	q, err := c.question(caller, Request{Connection: connection}, time.Time{})
	if err != nil {
		return nil
	}
	return c.cache.answers.loginHints(q.key)
}

// Reject drops a token that the provider answered 401 to, so that the next call of
// Token asks the vault, and reports whether it did: there may be another one
// already, and a user's token at one account is dropped once a minute at most, for
// the same agent.
func (c *Client) Reject(token *Token) bool { return c.cache.reject(token) }
