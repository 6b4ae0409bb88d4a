package auth0test

import (
	"net/http"
	"net/url"
)

// goToProvider sends the browser to the provider of a connection to log in
// there. The state is the transaction's, so that the answer counts once, and in
// this browser only.
func (t *Tenant) goToProvider(w http.ResponseWriter, r *http.Request, tx *transaction, c *Connection) {
	tx.via = c
	p := t.providers[c.Strategy]
	scopes := append(c.loginScopes(), splitScopes(tx.connScope)...)
	q := url.Values{"state": {t.park(tx, atProvider)}}
	p.ask(q, intersect(scopes, scopes), t.cfg().Settings.OfflineAccess == "always" || c.offline())
	if tx.hint != "" {
		q.Set("login_hint", tx.hint)
	}
	http.Redirect(w, r, p.authorizeURL(c, q), http.StatusFound)
}

// serveProviderCallback is where providers send the browser back to Auth0, from
// a login or from connecting an account.
func (t *Tenant) serveProviderCallback(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if tx, err := t.take(r, q.Get("state"), atProvider); err == nil {
		t.finishSocialLogin(w, r, tx, q)
		return
	}
	s, err := t.takeProviderState(r, q.Get("state"))
	if err != nil {
		note(w, "%v", err)
		showError(w, http.StatusBadRequest, "invalid_request", "Unable to verify the transaction.")
		return
	}
	t.finishConnect(w, r, s, q)
}

// finishSocialLogin asks the provider who logged in, and logs that user in.
func (t *Tenant) finishSocialLogin(w http.ResponseWriter, r *http.Request, tx *transaction, q url.Values) {
	if code := q.Get("error"); code != "" || q.Get("code") == "" {
		setDefault(&code, "server_error")
		tx.fail(w, r, refuse(0, code, "The provider refused: %s", code))
		return
	}
	p := t.providers[tx.via.Strategy]
	tokens, _, err := p.redeem(r.Context(), tx.via, q.Get("code"))
	if err != nil {
		tx.fail(w, r, refuse(0, "server_error", "The provider did not accept the code").because("the provider did not accept the code: %v", err))
		return
	}
	who, err := p.readProfile(r.Context(), p, tokens.access)
	if err != nil {
		tx.fail(w, r, refuse(0, "server_error", "The provider did not tell who logged in").because("the provider did not tell who logged in: %v", err))
		return
	}
	userID, err := t.socialUser(tx.via, who)
	if err != nil {
		tx.fail(w, r, serverError(err))
		return
	}
	if t.cfg().Settings.IdentitiesFeedVault {
		// A vault that is full keeps what it has; the login succeeds all the same.
		_, _ = t.storeAccount(&account{
			userID: userID, connection: tx.via.Name, providerUserID: who.id, email: who.email, tokens: tokens,
		})
	}
	t.logIn(w, r, tx, userID, tx.via.Name, "federated")
}

// socialUser finds the user who logs in with a provider's account, or makes one
// of it. As at Auth0 each login refreshes the profile of a user whose own
// identity it is; an e-mail address finds nobody.
func (t *Tenant) socialUser(c *Connection, who profile) (userID string, err error) {
	err = t.change(func(cfg *Config) error {
		id := c.identityOf(who.id)
		u := cfg.userByIdentity(c.Strategy, id)
		if u == nil {
			cfg.Users = append(cfg.Users, User{
				UserID:     c.Strategy + "|" + id,
				Identities: []Identity{{Connection: c.Name, Provider: c.Strategy, UserID: id, IsSocial: true}},
			})
			u = &cfg.Users[len(cfg.Users)-1]
		}
		if u.UserID == c.Strategy+"|"+id {
			who.copyTo(u)
		}
		userID = u.UserID
		return nil
	})
	return userID, err
}

// identityOf is an account as the id of an identity: of a custom social connection
// it begins with the connection's name.
func (c *Connection) identityOf(account string) string {
	if c.Strategy == "oauth2" {
		return c.Name + "|" + account
	}
	return account
}
