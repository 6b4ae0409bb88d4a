package linkflow

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// unlinkRoute is where people look at their identities: its GETs show, its POSTs
// do. All of it takes a sign-in of the last five minutes.
const unlinkRoute = "unlink"

// unlinking is what a flow knows besides in which somebody looks at their identities.
type unlinking struct {
	Goes candidate `json:"goes,omitzero"`  // the identity that the tenant's Action separates
	Gone string    `json:"gone,omitempty"` // the connection of the one that was just separated
}

// showUnlink lists the identities of whoever has just signed in, or asks about one
// of them whether to make it a user of its own.
func (f *Flow) showUnlink(r *http.Request) answer {
	flow, errFlow := one(r.URL.Query(), "flow")
	sub, errSub := one(r.URL.Query(), "identity")
	if errors.Join(errFlow, errSub) != nil {
		return f.refuse(r, Event{}, &refusal{page: pageBadRequest, reason: "unlink_malformed"})
	}
	s, leg, err := f.flowOf(r, flow, forUnlink, forUnlinkAccount)
	switch {
	case nobody(err):
		return f.askToSignInToUnlink(r)
	case err != nil:
		return f.refuse(r, Event{}, refusalOf(err, pageBroken, "flow"))
	}
	if no := f.fromSameAddress(r, s, leg); no != nil {
		return f.refuse(r, byUser(Refused, s.Ticket), no)
	}
	u, err := f.lookAtUser(s)(r.Context(), s.AccessToken, s.Ticket.Subject)
	if err != nil {
		return f.refuse(r, byUser(Fault, s.Ticket), auth0Refusal(err, pageAuth0Fails))
	}
	if sub == "" {
		return f.listIdentities(r, s, u)
	}
	i, ok := u.removable(sub)
	if !ok {
		return redirect(f.pageOfUnlink(s, ""))
	}
	form, cookie, err := f.formFor(r, unlinkRoute, s, sub, s.Expiry)
	if err != nil {
		return f.refuse(r, byUser(Fault, s.Ticket), refusalOf(err, pageBroken, "form"))
	}
	text := f.identityText(i)
	data := unlinkPage{text, s.Person, clean(s.Ticket.Subject, maxShown), s.ID, form}
	return f.show(http.StatusOK, "unlink.html", "unlink", variables{"provider": text.Provider}, data).with(cookie)
}

// removable finds one of the identities that can be taken from a user: not the
// first one, which gave the user its id.
func (u *user) removable(sub string) (identity, bool) {
	rest := u.identities[1:]
	i := slices.IndexFunc(rest, func(i identity) bool { return i.sub() == sub })
	if i < 0 {
		return identity{}, false
	}
	return rest[i], true
}

func (f *Flow) pageOfUnlink(s *flowState, sub string) string {
	query := url.Values{"flow": {s.ID}}
	if sub != "" {
		query.Set("identity", sub)
	}
	return f.page(unlinkRoute, query)
}

// askToSignInToUnlink is the page for somebody who has not just signed in.
func (f *Flow) askToSignInToUnlink(r *http.Request) answer {
	form, cookie, err := f.formFor(r, unlinkRoute, &flowState{}, "", time.Now().Add(ticketLife).Unix())
	if err != nil {
		return f.refuse(r, Event{}, refusalOf(err, pageBroken, "form"))
	}
	return f.show(http.StatusOK, "identities.html", "identities", nil, identitiesPage{Form: form}).with(cookie)
}

func (f *Flow) listIdentities(r *http.Request, s *flowState, u *user) answer {
	data := identitiesPage{Person: s.Person, Primary: f.identityText(u.identities[0])}
	for _, i := range u.identities[1:] {
		text := f.identityText(i)
		text.Unlink = f.pageOfUnlink(s, i.sub())
		data.Others = append(data.Others, text)
	}
	var cookies []*http.Cookie
	if s.Unlinking.Gone != "" { // said once
		data.Notice = f.pages.texts.say("identities.unlinked", variables{"provider": f.pages.texts.provider(s.Unlinking.Gone)})
		s.Unlinking.Gone = ""
		cookies, _ = f.keep(r, forUnlink, s) // it was kept before
	}
	return f.show(http.StatusOK, "identities.html", "identities", nil, data).with(cookies...)
}

func (f *Flow) identityText(i identity) identityText {
	return identityText{ID: i.sub(), User: clean(i.sub(), maxShown), Provider: f.pages.texts.provider(i.connection), Name: i.name}
}

// postUnlink does what the pages of showUnlink offer.
func (f *Flow) postUnlink(r *http.Request) answer {
	values, no := f.readPost(r)
	if no != nil {
		return f.refuse(r, Event{}, no)
	}
	flow, sub := values.Get("flow"), values.Get("identity")
	s, leg, err := f.flowOf(r, flow, forUnlink, forUnlinkAccount)
	if nobody(err) {
		s = &flowState{ID: flow}
	} else if err != nil {
		return f.refuse(r, Event{}, refusalOf(err, pageBroken, "flow"))
	}
	form, err := f.checkForm(r, values.Get("form"), unlinkRoute, s)
	switch {
	case errors.Is(err, errChanged) && leg == "": // the flow has ended
		return f.askToSignInToUnlink(r)
	case err == nil && !form.saw(sub):
		err = errTampered
	}
	if err != nil {
		return f.refuse(r, s.about(Refused), refusalOf(err, pageForeign, "form_token"))
	}
	defer f.kept.drop(s.ID)
	switch action := values.Get("action"); {
	case action == "sign_in":
		return f.signInToUnlink(r)
	case action == "unlink" && leg != "":
		return f.unlink(r, s, leg, sub)
	}
	return f.refuse(r, s.about(Refused), malformed())
}

// signInToUnlink begins a sign-in of its own, whoever is signed in.
func (f *Flow) signInToUnlink(r *http.Request) answer {
	t := f.openTicket()
	t.Own = true
	s := &flowState{ID: rand.Text(), Ticket: t, Expiry: t.Expiry, Unlinking: &unlinking{}}
	if f.linking.PinIP {
		s.Address = f.clientIP(r)
	}
	return f.beginLogin(r, forUnlinkLogin, s, signIn{afresh: true, within: freshLife})
}

// signedInToUnlink comes back from there.
func (f *Flow) signedInToUnlink(r *http.Request, s *flowState, code string) answer {
	id, token, err := f.finishLogin(r.Context(), s, code)
	if err != nil {
		return f.notUnlinkable(r, s, loginRefusal(err))
	}
	end := time.Unix(authTime(id), 0).Add(freshLife)
	if !time.Now().Before(end) {
		return f.notUnlinkable(r, s, &refusal{page: pageNotFresh, reason: "not_fresh"})
	}
	if !s.signedIn(f.vault.Issuer(), id, token.AccessToken) {
		return f.wrongPerson(r, s, id)
	}
	countAs(r, id.Subject)
	s.Expiry = end.Unix()
	u, err := f.readUser(r.Context(), s.AccessToken, s.Ticket.Subject)
	if err != nil {
		return f.notUnlinkable(r, s, auth0Refusal(err, pageAuth0Fails))
	}
	if f.via == ViaLinkAccount {
		s.IDToken = idTokenOf(token)
	}
	if no := f.factorRule(u, id.MFA); no != nil {
		return f.notUnlinkable(r, s, no)
	}
	cookies, err := f.keep(r, forUnlink, s)
	if err != nil {
		return f.notUnlinkable(r, s, notKept(err))
	}
	f.tell(r.Context(), byUser(SignedIn, s.Ticket))
	return redirect(f.pageOfUnlink(s, "")).with(cookies...)
}

// notUnlinkable ends such a sign-in before anything was shown. It may be begun again.
func (f *Flow) notUnlinkable(r *http.Request, s *flowState, no *refusal) answer {
	no.data = f.startAgain(r, s)
	return f.refuse(r, byUser(Refused, s.Ticket), no).with(f.drop(r, s)...)
}
