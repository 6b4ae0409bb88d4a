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

	p.load(`respond "no pages here"`)
	p.logLine("no site here serves the link pages")

	t.Setenv("AUTH0_CLIENT_SECRET", "")
	err = p.tryLoad(p.caddyfile(calendarSite))
	if err == nil || strings.Contains(err.Error(), "has to be configured") || !strings.Contains(err.Error(), "client secret") {
		t.Errorf("a missing secret: %v", err)
	}
}
