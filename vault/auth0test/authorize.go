package auth0test

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A transaction is an authorization request on its way through the login.
type transaction struct {
	client      *Client
	redirectURI string
	givenURI    string // the redirect_uri parameter, empty when left out
	state       string
	challenge   string
	method      string
	grant       tokenGrant
	prompt      []string
	maxAge      int // seconds; -1 when not given
	started     time.Time
	browser     string // the cookie value of the browser that began it
	hint        string
}

// transactionLifetime is how long a login page may stay open.
const transactionLifetime = time.Hour

// serveAuthorize is /authorize. What is wrong with the client or the callback
// is shown to the person; everything else goes back to the callback.
func (t *Tenant) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		showError(w, http.StatusBadRequest, "invalid_request", "The request cannot be read.")
		return
	}
	q := r.Form
	tx := &transaction{started: time.Now(), state: q.Get("state"), maxAge: -1}
	if !t.identify(w, tx, q) {
		return
	}
	if oerr := t.fill(tx, q); oerr != nil {
		tx.fail(w, r, oerr)
		return
	}
	tx.browser = browserID(w, r)
	s := t.currentSession(r)
	if tx.needsLogin(s) {
		if slices.Contains(tx.prompt, "none") {
			tx.fail(w, r, refuse(0, "login_required", "Login required"))
			return
		}
		redirect(w, r, t.base+"/u/login", url.Values{"state": {t.keepTransaction(tx)}})
		return
	}
	t.finish(w, r, tx, s)
}

// identify finds the client and where its answers may go. Auth0 never
// redirects to a URL that is not among the client's callbacks.
func (t *Tenant) identify(w http.ResponseWriter, tx *transaction, q url.Values) bool {
	id := q.Get("client_id")
	if id == "" {
		showError(w, http.StatusBadRequest, "invalid_request", "Missing required parameter: client_id")
		return false
	}
	if tx.client = t.cfg().client(id); tx.client == nil {
		showError(w, http.StatusForbidden, "invalid_request", "Unknown client: "+id)
		return false
	}
	tx.givenURI = q.Get("redirect_uri")
	switch {
	case tx.givenURI != "":
		tx.redirectURI = tx.givenURI
	case len(tx.client.Callbacks) > 0: // Auth0 takes the first one then
		tx.redirectURI = tx.client.Callbacks[0]
	}
	if !slices.Contains(tx.client.Callbacks, tx.redirectURI) || len(q["redirect_uri"]) > 1 {
		showError(w, http.StatusForbidden, "Callback URL mismatch.",
			"The provided redirect_uri is not in the list of allowed callback URLs. "+
				"Please go to the Application Settings page and make sure you are sending a valid callback url from your application.")
		return false
	}
	return true
}

// fill reads the rest of the request.
func (t *Tenant) fill(tx *transaction, q url.Values) *oauthError {
	for name, values := range q {
		if len(values) > 1 {
			return refuse(0, "invalid_request", "Parameter %s is there several times", name)
		}
	}
	switch kind := q.Get("response_type"); kind {
	case "code":
	case "":
		return missing("response_type")
	default:
		return refuse(0, "unsupported_response_type", "Unsupported response type: %s", kind)
	}
	if mode := q.Get("response_mode"); mode != "" && mode != "query" {
		return refuse(0, "invalid_request", "Unsupported response mode: %s", mode)
	}
	if oerr := tx.client.mayUse(grantCode); oerr != nil {
		return oerr
	}
	tx.challenge, tx.method = q.Get("code_challenge"), q.Get("code_challenge_method")
	if tx.method != "" && tx.method != "S256" && tx.method != "plain" {
		return refuse(0, "invalid_request", "Unsupported code_challenge_method: %s", tx.method)
	}
	if age := q.Get("max_age"); age != "" {
		n, err := strconv.Atoi(age)
		if err != nil || n < 0 {
			return refuse(0, "invalid_request", "max_age must be a number")
		}
		tx.maxAge = n
	}
	tx.prompt = strings.Fields(q.Get("prompt"))
	if len(tx.prompt) > 1 && slices.Contains(tx.prompt, "none") {
		return refuse(0, "invalid_request", "prompt none excludes the others")
	}
	tx.hint = q.Get("login_hint")
	return t.fillGrant(tx, q)
}

// fillGrant reads what is asked for: API, scopes, organization. The refusal of
// an API comes before the login, so that nobody logs in for nothing.
func (t *Tenant) fillGrant(tx *transaction, q url.Values) *oauthError {
	tx.grant = tokenGrant{
		ClientID: tx.client.ClientID, Audience: q.Get("audience"), Nonce: q.Get("nonce"),
		Scope: strings.Fields(q.Get("scope")), OrgID: q.Get("organization"),
	}
	if _, oerr := t.userScopes(tx.client, "", tx.grant.Audience, tx.grant.Scope); oerr != nil {
		return oerr
	}
	switch usage := tx.client.OrganizationUsage; {
	case tx.grant.OrgID == "" && usage == "require":
		return refuse(0, "invalid_request", "parameter organization is required for this client")
	case tx.grant.OrgID != "" && usage == "deny":
		return refuse(0, "invalid_request", "parameter organization is not allowed for this client")
	case tx.grant.OrgID != "" && t.cfg().Settings.organization(tx.grant.OrgID) == nil:
		return refuse(0, "invalid_request", "parameter organization is invalid")
	}
	return nil
}

// needsLogin decides whether a session is good enough.
func (tx *transaction) needsLogin(s *session) bool {
	if s == nil || slices.Contains(tx.prompt, "login") {
		return true
	}
	return tx.maxAge >= 0 && time.Since(s.authTime) > time.Duration(tx.maxAge)*time.Second
}

// finish sends the browser back with a code.
func (t *Tenant) finish(w http.ResponseWriter, r *http.Request, tx *transaction, s *session) {
	g := tx.grant
	g.UserID, g.SessionID = s.userID, s.sid
	if tx.maxAge >= 0 {
		g.AuthTime = s.authTime
	}
	if g.OrgID != "" && !t.cfg().Settings.member(t.cfg().Settings.organization(g.OrgID), s.userID) {
		tx.fail(w, r, refuse(0, "access_denied", "user is not part of the %s organization", g.OrgID))
		return
	}
	scope, oerr := t.userScopes(tx.client, g.UserID, g.Audience, g.Scope)
	if oerr != nil {
		tx.fail(w, r, oerr)
		return
	}
	g.Scope = scope
	code := randomID(43)
	t.mu.Lock()
	t.codes[code] = &authCode{
		grant: g, redirectURI: tx.givenURI, challenge: tx.challenge, method: tx.method,
		expires: time.Now().Add(codeLifetime),
	}
	t.mu.Unlock()
	tx.answer(w, r, url.Values{"code": {code}})
}

// fail sends the browser back with an error.
func (tx *transaction) fail(w http.ResponseWriter, r *http.Request, oerr *oauthError) {
	tx.answer(w, r, url.Values{"error": {oerr.Code}, "error_description": {oerr.Description}})
}

func (tx *transaction) answer(w http.ResponseWriter, r *http.Request, q url.Values) {
	if tx.state != "" {
		q.Set("state", tx.state)
	}
	redirect(w, r, tx.redirectURI, q)
}

func (t *Tenant) keepTransaction(tx *transaction) string {
	id := randomID(32)
	t.mu.Lock()
	defer t.mu.Unlock()
	for old, other := range t.transactions {
		if time.Since(other.started) > transactionLifetime {
			delete(t.transactions, old)
		}
	}
	t.transactions[id] = tx
	return id
}

var errNoTransaction = errors.New("no such transaction")

// findTransaction finds a login under way, for the browser that began it.
func (t *Tenant) findTransaction(r *http.Request, id string) (*transaction, error) {
	t.mu.Lock()
	tx := t.transactions[id]
	t.mu.Unlock()
	if tx == nil || time.Since(tx.started) > transactionLifetime || cookieValue(r, browserCookie) != tx.browser {
		return nil, errNoTransaction
	}
	return tx, nil
}

// challengeOf is PKCE's S256.
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
