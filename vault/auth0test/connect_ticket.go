package auth0test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
)

// serveConnectTicket opens a ticket in the browser: once, in time, and only
// where the user who asked for it is logged in. Otherwise a ticket sent to
// somebody else would connect their account to the sender.
func (t *Tenant) serveConnectTicket(w http.ResponseWriter, r *http.Request) {
	s := t.takeTicket(r.URL.Query().Get("ticket"))
	if s == nil {
		showError(w, http.StatusBadRequest, "invalid_request", "The ticket is invalid, expired or used.")
		return
	}
	sso := t.currentSession(r)
	if sso == nil || sso.userID != s.who.userID {
		note(w, "%s asked for the ticket and is not logged in to the tenant in this browser", s.who.userID)
		t.endConnect(s)
		if t.cfg().Settings.ConnectWrongBrowser == "page" {
			showError(w, http.StatusForbidden, "access_denied", "This link was made for another session.")
			return
		}
		s.answer(w, r, url.Values{"error": {"access_denied"}, "error_description": {"The session does not belong to the user"}})
		return
	}
	state := randomID(32)
	t.mu.Lock()
	s.providerState, s.browser = state, sso.sid
	t.mu.Unlock()
	p := t.providers[s.connection.Strategy]
	http.Redirect(w, r, p.authorizeURL(s.connection, t.providerQuery(s, state)), http.StatusFound)
}

// takeTicket finds the session of a ticket and spends the ticket.
func (t *Tenant) takeTicket(ticket string) *connectSession {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropExpired()
	for _, s := range t.connecting {
		if ticket != "" && s.ticket == ticket {
			s.ticket = ""
			return s
		}
	}
	return nil
}

func (t *Tenant) endConnect(s *connectSession) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.connecting, s.id)
}

// providerQuery is what the provider is asked for. Of authorization_params the
// stand-ins understand login_hint and prompt.
func (t *Tenant) providerQuery(s *connectSession, state string) url.Values {
	q := url.Values{"state": {state}}
	t.providers[s.connection.Strategy].ask(q, s.scopes, t.asksOffline(s.connection, s.scopes))
	for name, value := range map[string]string{"login_hint": s.hint, "prompt": s.prompt} {
		if value != "" {
			q.Set(name, value)
		}
	}
	return q
}

// asksOffline: the request's scopes replace the connection's, except for
// offline_access.
func (t *Tenant) asksOffline(c *Connection, scopes []string) bool {
	return t.cfg().Settings.OfflineAccess == "always" || c.offline() || slices.Contains(scopes, "offline_access")
}

// answer sends the browser back to the application.
func (s *connectSession) answer(w http.ResponseWriter, r *http.Request, q url.Values) {
	if s.state != "" {
		q.Set("state", s.state)
	}
	redirect(w, r, s.redirectURI, q)
}

// finishConnect takes the provider's answer. The account waits for /complete.
func (t *Tenant) finishConnect(w http.ResponseWriter, r *http.Request, s *connectSession, q url.Values) {
	if code := q.Get("error"); code != "" || q.Get("code") == "" {
		setDefault(&code, "server_error")
		t.endConnect(s)
		note(w, "the provider refused: %s", code)
		s.answer(w, r, url.Values{"error": {code}, "error_description": {"The provider refused: " + code}})
		return
	}
	p := t.providers[s.connection.Strategy]
	tokens, providerUserID, err := p.redeem(r.Context(), s.connection, q.Get("code"))
	if err != nil {
		t.endConnect(s)
		note(w, "the provider did not accept the code: %v", err)
		s.answer(w, r, url.Values{"error": {"server_error"}, "error_description": {"The provider did not accept the code"}})
		return
	}
	connectCode := randomID(43)
	t.mu.Lock()
	s.account = &account{
		userID: s.who.userID, connection: s.connection.Name, orgID: s.who.orgID,
		providerUserID: providerUserID, email: p.email(providerUserID), tokens: tokens,
	}
	s.connectCode = connectCode
	t.mu.Unlock()
	s.answer(w, r, url.Values{"connect_code": {connectCode}})
}

// takeProviderState finds the attempt a provider's answer belongs to. It must
// come back in the browser that left, with the same person logged in.
func (t *Tenant) takeProviderState(r *http.Request, state string) (*connectSession, error) {
	sso := t.currentSession(r)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.dropExpired()
	for _, s := range t.connecting {
		if state == "" || s.providerState != state {
			continue
		}
		if sso == nil || sso.sid != s.browser {
			return nil, fmt.Errorf("%w: the browser has lost the session it left with", errNoTransaction)
		}
		s.providerState = ""
		return s, nil
	}
	return nil, errNoTransaction
}
