package linkflow

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// aliceTwice gives alice a second identity.
func aliceTwice(c *auth0test.Config) {
	c.Users[0].Identities = []auth0test.Identity{
		{Connection: "Username-Password-Authentication", Provider: "auth0", UserID: "alice"},
		{Connection: "google-oauth2", Provider: "google-oauth2", UserID: "117", IsSocial: true, ProfileData: &auth0test.ProfileData{Email: "alice@gmail.example"}},
	}
}

var unlinkPattern = regexp.MustCompile(`href="(/auth/unlink\?flow=[^"]*identity=[^"]*)"`)

// toIdentities goes to the list, as alice.
func (w *world) toIdentities() *browser {
	w.Helper()
	return w.browser().open(w.site.URL+"/auth/unlink").want(200, "Sign in").press("action", "sign_in").signIn("alice").want(200, "How you sign in")
}

// toUnlink goes as far as the question whether to.
func (w *world) toUnlink() *browser {
	w.Helper()
	b := w.toIdentities()
	link := unlinkPattern.FindStringSubmatch(b.body)
	if link == nil {
		w.Fatalf("nothing can be unlinked:\n%s", b.body)
	}
	return b.open(w.site.URL+html.UnescapeString(link[1])).want(200, "Separate Google?").want(200, "google-oauth2|117")
}

func TestAPersonUnlinksAnIdentity(t *testing.T) {
	w := newLinkingWorld(t, nil, aliceTwice)
	b := w.toUnlink().want(200, "alice@gmail.example")
	if len(w.identities("auth0|alice")) != 2 {
		t.Fatal("unlinked before anybody said so")
	}
	b.press("action", "unlink").want(200, "Google is an account of its own again").want(200, "You sign in in no other way")
	if got := w.identities("auth0|alice"); !slices.Equal(got, []string{"auth0|alice"}) {
		t.Errorf("the identities are %v", got)
	}
	if got := w.identities("google-oauth2|117"); len(got) != 1 {
		t.Errorf("the other user has the identities %v", got)
	}
	if e := w.log.last(); e.Kind != Separated || e.Identity != "google-oauth2|117" || e.Subject != "auth0|alice" || e.Connection != "google-oauth2" {
		t.Errorf("told %+v", e)
	}
	b.open(b.at.String())
	if strings.Contains(b.body, "of its own again") {
		t.Error("the notice is shown twice")
	}
}

func TestTheFirstIdentityStays(t *testing.T) {
	w := newLinkingWorld(t, nil, aliceTwice)
	b := w.toIdentities()
	if len(unlinkPattern.FindAllString(b.body, -1)) != 1 {
		t.Error("the first one can be unlinked")
	}
	flow := b.at.Query().Get("flow")
	b.open(w.site.URL+"/auth/unlink?"+url.Values{"flow": {flow}, "identity": {"auth0|alice"}}.Encode()).want(200, "How you sign in")
	b = w.toUnlink()
	_, fields := b.form()
	fields.Set("action", "unlink")
	fields.Set("identity", "auth0|alice")
	b.send(b.post(w.site.URL+"/auth/unlink", fields, "same-origin", "")).wantRefused(403, "form_token")
	if len(w.identities("auth0|alice")) != 2 {
		t.Error("something was unlinked")
	}
}

func TestWhoHasOneIdentityKeepsIt(t *testing.T) {
	w := newLinkingWorld(t, nil)
	w.toIdentities().want(200, "You sign in in no other way")
}

func TestUnlinkingTakesASignInOfTheLastFiveMinutes(t *testing.T) {
	w := newLinkingWorld(t, nil, aliceTwice)
	b := w.browser().open(w.site.URL + "/auth/unlink")
	var q url.Values
	b.change(func(got url.Values) {
		q = copied(got)
		got.Del("max_age")
	})
	b.press("action", "sign_in").signIn("alice").wantRefused(403, "not_fresh")
	if q.Get("prompt") != "login" || q.Get("max_age") != "300" || q.Get("audience") != w.tenant.URL+"/api/v2/" {
		t.Errorf("asked with %v", q)
	}
	// Whoever has the page, and not the sign-in, is asked for one.
	other := w.browser()
	other.open(w.toUnlink().at.String()).want(200, "Sign in")
}

// Whatever ends the sign-in leads back to where it began, and not to where one more
// identity is added.
func TestASignInToUnlinkThatFailsCanBeBegunAgain(t *testing.T) {
	reading := "/api/v2/users/auth0|alice"
	for reason, fault := range map[string]auth0test.Fault{
		"token_endpoint":    {Path: "/oauth/token", Status: new(503)},
		"server_error":      {Path: reading, Status: new(503), Times: new(0)},
		"too_many_requests": {Path: reading, Status: new(429), Times: new(0)},
	} {
		t.Run(reason, func(t *testing.T) {
			w := newLinkingWorld(t, nil, aliceTwice)
			b := w.browser().open(w.site.URL+"/auth/unlink").press("action", "sign_in")
			if err := w.tenant.AddFault(fault); err != nil {
				t.Fatal(err)
			}
			b.signIn("alice").wantRefused(502, reason).wantBackToIdentities()
		})
	}
	t.Run("sign_in_error", func(t *testing.T) {
		w := newLinkingWorld(t, nil, aliceTwice)
		b := w.browser().open(w.site.URL + "/auth/unlink")
		var state string
		b.before = func(r *http.Request) bool {
			state = r.URL.Query().Get("state")
			return r.URL.Path != "/authorize"
		}
		b.press("action", "sign_in")
		b.before = nil
		b.open(w.site.URL + "/auth/callback?" + url.Values{"error": {"access_denied"}, "state": {state}}.Encode())
		b.wantRefused(403, "sign_in_error").wantBackToIdentities()
	})
}

func (b *browser) wantBackToIdentities() {
	b.Helper()
	if !strings.Contains(b.body, `href="/auth/unlink"`) || strings.Contains(b.body, "/auth/link") {
		b.Errorf("it leads elsewhere:\n%s", b.body)
	}
}

// That rule is about whose account is joined with whose.
func TestAnAddressThatIsNotVerifiedIsNoReasonNotToUnlink(t *testing.T) {
	w := newLinkingWorld(t, func(c *Config) { c.Linking.RequireVerifiedEmail = true }, aliceTwice, func(c *auth0test.Config) { c.Users[0].EmailVerified = false })
	w.toUnlink().press("action", "unlink").want(200, "of its own again")
}

func TestAThirdPartySiteUnlinksNothing(t *testing.T) {
	w := newLinkingWorld(t, nil, aliceTwice)
	b := w.toUnlink()
	_, fields := b.form()
	fields.Set("action", "unlink")
	for _, from := range []struct{ site, origin string }{{"cross-site", "https://evil.example"}, {"same-site", ""}, {"", "https://evil.example"}, {"", ""}} {
		b.send(b.post(w.site.URL+"/auth/unlink", fields, from.site, from.origin)).want(403, titleOf(pageForeign))
	}
	other := w.browser()
	other.send(other.post(w.site.URL+"/auth/unlink", fields, "same-origin", "")).want(403, "")
	if len(w.identities("auth0|alice")) != 2 {
		t.Error("something was unlinked")
	}
}

func TestUnlinkingIsBelievedWhenAuth0DoesNotListTheIdentity(t *testing.T) {
	for name, c := range map[string]struct {
		unlink, read *failure
		page         message
		gone         bool // in the end, having tried again
	}{
		"the answer is lost":                 {unlink: &failure{heard: true}, gone: true},
		"it is not heard, or not yet":        {unlink: &failure{}, page: pageUnclear},
		"a failure answers":                  {unlink: &failure{status: 503}, page: pageUnclear},
		"it is refused":                      {unlink: &failure{status: 400, body: `{"statusCode": 400}`}, page: pageNotUnlinked},
		"it succeeds in words":               {unlink: &failure{status: 200, body: `[]`}, page: pageNotUnlinked},
		"nobody can tell":                    {unlink: &failure{heard: true}, read: &failure{status: 503}, page: pageUnclear, gone: true},
		"a scope is missing, and no machine": {unlink: &failure{status: 403, body: `{"errorCode": "insufficient_scope"}`}, page: pageNotUnlinked},
	} {
		t.Run(name, func(t *testing.T) {
			network := &broken{}
			w := newLinkingWorld(t, through(network), aliceTwice)
			b := w.toUnlink()
			deleted := false
			network.fail = func(_ int, r *http.Request) *failure {
				switch {
				case r.Method == http.MethodDelete:
					deleted = true
					return c.unlink
				case deleted && c.read != nil:
					deleted = false
					return c.read
				}
				return nil
			}
			b.press("action", "unlink")
			told := slices.Contains(w.log.kinds(), Separated)
			if c.page == (message{}) {
				b.want(200, "of its own again")
			} else {
				b.want(c.page.status, titleOf(c.page))
			}
			if told != (b.status == 200) {
				t.Errorf("told %v, answered %d", w.log.kinds(), b.status)
			}
			if gone := len(w.identities("auth0|alice")) == 1; gone != c.gone {
				t.Errorf("gone: %t", gone)
			}
			if b.status != 200 { // and it can be tried again
				b.open(w.site.URL+html.UnescapeString(goOnPattern.FindStringSubmatch(b.body)[1])).want(200, "How you sign in")
				if c.gone == unlinkPattern.MatchString(b.body) {
					t.Errorf("the list says otherwise:\n%s", b.body)
				}
			}
		})
	}
}

func TestTheMachineUnlinksWhereAPersonMayNot(t *testing.T) {
	network := &broken{}
	refused := false
	network.fail = func(_ int, r *http.Request) *failure {
		if r.Method == http.MethodDelete && !refused {
			refused = true
			return &failure{status: 403, body: `{"errorCode": "insufficient_scope"}`}
		}
		return nil
	}
	w := newLinkingWorld(t, func(c *Config) { through(network)(c); withMachine(c) }, aliceTwice)
	w.toUnlink().press("action", "unlink").want(200, "of its own again")
}

func TestUnlinkingEndsWhenTheAddressChanges(t *testing.T) {
	address := "192.0.2.1"
	w := newLinkingWorld(t, func(c *Config) {
		c.Linking.PinIP = true
		c.ClientIP = func(*http.Request) string { return address }
	}, aliceTwice)
	b := w.toUnlink()
	address = "192.0.2.2"
	_, form := b.form()
	form.Set("action", "unlink")
	for _, page := range []string{b.at.String(), w.site.URL + "/auth/unlink?flow=" + form.Get("flow")} {
		b.open(page).wantRefused(403, "ip_address")
		if strings.Contains(b.body, "google-oauth2|117") || strings.Contains(b.body, "alice") {
			t.Errorf("%s tells who has which identities", page)
		}
	}
	b.send(b.post(w.site.URL+"/auth/unlink", form, "same-origin", "")).wantRefused(403, "ip_address")
	if len(w.identities("auth0|alice")) != 2 {
		t.Error("something was unlinked")
	}
}
