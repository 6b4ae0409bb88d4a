package vault_test

import (
	"context"
	"errors"
	"fmt"
	"log"

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
