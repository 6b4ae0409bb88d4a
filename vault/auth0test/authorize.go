package auth0test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// serveAuthorize is /authorize. What is wrong with the client or the callback
// is shown to the person; everything else goes back to the callback.
func (t *Tenant) serveAuthorize(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		showError(w, http.StatusBadRequest, "invalid_request", "The request cannot be read.")
		return
	}
	q, pushed, oerr := t.authorizeParams(r.Form)
	if oerr != nil {
		showError(w, oerr.Status, oerr.Code, oerr.Description)
		return
	}
	tx := newTransaction(q, pushed)
	if oerr := t.identify(tx, q); oerr != nil {
		showError(w, oerr.Status, oerr.Code, oerr.Description)
		return
	}
	if oerr := t.fill(tx, q); oerr != nil {
		tx.fail(w, r, oerr)
		return
	}
	tx.browser = t.browserID(w, r)
	s := t.currentSession(r)
	switch {
	case !tx.needsLogin(s):
		tx.session = s
		t.proceed(w, r, tx)
	case slices.Contains(tx.prompt, "none"):
		tx.fail(w, r, refuse(0, "login_required", "Login required"))
	default:
		t.startLogin(w, r, tx)
	}
}

// identify finds the client and where, and how, its answers may go. Auth0 never
// redirects to a URL that is not among the client's callbacks: a refusal is for
// a page.
func (t *Tenant) identify(tx *transaction, q url.Values) *oauthError {
	id := q.Get("client_id")
	if id == "" {
		return missing("client_id")
	}
	if tx.client = t.cfg().client(id); tx.client == nil {
		return refuse(http.StatusForbidden, "invalid_request", "Unknown client: %s", id)
	}
	tx.givenURI = q.Get("redirect_uri")
	switch {
	case tx.givenURI != "":
		tx.redirectURI = tx.givenURI
	case len(tx.client.Callbacks) > 0: // Auth0 takes the first one then
		tx.redirectURI = tx.client.Callbacks[0]
	}
	if !slices.Contains(tx.client.Callbacks, tx.redirectURI) || len(q["redirect_uri"]) > 1 {
		return refuse(http.StatusForbidden, "Callback URL mismatch.",
			"The provided redirect_uri is not in the list of allowed callback URLs. "+
				"Please go to the Application Settings page and make sure you are sending a valid callback url from your application.")
	}
	tx.mode = q.Get("response_mode")
	if tx.mode == modeWebMessage && !tx.client.mayTell(originOf(tx.redirectURI)) {
		return refuse(http.StatusForbidden, "invalid_request",
			"The specified redirect_uri '%s' does not have a registered origin.", tx.redirectURI)
	}
	return nil
}

// fill reads the rest of the request.
func (t *Tenant) fill(tx *transaction, q url.Values) *oauthError {
	if tx.client.RequirePushedAuthorizationRequests && !tx.pushed {
		return refuse(0, "invalid_request", "Pushed authorization requests are required for this client")
	}
	for name, values := range q {
		if len(values) > 1 {
			return refuse(0, "invalid_request", "Parameter %s is there several times", name)
		}
	}
	if q.Has("dpop_jkt") {
		return refuse(0, "invalid_request", noDPoP)
	}
	switch kind := q.Get("response_type"); kind {
	case "code":
	case "":
		return missing("response_type")
	default:
		return refuse(0, "unsupported_response_type", "Unsupported response type: %s", kind)
	}
	if !slices.Contains([]string{"", modeQuery, modeFormPost, modeWebMessage}, tx.mode) {
		return refuse(0, "invalid_request", "Unsupported response mode: %s", tx.mode)
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
	if oerr := t.fillConnection(tx, q); oerr != nil {
		return oerr
	}
	return t.fillGrant(tx, q)
}

// fillConnection reads where the user has to log in. Auth0 does not tell a
// connection that the client may not use from one that is not there.
func (t *Tenant) fillConnection(tx *transaction, q url.Values) *oauthError {
	tx.connection, tx.connScope = q.Get("connection"), q.Get("connection_scope")
	logins := t.cfg().loginConnections(tx.client)
	if len(logins) == 0 {
		return refuse(0, "invalid_request", "no connections enabled for the client").
			because("no connection that logs users in is enabled for %s", tx.client.ClientID)
	}
	if tx.connection != "" && !slices.ContainsFunc(logins, func(c Connection) bool { return c.Name == tx.connection }) {
		return refuse(0, t.cfg().Settings.RefusedConnectionError, "the connection was not found").
			because("%s", t.cfg().whyNoLogin(tx.connection, tx.client.ClientID))
	}
	return nil
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
	case tx.grant.OrgID != "" && (usage == "" || usage == "deny"):
		return refuse(0, "invalid_request", "parameter organization is not allowed for this client")
	case tx.grant.OrgID != "" && t.cfg().Settings.organization(tx.grant.OrgID) == nil:
		return refuse(0, "invalid_request", "parameter organization is invalid")
	}
	return nil
}

// challengeOf is PKCE's S256.
func challengeOf(verifier string) string {
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
