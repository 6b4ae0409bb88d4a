package caddymodule_test

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// Who may use a route, with which account, and what the route learns of it.

// echoSite sends what it knows of the user upstream.
const echoSite = `
	token_vault google-oauth2 {
		ROUTE
	}
	reverse_proxy {upstream} {
		header_up X-User   {http.auth.user.id}
		header_up X-Agent  {http.auth.user.client_id}
		header_up X-Scope  {http.auth.user.scope}
		header_up X-Org    {http.auth.user.org_id}
		header_up X-Sent   {http.request.header.Authorization}
		header_up X-Orig   {http.request.orig_uri.query}
	}
`

func echo(route string) string { return strings.Replace(echoSite, "ROUTE", route, 1) }

func TestTheRouteLearnsWhoCalls(t *testing.T) {
	p := startProxy(t, echo(""))
	p.connect(alice, google, calendar)
	token := p.token(alice, func(r *auth0test.TokenRequest) {
		r.Scope = "read:calendar write:calendar"
		r.Claims = map[string]any{"org_id": "org_example"}
	})
	if got := p.get("/", token); got.Status != 200 {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	sent := p.Upstream.last(t).Header
	for name, want := range map[string]string{
		"X-User": alice, "X-Agent": agentID, "X-Scope": "read:calendar write:calendar", "X-Org": "org_example", "X-Sent": "",
	} {
		if sent.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, sent.Get(name), want)
		}
	}
}

func TestWhatIsNotKnownIsEmpty(t *testing.T) {
	p := startProxy(t, echo("allow_clients *"))
	p.connect(alice, google, calendar)
	for _, change := range []func(*auth0test.TokenRequest){claim("azp", nil), claim("client_id", "another")} {
		if got := p.get("/", p.token(alice, change)); got.Status != 200 {
			t.Fatalf("status %d, body %s", got.Status, got.Body)
		}
		for _, name := range []string{"X-Agent", "X-Scope", "X-Org"} {
			if v := p.Upstream.last(t).Header.Get(name); v != "" {
				t.Errorf("%s is %q", name, v)
			}
		}
	}
}

func TestWhichAgentsMayUseARoute(t *testing.T) {
	p := newProxy(t)
	t.Setenv("SECOND_AGENT", "second")
	p.load(`handle /own {
			token_vault google-oauth2 {
				allow_clients first {env.SECOND_AGENT}
				allow_clients third
			}
			respond ok
		}
		handle /any {
			token_vault google-oauth2 {
				allow_clients *
			}
			respond ok
		}
		handle {
			token_vault google-oauth2
			respond ok
		}`)
	p.connect(alice, google, calendar)
	for _, c := range []struct {
		path, agent string
		allowed     bool
	}{
		{"/tenants", agentID, true},
		{"/tenants", "first", false},
		{"/own", "first", true},
		{"/own", "second", true},
		{"/own", "third", true},
		{"/own", agentID, false},
		{"/own", "*", false},
		{"/own", "FIRST", false},
		{"/any", "fourth", true},
		{"/any", "", true},
	} {
		got := p.get(c.path, p.token(alice, func(r *auth0test.TokenRequest) { r.ClientID = c.agent }))
		if allowed := got.Status == 200; allowed != c.allowed || !allowed && got.code() != "client_not_allowed" {
			t.Errorf("%s for %q: status %d %s", c.path, c.agent, got.Status, got.code())
		}
	}
}

func TestPermissionsCountLikeScopes(t *testing.T) {
	p := startProxy(t, echo("require_scopes read:calendar write:calendar"))
	p.connect(alice, google, calendar)
	for _, c := range []struct {
		scope       string
		permissions []string
		want        int
	}{
		{"read:calendar write:calendar", nil, 200},
		{"", []string{"read:calendar", "write:calendar"}, 200},
		{"read:calendar", []string{"write:calendar"}, 200},
		{"read:calendar", nil, 403},
		{"read:calendar write:calendar2", nil, 403},
	} {
		got := p.get("/", p.token(alice, func(r *auth0test.TokenRequest) {
			r.Scope, r.Claims = c.scope, map[string]any{"permissions": c.permissions}
		}))
		if got.Status != c.want {
			t.Errorf("scope %q, permissions %q: status %d", c.scope, c.permissions, got.Status)
		}
	}
}

func TestAPolicyHoldsForCachedTokensToo(t *testing.T) {
	p := startProxy(t, echo("require_scopes read:calendar"))
	p.connect(alice, google, calendar)
	good := p.token(alice, func(r *auth0test.TokenRequest) { r.Scope = "read:calendar" })
	if got := p.get("/", good); got.Status != 200 {
		t.Fatalf("status %d", got.Status)
	}
	if got := p.get("/", p.token(alice)); got.code() != "insufficient_scope" {
		t.Errorf("status %d %s", got.Status, got.code())
	}
}

func TestMaxScopes(t *testing.T) {
	for _, c := range []struct {
		name, route string
		granted     []string
		want        string
	}{
		{"exactly", "max_scopes " + calendar, []string{calendar}, ""},
		{"less", "max_scopes " + calendar + " " + gmail, []string{calendar}, ""},
		{"over lines", "max_scopes " + calendar + "\n max_scopes " + gmail, []string{calendar, gmail}, ""},
		{"Google's short names", "max_scopes openid email", []string{"openid", "https://www.googleapis.com/auth/userinfo.email"}, ""},
		{"more", "max_scopes " + calendar, []string{calendar, gmail}, "scope_excess"},
		{"other", "max_scopes " + calendar, []string{gmail}, "scope_excess"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := startProxy(t, echo(c.route))
			p.connect(alice, google, c.granted...)
			if got := p.get("/", p.token(alice)); got.code() != c.want {
				t.Errorf("status %d, body %s", got.Status, got.Body)
			}
		})
	}
}

// TestGitHubsScopesAreComparedAsGitHubIncludesThem: what includes a scope meets it
// and exceeds it, and what is included there is within it.
func TestGitHubsScopesAreComparedAsGitHubIncludesThem(t *testing.T) {
	for _, c := range []struct{ route, granted, want string }{
		{"scopes read:user", "user", ""},
		{"scopes user", "read:user", "scope_required"},
		{"max_scopes user repo", "read:user", ""},
		{"max_scopes read:user", "user", "scope_excess"},
	} {
		p := startProxy(t, strings.Replace(echo(c.route), google, "github", 1))
		p.connect(alice, "github", c.granted)
		if got := p.get("/", p.token(alice)); got.code() != c.want {
			t.Errorf("%s, granted %s: status %d, body %s", c.route, c.granted, got.Status, got.Body)
		}
	}
}

// TestScopesWithoutEndAreRefusedInAFewWords: neither answer nor log repeats them.
func TestScopesWithoutEndAreRefusedInAFewWords(t *testing.T) {
	for n, reason := range map[int]string{200: "scopes_exceeded", 300: "scopes_unknown"} {
		p := startProxy(t, echo("max_scopes "+calendar))
		scopes := make([]string, n)
		for i := range scopes {
			scopes[i] = fmt.Sprintf("https://www.googleapis.com/auth/s%d", i)
		}
		p.connect(alice, google, scopes...)
		got := p.get("/", p.token(alice))
		if got.code() != "scope_excess" || len(got.Body) > 1000 {
			t.Errorf("%d scopes: %d bytes of %s", n, len(got.Body), got.code())
		}
		line := p.logLine(reason)
		if cause := fmt.Sprint(line["cause"]); !strings.Contains(cause, fmt.Sprint(n)) || len(cause) > 600 {
			t.Errorf("%d scopes: the log says %.700s", n, cause)
		}
	}
}

func TestScopesThatAreNotToldPassTheLeastAndFailTheMost(t *testing.T) {
	for route, want := range map[string]string{"scopes " + calendar: "", "max_scopes " + calendar: "scope_excess"} {
		p := newProxy(t, func(c *auth0test.Config) { c.Settings.OmitScope = true })
		p.load(echo(route))
		p.connect(alice, google, calendar)
		if got := p.get("/", p.token(alice)); got.code() != want {
			t.Errorf("%s: status %d, body %s", route, got.Status, got.Body)
		}
	}
}

func TestLoginHintPicksTheAccount(t *testing.T) {
	p := startProxy(t, echo("login_hint {http.request.header.X-Account}"))
	for _, account := range []string{"1111", "2222"} {
		if err := p.Tenant.Connect(alice, google, []string{calendar}, account); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]string{}
	for _, account := range []string{"1111", "2222", "1111"} {
		got := p.get("/", p.token(alice), func(r *http.Request) { r.Header.Set("X-Account", account) })
		if got.Status != 200 {
			t.Fatalf("status %d, body %s", got.Status, got.Body)
		}
		sent := p.Upstream.last(t).Header.Get("Authorization")
		if before, ok := seen[account]; ok && before != sent {
			t.Errorf("account %s has two tokens", account)
		}
		seen[account] = sent
	}
	if seen["1111"] == seen["2222"] {
		t.Error("both accounts have the same token")
	}
	if n := p.exchanges(); n != 2 {
		t.Errorf("%d exchanges", n)
	}
}

// A value from the request is not a template of the operator's.
func TestLoginHintIsExpandedOnce(t *testing.T) {
	t.Setenv("NOT_FOR_AGENTS", "3333")
	p := startProxy(t, echo("login_hint {http.request.header.X-Account}"))
	if err := p.Tenant.Connect(alice, google, []string{calendar}, "3333"); err != nil {
		t.Fatal(err)
	}
	hint := func(value string) *reply {
		return p.get("/", p.token(alice), func(r *http.Request) { r.Header.Set("X-Account", value) })
	}
	if got := hint("{env.NOT_FOR_AGENTS}"); got.code() != "link_required" {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
	if got := hint("3333"); got.Status != 200 {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
}

func TestALoginHintThatNoAccountCanHaveIsRefused(t *testing.T) {
	p := startProxy(t, echo("login_hint {http.request.uri.query.account}"))
	p.connect(alice, google, calendar)
	for _, query := range []string{"account=a%0Ab", "account=" + strings.Repeat("a", 256)} {
		if got := p.get("/?"+query, p.token(alice)); got.code() != "invalid_request" {
			t.Errorf("%.20s: status %d %s", query, got.Status, got.code())
		}
	}
	if n := p.exchanges(); n != 0 {
		t.Errorf("%d exchanges", n)
	}
}

// nested is one token_vault around another.
const nested = `route {
		token_vault google-oauth2 {
			require_scopes read:calendar
		}
		token_vault github {
			INNER
		}
		reverse_proxy {upstream} {
			header_up X-User {http.auth.user.id}
		}
	}
`

func TestTheInnerOfTwoReplacesTheCredential(t *testing.T) {
	p := startProxy(t, strings.Replace(nested, "INNER", "attach basic x-access-token", 1))
	p.connect(alice, google, calendar)
	p.connect(alice, "github", "read:user")
	token := p.token(alice, func(r *auth0test.TokenRequest) { r.Scope = "read:calendar" })
	if got := p.get("/", token); got.Status != 200 {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	sent := p.Upstream.last(t).Header
	user, password, _ := p.Upstream.last(t).BasicAuth()
	if len(sent["Authorization"]) != 1 || user != "x-access-token" || password == "" || sent.Get("X-User") != alice {
		t.Errorf("Authorization %q, user %q", sent["Authorization"], sent.Get("X-User"))
	}
	if n := p.exchanges(); n != 2 {
		t.Errorf("%d exchanges", n)
	}
}

func TestTheOutersHeaderIsReplacedToo(t *testing.T) {
	p := startProxy(t, `route {
		token_vault google-oauth2 {
			attach header X-Google
		}
		token_vault github
		reverse_proxy {upstream}
	}`)
	p.connect(alice, google, calendar)
	p.connect(alice, "github", "read:user")
	if got := p.get("/", p.token(alice)); got.Status != 200 {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	if sent := p.Upstream.last(t).Header; sent["X-Google"] != nil || len(sent["Authorization"]) != 1 {
		t.Errorf("sent %v", sent)
	}
}

func TestTheInnersRefusalIsMarked(t *testing.T) {
	p := startProxy(t, "token_vault_link\n"+strings.Replace(nested, "INNER", "", 1))
	p.connect(alice, google, calendar)
	got := p.get("/", p.token(alice, func(r *auth0test.TokenRequest) { r.Scope = "read:calendar" }))
	if got.Status != 401 || got.code() != "link_required" || got.text(t, "connection") != "github" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, header %v, body %s", got.Status, got.Header, got.Body)
	}
}

func TestTheInnermostOfThreeIsMarkedToo(t *testing.T) {
	p := startProxy(t, `route {
		token_vault google-oauth2
		token_vault google-oauth2
		token_vault github
		reverse_proxy {upstream}
	}`)
	p.connect(alice, google, calendar)
	if got := p.get("/", p.token(alice)); got.Status != 401 || got.code() != "link_required" {
		t.Errorf("status %d, header %v, body %s", got.Status, got.Header, got.Body)
	}
}

// The refusal of the inner one is no answer of the provider's.
func TestTheInnersRefusalCostsTheOuterNoToken(t *testing.T) {
	p := startProxy(t, strings.Replace(nested, "INNER", "", 1))
	p.connect(alice, google, calendar)
	token := p.token(alice, func(r *auth0test.TokenRequest) { r.Scope = "read:calendar" })
	for range 2 {
		_ = p.get("/", token)
	}
	if n := p.exchanges(); n != 2 { // "not linked" is remembered, too
		t.Errorf("%d exchanges", n)
	}
}

// secondTenant is another API of the same Auth0 tenant.
func secondTenant(p *proxy, name string) string {
	return p.expand(`token_vault ` + name + ` {
		domain   {tenant}
		audience https://second.example.com/
		client   second-exchange second-secret
		allow_clients *
	}`)
}

func withSecondAPI(c *auth0test.Config) {
	c.ResourceServers = append(c.ResourceServers, auth0test.ResourceServer{Name: "Second", Identifier: "https://second.example.com/", SkipConsent: true})
	client := *exchangeClient(c)
	client.ClientID, client.ClientSecret, client.ResourceServerIdentifier = "second-exchange", "second-secret", "https://second.example.com/"
	c.Clients = append(c.Clients, client)
	for i := range c.Connections {
		c.Connections[i].EnabledClients = append(c.Connections[i].EnabledClients, "second-exchange")
	}
}

func TestSeveralTenantsSideBySide(t *testing.T) {
	p := newProxy(t, withSecondAPI)
	p.global = secondTenant(p, "second")
	p.load(`
	handle /second {
		token_vault google-oauth2 {
			tenant second
		}
		reverse_proxy {upstream}
	}
	handle {
		token_vault google-oauth2
		reverse_proxy {upstream}
	}`)
	p.connect(alice, google, calendar)
	first := p.token(alice)
	second := p.token(alice, func(r *auth0test.TokenRequest) { r.Audience = "https://second.example.com/" })
	for _, c := range []struct {
		path, token string
		want        int
	}{{"/", first, 200}, {"/second", second, 200}, {"/", second, 401}, {"/second", first, 401}} {
		if got := p.get(c.path, c.token); got.Status != c.want {
			t.Errorf("%s: status %d, body %s", c.path, got.Status, got.Body)
		}
	}
	if n := p.exchanges(); n != 2 {
		t.Errorf("%d exchanges: tenants share no answers", n)
	}
}

func TestTwoTenantsOnOneRequestAreRefused(t *testing.T) {
	p := newProxy(t, withSecondAPI)
	p.global = secondTenant(p, "second")
	p.load(`route {
		token_vault google-oauth2
		token_vault github {
			tenant second
		}
		reverse_proxy {upstream}
	}`)
	p.connect(alice, google, calendar)
	p.connect(alice, "github", "read:user")
	got := p.get("/", p.token(alice))
	if got.Status != 502 || got.code() != "vault_misconfigured" || len(p.Upstream.requests()) != 0 {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
}

func TestWaysToAttach(t *testing.T) {
	for route, check := range map[string]func(http.Header) string{
		"":                             func(h http.Header) string { return strings.TrimPrefix(h.Get("Authorization"), "Bearer ") },
		"attach bearer":                func(h http.Header) string { return strings.TrimPrefix(h.Get("Authorization"), "Bearer ") },
		"attach header X-Api-Key":      func(h http.Header) string { return h.Get("X-Api-Key") },
		"attach header x-token GoogAu": func(h http.Header) string { return strings.TrimPrefix(h.Get("X-Token"), "GoogAu ") },
		"attach basic x-access-token": func(h http.Header) string {
			pair, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(h.Get("Authorization"), "Basic "))
			return strings.TrimPrefix(string(pair), "x-access-token:")
		},
	} {
		t.Run(route, func(t *testing.T) {
			p := startProxy(t, echo(route))
			p.connect(alice, google, calendar)
			token := p.token(alice)
			if got := p.get("/", token); got.Status != 200 {
				t.Fatalf("status %d, body %s", got.Status, got.Body)
			}
			sent := p.Upstream.last(t).Header
			value := check(sent)
			if len(value) < 20 || strings.Contains(value, " ") || value == token {
				t.Errorf("sent %v", sent)
			}
			if !strings.Contains(route, "header") == (sent.Get("Authorization") == "") {
				t.Errorf("Authorization %q", sent.Get("Authorization"))
			}
		})
	}
}

func TestAHeaderThatDEBUGLogsPrintWarns(t *testing.T) {
	p := startProxy(t, echo("attach header X-Api-Key"))
	if line := p.logLine("DEBUG log prints this header"); line["level"] != "warn" || line["header"] != "X-Api-Key" {
		t.Errorf("logged %v", line)
	}
}

func TestPagesAndProxiedContentOnOneOriginWarn(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.logLine("share a site")

	for name, site := range map[string]string{
		"a site without a host": ":{port} {\n" + calendarSite + "}",
		"nested":                "http://127.0.0.1:{port} {\n handle {\n route {\n" + calendarSite + "}\n }\n }",
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t)
			config := p.caddyfile("")
			config = config[:strings.LastIndex(config, p.URL+" {")] + strings.ReplaceAll(p.expand(site), "{port}", p.URL[strings.LastIndex(p.URL, ":")+1:])
			if err := p.tryLoad(config); err != nil {
				t.Fatal(err)
			}
			p.logLine("share a site")
			_ = caddy.Stop()
		})
	}
}
