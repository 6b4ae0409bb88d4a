package auth0test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"
)

// An account is a provider account in the vault: what Auth0 keeps in a user's
// connected_accounts, with the provider's tokens.
type account struct {
	id, userID, connection, orgID string

	providerUserID, email string

	createdAt time.Time
	// refreshing lets one exchange at a time talk to the provider, for
	// providers rotate refresh tokens. It is taken before the tenant's mutex.
	refreshing sync.Mutex
	tokens     providerTokens
}

// providerTokens are a provider's answer, as the vault stores it.
type providerTokens struct {
	access, refresh string
	scopes          []string
	// scopeText is the scope member as the provider wrote it.
	scopeText string
	expires   time.Time
}

// accountsOf lists a user's accounts, in the order they were connected, of one
// connection or of all when none is named. The caller holds the mutex.
func (t *Tenant) accountsOf(userID, connection string) []*account {
	var out []*account
	for _, a := range t.accounts {
		if a.userID == userID && (connection == "" || a.connection == connection) {
			out = append(out, a)
		}
	}
	return out
}

// errTooMany is the vault being full for a user and a connection.
var errTooMany = errors.New("too many accounts")

// storeAccount puts a freshly connected account into the vault. The same
// provider account again replaces the tokens and keeps the record.
func (t *Tenant) storeAccount(fresh *account) (*account, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	existing := t.accountsOf(fresh.userID, fresh.connection)
	if t.cfg().Settings.Reconnect == "update" {
		for _, a := range existing {
			if a.providerUserID == fresh.providerUserID {
				a.tokens, a.orgID = fresh.tokens, fresh.orgID
				return a, nil
			}
		}
	}
	if limit := t.cfg().Settings.MaxAccounts; limit > 0 && len(existing) >= limit {
		return nil, errTooMany
	}
	fresh.id, fresh.createdAt = "cac_"+randomAlnum(22), time.Now()
	t.accounts = append(t.accounts, fresh)
	return fresh, nil
}

// removeAccounts forgets the accounts that match, tokens and all.
func (t *Tenant) removeAccounts(match func(*account) bool) (removed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := len(t.accounts)
	t.accounts = slices.DeleteFunc(t.accounts, match)
	return before - len(t.accounts)
}

// Connect puts an account into the vault without a browser: the stand-in
// grants the scopes as if the user had consented, with offline access only where a
// browser would have asked for it. Nil scopes mean the
// connection's own; an empty account means the one the stand-in has for the
// user's e-mail address.
func (t *Tenant) Connect(user, connection string, scopes []string, providerUserID string) error {
	u, err := t.findUser(user)
	if err != nil {
		return fmt.Errorf("auth0test: %w", err)
	}
	c, p, err := t.findConnection(connection)
	if err != nil {
		return fmt.Errorf("auth0test: %w", err)
	}
	if scopes == nil {
		scopes = c.scopes()
	}
	if providerUserID == "" {
		providerUserID = p.accountID(u.Email)
	}
	tokens := p.grantDirectly(c, providerUserID, scopes)
	_, err = t.storeAccount(&account{
		userID: u.UserID, connection: c.Name, providerUserID: providerUserID,
		email: p.email(providerUserID), tokens: tokens,
	})
	return err
}

// Disconnect removes a user's accounts on a connection from the vault.
func (t *Tenant) Disconnect(user, connection string) error {
	u, err := t.findUser(user)
	if err != nil {
		return fmt.Errorf("auth0test: %w", err)
	}
	if _, _, err := t.findConnection(connection); err != nil {
		return fmt.Errorf("auth0test: %w", err)
	}
	t.removeAccounts(func(a *account) bool { return a.userID == u.UserID && a.connection == connection })
	return nil
}

// Revoke makes the provider refuse what a user granted through a connection:
// the refresh token, and the access tokens that are out. The stored access
// token counts as expired, so that the next exchange finds out.
func (t *Tenant) Revoke(user, connection string) error {
	u, err := t.findUser(user)
	if err != nil {
		return fmt.Errorf("auth0test: %w", err)
	}
	_, p, err := t.findConnection(connection)
	if err != nil {
		return fmt.Errorf("auth0test: %w", err)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.accountsOf(u.UserID, connection) {
		p.revoke(a.tokens.access)
		p.revoke(a.tokens.refresh)
		a.tokens.expires = time.Time{}
	}
	return nil
}
