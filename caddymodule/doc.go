// Package caddymodule plugs Token Vault into Caddy: AI agents call Google,
// GitHub and others through reverse_proxy with their Auth0 access token, and
// the upstream gets the user's own token at the provider instead.
//
// It registers three modules:
//
//   - the app token_vault: Auth0 tenants, and what all routes share
//   - the handler http.handlers.token_vault: validates the agent's access token,
//     exchanges it, attaches the provider's token
//   - the handler http.handlers.token_vault_link: the pages on which a person
//     connects an account, and the status that the agent waits for
//
// and the command token-vault, which checks and sets up Auth0 tenants.
//
// # Where to read on
//
// In the order of a request: call.go (the whole of it on one screen),
// credentials.go (what the agent sent), policy.go (what it may), hold.go (a request
// that waits for its user), refuse.go (one that goes no further) with answers.go
// (every byte that an agent gets from us), attach.go and context.go (what the
// upstream gets), response.go (what of the upstream's answer passes), retry.go (what
// follows a 401 of it), log.go (what the operator reads of all this), link.go (the
// other handler).
//
// In the order of a configuration: caddyfile.go, caddyfile_tenant.go and
// caddyfile_link.go with caddyfile_words.go (what they are made of), app.go,
// tenant.go, tenant_link.go, linking.go (which words of it go together), expand.go,
// linkkey.go, handler.go, offers.go, sites.go.
//
// The command: command.go, commandconfig.go, commandneeds.go (what a configuration
// needs), and package tenantsetup.
package caddymodule
