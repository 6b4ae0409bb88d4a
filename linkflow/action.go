package linkflow

import (
	"cmp"
	"net/http"
	"slices"
)

// What the tenant's account-linking Action came to.

// actionRefusals are those of the Action that Auth0 published (of 2025-03-21), by
// the description that comes with access_denied.
var actionRefusals = map[string]message{
	"ID_TOKEN_HINT Invalid: The `id_token_hint` does not conform to the authorization policy": pageHintRefused,
	"You must perform MFA for account linking":                                                pageFactorNeeded,
	"Email Verification is required for account linking":                                      pageEmailUnverified,
	"Unexpected Error trying to start account linking":                                        pageNotLinked,
	"Failed to complete account linking":                                                      pageSecondSignIn,
	"Failed to link users":                                                                    pageNotLinked,
	"error linking":                                                                           pagePerhapsTaken,
}

// asRefusal is what to say when the Action, or Auth0 itself, ended a leg. What they
// say is for the operator.
func (q *callbackQuery) asRefusal(s *flowState, otherwise message) *refusal {
	page := otherwise
	if q.Error == "access_denied" {
		page = cmp.Or(actionRefusals[q.Description], otherwise)
	}
	return &refusal{page: page, reason: "linking_action", err: q.asError(s)}
}

// notLinkedByAction ends a leg that the Action, or Auth0 itself, ended: unless it
// had linked before it failed. If it does not take the first sign-in, it takes
// another one.
func (f *Flow) notLinkedByAction(r *http.Request, s *flowState, q *callbackQuery) answer {
	f.vault.ForgetUser(s.Ticket.Subject)
	no := q.asRefusal(s, pageNotLinked)
	if no.page == pageHintRefused || no.page == pageFactorNeeded {
		return f.notLinkable(r, s, no)
	}
	if before := s.Linking.Before; before != nil {
		u, err := f.readUser(r.Context(), s.AccessToken, s.Ticket.Subject)
		if err == nil && u.since(before) != nil {
			return f.afterAction(r, s, u)
		}
	}
	return f.notProved(r, s, no)
}

// linkedByAction goes on when the Action has let the person through. Only their
// identities tell whether it linked anything.
func (f *Flow) linkedByAction(r *http.Request, s *flowState, code string) answer {
	u, no, err := f.backFromAction(r, s, code)
	switch {
	case no != nil:
		return f.notProved(r, s, no)
	case err != nil:
		event := byUser(Fault, s.Ticket)
		event.Reason, event.Err = auth0Refusal(err, pageUnclear).reason, err
		f.tell(r.Context(), event)
		s.Linking.Unchecked = true
		return f.linked(r, s)
	}
	return f.afterAction(r, s, u)
}

// afterAction goes on by what the person's identities are after the Action.
func (f *Flow) afterAction(r *http.Request, s *flowState, u *user) answer {
	added := u.since(s.Linking.Before)
	s.Linking.Before = u.subs()
	switch {
	case len(added) == 0 && u.at(s.Ticket): // and perhaps it is that one which the person proved
		return f.notProved(r, s, &refusal{page: pageNothingGained, reason: "nothing_gained"})
	case len(added) == 0:
		return f.notProved(r, s, &refusal{page: pageNotLinkedByAction, reason: "not_linked"})
	}
	wanted := slices.ContainsFunc(added, func(i identity) bool { return i.connection == s.Ticket.Connection })
	for _, i := range added {
		f.vault.ForgetUser(i.sub())
		event := byUser(Merged, s.Ticket)
		event.Connection, event.Identity = i.connection, i.sub()
		if !wanted {
			event.Reason = "wrong_connection"
		}
		f.tell(r.Context(), event)
	}
	if !wanted {
		return f.otherLinked(r, s)
	}
	return f.linked(r, s)
}

// otherLinked says that the Action, which does not look at the connection, linked
// something else. The operator knows.
func (f *Flow) otherLinked(r *http.Request, s *flowState) answer {
	cookies, err := f.keepForLinkConfirm(r, s)
	if err != nil {
		return f.refuse(r, byUser(Fault, s.Ticket), notKept(err)).with(f.drop(r, s)...)
	}
	provider := variables{"provider": f.pages.texts.provider(s.Ticket.Connection)}
	data := messagePage{ID: eventID(s.Ticket.ID), GoOn: f.confirmPage(s), Identities: true}
	return f.say(pageOtherLinked, provider, data).with(cookies...)
}

// since returns the identities of u that are not among before. If before is not
// known, any but the first may be new.
func (u *user) since(before []string) (added []identity) {
	for _, i := range u.identities[1:] {
		if !slices.Contains(before, i.sub()) {
			added = append(added, i)
		}
	}
	return added
}

// unlinkedByAction is linkedByAction for an identity that was to go.
func (f *Flow) unlinkedByAction(r *http.Request, s *flowState, code string) answer {
	u, no, err := f.backFromAction(r, s, code)
	gone := s.Unlinking.Goes
	switch {
	case no != nil:
		return f.keptByAction(r, s, no)
	case err != nil:
		return f.keptByAction(r, s, auth0Refusal(err, pageUnclear))
	case u.has(gone.Subject):
		return f.keptByAction(r, s, &refusal{page: pageNotUnlinked, reason: "not_unlinked"})
	}
	f.vault.ForgetUser(gone.Subject)
	return f.unlinked(r, s, gone)
}

// notUnlinkedByAction ends such a leg that the Action, or Auth0 itself, ended.
func (f *Flow) notUnlinkedByAction(r *http.Request, s *flowState, q *callbackQuery) answer {
	return f.keptByAction(r, s, q.asRefusal(s, pageNotUnlinked))
}

// keptByAction says why an identity stays, or that it is not known whether it does.
func (f *Flow) keptByAction(r *http.Request, s *flowState, no *refusal) answer {
	sub := s.Unlinking.Goes.Subject
	f.vault.ForgetUser(s.Ticket.Subject) // it may be gone all the same
	f.vault.ForgetUser(sub)
	cookies, _ := f.keep(r, forUnlink, s) // it was kept before
	return f.notUnlinked(r, s, sub, no).with(cookies...)
}

// backFromAction redeems the code of a leg through the Action, and reads the user
// as they are now: no says why the code does not count, err why nobody can read
// them.
func (f *Flow) backFromAction(r *http.Request, s *flowState, code string) (u *user, no *refusal, err error) {
	f.vault.ForgetUser(s.Ticket.Subject) // whatever comes, the Action has done its part
	id, _, err := f.finishLogin(r.Context(), s, code)
	if err != nil {
		return nil, loginRefusal(err), nil
	}
	if id.Subject != s.Ticket.Subject || id.OrgID != s.Ticket.OrgID {
		return nil, &refusal{page: pageWrongPerson, reason: "wrong_user"}, nil
	}
	u, err = f.readUser(r.Context(), s.AccessToken, s.Ticket.Subject)
	return u, nil, err
}
