package chromium

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/tokenvault/caddy-token-vault/linkflow"
)

// blockCookies are the preferences of a profile that takes no cookies.
const blockCookies = `{"profile": {"default_content_setting_values": {"cookies": 2}}}`

func TestCookiesBlocked(t *testing.T) {
	t.Parallel()
	profile := t.TempDir()
	if err := os.MkdirAll(filepath.Join(profile, "Default"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(profile, "Default", "Preferences"), []byte(blockCookies), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop, err := startChromium(chromedp.UserDataDir(profile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w, b := newWorld(t), tabOf(t, ctx)
			link := w.link(s.request)
			b.open(link.URL).see(s.connectPage())
			b.press(buttonContinue).says(where{"/auth/connect", headingBlocked}, wordsAllowCookies)
			w.wantState(link, linkflow.Pending)
			if got := w.events.kinds(); len(got) != 1 || got[0] != linkflow.Refused {
				t.Errorf("the operator was told %v", got)
			}
			if w.asked("GET", "/authorize") != 0 {
				t.Error("a sign-in was begun")
			}
		})
	}
}

// As Auth0's UI components do it: the application opens a popup window, waits
// until it is closed, and keeps its hold on it all the time.
func TestAPopupWithAnOpener(t *testing.T) {
	forEach(t, func(w *world, b *tab, s service) {
		query := url.Values{
			"connection": {s.request.Connection}, "scopes": s.request.Scopes, "returnTo": {w.app.URL + "/close"},
			"prompt": {"consent"}, // which we drop, as all that we do not know
		}
		target := url.Values{"link": {w.url("/auth/connect?" + query.Encode())}}
		b.open(w.app.URL + "/?" + target.Encode()).see(where{"/", "App"})
		popup := b.popup(func() { b.press(buttonConnect) })
		popup.see(s.connectPage())
		popup.press(buttonContinue).signIn("alice").see(s.confirmPage())
		b.wantClosed(false)
		popup.press(buttonConnect).see(s.consent)
		popup.press(buttonAllow).see(where{"/close", "Back at the app"})
		b.wantClosed(false)
		popup.press("Close")
		w.eventually("the popup is closed", func() bool { return eval[bool](b, `() => popup.closed`) })
		w.wantCompleted(1)
	})
}

// wantClosed checks what the opener sees of its popup.
func (b *tab) wantClosed(want bool) {
	b.Helper()
	if eval[bool](b, `() => popup.closed`) != want {
		b.Errorf("for its opener the popup is closed: %t", !want)
	}
}

func TestByKeyboardAlone(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t), newTab(t)
	w.connect(google, "")
	link := w.link(google.request)
	b.open(link.URL).see(google.connectPage())
	b.enter(buttonContinue).see(logIn)
	b.fill("username", "alice@example.com").fill("password", "alice-password").key(kb.Enter).see(google.confirmPage())
	b.enter(buttonConnect).see(google.consent)
	b.enter(buttonAllow).see(google.donePage())
	b.enter(linkAccounts).see(signInPage)
	b.enter(buttonSignIn).see(accountsPage)
	b.enter(linkDisconnect).see(disconnectPage)
	b.enter(linkKeep).see(accountsPage)
}

// enter goes from one control to the next until it is at the one of that name,
// and presses the Enter key. One can see all the time where one is.
func (b *tab) enter(name string) *tab {
	b.Helper()
	for range 20 {
		b.key(kb.Tab)
		at := eval[struct {
			Name string
			Seen bool
		}](b, `() => {
			const e = document.activeElement, style = getComputedStyle(e);
			return {
				Name: (e.innerText ?? '').trim(),
				Seen: e === document.body || style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0,
			};
		}`)
		if !at.Seen {
			b.Errorf("nothing shows that %q has the focus", at.Name)
		}
		if at.Name == name {
			b.leave()
			return b.key(kb.Enter)
		}
	}
	b.Fatalf("the Tab key does not lead to %q", name)
	return b
}
