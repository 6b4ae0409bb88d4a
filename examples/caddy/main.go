// Command caddy is Caddy with this module, built from a checkout without xcaddy:
//
//	go run ./examples/caddy run --config Caddyfile
package main

import (
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tokenvault/caddy-token-vault/caddymodule"
)

func main() { caddycmd.Main() }
