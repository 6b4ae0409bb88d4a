package caddymodule

import "io"

// Expanded is for the texts of all fields.
func Expanded[T any](config *T) (any, error) { return expanded(config) }

// EnvFile is where setup keeps secrets.
func EnvFile(name string) io.Writer { return envFile(name) }

// PoolSize counts the tenants that some configuration still uses.
func PoolSize() (n int) {
	pool.Range(func(any, any) bool { n++; return true })
	return n
}

// BearerToken is what finds the agent's credential.
var BearerToken = bearerToken
