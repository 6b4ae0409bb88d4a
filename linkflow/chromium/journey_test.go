package chromium

import (
	"fmt"
	"testing"

	"github.com/tokenvault/caddy-token-vault/linkflow"
)

// The pages on the way, in order.
var logIn = where{"/u/login", headingLogIn}

func (s service) heading(format string) string { return fmt.Sprintf(format, s.name) }

func (s service) connectPage() where { return where{"/auth/connect", s.heading(headingConnect)} }
func (s service) confirmPage() where { return where{"/auth/confirm", s.heading(headingConfirm)} }
func (s service) donePage() where    { return where{"/auth/done", s.heading(headingDone)} }

// signIn fills in Auth0's form.
func (b *tab) signIn(user string) *tab {
	b.Helper()
	b.see(logIn)
	return b.fill("username", user+"@example.com").fill("password", user+"-password").press(buttonLogIn)
}

// toConfirm goes from a link to the page where alice decides.
func (b *tab) toConfirm(s service, link string) *tab {
	b.Helper()
	b.open(link).see(s.connectPage())
	b.press(buttonContinue).signIn("alice").see(s.confirmPage())
	return b
}

// toConsent goes on to the provider.
func (b *tab) toConsent(s service, link string) *tab {
	b.Helper()
	b.toConfirm(s, link).press(buttonConnect).see(s.consent)
	return b
}

// forEach runs a test for each provider, in a world and with a browser of its
// own.
func forEach(t *testing.T, test func(w *world, b *tab, s service)) {
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) { test(newWorld(t), newTab(t), s) })
	}
}

func TestAPersonConnectsAnAccount(t *testing.T) {
	forEach(t, func(w *world, b *tab, s service) {
		link := w.link(s.request)
		b.open(link.URL).see(s.connectPage())
		b.press(buttonContinue).signIn("alice").says(s.confirmPage(), wordsSignedInAs, "alice@example.com", "Calendar Assistant")
		w.wantState(link, linkflow.Pending)
		b.press(buttonConnect).see(s.consent)
		b.press(buttonAllow).see(s.donePage())
		w.wantState(link, linkflow.Completed)
		w.wantCompleted(1)
	})
}

func TestDeclining(t *testing.T) {
	t.Run("at our page", func(t *testing.T) {
		forEach(t, func(w *world, b *tab, s service) {
			link := w.link(s.request)
			b.toConfirm(s, link.URL).press(buttonDecline).see(where{"/auth/confirm", headingDeclined})
			w.wantState(link, linkflow.Declined)
			w.wantNothingBegun()
		})
	})
	t.Run("at the provider", func(t *testing.T) {
		forEach(t, func(w *world, b *tab, s service) {
			link := w.link(s.request)
			b.toConsent(s, link.URL).press(buttonCancel).see(where{"/auth/callback", headingDeclined})
			w.wantState(link, linkflow.Declined)
			w.wantCompleted(0)
		})
	})
}
