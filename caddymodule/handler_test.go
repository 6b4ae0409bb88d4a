package caddymodule_test

import (
	"net/http"
	"strings"
	"testing"
)

// calendarSite proxies everything to the recording upstream.
const calendarSite = `
	token_vault_link
	token_vault google-oauth2 {
		scopes ` + calendar + `
	}
	reverse_proxy {upstream}
`

func TestTheUpstreamGetsTheProvidersTokenAndNotTheAgents(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.connect(alice, google, calendar)
	token := p.token(alice)

	got := p.get("/calendar", token)
	if got.Status != http.StatusOK || got.Body != "upstream" {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	sent := p.Upstream.last(t).Header["Authorization"]
	if len(sent) != 1 || sent[0] == "Bearer "+token || len(sent[0]) < 20 {
		t.Errorf("Authorization %q", sent)
	}
}

func TestAMissingAccountIsAnsweredWithALink(t *testing.T) {
	p := startProxy(t, calendarSite)
	got := p.get("/calendar", p.token(alice))
	if got.Status != http.StatusUnauthorized || got.Header.Get("Token-Vault-Error") != "link_required" {
		t.Fatalf("status %d, header %v, body %s", got.Status, got.Header, got.Body)
	}
	if link, _ := got.problem(t)["link_url"].(string); link == "" {
		t.Error("no link_url")
	}
	if n := len(p.Upstream.requests()); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

func TestWhatCannotWorkIsSaidAtLoad(t *testing.T) {
	p := newProxy(t)
	err := p.tryLoad(p.caddyfile(`
	token_vault_link
	token_vault github {
		scopes read:user repo
		max_scopes repo
	}
	`))
	if err == nil || !strings.Contains(err.Error(), "max_scopes: has to include all of scopes; read:user is not") {
		t.Errorf("max_scopes without scopes: %v", err)
	}
	for _, all := range []string{"https://graph.microsoft.com/.default", "https://graph.microsoft.com/.Default", ".default"} {
		err = p.tryLoad(p.caddyfile("token_vault_link\n token_vault windowslive {\n max_scopes " + all + "\n }"))
		if err == nil || !strings.Contains(err.Error(), "max_scopes: "+all+" stands for") {
			t.Errorf("max_scopes that limits nothing: %v", err)
		}
	}

	p.load(`respond "no pages here"`)
	p.logLine("no site here serves the link pages")

	t.Setenv("AUTH0_CLIENT_SECRET", "")
	err = p.tryLoad(p.caddyfile(calendarSite))
	if err == nil || strings.Contains(err.Error(), "has to be configured") || !strings.Contains(err.Error(), "client: secret") {
		t.Errorf("a missing secret: %v", err)
	}
}

// TestTheOriginalRequestHoldsNoCredential: placeholders and error routes see the
// original, not the copy that goes to the upstream.
func TestTheOriginalRequestHoldsNoCredential(t *testing.T) {
	p := startProxy(t, `
	route {
		token_vault google-oauth2
		request_header X-Later {http.request.header.X-Copy}
		reverse_proxy {upstream} {
			header_up X-Up {http.request.header.X-Copy}
			header_up X-Cookie {http.request.cookie.token_vault_form}
		}
	}
	handle_errors {
		respond "{http.request.header.X-Copy}|{http.request.header.DPoP}|{http.request.header.Authorization}|{http.request.cookie.token_vault_form}"
	}
	`)
	p.connect(alice, google, calendar)
	token := p.token(alice)
	copies := func(r *http.Request) {
		r.Header.Set("X-Copy", "see "+token)
		r.Header.Set("DPoP", "proof")
		r.Header.Set("Cookie", "a=b; token_vault_form=sealed")
	}
	if got := p.get("/", token, copies); got.Status != http.StatusOK {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	sent := p.Upstream.last(t)
	for name, values := range sent.Header {
		if strings.Contains(strings.Join(values, " "), token) || strings.Contains(strings.Join(values, " "), "sealed") {
			t.Errorf("the upstream got %s: %q", name, values)
		}
	}
	p.Upstream.respond(func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	if got := p.get("/", token, copies); got.Body != "|||" {
		t.Errorf("the error route sees %q", got.Body)
	}
}

func TestAClientCannotHideItsCallsFromTheAccessLog(t *testing.T) {
	p := startProxy(t, calendarSite)
	for _, path := range []string{"/hidden?", "/auth/accounts?hidden"} {
		_ = p.get(path, p.token(alice), func(r *http.Request) { r.Header.Set("Referer", p.URL+"/auth/callback?code=x") })
		p.logLine(`"` + path + `"`)
	}
}
