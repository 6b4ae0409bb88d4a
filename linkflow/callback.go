package linkflow

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// maxQuery bounds the query of a callback, and of a link. Auth0's are some
// hundred bytes, ours two thousand and what they return to.
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

// legs are those that can end with such an answer.
func (q *callbackQuery) legs() []purpose {
	switch {
	case q.Code != "":
		return redeemed
	case q.ConnectCode != "":
		return []purpose{forConnect}
	}
	return append([]purpose{forConnect}, redeemed...)
}

// callback is where Auth0 sends the browser back to, from every leg. Nothing is shown
// at its URL: that has a code, which would stay where it can be copied, and be told to
// where the page leads.
func (f *Flow) callback(r *http.Request) answer {
	a := f.cameBack(r)
	target := a.header.Get("Location")
	switch {
	case a.said != nil:
		target = f.saidPage(r.Context(), *a.said)
	case a.onward != "":
		target = a.onward
	}
	to := redirect(target)
	to.header["Set-Cookie"], to.fault = a.header["Set-Cookie"], a.fault
	return to
}

func (f *Flow) cameBack(r *http.Request) answer {
	q, err := parseCallback(r.URL.RawQuery)
	if err != nil {
		return f.refuse(r, Event{}, &refusal{page: pageNoFlow, reason: "callback_malformed", err: err})
	}
	if q.hasIssuer && q.Issuer != f.vault.Issuer() {
		return f.refuse(r, Event{}, &refusal{page: pageNoFlow, reason: "wrong_issuer"})
	}
	s, leg, err := f.flowByState(r, q.State, q.legs()...)
	if err != nil {
		return f.refuse(r, Event{}, f.lostFlow(r, q.State, err))
	}
	defer f.kept.drop(s.ID)
	if !f.spent.spend(s.State) {
		return f.refuse(r, s.about(Refused), f.spentState(r, s, leg))
	}
	with, without := f.comingBack(leg)
	if q.Error != "" {
		return without(r, s, q)
	}
	if no := f.fromSameAddress(r, s, leg); no != nil {
		return f.endElsewhere(r, s, no)
	}
	return with(r, s, q.Code+q.ConnectCode)
}

// lostFlow is what to say when an answer belongs to no leg that is under way. If
// the flow has gone on, the person may too.
func (f *Flow) lostFlow(r *http.Request, state string, err error) *refusal {
	no := refusalOf(err, pageNoFlow, "no_flow")
	id, _, _ := strings.Cut(state, ".")
	if s, _, err := f.flowOf(r, id, decisions...); err == nil {
		no.data.GoOn = f.confirmPage(s)
	}
	return no
}

// spentState is what to say when an answer to a leg came before. What came of that one
// did not get to the browser, or not yet.
func (f *Flow) spentState(r *http.Request, s *flowState, leg purpose) *refusal {
	no := &refusal{page: pageNoFlow, reason: "state_spent", data: f.startAgain(r, s)}
	if pageOf[leg] != "" {
		no.data = messagePage{GoOn: f.confirmPage(s)}
	}
	return no
}

// redeem redeems the code of a sign-in, which has to be the ticket's user's: the
// link may have been forwarded. id is nil if the flow ends, with that answer.
func (f *Flow) redeem(r *http.Request, s *flowState, code string) (id *vault.IDToken, token *oauth2.Token, ended answer) {
	id, token, err := f.finishLogin(r.Context(), s, code)
	if err != nil {
		no := loginRefusal(err)
		no.data = f.startAgain(r, s)
		return nil, nil, f.refuse(r, s.about(Refused), no).with(f.drop(r, s)...)
	}
	if !s.signedIn(f.vault.Issuer(), id, token.AccessToken) {
		return nil, nil, f.wrongPerson(r, s, id)
	}
	countAs(r, id.Subject)
	return id, token, answer{}
}

// signedIn goes on after the login leg.
func (f *Flow) signedIn(r *http.Request, s *flowState, code string) answer {
	if id, _, ended := f.redeem(r, s, code); id == nil {
		return ended
	}
	cookies, err := f.keep(r, forConfirm, s)
	if err != nil {
		return f.refuse(r, byUser(Fault, s.Ticket), notKept(err)).with(f.drop(r, s)...)
	}
	f.outcomes.Begin(s.Ticket.wished())
	f.tell(r.Context(), byUser(SignedIn, s.Ticket))
	return redirect(f.confirmPage(s)).with(cookies...)
}

// wrongPerson ends a flow in which somebody else signed in, and offers to begin
// again. The page names nobody.
func (f *Flow) wrongPerson(r *http.Request, s *flowState, id *vault.IDToken) answer {
	event := about(Refused, s.Ticket)
	event.Subject = id.Subject
	no := &refusal{page: pageWrongPerson, reason: "wrong_user"}
	if s.Ticket.Own {
		no.data = f.startAgain(r, s)
		return f.refuse(r, event, no).with(f.drop(r, s)...)
	}
	text, err := seal(r.Context(), f.sealer, forTicket, s.Ticket)
	if err != nil {
		return f.refuse(r, event, refusalOf(err, pageBroken, "ticket")).with(f.drop(r, s)...)
	}
	no.data.Switch = &switchForm{opening: opening{text, s.ReturnTo}}
	return f.refuse(r, event, no).with(f.drop(r, s)...)
}

// notSignedIn ends a login leg that Auth0 ended. Nobody is known to have done
// so, and the ticket's status stays as it is.
func (f *Flow) notSignedIn(r *http.Request, s *flowState, q *callbackQuery) answer {
	page := pageAuth0Fails
	if slices.Contains([]string{"access_denied", "login_required", "consent_required", "interaction_required"}, q.Error) {
		page = pageNotSignedIn
	}
	no := &refusal{page: page, reason: "sign_in_error", err: q.asError(s), data: f.startAgain(r, s)}
	return f.refuse(r, s.about(Refused), no).with(f.drop(r, s)...)
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
