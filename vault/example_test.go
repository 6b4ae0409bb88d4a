package vault_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"strings"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// An API that agents call with their users' Auth0 access tokens looks into a
// user's calendar.
func ExampleClient() {
	// A local tenant stands in for Auth0: alice has connected her Google
	// account, and an agent has got her access token.
	tenant := auth0test.NewServer(auth0test.Seeds())
	defer tenant.Close()
	const readCalendar = "https://www.googleapis.com/auth/calendar.readonly"
	if err := tenant.Connect("auth0|alice", "google-oauth2", []string{readCalendar}, ""); err != nil {
		log.Fatal(err)
	}
	agents, err := tenant.IssueToken(auth0test.TokenRequest{User: "auth0|alice", ClientID: "demo-agent"})
	if err != nil {
		log.Fatal(err)
	}

	client, err := vault.New(vault.Config{
		Domain:       tenant.URL, // "example.eu.auth0.com"
		Audience:     "https://agents.example.com/",
		ClientID:     "vault-exchange",
		ClientSecret: vault.NewSecret("vault-exchange-secret"),
	})
	if err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	caller, err := client.Verify(ctx, agents.AccessToken)
	if err != nil {
		log.Fatal(err) // answer 401
	}
	fmt.Println(caller.ClientID, "calls for", caller.Subject)

	token, err := client.Token(ctx, caller, vault.Request{Connection: "google-oauth2", Scopes: []string{readCalendar}})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("token:", token, "for", token.Scopes)

	_, err = client.Token(ctx, caller, vault.Request{Connection: "github"})
	var refusal *vault.Error
	if errors.As(err, &refusal) && refusal.NeedsLink() {
		fmt.Println("github:", refusal.Code)
	}
	// Output:
	// demo-agent calls for auth0|alice
	// token: [redacted] for [https://www.googleapis.com/auth/calendar.readonly]
	// github: link_required
}

// A web application without an API of its own looks into its user's calendar, with
// the refresh token that the login brought.
func ExampleRefreshToken() {
	// A local tenant stands in for Auth0. The application may use the Token Vault
	// grant, and alice has connected her Google account and logged in.
	cfg := auth0test.Seeds()
	cfg.Clients = append(cfg.Clients, auth0test.Client{
		ClientID: "web-app", ClientSecret: "web-app-secret", AppType: "regular_web", OIDCConformant: new(true),
		GrantTypes: []string{
			"authorization_code", "refresh_token",
			"urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token",
		},
	})
	cfg.Connections[0].EnabledClients = append(cfg.Connections[0].EnabledClients, "web-app")
	tenant := auth0test.NewServer(cfg)
	defer tenant.Close()
	if err := tenant.Connect("auth0|alice", "google-oauth2", nil, ""); err != nil {
		log.Fatal(err)
	}
	login, err := tenant.IssueToken(auth0test.TokenRequest{User: "auth0|alice", ClientID: "web-app", Scope: "openid offline_access"})
	if err != nil {
		log.Fatal(err)
	}

	client, err := vault.New(vault.Config{
		Domain:        tenant.URL, // "example.eu.auth0.com"
		ClientID:      "web-app",
		ClientSecret:  vault.NewSecret("web-app-secret"),
		RefreshTokens: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	alice := &vault.RefreshToken{
		Subject: "auth0|alice", // as the login's ID token says
		Token:   vault.NewSecret(login.RefreshToken),
	}
	api := http.Client{Transport: &vault.Transport{
		Client:  client,
		Caller:  alice,
		Request: vault.Request{Connection: "google-oauth2"},
		Host:    strings.TrimPrefix(tenant.GoogleURL, "http://"), // "www.googleapis.com"
	}}
	resp, err := api.Get(tenant.GoogleURL + "/oauth2/v3/userinfo")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	fmt.Println(resp.Status, "for", alice)
	// Output:
	// 200 OK for &{auth0|alice  [redacted]}
}
