package caddymodule

// PoolSize counts the tenants that some configuration still uses.
func PoolSize() (n int) {
	pool.Range(func(any, any) bool { n++; return true })
	return n
}
