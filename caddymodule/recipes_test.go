package caddymodule_test

import (
	"io"
	"net/http"
	"os"
	"strings"
	"testing"
)

// What examples/README.md tells people to write.

const recipes = "../examples/README.md"

// recipe returns the Caddyfile under a heading.
func recipe(t *testing.T, heading string) string {
	t.Helper()
	document, err := os.ReadFile(recipes)
	if err != nil {
		t.Fatal(err)
	}
	_, text, found := strings.Cut(string(document), "\n### "+heading+"\n")
	_, text, begun := strings.Cut(text, "```caddyfile\n")
	text, _, ended := strings.Cut(text, "```\n")
	if !found || !begun || !ended {
		t.Fatalf("no recipe %q", heading)
	}
	return text
}

// startRecipe runs a recipe, with alice's account connected. The hosts in it are
// the proxy and upstreams here.
func startRecipe(t *testing.T, text string) (a *attack, second *upstream) {
	t.Helper()
	a, second = &attack{proxy: newProxy(t)}, newUpstream(t)
	global := a.caddyfile("")
	global = global[:strings.Index(global, "\n}\n")+3]
	sites := strings.NewReplacer(
		"agents.example.com {", a.URL+" {", "link.example.com {", strings.Replace(a.URL, "127.0.0.1", "localhost", 1)+" {",
		"https://www.googleapis.com\n", a.Upstream.URL+"\n", "https://www.googleapis.com {", a.Upstream.URL+" {",
		"https://fallback.example.com", second.URL,
	).Replace(text)
	if err := a.tryLoad(global + sites); err != nil {
		t.Fatalf("%v in\n%s", err, sites)
	}
	a.connect(alice, google, calendar)
	a.agent = a.token(alice)
	return a, second
}

func TestEveryRecipeHasATest(t *testing.T) {
	document, err := os.ReadFile(recipes)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("recipes_test.go")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(document)) {
		if heading, ok := strings.CutPrefix(strings.TrimSpace(line), "### "); ok && !strings.Contains(string(source), `recipe(t, "`+heading+`")`) {
			t.Errorf("no test runs %q", heading)
		}
	}
}

func TestTheRecipeOfAFallbackUpstream(t *testing.T) {
	a, second := startRecipe(t, recipe(t, "A fallback upstream"))
	if got := a.get("/google/calendar?x", a.agent); got.Body != "upstream" || len(second.requests()) != 0 {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
	down := map[string]http.HandlerFunc{
		"answers 503": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"hangs up":    func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for name, answer := range down {
		a.Upstream.respond(answer)
		second.forget()
		got := a.get("/google/calendar?x", a.agent)
		if got.Status != http.StatusOK || len(second.requests()) != 1 {
			t.Fatalf("%s: status %d, %v, body %s", name, got.Status, got.Header, got.Body)
		}
		sent := second.last(t)
		if sent.RequestURI != "/calendar?x" || providerToken(t, sent) == "" {
			t.Errorf("%s: %s", name, dump(sent))
		}
		resp := a.open(t, noRedirects, a.request(t, http.MethodPost, "/google/calendar", strings.NewReader("body")))
		if resp.StatusCode < 502 || len(second.requests()) != 1 {
			t.Errorf("%s: a POST: status %d, %d requests", name, resp.StatusCode, len(second.requests()))
		}
	}
	second.forget()
	if got := a.get("/google/calendar", ""); got.code() != "no_credentials" || len(second.requests()) != 0 {
		t.Errorf("without a token: status %d", got.Status)
	}
}

func TestTheRecipeOfCORS(t *testing.T) {
	a, _ := startRecipe(t, recipe(t, "Agents in browsers: CORS"))
	const page = "https://app.example.com"
	link := strings.Replace(a.URL, "127.0.0.1", "localhost", 1)
	ask := func(method, url, origin string, header http.Header) *http.Response {
		req := a.request(t, method, "", nil)
		parsed, err := req.URL.Parse(url)
		if err != nil {
			t.Fatal(err)
		}
		req.URL, req.Host, req.Header = parsed, parsed.Host, header
		req.Header.Set("Origin", origin)
		resp, err := noRedirects.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = resp.Body.Close() })
		_, _ = io.Copy(io.Discard, resp.Body)
		return resp
	}
	preflight := func(url, origin string) *http.Response {
		return ask(http.MethodOptions, url, origin, http.Header{
			"Access-Control-Request-Method": {"GET"}, "Access-Control-Request-Headers": {"authorization"},
		})
	}
	allowed := func(resp *http.Response) string { return strings.Join(resp.Header["Access-Control-Allow-Origin"], "|") }

	for _, url := range []string{a.URL + "/google/calendar", link + "/auth/status?ticket=x"} {
		resp := preflight(url, page)
		if resp.StatusCode != http.StatusNoContent || allowed(resp) != page || !strings.Contains(resp.Header.Get("Access-Control-Allow-Headers"), "Authorization") {
			t.Errorf("%s: preflight: status %d, %v", url, resp.StatusCode, resp.Header)
		}
		if resp := preflight(url, "https://evil.example"); resp.StatusCode < 400 || allowed(resp) != "" {
			t.Errorf("%s: another origin's preflight: status %d, %v", url, resp.StatusCode, resp.Header)
		}
		if resp := ask(http.MethodGet, url, page, http.Header{}); resp.StatusCode != http.StatusUnauthorized || allowed(resp) != page ||
			!strings.Contains(resp.Header.Get("Access-Control-Expose-Headers"), "Token-Vault-Error") {
			t.Errorf("%s: a refusal: status %d, %v", url, resp.StatusCode, resp.Header)
		}
	}
	if resp := preflight(link+"/auth/accounts", page); allowed(resp) != "" {
		t.Errorf("the pages are open to another origin: %v", resp.Header)
	}

	a.Upstream.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "https://provider.example")
		w.Header().Set("Vary", "Accept")
	})
	credential := http.Header{"Authorization": {"Bearer " + a.agent}}
	resp := ask(http.MethodGet, a.URL+"/google/calendar", page, credential.Clone())
	if resp.StatusCode != http.StatusOK || allowed(resp) != page || strings.Join(resp.Header["Vary"], ", ") != "Accept, Origin" {
		t.Errorf("status %d, %v", resp.StatusCode, resp.Header)
	}
	if resp := ask(http.MethodGet, a.URL+"/google/calendar", "https://evil.example", credential); allowed(resp) == "https://evil.example" {
		t.Errorf("another origin may read: %v", resp.Header)
	}
}

func TestTheRecipeOfNamedRoutes(t *testing.T) {
	text := recipe(t, "Named routes")
	a, _ := startRecipe(t, text)
	for path, want := range map[string]string{"/google/calendar/v3": "/calendar/v3", "/calendar/v3": "/calendar/v3"} {
		if got := a.get(path, a.agent); got.Status != http.StatusOK || a.Upstream.last(t).RequestURI != want || providerToken(t, a.Upstream.last(t)) == "" {
			t.Errorf("%s: status %d, %s", path, got.Status, dump(a.Upstream.last(t)))
		}
	}
	// What it warns of.
	bare := strings.Replace(strings.Replace(text, "\troute {\n", "", 1), "\t}\n}\n", "}\n", 1)
	a, _ = startRecipe(t, bare)
	if got := a.get("/google/x", a.agent); got.Body != "" || len(a.Upstream.requests()) != 0 {
		t.Errorf("status %d, body %s, %s", got.Status, got.Body, dump(a.Upstream.last(t)))
	}
}
