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
// before costs it a comparison, as long as its key is one of the tenant's. Token
// answers from memory while the provider's token is valid, and asks Auth0
// otherwise; concurrent callers for the same user, agent and account share one
// exchange. [Client.TokenSource] and [Transport] wrap the second step for
// code that takes an oauth2.TokenSource or an http.RoundTripper.
//
// An application that its users log in to needs no API and no access token: with
// [Config.RefreshTokens] its Client's Token takes the user's [RefreshToken]. What
// follows holds for both.
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
// [Client.Forget], [Client.ForgetUser] and [Client.Reject] drop provider tokens
// before their time. Of a user's accounts that an agent asks for by login hint the
// [MaxLoginHints] used last are kept.
//
// A provider's token is handed out until 5 seconds before it ends, or for
// [Config.MaxAge], whichever is earlier, also while Auth0 is down. Shortly before
// that, one of the calls that are served asks for what comes next, with its own
// access token and without waiting. Auth0 gives the token that it has stored until
// that has ended, so this brings the same one again, as a rule: then it is handed
// out until its very end, and from then on nobody asks earlier for that account. A
// failure of such a renewal changes nothing; "not connected" ends the token.
//
// # When Auth0 fails
//
// An exchange that could not be sent at all is tried once more; one that Auth0 may
// have begun with is not, since it may have used up a refresh token. While the calls
// of several users fail, or after a 429 until its time is over, Auth0 is asked by
// one call at a time, two to four times a second; all others are refused at once.
// [Config] bounds the exchanges under way and the callers that wait for them.
//
// # Secrets
//
// Credentials travel as [Secret] and [Token], which print as a placeholder in
// every format. Nothing in this package logs, and no error text holds any part
// of a token or secret.
//
// # Where to read on
//
// In the order of a call:
//
//	config.go, client.go         configuration, and what may be told of it all
//	verify.go, claims.go, verified.go, keys.go
//	                             whose token is this
//	token.go                     what is wanted, and for whom
//	flight.go                    one exchange for all who wait for it
//	memory.go, renewal.go        is there an answer already, and for how long
//	admission.go, breaker.go     may Auth0 be asked now
//	exchange.go, call.go         asking it
//	scopes.go, scopenames.go     is that enough
//	errors.go                    every way in which it can end
//	secret.go                    what must not be printed
//	cache.go                     what outlives a configuration
//	idtoken.go, source.go        for sign-ins, and for other Go programs
package vault
