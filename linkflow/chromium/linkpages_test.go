package chromium

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// linkingPages are the pages about linking identities, by the worlds that show
// them.
var linkingPages = []struct {
	world []change
	pages []shown
}{
	{[]change{viaManagement}, []shown{
		{"linking-connect", func(w *world, b *tab) { b.open(w.link(google.request).URL) }, google.heading(headingConnect)},
		{"linking-link", func(w *world, b *tab) { b.open(w.url("/auth/link?connection=github")) }, github.heading(headingAdd)},
		{"linking-link-any", func(w *world, b *tab) { b.open(w.url("/auth/link")) }, headingAddAny},
		{"linking-add", func(w *world, b *tab) { b.toAdd(google, w.link(google.request).URL) }, google.heading(headingAdd)},
		{"linking-add-own", func(w *world, b *tab) {
			b.open(w.url("/auth/link?connection=github&returnTo=" + w.app.URL + "/close")).see(github.linkPage())
			b.press(buttonContinue).signIn("alice")
		}, github.heading(headingAdd)},
		{"linking-nothing-to-add", func(w *world, b *tab) {
			b.open(w.url("/auth/link")).see(linkAnyPage)
			b.press(buttonContinue).signIn("alice")
		}, headingNothingToAdd},
		{"linking-second-sign-in", func(w *world, b *tab) { b.toSecond(google, w.link(google.request).URL).press(buttonCancel) }, headingSecondSignIn},
		{"linking-other-kind", func(w *world, b *tab) {
			b.toAdd(google, w.link(google.request).URL)
			b.detour(w, func() { b.press(buttonProve) }, func(q url.Values) { q.Set("connection", "github") }).see(github.consent)
			b.press(buttonAllow)
		}, headingOtherKind},
		{"linking-not-fresh", func(w *world, b *tab) {
			b.open(w.link(google.request).URL).see(google.connectPage())
			b.detour(w, func() { b.press(buttonContinue) }, func(q url.Values) { q.Del("max_age") }).signIn("alice")
		}, headingNotFresh},
		{"linking-merge", func(w *world, b *tab) { b.toMerge(google, w.link(google.request).URL) }, headingMerge},
		{"linking-changed", func(w *world, b *tab) {
			b.toMerge(google, w.link(google.request).URL)
			w.manage(http.MethodPatch, "/users/"+aliceGoogle, `{"app_metadata": {"plan": "gold"}}`)
			b.press(buttonMerge)
		}, headingChanged},
		{"linking-not-linked", func(w *world, b *tab) {
			b.toMerge(google, w.link(google.request).URL)
			w.fault(auth0test.Fault{Path: "/api/v2/users/auth0|alice/identities", Status: new(http.StatusForbidden)})
			b.press(buttonMerge)
		}, headingNotMadeOne},
		{"linking-unclear", func(w *world, b *tab) { b.toUnclear(w) }, headingUnclear},
		{"linking-lost", func(w *world, b *tab) {
			b.toMerge(google, w.link(google.request).URL)
			b.open(w.url(w.seen.last("/auth/callback?code=")))
		}, headingNoFlow},
		{"linking-linked", func(w *world, b *tab) { b.toLinked(google, w.link(google.request).URL) }, google.heading(headingLinked)},
		{"linking-declined", func(w *world, b *tab) { b.toMerge(google, w.link(google.request).URL).press(buttonDecline) }, headingDeclined},
		{"linking-wrong-person", func(w *world, b *tab) {
			b.open(w.link(google.request).URL).see(google.connectPage())
			b.press(buttonContinue).signIn("bob")
		}, headingWrongPerson},
		{"identities-sign-in", func(w *world, b *tab) { b.open(w.url("/auth/unlink")) }, headingIdentities},
		{"identities-one", func(w *world, b *tab) { b.toIdentities(w) }, headingIdentities},
	}},
	{[]change{viaManagement, linkedToGitHub}, []shown{
		{"linking-already", func(w *world, b *tab) {
			b.open(w.link(github.request).URL).see(github.connectPage())
			b.press(buttonContinue).signIn("alice")
		}, github.heading(headingLinkedAlready)},
		{"identities", func(w *world, b *tab) { b.toIdentities(w) }, headingIdentities},
		{"unlink", func(w *world, b *tab) { b.toIdentities(w).press(linkSeparate) }, github.heading(headingUnlink)},
		{"not-unlinked", func(w *world, b *tab) {
			b.toIdentities(w).press(linkSeparate).see(github.unlinkPage())
			w.fault(auth0test.Fault{Path: "/api/v2/users/auth0|alice/identities/*", Status: new(http.StatusForbidden)})
			b.press(buttonSeparate)
		}, headingStillOne},
		{"unlinked", func(w *world, b *tab) {
			b.toIdentities(w).press(linkSeparate).see(github.unlinkPage())
			b.press(buttonSeparate)
		}, headingIdentities},
	}},
	{[]change{viaManagement, suggesting}, []shown{
		{"linking-offered", func(w *world, b *tab) { b.toOffered(w) }, headingOffered},
		{"linking-merge-lost", func(w *world, b *tab) {
			b.toOffered(w).choose("github").press(buttonProve).see(github.consent)
			b.press(buttonAllow)
		}, headingMerge},
		{"linking-not-the-offered", func(w *world, b *tab) {
			b.toOffered(w).choose("github").press(buttonProve).see(github.consent)
			b.chooseLast().press(buttonAllow)
		}, headingNotTheOffered},
	}},
	{[]change{viaManagement, ofBob}, []shown{
		{"linking-taken", func(w *world, b *tab) { b.toSecond(google, w.link(google.request).URL).press(buttonAllow) }, headingTaken},
	}},
	{[]change{viaManagement, requireVerifiedEmail, unverified(aliceGoogle)}, []shown{
		{"linking-unverified", func(w *world, b *tab) { b.toSecond(google, w.link(google.request).URL).press(buttonAllow) }, headingUnverified},
	}},
	{[]change{viaManagement, pinIP}, []shown{
		{"linking-other-address", func(w *world, b *tab) {
			b.from("192.0.2.1").toAdd(google, w.link(google.request).URL).from("192.0.2.2").press(buttonProve)
		}, headingOtherAddress},
	}},
	{[]change{viaLinkAccount}, []shown{
		{"action-add", func(w *world, b *tab) { b.toAdd(google, w.link(google.request).URL) }, google.heading(headingAdd)},
		{"action-R1", func(w *world, b *tab) {
			b.toAdd(google, w.link(google.request).URL)
			b.detour(w, func() { b.press(buttonProve) }, func(q url.Values) { q.Del("id_token_hint") })
		}, headingNotFresh},
		{"action-R5", func(w *world, b *tab) {
			b.toAdd(google, w.link(google.request).URL).toAction(google, false).press(buttonCancel)
		}, headingSecondSignIn},
		{"action-unchecked", func(w *world, b *tab) {
			for range 2 { // before the Action and after it
				w.fault(auth0test.Fault{Path: "/api/v2/users/auth0|alice", Status: new(http.StatusForbidden), Body: map[string]any{
					"statusCode": 403, "error": "Forbidden", "message": "Insufficient scope", "errorCode": "insufficient_scope",
				}})
			}
			b.toAdd(google, w.link(google.request).URL).toAction(google, false).press(buttonAllow)
		}, google.heading(headingUnchecked)},
	}},
	{[]change{viaLinkAccount, suggesting}, []shown{
		{"action-offered", func(w *world, b *tab) { b.toOffered(w) }, headingOffered},
	}},
	{[]change{viaLinkAccount, secret("ENFORCE_MFA", "yes"), enrolled}, []shown{
		{"action-R2", func(w *world, b *tab) { b.toAdd(google, w.link(google.request).URL).press(buttonProve) }, headingFactor},
	}},
	{[]change{viaLinkAccount, secret("ENFORCE_EMAIL_VERIFICATION", "yes"), unverified(alice)}, []shown{
		{"action-R3", func(w *world, b *tab) { b.toAdd(google, w.link(google.request).URL).press(buttonProve) }, headingUnverified},
	}},
	{[]change{viaLinkAccount, secret("ACTION_SECRET", "")}, []shown{
		{"action-R4", func(w *world, b *tab) { b.toAdd(google, w.link(google.request).URL).press(buttonProve) }, headingNotMadeOne},
	}},
	{[]change{viaLinkAccount, withoutGrant}, []shown{
		{"action-R6", func(w *world, b *tab) {
			b.toAdd(google, w.link(google.request).URL).toAction(google, false).press(buttonAllow)
		}, headingNotMadeOne},
	}},
	{[]change{viaLinkAccount, ofBob}, []shown{
		{"action-R7", func(w *world, b *tab) {
			b.toAdd(google, w.link(google.request).URL).toAction(google, false).press(buttonAllow)
		}, headingPerhapsTaken},
	}},
	{[]change{viaLinkAccount, secret("ALLOWED_CLIENT_IDS", "another")}, []shown{
		{"action-not-allowed", func(w *world, b *tab) { b.toAdd(google, w.link(google.request).URL).press(buttonProve) }, headingNotMadeOne},
	}},
	{[]change{viaLinkAccount, linkedToGitHub}, []shown{
		{"action-nothing-gained", func(w *world, b *tab) {
			b.open(w.url("/auth/link?connection=github")).see(github.linkPage())
			b.press(buttonContinue).signIn("alice").see(github.addPage())
			b.toAction(github, false).press(buttonAllow)
		}, headingNothingGained},
	}},
	{[]change{viaLinkAccount, pushedRequests}, []shown{
		{"action-other-linked", func(w *world, b *tab) {
			b.toAdd(google, w.link(google.request).URL).press(buttonProve).see(logIn)
			b.press("Continue with GitHub").see(github.consent)
			b.press(buttonAllow)
		}, headingOtherLinked},
	}},
}

// secret gives the account-linking Action a secret, or takes it away.
func secret(name, value string) change {
	return func(seeds *auth0test.Config, _ *linkflow.Config) {
		seeds.Actions[0].Secrets[name] = value
		if value == "" {
			delete(seeds.Actions[0].Secrets, name)
		}
	}
}

// enrolled gives alice a second factor.
func enrolled(seeds *auth0test.Config, _ *linkflow.Config) {
	seeds.Users[0].Authenticators = []auth0test.Authenticator{{Type: "otp"}}
}

// withoutGrant keeps the Action from linking.
func withoutGrant(seeds *auth0test.Config, _ *linkflow.Config) {
	seeds.ClientGrants = slices.DeleteFunc(seeds.ClientGrants, func(g auth0test.ClientGrant) bool { return g.ClientID == "account-linking" })
}

// toUnclear goes as far as a linking whose end nobody knows: the tenant's answer is
// slow, and meanwhile it stops answering.
func (b *tab) toUnclear(w *world) {
	b.Helper()
	b.toMerge(google, w.link(google.request).URL)
	read := func() (n int) {
		for _, r := range w.tenant.Requests() {
			if r.Method == http.MethodGet && strings.HasPrefix(r.Path, "/api/v2/users/google-oauth2") {
				n++
			}
		}
		return n
	}
	before := read()
	w.fault(auth0test.Fault{Path: "/api/v2/users/auth0|alice/identities", DelayMS: 1000})
	b.press(buttonMerge)
	w.eventually("both are read once more", func() bool { return read() > before })
	w.fault(auth0test.Fault{Path: "/api/v2/users/auth0|alice", Status: new(http.StatusServiceUnavailable)})
}
