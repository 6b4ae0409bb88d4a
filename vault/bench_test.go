package vault

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// users fills a client's cache with the answers for n users, and verified tokens
// of as many, of a size as Auth0's.
func users(b *testing.B, n int) (*Client, []*AccessToken) {
	b.Helper()
	c := newTenant().client(b, Config{MaxEntries: 2 * n, TenantBudget: 1e9})
	callers := make([]*AccessToken, n)
	for i := range callers {
		raw := fmt.Sprintf("%0900d", i)
		callers[i] = callerWith(b, raw, object{"sub": fmt.Sprint("auth0|64f0c2a1b7e3d9f8a5c6e", i)})
		c.cache.verified.put(c.cache.verified.id(raw, c.rules), verifiedToken{token: callers[i]}, 2*n)
		mustToken(b, c, callers[i], calendar)
	}
	return c, callers
}

// BenchmarkToken is an answer from memory, of one user and of a hundred thousand
// in no order.
func BenchmarkToken(b *testing.B) {
	for _, n := range []int{1, 100_000} {
		c, callers := users(b, n)
		b.Run(fmt.Sprint("users=", n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = c.Token(b.Context(), callers[rand.N(n)], calendar)
			}
		})
		b.Run(fmt.Sprint("parallel/users=", n), func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					_, _ = c.Token(b.Context(), callers[rand.N(n)], calendar)
				}
			})
		})
	}
}

// BenchmarkTokenOfManyScopes is an answer from memory whose scopes are compared on
// every call, and once.
func BenchmarkTokenOfManyScopes(b *testing.B) {
	c, caller, prepared := demanding(b)
	for name, req := range map[string]Request{
		"prepared": prepared,
		"each":     {Connection: prepared.Connection, Scopes: prepared.Scopes, MaxScopes: prepared.MaxScopes},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = c.Token(b.Context(), caller, req)
			}
		})
	}
}
