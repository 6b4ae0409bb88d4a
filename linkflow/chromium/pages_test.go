package chromium

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// anyPath is a where.path for pages that may be shown at several paths.
const anyPath = ""

// shown is a page: how a person comes to it, and what it is called.
type shown struct {
	name    string
	visit   func(w *world, b *tab)
	heading string
}

// pages are all pages there are, besides linkingPages.
var pages = []shown{
	{"connect", func(w *world, b *tab) { b.open(w.link(google.request).URL) }, google.heading(headingConnect)},
	{"connect-without-ticket", func(w *world, b *tab) {
		b.open(w.url("/auth/connect?connection=github&scopes=repo&returnTo=" + w.app.URL + "/close"))
	}, github.heading(headingConnect)},
	{"onward", func(w *world, b *tab) {
		w.fault(auth0test.Fault{Path: "/authorize", Status: new(http.StatusNoContent)}) // which leaves a browser where it is
		b.open(w.link(google.request).URL).see(google.connectPage())
		b.press(buttonContinue)
	}, headingOnward},
	{"confirm-first-account", func(w *world, b *tab) { b.toConfirm(google, w.link(google.request).URL) }, google.heading(headingConfirm)},
	{"confirm-one-account", func(w *world, b *tab) {
		w.connect(google, "")
		b.toConfirm(google, w.link(google.request).URL)
	}, google.heading(headingConfirm)},
	{"confirm-two-accounts", func(w *world, b *tab) {
		w.connect(google, "")
		w.connect(google, "work@example.org")
		b.toConfirm(google, w.link(google.request).URL)
	}, google.heading(headingConfirm)},
	{"confirm-unverified", func(w *world, b *tab) {
		caller := w.callerWith(map[string]any{"azp": strings.Repeat("unlisted", 12)})
		request := vault.Request{Connection: "github", LoginHint: strings.Repeat("0123456789", 12), Scopes: []string{strings.Repeat("unknown:scope", 9)}}
		link, err := w.flow.Link(w.Context(), caller, request)
		if err != nil {
			w.Fatal(err)
		}
		b.toConfirm(github, link.URL)
	}, github.heading(headingConfirm)},
	{"confirm-without-ticket", func(w *world, b *tab) {
		b.toConfirm(github, w.url("/auth/connect?connection=github&scopes=repo"))
	}, github.heading(headingConfirm)},
	{"done", func(w *world, b *tab) { b.toConsent(google, w.link(google.request).URL).press(buttonAllow) }, google.heading(headingDone)},
	{"too-little", func(w *world, b *tab) {
		b.toConsent(github, w.link(github.request).URL).grantLess().press(buttonAllow)
	}, headingTooLittle},
	{"declined", func(w *world, b *tab) { b.toConfirm(google, w.link(google.request).URL).press(buttonDecline) }, headingDeclined},
	{"wrong-person", func(w *world, b *tab) {
		b.open(w.link(google.request).URL).see(google.connectPage())
		b.press(buttonContinue).signIn("bob")
	}, headingWrongPerson},
	{"expired", func(w *world, b *tab) { b.open(w.oldLink(11*time.Minute, google.request).URL) }, headingExpired},
	{"bad-link", func(w *world, b *tab) { b.open(w.link(google.request).URL + "x") }, headingBadLink},
	{"not-offered", func(w *world, b *tab) { b.open(w.url("/auth/connect?connection=github&scopes=delete_repo")) }, headingBadLink},
	{"no-cookies", func(w *world, b *tab) {
		b.open(w.link(google.request).URL).see(google.connectPage())
		command(b, network.ClearBrowserCookies, cdp.Empty{})
		b.press(buttonContinue)
	}, headingBlocked},
	{"lost", func(w *world, b *tab) { b.open(w.url("/auth/callback?code=x&state=y")) }, headingNoFlow},
	{"provider-refused", func(w *world, b *tab) {
		b.toConsent(google, w.link(google.request).URL)
		w.fault(auth0test.Fault{Path: "/token", Status: new(http.StatusInternalServerError)})
		b.press(buttonAllow)
	}, headingFailed},
	{"fault", func(w *world, b *tab) {
		w.fault(auth0test.Fault{Path: "/oauth/token", Status: new(http.StatusInternalServerError)})
		b.open(w.link(google.request).URL).see(google.connectPage())
		b.press(buttonContinue).signIn("alice")
	}, headingFault},
	{"not-found", func(w *world, b *tab) { b.open(w.url("/auth/nothing")) }, headingNotFound},
	{"accounts-sign-in", func(w *world, b *tab) { b.open(w.url("/auth/accounts")) }, headingSignIn},
	{"accounts-empty", func(w *world, b *tab) { b.toAccounts(w) }, headingAccounts},
	{"accounts", func(w *world, b *tab) {
		w.connect(google, "")
		w.connect(google, "work@example.org")
		w.connect(github, "")
		b.toAccounts(w)
	}, headingAccounts},
	{"disconnect", func(w *world, b *tab) {
		w.connect(google, "")
		b.toDisconnect(w)
	}, google.heading(headingDisconnect)},
	{"disconnect-old-login", func(w *world, b *tab) {
		w.connect(google, "")
		b.haveSession(w, 6*time.Minute).open(w.url("/auth/accounts")).see(signInPage)
		b.press(buttonSignIn).see(accountsPage)
		b.press(linkDisconnect)
	}, google.heading(headingDisconnect)},
	{"disconnected", func(w *world, b *tab) {
		w.connect(google, "")
		b.toDisconnect(w).press(buttonDisconnect)
	}, headingAccounts},
	{"signed-out", func(w *world, b *tab) { b.toAccounts(w).press(buttonSignOut) }, headingSignedOut},
}

func TestEveryPage(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	t.Run("seen", func(t *testing.T) {
		for _, p := range pages {
			p.check(t, dir)
		}
		for _, l := range linkingPages {
			for _, p := range l.pages {
				p.check(t, dir, l.world...)
			}
		}
	})
	t.Run("html-validate", func(t *testing.T) { wantValid(t, dir) })
}

// check looks at a page of such a world on every screen, and keeps it for
// html-validate.
func (p shown) check(t *testing.T, dir string, of ...change) {
	t.Run(p.name, func(t *testing.T) {
		t.Parallel()
		w, b := newWorld(t, of...), newTab(t)
		p.visit(w, b)
		b.see(where{anyPath, p.heading})
		w.savePage(b, dir, p.name)
		b.untouched(w, p.heading).wantGuarded()
		b.wantGood(p.name)
	})
}

// The pages of a person's accounts.
var (
	signInPage   = where{"/auth/accounts", headingSignIn}
	accountsPage = where{"/auth/accounts", headingAccounts}

	disconnectPage = where{"/auth/accounts", google.heading(headingDisconnect)}
)

// toAccounts signs alice in to her accounts.
func (b *tab) toAccounts(w *world) *tab {
	b.Helper()
	b.open(w.url("/auth/accounts")).see(signInPage)
	b.press(buttonSignIn).signIn("alice").see(accountsPage)
	return b
}

// toDisconnect goes to the page that asks whether to disconnect the only account
// there is, and signs in once more if that is wanted.
func (b *tab) toDisconnect(w *world) *tab {
	b.Helper()
	b.toAccounts(w).press(linkDisconnect).see(disconnectPage)
	if b.find(buttonSignInAgain, 0).Count > 0 {
		b.press(buttonSignInAgain).see(disconnectPage)
	}
	return b
}

// grantLess unticks the last permission on the provider's page.
func (b *tab) grantLess() *tab {
	b.Helper()
	eval[bool](b, `() => { [...document.getElementsByName('scope')].at(-1).click(); return true }`)
	return b
}

// haveSession makes the browser one in which alice signed in at Auth0 so long
// ago.
func (b *tab) haveSession(w *world, age time.Duration) *tab {
	b.Helper()
	session := w.oldSession(age)
	command(b, network.SetCookie, network.SetCookieParams{Name: session.Name, Value: session.Value, URL: w.tenant.URL})
	return b
}
