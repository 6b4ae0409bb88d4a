package auth0test_test

import (
	"bytes"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const (
	vaultGrant  = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
	accessType  = "urn:ietf:params:oauth:token-type:access_token"
	refreshType = "urn:ietf:params:oauth:token-type:refresh_token"
	vaultType   = "http://auth0.com/oauth/token-type/federated-connection-access-token"
	audience    = "https://agents.example.com/"
	callback    = "http://localhost:8080/auth/callback"
	agentBack   = "http://localhost:8090/callback"
	readonly    = "https://www.googleapis.com/auth/calendar.readonly"
	verifier    = "a-code-verifier-that-is-long-enough-for-pkce-0"
	challenge   = "dEh82U2mTChSdul6XRjiqrTmF5WOgXe2IRfUjyz8XEo"
	meScopes    = "openid create:me:connected_accounts read:me:connected_accounts delete:me:connected_accounts"
)

// tenant starts a server on the seeds, changed by change.
func tenant(t *testing.T, change ...func(*auth0test.Config)) *auth0test.Server {
	t.Helper()
	cfg := auth0test.Seeds()
	for _, f := range change {
		f(&cfg)
	}
	s := auth0test.NewServer(cfg)
	t.Cleanup(s.Close)
	t.Cleanup(func() { everyRefusalIsExplained(t, s) })
	return s
}

// everyRefusalIsExplained holds for whatever a test asks of its tenant.
func everyRefusalIsExplained(t *testing.T, s *auth0test.Server) {
	t.Helper()
	for _, r := range s.Requests() {
		if refused := r.Status >= 400 || r.Status == 0; refused && r.Reason == "" {
			t.Errorf("%s %s: %d without a reason", r.Method, r.Path, r.Status)
		}
	}
}

// settings is a change of the settings alone; the seeds' organization stays.
func settings(f func(*auth0test.Settings)) func(*auth0test.Config) {
	return func(cfg *auth0test.Config) { f(&cfg.Settings) }
}

// answer is an HTTP answer with its body read.
type answer struct {
	Status int
	Header http.Header
	Body   string
	JSON   map[string]any
}

func (a answer) code() string { s, _ := a.JSON["error"].(string); return s }

// listOf reads a bare JSON list of objects.
func listOf(a answer) (list []map[string]any, err error) {
	err = json.Unmarshal([]byte(a.Body), &list)
	return list, err
}

// location is where a redirect leads.
func (a answer) location(t *testing.T) *url.URL {
	t.Helper()
	u, err := url.Parse(a.Header.Get("Location"))
	if err != nil || a.Header.Get("Location") == "" {
		t.Fatalf("no redirect: %d %s", a.Status, a.Body)
	}
	return u
}

func do(t *testing.T, client *http.Client, req *http.Request) answer {
	t.Helper()
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{Status: resp.StatusCode, Header: resp.Header, Body: string(body)}
	_ = json.Unmarshal(body, &a.JSON)
	return a
}

func request(t *testing.T, method, target, contentType, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, target, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return req
}

func get(t *testing.T, target, token string) answer {
	t.Helper()
	req := request(t, http.MethodGet, target, "", "")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(t, http.DefaultClient, req)
}

// values makes a form from pairs; a later pair replaces an earlier one, an
// empty value removes it.
func values(pairs ...string) url.Values {
	v := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] == "" {
			v.Del(pairs[i])
		} else {
			v.Set(pairs[i], pairs[i+1])
		}
	}
	return v
}

func postForm(t *testing.T, target string, form url.Values) answer {
	t.Helper()
	return do(t, http.DefaultClient, request(t, http.MethodPost, target, "application/x-www-form-urlencoded", form.Encode()))
}

func postJSON(t *testing.T, target, token string, body any) answer {
	t.Helper()
	data, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	req := request(t, http.MethodPost, target, "application/json", string(bytes.TrimSpace(data)))
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	return do(t, http.DefaultClient, req)
}

// accessToken is alice's, from the agent, for the API.
func accessToken(t *testing.T, s *auth0test.Server, change ...func(*auth0test.TokenRequest)) string {
	t.Helper()
	req := auth0test.TokenRequest{User: "auth0|alice", ClientID: "demo-agent", Audience: audience, Scope: "openid read:calendar"}
	for _, f := range change {
		f(&req)
	}
	tokens, err := s.IssueToken(req)
	if err != nil {
		t.Fatal(err)
	}
	return tokens.AccessToken
}

// meToken is a token of the link pages for the My Account API.
func meToken(t *testing.T, s *auth0test.Server, user string) string {
	t.Helper()
	return accessToken(t, s, func(r *auth0test.TokenRequest) {
		r.User, r.ClientID, r.Audience, r.Scope = user, "link-pages", s.Issuer()+"me/", meScopes
	})
}

// exchange asks the vault for a Google token; pairs change the request.
func exchange(t *testing.T, s *auth0test.Server, subject string, pairs ...string) answer {
	t.Helper()
	base := []string{
		"grant_type", vaultGrant, "client_id", "vault-exchange", "client_secret", "vault-exchange-secret",
		"subject_token", subject, "subject_token_type", accessType, "requested_token_type", vaultType,
		"connection", "google-oauth2",
	}
	return postForm(t, s.URL+"/oauth/token", values(append(base, pairs...)...))
}

func connect(t *testing.T, s *auth0test.Server, user, connection string, scopes []string, account string) {
	t.Helper()
	if err := s.Connect(user, connection, scopes, account); err != nil {
		t.Fatal(err)
	}
}

// A browser keeps cookies and stops at every redirect.
type browser struct {
	t *testing.T
	c *http.Client
}

func newBrowser(t *testing.T) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stop := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{t: t, c: &http.Client{Jar: jar, CheckRedirect: stop}}
}

func (b *browser) get(target string) answer {
	b.t.Helper()
	return do(b.t, b.c, request(b.t, http.MethodGet, target, "", ""))
}

// open follows redirects until a page, or until the address begins with one of
// the stops.
func (b *browser) open(target string, stops ...string) (answer, string) {
	b.t.Helper()
	return b.follow(b.get(target), target, stops...)
}

func (b *browser) follow(a answer, at string, stops ...string) (answer, string) {
	b.t.Helper()
	for a.Status/100 == 3 {
		base, _ := url.Parse(at)
		at = base.ResolveReference(a.location(b.t)).String()
		for _, stop := range stops {
			if strings.HasPrefix(at, stop) {
				return a, at
			}
		}
		a = b.get(at)
	}
	return a, at
}

var (
	formAction  = regexp.MustCompile(`<form method="post" action="([^"]*)"`)
	hiddenField = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)">`)
)

// submit posts a page's form with its hidden fields and the given ones.
func (b *browser) submit(page answer, at string, fields url.Values) answer {
	b.t.Helper()
	action := formAction.FindStringSubmatch(page.Body)
	if action == nil {
		b.t.Fatalf("no form: %d %s", page.Status, page.Body)
	}
	for _, m := range hiddenField.FindAllStringSubmatch(page.Body, -1) {
		fields.Set(html.UnescapeString(m[1]), html.UnescapeString(m[2]))
	}
	base, _ := url.Parse(at)
	target, err := base.Parse(html.UnescapeString(action[1]))
	if err != nil {
		b.t.Fatal(err)
	}
	return do(b.t, b.c, request(b.t, http.MethodPost, target.String(), "application/x-www-form-urlencoded", fields.Encode()))
}

// login goes through /authorize and the login page, and returns the query the
// callback got.
func (b *browser) login(s *auth0test.Server, user string, pairs ...string) url.Values {
	b.t.Helper()
	base := []string{
		"response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack,
		"state", "st", "scope", "openid read:calendar", "audience", audience,
	}
	q := values(append(base, pairs...)...)
	page, at := b.open(s.URL+"/authorize?"+q.Encode(), q.Get("redirect_uri"))
	if page.Status == http.StatusOK {
		fields := url.Values{"username": {user + "@example.com"}, "password": {user + "-password"}}
		page, at = b.follow(b.submit(page, at, fields), at, q.Get("redirect_uri"))
	}
	if !strings.HasPrefix(at, q.Get("redirect_uri")) {
		b.t.Fatalf("the login ended at %s: %d %s", at, page.Status, page.Body)
	}
	u, _ := url.Parse(at)
	return u.Query()
}

// redeem exchanges a code as the demo agent; pairs change the request.
func redeem(t *testing.T, s *auth0test.Server, code string, pairs ...string) answer {
	t.Helper()
	base := []string{
		"grant_type", "authorization_code", "client_id", "demo-agent", "client_secret", "demo-agent-secret",
		"code", code, "redirect_uri", agentBack,
	}
	return postForm(t, s.URL+"/oauth/token", values(append(base, pairs...)...))
}

// claims reads a JWT's payload without checking anything.
func claims(t *testing.T, token string) map[string]any {
	t.Helper()
	return part(t, token, 1)
}
