package auth0test_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// exchangeDirectly calls the handler without a network.
func exchangeDirectly(t *testing.T, tn *auth0test.Tenant, connection string) answer {
	t.Helper()
	tokens, err := tn.IssueToken(auth0test.TokenRequest{User: "auth0|alice", ClientID: "demo-agent"})
	if err != nil {
		t.Fatal(err)
	}
	form := values("grant_type", vaultGrant, "client_id", "vault-exchange", "client_secret", "vault-exchange-secret",
		"subject_token", tokens.AccessToken, "subject_token_type", accessType, "requested_token_type", vaultType,
		"connection", connection)
	req := httptest.NewRequest("POST", tn.Issuer()+"oauth/token", strings.NewReader(form.Encode()))
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	tn.Handler().ServeHTTP(w, req)
	a := answer{Status: w.Code, Header: w.Header(), Body: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &a.JSON)
	return a
}

// directly posts to the My Account API as alice without a network.
func directly(t *testing.T, tn *auth0test.Tenant, path string, body any) answer {
	t.Helper()
	tokens, err := tn.IssueToken(auth0test.TokenRequest{
		User: "auth0|alice", ClientID: "link-pages", Audience: tn.Issuer() + "me/", Scope: meScopes,
	})
	if err != nil {
		t.Fatal(err)
	}
	data, _ := json.Marshal(body)
	req := httptest.NewRequest("POST", strings.TrimSuffix(tn.Issuer(), "/")+path, strings.NewReader(string(data)))
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+tokens.AccessToken)
	w := httptest.NewRecorder()
	tn.Handler().ServeHTTP(w, req)
	a := answer{Status: w.Code, Header: w.Header(), Body: w.Body.String()}
	_ = json.Unmarshal(w.Body.Bytes(), &a.JSON)
	return a
}

// unheard is a tenant on the seeds that does not listen, and a browser that
// reaches it all the same: for a bubble's clock.
func unheard(t *testing.T, change ...func(*auth0test.Config)) (*auth0test.Server, *browser) {
	t.Helper()
	const base = "http://tenant.test"
	cfg := auth0test.Seeds()
	for _, f := range change {
		f(&cfg)
	}
	tn, err := auth0test.New(cfg, auth0test.URLs{Issuer: base, Google: "http://google.test", GitHub: "http://github.test"})
	if err != nil {
		t.Fatal(err)
	}
	b := newBrowser(t)
	b.c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		tn.Handler().ServeHTTP(w, r)
		return w.Result(), nil
	})
	return &auth0test.Server{Tenant: tn, URL: base}, b
}

// A roundTripper is a function as an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
