package chromium

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// Linking by the tenant's account-linking Action.

// toAction goes on from the page that follows the first sign-in to the provider's.
// If the request was pushed, Auth0 has dropped which connection was meant, and the
// person has to say it again.
func (b *tab) toAction(s service, pushed bool) *tab {
	b.Helper()
	b.press(buttonProve)
	if pushed {
		b.see(logIn)
		b.press("Continue with " + s.name)
	}
	b.see(s.consent)
	return b
}

// visited are the URLs that a browser asks for, and those that it says to come from.
type visited struct {
	mu   sync.Mutex
	urls []string
}

// watch begins to note where the tab goes, frames and files of pages included.
func (b *tab) watch() *visited {
	b.Helper()
	seen := &visited{}
	command(b, network.Enable, network.EnableParams{})
	err := chromedp.Listen(b.ctx, func(ev any) {
		if sent, ok := ev.(*network.EventRequestWillBeSent); ok {
			seen.mu.Lock()
			defer seen.mu.Unlock()
			seen.urls = append(seen.urls, sent.Request.URL)
			for name, value := range sent.Request.Headers {
				if text, _ := value.(string); strings.EqualFold(name, "Referer") {
					seen.urls = append(seen.urls, text)
				}
			}
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	return seen
}

// with are those that hold a text.
func (seen *visited) with(text string) (found []string) {
	seen.mu.Lock()
	defer seen.mu.Unlock()
	for _, u := range seen.urls {
		if strings.Contains(u, text) {
			found = append(found, u)
		}
	}
	return found
}

// tokenStart is what every JWT begins with: {" in base64url.
const tokenStart = "eyJ"

func TestTheActionLinksAndTheAgentGoesOn(t *testing.T) {
	t.Parallel()
	for name, also := range map[string]change{"pushed requests": pushedRequests, "requests in the URL": func(*auth0test.Config, *linkflow.Config) {}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pushed := name == "pushed requests"
			w, b := newWorld(t, viaLinkAccount, also), newTab(t)
			seen := b.watch()
			_, link := w.call(google)
			b.toAdd(google, link.URL).says(google.addPage(), wordsAtOnce)
			b.toAction(google, pushed)
			w.wantNobodyLinked()
			b.press(buttonAllow).see(google.linkedPage())
			w.wantIdentities(alice, alice, aliceGoogle)
			w.wantState(link, linkflow.Pending)
			w.wantConnected()
			b.press(buttonContinue).signIn("alice").see(google.confirmPage())
			b.press(buttonConnect).see(google.consent)
			b.press(buttonAllow).see(google.donePage())
			w.wantConnected("google-oauth2")
			if status, _ := w.call(google); status != http.StatusOK {
				t.Errorf("the agent's next call came to %d", status)
			}
			b.wantHintOnlyWhereItMustBe(w, seen, pushed)
		})
	}
}

// wantHintOnlyWhereItMustBe checks that the ID token that says who asks is in no URL
// if the request was pushed. Otherwise it is in that which leads to Auth0's
// /authorize, and in no other; no page is shown there that could be gone back to,
// but the browser's history remembers that it was asked for.
func (b *tab) wantHintOnlyWhereItMustBe(w *world, seen *visited, pushed bool) {
	b.Helper()
	with := append(seen.with(tokenStart), seen.with("id_token_hint")...)
	for _, u := range with {
		if !strings.HasPrefix(u, w.tenant.URL+"/authorize?") {
			b.Errorf("the hint is in %s", u)
		}
	}
	remembered := 0
	for _, entry := range command(b, page.GetNavigationHistory, cdp.Empty{}).Entries {
		if strings.Contains(entry.URL, tokenStart) {
			b.Errorf("the hint can be gone back to, in %s", entry.URL)
		}
		if strings.Contains(entry.UserTypedURL, tokenStart) {
			remembered++
		}
	}
	if pushed != (len(with) == 0) || pushed != (remembered == 0) {
		b.Errorf("requests pushed: %t, and the hint is in %q, and in the history %d times", pushed, with, remembered)
	}
}

func TestAPersonRefusesTheActionsLinkingAtEachStep(t *testing.T) {
	t.Parallel()
	for name, refuse := range map[string]func(b *tab, s service, link string){
		"after the first sign-in": func(b *tab, s service, link string) { b.toAdd(s, link) },
		"at the provider": func(b *tab, s service, link string) {
			b.toAdd(s, link).toAction(s, false).press(buttonCancel).see(where{"/auth/message", headingSecondSignIn})
			b.press(linkGoOn).see(s.addPage())
		},
		"by going back": func(b *tab, s service, link string) {
			b.toAdd(s, link).toAction(s, false).back().see(s.addPage())
			b.reload().see(s.addPage())
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, b := newWorld(t, viaLinkAccount), newTab(t)
			link := w.link(github.request)
			refuse(b, github, link.URL)
			w.wantNobodyLinked()
			b.press(buttonDecline).see(declinedPage)
			w.wantNobodyLinked()
			w.wantConnected()
			w.wantState(link, linkflow.Declined)
		})
	}
}

// detour stops the browser on its way to Auth0's /authorize, and lets it go on with
// another request: whoever has a browser can.
func (b *tab) detour(w *world, step func(), edit func(url.Values)) *tab {
	b.Helper()
	begun := w.asked("GET", "/authorize")
	w.fault(auth0test.Fault{Path: "/authorize", Status: new(http.StatusNoContent)}) // which leaves a browser where it is
	step()
	b.see(where{anyPath, headingOnward})
	w.eventually("the browser has been there", func() bool { return w.asked("GET", "/authorize") > begun })
	target, err := url.Parse(eval[string](b, `() => document.querySelector('main a').href`))
	if err != nil {
		b.Fatal(err)
	}
	query := target.Query()
	edit(query)
	target.RawQuery = query.Encode()
	return b.open(target.String())
}

// hint is an ID token of alice's for the link pages, in all that the Action looks
// at.
func (w *world) hint(age time.Duration) string {
	w.Helper()
	tokens, err := w.tenant.IssueToken(auth0test.TokenRequest{
		User: alice, ClientID: "link-pages", Audience: "link-pages", Claims: map[string]any{"iat": time.Now().Add(-age).Unix()},
	})
	if err != nil {
		w.Fatal(err)
	}
	return tokens.AccessToken
}

func TestAHintOfElevenMinutesIsTooOld(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t, viaLinkAccount), newTab(t)
	link := w.link(google.request)
	b.toAdd(google, link.URL)
	b.detour(w, func() { b.press(buttonProve) }, func(q url.Values) { q.Set("id_token_hint", w.hint(11*time.Minute)) })
	b.see(where{"/auth/message", headingNotFresh})
	w.wantNobodyLinked()
	w.wantState(link, linkflow.Pending)
	b.press(linkAgain).see(google.connectPage())
	b.press(buttonContinue).signIn("alice").see(google.addPage())
	b.toAction(google, false).press(buttonAllow).see(google.linkedPage())
	w.wantIdentities(alice, alice, aliceGoogle)
}

// Whoever left the page open signs in again before anybody is asked to link.
func TestAPageThatWasLeftOpenWantsASignIn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		via change
		age time.Duration
	}{
		"management":   {viaManagement, 6 * time.Minute},
		"link_account": {viaLinkAccount, 9*time.Minute + 5*time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, b := newWorld(t, c.via), newTab(t)
			seen := b.watch()
			b.leftOpen(w, c.age, google.request).says(google.addPage(), wordsSignedInAs)
			b.press(buttonProve).see(logIn)
			if with := seen.with("link_account"); len(with) != 0 {
				t.Errorf("the Action was asked: %q", with)
			}
			w.wantNobodyLinked()
			b.signIn("alice").see(google.addPage())
			b.press(buttonProve).see(google.consent)
			w.wantNobodyLinked()
		})
	}
}

// And when the link has ended, nothing can be linked by it.
func TestAPageThatWasLeftOpenTooLongLinksNothing(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t, viaManagement), newTab(t)
	const left = 8 * time.Second
	b.leftOpen(w, 10*time.Minute-left, google.request).see(google.addPage())
	time.Sleep(left + time.Second)
	b.press(buttonProve).see(where{"/auth/confirm", headingExpired})
	w.wantNobodyLinked()
}

// Somebody else's hint is refused as well, and so is none.
func TestTheHintIsOfWhoIsSignedIn(t *testing.T) {
	t.Parallel()
	for name, edit := range map[string]func(url.Values){
		"none":      func(q url.Values) { q.Del("id_token_hint") },
		"no token":  func(q url.Values) { q.Set("id_token_hint", "x") },
		"one's own": nil,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, b := newWorld(t, viaLinkAccount), newTab(t)
			b.toAdd(google, w.link(google.request).URL)
			if edit == nil { // and bob has signed in since
				other := b.another()
				other.open(w.tenant.URL + "/authorize?" + url.Values{
					"client_id": {"link-pages"}, "redirect_uri": {w.url("/auth/callback")}, "response_type": {"code"}, "scope": {"openid"}, "prompt": {"login"},
				}.Encode())
				other.signIn("bob").see(where{"/auth/message", headingNoFlow})
				b.press(buttonProve)
			} else {
				b.detour(w, func() { b.press(buttonProve) }, edit)
			}
			b.see(where{"/auth/message", headingNotFresh})
			w.wantNobodyLinked()
			w.wantIdentities("auth0|bob", "auth0|bob")
		})
	}
}
