package linkflow

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// maxQuery bounds the query of a callback. Auth0's are some hundred bytes.
const maxQuery = 8 << 10

// callbackQuery is how Auth0 sends a browser back. One of Code, ConnectCode and
// Error is set.
type callbackQuery struct {
	Code        string // of a sign-in (RFC 6749 §4.1.2)
	ConnectCode string // of a connected account
	Error       string // of either (RFC 6749 §4.1.2.1)
	Description string
	State       string
	Issuer      string // of the sender (RFC 9207), if hasIssuer
	hasIssuer   bool
}

// parseCallback reads the query of a callback. It takes nothing that two readers
// could read differently.
func parseCallback(query string) (*callbackQuery, error) {
	if len(query) > maxQuery {
		return nil, errors.New("the query is too long")
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return nil, errors.New("the query is malformed") // err would repeat a part of it
	}
	q := &callbackQuery{hasIssuer: values.Has("iss")}
	outcomes := 0
	for _, p := range []struct {
		name    string
		value   *string
		outcome bool
	}{
		{"code", &q.Code, true},
		{"connect_code", &q.ConnectCode, true},
		{"error", &q.Error, true},
		{"error_description", &q.Description, false},
		{"state", &q.State, false},
		{"iss", &q.Issuer, false},
	} {
		if *p.value, err = one(values, p.name); err != nil {
			return nil, err
		}
		if p.outcome && values.Has(p.name) {
			outcomes++
		}
	}
	if outcomes != 1 || q.Code+q.ConnectCode+q.Error == "" {
		return nil, errors.New("not exactly one of code, connect_code and error")
	}
	return q, nil
}

// callback is where Auth0 sends the browser back to, from both legs.
func (f *Flow) callback(r *http.Request) answer {
	q, err := parseCallback(r.URL.RawQuery)
	if err != nil {
		return f.refuse(r, Event{}, &refusal{pageNoFlow, "callback_malformed", err})
	}
	if q.hasIssuer && q.Issuer != f.vault.Issuer() {
		return f.refuse(r, Event{}, &refusal{pageNoFlow, "wrong_issuer", nil})
	}
	var s *flowState
	switch {
	case q.Code != "":
		if s, err = f.flowByState(r, forLogin, q.State); err == nil {
			return f.signedIn(r, s, q.Code)
		}
	case q.ConnectCode != "":
		if s, err = f.flowByState(r, forConnect, q.State); err == nil {
			return f.connected(r, s, q.ConnectCode)
		}
	default:
		if s, err = f.flowByState(r, forConnect, q.State); err == nil {
			return f.notConnected(r, s, q)
		}
		if s, err = f.flowByState(r, forLogin, q.State); err == nil {
			return f.notSignedIn(r, s, q)
		}
	}
	return f.refuse(r, Event{}, refusalOf(err, pageNoFlow, "no_flow"))
}

// signedIn goes on after the login leg, if it was the ticket's user who signed
// in. The link may have been forwarded.
func (f *Flow) signedIn(r *http.Request, s *flowState, code string) answer {
	id, accessToken, err := f.finishLogin(r.Context(), s, code)
	if err != nil {
		return f.refuse(r, about(Refused, s.Ticket), loginRefusal(err), f.drop(s))
	}
	if t := s.Ticket; f.vault.Issuer() != t.Issuer || id.Subject != t.Subject || id.OrgID != t.OrgID {
		event := about(Refused, t)
		event.Subject = id.Subject
		return f.refuse(r, event, &refusal{pageWrongPerson, "wrong_user", nil}, f.drop(s))
	}
	s.State, s.Verifier, s.Nonce, s.AccessToken = "", "", "", accessToken
	return f.askToConfirm(r, s, id)
}

// notSignedIn ends a login leg that Auth0 ended. Nobody is known to have done
// so, and the ticket's status stays as it is.
func (f *Flow) notSignedIn(r *http.Request, s *flowState, q *callbackQuery) answer {
	page := pageAuth0Fails
	if q.Error == "access_denied" || q.Error == "login_required" || q.Error == "consent_required" || q.Error == "interaction_required" {
		page = pageNotSignedIn
	}
	return f.refuse(r, about(Refused, s.Ticket), &refusal{page, "sign_in_error", q.asError(s)}, f.drop(s))
}

// notConnected ends a connect leg that Auth0 or the provider ended. The ticket's
// user began it, in this browser.
func (f *Flow) notConnected(r *http.Request, s *flowState, q *callbackQuery) answer {
	if q.Error == "access_denied" {
		event := byUser(DeclinedByUser, s.Ticket)
		event.Reason, event.Err = "at_provider", q.asError(s)
		return f.declined(r, s, event)
	}
	return f.failed(r, s, &refusal{pageNotConnected, "connect_error", q.asError(s)})
}

// connected completes a connect leg: only when Auth0's My Account API says so
// is the account connected.
func (f *Flow) connected(r *http.Request, s *flowState, connectCode string) answer {
	t := s.Ticket
	granted, err := f.myAccount(s).complete(r.Context(), completeRequest{
		AuthSession:  s.AuthSession,
		ConnectCode:  connectCode,
		RedirectURI:  f.oauth.RedirectURL,
		CodeVerifier: s.Verifier,
	})
	if err != nil {
		return f.failed(r, s, accountRefusal(err, pageNotConnected))
	}
	f.vault.Forget(t.Subject, t.Connection)
	if missing := vault.MissingScopes(granted, t.Scopes); len(granted) > 0 && missing != nil {
		return f.failed(r, s, &refusal{pageTooLittle, "scopes_missing", nil})
	}
	f.outcomes.record(t, connected)
	f.tell(r.Context(), byUser(Linked, t))
	if s.ReturnTo != "" && f.mayReturnTo(s.ReturnTo) {
		return redirect(s.ReturnTo, f.drop(s))
	}
	return sayOnly(pageDone, f.drop(s))
}

func (f *Flow) failed(r *http.Request, s *flowState, no *refusal) answer {
	f.outcomes.record(s.Ticket, Failed)
	return f.refuse(r, byUser(FailedToLink, s.Ticket), no, f.drop(s))
}

// declined ends a flow whose user said no, here or at the provider.
func (f *Flow) declined(r *http.Request, s *flowState, event Event) answer {
	f.outcomes.record(s.Ticket, Declined)
	f.tell(r.Context(), event)
	a := sayOnly(pageDeclined, f.drop(s))
	if s.ReturnTo != "" && f.mayReturnTo(s.ReturnTo) {
		a.data = messagePage{message: pageDeclined, Back: s.ReturnTo}
	}
	return a
}

// asError is what an error answer to s says, for the operator.
func (q *callbackQuery) asError(s *flowState) error {
	text := "Auth0: " + clean(q.Error, maxTold)
	if q.Description != "" {
		text += ": " + clean(q.Description, maxTold)
	}
	if vault.RepeatsSecret(text, s.secrets()...) {
		return errors.New("Auth0: an error that repeats what is secret")
	}
	return errors.New(text)
}
