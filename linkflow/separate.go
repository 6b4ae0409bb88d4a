package linkflow

import (
	"cmp"
	"errors"
	"net/http"
)

// unlink is the yes to the question of showUnlink.
func (f *Flow) unlink(r *http.Request, s *flowState, leg purpose, sub string) answer {
	if no := f.fromSameAddress(r, s, leg); no != nil {
		return f.endElsewhere(r, s, no)
	}
	u, err := f.readUser(r.Context(), s.AccessToken, s.Ticket.Subject)
	if err != nil {
		return f.notUnlinked(r, s, sub, auth0Refusal(err, pageAuth0Fails))
	}
	i, ok := u.removable(sub)
	switch {
	case !ok: // unlinked meanwhile, or the first one
		return redirect(f.pageOfUnlink(s, ""))
	case f.via == ViaLinkAccount:
		return f.beginUnlinkAccount(r, s, u, i)
	}
	return f.separate(r, s, i)
}

// separate makes an identity a user of its own, and believes in it when Auth0 does not
// list it any more.
func (f *Flow) separate(r *http.Request, s *flowState, i identity) answer {
	ctx := r.Context()
	failed := f.asPersonOrMachine(s.AccessToken, func(who *users) error { return who.unlink(ctx, s.Ticket.Subject, i) })
	f.vault.ForgetUser(s.Ticket.Subject) // also when the answer was lost
	f.vault.ForgetUser(i.sub())
	u, err := f.readUser(ctx, s.AccessToken, s.Ticket.Subject)
	switch {
	case err != nil:
		return f.notUnlinked(r, s, i.sub(), auth0Refusal(errors.Join(failed, err), pageUnclear))
	case !u.has(i.sub()):
		return f.unlinked(r, s, candidate{i.connection, i.sub()})
	case unanswered(failed):
		return f.notUnlinked(r, s, i.sub(), auth0Refusal(failed, pageUnclear))
	}
	return f.notUnlinked(r, s, i.sub(), auth0Refusal(cmp.Or(failed, errSenseless), pageNotUnlinked))
}

// unlinked ends the unlinking: Auth0 lists the identity no more.
func (f *Flow) unlinked(r *http.Request, s *flowState, gone candidate) answer {
	event := byUser(Separated, s.Ticket)
	event.Connection, event.Identity = gone.Connection, gone.Subject
	f.tell(r.Context(), event)
	s.Unlinking.Gone = gone.Connection
	cookies, _ := f.keep(r, forUnlink, s) // it was kept before
	return redirect(f.pageOfUnlink(s, "")).with(cookies...)
}

// notUnlinked says why an identity stays, or that it is not known whether it does.
func (f *Flow) notUnlinked(r *http.Request, s *flowState, sub string, no *refusal) answer {
	event := byUser(Refused, s.Ticket)
	event.Identity = sub
	no.data.GoOn = f.pageOfUnlink(s, "")
	return f.refuse(r, event, no)
}
