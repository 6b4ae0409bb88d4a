package auth0test

import (
	"crypto/subtle"
	"net/http"
	"net/url"
)

// startLogin shows the login page, or goes to the provider at once when the
// request named its connection.
func (t *Tenant) startLogin(w http.ResponseWriter, r *http.Request, tx *transaction) {
	if c := t.cfg().connection(tx.connection); c != nil && c.social() {
		t.goToProvider(w, r, tx, c)
		return
	}
	redirect(w, r, t.base+"/u/login", url.Values{"state": {t.park(tx, atLogin)}})
}

// serveLoginPage shows the form.
func (t *Tenant) serveLoginPage(w http.ResponseWriter, r *http.Request) {
	state := r.URL.Query().Get("state")
	tx, err := t.parked(r, state, atLogin)
	if err != nil {
		showLostTransaction(w, err)
		return
	}
	t.showLogin(w, http.StatusOK, tx, state, tx.hint, "")
}

func (t *Tenant) showLogin(w http.ResponseWriter, status int, tx *transaction, state, username, message string) {
	view := loginView{State: state, Client: tx.client.Name, Username: username, Error: message}
	setDefault(&view.Client, tx.client.ClientID)
	for _, c := range t.cfg().loginConnections(tx.client) {
		switch {
		case !tx.allows(c.Name):
		case c.social():
			label := c.DisplayName
			setDefault(&label, c.Name)
			view.Connections = append(view.Connections, connectionView{Name: c.Name, Label: label})
		default:
			view.Password = true
		}
	}
	writePage(w, status, loginPage, view)
}

// serveLogin checks the password, or goes to the provider whose button was
// pressed.
func (t *Tenant) serveLogin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil || crossSite(r) {
		showError(w, http.StatusBadRequest, "invalid_request", "This form cannot be used.")
		return
	}
	state := r.Form.Get("state")
	tx, err := t.parked(r, state, atLogin)
	if err != nil {
		showLostTransaction(w, err)
		return
	}
	if name := r.PostForm.Get("connection"); name != "" {
		t.serveButton(w, r, tx, name)
		return
	}
	username := r.PostForm.Get("username")
	connection, user := t.cfg().passwordLogin(tx, username, r.PostForm.Get("password"))
	if user == nil {
		note(w, "no user has this name and password, or %s has no database to log in through", tx.client.ClientID)
		t.showLogin(w, http.StatusBadRequest, tx, state, username, "Wrong email or password")
		return
	}
	if tx, err = t.take(r, state, atLogin); err != nil {
		showLostTransaction(w, err)
		return
	}
	t.logIn(w, r, tx, user.UserID, connection.Name, "pwd")
}

// serveButton goes to the provider whose button was pressed on the login page.
func (t *Tenant) serveButton(w http.ResponseWriter, r *http.Request, tx *transaction, name string) {
	c := find(t.cfg().loginConnections(tx.client), func(c Connection) bool {
		return c.social() && c.Name == name && tx.allows(name)
	})
	if c == nil {
		showError(w, http.StatusBadRequest, "invalid_request", "This form cannot be used.")
		return
	}
	tx, err := t.take(r, r.PostForm.Get("state"), atLogin)
	if err != nil {
		showLostTransaction(w, err)
		return
	}
	t.goToProvider(w, r, tx, c)
}

// passwordLogin finds a user by what was typed into the login page, and the
// database that the login went through.
func (cfg *Config) passwordLogin(tx *transaction, username, password string) (*Connection, *User) {
	database := find(cfg.loginConnections(tx.client), func(c Connection) bool { return !c.social() && tx.allows(c.Name) })
	user := find(cfg.Users, func(u User) bool { return u.password(username) != "" })
	if database == nil || user == nil || subtle.ConstantTimeCompare([]byte(user.password(username)), []byte(password)) != 1 {
		return nil, nil
	}
	return database, user
}

func showLostTransaction(w http.ResponseWriter, err error) {
	note(w, "%v", err)
	showError(w, http.StatusBadRequest, "invalid_request",
		"You may have pressed the back button, refreshed during login, opened too many login dialogs, "+
			"or there is some issue with cookies, since we couldn't find your session.")
}
