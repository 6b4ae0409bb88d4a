package caddymodule_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// No secret, and no part of one, may show up where it does not belong: not in
// answers, logs, error pages, metrics or configurations.

// canaryLength is how much of a secret counts as a part of it.
const canaryLength = 16

// canaries are the secrets of a test, by what they are.
type canaries map[string]string

// check demands that text holds no part of a secret.
func (c canaries) check(t *testing.T, where, text string) {
	t.Helper()
	seen := make(map[string]bool, len(text))
	for i := 0; i+canaryLength <= len(text); i++ {
		seen[text[i:i+canaryLength]] = true
	}
	for what, secret := range c {
		for i := 0; i+canaryLength <= len(secret); i++ {
			if part := secret[i : i+canaryLength]; seen[part] {
				at := strings.Index(text, part)
				t.Errorf("%s holds a part of %s: %.300s", where, what, text[max(0, at-150):])
				break
			}
		}
	}
}

func (c canaries) checkReply(t *testing.T, where string, r *reply) {
	t.Helper()
	c.check(t, where, fmt.Sprint(r.Status, r.Header, r.Body))
}

func (a *attack) canaries() canaries {
	return canaries{
		"the agent's token":            a.agent,
		"Google's token":               a.google,
		"GitHub's token":               a.github,
		"Google's token as a password": base64.StdEncoding.EncodeToString([]byte("user:" + a.google)),
		"the exchange client's secret": os.Getenv("AUTH0_CLIENT_SECRET"),
		"the link client's secret":     os.Getenv("AUTH0_LINK_CLIENT_SECRET"),
	}
}

// leaky names every placeholder that might hold a secret.
const leaky = `{header.Authorization} {http.request.header.Authorization} {http.request.header.authorization} ` +
	`{http.request.header.X-Token} {header.Proxy-Authorization} {http.request.trailer.Authorization} ` +
	`{http.error} {http.error.message} {http.error.trace} {http.error.id} {http.error.status_code} ` +
	`{http.vars.token} {vars.authorization} {http.token_vault.error} {http.token_vault.link_url} {http.token_vault.token} ` +
	`{http.auth.user.id} {http.auth.user.client_id} {http.auth.user.token} {http.auth.candidate.id} ` +
	`{http.request} {http.request.uri} {http.request.orig_uri} {http.reverse_proxy.header.Authorization}`

// canarySite has a route for everything that can go wrong behind token_vault.
const canarySite = `
	handle /metrics {
		metrics
	}
	handle /google* {
		token_vault google-oauth2
		reverse_proxy {upstream}
	}
	handle /github* {
		token_vault github
		reverse_proxy {upstream}
	}
	handle /basic* {
		token_vault google-oauth2 {
			attach basic user
		}
		reverse_proxy {upstream}
	}
	handle /dead {
		token_vault google-oauth2
		reverse_proxy 127.0.0.1:1
	}
	handle /retries {
		token_vault google-oauth2
		reverse_proxy 127.0.0.1:1 127.0.0.1:2 {upstream} {
			lb_policy first
			lb_retries 5
			fail_duration 10s
		}
	}
	handle /dying {
		token_vault google-oauth2
		reverse_proxy {upstream} {
			lb_retries 2
		}
	}
	handle /panic {
		route {
			token_vault google-oauth2
			test_panic
		}
	}
	handle /error {
		token_vault google-oauth2
		error "` + leaky + `" 500
	}
	handle /respond {
		token_vault google-oauth2
		respond "` + leaky + `"
	}
	handle /header_up {
		token_vault google-oauth2
		reverse_proxy {upstream} {
			header_up X-Leak "` + leaky + `"
			header_up -Authorization
		}
	}
	handle /header {
		route {
			token_vault google-oauth2
			header X-Leak "` + leaky + `"
			header >X-Leak-Too "` + leaky + `"
			respond hello
		}
	}
	handle /intercept {
		token_vault google-oauth2
		intercept {
			handle_response {
				header -Content-Length
				respond "` + leaky + `"
			}
		}
		reverse_proxy {upstream}
	}
	handle /handle_response {
		token_vault google-oauth2
		reverse_proxy {upstream} {
			handle_response {
				respond "` + leaky + `"
			}
		}
	}
	handle /redirect {
		token_vault google-oauth2 {
			scopes never:granted
			on_missing redirect
		}
	}
	handle /missing_error {
		token_vault google-oauth2 {
			scopes never:granted
			on_missing error
		}
	}
	handle /missing {
		token_vault google-oauth2 {
			scopes never:granted
		}
	}
	handle /excess {
		token_vault google-oauth2 {
			max_scopes never:granted
		}
	}
	handle /scope {
		token_vault google-oauth2 {
			require_scopes never:granted
		}
	}
	handle_errors {
		reverse_proxy {errors} {
			header_up X-Leak "` + leaky + `"
		}
	}
`

// panicker is a handler that panics, for what comes out then.
type panicker struct{}

// CaddyModule returns the Caddy module information.
func (panicker) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_panic", New: func() caddy.Module { return new(panicker) }}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (panicker) ServeHTTP(http.ResponseWriter, *http.Request, caddyhttp.Handler) error {
	panic(errors.New("a handler panics on purpose"))
}

func init() {
	caddy.RegisterModule(panicker{})
	httpcaddyfile.RegisterHandlerDirective("test_panic", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return panicker{}, nil
	})
}

// startCanaries runs the site. The backend of its error pages repeats what it
// gets in what it answers.
func startCanaries(t *testing.T) (a *attack, errorPage *upstream) {
	t.Helper()
	errorPage = newUpstream(t)
	errorPage.respond(func(w http.ResponseWriter, r *http.Request) { _, _ = fmt.Fprint(w, "error page: ", dump(r)) })
	a = &attack{proxy: newProxy(t)}
	a.reload(t, errorPage)
	a.connect(alice, google, calendar)
	a.connect(alice, "github", "repo")
	a.agent = a.token(alice)
	a.get("/google", a.agent)
	a.google = providerToken(t, a.Upstream.last(t))
	a.get("/github", a.agent)
	a.github = providerToken(t, a.Upstream.last(t))
	return a, errorPage
}

func (a *attack) reload(t *testing.T, errorPage *upstream) {
	t.Helper()
	site := strings.ReplaceAll(canarySite, "{errors}", errorPage.URL)
	if err := a.tryLoad(strings.Replace(a.caddyfile(site), "servers {", "metrics\n\tservers {", 1)); err != nil {
		t.Fatal(err)
	}
}

// flushLog waits until the log holds all that was written so far.
func (a *attack) flushLog(t *testing.T) string {
	t.Helper()
	resp, err := http.Get(a.URL + "/the-end-of-the-test")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	a.eventually("the end of the log", func() bool {
		return strings.Contains(a.Log.String(), "handled request") && strings.Contains(a.Log.String(), "the-end-of-the-test")
	})
	return a.Log.String()
}

func TestNoSecretShowsWhateverTheRouteDoes(t *testing.T) {
	a, errorPage := startCanaries(t)
	secrets := a.canaries()
	for _, path := range []string{
		"/google", "/github", "/basic", "/dead", "/retries", "/error", "/respond", "/header_up", "/header", "/intercept",
		"/handle_response", "/redirect", "/missing_error", "/missing", "/excess", "/scope", "/metrics",
	} {
		secrets.checkReply(t, path, a.get(path, a.agent))
		secrets.checkReply(t, path+" in a browser", a.get(path, a.agent, func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", "navigate") }))
		secrets.checkReply(t, path+" without a token", a.get(path, ""))
		secrets.checkReply(t, path+" with a bad token", a.get(path, a.agent+"x"))
	}
	for _, r := range errorPage.requests() {
		secrets.check(t, "what the error page's backend got", dump(r))
	}
	for _, r := range a.Upstream.requests() {
		secrets.check(t, "X-Leak", r.Header.Get("X-Leak"))
	}
	if len(errorPage.requests()) == 0 {
		t.Error("the error page was never asked for: the test tests nothing")
	}
	secrets.check(t, "the log", a.flushLog(t))
}

func TestNoSecretShowsWhenAHandlerPanics(t *testing.T) {
	a, _ := startCanaries(t)
	req, _ := http.NewRequest(http.MethodGet, a.URL+"/panic", nil)
	req.Header.Set("Authorization", "Bearer "+a.agent)
	if resp, err := noRedirects.Do(req); err == nil {
		resp.Body.Close()
		t.Errorf("status %d, the connection should have ended", resp.StatusCode)
	}
	a.eventually("the panic in the log", func() bool { return strings.Contains(a.Log.String(), "panics on purpose") })
	a.canaries().check(t, "the log", a.flushLog(t))
}

// A connection that ends before the answer is retried, and then an error.
func TestNoSecretReachesTheErrorPageOfADyingUpstream(t *testing.T) {
	a, errorPage := startCanaries(t)
	a.Upstream.respond(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	got := a.get("/dying", a.agent)
	if !strings.HasPrefix(got.Body, "error page: ") || got.Status != http.StatusOK {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
	a.canaries().checkReply(t, "the error page", got)
	a.canaries().check(t, "what the error page's backend got", dump(errorPage.last(t)))
	a.canaries().check(t, "the log", a.flushLog(t))
}

func TestNoSecretShowsInRefusals(t *testing.T) {
	a, _ := startCanaries(t)
	secrets := a.canaries()
	bad := map[string]string{
		"another audience": a.token(alice, func(r *auth0test.TokenRequest) { r.Audience = "https://other.example/" }),
		"expired":          a.token(alice, func(r *auth0test.TokenRequest) { r.ExpiresIn = new(-3600) }),
		"a machine's":      a.token("", func(*auth0test.TokenRequest) {}),
		"another agent's":  a.token(alice, func(r *auth0test.TokenRequest) { r.ClientID = "other" }),
		"unsigned":         a.token(alice, func(r *auth0test.TokenRequest) { r.Header = map[string]any{"alg": "none"} }),
		"an unknown key's": a.token(alice, func(r *auth0test.TokenRequest) { r.Header = map[string]any{"kid": "nobody-knows-this-key"} }),
		"nobody's":         a.token("auth0|nobody"),
		"cut":              a.agent[:len(a.agent)/2],
		"no base64":        strings.ReplaceAll(a.agent, "e", "!"),
		"too long":         strings.Repeat(a.agent, 20),
		"two words":        a.agent + " " + a.agent,
		"garbage":          strings.Repeat("canary-", 20),
	}
	for what, token := range bad {
		secrets[what+" token"] = token
		got := a.get("/google", token)
		if got.Header.Get("Token-Vault-Error") == "" {
			t.Errorf("%s: status %d, not refused", what, got.Status)
		}
		secrets.checkReply(t, what, got)
	}
	secrets.check(t, "the log", a.flushLog(t))
}

// Auth0's answers are repeated nowhere, whatever they hold.
func TestNoSecretShowsWhenAuth0RepeatsIt(t *testing.T) {
	a, _ := startCanaries(t)
	secrets := a.canaries()
	const minted = "ya29.this-token-came-with-a-broken-answer"
	secrets["a token in a broken answer"] = minted
	echo := a.agent + " " + os.Getenv("AUTH0_CLIENT_SECRET")
	for _, f := range []auth0test.Fault{
		{Status: new(400), Body: map[string]any{"error": echo, "error_description": echo}},
		{Status: new(400), Body: map[string]any{"error": a.agent, "error_description": a.agent}},
		{Status: new(400), Body: map[string]any{"error": a.agent[:60]}},
		{Status: new(400), Body: map[string]any{"error": os.Getenv("AUTH0_CLIENT_SECRET")}},
		{Status: new(401), Body: map[string]any{"error": "invalid_client", "error_description": echo, "error_uri": echo}},
		{Status: new(401), Body: map[string]any{"error": "federated_connection_refresh_token_not_found", "error_description": echo}},
		{Status: new(403), Body: map[string]any{"error": "access_denied", "error_description": echo}},
		{Status: new(403), Body: map[string]any{"error": "mfa_required", "mfa_token": echo}},
		{Status: new(429), Body: echo, Headers: map[string]string{"Retry-After": a.agent[:40]}},
		{Status: new(500), Body: echo},
		{Status: new(400), Body: echo},
		{Status: new(302), Headers: map[string]string{"Location": "http://127.0.0.1:1/?" + a.agent}},
		{Status: new(0)},
		{Status: new(200), Body: minted},
		{Status: new(200), Body: map[string]any{"access_token": minted}},
		{Status: new(200), Body: map[string]any{"access_token": minted, "token_type": minted, "expires_in": 60}},
		{Status: new(200), Body: map[string]any{"access_token": minted, "token_type": "Bearer", "expires_in": minted}},
		{Status: new(200), Body: map[string]any{"access_token": minted + "\n" + minted, "token_type": "Bearer", "expires_in": 60}},
		{Status: new(200), Body: map[string]any{"access_token": []string{minted}, "token_type": "Bearer", "scope": minted}},
	} {
		f.Path, f.Times = "/oauth/token", new(1)
		f.Headers = withType(f)
		a.Tenant.ClearFaults()
		if err := a.Tenant.AddFault(f); err != nil {
			t.Fatal(err)
		}
		other := a.token(bob)
		secrets["bob's token"] = other
		got := a.get("/google", other)
		secrets.checkReply(t, fmt.Sprint("the answer to ", f.Body), got)
		if got.Status < 400 && f.Body != nil && !strings.Contains(fmt.Sprint(f.Body), "token_type") {
			t.Errorf("%v: status %d", f.Body, got.Status)
		}
	}
	secrets.check(t, "the log", a.flushLog(t))
}

func withType(f auth0test.Fault) map[string]string {
	headers := map[string]string{"Content-Type": "application/json"}
	for name, value := range f.Headers {
		headers[name] = value
	}
	return headers
}

func TestNoSecretIsInTheConfiguration(t *testing.T) {
	a, errorPage := startCanaries(t)
	secrets := a.canaries()
	saved, err := os.ReadFile(caddy.ConfigAutosavePath)
	if err != nil {
		t.Fatal(err)
	}
	secrets.check(t, "the autosaved configuration", string(saved))
	adapted, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(a.caddyfile(strings.ReplaceAll(canarySite, "{errors}", errorPage.URL))), nil)
	if err != nil {
		t.Fatal(err)
	}
	secrets.check(t, "the adapted configuration", string(adapted))
	app, err := caddy.ActiveContext().AppIfConfigured("token_vault")
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(app)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(text), "{env.AUTH0_CLIENT_SECRET}") {
		t.Errorf("the app's configuration is %s", text)
	}
	secrets.check(t, "the app as JSON", string(text))
	secrets.check(t, "the app as text", fmt.Sprintf("%+v %#v", app, app))
}

// A load that fails names the field and not its value.
func TestNoSecretShowsWhenALoadFails(t *testing.T) {
	a, _ := startCanaries(t)
	t.Setenv("LINK_KEY", "c2VjcmV0LWxpbmsta2V5LXRoYXQtaXMtdG9vLXNob3J0")
	secrets := a.canaries()
	secrets["a link key"] = os.Getenv("LINK_KEY")
	good := a.caddyfile("respond hello")
	for _, change := range []struct{ old, new string }{
		{"link {", "link {\n key {env.LINK_KEY}"},
		{"audience " + audience, "audience {env.NOBODY_SET_THIS}"},
		{"domain   " + a.Tenant.URL, "domain {env.AUTH0_CLIENT_SECRET}:x/"},
	} {
		err := a.tryLoad(strings.Replace(good, change.old, change.new, 1))
		if err == nil {
			t.Errorf("%s: loaded", change.new)
			continue
		}
		secrets.check(t, "the error of "+change.new, err.Error())
	}
	if got := a.get("/google", a.agent); got.Status != http.StatusOK {
		t.Errorf("after failed loads: status %d", got.Status)
	}
	secrets.check(t, "the log", a.flushLog(t))
}

// Caddy's DEBUG log prints the header that `attach header` names, and the load
// warns of it; at INFO nothing shows.
func TestAnAttachedHeaderShowsInNoLogAtInfo(t *testing.T) {
	a := &attack{proxy: newProxy(t)}
	site := "token_vault google-oauth2 {\n attach header X-Api-Key\n}\n reverse_proxy {upstream}\n"
	load := func(upstream string) {
		text := a.caddyfile(strings.ReplaceAll(site, "{upstream}", upstream))
		if err := a.tryLoad(strings.Replace(text, "level DEBUG", "level INFO", 1)); err != nil {
			t.Fatal(err)
		}
	}
	load(a.Upstream.URL)
	a.connect(alice, google, calendar)
	a.agent = a.token(alice)
	if got := a.get("/", a.agent); got.Status != http.StatusOK {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	a.google = a.Upstream.last(t).Header.Get("X-Api-Key")
	load("http://127.0.0.1:1")
	a.canaries().checkReply(t, "the answer for a dead upstream", a.get("/", a.agent))
	a.canaries().check(t, "the log", a.flushLog(t))
}

// What handle_response sends elsewhere goes out on the request that carries the
// provider's token; the README says how to take it off.
func TestAResponseHandlersOwnUpstreamCanDoWithoutTheToken(t *testing.T) {
	second := newUpstream(t)
	a := startAttack(t, strings.ReplaceAll(`
		token_vault google-oauth2
		reverse_proxy {upstream} {
			@gone status 404
			handle_response @gone {
				reverse_proxy {second} {
					header_up -Authorization
				}
			}
		}
	`, "{second}", second.URL))
	a.Upstream.respond(http.NotFound)
	if got := a.get("/", a.agent); got.Status != http.StatusOK {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	a.google = providerToken(t, a.Upstream.last(t))
	a.canaries().check(t, "what the second upstream got", dump(second.last(t)))
}
