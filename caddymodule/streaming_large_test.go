//go:build !race

package caddymodule_test

// largeBody is what passes through Caddy in one piece.
const largeBody = 1 << 30
