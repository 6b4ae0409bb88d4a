package vault

import (
	"hash/maphash"
	"net/http"
	"sync"
	"time"
)

// Cache is what outlives a configuration: signing keys, verified tokens, the vault's
// answers, exchanges on their way, budgets, how the tenant has been answering, and
// idle connections to Auth0. Several Clients may share one; nothing in it crosses from
// one tenant, API, user, agent, organization or account to another.
type Cache struct {
	verified verifiedTokens
	answers  memory
	flights  flights
	budgets  budgets

	mu        sync.Mutex
	keySets   map[string]*keySet
	breakers  map[string]*breakers // by the URL of an API
	transport *http.Transport      // nil before a Client needs it
}

// NewCache returns an empty Cache.
func NewCache() *Cache {
	return &Cache{
		verified: verifiedTokens{seed: maphash.MakeSeed()},
		flights:  flights{byName: make(map[flightName]*flight), users: make(map[string]*pending)},
		keySets:  make(map[string]*keySet),
		breakers: make(map[string]*breakers),
	}
}

// CloseIdleConnections closes connections to Auth0 that carry no call. Calls on
// their way finish, and a Client that is still in use opens new ones.
func (c *Cache) CloseIdleConnections() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != nil {
		c.transport.CloseIdleConnections()
	}
}

// roundTripper carries the calls to Auth0 of Clients without a transport of their own.
func (c *Cache) roundTripper() http.RoundTripper {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport == nil {
		c.transport = newTransport()
	}
	return c.transport
}

// newTransport returns one like the program's default, if that is of a kind that can
// be copied.
func newTransport() *http.Transport {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true, IdleConnTimeout: 90 * time.Second}
	if common, ok := http.DefaultTransport.(*http.Transport); ok {
		transport = common.Clone()
	}
	transport.MaxIdleConnsPerHost = 32 // all calls go to one host
	return transport
}

func (c *Cache) keySet(url string) *keySet {
	c.mu.Lock()
	defer c.mu.Unlock()
	set := c.keySets[url]
	if set == nil {
		set = &keySet{url: url}
		c.keySets[url] = set
	}
	return set
}

func (c *Cache) breakersOf(url string) *breakers {
	c.mu.Lock()
	defer c.mu.Unlock()
	b := c.breakers[url]
	if b == nil {
		b = new(breakers)
		c.breakers[url] = b
	}
	return b
}

// forget drops all of an account or, if it names no connection, of a user. What was
// asked before does not bring it back.
func (c *Cache) forget(a account) {
	c.flights.strand(func(k key) bool { return a.has(k.account) })
	c.answers.forget(a)
}

// reject drops a token, and reports whether it did. What was asked before does not
// bring it back.
func (c *Cache) reject(token *Token) bool {
	if token.entry == nil || !c.answers.reject(token) {
		return false // it was never kept, or is not
	}
	c.flights.strand(func(k key) bool { return k == token.entry.key })
	return true
}
