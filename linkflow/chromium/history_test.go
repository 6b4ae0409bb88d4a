package chromium

import (
	"testing"

	"github.com/tokenvault/caddy-token-vault/linkflow"
)

func TestGoingBack(t *testing.T) {
	forEach(t, func(w *world, b *tab, s service) {
		link := w.link(s.request)

		// From Auth0's page to ours, and on as if nothing had been.
		b.open(link.URL).see(s.connectPage())
		b.press(buttonContinue).see(logIn)
		b.back().see(s.connectPage())
		b.press(buttonContinue).signIn("alice").see(s.confirmPage())

		// From our second page to Auth0's, whose login is over, and forward again.
		b.back()
		b.see(where{"/u/login", headingAtTenant})
		b.forward().see(s.confirmPage())

		// From the provider's page to ours, and Connect once more.
		b.press(buttonConnect).see(s.consent)
		b.back().see(s.confirmPage())
		b.press(buttonConnect).see(s.consent)
		b.press(buttonAllow).see(s.donePage())
		w.wantState(link, linkflow.Completed)

		// From the end to the page where all was decided, which leads to the end.
		b.walk(-2).see(s.donePage())
		w.wantState(link, linkflow.Completed)
		w.wantCompleted(1)
	})
}

func TestReloading(t *testing.T) {
	forEach(t, func(w *world, b *tab, s service) {
		link := w.link(s.request)
		b.open(link.URL).see(s.connectPage())
		b.reload().see(s.connectPage())
		b.press(buttonContinue).signIn("alice").see(s.confirmPage())
		b.reload().says(s.confirmPage(), wordsSignedInAs)
		w.wantSpentOnce(b, "/auth/callback?code=")
		b.open(w.url(w.seen.last("/auth/confirm?"))).see(s.confirmPage())
		b.press(buttonConnect).see(s.consent)
		b.press(buttonAllow).see(s.donePage())
		b.reload().see(s.donePage())
		w.wantSpentOnce(b, "/auth/callback?connect_code=")
		w.wantState(link, linkflow.Completed)
		w.wantCompleted(1)
	})
}

// wantSpentOnce opens the last callback of that kind again, as a browser does
// that restores its tabs, and checks that nothing is redeemed again.
func (w *world) wantSpentOnce(b *tab, path string) {
	w.Helper()
	redeemed := w.asked("POST", "/")
	b.open(w.url(w.seen.last(path))).see(where{"/auth/message", headingNoFlow})
	if n := w.asked("POST", "/"); n != redeemed {
		w.Errorf("the tenant was asked %d times more", n-redeemed)
	}
}
