package auth0test_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// push is POST /oauth/par as the demo agent; pairs change the request.
func push(t *testing.T, s *auth0test.Server, pairs ...string) answer {
	t.Helper()
	return postForm(t, s.URL+"/oauth/par", pushForm(pairs...))
}

func pushForm(pairs ...string) url.Values {
	base := []string{
		"client_id", "demo-agent", "client_secret", "demo-agent-secret", "response_type", "code",
		"redirect_uri", agentBack, "state", "st", "scope", "openid", "nonce", "n1",
	}
	return values(append(base, pairs...)...)
}

func withPAR(cfg *auth0test.Config) { cfg.Settings.PushedAuthorizationRequestsSupported = true }

func TestPushedRequestLogsIn(t *testing.T) {
	s := tenant(t, withPAR)
	a := push(t, s, "max_age", "0")
	requestURI, _ := a.JSON["request_uri"].(string)
	if a.Status != 201 || !strings.HasPrefix(requestURI, "urn:ietf:params:oauth:request_uri:") || a.JSON["expires_in"] != 30.0 || len(a.JSON) != 2 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	b := newBrowser(t)
	// What comes beside the request_uri does not count.
	page, at := b.open(s.URL + "/authorize?" + values("client_id", "demo-agent", "request_uri", requestURI, "state", "x", "nonce", "x").Encode())
	_, end := b.follow(b.submit(page, at, values("username", "alice@example.com", "password", "alice-password")), at, agentBack)
	u, _ := url.Parse(end)
	if id := idToken(t, s, u.Query()); u.Query().Get("state") != "st" || id["nonce"] != "n1" || id["auth_time"] == nil {
		t.Errorf("%s: %v", end, id)
	}
	if a := b.get(s.URL + "/authorize?" + values("client_id", "demo-agent", "request_uri", requestURI).Encode()); a.Status != 400 {
		t.Errorf("a request_uri works twice: %d", a.Status)
	}
}

func TestRequestURIServesItsClientForThirtySeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := unheard(t, withPAR)
		pushed := func() string {
			t.Helper()
			a := do(t, b.c, request(t, http.MethodPost, s.URL+"/oauth/par", "application/x-www-form-urlencoded", pushForm().Encode()))
			return a.JSON["request_uri"].(string)
		}
		status := func(client, requestURI string) int {
			return b.get(s.URL + "/authorize?" + values("client_id", client, "request_uri", requestURI).Encode()).Status
		}
		uri := pushed()
		for _, client := range []string{"link-pages", ""} {
			if got := status(client, uri); got != 400 {
				t.Errorf("client %q: %d", client, got)
			}
		}
		time.Sleep(30 * time.Second)
		if got := status("demo-agent", uri); got != 302 {
			t.Errorf("after 30 s: %d", got)
		}
		uri = pushed()
		time.Sleep(31 * time.Second)
		if got := status("demo-agent", uri); got != 400 {
			t.Errorf("after 31 s: %d", got)
		}
	})
}

func TestPushingIsRefused(t *testing.T) {
	s := tenant(t, withPAR, func(cfg *auth0test.Config) {
		public := cfg.Clients[2]
		public.ClientID, public.TokenEndpointAuthMethod, public.ClientSecret = "public", "none", ""
		cfg.Clients = append(cfg.Clients, public)
	})
	for _, tt := range []struct {
		name  string
		pairs []string
		want  string
	}{
		{"wrong secret", []string{"client_secret", "x"}, "401 access_denied"},
		{"unknown client", []string{"client_id", "x"}, "401 access_denied"},
		{"public client", []string{"client_id", "public", "client_secret", ""}, "403 unauthorized_client"},
		{"foreign callback", []string{"redirect_uri", "https://evil.example/"}, "400 invalid_request"},
		{"no response type", []string{"response_type", ""}, "400 invalid_request"},
		{"request_uri", []string{"request_uri", "urn:x"}, "400 invalid_request"},
		{"unknown connection", []string{"connection", "x"}, "400 invalid_request"},
		{"over 10 KB", []string{"nonce", strings.Repeat("n", 10<<10)}, "413 invalid_request"},
	} {
		if got := refusal(push(t, s, tt.pairs...)); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	req := request(t, http.MethodPost, s.URL+"/oauth/par", "application/json", `{"client_id":"demo-agent","client_secret":"demo-agent-secret"}`)
	if got := refusal(do(t, http.DefaultClient, req)); got != "400 invalid_request" {
		t.Errorf("JSON: %s", got)
	}
}

func TestActionsSeeOfAPushedRequestWhatIsStored(t *testing.T) {
	var seen url.Values
	s := tenant(t, withPAR, withActions(auth0test.Action{Name: "look", OnExecutePostLogin: func(e event, _ api) { seen = e.Request.Query }}))
	pairs := []string{"login_hint", "x", "own", "x"}
	for n := range 12 {
		pairs = append(pairs, fmt.Sprintf("ext-%02d", n), "x")
	}
	requestURI := push(t, s, pairs...).JSON["request_uri"].(string)
	b := newBrowser(t)
	page, at := b.open(s.URL + "/authorize?" + values("client_id", "demo-agent", "request_uri", requestURI).Encode())
	b.follow(b.submit(page, at, values("username", "alice@example.com", "password", "alice-password")), at, agentBack)
	for name, want := range map[string]bool{"login_hint": true, "own": false, "client_secret": false, "ext-00": true, "ext-09": true, "ext-10": false} {
		if seen.Has(name) != want {
			t.Errorf("%s: %v", name, seen)
		}
	}
}

func TestAClientMayRequirePushedRequests(t *testing.T) {
	s := tenant(t, withPAR, func(cfg *auth0test.Config) { cfg.Clients[2].RequirePushedAuthorizationRequests = true })
	if q := newBrowser(t).login(s, "alice"); q.Get("error") != "invalid_request" || q.Has("code") {
		t.Errorf("%v", q)
	}
	requestURI := push(t, s).JSON["request_uri"].(string)
	if a := newBrowser(t).get(s.URL + "/authorize?" + values("client_id", "demo-agent", "request_uri", requestURI).Encode()); a.location(t).Path != "/u/login" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	cfg := auth0test.Seeds()
	cfg.Clients[2].RequirePushedAuthorizationRequests = true
	if _, err := auth0test.New(cfg, auth0test.URLs{Issuer: "http://t.test", Google: "http://g.test", GitHub: "http://h.test"}); err == nil {
		t.Error("required, but not supported by the tenant")
	}
}

// discovered is the endpoint that discovery names, and what it answers.
func discovered(t *testing.T, s *auth0test.Server) string {
	t.Helper()
	endpoint := get(t, s.URL+"/.well-known/openid-configuration", "").JSON["pushed_authorization_request_endpoint"]
	return strings.ReplaceAll(fmt.Sprint(endpoint, " ", push(t, s).Status), s.URL, "")
}
