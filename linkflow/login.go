package linkflow

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// What a sign-in asks for: to know who it is, by a name that people know too,
// and what an API of Auth0's may then be asked. The API is below the issuer.
var (
	toConnect  = asked{"me/", []string{"create:me:connected_accounts", "read:me:connected_accounts"}}
	toLookUp   = asked{"me/", []string{"read:me:connected_accounts", "delete:me:connected_accounts"}}
	toLink     = asked{"api/v2/", []string{"read:current_user", "update:current_user_identities"}}
	toBeLinked = asked{"api/v2/", []string{"read:current_user"}}
)

type asked struct {
	api    string
	scopes []string
}

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
	}
}

// signIn says how somebody is to sign in.
type signIn struct {
	organization string
	afresh       bool          // not as whoever is signed in at Auth0
	remark       string        // for the operator: the reason in the event that says so
	within       time.Duration // having authenticated no longer ago than this; 0: at any time

	// connection is the only way to sign in that counts: authenticating there now,
	// whatever session there is, and granting Auth0 these scopes on the way.
	connection string
	scopes     []string
}

// parameters are those of the authorization request (Auth0: "Authorize
// Application").
func (how signIn) parameters() map[string]string {
	p := map[string]string{"organization": how.organization}
	if how.afresh {
		p["prompt"] = "login"
	}
	if how.within > 0 {
		p["max_age"] = strconv.Itoa(int(how.within.Seconds()))
	}
	if how.connection != "" {
		p["connection"], p["connection_scope"], p["max_age"] = how.connection, strings.Join(how.scopes, " "), "0"
	}
	return p
}

// beginLogin sends the person to sign in: the authorization code flow with PKCE
// and nonce, for an access token of the API that the leg is about.
func (f *Flow) beginLogin(r *http.Request, leg purpose, s *flowState, how signIn) answer {
	ask := signIns[leg]
	if f.via == ViaLinkAccount && ask.api == toLink.api {
		ask = toBeLinked // the Action does the rest
	}
	s.beginLeg()
	options := []oauth2.AuthCodeOption{
		oauth2.S256ChallengeOption(s.Verifier),
		oauth2.SetAuthURLParam("nonce", s.Nonce),
		oauth2.SetAuthURLParam("audience", f.vault.Issuer()+ask.api),
	}
	for name, value := range how.parameters() {
		if value != "" {
			options = append(options, oauth2.SetAuthURLParam(name, value))
		}
	}
	if f.linking.RequireMFA && ask.api == toLink.api {
		options = append(options, oauth2.SetAuthURLParam("acr_values", vault.MultiFactor))
	}
	config := f.oauth
	config.Scopes = slices.Concat(signInScopes, ask.scopes)
	cookies, err := f.keep(r, leg, s)
	if err != nil {
		return f.refuse(r, s.about(Fault), notKept(err))
	}
	started := s.about(Started)
	started.Reason = how.remark
	f.tell(r.Context(), started)
	return f.goOn(config.AuthCodeURL(s.State, options...)).with(cookies...)
}

// finishLogin redeems the code of a login leg: who signed in, and the tokens.
func (f *Flow) finishLogin(ctx context.Context, s *flowState, code string) (*vault.IDToken, *oauth2.Token, error) {
	ctx = context.WithValue(ctx, oauth2.HTTPClient, f.vault.HTTPClient())
	token, err := f.oauth.Exchange(ctx, code, oauth2.VerifierOption(s.Verifier))
	if err != nil {
		return nil, nil, tokenError("token_endpoint", err)
	}
	id, err := f.vault.VerifyIDToken(ctx, idTokenOf(token), f.oauth.ClientID, s.Nonce)
	if err != nil {
		return nil, nil, err
	}
	return id, token, nil
}

// idTokenOf returns the ID token that came with a token; empty if there was none.
func idTokenOf(token *oauth2.Token) string {
	raw, _ := token.Extra("id_token").(string)
	return raw
}
