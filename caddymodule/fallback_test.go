package caddymodule_test

import (
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// A fallback upstream: the first token_vault let the call go on, its upstream
// failed, and another one is about to be asked, in handle_errors or intercept.

const fallbackSite = `
	handle /dead* {
		token_vault google-oauth2
		reverse_proxy 127.0.0.1:1
	}
	handle /failing* {
		token_vault google-oauth2
		reverse_proxy {upstream} {
			@failed status 503
			handle_response @failed {
				error 503
			}
		}
	}
	handle /intercept {
		route {
			intercept {
				@failed status 503
				handle_response @failed {
					header -Content-Length
					token_vault google-oauth2
					reverse_proxy {fallback}
				}
			}
			token_vault google-oauth2
			reverse_proxy {upstream}
		}
	}
	handle /refused {
		token_vault github {
			on_missing error
		}
		reverse_proxy {upstream}
	}
	handle_errors {
		FALLBACK
		reverse_proxy {fallback}
	}
`

// fallback is a proxy whose first upstream fails.
type fallback struct {
	*attack
	second *upstream
}

func startFallback(t *testing.T, tokenVault string) *fallback {
	t.Helper()
	f := &fallback{&attack{proxy: newProxy(t)}, newUpstream(t)}
	f.global = secondTenant(f.proxy, "second")
	f.load(strings.NewReplacer("FALLBACK", tokenVault, "{fallback}", f.second.URL).Replace(fallbackSite))
	f.connect(alice, google, calendar)
	f.agent = f.token(alice)
	f.Upstream.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	return f
}

func TestAFallbackUpstreamGetsTheProvidersToken(t *testing.T) {
	f := startFallback(t, "token_vault google-oauth2")
	for _, path := range []string{"/dead", "/failing", "/intercept"} {
		f.second.forget()
		got := f.get(path, f.agent, func(r *http.Request) { r.Header.Set("X-Copy", "see "+f.agent) })
		if got.Status != http.StatusOK || got.code() != "" || len(f.second.requests()) != 1 {
			t.Errorf("%s: status %d, %s, %d requests", path, got.Status, got.Body, len(f.second.requests()))
			continue
		}
		sent := f.second.last(t)
		if token := sent.Header.Get("Authorization"); !strings.HasPrefix(token, "Bearer ya29.") || strings.Contains(dump(sent), f.agent) {
			t.Errorf("%s: the fallback got %s", path, dump(sent))
		}
	}
	if n := f.exchanges(); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}

func TestEveryCheckRunsAgainBeforeTheFallback(t *testing.T) {
	for code, tokenVault := range map[string]string{
		"client_not_allowed":  "token_vault google-oauth2 {\n allow_clients another-agent\n}",
		"insufficient_scope":  "token_vault google-oauth2 {\n require_scopes read:calendar\n}",
		"scope_required":      "token_vault google-oauth2 {\n scopes never:granted\n}",
		"scope_excess":        "token_vault google-oauth2 {\n max_scopes never:granted\n}",
		"link_required":       "token_vault github",
		"vault_misconfigured": "token_vault google-oauth2 {\n tenant second\n}",
	} {
		f := startFallback(t, tokenVault)
		for _, path := range []string{"/dead", "/failing"} {
			if got := f.get(path, f.agent); got.code() != code {
				t.Errorf("%s: %s: status %d, %s", code, path, got.Status, got.Body)
			}
		}
		if n := len(f.second.requests()); n != 0 {
			t.Errorf("%s: %d requests reached the fallback", code, n)
		}
	}
}

// An upstream may take its time to fail.
func TestAnAgentsTokenThatEndedMeanwhileIsNoGoodForTheFallback(t *testing.T) {
	f := startFallback(t, "token_vault google-oauth2")
	f.get("/failing", f.agent) // with which the exchange is done
	agent := f.token(alice, func(r *auth0test.TokenRequest) { r.ExpiresIn = new(2) })
	expired := time.Now().Add(2 * time.Second)
	f.Upstream.respond(func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(time.Until(expired))
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	f.second.forget()
	if got := f.get("/failing", agent); got.code() != "invalid_token" || len(f.second.requests()) != 0 {
		t.Errorf("status %d, %s", got.Status, got.Body)
	}
}

// What the first one refused, or another request found out, is nothing to go on from.
func TestTheFallbackIsForThoseWhomTheFirstLetGoOn(t *testing.T) {
	f := startFallback(t, "token_vault google-oauth2")
	if got := f.get("/failing", f.agent); got.Status != http.StatusOK {
		t.Fatalf("status %d, %s", got.Status, got.Body)
	}
	f.second.forget()
	for path, agent := range map[string]string{"/refused": f.agent, "/failing": "", "/dead": ""} {
		if got := f.get(path, agent); got.code() != "no_credentials" {
			t.Errorf("%s: status %d, %s", path, got.Status, got.Body)
		}
	}
	if n := len(f.second.requests()); n != 0 {
		t.Errorf("%d requests reached the fallback", n)
	}
}

// A refused token is dropped before the fallback asks for one.
func TestTheFallbackGetsNoTokenThatTheFirstUpstreamRefused(t *testing.T) {
	f := startFallback(t, "token_vault google-oauth2")
	f.load(strings.NewReplacer("FALLBACK", "token_vault google-oauth2", "{fallback}", f.second.URL, "503", "401").Replace(fallbackSite))
	f.Upstream.respond(func(http.ResponseWriter, *http.Request) {})
	f.get("/failing", f.agent)
	old := f.Upstream.last(t).Header.Get("Authorization")
	f.connect(alice, google, calendar)
	f.Upstream.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	if got := f.get("/failing", f.agent); got.Status != http.StatusOK {
		t.Fatalf("status %d, %s", got.Status, got.Body)
	}
	if sent := f.second.last(t).Header.Get("Authorization"); sent == old || sent == "" {
		t.Error("it got the refused one")
	}
}

// A body that the first upstream never saw is there for the second one. One that it
// read is gone, and nobody gets half of it.
func TestABodyThatTheFirstUpstreamReadIsGone(t *testing.T) {
	f := startFallback(t, "token_vault google-oauth2")
	var read atomic.Value // by the second one, which may go on after the answer
	f.second.respond(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		read.Store(string(body))
	})
	f.Upstream.respond(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusServiceUnavailable)
	})
	for path, want := range map[string]string{"/dead": "hello", "/failing": ""} {
		read.Store("")
		resp := f.open(t, noRedirects, f.request(t, http.MethodPost, path, strings.NewReader("hello")))
		if got := read.Load(); got != want || (resp.StatusCode == http.StatusOK) != (want != "") {
			t.Errorf("%s: status %d, the fallback got %q", path, resp.StatusCode, got)
		}
	}
}

// Whoever prints a request's variables sees no credential.
func TestNoPlaceholderShowsWhatTheFallbackGoesOnFrom(t *testing.T) {
	f := startFallback(t, `
		templates
		log_append vault token_vault
		log_append var {http.vars.token_vault}
		header X-Leak "`+leaky+` {http.vars.token_vault} {vars.token_vault} {http.request.context}"
		token_vault google-oauth2`)
	f.second.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = io.WriteString(w, `{{placeholder "http.vars.token_vault"}} {{.Req.Context}} {{printf "%v %+v" .Req.Context .Req.Context}}`)
	})
	got := f.get("/dead", f.agent)
	if got.Status != http.StatusOK || got.Header.Get("X-Leak") == "" {
		t.Fatalf("status %d, %v, %s", got.Status, got.Header, got.Body)
	}
	f.google = providerToken(t, f.second.last(t))
	f.github = "unused"
	f.canaries().checkReply(t, "the answer", got)
	f.canaries().check(t, "the log", f.flushLog(t))
}
