// A module of its own, so that the test vectors' Go version does not bind users
// of the module around it.
module github.com/tokenvault/caddy-token-vault/vault/wycheproof

go 1.26.4

require (
	github.com/c2sp/wycheproof v0.0.0-20260902155932-3fa63dd0344a
	github.com/tokenvault/caddy-token-vault v0.0.0
)

require (
	github.com/go-jose/go-jose/v4 v4.1.8 // indirect
	golang.org/x/oauth2 v0.37.0 // indirect
	golang.org/x/sync v0.23.0 // indirect
	golang.org/x/time v0.16.0 // indirect
)

replace github.com/tokenvault/caddy-token-vault => ../..
