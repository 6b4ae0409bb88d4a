package auth0test

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// The cookies of a browser: its Auth0 session, and a random name that ties a
// login to the browser that began it.
const (
	sessionCookie = "auth0"
	browserCookie = "did"
)

// A session is a browser's single sign-on session.
type session struct {
	userID   string
	sid      string // the ID token's; not the cookie's value
	authTime time.Time
}

// sessionLifetime is Auth0's default for an idle session.
const sessionLifetime = 72 * time.Hour

func cookieValue(r *http.Request, name string) string {
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	return ""
}

// setCookie: no Secure, for the tenant speaks http on loopback.
func setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode, MaxAge: maxAge,
	})
}

func browserID(w http.ResponseWriter, r *http.Request) string {
	if id := cookieValue(r, browserCookie); id != "" {
		return id
	}
	id := randomID(32)
	setCookie(w, browserCookie, id, 365*24*3600)
	return id
}

// currentSession is the session of the browser, nil when there is none.
func (t *Tenant) currentSession(r *http.Request) *session {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.sessions[cookieValue(r, sessionCookie)]
	if s == nil || time.Since(s.authTime) > sessionLifetime {
		return nil
	}
	return s
}

// serveLoginPage shows the form.
func (t *Tenant) serveLoginPage(w http.ResponseWriter, r *http.Request) {
	state := r.URL.Query().Get("state")
	tx, err := t.findTransaction(r, state)
	if err != nil {
		showLostTransaction(w)
		return
	}
	t.showLogin(w, http.StatusOK, tx, state, tx.hint, "")
}

func (t *Tenant) showLogin(w http.ResponseWriter, status int, tx *transaction, state, username, message string) {
	name := tx.client.Name
	setDefault(&name, tx.client.ClientID)
	writePage(w, status, loginPage, loginView{State: state, Client: name, Username: username, Error: message})
}

// serveLogin checks the password and starts a session. A new session gets a
// new cookie value, whatever the browser had.
func (t *Tenant) serveLogin(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil || crossSite(r) {
		showError(w, http.StatusBadRequest, "invalid_request", "This form cannot be used.")
		return
	}
	state := r.Form.Get("state")
	tx, err := t.findTransaction(r, state)
	if err != nil {
		showLostTransaction(w)
		return
	}
	username := r.PostForm.Get("username")
	user := t.cfg().userByLogin(username)
	if user == nil || user.Password == "" ||
		subtle.ConstantTimeCompare([]byte(user.Password), []byte(r.PostForm.Get("password"))) != 1 {
		t.showLogin(w, http.StatusBadRequest, tx, state, username, "Wrong email or password")
		return
	}
	value := randomID(43)
	t.mu.Lock()
	delete(t.sessions, cookieValue(r, sessionCookie))
	t.sessions[value] = &session{userID: user.UserID, sid: randomID(32), authTime: time.Now()}
	t.mu.Unlock()
	setCookie(w, sessionCookie, value, 0)
	redirect(w, r, t.base+"/authorize/resume", url.Values{"state": {state}})
}

// serveResume takes the transaction up again after the login.
func (t *Tenant) serveResume(w http.ResponseWriter, r *http.Request) {
	state := r.URL.Query().Get("state")
	tx, err := t.findTransaction(r, state)
	s := t.currentSession(r)
	// The login must have happened for this transaction: prompt=login is not
	// satisfied by an older session.
	if err != nil || s == nil || s.authTime.Before(tx.started) {
		showLostTransaction(w)
		return
	}
	t.mu.Lock()
	delete(t.transactions, state)
	t.mu.Unlock()
	t.finish(w, r, tx, s)
}

// serveLogout ends the session and goes where the client may send people.
func (t *Tenant) serveLogout(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	delete(t.sessions, cookieValue(r, sessionCookie))
	t.mu.Unlock()
	setCookie(w, sessionCookie, "", -1)
	q := r.URL.Query()
	client, target := t.cfg().client(q.Get("client_id")), q.Get("returnTo")
	if target == "" && client != nil && len(client.AllowedLogoutURLs) > 0 {
		target = client.AllowedLogoutURLs[0] // Auth0 takes the first one then
	}
	if target == "" {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = w.Write([]byte("OK"))
		return
	}
	if client == nil || !slices.Contains(client.AllowedLogoutURLs, target) {
		showError(w, http.StatusBadRequest, "invalid_request",
			"The \"returnTo\" querystring parameter \""+target+"\" is not defined as a valid URL in \"Allowed Logout URLs\".")
		return
	}
	redirect(w, r, target, nil)
}

func showLostTransaction(w http.ResponseWriter) {
	showError(w, http.StatusBadRequest, "invalid_request",
		"You may have pressed the back button, refreshed during login, opened too many login dialogs, "+
			"or there is some issue with cookies, since we couldn't find your session.")
}
