package auth0test_test

import (
	"net/http"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// A client that proves a key must not get a bearer token and take it for a bound one.
func TestAProofOfPossessionIsRefusedAndNotIgnored(t *testing.T) {
	s := tenant(t)
	for path, want := range map[string]string{
		"/oauth/token":                      `{"error":"invalid_request","error_description":"DPoP is not supported by this tenant"}`,
		"/userinfo":                         `{"error":"invalid_request","error_description":"DPoP is not supported by this tenant"}`,
		"/me/v1/connected-accounts/connect": `{"type":"https://auth0.com/api-errors/A0E-400-0001","status":400,"title":"Bad Request","detail":"DPoP is not supported by this tenant"}`,
		"/api/v2/users":                     `{"statusCode":400,"error":"Bad Request","message":"DPoP is not supported by this tenant"}`,
	} {
		req := request(t, http.MethodPost, s.URL+path, "application/json", "{}")
		req.Header.Set("Dpop", "proof")
		if a := do(t, http.DefaultClient, req); a.Status != 400 || a.Body != want {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
	if q := newBrowser(t).login(s, "alice", "dpop_jkt", "thumbprint"); q.Get("error") != "invalid_request" {
		t.Errorf("the callback got %v", q)
	}
}

func TestUserInfoChallengesWhoComesWithoutAGoodToken(t *testing.T) {
	s := tenant(t)
	const invalid = `Bearer realm="Users", error="invalid_token", error_description="The access token is invalid or expired"`
	for name, tt := range map[string]struct{ authorization, challenge string }{
		"no token":               {"", `Bearer realm="Users"`},
		"nonsense":               {"Bearer x", invalid},
		"another scheme":         {"Basic eDp5", invalid},
		"a token without openid": {"Bearer " + accessToken(t, s, func(r *auth0test.TokenRequest) { r.Scope = "read:calendar" }), invalid},
		"an expired token":       {"Bearer " + accessToken(t, s, func(r *auth0test.TokenRequest) { r.ExpiresIn = new(-1) }), invalid},
	} {
		req := request(t, http.MethodGet, s.URL+"/userinfo", "", "")
		if tt.authorization != "" {
			req.Header.Set("Authorization", tt.authorization)
		}
		a := do(t, http.DefaultClient, req)
		if a.Status != 401 || a.Header.Get("WWW-Authenticate") != tt.challenge || a.Body != "Unauthorized" {
			t.Errorf("%s: %d %q %s", name, a.Status, a.Header.Get("WWW-Authenticate"), a.Body)
		}
	}
}

// Clients compare the issuer with the domain they were given, which has no port.
func TestTheIssuerHasNoPortThatItsSchemeImplies(t *testing.T) {
	for given, want := range map[string]string{
		"https://localhost:443":  "https://localhost/",
		"https://localhost:443/": "https://localhost/",
		"http://localhost:80":    "http://localhost/",
		"https://[::1]:443":      "https://[::1]/",
		"https://localhost:80":   "https://localhost:80/",
		"http://localhost:8443":  "http://localhost:8443/",
	} {
		tn, err := auth0test.New(auth0test.Seeds(), auth0test.URLs{Issuer: given, Google: "http://google.test", GitHub: "http://github.test"})
		if err != nil {
			t.Fatal(err)
		}
		if tn.Issuer() != want {
			t.Errorf("%s: the issuer is %s", given, tn.Issuer())
		}
	}
}
