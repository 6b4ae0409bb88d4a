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
// In the order of a request:
//
//	call.go                      the whole of it on one screen: who calls, for what
//	credentials.go               what the agent sent, and how it is taken off
//	hint.go                      which of the user's accounts is meant
//	hold.go                      a request that waits for its user
//	refuse.go, answers.go        one that goes no further: why, and every byte that an agent gets from us
//	attach.go                    one that goes on: what the upstream gets, and what of its answer passes
//	link.go                      the other handler, for people and for agents that ask how it went
//
// In the order of a configuration:
//
//	caddyfile.go, caddyfile_tenant.go, caddyfile_link.go, caddyfile_words.go
//	                             the Caddyfile
//	tenant.go, tenant_link.go    tenants, their pages, and what all routes share
//	expand.go                    placeholders
//	linkkey.go                   the keys that seal links
//	handler.go                   one route
//	walk.go                      what handlers a site has, and which do not go together
//
// The command:
//
//	command.go, commandneeds.go  what a configuration needs of a tenant, for package tenantsetup
//	envfile.go, envfile_unix.go, envfile_other.go
//	                             where the secrets that setup makes are kept
package caddymodule
