package chromium

import (
	"strings"
	"testing"
	"time"
)

// Separating identities, and linking those that somebody chooses.

// The pages of a person's identities.
var (
	identitiesPage = where{"/auth/unlink", headingIdentities}
	offeredPage    = where{"/auth/confirm", headingOffered}
	linkAnyPage    = where{"/auth/link", headingAddAny}
)

func (s service) linkPage() where   { return where{"/auth/link", s.heading(headingAdd)} }
func (s service) unlinkPage() where { return where{"/auth/unlink", s.heading(headingUnlink)} }

// toIdentities signs alice in to her identities.
func (b *tab) toIdentities(w *world) *tab {
	b.Helper()
	b.open(w.url("/auth/unlink")).see(identitiesPage)
	b.press(buttonSignIn).signIn("alice").says(identitiesPage, "alice@example.com")
	return b
}

// toOffered signs alice in to link whatever there is.
func (b *tab) toOffered(w *world) *tab {
	b.Helper()
	b.open(w.url("/auth/link")).says(linkAnyPage, wordsTwoSignIns)
	b.press(buttonContinue).signIn("alice").see(offeredPage)
	return b
}

func TestASuggestionIsTakenUp(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t, viaManagement, suggesting), newTab(t)
	v := b.toOffered(w).see(offeredPage)
	for _, text := range []string{"2002", "plan", "language"} {
		if strings.Contains(v.Text, text) {
			t.Errorf("%q is told before its owner has signed in:\n%s", text, v.Text)
		}
	}
	b.choose("github").press(buttonProve).see(github.consent)
	b.press(buttonAllow).says(mergePage, alice, aliceGitHub, "app_metadata.plan", "user_metadata.language")
	w.wantNobodyLinked()
	b.press(buttonMerge).see(github.linkedPage())
	w.wantIdentities(alice, alice, aliceGitHub)
	w.wantIdentities(aliceGitHub)
	b.press(linkIdentities).see(identitiesPage)
}

func TestASuggestionIsTakenUpByTheAction(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t, viaLinkAccount, suggesting), newTab(t)
	b.toOffered(w).says(offeredPage, wordsAtOnce)
	b.choose("github").press(buttonProve).see(github.consent)
	w.wantNobodyLinked()
	b.press(buttonAllow).see(github.linkedPage())
	w.wantIdentities(alice, alice, aliceGitHub)
	w.wantIdentities(aliceGitHub)
}

func TestASuggestionIsDeclinedOrSomebodyElses(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t, viaManagement, suggesting), newTab(t)
	b.toOffered(w).press(buttonDecline).see(declinedPage)
	w.wantNobodyLinked()

	b.toOffered(w).press(buttonProve) // nothing is chosen yet, so the browser stays
	b.choose("github").press(buttonProve).see(github.consent)
	b.chooseLast().press(buttonAllow).see(where{"/auth/message", headingNotTheOffered})
	w.wantNobodyLinked()
	b.press(linkGoOn).see(offeredPage)
}

// chooseLast picks the last of the page's list: bob's account at a provider.
func (b *tab) chooseLast() *tab {
	b.Helper()
	eval[bool](b, `() => { const s = document.querySelector('select'); s.selectedIndex = s.options.length - 1; return true }`)
	return b
}

func TestNothingIsSuggestedToWhomNothingIsKnownOf(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t, viaManagement), newTab(t)
	b.open(w.url("/auth/link")).see(linkAnyPage)
	b.press(buttonContinue).signIn("alice").see(where{"/auth/confirm", headingNothingToAdd})
	w.wantNobodyLinked()
}

func TestAPersonLinksByTheirOwnWillAndGoesBackToTheApplication(t *testing.T) {
	forEachVia(t, viaManagement, func(w *world, b *tab, s service) {
		b.open(w.url("/auth/link?connection=" + s.request.Connection + "&returnTo=" + w.app.URL + "/close")).see(s.linkPage())
		b.press(buttonContinue).signIn("alice").see(s.addPage())
		b.press(buttonProve).see(s.consent)
		b.press(buttonAllow).see(mergePage)
		b.press(buttonMerge).see(where{"/close", "Back at the app"})
		w.wantIdentities(alice, alice, s.identity())
	})
}

func TestAPersonSeparatesWhatWasOne(t *testing.T) {
	for name, via := range map[string]change{"management": viaManagement, "link_account": viaLinkAccount} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, b := newWorld(t, via, linkedToGitHub), newTab(t)
			b.toIdentities(w)
			b.reload().see(identitiesPage)
			b.press(linkSeparate).says(github.unlinkPage(), alice, aliceGitHub)
			b.reload().see(github.unlinkPage())
			b.press(linkKeep).see(identitiesPage)
			w.wantIdentities(alice, alice, aliceGitHub)

			b.press(linkSeparate).see(github.unlinkPage())
			b.press(buttonSeparate)
			if name == "link_account" { // the Action wants them to sign in again
				b.see(logIn)
				w.wantIdentities(alice, alice, aliceGitHub)
				b.signIn("alice")
			}
			b.says(identitiesPage, wordsSeparated, wordsNoOtherWay)
			w.wantIdentities(alice, alice)
			w.wantIdentities(aliceGitHub, aliceGitHub)
			if n := b.find(linkSeparate, 0).Count; n != 0 {
				t.Errorf("the last identity can be separated %d times", n)
			}
			v := b.reload().says(identitiesPage, wordsNoOtherWay)
			if strings.Contains(v.Text, wordsSeparated) {
				t.Error("what was done is said twice")
			}
		})
	}
}

// The page that asks is open in two tabs.
func TestWhatIsSeparatedIsNotSeparatedAgain(t *testing.T) {
	t.Parallel()
	w, first := newWorld(t, viaManagement, linkedToGitHub), newTab(t)
	first.toIdentities(w).press(linkSeparate).see(github.unlinkPage())
	v, _ := first.look()
	second := first.another()
	second.open(v.Origin + v.Path + v.Query).see(github.unlinkPage())
	first.press(buttonSeparate).says(identitiesPage, wordsSeparated)
	second.press(buttonSeparate).says(identitiesPage, wordsNoOtherWay)
	w.wantIdentities(alice, alice)
	if n := w.asked("DELETE", "/api/v2/users/"); n != 1 {
		t.Errorf("the tenant was asked to unlink %d times", n)
	}
}

// Whoever walks up to a browser in which somebody was signed in separates nothing.
func TestSeparatingWantsASignInOfNow(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t, viaManagement, linkedToGitHub), newTab(t)
	b.haveSession(w, time.Minute).open(w.url("/auth/unlink")).see(identitiesPage)
	b.press(buttonSignIn).see(logIn)
	w.wantIdentities(alice, alice, aliceGitHub)
}
