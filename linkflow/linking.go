package linkflow

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// Linking makes an identity part of a user: both sign in, the person sees what
// becomes of the two and says yes, and only then are they joined. The one whose
// ticket it is, or who signed in first, is who remains.

// linking is what a flow that links an identity knows besides.
type linking struct {
	AuthTime  int64       `json:"auth_time,omitempty"` // of the first sign-in
	MFA       bool        `json:"mfa,omitempty"`       // in the first sign-in
	Before    []string    `json:"before,omitempty"`    // the person's identities then, by sub; nil: not known
	Offered   []candidate `json:"offered,omitempty"`   // other users that the person may turn out to be
	Second    *proven     `json:"second,omitempty"`    // who signed in second
	Tried     bool        `json:"tried,omitempty"`     // Auth0 was asked to join them, and may have done so
	Already   bool        `json:"already,omitempty"`   // there was nothing to link
	Unchecked bool        `json:"unchecked,omitempty"` // whether it was linked, nobody can tell
}

// olderThan tells whether the first sign-in was longer ago.
func (l *linking) olderThan(age time.Duration) bool {
	return time.Since(time.Unix(l.AuthTime, 0)) > age
}

// candidate is a user who may be the same person.
type candidate struct {
	Connection string `json:"connection"`
	Subject    string `json:"sub"`
}

// proven is a user who signed in, in this flow, a moment ago.
type proven struct {
	Subject     string `json:"sub"`
	Person      string `json:"person"`
	MFA         bool   `json:"mfa,omitempty"`
	IDToken     string `json:"id_token"`     // by which Auth0 verifies it too
	AccessToken string `json:"access_token"` // for the Management API
}

// beginLinking has the person sign in who is to remain.
func (f *Flow) beginLinking(r *http.Request, s *flowState, how signIn) answer {
	s.Ticket = s.asked()
	s.Linking, s.AccessToken, s.IDToken = &linking{}, "", ""
	if f.linking.PinIP {
		s.Address = f.clientIP(r)
	}
	how.afresh, how.within = true, freshLife
	return f.beginLogin(r, forLinkLogin, s, how)
}

// asked is what the flow began with: no connection, if it was chosen among those that
// were offered.
func (s *flowState) asked() ticket {
	t := s.Ticket
	if s.Linking != nil && s.Linking.Offered != nil {
		t.Connection = ""
	}
	return t
}

// signedInToLink goes on when the first sign-in is over.
func (f *Flow) signedInToLink(r *http.Request, s *flowState, code string) answer {
	id, token, ended := f.redeem(r, s, code)
	if id == nil {
		return ended
	}
	s.Linking.AuthTime, s.Linking.MFA = authTime(id), id.MFA
	f.outcomes.Begin(s.Ticket.wished())
	if s.Linking.olderThan(freshLife) {
		return f.notLinkable(r, s, &refusal{page: pageNotFresh, reason: "not_fresh"})
	}
	return f.seeWhatToLink(r, s, token)
}

// seeWhatToLink reads the user who signed in: whether the rules let them link an
// identity, whether they have it already, and what to offer who named none.
func (f *Flow) seeWhatToLink(r *http.Request, s *flowState, token *oauth2.Token) answer {
	u, err := f.readUser(r.Context(), s.AccessToken, s.Ticket.Subject)
	if f.via == ViaLinkAccount {
		s.IDToken = idTokenOf(token)
		if u != nil {
			s.Linking.Before = u.subs()
		}
		if f.mayGoUnread(err) {
			return f.toLinkConfirm(r, s)
		}
	}
	if err != nil {
		return f.notLinkable(r, s, auth0Refusal(err, pageAuth0Fails))
	}
	if no := f.rulesOn(u, s.Linking.MFA); no != nil {
		return f.notLinkable(r, s, no)
	}
	if u.at(s.Ticket) && !s.Ticket.Own { // who wants to may link another one
		return f.linkedAlready(r, s)
	}
	if s.Linking.Offered, err = f.suggestions(r.Context(), s.Ticket, u); err != nil {
		return f.notLinkable(r, s, auth0Refusal(err, pageAuth0Fails))
	}
	return f.toLinkConfirm(r, s)
}

// toLinkConfirm goes on to the page on which the person decides.
func (f *Flow) toLinkConfirm(r *http.Request, s *flowState) answer {
	cookies, err := f.keep(r, forLinkConfirm, s)
	if err != nil {
		return f.notLinkable(r, s, notKept(err))
	}
	f.tell(r.Context(), byUser(SignedIn, s.Ticket))
	return redirect(f.confirmPage(s)).with(cookies...)
}

// showLinking is the page of a flow that links an identity.
func (f *Flow) showLinking(r *http.Request, s *flowState, leg purpose) answer {
	if no := f.fromSameAddress(r, s, leg); no != nil {
		return f.refuse(r, s.about(Refused), no)
	}
	switch leg {
	case forMerge:
		return f.showMerge(r, s)
	case forLinked:
		return f.showLinked(r, s)
	}
	return f.showLinkConfirm(r, s)
}

// postLinking is what the person decided there.
func (f *Flow) postLinking(r *http.Request, s *flowState, leg purpose, form formToken, values url.Values) answer {
	if no := f.fromSameAddress(r, s, leg); no != nil {
		return f.endElsewhere(r, s, no)
	}
	switch action := values.Get("action"); leg {
	case forMerge:
		return f.postMerge(r, s, form, action)
	case forLinked:
		return f.postLinked(r, s, action)
	default:
		return f.postLinkConfirm(r, s, action, values.Get("connection"))
	}
}

// notLinkable ends a flow before anybody was asked. It may be begun again.
func (f *Flow) notLinkable(r *http.Request, s *flowState, no *refusal) answer {
	f.outcomes.Leave(s.Ticket.wished())
	no.data = f.startAgain(r, s)
	return f.refuse(r, byUser(Refused, s.Ticket), no).with(f.drop(r, s)...)
}

// readUser reads a user, and their second factors where the rules are about them.
func (f *Flow) readUser(ctx context.Context, token, subject string) (u *user, err error) {
	err = f.asPersonOrMachine(token, func(who *users) (err error) {
		if u, err = who.read(ctx, subject); err == nil && f.linking.RequireMFA && !u.factor {
			u.factor, err = who.enrolled(ctx, subject)
		}
		return err
	})
	return u, err
}

// userReader is readUser, or lookAtUser.
type userReader func(ctx context.Context, token, subject string) (*user, error)

// lookAtUser is readUser for a page about s, which decides nothing.
func (f *Flow) lookAtUser(s *flowState) userReader {
	return func(ctx context.Context, token, subject string) (*user, error) {
		return keptFor(&f.kept, s.ID, token, func() (*user, error) { return f.readUser(ctx, token, subject) })
	}
}

// at tells whether u has an identity that t may mean.
func (u *user) at(t ticket) bool {
	return slices.ContainsFunc(u.identities, func(i identity) bool {
		return i.connection == t.Connection && slices.Contains([]string{"", i.id, i.name}, t.LoginHint)
	})
}

// rulesOn tells what the operator's rules have against linking u, as which
// somebody signed in, with a second factor or without.
func (f *Flow) rulesOn(u *user, mfa bool) *refusal {
	if f.linking.RequireVerifiedEmail && (u.email == "" || !u.verified) {
		return &refusal{page: pageEmailUnverified, reason: "email_unverified"}
	}
	return f.factorRule(u, mfa)
}

// factorRule is what of these rules is about unlinking too.
func (f *Flow) factorRule(u *user, mfa bool) *refusal {
	if f.linking.RequireMFA && u.factor && !mfa {
		return &refusal{page: pageFactorNeeded, reason: "mfa_required"}
	}
	return nil
}

// fromSameAddress tells whether r comes from where its flow began, if the operator
// wants that, as long as there is something to link. Otherwise it may begin again.
func (f *Flow) fromSameAddress(r *http.Request, s *flowState, leg purpose) *refusal {
	if !f.linking.PinIP || s.Linking == nil && s.Unlinking == nil || leg == forLinked || s.Address == f.clientIP(r) {
		return nil
	}
	return &refusal{page: pageOtherAddress, reason: "ip_address", data: f.startAgain(r, s)}
}

// endElsewhere ends a flow that came from somewhere else. Nobody is about to go on
// with it.
func (f *Flow) endElsewhere(r *http.Request, s *flowState, no *refusal) answer {
	f.outcomes.Leave(s.Ticket.wished())
	return f.refuse(r, byUser(Refused, s.Ticket), no).with(f.drop(r, s)...)
}

// newProven is who signed in second.
func newProven(id *vault.IDToken, token *oauth2.Token) *proven {
	return &proven{
		Subject: id.Subject, Person: personOf(id), MFA: id.MFA,
		IDToken: idTokenOf(token), AccessToken: token.AccessToken,
	}
}
