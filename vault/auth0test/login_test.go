package auth0test_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

func TestLoginWithCodePKCEAndNonce(t *testing.T) {
	s := tenant(t)
	q := newBrowser(t).login(s, "alice", "nonce", "n1", "code_challenge", challenge, "code_challenge_method", "S256",
		"scope", "openid profile email read:calendar unknown:scope", "max_age", "60")
	if q.Get("state") != "st" || q.Get("code") == "" {
		t.Fatalf("callback got %v", q)
	}
	a := redeem(t, s, q.Get("code"), "code_verifier", verifier)
	if a.Status != 200 || a.JSON["token_type"] != "Bearer" || a.JSON["expires_in"] != 86400.0 || a.JSON["refresh_token"] != nil {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a.JSON["scope"] != "openid profile email read:calendar" {
		t.Errorf("a scope that the API does not have was granted: %v", a.JSON["scope"])
	}
	id := claims(t, a.JSON["id_token"].(string))
	if id["sub"] != "auth0|alice" || id["nonce"] != "n1" || id["aud"] != "demo-agent" || id["email"] != "alice@example.com" || id["auth_time"] == nil {
		t.Errorf("ID token %v", id)
	}
	access := a.JSON["access_token"].(string)
	if c := claims(t, access); c["azp"] != "demo-agent" || c["sub"] != "auth0|alice" {
		t.Errorf("access token %v", c)
	}
	if info := get(t, s.URL+"/userinfo", access); info.Status != 200 || info.JSON["email"] != "alice@example.com" {
		t.Errorf("userinfo: %d %s", info.Status, info.Body)
	}
}

func TestCodesAreRefusedUnlessEverythingFits(t *testing.T) {
	s := tenant(t)
	b := newBrowser(t)
	code := func(pairs ...string) string { return b.login(s, "alice", pairs...).Get("code") }
	pkce := []string{"code_challenge", challenge, "code_challenge_method", "S256"}
	tests := []struct {
		name, code  string
		pairs       []string
		description string
	}{
		{"unknown code", "x", nil, "Invalid authorization code"},
		{"another client's code", code(), []string{"client_id", "link-pages", "client_secret", "link-pages-secret"}, "Invalid authorization code"},
		{"other redirect_uri", code(), []string{"redirect_uri", callback}, "The redirect URI is wrong. You sent " + callback + ", and we expected " + agentBack},
		{"no redirect_uri", code(), []string{"redirect_uri", ""}, "The redirect URI is wrong. You sent , and we expected " + agentBack},
		{"wrong verifier", code(pkce...), []string{"code_verifier", strings.Repeat("x", 43)}, "Failed to verify code verifier"},
		{"no verifier", code(pkce...), nil, "Failed to verify code verifier"},
		{"verifier without a challenge", code(), []string{"code_verifier", verifier}, "Failed to verify code verifier"},
	}
	for _, tt := range tests {
		a := redeem(t, s, tt.code, tt.pairs...)
		if a.Status != 403 || a.code() != "invalid_grant" || a.JSON["error_description"] != tt.description {
			t.Errorf("%s: %d %s", tt.name, a.Status, a.Body)
		}
		if tt.code != "x" {
			if a := redeem(t, s, tt.code); a.Status != 403 {
				t.Errorf("%s: the failed attempt did not spend the code", tt.name)
			}
		}
	}
	once := code()
	if a := redeem(t, s, once); a.Status != 200 {
		t.Fatal(a.Body)
	}
	if a := redeem(t, s, once); a.Status != 403 {
		t.Error("a code works twice")
	}
}

func TestSessionSparesTheSecondLogin(t *testing.T) {
	s := tenant(t)
	b := newBrowser(t)
	none := []string{"prompt", "none"}
	if q := b.login(s, "alice", none...); q.Get("error") != "login_required" || q.Get("state") != "st" {
		t.Errorf("without a session: %v", q)
	}
	b.login(s, "alice")
	if q := b.login(s, "nobody", none...); q.Get("code") == "" {
		t.Errorf("with a session: %v", q)
	}
	again := values("response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack, "prompt", "login")
	if page, _ := b.open(s.URL+"/authorize?"+again.Encode(), agentBack); page.Status != 200 {
		t.Errorf("prompt=login shows no login page: %d", page.Status)
	}
	if a := b.get(s.URL + "/v2/logout"); a.Status != 200 {
		t.Errorf("logout: %d", a.Status)
	}
	if q := b.login(s, "alice", none...); q.Get("error") != "login_required" {
		t.Errorf("after the logout: %v", q)
	}
}

func TestMaxAgeAsksForARecentLogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := unheard(t)
		idToken := func(q url.Values) map[string]any {
			t.Helper()
			form := values("grant_type", "authorization_code", "client_id", "demo-agent", "client_secret", "demo-agent-secret",
				"code", q.Get("code"), "redirect_uri", agentBack)
			a := do(t, b.c, request(t, http.MethodPost, s.URL+"/oauth/token", "application/x-www-form-urlencoded", form.Encode()))
			if a.Status != 200 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			return claims(t, a.JSON["id_token"].(string))
		}
		recent, silently := []string{"max_age", "300"}, []string{"max_age", "300", "prompt", "none"}
		began := time.Now()
		if c := idToken(b.login(s, "alice")); c["auth_time"] != nil {
			t.Errorf("auth_time without max_age: %v", c)
		}
		time.Sleep(300 * time.Second)
		if c := idToken(b.login(s, "nobody", silently...)); c["auth_time"] != float64(began.Unix()) {
			t.Errorf("a session of 300 s: %v, logged in at %d", c, began.Unix())
		}
		time.Sleep(time.Second)
		if q := b.login(s, "nobody", silently...); q.Get("error") != "login_required" {
			t.Errorf("a session of 301 s, silently: %v", q)
		}
		q := values("response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack, "max_age", "300")
		if page, at := b.open(s.URL+"/authorize?"+q.Encode(), agentBack); page.Status != 200 || !strings.HasPrefix(at, s.URL+"/u/login?") {
			t.Errorf("a session of 301 s: no login page but %d at %s", page.Status, at)
		}
		if c := idToken(b.login(s, "alice", recent...)); c["auth_time"] != float64(time.Now().Unix()) {
			t.Errorf("after logging in again: %v at %d", c, time.Now().Unix())
		}
		if q := b.login(s, "nobody", silently...); q.Get("code") == "" {
			t.Errorf("the new session does not count: %v", q)
		}
	})
}

// Auth0: "If the client_id parameter is included and the returnTo URL is NOT
// set, the server returns the user to the first Allowed Logout URLs".
func TestLogoutGoesWhereTheClientAllows(t *testing.T) {
	s := tenant(t)
	const accounts = "http://localhost:8080/auth/accounts"
	for name, tt := range map[string]struct {
		query  url.Values
		status int
		target string
	}{
		"nothing said":            {values(), 200, ""},
		"a client":                {values("client_id", "link-pages"), 302, accounts},
		"a client without URLs":   {values("client_id", "demo-agent"), 200, ""},
		"an unknown client":       {values("client_id", "x"), 200, ""},
		"an allowed URL":          {values("client_id", "link-pages", "returnTo", "http://127.0.0.1:8080/auth/accounts"), 302, "http://127.0.0.1:8080/auth/accounts"},
		"another URL":             {values("client_id", "link-pages", "returnTo", "https://evil.example/"), 400, ""},
		"another client's":        {values("client_id", "demo-agent", "returnTo", accounts), 400, ""},
		"a URL, and no client":    {values("returnTo", accounts), 400, ""},
		"a URL of unknown client": {values("client_id", "x", "returnTo", accounts), 400, ""},
	} {
		b := newBrowser(t)
		b.login(s, "alice")
		a := b.get(s.URL + "/v2/logout?" + tt.query.Encode())
		if a.Status != tt.status || a.Header.Get("Location") != tt.target {
			t.Errorf("%s: %d to %q, want %d to %q", name, a.Status, a.Header.Get("Location"), tt.status, tt.target)
		}
		if q := b.login(s, "nobody", "prompt", "none"); q.Get("error") != "login_required" {
			t.Errorf("%s: still logged in: %v", name, q)
		}
	}
}

func TestWrongPasswordStaysOnTheLoginPage(t *testing.T) {
	s := tenant(t)
	b := newBrowser(t)
	q := values("response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack)
	page, at := b.open(s.URL + "/authorize?" + q.Encode())
	for _, fields := range []url.Values{
		values("username", "alice@example.com", "password", "bob-password"),
		values("username", "<b>@example.com", "password", "x"), values(),
	} {
		a := b.submit(page, at, fields)
		if a.Status != 400 || !strings.Contains(a.Body, "Wrong email or password") || strings.Contains(a.Body, "<b>") {
			t.Errorf("%v: %d %s", fields, a.Status, a.Body)
		}
	}
	// The page belongs to the browser that began.
	if a := newBrowser(t).submit(page, at, values("username", "alice@example.com", "password", "alice-password")); a.Status != 400 {
		t.Errorf("another browser's login page works: %d", a.Status)
	}
	a := b.submit(page, at, values("username", "alice@example.com", "password", "alice-password"))
	if _, end := b.follow(a, at, agentBack); !strings.HasPrefix(end, agentBack+"?code=") {
		t.Errorf("the right password led to %s", end)
	}
}

func TestAuthorizeNeverRedirectsToAnUnregisteredCallback(t *testing.T) {
	s := tenant(t)
	b := newBrowser(t)
	for name, pairs := range map[string][]string{
		"unknown client":     {"client_id", "x"},
		"no client":          {"client_id", ""},
		"foreign callback":   {"redirect_uri", "https://evil.example/"},
		"callback plus":      {"redirect_uri", agentBack + "/x"},
		"callback query":     {"redirect_uri", agentBack + "?x=1"},
		"other client's":     {"redirect_uri", callback},
		"no callbacks there": {"client_id", "vault-exchange"},
	} {
		base := []string{"response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack}
		a := b.get(s.URL + "/authorize?" + values(append(base, pairs...)...).Encode())
		if a.Status/100 != 4 || a.Header.Get("Location") != "" || !strings.Contains(a.Body, "<h1>") {
			t.Errorf("%s: %d %s", name, a.Status, a.Header.Get("Location"))
		}
	}
}

func TestAuthorizeSendsOtherErrorsToTheCallback(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) {
		cfg.ResourceServers = append(cfg.ResourceServers, auth0test.ResourceServer{
			Identifier:               "https://closed.example.com/",
			SubjectTypeAuthorization: &auth0test.SubjectTypeAuthorization{User: &auth0test.AccessPolicy{Policy: "require_client_grant"}},
		})
		cfg.Clients[1].OrganizationUsage = "deny"
	})
	me := s.Issuer() + "me/"
	tests := []struct {
		name  string
		pairs []string
		code  string
		text  string
	}{
		{"implicit", []string{"response_type", "token"}, "unsupported_response_type", "Unsupported response type: token"},
		{"no response type", []string{"response_type", ""}, "invalid_request", "Missing required parameter: response_type"},
		{"My Account API without a grant", []string{"audience", me}, "invalid_request", `Client "demo-agent" is not authorized to access resource server "` + me + `".`},
		{"closed API", []string{"audience", "https://closed.example.com/"}, "invalid_request", ""},
		{"unknown API", []string{"audience", "https://x/"}, "access_denied", "Service not found: https://x/"},
		{"unknown organization", []string{"organization", "org_x"}, "invalid_request", ""},
		{"client without organizations", []string{"client_id", "link-pages", "redirect_uri", callback, "organization", "org_example"}, "invalid_request", ""},
		{"PKCE method", []string{"code_challenge", challenge, "code_challenge_method", "S1"}, "invalid_request", ""},
		{"max_age", []string{"max_age", "soon"}, "invalid_request", ""},
		{"fragment", []string{"response_mode", "fragment"}, "invalid_request", ""},
		{"prompts", []string{"prompt", "none login"}, "invalid_request", ""},
	}
	for _, tt := range tests {
		q := newBrowser(t).login(s, "alice", tt.pairs...)
		if q.Get("error") != tt.code || q.Get("state") != "st" || (tt.text != "" && q.Get("error_description") != tt.text) {
			t.Errorf("%s: %v", tt.name, q)
		}
	}
}

func TestMyAccountTokenNeedsAUserGrant(t *testing.T) {
	s := tenant(t)
	q := newBrowser(t).login(s, "alice", "client_id", "link-pages", "redirect_uri", callback, "audience", s.Issuer()+"me/", "scope", meScopes+" offline_access")
	a := redeem(t, s, q.Get("code"), "client_id", "link-pages", "client_secret", "link-pages-secret", "redirect_uri", callback)
	if a.Status != 200 || a.JSON["scope"] != meScopes+" offline_access" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	machine := postForm(t, s.URL+"/oauth/token", values("grant_type", "client_credentials", "client_id", "demo-agent",
		"client_secret", "demo-agent-secret", "audience", s.Issuer()+"me/"))
	if machine.Status != 403 || machine.code() != "access_denied" {
		t.Errorf("a machine got My Account access: %d %s", machine.Status, machine.Body)
	}
}

func TestOrganizationGoesIntoTheTokensOfMembers(t *testing.T) {
	s := tenant(t, settings(func(set *auth0test.Settings) { set.Organizations[0].Members = []string{"auth0|alice"} }))
	q := newBrowser(t).login(s, "alice", "organization", "org_example")
	a := redeem(t, s, q.Get("code"))
	for _, token := range []string{"access_token", "id_token"} {
		if c := claims(t, a.JSON[token].(string)); c["org_id"] != "org_example" {
			t.Errorf("%s: %v", token, c)
		}
	}
	if q := newBrowser(t).login(s, "bob", "organization", "org_example"); q.Get("error") != "access_denied" {
		t.Errorf("bob is no member: %v", q)
	}
}

func TestRefreshTokens(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) {
		cfg.ResourceServers = append(cfg.ResourceServers, auth0test.ResourceServer{
			Identifier: "https://mrrt.example.com/", Scopes: []auth0test.Scope{{Value: "a"}, {Value: "b"}},
		})
		agent := &cfg.Clients[2]
		agent.RefreshToken = &auth0test.RefreshToken{
			Policies: []auth0test.RefreshPolicy{{Audience: "https://mrrt.example.com/", Scope: []string{"a"}}},
		}
		rotating := *agent
		rotating.ClientID, rotating.RefreshToken = "rotating", &auth0test.RefreshToken{RotationType: "rotating"}
		cfg.Clients = append(cfg.Clients, rotating)
		cfg.ClientGrants = append(cfg.ClientGrants, auth0test.ClientGrant{ClientID: "rotating", Audience: audience, SubjectType: "user"})
	})
	refreshed := func(client, token string, pairs ...string) answer {
		base := []string{"grant_type", "refresh_token", "client_id", client, "client_secret", "demo-agent-secret", "refresh_token", token}
		return postForm(t, s.URL+"/oauth/token", values(append(base, pairs...)...))
	}
	first := func(client string) string {
		q := newBrowser(t).login(s, "alice", "client_id", client, "scope", "openid read:calendar offline_access")
		return redeem(t, s, q.Get("code"), "client_id", client).JSON["refresh_token"].(string)
	}

	rt := first("demo-agent")
	a := refreshed("demo-agent", rt)
	if a.Status != 200 || a.JSON["refresh_token"] != nil || a.JSON["scope"] != "openid read:calendar offline_access" || a.JSON["id_token"] == nil {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if c := claims(t, a.JSON["access_token"].(string)); c["gty"] != "refresh_token" || c["sub"] != "auth0|alice" {
		t.Errorf("claims %v", c)
	}
	if a := refreshed("demo-agent", rt, "scope", "read:calendar write:calendar"); a.JSON["scope"] != "read:calendar" {
		t.Errorf("fewer scopes: %s", a.Body)
	}
	if a := refreshed("demo-agent", rt, "audience", "https://mrrt.example.com/", "scope", "a b"); a.JSON["scope"] != "a" {
		t.Errorf("a scope outside the policy must go without a word: %s", a.Body)
	}
	if a := refreshed("demo-agent", rt, "audience", s.Issuer()+"me/"); a.Status != 400 || a.code() != "invalid_request" {
		t.Errorf("an API outside the policies: %d %s", a.Status, a.Body)
	}
	for _, bad := range []answer{refreshed("demo-agent", "x"), refreshed("rotating", rt)} {
		if bad.Status != 403 || bad.code() != "invalid_grant" || bad.JSON["error_description"] != "Unknown or invalid refresh token." {
			t.Errorf("%d %s", bad.Status, bad.Body)
		}
	}
	revoke := postForm(t, s.URL+"/oauth/revoke", values("client_id", "demo-agent", "client_secret", "demo-agent-secret", "token", rt))
	if revoke.Status != 200 || revoke.Body != "" || refreshed("demo-agent", rt).Status != 403 {
		t.Errorf("revocation: %d %s", revoke.Status, revoke.Body)
	}

	old := first("rotating")
	fresh, _ := refreshed("rotating", old).JSON["refresh_token"].(string)
	if fresh == "" || fresh == old {
		t.Fatal("no rotation")
	}
	if refreshed("rotating", old).Status != 403 || refreshed("rotating", fresh).Status != 403 {
		t.Error("reuse of a rotated token must end the whole family")
	}
}

func TestMachinesGetWhatTheirGrantHas(t *testing.T) {
	s := tenant(t)
	machine := func(pairs ...string) answer {
		base := []string{"grant_type", "client_credentials", "client_id", "demo-agent", "client_secret", "demo-agent-secret", "audience", audience}
		return postForm(t, s.URL+"/oauth/token", values(append(base, pairs...)...))
	}
	a := machine()
	if a.Status != 200 || a.JSON["scope"] != "read:calendar write:calendar read:repos" || a.JSON["id_token"] != nil {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if c := claims(t, a.JSON["access_token"].(string)); c["sub"] != "demo-agent@clients" || c["gty"] != "client-credentials" {
		t.Errorf("%v", c)
	}
	if a := machine("scope", "read:calendar x"); a.JSON["scope"] != "read:calendar" {
		t.Errorf("%s", a.Body)
	}
	for name, a := range map[string]answer{
		"no audience":      machine("audience", ""),
		"unknown audience": machine("audience", "https://x/"),
	} {
		if a.Status != 403 || a.code() != "access_denied" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if a := machine("client_id", "link-pages", "client_secret", "link-pages-secret"); a.Status != 403 || a.code() != "unauthorized_client" {
		t.Errorf("grant not allowed: %d %s", a.Status, a.Body)
	}
}

func TestTokenWithoutAPIIsOpaqueAndGoodForUserInfo(t *testing.T) {
	s := tenant(t)
	q := newBrowser(t).login(s, "bob", "audience", "", "scope", "openid profile")
	token := redeem(t, s, q.Get("code")).JSON["access_token"].(string)
	if a := get(t, s.URL+"/userinfo", token); a.Status != 200 || a.JSON["sub"] != "auth0|bob" || a.JSON["name"] != "Bob Example" || a.JSON["email"] != nil {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := exchange(t, s, token); a.code() != "invalid_grant" {
		t.Errorf("an opaque token is a subject: %s", a.Body)
	}
	for _, bad := range []string{"", "x", accessToken(t, s, func(r *auth0test.TokenRequest) { r.Scope = "" })} {
		if a := get(t, s.URL+"/userinfo", bad); a.Status != 401 {
			t.Errorf("%q: %d", bad, a.Status)
		}
	}
}

func TestTokenEndpointRefusesBadRequests(t *testing.T) {
	s := tenant(t)
	token := s.URL + "/oauth/token"
	twice := "grant_type=client_credentials&client_id=demo-agent&client_id=x"
	both := request(t, http.MethodPost, token, "application/x-www-form-urlencoded", "grant_type=client_credentials&client_id=demo-agent&client_secret=y")
	both.SetBasicAuth("demo-agent", "demo-agent-secret")
	for name, req := range map[string]*http.Request{
		"a parameter twice":   request(t, http.MethodPost, token, "application/x-www-form-urlencoded", twice),
		"not JSON":            request(t, http.MethodPost, token, "application/json", "{"),
		"not a string":        request(t, http.MethodPost, token, "application/json", `{"grant_type":["x"]}`),
		"another body":        request(t, http.MethodPost, token, "text/plain", "grant_type=client_credentials"),
		"two authentications": both,
	} {
		if a := do(t, http.DefaultClient, req); a.Status != 400 || a.code() != "invalid_request" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}
