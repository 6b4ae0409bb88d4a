package auth0test_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const currentUser = "read:current_user update:current_user_identities update:current_user_metadata"

// machineToken is the seeds' machine's for the Management API, by the token
// endpoint.
func machineToken(t *testing.T, s *auth0test.Server) string {
	t.Helper()
	a := postForm(t, s.URL+"/oauth/token", values("grant_type", "client_credentials", "client_id", "tenant-management",
		"client_secret", "tenant-management-secret", "audience", s.URL+"/api/v2/"))
	token, _ := a.JSON["access_token"].(string)
	if token == "" {
		t.Fatalf("no token: %d %s", a.Status, a.Body)
	}
	return token
}

// scopedToken has any scopes of the Management API; a user's when user is set.
func scopedToken(t *testing.T, s *auth0test.Server, user, scope string) string {
	t.Helper()
	tokens, err := s.IssueToken(auth0test.TokenRequest{
		User: user, ClientID: "link-pages", Audience: s.URL + "/api/v2/", Scope: scope,
	})
	if err != nil {
		t.Fatal(err)
	}
	return tokens.AccessToken
}

// idTokenOf is a user's for a client.
func idTokenOf(t *testing.T, s *auth0test.Server, user, client string) string {
	t.Helper()
	tokens, err := s.IssueToken(auth0test.TokenRequest{User: user, ClientID: client})
	if err != nil {
		t.Fatal(err)
	}
	return tokens.IDToken
}

// call asks the Management API; a body makes it JSON.
func call(t *testing.T, s *auth0test.Server, token, method, path, body string) answer {
	t.Helper()
	contentType := ""
	if body != "" {
		contentType = "application/json"
	}
	req := request(t, method, s.URL+"/api/v2"+path, contentType, body)
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(t, http.DefaultClient, req)
}

// wantError wants the envelope of the Management API.
func wantError(t *testing.T, a answer, status int, code, message string) {
	t.Helper()
	gotCode, _ := a.JSON["errorCode"].(string)
	gotMessage, _ := a.JSON["message"].(string)
	if a.Status != status || a.JSON["statusCode"] != float64(status) || a.JSON["error"] != http.StatusText(status) ||
		gotCode != code || !strings.Contains(gotMessage, message) {
		t.Errorf("%d %s, want %d %s %s", a.Status, a.Body, status, code, message)
	}
}

const (
	alicePath = "/users/auth0%7Calice"
	bobPath   = "/users/auth0%7Cbob"
)

func TestManagementTokensComeFromAClientGrant(t *testing.T) {
	s := tenant(t)
	scopes := strings.Fields(claims(t, machineToken(t, s))["scope"].(string))
	if !slices.Contains(scopes, "update:users") || slices.Contains(scopes, "delete:users") {
		t.Errorf("scopes %v", scopes)
	}
	a := postForm(t, s.URL+"/oauth/token", values("grant_type", "client_credentials", "client_id", "demo-agent",
		"client_secret", "demo-agent-secret", "audience", s.URL+"/api/v2/"))
	if a.Status != 403 || a.code() != "access_denied" {
		t.Errorf("without a grant: %d %s", a.Status, a.Body)
	}
}

func TestUsersGetOnlyCurrentUserScopesOfTheManagementAPI(t *testing.T) {
	s := tenant(t)
	q := newBrowser(t).login(s, "alice", "audience", s.URL+"/api/v2/", "scope", "openid offline_access read:users update:users "+currentUser)
	a := redeem(t, s, q.Get("code"))
	if a.JSON["scope"] != "openid "+currentUser || a.JSON["refresh_token"] != nil {
		t.Errorf("%s", a.Body)
	}
}

func TestMultiResourceRefreshTokensNeverReachTheManagementAPI(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) {
		cfg.Clients[2].RefreshToken = &auth0test.RefreshToken{Policies: []auth0test.RefreshPolicy{
			{Audience: "{tenant}/api/v2/", Scope: strings.Fields(currentUser)},
		}}
	})
	q := newBrowser(t).login(s, "alice", "scope", "openid offline_access read:calendar")
	refresh, _ := redeem(t, s, q.Get("code")).JSON["refresh_token"].(string)
	a := postForm(t, s.URL+"/oauth/token", values("grant_type", "refresh_token", "client_id", "demo-agent",
		"client_secret", "demo-agent-secret", "refresh_token", refresh, "audience", s.URL+"/api/v2/"))
	if refresh == "" || a.Status != 400 || a.code() != "invalid_request" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestManagementRefusesBadTokens(t *testing.T) {
	s := tenant(t)
	expired, _ := s.IssueToken(auth0test.TokenRequest{ClientID: "x", Audience: s.URL + "/api/v2/", Scope: "read:users", ExpiresIn: new(-1)})
	for name, tt := range map[string]struct {
		token         string
		status        int
		code, message string
	}{
		"none":             {"", 401, "", "Missing authentication"},
		"no JWT":           {"opaque", 400, "Bearer", "Bad HTTP authentication header format"},
		"forged":           {machineToken(t, s) + "x", 401, "", "Invalid token"},
		"expired":          {expired.AccessToken, 401, "", "Expired token received for JSON Web Token validation"},
		"another API's":    {accessToken(t, s), 401, "", "Bad audience: " + audience},
		"an ID token":      {idTokenOf(t, s, "auth0|alice", "link-pages"), 401, "", "Bad audience: link-pages"},
		"without scope":    {scopedToken(t, s, "", "read:clients"), 403, "insufficient_scope", "Insufficient scope, expected any of: read:users,read:current_user"},
		"another user's":   {scopedToken(t, s, "auth0|bob", currentUser), 403, "unowned_resource", "User to be acted on does not match subject in bearer token."},
		"a user's, no own": {scopedToken(t, s, "auth0|alice", "update:current_user_metadata"), 403, "insufficient_scope", "read:current_user"},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, call(t, s, tt.token, "GET", alicePath, ""), tt.status, tt.code, tt.message)
		})
	}
}

func TestAUserReadsAndAnnotatesThemselvesOnly(t *testing.T) {
	s := tenant(t)
	token := scopedToken(t, s, "auth0|alice", currentUser)
	if a := call(t, s, token, "GET", alicePath, ""); a.Status != 200 || a.JSON["user_id"] != "auth0|alice" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	a := call(t, s, token, "PATCH", alicePath, `{"user_metadata":{"colour":"blue"}}`)
	if m, _ := a.JSON["user_metadata"].(map[string]any); a.Status != 200 || m["colour"] != "blue" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, body := range []string{`{"email_verified":true}`, `{"app_metadata":{"admin":true}}`, `{"password":"x"}`} {
		if a := call(t, s, token, "PATCH", alicePath, body); a.Status != 403 {
			t.Errorf("%s: %d %s", body, a.Status, a.Body)
		}
	}
}

func TestUsersAreFoundByEmailAndQuery(t *testing.T) {
	s := tenant(t)
	token := machineToken(t, s)
	ids := func(path string) string {
		t.Helper()
		a := call(t, s, token, "GET", path, "")
		users, err := listOf(a)
		if err != nil {
			t.Fatalf("%s: %d %s", path, a.Status, a.Body)
		}
		out := []string{}
		for _, u := range users {
			out = append(out, u["user_id"].(string))
		}
		return strings.Join(out, " ")
	}
	search := func(q string) string { return "/users?search_engine=v3&q=" + url.QueryEscape(q) }
	for path, want := range map[string]string{
		"/users-by-email?email=alice@example.com":                   "auth0|alice",
		"/users-by-email?email=Alice@example.com":                   "", // exact
		search(`email:"alice@example.com"`):                         "auth0|alice",
		search(`identities.user_id:"bob"`):                          "auth0|bob",
		search(`user_id:"auth0|bob" AND email:"bob@example.com"`):   "auth0|bob",
		search(`user_id:"auth0|bob" AND email:"alice@example.com"`): "",
		"/users":                     "auth0|alice auth0|bob",
		"/users?per_page=1&page=1":   "auth0|bob",
		"/users?fields=user_id&q=":   "auth0|alice auth0|bob",
		"/users?per_page=100&page=7": "",
	} {
		if got := ids(path); got != want {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	for path, code := range map[string]string{
		search(`email:alice*`):         "invalid_query_string",
		search(`nickname:"alice"`):     "invalid_query_string",
		"/users?per_page=101":          "invalid_query_string",
		"/users?nonsense=1":            "invalid_query_string",
		"/users?sort=email:1":          "invalid_query_string", // not built
		"/users?search_engine=v1":      "invalid_query_string",
		"/users-by-email":              "invalid_query_string",
		"/users-by-email?mail=a@b.com": "invalid_query_string",
	} {
		wantError(t, call(t, s, token, "GET", path, ""), 400, code, "")
	}
}

func TestManagementRefusesBadBodies(t *testing.T) {
	s := tenant(t)
	token := scopedToken(t, s, "", "update:users create:users")
	for body, message := range map[string]string{
		`{"nonsense":1}`:     "Payload validation error: 'Additional properties not allowed: nonsense'.",
		`{"EMAIL":"x"}`:      "Payload validation error: 'Additional properties not allowed: EMAIL'.",
		`{"user_id":"x"}`:    "Payload validation error: 'Additional properties not allowed: user_id'.",
		`{"email":7}`:        "Payload validation error: 'Expected type string but found type number' on property 'email'.",
		`["email"]`:          "Payload validation error:",
		`{"blocked":"true"}`: "Expected type boolean but found type string",
	} {
		wantError(t, call(t, s, token, "PATCH", alicePath, body), 400, "invalid_body", message)
	}
	wantError(t, call(t, s, token, "PATCH", alicePath, `{`), 400, "", "Invalid request payload JSON format")
	wantError(t, call(t, s, token, "POST", "/users", `{"email":"x@example.com"}`), 400, "invalid_body", "Missing required property: connection")
	req := request(t, "PATCH", s.URL+"/api/v2"+alicePath, "text/plain", `{}`)
	req.Header.Set("Authorization", "Bearer "+token)
	wantError(t, do(t, http.DefaultClient, req), 415, "", "Unsupported Media Type")
}

func TestUsersAreCreatedInDatabasesOnly(t *testing.T) {
	s := tenant(t)
	token := scopedToken(t, s, "", "create:users update:users read:users")
	a := call(t, s, token, "POST", "/users",
		`{"connection":"Username-Password-Authentication","email":"Carol@Example.com","password":"carol-password","user_id":"carol"}`)
	if a.Status != 201 || a.JSON["user_id"] != "auth0|carol" || a.JSON["email"] != "carol@example.com" || strings.Contains(a.Body, "carol-password") {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if q := newBrowser(t).login(s, "carol"); q.Get("code") == "" {
		t.Errorf("%v", q)
	}
	for body, want := range map[string][]any{
		`"connection":"Username-Password-Authentication","email":"carol@example.com","password":"x"`:               {409, "auth0_idp_error"},
		`"connection":"Username-Password-Authentication","email":"d@example.com","password":"x","user_id":"carol"`: {409, "auth0_idp_error"},
		`"connection":"Username-Password-Authentication","email":"d@example.com"`:                                  {400, "invalid_body"},
		`"connection":"google-oauth2","email":"d@example.com","password":"x"`:                                      {400, "operation_not_supported"},
		`"connection":"nothing","email":"d@example.com","password":"x"`:                                            {400, "inexistent_connection"},
	} {
		wantError(t, call(t, s, token, "POST", "/users", "{"+body+"}"), want[0].(int), want[1].(string), "")
	}
}

func TestMetadataIsMergedMemberByMember(t *testing.T) {
	s := tenant(t)
	token := scopedToken(t, s, "", "update:users")
	for _, tt := range []struct{ patch, metadata string }{
		{`{"user_metadata":{"a":1,"b":2}}`, "map[a:1 b:2]"},
		{`{"user_metadata":{"b":null,"c":3}}`, "map[a:1 c:3]"},
		{`{"nickname":"al"}`, "map[a:1 c:3]"},
		{`{"user_metadata":{}}`, "<nil>"},
	} {
		a := call(t, s, token, "PATCH", alicePath, tt.patch)
		if got := fmt.Sprint(a.JSON["user_metadata"]); a.Status != 200 || got != tt.metadata {
			t.Errorf("%s: %d %s", tt.patch, a.Status, a.Body)
		}
	}
}

// For the race detector: whoever reads has a configuration that nobody changes.
func TestTheTenantChangesWhileItServes(t *testing.T) {
	s := tenant(t)
	token := scopedToken(t, s, "", "update:users read:users create:users")
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for range 5 {
				call(t, s, token, "PATCH", alicePath, `{"nickname":"al"}`)
				call(t, s, token, "POST", "/users", fmt.Sprintf(`{"connection":"Username-Password-Authentication","email":"u%d@example.com","password":"x"}`, i))
				call(t, s, token, "GET", "/users", "")
				exchange(t, s, accessToken(t, s))
				s.Config()
			}
		})
	}
	wg.Wait()
	if n := len(s.Config().Users); n != 6 {
		t.Errorf("%d users", n)
	}
}

func TestDeletingAUserEndsWhatIsTheirs(t *testing.T) {
	s := tenant(t)
	b := newBrowser(t)
	q := b.login(s, "alice", "scope", "openid offline_access read:calendar")
	refresh, _ := redeem(t, s, q.Get("code")).JSON["refresh_token"].(string)
	connect(t, s, "auth0|alice", "google-oauth2", nil, "")
	token := scopedToken(t, s, "", "delete:users read:users")
	for range 2 { // nobody to delete is no error
		if a := call(t, s, token, "DELETE", alicePath, ""); a.Status != 204 || a.Body != "" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	wantError(t, call(t, s, token, "GET", alicePath, ""), 404, "inexistent_user", "The user does not exist.")
	a := postForm(t, s.URL+"/oauth/token", values("grant_type", "refresh_token", "client_id", "demo-agent",
		"client_secret", "demo-agent-secret", "refresh_token", refresh))
	if a.Status != 403 || a.code() != "invalid_grant" {
		t.Errorf("refresh token: %d %s", a.Status, a.Body)
	}
	if q := b.login(s, "bob", "prompt", "none"); q.Get("error") != "login_required" {
		t.Errorf("session: %v", q)
	}
	if a := exchange(t, s, accessToken(t, s)); a.code() != "user_not_found" {
		t.Errorf("exchange: %d %s", a.Status, a.Body)
	}
}

func TestManagementAnswersUnknownPathsAsAuth0(t *testing.T) {
	s := tenant(t)
	for _, path := range []string{"/nonsense", "/users/x/nonsense"} {
		wantError(t, call(t, s, machineToken(t, s), "GET", path, ""), 404, "", "Not Found")
	}
	wantError(t, call(t, s, machineToken(t, s), "PUT", alicePath, `{}`), 404, "", "Not Found")
}

func TestManagementCanBeThrottled(t *testing.T) {
	s := tenant(t)
	token := machineToken(t, s)
	err := s.AddFault(auth0test.Fault{
		Path: "/api/v2/users/*", Status: new(429), Headers: map[string]string{"x-ratelimit-remaining": "0"},
		Body: map[string]any{
			"statusCode": 429, "error": "Too Many Requests", "message": "Global limit has been reached", "errorCode": "too_many_requests",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	a := call(t, s, token, "GET", alicePath, "")
	wantError(t, a, 429, "too_many_requests", "Global limit has been reached")
	if a.Header.Get("X-Ratelimit-Remaining") != "0" || a.Header.Get("X-Ratelimit-Reset") == "" {
		t.Errorf("%v", a.Header)
	}
	if a := call(t, s, token, "GET", alicePath, ""); a.Status != 200 {
		t.Errorf("afterwards: %d", a.Status)
	}
}
