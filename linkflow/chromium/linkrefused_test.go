package chromium

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// What must not be linked.

func TestAnAddressThatNobodyVerifiedLinksNothing(t *testing.T) {
	t.Parallel()
	for user, at := range map[string]string{alice: "the first", aliceGitHub: "the second"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			w, b := newWorld(t, viaManagement, requireVerifiedEmail, unverified(user)), newTab(t)
			link := w.link(github.request)
			b.open(link.URL).see(github.connectPage())
			b.press(buttonContinue).signIn("alice")
			if user != alice {
				b.see(github.addPage())
				b.press(buttonProve).see(github.consent)
				b.press(buttonAllow)
			}
			b.see(where{"/auth/message", headingUnverified})
			w.wantNobodyLinked()
			w.wantConnected()
			w.wantState(link, linkflow.Pending)
		})
	}
}

func TestAnAccountThatIsSomebodysStaysTheirs(t *testing.T) {
	t.Parallel()
	t.Run("known before", func(t *testing.T) {
		t.Parallel()
		w, b := newWorld(t, viaManagement, ofBob), newTab(t)
		b.toSecond(google, w.link(google.request).URL).press(buttonAllow).see(where{"/auth/message", headingTaken})
		w.wantNobodyLinked()
		w.wantIdentities("auth0|bob", "auth0|bob", aliceGoogle)
		b.press(linkGoOn).see(google.addPage())
	})
	t.Run("said by Auth0", func(t *testing.T) {
		t.Parallel()
		w, b := newWorld(t, viaManagement), newTab(t)
		b.toMerge(google, w.link(google.request).URL)
		w.fault(auth0test.Fault{Path: "/api/v2/users/auth0|alice/identities", Status: new(http.StatusConflict), Body: map[string]any{
			"statusCode": 409, "error": "Conflict", "message": "The identity is already linked to a user.",
		}})
		b.press(buttonMerge).see(where{"/auth/confirm", headingTaken})
		w.wantNobodyLinked()
	})
	t.Run("said by the Action", func(t *testing.T) {
		t.Parallel()
		w, b := newWorld(t, viaLinkAccount, ofBob), newTab(t)
		b.toAdd(google, w.link(google.request).URL).toAction(google, false)
		b.press(buttonAllow).see(where{"/auth/message", headingPerhapsTaken})
		w.wantNobodyLinked()
		w.wantIdentities("auth0|bob", "auth0|bob", aliceGoogle)
	})
}

func TestTheSameAccountIsNotLinkedAgain(t *testing.T) {
	t.Parallel()
	for name, via := range map[string]change{"management": viaManagement, "link_account": viaLinkAccount} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, b := newWorld(t, via, linkedToGitHub), newTab(t)
			link := w.link(github.request)
			b.open(link.URL).see(github.connectPage())
			b.press(buttonContinue).signIn("alice").see(github.linkedAlreadyPage())
			b.reload().see(github.linkedAlreadyPage())
			b.press(buttonContinue).see(github.confirmPage()) // they are signed in
			b.press(buttonConnect).see(github.consent)
			b.press(buttonAllow).see(github.donePage())
			w.wantIdentities(alice, alice, aliceGitHub)
			w.wantConnected("github")
			w.wantState(link, linkflow.Completed)
			if n := w.asked("POST", "/api/v2/users/"); n != 0 {
				t.Errorf("the tenant was asked to link %d times", n)
			}
		})
	}
	t.Run("chosen in the second sign-in", func(t *testing.T) {
		t.Parallel()
		w, b := newWorld(t, viaManagement, linkedToGitHub), newTab(t)
		b.open(w.url("/auth/link?connection=github")).see(github.linkPage())
		b.press(buttonContinue).signIn("alice").see(github.addPage())
		b.press(buttonProve).see(github.consent)
		b.press(buttonAllow).see(github.linkedAlreadyPage())
		w.wantIdentities(alice, alice, aliceGitHub)
	})
}

func TestANetworkThatChangesEndsItWherePinned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		via   change
		until func(b *tab, link string)
		next  func(b *tab)
		path  string
	}{
		"in the first sign-in": {
			viaManagement,
			func(b *tab, link string) {
				b.open(link).see(google.connectPage())
				b.press(buttonContinue).see(logIn)
			},
			func(b *tab) { b.signIn("alice") }, "/auth/message",
		},
		"after the first sign-in": {
			viaManagement,
			func(b *tab, link string) { b.toAdd(google, link) },
			func(b *tab) { b.press(buttonProve) }, "/auth/confirm",
		},
		"in the second sign-in": {
			viaManagement,
			func(b *tab, link string) { b.toSecond(google, link) },
			func(b *tab) { b.press(buttonAllow) }, "/auth/message",
		},
		"before the two are made one": {
			viaManagement,
			func(b *tab, link string) { b.toMerge(google, link) },
			func(b *tab) { b.press(buttonMerge) }, "/auth/confirm",
		},
		"before the Action": {
			viaLinkAccount,
			func(b *tab, link string) { b.toAdd(google, link) },
			func(b *tab) { b.press(buttonProve) }, "/auth/confirm",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, b := newWorld(t, c.via, pinIP), newTab(t)
			link := w.link(google.request)
			c.until(b.from("192.0.2.1"), link.URL)
			b.from("192.0.2.2")
			c.next(b)
			b.see(where{c.path, headingOtherAddress})
			w.wantNobodyLinked()
			w.wantState(link, linkflow.Pending)
			w.wantConnected()
		})
	}
	t.Run("before two are separated", func(t *testing.T) {
		t.Parallel()
		w, b := newWorld(t, viaManagement, pinIP, linkedToGitHub), newTab(t)
		b.from("192.0.2.1").toIdentities(w).press(linkSeparate).see(github.unlinkPage())
		b.from("192.0.2.2").press(buttonSeparate).see(where{"/auth/unlink", headingOtherAddress})
		w.wantIdentities(alice, alice, aliceGitHub)
	})
}

func TestANetworkMayChangeWhereItIsNotPinned(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t, viaManagement), newTab(t)
	b.from("192.0.2.1").toMerge(google, w.link(google.request).URL)
	b.from("192.0.2.2").press(buttonMerge).see(google.linkedPage())
	w.wantIdentities(alice, alice, aliceGoogle)
}

// Whoever has the browser asks Auth0 for another sign-in than we did.
func TestASecondSignInThatIsNotTheOneAskedForLinksNothing(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t, viaManagement), newTab(t)
	b.toAdd(google, w.link(google.request).URL)
	b.detour(w, func() { b.press(buttonProve) }, func(q url.Values) { q.Set("connection", "github") })
	b.see(github.consent)
	b.press(buttonAllow).see(where{"/auth/message", headingOtherKind})
	w.wantNobodyLinked()
	w.wantIdentities(aliceGitHub, aliceGitHub)
}

// The link is made for alice: bob, who got it, makes nothing his or hers.
func TestALinkThatLinksIsOfNoUseToAnotherPerson(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t, viaManagement), newTab(t)
	link := w.link(google.request)
	b.open(link.URL).see(google.connectPage())
	v := b.press(buttonContinue).signIn("bob").see(wrongPersonPage)
	if strings.Contains(v.Text, "alice") || strings.Contains(v.Text, "bob") {
		t.Errorf("the page names somebody:\n%s", v.Text)
	}
	w.wantNobodyLinked()
	w.wantIdentities("auth0|bob", "auth0|bob")
	b.press(buttonOther).signIn("alice").see(google.addPage())
}
