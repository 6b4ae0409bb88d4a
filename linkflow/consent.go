package linkflow

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenvault/caddy-token-vault/linkflow/internal/outcome"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// anotherAccount is what the confirm page posts for an account that is not
// connected yet.
const anotherAccount = "another"

// maxAsked is how many scopes Auth0's My Account API takes.
const maxAsked = 100

// beginConnect sends the person to the provider. If that fails, the flow stays
// where it is and the button can be pressed again.
func (f *Flow) beginConnect(r *http.Request, s *flowState, form formToken, account string) answer {
	ctx, t := r.Context(), s.Ticket
	api := f.myAccount(s.AccessToken, s.secrets()...)
	accounts, err := api.accounts(ctx, t.Connection, t.OrgID)
	if err != nil {
		return f.notBegun(r, s, auth0Refusal(err, pageAuth0Fails))
	}
	if !form.saw(seenOfAccounts(accounts)) {
		return f.notBegun(r, s, changed())
	}
	granted, prompt, ok := consentFor(accounts, account)
	if !ok { // there never was such an account
		return redirect(f.confirmPage(s))
	}
	if f.keepPrompt {
		prompt = ""
	}
	scopes := vault.ConsentScopes(t.Connection, granted, t.Scopes)
	if len(scopes) > maxAsked { // the page in the end names what is lost
		scopes = t.Scopes
	}
	s.beginLeg()
	begun, err := api.connect(ctx, newConnectRequest(f.oauth.RedirectURL, s, scopes, prompt))
	if err != nil {
		return f.notBegun(r, s, auth0Refusal(err, pageAuth0Fails))
	}
	target, err := connectURL(f.vault.Issuer(), begun)
	if err != nil {
		return f.notBegun(r, s, &refusal{page: pageAuth0Fails, reason: "connect_uri", err: err})
	}
	s.AuthSession = begun.AuthSession
	s.Expiry = min(t.Expiry, time.Now().Unix()+begun.ExpiresIn)
	cookies, err := f.keep(r, forConnect, s)
	if err != nil {
		return f.notBegun(r, s, notKept(err))
	}
	f.tell(ctx, byUser(Confirmed, t))
	return f.goOn(target).with(cookies...)
}

// seenOfAccounts stands for what showConfirm shows of the accounts there are.
func seenOfAccounts(accounts []connectedAccount) any {
	seen := make(map[string][]string, len(accounts))
	for _, account := range accounts {
		seen[account.ID] = slices.Sorted(slices.Values(account.Scopes))
	}
	return seen
}

// notBegun says that the person cannot be sent to the provider now.
func (f *Flow) notBegun(r *http.Request, s *flowState, no *refusal) answer {
	no.data.GoOn = f.confirmPage(s)
	return f.refuse(r, byUser(Fault, s.Ticket), no)
}

// consentFor says what the account that is going to be connected is granted
// already, all of which has to be asked for again, since a new consent replaces
// the old one; and how the provider is to ask. Who connects an account anew
// chooses it there, for Auth0 does not name the one that it connected. Who
// connects one again is asked for consent, without which Google gives no new
// refresh token. choice is an account's id, anotherAccount, or empty for any.
func consentFor(accounts []connectedAccount, choice string) (granted []string, prompt string, ok bool) {
	if choice == anotherAccount || choice == "" && len(accounts) == 0 {
		return nil, "select_account", true
	}
	for _, account := range accounts {
		if choice == "" || account.ID == choice {
			granted, ok = append(granted, account.Scopes...), true
		}
	}
	return granted, "consent", ok
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

// connected completes a connect leg: only when Auth0's My Account API says so
// is the account connected.
func (f *Flow) connected(r *http.Request, s *flowState, connectCode string) answer {
	t, api := s.Ticket, f.myAccount(s.AccessToken, s.secrets()...)
	before, _ := api.accounts(r.Context(), t.Connection, t.OrgID) // to see what is lost; the rest goes without
	done, err := api.complete(r.Context(), completeRequest{
		AuthSession:  s.AuthSession,
		ConnectCode:  connectCode,
		RedirectURI:  f.oauth.RedirectURL,
		CodeVerifier: s.Verifier,
	})
	if err != nil {
		return f.failed(r, s, auth0Refusal(err, pageNotConnected))
	}
	f.vault.Forget(t.Subject, t.Connection)
	e, event, state := ending{Granted: done.Scopes}, byUser(Connected, t), outcome.Connected
	if len(done.Scopes) > 0 {
		e.Missing = vault.MissingScopes(done.Scopes, t.Scopes)
	}
	if e.Missing != nil {
		event.Kind, event.Reason, state = FailedToConnect, "scopes_missing", outcome.Failed
	}
	// Who asks for another account and then chooses a known one gives it less.
	if known, ok := findAccount(before, done.ID); ok && len(done.Scopes) > 0 {
		e.Missing = append(e.Missing, vault.MissingScopes(slices.Concat(done.Scopes, e.Missing), known.Scopes)...)
	}
	f.outcomes.Record(t.wished(), state)
	f.tell(r.Context(), event)
	return f.finish(r, s, e)
}

// notConnected ends a connect leg that Auth0 or the provider ended. The ticket's
// user began it, in this browser.
func (f *Flow) notConnected(r *http.Request, s *flowState, q *callbackQuery) answer {
	if q.Error != "access_denied" {
		return f.failed(r, s, &refusal{page: pageNotConnected, reason: "connect_error", err: q.asError(s)})
	}
	event := byUser(DeclinedByUser, s.Ticket)
	event.Reason, event.Err = "at_provider", q.asError(s)
	return f.declined(r, s, event)
}

func (f *Flow) failed(r *http.Request, s *flowState, no *refusal) answer {
	f.outcomes.Record(s.Ticket.wished(), outcome.Failed)
	no.data.Again = f.again(r, s)
	return f.refuse(r, byUser(FailedToConnect, s.Ticket), no).with(f.drop(r, s)...)
}

// declined ends a flow whose user said no, here or at the provider.
func (f *Flow) declined(r *http.Request, s *flowState, event Event) answer {
	f.outcomes.Record(s.Ticket.wished(), outcome.Declined)
	f.tell(r.Context(), event)
	return f.finish(r, s, ending{Declined: true})
}
