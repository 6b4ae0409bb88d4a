package linkflow

import (
	"context"
	"crypto/rand"
	"errors"
	"regexp"

	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// scopes are what a sign-in asks for: to know who it is, by a name that people
// know too, and to list and connect accounts.
var scopes = []string{"openid", "profile", "email", "create:me:connected_accounts", "read:me:connected_accounts"}

func oauthConfig(cfg Config, basic bool) oauth2.Config {
	style := oauth2.AuthStyleInParams
	if basic {
		style = oauth2.AuthStyleInHeader
	}
	issuer := cfg.Vault.Issuer()
	return oauth2.Config{
		ClientID:     cfg.ClientID,
		ClientSecret: cfg.ClientSecret.Reveal(),
		Endpoint:     oauth2.Endpoint{AuthURL: issuer + "authorize", TokenURL: issuer + "oauth/token", AuthStyle: style},
		RedirectURL:  cfg.Origin + cfg.Path + "/callback",
		Scopes:       scopes,
	}
}

// beginLogin prepares s for the login leg and returns where the person signs
// in: the authorization code flow with PKCE and nonce, for an access token of
// the My Account API. afresh asks Auth0 not to rely on who is signed in there.
func (f *Flow) beginLogin(s *flowState, afresh bool) string {
	s.newState()
	s.Verifier = oauth2.GenerateVerifier()
	s.Nonce = rand.Text()
	options := []oauth2.AuthCodeOption{
		oauth2.S256ChallengeOption(s.Verifier),
		oauth2.SetAuthURLParam("nonce", s.Nonce),
		oauth2.SetAuthURLParam("audience", f.vault.Issuer()+"me/"),
	}
	if s.Ticket.OrgID != "" {
		options = append(options, oauth2.SetAuthURLParam("organization", s.Ticket.OrgID))
	}
	if afresh {
		options = append(options, oauth2.SetAuthURLParam("prompt", "login"))
	}
	return f.oauth.AuthCodeURL(s.State, options...)
}

// finishLogin redeems the code of a login leg: who signed in, and the access
// token for the My Account API.
func (f *Flow) finishLogin(ctx context.Context, s *flowState, code string) (*vault.IDToken, string, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, f.vault.HTTPClient())
	token, err := f.oauth.Exchange(ctx, code, oauth2.VerifierOption(s.Verifier))
	if err != nil {
		return nil, "", tokenError(err)
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := f.vault.VerifyIDToken(ctx, raw, f.oauth.ClientID, s.Nonce)
	if err != nil {
		return nil, "", err
	}
	return id, token.AccessToken, nil
}

var codePattern = regexp.MustCompile(`^[a-z_]{1,64}$`)

// tokenError is err without what oauth2's own errors print.
func tokenError(err error) error {
	var refused *oauth2.RetrieveError
	if !errors.As(err, &refused) {
		if err = withoutURL(err); errors.Is(err, context.DeadlineExceeded) {
			return &vault.Error{Code: vault.CodeTimeout, Reason: "timeout", Err: err}
		}
		return &vault.Error{Code: vault.CodeUnavailable, Reason: "no_token", Err: err}
	}
	e := &codeError{status: refused.Response.StatusCode}
	if codePattern.MatchString(refused.ErrorCode) {
		e.code = refused.ErrorCode
	}
	return e
}

// loginRefusal is what to say when a code brought no verified user. A code that
// is spent, or belongs to another sign-in, is no fault of anybody who has to
// be told of one.
func loginRefusal(err error) *refusal {
	if refused, ok := errors.AsType[*codeError](err); ok {
		if refused.code == "invalid_grant" {
			return &refusal{pageNoFlow, refused.code, err}
		}
		return &refusal{pageAuth0Fails, "token_endpoint", err}
	}
	var e *vault.Error
	if !errors.As(err, &e) {
		return &refusal{pageAuth0Fails, "sign_in", err}
	}
	if e.Reason == "wrong_nonce" {
		return &refusal{pageNoFlow, e.Reason, err}
	}
	return &refusal{pageAuth0Fails, e.Reason, err}
}
