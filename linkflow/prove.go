package linkflow

import (
	"net/http"
	"slices"
	"time"
)

// secondLife is how old the second sign-in may be when the person comes back from
// it.
const secondLife = time.Minute

// showLinkConfirm is the page on which the person decides whether to prove another
// identity. Of those that are offered it tells the connections.
func (f *Flow) showLinkConfirm(r *http.Request, s *flowState) answer {
	if s.Ticket.Connection == "" && s.Linking.Offered == nil {
		return f.nothingToLink(r, s)
	}
	form, cookie, err := f.formFor(r, pageOf[forLinkConfirm], s, nil, s.Expiry)
	if err != nil {
		return f.refuse(r, byUser(Fault, s.Ticket), refusalOf(err, pageBroken, "form"))
	}
	text := f.request(s.Ticket)
	data := linkConfirmPage{requestText: text, Person: s.Person, Own: s.Ticket.Own, Back: hostOf(s.ReturnTo), Flow: s.ID, Form: form}
	if s.Linking.Offered == nil {
		return f.show(http.StatusOK, "link_confirm.html", f.via.confirmName("link_confirm", "link_account"), text.vars(), data).with(cookie)
	}
	for _, connection := range s.Linking.connections() {
		data.Offered = append(data.Offered, offeredText{connection, f.pages.texts.provider(connection)})
	}
	return f.show(http.StatusOK, "link_confirm.html", f.via.confirmName("link_offered", "link_account_offered"), nil, data).with(cookie)
}

// confirmName is what the page is called: who goes through the Action sees no other
// one before the two are joined.
func (v Via) confirmName(name, withAction string) string {
	if v == ViaLinkAccount {
		return withAction
	}
	return name
}

// postLinkConfirm is that decision.
func (f *Flow) postLinkConfirm(r *http.Request, s *flowState, action, connection string) answer {
	switch action {
	case "prove":
		if s.Linking.Offered == nil {
			connection = s.Ticket.Connection
		} else if !slices.Contains(s.Linking.connections(), connection) {
			connection = ""
		}
		if connection == "" { // of which Auth0 would make any
			break
		}
		if f.via == ViaLinkAccount {
			return f.beginLinkAccount(r, s, connection)
		}
		return f.beginSecond(r, s, connection)
	case "decline":
		return f.declined(r, s, byUser(DeclinedByUser, s.Ticket))
	case "switch":
		f.outcomes.Leave(s.Ticket.wished())
		s.forgetPerson()
		return f.beginLinking(r, s, signIn{organization: s.Ticket.OrgID})
	}
	return f.refuse(r, byUser(Refused, s.Ticket), malformed())
}

// beginSecond has the person sign in at the connection. It is the same application
// that asks, since Auth0 takes no other's ID token for linking.
func (f *Flow) beginSecond(r *http.Request, s *flowState, connection string) answer {
	if s.Linking.olderThan(freshLife) { // the page was left open
		return f.beginLinking(r, s, signIn{organization: s.Ticket.OrgID})
	}
	s.Ticket.Connection, s.Linking.Second, s.Linking.Tried = connection, nil, false
	return f.beginLogin(r, forSecond, s, signIn{connection: connection, scopes: s.Ticket.Scopes})
}

// signedInSecond goes on when the person comes back from there.
func (f *Flow) signedInSecond(r *http.Request, s *flowState, code string) answer {
	id, token, err := f.finishLogin(r.Context(), s, code)
	if err != nil {
		return f.notProved(r, s, loginRefusal(err))
	}
	if time.Since(time.Unix(authTime(id), 0)) > secondLife {
		return f.notProved(r, s, &refusal{page: pageNotFresh, reason: "second_not_fresh"})
	}
	if id.Subject == s.Ticket.Subject {
		return f.provedThemselves(r, s)
	}
	s.Linking.Second = newProven(id, token)
	if _, _, no := f.bothSides(r, s, f.readUser); no != nil {
		return f.notProved(r, s, no)
	}
	s.endLeg()
	s.Expiry = min(s.Expiry, time.Now().Add(freshLife).Unix())
	cookies, err := f.keep(r, forMerge, s)
	if err != nil {
		return f.notProved(r, s, notKept(err))
	}
	event := byUser(SignedIn, s.Ticket)
	event.Identity = id.Subject
	f.tell(r.Context(), event)
	return redirect(f.confirmPage(s)).with(cookies...)
}

// provedThemselves ends a second sign-in as the very user who is to remain: there is
// nothing to link if Auth0 lists an identity of theirs at the connection.
func (f *Flow) provedThemselves(r *http.Request, s *flowState) answer {
	u, err := f.readUser(r.Context(), s.AccessToken, s.Ticket.Subject)
	switch {
	case err != nil:
		return f.notProved(r, s, auth0Refusal(err, pageAuth0Fails))
	case !slices.ContainsFunc(u.identities, func(i identity) bool { return i.connection == s.Ticket.Connection }):
		return f.notProved(r, s, &refusal{page: pageOtherConnection, reason: "wrong_connection"})
	}
	return f.linkedAlready(r, s)
}

// notProved says why the second sign-in does not count. The person may try again,
// with another account perhaps.
func (f *Flow) notProved(r *http.Request, s *flowState, no *refusal) answer {
	cookies, err := f.keepForLinkConfirm(r, s)
	if err != nil {
		return f.refuse(r, byUser(Fault, s.Ticket), notKept(err)).with(f.drop(r, s)...)
	}
	no.data.GoOn = f.confirmPage(s)
	return f.refuse(r, byUser(Refused, s.Ticket), no).with(cookies...)
}

// keepForLinkConfirm takes s back to before the second sign-in.
func (f *Flow) keepForLinkConfirm(r *http.Request, s *flowState) ([]*http.Cookie, error) {
	s.Linking.Second = nil
	s.endLeg()
	return f.keep(r, forLinkConfirm, s)
}

// secondRefused ends a second sign-in that Auth0, the provider or the person ended.
func (f *Flow) secondRefused(r *http.Request, s *flowState, q *callbackQuery) answer {
	page := pageAuth0Fails
	if q.Error == "access_denied" {
		page = pageSecondSignIn
	}
	return f.notProved(r, s, &refusal{page: page, reason: "second_sign_in_error", err: q.asError(s)})
}
