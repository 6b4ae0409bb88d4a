//go:build race

package caddymodule_test

// largeBody is less under the race detector, which takes its time.
const largeBody = 256 << 20

// allowance is more under it, since every stack is larger.
const allowance = 40 << 20
