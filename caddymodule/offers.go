package caddymodule

import (
	"sync"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// offers are what the routes of one configuration ask of users' accounts:
// scopes by connection.
type offers struct {
	mu     sync.Mutex
	scopes map[string][]string
}

// add notes what one more route asks for.
func (o *offers) add(connection string, scopes []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.scopes == nil {
		o.scopes = make(map[string][]string)
	}
	o.scopes[connection] = vault.MergeScopes(o.scopes[connection], scopes)
}

// find tells whether some route uses the connection, and what for.
func (o *offers) find(connection string) (scopes []string, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	scopes, ok = o.scopes[connection]
	return scopes, ok
}
