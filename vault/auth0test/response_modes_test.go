package auth0test_test

import (
	"encoding/json"
	"html"
	"net/http"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

func authorizeURL(s *auth0test.Server, pairs ...string) string {
	base := []string{
		"response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack, "state", "a</script>b", "scope", "openid",
	}
	return s.URL + "/authorize?" + values(append(base, pairs...)...).Encode()
}

var messageCall = regexp.MustCompile(`postMessage\((\{.*\}), ("[^"]*")\)`)

// windowMessage is what a page tells another window, and which origin may hear it.
func windowMessage(t *testing.T, page answer) (response map[string]string, origin string) {
	t.Helper()
	found := messageCall.FindStringSubmatch(page.Body)
	if found == nil {
		t.Fatalf("no message: %d %s", page.Status, page.Body)
	}
	object := strings.NewReplacer("{type:", `{"type":`, ", response:", `, "response":`).Replace(found[1])
	var told struct {
		Type     string
		Response map[string]string
	}
	if err := json.Unmarshal([]byte(object), &told); err != nil || told.Type != "authorization_response" {
		t.Fatalf("%v: %s", err, object)
	}
	if err := json.Unmarshal([]byte(found[2]), &origin); err != nil {
		t.Fatal(err)
	}
	return told.Response, origin
}

// Auth0's browser SDKs log in silently in a frame, which hears of the answer by a
// message.
func TestSilentLoginTellsTheFramingPage(t *testing.T) {
	s := tenant(t, browserClient)
	b := newBrowser(t)
	silent := authorizeURL(s, "response_mode", "web_message", "prompt", "none")
	if got, _ := windowMessage(t, b.get(silent)); got["error"] != "login_required" || got["state"] != "a</script>b" {
		t.Errorf("without a session: %v", got)
	}
	b.login(s, "alice")
	page := b.get(silent)
	got, origin := windowMessage(t, page)
	if origin != "http://localhost:8090" || got["state"] != "a</script>b" || redeem(t, s, got["code"]).Status != 200 {
		t.Errorf("%v for %s", got, origin)
	}
	if policy := page.Header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors http://localhost:8090") ||
		page.Header.Get("X-Frame-Options") != "" {
		t.Errorf("framed by %v", page.Header)
	}
}

func TestNoWindowIsToldThatIsNotAmongTheWebOrigins(t *testing.T) {
	s := tenant(t, browserClient, func(cfg *auth0test.Config) { cfg.Clients[2].WebOrigins = []string{webOrigin} })
	a := newBrowser(t).get(authorizeURL(s, "response_mode", "web_message", "prompt", "none"))
	if a.Status != 403 || a.Header.Get("Location") != "" || !strings.Contains(a.Body, "does not have a registered origin") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestFormPostBringsTheAnswerInAForm(t *testing.T) {
	s := tenant(t)
	b := newBrowser(t)
	b.login(s, "alice")
	for name, pairs := range map[string][]string{
		"code":  {"response_mode", "form_post"},
		"error": {"response_mode", "form_post", "max_age", "x"},
	} {
		page := b.get(authorizeURL(s, pairs...))
		action := formAction.FindStringSubmatch(page.Body)
		fields := map[string]string{}
		for _, m := range hiddenField.FindAllStringSubmatch(page.Body, -1) {
			fields[m[1]] = html.UnescapeString(m[2])
		}
		if page.Status != http.StatusOK || action == nil || action[1] != agentBack || fields["state"] != "a</script>b" || fields[name] == "" {
			t.Errorf("%s: %d %s", name, page.Status, page.Body)
		}
		if strings.Contains(page.Body, "<style") || !strings.Contains(page.Header.Get("Content-Security-Policy"), "script-src 'nonce-") {
			t.Errorf("%s: %v", name, page.Header)
		}
	}
}

// Frames of other sites get a cookie only so; browsers keep none such of plain http.
func TestCookiesAreForFramesOfOtherSitesOverTLS(t *testing.T) {
	secure := auth0test.NewTLSServer(auth0test.Seeds())
	defer secure.Close()
	for s, want := range map[*auth0test.Server]string{tenant(t): "SameSite=Lax", secure: "Secure; SameSite=None"} {
		client := *s.Client()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		a := do(t, &client, request(t, http.MethodGet, authorizeURL(s), "", ""))
		if got := a.Header.Get("Set-Cookie"); !strings.HasSuffix(got, want) {
			t.Errorf("%s: %q", s.URL, got)
		}
	}
}
