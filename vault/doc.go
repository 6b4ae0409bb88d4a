// Package vault is Auth0 as a resource server and token vault: it verifies the
// Auth0 access token that came with a call, and exchanges it at Auth0 Token
// Vault for the same user's token at a provider such as Google or GitHub.
//
// A [Client] speaks for one Auth0 tenant, one API of it, and the Custom API
// client linked to that API. A call takes two steps:
//
//	client, err := vault.New(vault.Config{
//		Domain:       "example.eu.auth0.com",
//		Audience:     "https://agents.example.com/",
//		ClientID:     "…",
//		ClientSecret: vault.NewSecret(os.Getenv("AUTH0_CLIENT_SECRET")),
//	})
//
//	caller, err := client.Verify(ctx, bearerToken)
//	token, err := client.Token(ctx, caller, vault.Request{
//		Connection: "google-oauth2",
//		Scopes:     []string{"https://www.googleapis.com/auth/calendar.readonly"},
//	})
//
// Verify never asks Auth0 about the token itself; it needs the tenant's signing
// keys, which it fetches when first needed and keeps. A token that it verified
// before costs it a digest, as long as its key is one of the tenant's. Token answers from memory
// while the provider's token is valid, and asks Auth0 otherwise; concurrent
// callers for the same user, agent and account share one exchange.
// [Client.TokenSource] and [Client.Transport] wrap the second step for code
// that takes an oauth2.TokenSource or an http.RoundTripper.
//
// # Errors
//
// Every error that Verify and Token return for a reason of their own is an
// [*Error], and its Code says who has to act: the agent, the user (who follows a
// link), the operator, or nobody but time. Only [Error.NeedsLink] errors mean
// that connecting an account helps. A caller whose context ends gets the
// context's error.
//
// # What is kept, and for how long
//
// A [Cache] holds signing keys, provider tokens and call budgets. It may be
// shared by several Clients and outlive each of them; every entry is keyed by
// all that an answer depends on, so nothing crosses from one user, agent,
// organization, account, API or tenant to another. Nothing is written to disk.
// Provider tokens stay until they expire or for [Config.MaxAge], whichever ends
// first; [Client.Forget] and [Client.Reject] drop them earlier. Of a user's
// accounts that an agent asks for by login hint the [MaxLoginHints] used last are
// kept.
//
// # Secrets
//
// Credentials travel as [Secret] and [Token], which print as a placeholder in
// every format. Nothing in this package logs, and no error text holds any part
// of a token or secret.
//
// # Where to read on
//
// In the order of a call: client.go (configuration), verify.go, verified.go,
// claims.go and keys.go (whose token is this), token.go and cache.go (is there an answer
// already), flight.go and exchange.go (ask Auth0), call.go (one request to
// Auth0), budget.go (how often), scopes.go (is it enough), errors.go (every way
// it can end), source.go (for other Go programs).
package vault
