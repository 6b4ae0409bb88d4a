package auth0test_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// providerToken is what alice's account gives the vault for the scopes.
func providerToken(t *testing.T, s *auth0test.Server, connection string, scopes ...string) string {
	t.Helper()
	if err := s.Disconnect("auth0|alice", connection); err != nil {
		t.Fatal(err)
	}
	connect(t, s, "auth0|alice", connection, append([]string{}, scopes...), "")
	return exchange(t, s, accessToken(t, s), "connection", connection).JSON["access_token"].(string)
}

func TestGoogleChecksTokenAndScope(t *testing.T) {
	s := tenant(t)
	const (
		events = "/calendar/v3/calendars/primary/events"
		list   = "/calendar/v3/users/me/calendarList"
		info   = "/oauth2/v3/userinfo"
		full   = "https://www.googleapis.com/auth/calendar"
	)
	for _, tt := range []struct {
		scope  string
		path   string
		status int
	}{
		{readonly, events, 200},
		{full, events, 200},
		{full + ".events", events, 200},
		{full + ".events.readonly", events, 200},
		{"openid", events, 403},
		{readonly, list, 200},
		{full + ".events", list, 403},
		{"email", info, 200},
		{readonly, info, 403},
		{full, "/calendar/v3/nothing", 404},
	} {
		if a := get(t, s.GoogleURL+tt.path, providerToken(t, s, "google-oauth2", tt.scope)); a.Status != tt.status {
			t.Errorf("%s with %s: %d %s", tt.path, tt.scope, a.Status, a.Body)
		}
	}
	event := map[string]any{"summary": "Lunch", "start": map[string]string{"date": "2030-05-05"}, "end": map[string]string{"date": "2030-05-06"}}
	if a := postJSON(t, s.GoogleURL+events, providerToken(t, s, "google-oauth2", readonly), event); a.Status != 403 {
		t.Errorf("writing with the read scope: %d", a.Status)
	}
	token := providerToken(t, s, "google-oauth2", full)
	if a := postJSON(t, s.GoogleURL+events, token, event); a.Status != 200 || a.JSON["id"] == "" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := get(t, s.GoogleURL+events, token); !strings.Contains(a.Body, "Lunch") {
		t.Errorf("the event is not in the list: %s", a.Body)
	}
	if a := postJSON(t, s.GoogleURL+events, token, map[string]any{"summary": "x"}); a.Status != 400 {
		t.Errorf("an event without times: %d", a.Status)
	}
}

func TestGoogleErrsInItsOwnStyle(t *testing.T) {
	s := tenant(t)
	for _, token := range []string{"", "x", accessToken(t, s)} {
		a := get(t, s.GoogleURL+"/calendar/v3/calendars/primary/events", token)
		e, _ := a.JSON["error"].(map[string]any)
		if a.Status != 401 || e["code"] != 401.0 || e["status"] != "UNAUTHENTICATED" ||
			a.Header.Get("WWW-Authenticate") != `Bearer realm="https://accounts.google.com/", error="invalid_token"` {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	a := get(t, s.GoogleURL+"/calendar/v3/calendars/primary/events", providerToken(t, s, "google-oauth2", "openid"))
	if e := a.JSON["error"].(map[string]any); e["status"] != "PERMISSION_DENIED" || !strings.Contains(a.Header.Get("WWW-Authenticate"), `error="insufficient_scope"`) {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestGitHubChecksTokenAndScope(t *testing.T) {
	s := tenant(t)
	token := providerToken(t, s, "github", "repo", "read:user")
	for _, scheme := range []string{"Bearer ", "token ", "TOKEN "} {
		req := request(t, http.MethodGet, s.GitHubURL+"/user", "", "")
		req.Header.Set("Authorization", scheme+token)
		a := do(t, http.DefaultClient, req)
		if a.Status != 200 || a.JSON["login"] != "alice" || a.Header.Get("X-OAuth-Scopes") != "repo, read:user" {
			t.Errorf("%s: %d %s", scheme, a.Status, a.Body)
		}
		if _, ok := a.JSON["id"].(float64); !ok {
			t.Errorf("the id is no number: %s", a.Body)
		}
	}
	if a := get(t, s.GitHubURL+"/user/repos", token); a.Status != 200 || !strings.Contains(a.Body, "alice/notes") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := get(t, s.GitHubURL+"/user/repos", providerToken(t, s, "github", "public_repo")); a.Status != 200 || strings.Contains(a.Body, "alice/notes") {
		t.Errorf("private repositories without the scope: %d %s", a.Status, a.Body)
	}
	for name, tt := range map[string]struct {
		path, token string
		status      int
		message     string
	}{
		"no token":  {"/user", "", 401, "Requires authentication"},
		"bad token": {"/user", "x", 401, "Bad credentials"},
		"no scope":  {"/user/repos", providerToken(t, s, "github", "read:user"), 403, "Resource not accessible by integration"},
		"not there": {"/nothing", "", 404, "Not Found"},
	} {
		if a := get(t, s.GitHubURL+tt.path, tt.token); a.Status != tt.status || a.JSON["message"] != tt.message || a.JSON["documentation_url"] == nil {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}

func TestGitHubScopesAreCommaSeparated(t *testing.T) {
	s := tenant(t)
	connect(t, s, "auth0|alice", "github", []string{"repo", "read:user"}, "")
	if a := exchange(t, s, accessToken(t, s), "connection", "github"); a.JSON["scope"] != "repo,read:user" {
		t.Errorf("%s", a.Body)
	}
}

func TestProviderTokenEndpointsCheckTheirClient(t *testing.T) {
	s := tenant(t)
	google := func(pairs ...string) answer {
		base := []string{
			"grant_type", "authorization_code", "code", "x", "redirect_uri", s.URL + "/login/callback",
			"client_id", "tenant-at-google", "client_secret", "tenant-at-google-secret",
		}
		return postForm(t, s.GoogleURL+"/token", values(append(base, pairs...)...))
	}
	if a := google(); a.Status != 400 || a.code() != "invalid_grant" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	for _, secret := range []string{"", "x"} {
		if a := google("client_secret", secret); a.Status != 401 || a.code() != "invalid_client" {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	}
	form := values("client_id", "tenant-at-github", "client_secret", "x", "code", "x")
	req := request(t, http.MethodPost, s.GitHubURL+"/login/oauth/access_token", "application/x-www-form-urlencoded", form.Encode())
	req.Header.Set("Accept", "application/json")
	if a := do(t, http.DefaultClient, req); a.Status != 200 || a.code() != "incorrect_client_credentials" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestGitHubAnswersAFormUnlessAskedForJSON(t *testing.T) {
	s := tenant(t)
	b := newBrowser(t)
	q := values("client_id", "tenant-at-github", "redirect_uri", s.URL+"/login/callback", "scope", "repo read:user", "state", "x")
	at := s.GitHubURL + "/login/oauth/authorize?" + q.Encode()
	back := b.submit(b.get(at), at, allow("5", "repo")).location(t).Query()
	a := postForm(t, s.GitHubURL+"/login/oauth/access_token", values("client_id", "tenant-at-github",
		"client_secret", "tenant-at-github-secret", "code", back.Get("code"), "redirect_uri", s.URL+"/login/callback"))
	form, err := url.ParseQuery(a.Body)
	if err != nil || form.Get("scope") != "repo" || form.Get("token_type") != "bearer" || form.Get("expires_in") != "28800" || form.Get("refresh_token") == "" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestConsentPage(t *testing.T) {
	s := tenant(t)
	b := newBrowser(t)
	page := func(pairs ...string) (answer, string) {
		base := []string{
			"client_id", "tenant-at-google", "redirect_uri", s.URL + "/login/callback", "response_type", "code",
			"scope", `openid "><script>`, "state", "x",
		}
		at := s.GoogleURL + "/o/oauth2/v2/auth?" + values(append(base, pairs...)...).Encode()
		return b.get(at), at
	}
	a, at := page()
	for _, want := range []string{`name="account"`, `name="scope" value="openid" checked`, `name="action" value="allow"`, "alice@example.com", "width=device-width"} {
		if !strings.Contains(a.Body, want) {
			t.Errorf("no %s", want)
		}
	}
	if strings.Contains(a.Body, "<script>") {
		t.Error("a scope is not escaped")
	}
	if q := b.submit(a, at, allow("1", "openid")).location(t).Query(); q.Get("code") == "" || q.Get("state") != "x" {
		t.Errorf("%v", q)
	}
	if again := b.submit(a, at, allow("1", "openid")); again.Status != 400 {
		t.Errorf("the page works twice: %d", again.Status)
	}
	for name, pairs := range map[string][]string{
		"unknown client": {"client_id", "x"}, "foreign redirect": {"redirect_uri", "https://evil.example/"},
	} {
		if a, _ := page(pairs...); a.Status != 400 || a.Header.Get("Location") != "" {
			t.Errorf("%s: %d", name, a.Status)
		}
	}
	if a, _ := page("login_hint", "g-77"); !strings.Contains(a.Body, `<option value="g-77">`) {
		t.Error("the hinted account is not offered")
	}
}

func TestGoogleRevocationEndpoint(t *testing.T) {
	s := tenant(t)
	token := providerToken(t, s, "google-oauth2", "openid")
	if a := postForm(t, s.GoogleURL+"/revoke", values("token", token)); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := get(t, s.GoogleURL+"/oauth2/v3/userinfo", token); a.Status != 401 {
		t.Errorf("the token is still good: %d", a.Status)
	}
	if a := postForm(t, s.GoogleURL+"/revoke", values("token", "x")); a.Status != 400 {
		t.Errorf("unknown token: %d", a.Status)
	}
}

func TestGitHubLinksItsPagesByItsOwnAddress(t *testing.T) {
	s := tenant(t)
	token := providerToken(t, s, "github", "repo")
	repos := s.GitHubURL + "/user/repos"
	for query, tt := range map[string]struct {
		link string
		repo string
	}{
		"":                    {"", "hello-world"},
		"?per_page=1":         {"<" + repos + `?page=2&per_page=1>; rel="next", <` + repos + `?page=2&per_page=1>; rel="last"`, "hello-world"},
		"?per_page=1&page=2":  {"<" + repos + `?page=1&per_page=1>; rel="prev", <` + repos + `?page=1&per_page=1>; rel="first"`, "notes"},
		"?per_page=x&page=-1": {"", "hello-world"},
		"?per_page=1&page=99": {"<" + repos + `?page=2&per_page=1>; rel="prev", <` + repos + `?page=1&per_page=1>; rel="first"`, ""},
	} {
		a := get(t, repos+query, token)
		list, err := listOf(a)
		if err != nil || a.Status != 200 || a.Header.Get("Link") != tt.link || (tt.repo == "") != (len(list) == 0) || (tt.repo != "" && list[0]["name"] != tt.repo) {
			t.Errorf("%s: %d %q %s", query, a.Status, a.Header.Get("Link"), a.Body)
		}
	}
}
