package linkflow

import (
	"context"
	"net/http"
	"net/url"
)

// message is a page that says something, under its name in text.json.
type message struct {
	status int
	name   string
}

// The messages, in the order in which a person may meet them.
var (
	pageNotFound     = message{http.StatusNotFound, "not_found"}
	pageNotAllowed   = message{http.StatusMethodNotAllowed, "not_allowed"}
	pageBadLink      = message{http.StatusBadRequest, "bad_link"}
	pageExpired      = message{http.StatusGone, "expired"}
	pageNotOffered   = message{http.StatusBadRequest, "not_offered"}
	pageForeign      = message{http.StatusForbidden, "foreign"}
	pageNoCookie     = message{http.StatusForbidden, "no_cookie"}
	pageBadRequest   = message{http.StatusBadRequest, "bad_request"}
	pageNoFlow       = message{http.StatusBadRequest, "no_flow"}
	pageNotSignedIn  = message{http.StatusForbidden, "not_signed_in"}
	pageWrongPerson  = message{http.StatusForbidden, "wrong_person"}
	pageNotConnected = message{http.StatusBadGateway, "not_connected"}
	pageAuth0Fails   = message{http.StatusBadGateway, "auth0_fails"}
	pageBroken       = message{http.StatusInternalServerError, "broken"}

	pageNotFresh          = message{http.StatusForbidden, "not_fresh"}
	pageEmailUnverified   = message{http.StatusForbidden, "email_unverified"}
	pageFactorNeeded      = message{http.StatusForbidden, "factor_needed"}
	pageOtherAddress      = message{http.StatusForbidden, "other_address"}
	pageNothingToLink     = message{http.StatusOK, "nothing_to_link"}
	pageSecondSignIn      = message{http.StatusForbidden, "second_sign_in"}
	pageOtherConnection   = message{http.StatusForbidden, "other_connection"}
	pageNotTheOffered     = message{http.StatusForbidden, "not_the_offered"}
	pageIdentityTaken     = message{http.StatusConflict, "identity_taken"}
	pageHintRefused       = message{http.StatusForbidden, "hint_refused"}
	pagePerhapsTaken      = message{http.StatusForbidden, "perhaps_taken"}
	pageOtherLinked       = message{http.StatusConflict, "other_linked"}
	pageNothingGained     = message{http.StatusOK, "nothing_gained"}
	pageNotLinkedByAction = message{http.StatusBadGateway, "not_linked_by_action"}

	pageChanged   = message{http.StatusConflict, "changed"}
	pageNotLinked = message{http.StatusBadGateway, "not_linked"}
	pageUnclear   = message{http.StatusBadGateway, "unclear"}

	pageNotUnlinked = message{http.StatusBadGateway, "not_unlinked"}

	pageNoAccount       = message{http.StatusNotFound, "no_account"}
	pageNotDisconnected = message{http.StatusBadGateway, "not_disconnected"}
	pageDoneElsewhere   = message{http.StatusOK, "done_elsewhere"}
	pageSignedOut       = message{http.StatusOK, "signed_out"}
)

// said is a message with a URL of its own.
type said struct {
	Name   string      `json:"name"`
	Status int         `json:"status"`
	Vars   variables   `json:"vars,omitempty"`
	Page   messagePage `json:"page"`
	Expiry int64       `json:"exp"`
}

func (m said) expires() int64 { return m.Expiry }

// saidPage is that URL. Where m cannot be sealed it leads to a page that says no more
// than that something is wrong.
func (f *Flow) saidPage(ctx context.Context, m said) string {
	text, err := seal(ctx, f.sealer, forMessage, m)
	if err == nil && len(text) > maxSealed { // with a long returnTo; the link leads on as well
		m.Page.Switch, m.Page.Again = nil, ""
		text, err = seal(ctx, f.sealer, forMessage, m)
	}
	if err != nil {
		return f.page("message", nil)
	}
	return f.page("message", url.Values{"m": {text}})
}

// showSaid is the page of such a message. Whoever opens it is told the same.
func (f *Flow) showSaid(r *http.Request) answer {
	text, err := one(r.URL.Query(), "m")
	if err != nil {
		return f.say(pageNoFlow, nil, messagePage{})
	}
	m, err := open[said](r.Context(), f.sealer, forMessage, text)
	if err != nil {
		return f.cannotShow(r, refusalOf(err, pageNoFlow, "message"))
	}
	var cookie *http.Cookie
	if again := m.Page.Switch; again != nil {
		_, t, no := f.readOpening(r.Context(), "connect", url.Values{"ticket": {again.Ticket}, "returnTo": {again.ReturnTo}})
		if no != nil {
			return f.cannotShow(r, no)
		}
		if again.Form, cookie, err = f.formFor(r, "connect", again.opening, nil, t.Expiry); err != nil {
			return f.cannotShow(r, refusalOf(err, pageBroken, "form"))
		}
	}
	return f.say(message{m.Status, m.Name}, m.Vars, m.Page).with(cookie)
}

// cannotShow says why a page that anybody may open cannot be shown. The hook is told
// only if something is wrong on our side.
func (f *Flow) cannotShow(r *http.Request, no *refusal) answer {
	if no.page.status >= 500 {
		return f.refuse(r, Event{}, no)
	}
	return f.say(no.page, nil, messagePage{})
}
