package linkflow

import (
	"encoding/base64"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// A browser may leave as many flows as it likes, on whatever page: what it keeps of them
// never shuts it out.

// padded makes access tokens longer, as an operator's Actions do, of which Auth0 then
// gets what it knows.
type padded struct{ by int }

// RoundTrip implements http.RoundTripper.
func (p padded) RoundTrip(r *http.Request) (*http.Response, error) {
	noise := make([]byte, p.by)
	rand.NewChaCha8([32]byte{}).Read(noise)
	pad := base64.RawURLEncoding.EncodeToString(noise)[:p.by]
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", strings.TrimSuffix(r.Header.Get("Authorization"), pad))
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || r.URL.Path != "/oauth/token" {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	_ = resp.Body.Close()
	const before = `"access_token":"`
	start, rest, ok := strings.Cut(string(body), before)
	if token, end, quoted := strings.Cut(rest, `"`); ok && quoted {
		body = []byte(start + before + token + pad + `"` + end)
	}
	resp.Body, resp.ContentLength = io.NopCloser(strings.NewReader(string(body))), -1
	resp.Header.Del("Content-Length")
	return resp, err
}

// ways are the pages that a flow can be left on, by what links do.
var ways = map[Via]map[string]func(*browser, *Link){
	ViaConnectedAccounts: {
		"signing in": func(b *browser, l *Link) { b.open(l.URL).press("", "") },
		"deciding":   func(b *browser, l *Link) { b.toConfirm(l) },
		"consenting": func(b *browser, l *Link) { b.toConsent(l) },
		"done":       func(b *browser, l *Link) { b.toConsent(l).consent("deny") },
		"accounts":   func(b *browser, _ *Link) { b.toAccounts("alice") },
	},
	ViaManagement: {
		"signing in":     func(b *browser, l *Link) { b.open(l.URL).press("", "") },
		"deciding":       func(b *browser, l *Link) { b.toLinkConfirm(l) },
		"signing in too": func(b *browser, l *Link) { b.toLinkConfirm(l).press("action", "prove") },
		"both":           func(b *browser, l *Link) { b.toMerge(l, "") },
		"merged": func(b *browser, l *Link) {
			if b.toConfirm(l); strings.Contains(b.body, "prove") {
				b.press("action", "prove").choose("").press("action", "merge")
			}
		},
		"identities": func(b *browser, _ *Link) {
			b.open(b.site.URL+"/auth/unlink").press("action", "sign_in").signIn("alice")
		},
		"accounts": func(b *browser, _ *Link) { b.toAccounts("alice") },
	},
	ViaLinkAccount: {
		"deciding":       func(b *browser, l *Link) { b.toConfirm(l) },
		"signing in too": func(b *browser, l *Link) { b.toLinkAccount(l) },
		"linked": func(b *browser, l *Link) {
			if b.toConfirm(l); strings.Contains(b.body, "prove") {
				b.press("action", "prove").consent("allow")
			}
		},
		"identities": func(b *browser, _ *Link) {
			b.open(b.site.URL+"/auth/unlink").press("action", "sign_in").signIn("alice")
		},
		"accounts": func(b *browser, _ *Link) { b.toAccounts("alice") },
	},
}

func TestNoNumberOfFlowsShutsABrowserOut(t *testing.T) {
	long := vault.Request{Connection: "google-oauth2", Scopes: calendar.Scopes}
	for i := range 20 {
		long.Scopes = append(long.Scopes, fmt.Sprintf("https://www.googleapis.com/auth/%02d", i))
	}
	for via, ways := range ways {
		for _, by := range []int{0, 1000} {
			for name, leave := range ways {
				t.Run(fmt.Sprintf("%s, %s, tokens longer by %d", via, name, by), func(t *testing.T) {
					w := viaWorld(t, via, by)
					b := w.browser()
					b.toAccounts("alice")
					for range 6 {
						leave(b, w.link(w.alice(), long))
						if b.status >= 500 {
							t.Fatalf("answered %d:\n%s", b.status, b.body)
						}
						left := b.at.String()
						for _, page := range []string{w.link(w.alice(), long).URL, w.site.URL + "/auth/accounts", left} {
							if page == left && !strings.HasPrefix(left, w.site.URL) {
								continue
							}
							if b.open(page); b.status != 200 {
								t.Fatalf("%s is %d:\n%s", b.at.Path, b.status, b.body)
							}
						}
					}
				})
			}
		}
	}
}

// viaWorld is a world of links of that kind, with access tokens longer by so much.
func viaWorld(t *testing.T, via Via, by int) *world {
	t.Helper()
	return newTenantWorld(t, func(cfg *auth0test.Config) {
		if via == ViaLinkAccount {
			cfg.AddAccountLinking()
		}
	}, func(c *Config) {
		c.Via, c.Offers = via, offers
		through(padded{by})(c)
	})
}

func TestAFlowThatABrowserCannotKeepEndsOnAPage(t *testing.T) {
	for name, c := range map[string]struct {
		via  Via
		by   int
		want string
		walk func(*browser, *Link)
	}{
		"one sign-in":  {ViaConnectedAccounts, 6000, "the access token, with", func(b *browser, l *Link) { b.toConfirm(l) }},
		"two sign-ins": {ViaManagement, 2500, "the access token, with", func(b *browser, l *Link) { b.toMerge(l, "") }},
		"accounts": {ViaConnectedAccounts, 6000, "the access token has", func(b *browser, _ *Link) {
			b.open(b.site.URL+"/auth/accounts").press("action", "sign_in").signIn("alice")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := viaWorld(t, c.via, c.by)
			b := w.browser()
			link := w.link(w.alice(), calendar)
			c.walk(b, link)
			b.wantRefused(500, "cookie")
			if e := w.log.last(); e.Kind != Fault || !strings.Contains(e.Err.Error(), c.want) {
				t.Errorf("the operator is told %+v", e)
			}
			b.open(link.URL).want(200, "Google")
		})
	}
}

// What a browser was given at once for several tabs gives way as soon as it opens any
// page, the oldest flow first, and never what the page is about.
func TestWhatIsTooMuchGivesWayTheOldestFirst(t *testing.T) {
	w := viaWorld(t, ViaConnectedAccounts, 1500)
	var all []*http.Cookie
	for range 3 {
		all = append(all, w.browser().toConfirm(w.link(w.alice(), calendar)).flowCookies()...)
	}
	b := w.browser()
	for _, c := range all {
		b.setCookie(c)
	}
	left := b.flowCookies()
	if len(left) != 3 {
		t.Fatalf("%d cookies", len(left))
	}
	first := strings.TrimPrefix(left[0].Name, flowCookie)
	b.open(w.site.URL+"/auth/confirm?flow="+first).want(200, "Connect Google?")
	if got := b.flowCookies(); len(got) != 2 || got[0].Name != left[0].Name || got[1].Name != left[2].Name {
		t.Errorf("%d flows are left", len(got))
	}
}
