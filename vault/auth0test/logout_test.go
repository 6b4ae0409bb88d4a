package auth0test_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const afterLogout = "http://localhost:8090/bye"

// A signedIn is somebody in a browser, with the ID token of that login.
type signedIn struct {
	*browser
	s       *auth0test.Server
	idToken string
}

func logsIn(t *testing.T, s *auth0test.Server, user string) *signedIn {
	t.Helper()
	b := newBrowser(t)
	tokens := redeem(t, s, b.login(s, user).Get("code"))
	return &signedIn{b, s, tokens.JSON["id_token"].(string)}
}

func leavers(cfg *auth0test.Config) {
	cfg.Clients[2].AllowedLogoutURLs = []string{afterLogout, afterLogout + "?x=1"}
}

// logout opens the endpoint that discovery names.
func (in *signedIn) logout(pairs ...string) answer {
	in.t.Helper()
	endpoint, _ := get(in.t, in.s.URL+"/.well-known/openid-configuration", "").JSON["end_session_endpoint"].(string)
	return in.get(endpoint + "?" + values(pairs...).Encode())
}

func (in *signedIn) hasSession() bool {
	in.t.Helper()
	return in.login(in.s, "", "prompt", "none").Get("code") != ""
}

func TestLogoutEndsTheSessionAndComesBackWithTheState(t *testing.T) {
	s := tenant(t, leavers)
	hinted := func(in *signedIn) []string {
		return []string{"id_token_hint", in.idToken, "post_logout_redirect_uri", afterLogout, "state", "a b"}
	}
	for name, tt := range map[string]struct {
		asks func(*signedIn) []string
		want string
	}{
		"with the ID token":            {hinted, afterLogout + "?state=a+b"},
		"and the client it belongs to": {func(in *signedIn) []string { return append(hinted(in), "client_id", "demo-agent") }, afterLogout + "?state=a+b"},
		"with an expired ID token": {func(in *signedIn) []string {
			in.idToken = expiredIDToken(t, in)
			return hinted(in)
		}, afterLogout + "?state=a+b"},
		"with the session's id": {func(in *signedIn) []string {
			sid := claims(t, in.idToken)["sid"].(string)
			return []string{"logout_hint", sid, "client_id", "demo-agent", "post_logout_redirect_uri", afterLogout + "?x=1", "state", "st"}
		}, afterLogout + "?x=1&state=st"},
		"to the first of the client's URLs": {func(in *signedIn) []string { return []string{"id_token_hint", in.idToken} }, afterLogout},
	} {
		in := logsIn(t, s, "alice")
		if got := in.logout(tt.asks(in)...).location(t).String(); got != tt.want {
			t.Errorf("%s: went to %s", name, got)
		}
		if in.hasSession() {
			t.Errorf("%s: the session is still there", name)
		}
	}
}

// expiredIDToken is the person's ID token as it was a day ago.
func expiredIDToken(t *testing.T, in *signedIn) string {
	t.Helper()
	c := claims(t, in.idToken)
	tokens, err := in.s.IssueToken(auth0test.TokenRequest{
		User: "auth0|alice", ClientID: "demo-agent", ExpiresIn: new(-60),
		Claims: map[string]any{"sid": c["sid"], "aud": "demo-agent"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return tokens.AccessToken
}

// Anybody can send a browser to the logout endpoint: without a sign that the person
// wants it, they are asked.
func TestNobodyIsLoggedOutByAnotherSite(t *testing.T) {
	s := tenant(t, leavers)
	other := logsIn(t, s, "bob")
	for name, pairs := range map[string][]string{
		"nothing":                {"client_id", "demo-agent", "post_logout_redirect_uri", afterLogout},
		"another's ID token":     {"id_token_hint", other.idToken},
		"an invented session id": {"logout_hint", "sid", "client_id", "demo-agent"},
		"a confirmation":         {"client_id", "demo-agent", "action", "logout"},
	} {
		in := logsIn(t, s, "alice")
		page := in.logout(pairs...)
		if page.Status != 200 || !strings.Contains(page.Body, "want to log out") || !in.hasSession() {
			t.Errorf("%s: %d %s", name, page.Status, page.Body)
			continue
		}
		forged := request(t, http.MethodPost, s.URL+"/oidc/logout", "application/x-www-form-urlencoded", "action=logout")
		forged.Header.Set("Sec-Fetch-Site", "cross-site")
		if do(t, in.c, forged); !in.hasSession() {
			t.Errorf("%s: another site's form counted", name)
		}
		a := in.submit(page, s.URL+"/oidc/logout", url.Values{"action": {"logout"}})
		if a.location(t).String() != afterLogout || in.hasSession() {
			t.Errorf("%s, confirmed: %d %s", name, a.Status, a.Body)
		}
	}
	unasked := tenant(t, leavers, func(cfg *auth0test.Config) {
		cfg.Tenant.Sessions = &auth0test.SessionSettings{OIDCLogoutPromptEnabled: new(false)}
	})
	in := logsIn(t, unasked, "alice")
	if a := in.logout("client_id", "demo-agent"); a.location(t).String() != afterLogout || in.hasSession() {
		t.Errorf("where the tenant does not ask: %d %s", a.Status, a.Body)
	}
}

func TestLogoutGoesNowhereThatIsNotAllowed(t *testing.T) {
	s := tenant(t, leavers, func(cfg *auth0test.Config) { cfg.Tenant.AllowedLogoutURLs = []string{"http://localhost:1/all"} })
	in := logsIn(t, s, "alice")
	for name, pairs := range map[string][]string{
		"a URL that is not listed":      {"id_token_hint", in.idToken, "post_logout_redirect_uri", "https://evil.example/"},
		"another query":                 {"id_token_hint", in.idToken, "post_logout_redirect_uri", afterLogout + "?x=2"},
		"another client's":              {"client_id", "link-pages", "post_logout_redirect_uri", afterLogout},
		"the tenant's, with a client":   {"client_id", "demo-agent", "post_logout_redirect_uri", "http://localhost:1/all"},
		"a client's, without a client":  {"post_logout_redirect_uri", afterLogout},
		"an unknown client":             {"client_id", "nobody"},
		"no ID token":                   {"id_token_hint", "x.y.z"},
		"an access token":               {"id_token_hint", accessToken(t, s)},
		"an ID token of another client": {"id_token_hint", in.idToken, "client_id", "link-pages"},
		"an ID token and another sid":   {"id_token_hint", in.idToken, "logout_hint", "another"},
	} {
		if a := in.logout(pairs...); a.Status != 400 || a.Header.Get("Location") != "" || !in.hasSession() {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if a := newBrowser(t).get(s.URL + "/oidc/logout?post_logout_redirect_uri=" + url.QueryEscape("http://localhost:1/all")); a.Status != 302 {
		t.Errorf("the tenant's own URL: %d %s", a.Status, a.Body)
	}
}

func TestDiscoveryNamesTheLogoutEndpointUnlessTheTenantHasItOff(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) { cfg.Tenant.OIDCLogout = &auth0test.OIDCLogoutSettings{} })
	if got := get(t, s.URL+"/.well-known/openid-configuration", "").JSON["end_session_endpoint"]; got != nil {
		t.Errorf("announced: %v", got)
	}
	token := allScopes(t, s)
	a := call(t, s, token, http.MethodPatch, "/tenants/settings", `{"oidc_logout":{"rp_logout_end_session_endpoint_discovery":true}}`)
	if got := get(t, s.URL+"/.well-known/openid-configuration", "").JSON["end_session_endpoint"]; got != s.URL+"/oidc/logout" {
		t.Errorf("announced: %v after %d %s", got, a.Status, a.Body)
	}
}
