package auth0test_test

import (
	"net/http"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const (
	webOrigin     = "https://web.example.com"
	allowedOrigin = "https://cors.example.com"
)

// browserClient makes the demo agent an application that runs in browsers.
func browserClient(cfg *auth0test.Config) {
	agent := &cfg.Clients[2]
	agent.WebOrigins = []string{webOrigin, "http://localhost:8090"}
	agent.AllowedOrigins = []string{allowedOrigin + "/", "https://*.preview.example.com", "http://localhost:80"}
	agent.Callbacks = append(agent.Callbacks, "com.example.app://callback")
}

func fromOrigin(t *testing.T, method, target, origin, body string) answer {
	t.Helper()
	req := request(t, method, target, "application/x-www-form-urlencoded", body)
	req.Header.Set("Origin", origin)
	if method == http.MethodOptions {
		req.Header.Set("Access-Control-Request-Method", "POST")
		req.Header.Set("Access-Control-Request-Headers", "auth0-client, content-type")
	}
	return do(t, http.DefaultClient, req)
}

// corsPaths are those that Auth0's browser SDK calls.
var corsPaths = []string{
	"/oauth/token", "/oauth/revoke", "/userinfo", "/me/v1/connected-accounts/connect", "/api/v2/users/auth0%7Calice",
}

func TestABrowsersApplicationMayReadAnswersFromItsOrigins(t *testing.T) {
	s := tenant(t, browserClient)
	for origin, allowed := range map[string]bool{
		webOrigin: true, allowedOrigin: true, "http://localhost:8090": true, "http://localhost": true,
		"https://a.preview.example.com": true,
		"https://evil.example":          false, "null": false, "http://web.example.com": false, "https://web.example.com:8443": false,
		"https://preview.example.com": false, "https://a.b.preview.example.com": false, "http://a.preview.example.com": false,
		"https://evil.com/.preview.example.com": false, "com.example.app://callback": false, "https://xcors.example.com": false,
	} {
		want := ""
		if allowed {
			want = origin
		}
		for _, path := range corsPaths {
			preflight := fromOrigin(t, http.MethodOptions, s.URL+path, origin, "")
			if got := preflight.Header.Get("Access-Control-Allow-Origin"); preflight.Status != 204 || got != want {
				t.Errorf("preflight of %s from %s: %d, allows %q", path, origin, preflight.Status, got)
			}
			if got := preflight.Header.Get("Access-Control-Allow-Headers"); (got == "auth0-client, content-type") != allowed {
				t.Errorf("preflight of %s from %s allows the headers %q", path, origin, got)
			}
			a := fromOrigin(t, http.MethodPost, s.URL+path, origin, "grant_type=x")
			if got := a.Header.Get("Access-Control-Allow-Origin"); got != want || a.Header.Get("Vary") != "Origin" {
				t.Errorf("%s from %s: allows %q, Vary %q", path, origin, got, a.Header.Get("Vary"))
			}
		}
	}
}

func TestAnotherClientsOriginDoesNotReadAClientsTokens(t *testing.T) {
	s := tenant(t, browserClient)
	a := fromOrigin(t, http.MethodPost, s.URL+"/oauth/token", webOrigin, "grant_type=refresh_token&client_id=link-pages")
	if got := a.Header.Get("Access-Control-Allow-Origin"); got != "" {
		t.Errorf("it allows %q", got)
	}
}

func TestPublicDocumentsAreReadFromAnywhere(t *testing.T) {
	s := tenant(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json"} {
		for _, a := range []answer{
			fromOrigin(t, http.MethodGet, s.URL+path, "https://anywhere.example", ""), get(t, s.URL+path, ""),
			fromOrigin(t, http.MethodOptions, s.URL+path, "https://anywhere.example", ""),
		} {
			if got := a.Header.Get("Access-Control-Allow-Origin"); a.Status/100 != 2 || got != "*" {
				t.Errorf("%s: %d, allows %q", path, a.Status, got)
			}
		}
	}
}

// A page that one goes to is no API: what it says is for the person.
func TestPagesAreNotReadFromOtherOrigins(t *testing.T) {
	s := tenant(t, browserClient)
	for _, path := range []string{"/authorize", "/u/login", "/v2/logout", "/oidc/logout", "/continue", "/login/callback"} {
		for _, method := range []string{http.MethodGet, http.MethodOptions} {
			if a := fromOrigin(t, method, s.URL+path, webOrigin, ""); a.Header.Get("Access-Control-Allow-Origin") != "" {
				t.Errorf("%s %s: %v", method, path, a.Header)
			}
		}
	}
}

// An application is tested with faults too, and has to be able to see them.
func TestABrowserSeesFaultsAndItsPreflightUsesNoneUp(t *testing.T) {
	s := tenant(t, browserClient)
	if err := s.AddFault(auth0test.Fault{Path: "/oauth/token", Status: new(429)}); err != nil {
		t.Fatal(err)
	}
	if a := fromOrigin(t, http.MethodOptions, s.URL+"/oauth/token", webOrigin, ""); a.Status != 204 {
		t.Errorf("preflight: %d", a.Status)
	}
	a := fromOrigin(t, http.MethodPost, s.URL+"/oauth/token", webOrigin, "")
	if a.Status != 429 || a.Header.Get("Access-Control-Allow-Origin") != webOrigin {
		t.Errorf("%d %v", a.Status, a.Header)
	}
}
