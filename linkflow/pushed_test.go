package linkflow

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// hintedRequest is an authorization request that nobody else should see.
func hintedRequest(f *Flow) url.Values {
	return url.Values{
		"response_type": {"code"}, "client_id": {f.oauth.ClientID}, "redirect_uri": {f.oauth.RedirectURL},
		"scope": {"openid"}, "state": {"state"}, "id_token_hint": {"the.hint.itself"}, "requested_connection": {"github"},
	}
}

func TestAnAuthorizationRequestIsPushedWhereTheTenantTakesIt(t *testing.T) {
	for _, method := range []string{"client_secret_post", "client_secret_basic"} {
		w := newWorld(t, auth0test.Settings{PushedAuthorizationRequestsSupported: true}, func(c *Config) { c.AuthMethod = method })
		target, err := w.flow.authorizeURL(t.Context(), hintedRequest(w.flow))
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		u, err := url.Parse(target)
		if q := u.Query(); err != nil || len(q) != 2 || q.Get("client_id") != "link-pages" || !strings.HasPrefix(q.Get("request_uri"), "urn:ietf:params:oauth:request_uri:") {
			t.Errorf("%s: the browser goes to %s", method, target)
		}
		if n := w.called("/oauth/par"); n != 1 {
			t.Errorf("%s: pushed %d times", method, n)
		}
		w.browser().open(target).want(200, `name="password"`)
	}
}

func TestAnAuthorizationRequestIsInTheURLWhereTheTenantTakesNoOther(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	target, err := w.flow.authorizeURL(t.Context(), hintedRequest(w.flow))
	if err != nil || !strings.HasPrefix(target, w.tenant.URL+"/authorize?") || !strings.Contains(target, "id_token_hint=the.hint.itself") {
		t.Errorf("the browser goes to %s (%v)", target, err)
	}
}

// What the tenant refuses to take beforehand does not go into a URL instead.
func TestAPushedRequestThatIsRefusedGoesNowhere(t *testing.T) {
	w := newWorld(t, auth0test.Settings{PushedAuthorizationRequestsSupported: true}, nil)
	request := hintedRequest(w.flow)
	request.Set("redirect_uri", "https://elsewhere.example.com/")
	target, err := w.flow.authorizeURL(t.Context(), request)
	if e, ok := errors.AsType[*oauthError](err); !ok || e.code != "invalid_request" || target != "" {
		t.Errorf("the browser goes to %q (%v)", target, err)
	}
}

func TestOnlyTheTenantItselfIsToldAnAuthorizationRequest(t *testing.T) {
	for name, discovery := range map[string]string{
		"pushed elsewhere": `{"issuer":"https://tenant.example.com/","pushed_authorization_request_endpoint":"https://tenant.example.com.evil.example/par"}`,
		"of another":       `{"issuer":"https://other.example.com/"}`,
		"without issuer":   `{}`,
		"no JSON":          `<html>`,
	} {
		f := stubFlow(t, func(*http.Request) (int, string) { return 200, discovery }, nil)
		if target, err := f.authorizeURL(t.Context(), hintedRequest(f)); err == nil {
			t.Errorf("%s: the browser goes to %s", name, target)
		}
	}
}

func TestAnAnswerToAPushedRequestHasToSayWhatStandsForIt(t *testing.T) {
	for _, body := range []string{`{"expires_in":30}`, `{}`, `x`} {
		f := stubFlow(t, func(r *http.Request) (int, string) {
			if r.Method == http.MethodPost {
				return 201, body
			}
			return 200, `{"issuer":"https://tenant.example.com/","pushed_authorization_request_endpoint":"https://tenant.example.com/oauth/par"}`
		}, nil)
		if target, err := f.authorizeURL(t.Context(), hintedRequest(f)); err == nil {
			t.Errorf("%s: the browser goes to %s", body, target)
		}
	}
}

func TestDiscoveryIsAskedForOnceInTenMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		f := stubFlow(t, func(*http.Request) (int, string) {
			asked++
			return 200, `{"issuer":"https://tenant.example.com/"}`
		}, nil)
		for range 3 {
			if _, err := f.authorizeURL(t.Context(), hintedRequest(f)); err != nil {
				t.Fatal(err)
			}
		}
		if asked != 1 {
			t.Errorf("asked %d times", asked)
		}
		time.Sleep(discoveryLife)
		if _, err := f.authorizeURL(t.Context(), hintedRequest(f)); err != nil || asked != 2 {
			t.Errorf("asked %d times (%v)", asked, err)
		}
	})
}
