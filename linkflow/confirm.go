package linkflow

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// askToConfirm is the page on which the ticket's user decides. It is the first
// one that names a person, and the first that Auth0 has vouched for.
func (f *Flow) askToConfirm(r *http.Request, s *flowState, id *vault.IDToken) answer {
	event := byUser(Fault, s.Ticket)
	cookie, err := f.keep(r.Context(), forConfirm, s)
	if err != nil {
		return f.refuse(r, event, &refusal{pageBroken, "cookie", err}, f.drop(s))
	}
	form, formCookie, err := f.formFor(r, "confirm", s.ID, s.Expiry)
	if err != nil {
		return f.refuse(r, event, refusalOf(err, pageBroken, "form"), f.drop(s))
	}
	f.tell(r.Context(), byUser(SignedIn, s.Ticket))
	return answer{
		status:  http.StatusOK,
		page:    "confirm.html",
		data:    confirmPage{f.request(s.Ticket), clean(cmp.Or(id.Name, id.Subject), maxShown), form, s.ID},
		cookies: []*http.Cookie{cookie, formCookie},
	}
}

// postConfirm is that user's decision.
func (f *Flow) postConfirm(r *http.Request) answer {
	values, no := f.readPost(r)
	if no != nil {
		return f.refuse(r, Event{}, no)
	}
	id, errID := one(values, "flow")
	token, errToken := one(values, "form")
	action, errAction := one(values, "action")
	if errors.Join(errID, errToken, errAction) != nil {
		return f.refuse(r, Event{}, &refusal{pageBadRequest, "form_malformed", nil})
	}
	s, err := f.flowOf(r, forConfirm, id)
	if err != nil {
		return f.refuse(r, Event{}, refusalOf(err, pageNoFlow, "no_flow"))
	}
	if err := f.checkForm(r, token, "confirm", s.ID); err != nil {
		return f.refuse(r, about(Refused, s.Ticket), refusalOf(err, pageForeign, "form_token"))
	}
	switch action {
	case "connect":
		return f.beginConnect(r, s)
	case "decline":
		return f.declined(r, s, byUser(DeclinedByUser, s.Ticket))
	}
	return f.refuse(r, byUser(Refused, s.Ticket), &refusal{pageBadRequest, "form_malformed", nil})
}

// beginConnect begins the connect leg: with the scopes that are granted already
// and those that are needed, since a new consent replaces the old one. If it
// fails, the flow stays where it is and the button can be pressed again.
func (f *Flow) beginConnect(r *http.Request, s *flowState) answer {
	ctx, t := r.Context(), s.Ticket
	account := f.myAccount(s)
	granted, err := account.grantedScopes(ctx, t.Connection, t.OrgID)
	if err != nil {
		return f.refuse(r, byUser(Fault, t), accountRefusal(err, pageAuth0Fails))
	}
	s.newState()
	s.Verifier = oauth2.GenerateVerifier()
	begun, err := account.connect(ctx, newConnectRequest(f.oauth.RedirectURL, s, vault.MergeScopes(granted, t.Scopes)))
	if err != nil {
		return f.refuse(r, byUser(Fault, t), accountRefusal(err, pageAuth0Fails))
	}
	target, err := connectURL(f.vault.Issuer(), begun)
	if err != nil {
		return f.refuse(r, byUser(Fault, t), &refusal{pageAuth0Fails, "connect_uri", err})
	}
	s.AuthSession = begun.AuthSession
	s.Expiry = min(t.Expiry, time.Now().Unix()+begun.ExpiresIn)
	cookie, err := f.keep(ctx, forConnect, s)
	if err != nil {
		return f.refuse(r, byUser(Fault, t), &refusal{pageBroken, "cookie", err})
	}
	f.tell(ctx, byUser(Confirmed, t))
	return goOn(target, []*http.Cookie{cookie})
}

// connectURL is where the person connects the account: a page of the tenant,
// opened with the ticket that Auth0 made for it.
func connectURL(issuer string, begun *connectAnswer) (string, error) {
	u, err := url.Parse(begun.ConnectURI)
	if err != nil || u.User != nil || u.Fragment != "" || u.Opaque != "" ||
		u.Scheme+"://"+strings.ToLower(u.Host)+"/" != issuer {
		return "", errors.New("connect_uri is no page of the tenant")
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return "", errors.New("connect_uri has a malformed query")
	}
	query.Set("ticket", begun.ConnectParams.Ticket)
	u.RawQuery = query.Encode()
	return u.String(), nil
}

// accountRefusal is what to say when the My Account API refuses or fails.
func accountRefusal(err error, page message) *refusal {
	if refused, ok := errors.AsType[*accountError](err); ok {
		return &refusal{page, fmt.Sprintf("my_account_%d", refused.Status), err}
	}
	if e, ok := errors.AsType[*vault.Error](err); ok {
		return &refusal{page, e.Reason, err}
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &refusal{page, "timeout", err}
	}
	return &refusal{page, "senseless_answer", err}
}
