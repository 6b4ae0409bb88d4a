package auth0test_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// passwordPage goes to the page after the login page, as alice.
func (b *browser) passwordPage(s *auth0test.Server, pairs ...string) (answer, string) {
	b.t.Helper()
	base := []string{"response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack, "state", "st", "scope", "openid"}
	page, at := b.open(s.URL + "/authorize?" + values(append(base, pairs...)...).Encode())
	return b.follow(b.submit(page, at, values("username", "alice@example.com", "password", "alice-password")), at, agentBack)
}

// ended is the query of the callback.
func ended(t *testing.T, at string) url.Values {
	t.Helper()
	if !strings.HasPrefix(at, agentBack) {
		t.Fatalf("no callback: %s", at)
	}
	u, _ := url.Parse(at)
	return u.Query()
}

func always(cfg *auth0test.Config) { cfg.Settings.MFAPolicy = "always" }

func withFactor(factors ...auth0test.Authenticator) func(*auth0test.Config) {
	return func(cfg *auth0test.Config) { cfg.Users[0].Authenticators = factors }
}

func TestPolicyAsksForASecondFactorOnceASession(t *testing.T) {
	s := tenant(t, always, withFactor(auth0test.Authenticator{Code: "654321"}))
	b := newBrowser(t)
	page, at := b.passwordPage(s)
	if !strings.Contains(page.Body, `name="code"`) || strings.Contains(page.Body, "654321") {
		t.Fatalf("%s: %s", at, page.Body)
	}
	for _, wrong := range []string{"", "123456"} {
		if a := b.submit(page, at, values("code", wrong)); a.Status != 400 || !strings.Contains(a.Body, "The code you entered is invalid") {
			t.Errorf("code %q: %d", wrong, a.Status)
		}
	}
	if a := newBrowser(t).submit(page, at, values("code", "654321")); a.Status != 400 {
		t.Errorf("another browser: %d", a.Status)
	}
	_, end := b.follow(b.submit(page, at, values("code", "654321")), at, agentBack)
	if id := idToken(t, s, ended(t, end)); len(id["amr"].([]any)) != 1 || id["amr"].([]any)[0] != "mfa" {
		t.Errorf("amr %v", id["amr"])
	}
	if a := b.submit(page, at, values("code", "654321")); a.Status != 400 {
		t.Errorf("the page works twice: %d", a.Status)
	}
	if id := idToken(t, s, b.login(s, "nobody", "prompt", "none")); id["amr"] == nil {
		t.Errorf("the session forgot it: %v", id)
	}
	if page, _ := b.passwordPage(s, "prompt", "login"); !strings.Contains(page.Body, `name="code"`) {
		t.Errorf("a new login goes without: %s", page.Body)
	}
}

func TestNoSecondFactorNoAMR(t *testing.T) {
	s := tenant(t, withFactor(auth0test.Authenticator{}))
	if id := idToken(t, s, newBrowser(t).login(s, "alice")); id["amr"] != nil {
		t.Errorf("%v", id["amr"])
	}
}

var shownCode = regexp.MustCompile(`<strong>(\d{6})</strong>`)

func TestWhoHasNoFactorEnrollsOne(t *testing.T) {
	s := tenant(t, always)
	b := newBrowser(t)
	page, at := b.passwordPage(s)
	code := shownCode.FindStringSubmatch(page.Body)
	if code == nil {
		t.Fatalf("%s: %s", at, page.Body)
	}
	b.submit(page, at, values("code", "nothing"))
	if n := len(user(t, s, "auth0|alice").Authenticators); n != 0 {
		t.Errorf("enrolled before it was shown: %d", n)
	}
	_, end := b.follow(b.submit(page, at, values("code", code[1])), at, agentBack)
	if id := idToken(t, s, ended(t, end)); id["amr"] == nil {
		t.Errorf("%v", id)
	}
	again := newBrowser(t)
	page, at = again.passwordPage(s)
	if strings.Contains(page.Body, code[1]) {
		t.Errorf("it is enrolled again")
	}
	if _, end := again.follow(again.submit(page, at, values("code", code[1])), at, agentBack); ended(t, end).Get("code") == "" {
		t.Errorf("ended at %s", end)
	}
}

func TestActionsAskForFactors(t *testing.T) {
	ask := func(what func(api)) func(*auth0test.Config) {
		return withActions(auth0test.Action{Name: "ask", OnExecutePostLogin: func(_ event, a api) { what(a) }})
	}
	sms := auth0test.Authenticator{Type: "sms", Code: "111111"}
	otp := auth0test.Authenticator{Code: "222222"}
	for _, tt := range []struct {
		name    string
		ask     func(api)
		factors []auth0test.Authenticator
		code    string // that is taken; empty: an error goes back
	}{
		{"phone is sms", func(a api) { a.ChallengeWithAny("phone") }, []auth0test.Authenticator{otp, sms}, "111111"},
		{"any of two", func(a api) { a.ChallengeWithAny("otp", "phone") }, []auth0test.Authenticator{sms, otp}, "222222"},
		{"not enrolled", func(a api) { a.ChallengeWithAny("otp") }, []auth0test.Authenticator{sms}, ""},
		{"nothing left to enroll", func(a api) { a.EnrollWithAny("otp", "carrier-pigeon") }, []auth0test.Authenticator{otp}, ""},
		{"enroll another", func(a api) { a.EnrollWithAny("otp", "phone") }, []auth0test.Authenticator{otp}, "shown"},
	} {
		s := tenant(t, ask(tt.ask), withFactor(tt.factors...))
		b := newBrowser(t)
		page, at := b.passwordPage(s)
		if tt.code == "" {
			if q := ended(t, at); q.Get("error") != "access_denied" || q.Get("state") != "st" {
				t.Errorf("%s: %v", tt.name, q)
			}
			continue
		}
		code := tt.code
		if m := shownCode.FindStringSubmatch(page.Body); m != nil && code == "shown" {
			code = m[1]
		}
		_, end := b.follow(b.submit(page, at, values("code", code)), at, agentBack)
		if id := idToken(t, s, ended(t, end)); id["amr"] == nil {
			t.Errorf("%s: %v", tt.name, id)
		}
		silently := "interaction_required" // the factor was shown in another transaction
		if tt.code == "shown" {
			silently = "access_denied" // all are enrolled by now
		}
		if q := b.login(s, "nobody", "prompt", "none"); q.Get("error") != silently {
			t.Errorf("%s: another transaction, silently: %v", tt.name, q)
		}
	}
}

func TestASecondFactorComesBeforeTheRedirect(t *testing.T) {
	s := tenant(t, withFactor(auth0test.Authenticator{}), withActions(auth0test.Action{Name: "both", OnExecutePostLogin: func(_ event, a api) {
		a.SendUserTo("https://elsewhere.example/", nil)
		a.ChallengeWithAny("otp")
	}}))
	b := newBrowser(t)
	page, at := b.passwordPage(s)
	if _, at = b.follow(b.submit(page, at, values("code", "123456")), at, "https://elsewhere.example/"); !strings.HasPrefix(at, "https://elsewhere.example/?state=") {
		t.Errorf("ended at %s", at)
	}
}
