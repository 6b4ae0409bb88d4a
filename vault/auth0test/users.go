package auth0test

import "slices"

// removeUser takes a user's record out.
func (cfg *Config) removeUser(id string) {
	cfg.Users = slices.DeleteFunc(cfg.Users, func(u User) bool { return u.UserID == id })
}

// forgetUser ends what a user who is gone has open: sessions, codes, refresh
// tokens, and the accounts in the vault unless they pass to an heir.
func (t *Tenant) forgetUser(id, heir string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, s := range t.sessions {
		if s.userID == id {
			delete(t.sessions, key)
		}
	}
	for key, code := range t.codes {
		if code.grant.UserID == id {
			delete(t.codes, key)
		}
	}
	for key, rt := range t.refresh {
		if rt.grant.UserID == id {
			delete(t.refresh, key)
		}
	}
	for key, s := range t.connecting {
		if s.who.userID == id {
			delete(t.connecting, key)
		}
	}
	settings := t.cfg().Settings
	moves := heir != "" && (settings.LinkConnectedAccounts == "moved" || settings.IdentitiesFeedVault)
	t.accounts = slices.DeleteFunc(t.accounts, func(a *account) bool {
		if a.userID == id && moves {
			a.userID = heir
		}
		return a.userID == id
	})
}
