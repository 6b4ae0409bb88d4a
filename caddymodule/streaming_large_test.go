//go:build !race

package caddymodule_test

// largeBody is what passes through Caddy in one piece.
const largeBody = 1 << 30

// allowance is how much more memory a thousand waiting requests may take than
// those of bare Caddy.
const allowance = 20 << 20
