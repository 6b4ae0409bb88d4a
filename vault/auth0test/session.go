package auth0test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// The cookies of a browser: its Auth0 session, and a random name that ties a
// login to the browser that began it.
const (
	sessionCookie = "auth0"
	browserCookie = "did"
)

// A session is a browser's single sign-on session. It is never changed.
type session struct {
	userID     string
	sid        string // the ID token's; not the cookie's value
	connection string // that the user logged in through
	authTime   time.Time
	methods    []AuthenticationMethod
}

// did reports whether the person did something in this session.
func (s *session) did(method string) bool {
	return slices.ContainsFunc(s.methods, func(m AuthenticationMethod) bool { return m.Name == method })
}

// sessionLifetime is Auth0's default for an idle session.
const sessionLifetime = 72 * time.Hour

func cookieValue(r *http.Request, name string) string {
	if c, err := r.Cookie(name); err == nil {
		return c.Value
	}
	return ""
}

func (t *Tenant) setCookie(w http.ResponseWriter, name, value string, maxAge int) {
	secure, sameSite := strings.HasPrefix(t.base, "https://"), http.SameSiteLaxMode
	if secure {
		// As Auth0's, for frames of applications that log in silently. Browsers keep no
		// such cookie of http.
		sameSite = http.SameSiteNoneMode
	}
	http.SetCookie(w, &http.Cookie{
		Name: name, Value: value, Path: "/", MaxAge: maxAge, Secure: secure, HttpOnly: true, SameSite: sameSite,
	})
}

func (t *Tenant) browserID(w http.ResponseWriter, r *http.Request) string {
	if id := cookieValue(r, browserCookie); id != "" {
		return id
	}
	id := randomID(32)
	t.setCookie(w, browserCookie, id, 365*24*3600)
	return id
}

// currentSession is the session of the browser, nil when there is none. That
// of a user who is gone, deleted or linked to another, is over.
func (t *Tenant) currentSession(r *http.Request) *session {
	t.mu.Lock()
	s := t.sessions[cookieValue(r, sessionCookie)]
	t.mu.Unlock()
	if s == nil || time.Since(s.authTime) > sessionLifetime || t.cfg().user(s.userID) == nil {
		return nil
	}
	return s
}

// logIn starts the session of a user who proved to be one, and goes on with the
// transaction.
func (t *Tenant) logIn(w http.ResponseWriter, r *http.Request, tx *transaction, userID, connection, method string) {
	now := time.Now()
	tx.session = &session{
		userID: userID, sid: randomID(32), connection: connection, authTime: now,
		methods: []AuthenticationMethod{{Name: method, Timestamp: now}},
	}
	t.setSession(w, r, tx.session)
	redirect(w, r, t.base+"/authorize/resume", url.Values{"state": {t.park(tx, loggedIn)}})
}

// amendSession adds what the person did to the session of a transaction.
func (t *Tenant) amendSession(tx *transaction, method AuthenticationMethod) {
	amended := *tx.session
	amended.methods = append(slices.Clone(amended.methods), method)
	t.mu.Lock()
	defer t.mu.Unlock()
	for cookie, s := range t.sessions {
		if s == tx.session {
			t.sessions[cookie] = &amended
		}
	}
	tx.session = &amended
}

// setSession gives the browser a session instead of the one it had. It gets a
// new cookie value, whatever the browser had.
func (t *Tenant) setSession(w http.ResponseWriter, r *http.Request, s *session) {
	value := randomID(43)
	t.mu.Lock()
	delete(t.sessions, cookieValue(r, sessionCookie))
	t.sessions[value] = s
	t.mu.Unlock()
	t.setCookie(w, sessionCookie, value, 0)
}

// serveResume takes the transaction up again after the login.
func (t *Tenant) serveResume(w http.ResponseWriter, r *http.Request) {
	tx, err := t.take(r, r.URL.Query().Get("state"), loggedIn)
	if err != nil {
		showLostTransaction(w, err)
		return
	}
	t.proceed(w, r, tx)
}
