package linkflow

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/tokenvault/caddy-token-vault/linkflow/internal/outcome"
)

// bothSides reads both users, and tells whether the one may become an identity of the
// other. If it is one already, second is nil.
func (f *Flow) bothSides(r *http.Request, s *flowState, read userReader) (primary, second *user, no *refusal) {
	proof, unreadable := s.Linking.Second, pageAuth0Fails
	if s.Linking.Tried {
		unreadable = pageUnclear
	}
	primary, err := read(r.Context(), s.AccessToken, s.Ticket.Subject)
	if err != nil {
		return nil, nil, auth0Refusal(err, unreadable)
	}
	if primary.has(proof.Subject) {
		return primary, nil, nil
	}
	second, err = read(r.Context(), proof.AccessToken, proof.Subject)
	switch {
	case isGone(err) && !s.Linking.Tried: // somebody else's identity since the sign-in
		return nil, nil, &refusal{page: pageIdentityTaken, reason: "second_gone", err: err}
	case err != nil:
		return nil, nil, auth0Refusal(err, unreadable)
	case len(second.identities) > 1: // it is somebody's primary one, or one of somebody's
		return nil, nil, &refusal{page: pageIdentityTaken, reason: "several_identities"}
	case second.identities[0].connection != s.Ticket.Connection:
		return nil, nil, &refusal{page: pageOtherConnection, reason: "wrong_connection"}
	case !s.Linking.isOffered(s.Ticket.Connection, second.id):
		return nil, nil, &refusal{page: pageNotTheOffered, reason: "not_offered"}
	}
	if no = f.rulesOn(primary, s.Linking.MFA); no == nil {
		no = f.rulesOn(second, proof.MFA)
	}
	return primary, second, no
}

// showMerge is the page on which the person decides whether to join the two, who
// have both signed in by then.
func (f *Flow) showMerge(r *http.Request, s *flowState) answer {
	primary, second, no := f.bothSides(r, s, f.lookAtUser(s))
	switch {
	case no != nil:
		return f.notMerged(r, s, no)
	case second == nil: // joined by a try whose answer was lost
		return f.merged(r, s)
	}
	form, cookie, err := f.formFor(r, pageOf[forMerge], s, seenOfUsers(primary, second), s.Expiry)
	if err != nil {
		return f.refuse(r, byUser(Fault, s.Ticket), refusalOf(err, pageBroken, "form"))
	}
	text := f.request(s.Ticket)
	data := mergePage{
		requestText: text, Person: s.Person, Stays: clean(primary.id, maxShown), Second: s.Linking.Second.Person,
		Goes: clean(second.id, maxShown), Lost: second.metadata, Flow: s.ID, Form: form,
	}
	return f.show(http.StatusOK, "merge.html", "merge", text.vars(), data).with(cookie)
}

// seenOfUsers stands for what showMerge shows of the two.
func seenOfUsers(primary, second *user) any {
	return slices.Concat([]string{primary.id, primary.email, second.id, second.email}, second.metadata)
}

// postMerge is that decision.
func (f *Flow) postMerge(r *http.Request, s *flowState, form formToken, action string) answer {
	switch action {
	case "merge":
		return f.merge(r, s, form)
	case "decline":
		return f.declined(r, s, byUser(DeclinedByUser, s.Ticket))
	}
	return f.refuse(r, byUser(Refused, s.Ticket), malformed())
}

// merge joins the two, if they are still what the person saw, and believes in it
// when Auth0 lists the identity. It may be tried again: what happened meanwhile, or
// without an answer, is found out by reading.
func (f *Flow) merge(r *http.Request, s *flowState, form formToken) answer {
	primary, second, no := f.bothSides(r, s, f.readUser)
	switch {
	case no != nil:
		return f.notMerged(r, s, no)
	case second == nil:
		return f.merged(r, s)
	case !form.saw(seenOfUsers(primary, second)):
		return f.notMerged(r, s, changed())
	}
	failed := f.join(r.Context(), s)
	s.Linking.Tried = true
	f.forgetBoth(s) // also when the answer was lost
	primary, err := f.readUser(r.Context(), s.AccessToken, s.Ticket.Subject)
	switch {
	case err != nil:
		return f.notMerged(r, s, auth0Refusal(errors.Join(failed, err), pageUnclear))
	case primary.has(second.id):
		return f.merged(r, s)
	case failed == nil:
		return f.notMerged(r, s, &refusal{page: pageNotLinked, reason: "not_linked"})
	case unanswered(failed):
		return f.notMerged(r, s, auth0Refusal(failed, pageUnclear))
	case isConflict(failed):
		return f.notMerged(r, s, auth0Refusal(failed, pageIdentityTaken))
	}
	return f.notMerged(r, s, auth0Refusal(failed, pageNotLinked))
}

// join asks Auth0 to join the two. It verifies both sides itself, if it takes the
// person's own token; the machine is asked only where it does not.
func (f *Flow) join(ctx context.Context, s *flowState) error {
	second := s.Linking.Second
	return f.asPersonOrMachine(s.AccessToken, func(who *users) error {
		if who.machine != nil {
			return who.linkUser(ctx, s.Ticket.Subject, second.Subject)
		}
		return who.linkWith(ctx, s.Ticket.Subject, second.IDToken)
	})
}

// notMerged says why the two are not joined, or that it is not known. The person
// may try again: on the page that shows both, if nothing speaks against these two.
func (f *Flow) notMerged(r *http.Request, s *flowState, no *refusal) answer {
	if no.page.status < 500 && no.page != pageChanged {
		return f.notProved(r, s, no)
	}
	cookies, err := f.keep(r, forMerge, s)
	if err != nil {
		no = &refusal{page: no.page, reason: "cookie", err: err}
	}
	no.data.GoOn = f.confirmPage(s)
	event := byUser(Refused, s.Ticket)
	event.Identity = s.Linking.Second.Subject
	return f.refuse(r, event, no).with(cookies...)
}

// merged ends the linking: Auth0 lists the identity. From now on the other user
// does not exist.
func (f *Flow) merged(r *http.Request, s *flowState) answer {
	f.forgetBoth(s)
	event := byUser(Merged, s.Ticket)
	event.Identity = s.Linking.Second.Subject
	f.tell(r.Context(), event)
	return f.linked(r, s)
}

// forgetBoth drops what the vault said about either of the two.
func (f *Flow) forgetBoth(s *flowState) {
	f.vault.ForgetUser(s.Ticket.Subject)
	f.vault.ForgetUser(s.Linking.Second.Subject)
}

// linkedAlready goes on when the first or the second sign-in showed that there is
// nothing to link.
func (f *Flow) linkedAlready(r *http.Request, s *flowState) answer {
	s.Linking.Already = true
	f.tell(r.Context(), byUser(SignedIn, s.Ticket))
	return f.linked(r, s)
}

// linked goes on when there is nothing left to link, without the tokens that it
// took. Who was to come back does.
func (f *Flow) linked(r *http.Request, s *flowState) answer {
	next := &flowState{
		ID: s.ID, Ticket: s.Ticket, ReturnTo: s.ReturnTo, Person: s.Person,
		Linking: &linking{Already: s.Linking.Already, Unchecked: s.Linking.Unchecked}, Expiry: s.Ticket.Expiry,
	}
	cookies, err := f.keep(r, forLinked, next)
	if err != nil {
		return f.refuse(r, byUser(Fault, s.Ticket), notKept(err)).with(f.drop(r, s)...)
	}
	if !s.Linking.Already {
		f.outcomes.LookNow(s.Ticket.wished()) // on tenants whose identities feed the vault, that was all
	}
	if s.Ticket.Own && !s.Linking.Unchecked && s.ReturnTo != "" && f.mayReturnTo(s.ReturnTo) {
		return f.goOn(s.ReturnTo).with(cookies...)
	}
	return redirect(f.confirmPage(s)).with(cookies...)
}

// showLinked says that it is so, and how to go on: the vault of today's tenants
// knows connected accounts only. Auth0's session in this browser is one of the user
// that is gone, so that takes a sign-in.
func (f *Flow) showLinked(r *http.Request, s *flowState) answer {
	if state, _ := f.outcomes.Known(s.Ticket.wished()); state == outcome.Completed {
		// An agent has asked, and the vault serves the account. The browser comes from a
		// form of ours, so it would follow no redirect to elsewhere.
		return f.finishOn(r, s, ending{}, f.donePage(s))
	}
	form, cookie, err := f.formFor(r, pageOf[forLinked], s, nil, s.Expiry)
	if err != nil {
		return f.refuse(r, byUser(Fault, s.Ticket), refusalOf(err, pageBroken, "form"))
	}
	name := "linked"
	switch {
	case s.Linking.Already:
		name = "linked_already"
	case s.Linking.Unchecked:
		name = "linked_unchecked"
	}
	_, offered := f.offers(s.Ticket.Connection)
	text := f.request(s.Ticket)
	data := linkedPage{
		Connect: offered || !s.Ticket.Own, Own: s.Ticket.Own, SignIn: !s.Linking.Already, Flow: s.ID, Form: form,
	}
	return f.show(http.StatusOK, "linked.html", name, text.vars(), data).with(cookie)
}

// postLinked goes on to connect the account.
func (f *Flow) postLinked(r *http.Request, s *flowState, action string) answer {
	if action != "connect" {
		return f.refuse(r, byUser(Refused, s.Ticket), malformed())
	}
	next := &flowState{ID: s.ID, Ticket: s.Ticket, ReturnTo: s.ReturnTo, Expiry: s.Expiry}
	if s.Ticket.Own && len(s.Ticket.Scopes) == 0 {
		next.Ticket.Scopes, _ = f.offers(s.Ticket.Connection) // what agents will need
	}
	return f.beginLogin(r, forLogin, next, signIn{organization: s.Ticket.OrgID, afresh: !s.Linking.Already})
}
