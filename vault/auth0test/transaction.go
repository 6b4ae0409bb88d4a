package auth0test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// A transaction is an authorization request on its way through the login. From
// page to page it is parked, each time under a new state.
type transaction struct {
	client      *Client
	redirectURI string
	givenURI    string // the redirect_uri parameter, empty when left out
	mode        string // response_mode
	state       string
	challenge   string
	method      string
	grant       tokenGrant
	prompt      []string
	maxAge      int // seconds; -1 when not given
	hint        string
	connection  string // the only one to log in through; empty: any
	connScope   string // what more the provider is asked for
	started     time.Time
	browser     string     // the cookie value of the browser that began it
	query       url.Values // the request as it came
	pushed      bool

	stage   stage
	via     *Connection // whose provider the browser is at
	session *session    // nil before the login

	nextAction int            // the first that has not run
	redirectTo string         // where an Action wants the person, after a factor
	factor     *factorRequest // the second factor asked for
	mfaDone    bool           // one was shown in this transaction
	resumed    bool           // it was sent away, and came back
}

func newTransaction(q url.Values, pushed bool) *transaction {
	return &transaction{query: q, pushed: pushed, state: q.Get("state"), maxAge: -1, started: time.Now()}
}

// A stage is what a parked transaction waits for.
type stage int

const (
	atLogin    stage = iota // the login page
	atProvider              // a provider's answer
	atFactor                // a second factor
	sentAway                // /continue
	loggedIn                // nothing more but the browser
)

// transactionLifetime is how long a page of a login may stay open.
const transactionLifetime = time.Hour

// park keeps a transaction until the browser comes back with the state.
func (t *Tenant) park(tx *transaction, at stage) (state string) {
	state = randomID(32)
	t.mu.Lock()
	defer t.mu.Unlock()
	for old, other := range t.transactions {
		if other.expired() {
			delete(t.transactions, old)
		}
	}
	tx.stage = at
	t.transactions[state] = tx
	return state
}

func (tx *transaction) expired() bool { return time.Since(tx.started) > transactionLifetime }

var errNoTransaction = errors.New("there is no such login")

// parked finds a transaction at a stage, for the browser that began it.
func (t *Tenant) parked(r *http.Request, state string, at stage) (*transaction, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.findParked(r, state, at)
}

// take is parked, once: who comes second with a state finds nothing.
func (t *Tenant) take(r *http.Request, state string, at stage) (*transaction, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	tx, err := t.findParked(r, state, at)
	if err == nil {
		delete(t.transactions, state)
	}
	return tx, err
}

// findParked is for callers who hold the mutex.
func (t *Tenant) findParked(r *http.Request, state string, at stage) (*transaction, error) {
	tx := t.transactions[state]
	switch {
	case tx == nil || tx.expired():
		return nil, fmt.Errorf("%w: its state is unknown, used or older than %s", errNoTransaction, transactionLifetime)
	case tx.stage != at:
		return nil, fmt.Errorf("%w: its state is for another page", errNoTransaction)
	case cookieValue(r, browserCookie) != tx.browser:
		return nil, fmt.Errorf("%w: another browser began it, or cookies do not come back", errNoTransaction)
	}
	return tx, nil
}

// needsLogin decides whether a session is good enough.
func (tx *transaction) needsLogin(s *session) bool {
	if s == nil || slices.Contains(tx.prompt, "login") || tx.maxAge == 0 {
		return true
	}
	if !tx.allows(s.connection) {
		return true
	}
	return tx.maxAge > 0 && time.Since(s.authTime) > time.Duration(tx.maxAge)*time.Second
}

// allows reports whether the user may log in through a connection: any, unless
// the request named one.
func (tx *transaction) allows(connection string) bool {
	return tx.connection == "" || tx.connection == connection
}

// finish answers with a code.
func (t *Tenant) finish(w http.ResponseWriter, r *http.Request, tx *transaction) {
	g, s := tx.grant, tx.session
	g.UserID, g.SessionID, g.MFA = s.userID, s.sid, s.did("mfa")
	if tx.maxAge >= 0 {
		g.AuthTime = s.authTime
	}
	scope, oerr := t.userScopes(tx.client, g.UserID, g.Audience, g.Scope)
	if oerr != nil {
		tx.fail(w, r, oerr)
		return
	}
	g.Scope = scope
	if tx.resumed && t.cfg().Settings.SessionAfterContinue == "transaction" && t.currentSession(r) != s {
		t.setSession(w, r, s)
	}
	code := randomID(43)
	t.mu.Lock()
	t.codes[code] = &authCode{
		grant: g, redirectURI: tx.givenURI, challenge: tx.challenge, method: tx.method,
		expires: time.Now().Add(codeLifetime),
	}
	t.mu.Unlock()
	tx.answer(w, r, url.Values{"code": {code}})
}

// fail answers with an error.
func (tx *transaction) fail(w http.ResponseWriter, r *http.Request, oerr *oauthError) {
	note(w, "%s", oerr.why())
	tx.answer(w, r, url.Values{"error": {oerr.Code}, "error_description": {oerr.Description}})
}
