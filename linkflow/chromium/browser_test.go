package chromium

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/tokenvault/caddy-token-vault/linkflow"
)

// blockCookies are the preferences of a profile that takes no cookies.
const blockCookies = `{"profile": {"default_content_setting_values": {"cookies": 2}}}`

func TestCookiesBlocked(t *testing.T) {
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
	defer stop()
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
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

// guard is how long Connect cannot be pressed after its page has come.
const guard = time.Second

// A page that comes up under somebody's finger must not be what they press.
func TestConnectCannotBePressedAtOnce(t *testing.T) {
	byMouse := func(b *tab) {
		c := b.find(buttonConnect, 0)
		b.clickAt(c.X, c.Y)
	}
	byKey := func(b *tab) {
		eval[bool](b, `name => {
			[...document.querySelectorAll('button')].find(e => e.textContent.trim() === name).focus(); return true
		}`, buttonConnect)
		b.key("\r")
	}
	for _, c := range []struct {
		name   string
		motion string
		press  func(*tab)
	}{
		{"mouse", "no-preference", byMouse},
		{"mouse, without motion", "reduce", byMouse},
		{"keyboard", "no-preference", byKey},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, b := newWorld(t), newTab(t)
			link := w.link(google.request)
			b.prefer("prefers-reduced-motion", c.motion)
			b.toConfirm(google, link.URL)
			c.press(b)
			if age := eval[float64](b, `() => performance.now()`); age > 900 {
				t.Fatalf("pressed %v ms after the page began, too late to tell", age)
			}
			time.Sleep(300 * time.Millisecond)
			b.left = 0
			b.see(google.confirmPage())
			w.wantNothingBegun()
			time.Sleep(guard - 200*time.Millisecond)
			c.press(b)
			b.see(google.consent)
		})
	}
}
