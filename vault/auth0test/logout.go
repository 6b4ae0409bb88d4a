package auth0test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// A logoutRequest is what an application wants when it sends somebody to a logout
// endpoint.
type logoutRequest struct {
	client *Client
	// param is the name, here, of where to go afterwards, target its value.
	param, target string
	state         string
}

// serveLogout is /v2/logout: it ends the browser's session and asks nobody.
func (t *Tenant) serveLogout(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	t.endSession(w, r)
	t.leave(w, r, logoutRequest{client: t.cfg().client(q.Get("client_id")), param: "returnTo", target: q.Get("returnTo")})
}

// serveOIDCLogout is /oidc/logout (OpenID Connect RP-Initiated Logout 1.0). Unless
// the request shows that it is about the browser's own session, the person is asked.
func (t *Tenant) serveOIDCLogout(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		showError(w, http.StatusBadRequest, "invalid_request", "The request cannot be read.")
		return
	}
	s := t.currentSession(r)
	client, certain, err := t.logoutHint(r.Form, s)
	if err != nil {
		showError(w, http.StatusBadRequest, "invalid_request", err.Error())
		return
	}
	wanted := logoutRequest{
		client: client, param: "post_logout_redirect_uri", target: r.Form.Get("post_logout_redirect_uri"), state: r.Form.Get("state"),
	}
	if wanted.target != "" && !t.mayLeaveTo(wanted) {
		refuseToLeave(w, wanted)
		return
	}
	confirmed := r.Method == http.MethodPost && r.PostForm.Get("action") == "logout" && !crossSite(r)
	if s != nil && !certain && !confirmed && t.cfg().Tenant.asksBeforeLogout() {
		r.Form.Del("action")
		writePage(w, http.StatusOK, logoutPage, logoutView{Fields: r.Form})
		return
	}
	t.endSession(w, r)
	t.leave(w, r, wanted)
}

// logoutHint finds the client that asks, and whether it named the browser's own
// session. An ID token may have expired (§2 of the specification); what does not go
// together is an error.
func (t *Tenant) logoutHint(q url.Values, s *session) (client *Client, certain bool, err error) {
	id, hint := q.Get("client_id"), q.Get("id_token_hint")
	sid := q.Get("logout_hint")
	if hint != "" {
		v, err := t.verifyToken(hint)
		if (err != nil && !errors.Is(err, errExpiredToken)) || len(v.Audience) != 1 {
			return nil, false, errors.New("id_token_hint is no ID token of this tenant")
		}
		if (id != "" && id != v.Audience[0]) || (sid != "" && sid != v.SessionID) {
			return nil, false, errors.New("id_token_hint, client_id and logout_hint do not go together")
		}
		id, sid = v.Audience[0], v.SessionID
	}
	if client = t.cfg().client(id); client == nil && id != "" {
		return nil, false, fmt.Errorf("there is no client %q", id)
	}
	return client, s != nil && sid == s.sid, nil
}

// endSession forgets the browser's session.
func (t *Tenant) endSession(w http.ResponseWriter, r *http.Request) {
	t.mu.Lock()
	delete(t.sessions, cookieValue(r, sessionCookie))
	t.mu.Unlock()
	t.setCookie(w, sessionCookie, "", -1)
}

// leave sends the browser on: to where the request says, or to the first of the
// client's allowed logout URLs.
func (t *Tenant) leave(w http.ResponseWriter, r *http.Request, wanted logoutRequest) {
	if wanted.target == "" && wanted.client != nil && len(wanted.client.AllowedLogoutURLs) > 0 {
		wanted.target = wanted.client.AllowedLogoutURLs[0]
	}
	switch {
	case wanted.target == "":
		writeText(w, http.StatusOK, "OK")
	case !t.mayLeaveTo(wanted):
		refuseToLeave(w, wanted)
	case wanted.state != "":
		redirect(w, r, wanted.target, url.Values{"state": {wanted.state}})
	default:
		redirect(w, r, wanted.target, nil)
	}
}

// mayLeaveTo: a client's list counts, and the tenant's when no client is named.
func (t *Tenant) mayLeaveTo(wanted logoutRequest) bool {
	allowed := t.cfg().Tenant.AllowedLogoutURLs
	if wanted.client != nil {
		allowed = wanted.client.AllowedLogoutURLs
	}
	return slices.Contains(allowed, wanted.target)
}

func refuseToLeave(w http.ResponseWriter, wanted logoutRequest) {
	showError(w, http.StatusBadRequest, "invalid_request",
		"The \""+wanted.param+"\" querystring parameter \""+wanted.target+"\" is not defined as a valid URL in \"Allowed Logout URLs\".")
}
