package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// What an agent or a browser gets while an account has to be connected.

func onMissing(word, more string) string {
	return `token_vault_link
	token_vault google-oauth2 {
		scopes     ` + calendar + `
		on_missing ` + word + `
	}
	reverse_proxy {upstream}
	` + more
}

func fetchMode(mode string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set("Sec-Fetch-Mode", mode) }
}

func TestOnMissingProblemIsTheDefault(t *testing.T) {
	for _, site := range []string{calendarSite, onMissing("problem", "")} {
		p := startProxy(t, site)
		for _, mode := range []string{"", "cors", "navigate"} {
			got := p.get("/", p.token(alice), fetchMode(mode))
			if got.Status != 401 || got.code() != "link_required" || got.text(t, "link_url") == "" {
				t.Errorf("%q: status %d, body %s", mode, got.Status, got.Body)
			}
		}
	}
}

func TestOnMissingRedirectSendsABrowserToTheLink(t *testing.T) {
	p := startProxy(t, onMissing("redirect", ""))
	got := p.get("/", p.token(alice), fetchMode("navigate"))
	link := got.Header.Get("Location")
	if got.Status != 303 || !strings.HasPrefix(link, p.URL+"/auth/connect?ticket=") {
		t.Fatalf("status %d, header %v", got.Status, got.Header)
	}
	if got.code() != "link_required" || got.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("header %v", got.Header)
	}
	if page := p.walk(link, "alice"); page.Status != 200 {
		t.Fatalf("status %d, page %s", page.Status, page.Body)
	}
	if got := p.get("/", p.token(alice)); got.Status != 200 {
		t.Errorf("after linking: status %d, body %s", got.Status, got.Body)
	}
}

func TestOnMissingRedirectAnswersEverythingElseWithTheProblem(t *testing.T) {
	p := startProxy(t, onMissing("redirect", ""))
	for _, mode := range []string{"", "cors", "no-cors", "same-origin", "websocket", "NAVIGATE"} {
		if got := p.get("/", p.token(alice), fetchMode(mode)); got.Status != 401 || got.text(t, "link_url") == "" {
			t.Errorf("%q: status %d", mode, got.Status)
		}
	}
	strange := p.token(alice, func(r *auth0test.TokenRequest) { r.ClientID = "strange" })
	if got := p.get("/", strange, fetchMode("navigate")); got.Status != 403 {
		t.Errorf("a link for an agent that is not allowed: status %d", got.Status)
	}
}

func TestOnMissingErrorHandsOver(t *testing.T) {
	p := startProxy(t, onMissing("error", `handle_errors {
		header X-Error      {http.token_vault.error}
		header X-Link       {http.token_vault.link_url}
		header X-Connection {http.token_vault.connection}
		respond "{http.error.status_code} {http.error.message}" {http.error.status_code}
	}`))
	for _, c := range []struct {
		want    string
		arrange func(*proxy)
	}{
		{"link_required", func(*proxy) {}},
		{"scope_required", connected(gmail)},
		{"relink_required", func(p *proxy) {
			if err := p.Tenant.Revoke(bob, google); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		user := alice
		if c.want == "relink_required" {
			p.connect(bob, google, calendar)
			user = bob
		}
		c.arrange(p)
		token := p.token(user)
		var got *reply
		p.eventually(c.want, func() bool { got = p.get("/", token); return got.Header.Get("X-Error") == c.want })
		if got.Status != 401 || got.code() != c.want || got.Header.Get("X-Connection") != google || got.Header.Get("Cache-Control") != "no-store" ||
			!strings.HasPrefix(got.Header.Get("X-Link"), p.URL+"/auth/connect?ticket=") || got.Body != "401 "+c.want {
			t.Errorf("%s: status %d, header %v, body %s", c.want, got.Status, got.Header, got.Body)
		}
		checkNoSecrets(t, got, token)
	}
}

func TestOnMissingErrorIsOnlyForLinks(t *testing.T) {
	p := startProxy(t, onMissing("error", `handle_errors {
		respond handled 418
	}`))
	if got := p.get("/", ""); got.Status != 401 || got.code() != "no_credentials" || got.problem(t)["error"] != "no_credentials" {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
	if got := p.get("/", p.token(alice)); got.Status != 418 || got.code() != "link_required" {
		t.Errorf("status %d, header %v", got.Status, got.Header)
	}
}

func TestOnMissingErrorWithoutHandleErrors(t *testing.T) {
	p := startProxy(t, onMissing("error", ""))
	got := p.get("/", p.token(alice))
	if got.Status != 401 || got.code() != "link_required" || !strings.Contains(got.Header.Get("WWW-Authenticate"), `link_uri="`) {
		t.Errorf("status %d, header %v", got.Status, got.Header)
	}
}

func TestOnMissingErrorOfTheInnerOfTwo(t *testing.T) {
	p := startProxy(t, `token_vault_link
	route {
		token_vault google-oauth2
		token_vault github {
			on_missing error
		}
		reverse_proxy {upstream}
	}
	handle_errors {
		respond "{http.token_vault.connection}" 401
	}`)
	p.connect(alice, google, calendar)
	if got := p.get("/", p.token(alice)); got.Status != 401 || got.code() != "link_required" || got.Body != "github" {
		t.Errorf("status %d, header %v, body %s", got.Status, got.Header, got.Body)
	}
}

// What handle_errors proxies to is no provider, and gets no token at all.
func TestErrorPagesGetNoCredential(t *testing.T) {
	p := startProxy(t, onMissing("error", `handle_errors {
		reverse_proxy {upstream} {
			header_up X-Was {http.request.header.Authorization}
		}
	}`))
	if got := p.get("/", p.token(alice)); got.Status != 200 { // the page's own
		t.Fatalf("status %d", got.Status)
	}
	if sent := p.Upstream.last(t).Header; sent.Get("Authorization") != "" || sent.Get("X-Was") != "" {
		t.Errorf("sent %v", sent)
	}
}

func TestOnMissingRedirectNeedsALinkBlock(t *testing.T) {
	p := newProxy(t)
	p.link = ""
	err := p.tryLoad(p.caddyfile(`token_vault google-oauth2 {
		on_missing redirect
	}`))
	if err == nil || !strings.Contains(err.Error(), "on_missing") || !strings.Contains(err.Error(), "link") {
		t.Errorf("error %v", err)
	}
}
