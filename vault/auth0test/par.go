package auth0test

import (
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// A pushedRequest is an authorization request that a client pushed (RFC 9126).
type pushedRequest struct {
	clientID string
	params   url.Values
	expires  time.Time
}

const (
	// pushedLifetime is Auth0's, which cannot be configured.
	pushedLifetime = 30 * time.Second
	maxPushed      = 10 << 10
	maxExtensions  = 10
	requestURIs    = "urn:ietf:params:oauth:request_uri:"
)

// pushable are the parameters that Auth0 stores. It ignores all others, but for
// ten whose names begin with ext-; an Action sees nothing of what was ignored.
var pushable = []string{
	"client_id", "response_type", "response_mode", "redirect_uri", "scope", "state", "nonce", "audience", "resource",
	"code_challenge", "code_challenge_method", "prompt", "max_age", "display", "ui_locales", "acr_values",
	"id_token_hint", "login_hint", "connection", "connection_scope", "organization", "invitation", "screen_hint",
	"authorization_details",
}

// servePAR is POST /oauth/par. It makes the checks of /authorize, which makes
// them again.
func (t *Tenant) servePAR(w http.ResponseWriter, r *http.Request) {
	if !t.cfg().Settings.PushedAuthorizationRequestsSupported {
		notFound(w, r)
		return
	}
	requestURI, oerr := t.push(w, r)
	if oerr != nil {
		oerr.write(w)
		return
	}
	writeJSON(w, http.StatusCreated, map[string]any{
		"request_uri": requestURI, "expires_in": int(pushedLifetime / time.Second),
	})
}

func (t *Tenant) push(w http.ResponseWriter, r *http.Request) (requestURI string, oerr *oauthError) {
	if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/x-www-form-urlencoded" {
		return "", refuse(http.StatusBadRequest, "invalid_request", "The content type must be application/x-www-form-urlencoded")
	}
	if r.ContentLength > maxPushed {
		return "", refuse(http.StatusRequestEntityTooLarge, "invalid_request", "The request is larger than 10 KB")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxPushed)
	p, oerr := readParams(r)
	if oerr != nil {
		return "", oerr
	}
	client, oerr := t.authenticate(r, p)
	if oerr != nil {
		return "", oerr
	}
	if client.public() {
		return "", refuse(http.StatusForbidden, "unauthorized_client", "Public clients cannot push authorization requests")
	}
	p["client_id"] = client.ClientID // it may have come in the header
	if p["request_uri"] != "" {
		return "", refuse(http.StatusBadRequest, "invalid_request", "request_uri is not allowed here")
	}
	return t.storePushed(client, pushedParams(p))
}

// pushedParams are what Auth0 keeps of a pushed request.
func pushedParams(p params) url.Values {
	q := url.Values{}
	extensions := 0
	for _, name := range slices.Sorted(maps.Keys(p)) {
		extension := strings.HasPrefix(name, "ext-")
		if extension {
			extensions++
		}
		if slices.Contains(pushable, name) || (extension && extensions <= maxExtensions) {
			q.Set(name, p[name])
		}
	}
	return q
}

func (t *Tenant) storePushed(client *Client, q url.Values) (requestURI string, oerr *oauthError) {
	tx := newTransaction(q, true)
	oerr = t.identify(tx, q)
	if oerr == nil {
		oerr = t.fill(tx, q)
	}
	if oerr != nil {
		return "", refuse(http.StatusBadRequest, "invalid_request", "%s", oerr.Description)
	}
	requestURI = requestURIs + randomID(43)
	t.mu.Lock()
	defer t.mu.Unlock()
	for uri, old := range t.pushed {
		if time.Now().After(old.expires) {
			delete(t.pushed, uri)
		}
	}
	t.pushed[requestURI] = pushedRequest{client.ClientID, q, time.Now().Add(pushedLifetime)}
	return requestURI, nil
}

// authorizeParams are the parameters of a request to /authorize: its own, or
// those pushed before, once and for the client that pushed them. What comes
// beside a request_uri does not count.
func (t *Tenant) authorizeParams(q url.Values) (params url.Values, pushed bool, oerr *oauthError) {
	requestURI := q.Get("request_uri")
	if requestURI == "" {
		return q, false, nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	stored, ok := t.pushed[requestURI]
	if !ok || q.Get("client_id") != stored.clientID || time.Now().After(stored.expires) {
		return nil, false, refuse(http.StatusBadRequest, "invalid_request", "The request_uri is invalid, expired or used.")
	}
	delete(t.pushed, requestURI)
	return stored.params, true, nil
}
