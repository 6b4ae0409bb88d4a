package auth0test

import (
	"crypto/subtle"
	"errors"
	"net/http"
	"slices"
	"time"
)

// connectLifetime is how long a ticket lives, and with it the session.
const connectLifetime = 300 * time.Second

// A connectSession is one attempt to connect an account, from POST …/connect
// to POST …/complete.
type connectSession struct {
	id          string // auth_session
	ticket      string // empty once used
	who         caller
	connection  *Connection
	redirectURI string
	state       string
	challenge   string
	scopes      []string
	hint        string
	prompt      string
	expires     time.Time

	providerState string // of the provider leg; empty before and after
	browser       string // the Auth0 session of the browser that opened the ticket
	connectCode   string
	account       *account // what /complete will store
}

type connectBody struct {
	Connection          string   `json:"connection"`
	RedirectURI         string   `json:"redirect_uri"`
	State               string   `json:"state"`
	CodeChallenge       string   `json:"code_challenge"`
	CodeChallengeMethod string   `json:"code_challenge_method"`
	Scopes              []string `json:"scopes"`
	AuthorizationParams struct {
		LoginHint string `json:"login_hint"`
		Prompt    string `json:"prompt"`
	} `json:"authorization_params"`
}

// startConnect is POST …/connect.
func (t *Tenant) startConnect(w http.ResponseWriter, r *http.Request, who caller) *problem {
	var body connectBody
	if p := readBody(r, connectSchema, &body); p != nil {
		return p
	}
	if why := t.cfg().whyNoVault(body.Connection, who.client.ClientID); why != "" {
		return invalidPayload(validationError{Detail: "connection is not available", Field: "connection"}).because("%s", why)
	}
	c := t.cfg().connection(body.Connection)
	if t.cfg().Settings.ConnectRedirectURI == "registered" && !slices.Contains(who.client.Callbacks, body.RedirectURI) {
		return invalidPayload(validationError{Detail: "redirect_uri is not an allowed callback URL", Field: "redirect_uri"})
	}
	s := &connectSession{
		id: randomID(43), ticket: randomUUID(), who: who, connection: c,
		redirectURI: body.RedirectURI, state: body.State, challenge: body.CodeChallenge,
		scopes: body.Scopes, hint: body.AuthorizationParams.LoginHint, prompt: body.AuthorizationParams.Prompt,
		expires: time.Now().Add(connectLifetime),
	}
	if s.scopes == nil {
		s.scopes = c.scopes()
	}
	t.mu.Lock()
	t.dropExpired()
	t.connecting[s.id] = s
	t.mu.Unlock()
	writeJSON(w, http.StatusCreated, map[string]any{
		"auth_session":   s.id,
		"connect_uri":    t.connectURI(),
		"connect_params": map[string]string{"ticket": s.ticket},
		"expires_in":     int(connectLifetime / time.Second),
	})
	return nil
}

// connectURI is what clients append the ticket to.
func (t *Tenant) connectURI() string {
	u := t.base + t.cfg().Settings.ConnectURIPath
	if q := t.cfg().Settings.ConnectURIQuery; q != "" {
		u += "?" + q
	}
	return u
}

// dropExpired forgets sessions that cannot be completed any more. The caller
// holds the mutex.
func (t *Tenant) dropExpired() {
	for id, s := range t.connecting {
		if time.Now().After(s.expires) {
			delete(t.connecting, id)
		}
	}
}

type completeBody struct {
	AuthSession  string `json:"auth_session"`
	ConnectCode  string `json:"connect_code"`
	RedirectURI  string `json:"redirect_uri"`
	CodeVerifier string `json:"code_verifier"`
}

// completeConnect is POST …/complete: only here the account becomes the
// user's.
func (t *Tenant) completeConnect(w http.ResponseWriter, r *http.Request, who caller) *problem {
	var body completeBody
	if p := readBody(r, completeSchema, &body); p != nil {
		return p
	}
	s, p := t.takeConnected(body, who)
	if p != nil {
		return p
	}
	a, err := t.storeAccount(s.account)
	if errors.Is(err, errTooMany) {
		return newProblem(http.StatusConflict, "0001", "Conflict", "The user has too many accounts on this connection")
	}
	t.mu.Lock()
	answer := a.json()
	t.mu.Unlock()
	answer.OrgID = "" // not among this answer's members
	writeJSON(w, t.cfg().Settings.CompleteStatus, answer)
	return nil
}

// takeConnected checks everything that must fit, and spends the code: one that
// came with the wrong verifier or redirect_uri is gone.
func (t *Tenant) takeConnected(body completeBody, who caller) (*connectSession, *problem) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropExpired()
	s := t.connecting[body.AuthSession]
	if s == nil || s.who.userID != who.userID { // another user's session does not exist for this one
		return nil, newProblem(http.StatusNotFound, "0001", "Not Found", "Invalid or expired session").
			because("the auth_session is unknown, used, older than %s or another user's", connectLifetime)
	}
	if s.connectCode == "" || subtle.ConstantTimeCompare([]byte(s.connectCode), []byte(body.ConnectCode)) != 1 {
		return nil, invalidPayload(validationError{Detail: "connect_code is invalid", Field: "connect_code"})
	}
	delete(t.connecting, s.id)
	if body.RedirectURI != s.redirectURI {
		return nil, invalidPayload(validationError{Detail: "redirect_uri does not match", Field: "redirect_uri"})
	}
	if s.challenge != "" && challengeOf(body.CodeVerifier) != s.challenge {
		return nil, invalidPayload(validationError{Detail: "code_verifier is invalid", Field: "code_verifier"})
	}
	return s, nil
}
