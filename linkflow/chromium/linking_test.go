package chromium

import (
	"net/http"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/tokenvault/caddy-token-vault/linkflow"
)

// Linking through the Management API: both sign in, the person sees both, and
// says yes.

// The pages on the way. Those on which the person decides are at one URL, as the
// flow goes on.
func (s service) addPage() where    { return where{"/auth/confirm", s.heading(headingAdd)} }
func (s service) linkedPage() where { return where{"/auth/confirm", s.heading(headingLinked)} }
func (s service) linkedAlreadyPage() where {
	return where{"/auth/confirm", s.heading(headingLinkedAlready)}
}

var mergePage = where{"/auth/confirm", headingMerge}

// toAdd goes from a link to the page that follows the first sign-in.
func (b *tab) toAdd(s service, link string) *tab {
	b.Helper()
	b.open(link).says(s.connectPage(), wordsTwoSignIns)
	b.press(buttonContinue).signIn("alice").see(s.addPage())
	return b
}

// toSecond goes on to the provider.
func (b *tab) toSecond(s service, link string) *tab {
	b.Helper()
	b.toAdd(s, link).press(buttonProve).see(s.consent)
	return b
}

// toMerge goes on to the page that shows both.
func (b *tab) toMerge(s service, link string) *tab {
	b.Helper()
	b.toSecond(s, link).press(buttonAllow).see(mergePage)
	return b
}

// toLinked goes on until it is done.
func (b *tab) toLinked(s service, link string) *tab {
	b.Helper()
	b.toMerge(s, link).press(buttonMerge).see(s.linkedPage())
	return b
}

// choose picks something from the page's list.
func (b *tab) choose(value string) *tab {
	b.Helper()
	if got := eval[string](b, `value => { const s = document.querySelector('select'); s.value = value; return s.value }`, value); got != value {
		b.Fatalf("there is no %q to choose", value)
	}
	return b
}

// forEachVia is forEach in worlds that differ.
func forEachVia(t *testing.T, via change, test func(w *world, b *tab, s service)) {
	t.Parallel()
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			test(newWorld(t, via), newTab(t), s)
		})
	}
}

func TestAPersonLinksAndConnectsAndTheAgentGoesOn(t *testing.T) {
	forEachVia(t, viaManagement, func(w *world, b *tab, s service) {
		status, link := w.call(s)
		if status != http.StatusUnauthorized {
			w.Fatalf("the agent's call came to %d", status)
		}
		b.toAdd(s, link.URL).says(s.addPage(), wordsSignedInAs, "alice@example.com", "Calendar Assistant")
		b.press(buttonProve).see(s.consent)
		b.press(buttonAllow).says(mergePage, alice, s.identity(), wordsNothingLost)
		w.wantNobodyLinked()
		b.press(buttonMerge).see(s.linkedPage())
		w.wantIdentities(alice, alice, s.identity())
		w.wantIdentities(s.identity()) // is no user any more
		w.wantState(link, linkflow.Pending)
		w.wantConnected()

		b.press(buttonContinue).signIn("alice").see(s.confirmPage())
		b.press(buttonConnect).see(s.consent)
		b.press(buttonAllow).see(s.donePage())
		w.wantState(link, linkflow.Completed)
		w.wantConnected(s.request.Connection)
		if status, _ := w.call(s); status != http.StatusOK {
			w.Errorf("the agent's next call came to %d", status)
		}
	})
}

func TestLinkingOnAPhoneByKeyboardAlone(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t, viaManagement), newTab(t)
	b.use(screen{"light", 360, 740})
	_, link := w.call(google)
	password := func() {
		b.see(logIn)
		b.fill("username", "alice@example.com").fill("password", "alice-password").key(kb.Enter)
	}
	b.open(link.URL).see(google.connectPage())
	b.wantNoScrolling(360)
	b.enter(buttonContinue)
	password()
	b.see(google.addPage())
	b.enter(buttonProve).see(google.consent)
	b.enter(buttonAllow).see(mergePage)
	b.wantNoScrolling(360)
	b.enter(buttonMerge).see(google.linkedPage())
	w.wantIdentities(alice, alice, aliceGoogle)
	b.enter(buttonContinue)
	password()
	b.see(google.confirmPage())
	b.enter(buttonConnect).see(google.consent)
	b.enter(buttonAllow).see(google.donePage())
	w.wantConnected("google-oauth2")
	if status, _ := w.call(google); status != http.StatusOK {
		t.Errorf("the agent's next call came to %d", status)
	}
	b.open(w.url("/auth/unlink")).see(where{"/auth/unlink", headingIdentities})
	b.enter(buttonSignIn)
	password()
	b.see(identitiesPage)
	b.enter(linkSeparate).see(google.unlinkPage())
	b.enter(buttonSeparate).says(identitiesPage, wordsSeparated)
	w.wantIdentities(alice, alice)
}

// A page that comes up under somebody's finger must not be what they press.
func TestNothingIsMadeOneAtOnce(t *testing.T) {
	w, b := newWorld(t, viaManagement), newTab(t)
	b.toMerge(google, w.link(google.request).URL)
	c := b.find(buttonMerge, 0)
	b.clickAt(c.X, c.Y)
	b.key(kb.Enter)
	if age := eval[float64](b, `() => performance.now()`); age > 900 {
		t.Fatalf("pressed %v ms after the page began, too late to tell", age)
	}
	time.Sleep(300 * time.Millisecond)
	b.left = 0
	b.see(mergePage)
	w.wantNobodyLinked()
}

func TestAPersonRefusesToLinkAtEachStep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		refuse func(b *tab, s service, link string)
		linked bool
	}{
		"after the first sign-in": {refuse: func(b *tab, s service, link string) {
			b.toAdd(s, link).press(buttonDecline).see(declinedPage)
		}},
		"at the provider, and then at our page": {refuse: func(b *tab, s service, link string) {
			b.toSecond(s, link).press(buttonCancel).see(where{"/auth/message", headingSecondSignIn})
			b.press(linkGoOn).see(s.addPage())
			b.press(buttonDecline).see(declinedPage)
		}},
		"before the two are made one": {refuse: func(b *tab, s service, link string) {
			b.toMerge(s, link).press(buttonDecline).see(declinedPage)
		}},
		"to connect what is linked": {linked: true, refuse: func(b *tab, s service, link string) {
			b.toLinked(s, link).press(buttonContinue).signIn("alice").see(s.confirmPage())
			b.press(buttonDecline).see(declinedPage)
		}},
		"to consent to what is linked": {linked: true, refuse: func(b *tab, s service, link string) {
			b.toLinked(s, link).press(buttonContinue).signIn("alice").see(s.confirmPage())
			b.press(buttonConnect).see(s.consent)
			b.press(buttonCancel).see(declinedPage)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, b := newWorld(t, viaManagement), newTab(t)
			link := w.link(github.request)
			c.refuse(b, github, link.URL)
			w.wantState(link, linkflow.Declined)
			w.wantConnected()
			if c.linked {
				w.wantIdentities(alice, alice, aliceGitHub)
			} else {
				w.wantNobodyLinked()
			}
			b.reload().see(declinedPage)
			if status, _ := w.call(github); status != http.StatusUnauthorized {
				t.Errorf("the agent's next call came to %d", status)
			}
		})
	}
}

func TestGoingBackAndReloadingWhileLinking(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t, viaManagement), newTab(t)
	link := w.link(google.request)
	b.open(link.URL).see(google.connectPage())
	b.reload().see(google.connectPage())
	b.press(buttonContinue).see(logIn)
	b.back().see(google.connectPage())
	b.press(buttonContinue).signIn("alice").see(google.addPage())
	b.reload().says(google.addPage(), wordsSignedInAs)
	w.wantLostOnce(b)

	// From the provider's page to ours, and there once more.
	b.press(buttonProve).see(google.consent)
	b.back().see(google.addPage())
	b.press(buttonProve).see(google.consent)
	b.press(buttonAllow).see(mergePage)
	b.reload().says(mergePage, aliceGoogle)
	w.wantLostOnce(b)
	w.wantNobodyLinked()

	// From the page that shows both to the provider's, and forward again.
	b.back()
	b.forward().see(mergePage)
	w.wantNobodyLinked()
	b.press(buttonMerge).see(google.linkedPage())
	b.reload().see(google.linkedPage())
	w.wantIdentities(alice, alice, aliceGoogle)
	w.wantState(link, linkflow.Pending)
	if n := w.asked("POST", "/api/v2/users/"); n != 1 {
		t.Errorf("the tenant was asked to link %d times", n)
	}
	b.press(buttonContinue).signIn("alice").see(google.confirmPage())
	b.press(buttonConnect).see(google.consent)
	b.press(buttonAllow).see(google.donePage())
	w.wantConnected("google-oauth2")
}

// wantLostOnce opens the last sign-in's callback again, as a browser does that
// restores its tabs, and goes back to where the person was.
func (w *world) wantLostOnce(b *tab) {
	w.Helper()
	at, _ := b.look()
	w.wantSpentOnce(b, "/auth/callback?code=")
	b.press(linkGoOn).see(where{at.Path, at.Heading})
}

// Two pages that say what will be: the one that was looked at first says yes to
// nothing else.
func TestWhatChangedMeanwhileIsShownAgain(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t, viaManagement), newTab(t)
	b.toMerge(google, w.link(google.request).URL).says(mergePage, wordsNothingLost)
	w.manage(http.MethodPatch, "/users/"+aliceGoogle, `{"app_metadata": {"plan": "gold"}}`)
	b.press(buttonMerge).see(where{"/auth/confirm", headingChanged})
	w.wantNobodyLinked()
	b.press(linkGoOn).says(mergePage, "app_metadata.plan")
	b.press(buttonMerge).see(google.linkedPage())
	w.wantIdentities(alice, alice, aliceGoogle)
}
