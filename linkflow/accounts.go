package linkflow

import (
	"crypto/rand"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// accountsRoute is the page on which people look after their accounts: its GETs
// show, its POSTs do.
const accountsRoute = "accounts"

// showAccounts lists the accounts of whoever is signed in, or asks about one of
// them whether to disconnect it.
func (f *Flow) showAccounts(r *http.Request) answer {
	id, err := accountID(r.URL.Query())
	if err != nil {
		return f.refuse(r, Event{}, &refusal{page: pageBadRequest, reason: "disconnect_malformed", err: err})
	}
	s, err := f.session(r)
	switch {
	case nobody(err) && r.URL.Query().Has("signed_out"):
		return f.showSignedOut()
	case nobody(err):
		return f.askToSignIn(r, id)
	case err != nil:
		return f.refuse(r, Event{}, refusalOf(err, pageBroken, "session"))
	}
	accounts, err := keptFor(&f.kept, s.ID, s.AccessToken, func() ([]connectedAccount, error) { return f.accountsOf(r, s) })
	if tokenEnded(err) {
		return f.askToSignIn(r, id).with(f.remove(r, sessionCookie)...)
	}
	if err != nil {
		return f.refuse(r, s.about(Fault, ""), auth0Refusal(err, pageAuth0Fails))
	}
	form, cookie, err := f.formFor(r, accountsRoute, s, id, s.Expiry)
	if err != nil {
		return f.refuse(r, s.about(Fault, ""), refusalOf(err, pageBroken, "form"))
	}
	if id != "" {
		return f.askToDisconnect(r, s, accounts, id, form).with(cookie)
	}
	return f.listAccounts(r, s, accounts, form).with(cookie)
}

func (f *Flow) listAccounts(r *http.Request, s *session, accounts []connectedAccount, form string) answer {
	data := accountsPage{Person: s.Person, Identities: f.via.Merges(), Form: form}
	for _, account := range accounts {
		data.Accounts = append(data.Accounts, f.accountText(account))
	}
	var cookies []*http.Cookie
	if s.Disconnected != "" { // said once
		data.Notice = f.pages.texts.say("accounts.disconnected", variables{"provider": f.pages.texts.provider(s.Disconnected)})
		s.Disconnected = ""
		cookies, _ = f.keepSession(r, s) // it was kept before
	}
	return f.show(http.StatusOK, "accounts.html", "accounts", nil, data).with(cookies...)
}

// accountID reads which account to disconnect; empty is none.
func accountID(values url.Values) (string, error) {
	id, err := one(values, "disconnect")
	if err == nil && id != "" && !accountPattern.MatchString(id) {
		err = errors.New("disconnect is no account's id")
	}
	return id, err
}

func (f *Flow) accountsOf(r *http.Request, s *session) ([]connectedAccount, error) {
	return f.myAccount(s.AccessToken).accounts(r.Context(), "", s.OrgID)
}

// askToSignIn is the page for somebody who is not signed in. disconnect is the
// account to go on with.
func (f *Flow) askToSignIn(r *http.Request, disconnect string) answer {
	form, cookie, err := f.formFor(r, accountsRoute, &session{}, disconnect, time.Now().Add(sessionLife).Unix())
	if err != nil {
		return f.refuse(r, Event{}, refusalOf(err, pageBroken, "form"))
	}
	return f.show(http.StatusOK, "accounts.html", "accounts", nil, accountsPage{Disconnect: disconnect, Form: form}).with(cookie)
}

func (f *Flow) askToDisconnect(r *http.Request, s *session, accounts []connectedAccount, id, form string) answer {
	account, ok := findAccount(accounts, id)
	if !ok {
		return f.noAccount(r, s)
	}
	text := f.accountText(account)
	return f.show(http.StatusOK, "disconnect.html", "disconnect", variables{"provider": text.Provider}, disconnectPage{text, s.fresh(), form})
}

func (f *Flow) noAccount(r *http.Request, s *session) answer {
	return f.refuse(r, s.about(Refused, ""), &refusal{page: pageNoAccount, reason: "no_account", data: messagePage{Accounts: true}})
}

func findAccount(accounts []connectedAccount, id string) (connectedAccount, bool) {
	i := slices.IndexFunc(accounts, func(a connectedAccount) bool { return a.ID == id })
	if i < 0 {
		return connectedAccount{}, false
	}
	return accounts[i], true
}

// postAccounts does what the pages of showAccounts offer.
func (f *Flow) postAccounts(r *http.Request) answer {
	values, no := f.readPost(r)
	if no != nil {
		return f.refuse(r, Event{}, no)
	}
	id, err := accountID(values)
	if err != nil {
		return f.refuse(r, Event{}, malformed())
	}
	s, err := f.session(r)
	if nobody(err) {
		s = &session{}
	} else if err != nil {
		return f.refuse(r, Event{}, refusalOf(err, pageBroken, "session"))
	}
	form, err := f.checkForm(r, values.Get("form"), accountsRoute, s)
	if err == nil && !form.saw(id) {
		err = errTampered
	}
	if err != nil {
		no := refusalOf(err, pageForeign, "form_token")
		no.data.Accounts = true
		return f.refuse(r, s.about(Refused, ""), no)
	}
	defer f.kept.drop(s.ID)
	switch action := values.Get("action"); {
	case action == "sign_in":
		return f.signInForAccounts(r, id)
	case action == "sign_out":
		return f.signOut(r)
	case action == "disconnect" && s.ID != "":
		return f.disconnect(r, s, id)
	}
	return f.refuse(r, s.about(Refused, ""), malformed())
}

// signInForAccounts begins a sign-in; one that goes on with disconnecting an
// account has to be a fresh one.
func (f *Flow) signInForAccounts(r *http.Request, disconnect string) answer {
	s := &flowState{ID: rand.Text(), Disconnect: disconnect, Expiry: time.Now().Add(ticketLife).Unix()}
	how := signIn{within: knownLife}
	if disconnect != "" {
		how.within = freshLife
	}
	return f.beginLogin(r, forSignIn, s, how)
}

// signedInForAccounts comes back from there.
func (f *Flow) signedInForAccounts(r *http.Request, flow *flowState, code string) answer {
	id, token, err := f.finishLogin(r.Context(), flow, code)
	if err != nil {
		no := loginRefusal(err)
		no.data.Accounts = true
		return f.refuse(r, flow.about(Refused), no).with(f.drop(r, flow)...)
	}
	s := newSession(flow.ID, id, token)
	cookies, err := f.keepSession(r, s)
	if err != nil {
		return f.refuse(r, s.about(Fault, ""), notKept(err)).with(f.drop(r, flow)...)
	}
	f.tell(r.Context(), s.about(SignedIn, ""))
	var query url.Values
	if flow.Disconnect != "" {
		query = url.Values{"disconnect": {flow.Disconnect}}
	}
	return redirect(f.page(accountsRoute, query)).with(f.drop(r, flow)...).with(cookies...)
}

// disconnect removes an account of whoever has just signed in. The vault's cache
// forgets it at once.
func (f *Flow) disconnect(r *http.Request, s *session, id string) answer {
	if !s.fresh() {
		return redirect(f.page(accountsRoute, url.Values{"disconnect": {id}}))
	}
	accounts, err := f.accountsOf(r, s)
	if tokenEnded(err) {
		return f.askToSignIn(r, id).with(f.remove(r, sessionCookie)...)
	}
	if err != nil {
		return f.refuse(r, s.about(Fault, ""), auth0Refusal(err, pageAuth0Fails))
	}
	account, ok := findAccount(accounts, id)
	if !ok {
		return f.noAccount(r, s)
	}
	err = f.myAccount(s.AccessToken).disconnect(r.Context(), id)
	// Also when the answer was lost.
	f.vault.Forget(s.Subject, account.Connection)
	f.outcomes.Disconnected(accountOf(f.vault.Issuer(), s.Subject, account.Connection))
	if err != nil {
		return f.refuse(r, s.about(Fault, account.Connection), auth0Refusal(err, pageNotDisconnected))
	}
	f.tell(r.Context(), s.about(Disconnected, account.Connection))
	s.Disconnected = account.Connection
	cookies, _ := f.keepSession(r, s) // it was kept before
	return redirect(f.page(accountsRoute, nil)).with(cookies...)
}

// signOut ends the session here, and all flows: whoever comes next must not go
// on with them.
func (f *Flow) signOut(r *http.Request) answer {
	return redirect(f.page(accountsRoute, url.Values{"signed_out": {"1"}})).with(f.removeAll(r)...)
}

// showSignedOut says so, and where to end Auth0's session.
func (f *Flow) showSignedOut() answer {
	there := f.vault.Issuer() + "v2/logout?" + url.Values{"client_id": {f.oauth.ClientID}}.Encode()
	return f.say(pageSignedOut, nil, messagePage{SignOut: there})
}

// accountText is an account in words.
func (f *Flow) accountText(a connectedAccount) accountText {
	text := accountText{
		ID:       a.ID,
		Provider: f.pages.texts.provider(a.Connection),
		Since:    date(a.CreatedAt),
		Until:    date(a.ExpiresAt),
		Scopes:   f.pages.texts.scopes(a.Connection, a.Scopes),
	}
	if offered, ok := f.offers(a.Connection); ok {
		query := url.Values{"connection": {a.Connection}, "account": {a.ID}}
		for _, scope := range a.Scopes {
			if name, ok := vault.OfferedScope(a.Connection, offered, scope); ok {
				query.Add("scopes", name)
			}
		}
		text.Again = f.page("connect", query)
	}
	return text
}

// date is a time in RFC 3339 in the one order that all read alike, to the minute:
// accounts are told apart by it.
func date(text string) string {
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return ""
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}
