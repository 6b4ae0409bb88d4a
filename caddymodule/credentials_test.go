package caddymodule_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/caddymodule"
)

// everyByte percent-encodes all of s, as often as told.
func everyByte(s string, times int) string {
	for range times {
		var b strings.Builder
		for i := range len(s) {
			fmt.Fprintf(&b, "%%%02x", s[i])
		}
		s = b.String()
	}
	return s
}

func TestTheAgentsTokenIsNowhereInTheURL(t *testing.T) {
	a := startAttack(t, attackedSite+`
		handle /rewritten* {
			rewrite * /plain-and-short
			token_vault google-oauth2
			reverse_proxy {upstream} {
				header_up X-Original {http.request.orig_uri}
			}
		}
	`)
	short := a.agent[len(a.agent)-20:]
	for _, target := range []string{
		"/bearer?token={token}", "/bearer/{token}", "/bearer/{token}/more", "/bearer?{token}", "/bearer?a=b&x=Bearer%20{token}", "/bearer;{token}",
		"/bearer?a=%zz{token}", "/bearer?token={one}", "/bearer/{one}", "/bearer?token={dots}", "/bearer/{dots}", "/bearer?token={two}", "/bearer/{two}",
		"/rewritten/{token}", "/rewritten?a={token}", "/two?token={token}", "/key?token={token}", "http://{host}/bearer?token={token}",
	} {
		t.Run(target, func(t *testing.T) {
			dots := strings.ReplaceAll(a.agent, ".", "%2E")
			target = strings.NewReplacer("{one}", everyByte(a.agent, 1), "{two}", everyByte(a.agent, 2), "{dots}", dots).Replace(target)
			got := a.send(t, "GET "+target+" HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}")
			if got.Status != 400 || got.Header.Get("Token-Vault-Error") != "invalid_request" {
				t.Errorf("status %d, body %s", got.Status, got.Body)
			}
			checkNoSecrets(t, got, a.agent)
		})
	}
	if n := len(a.Upstream.requests()); n != 0 {
		t.Errorf("%d requests reached the upstream: %s", n, dump(a.Upstream.last(t)))
	}
	// What is in the URL is something else.
	for _, target := range []string{"/bearer?token=" + short, "/bearer/eyJhbGciOiJSUzI1NiJ9.e30.AA", "/bearer?" + strings.Repeat("x", 4000), "/bearer?a=%25%2525%zz%"} {
		if got := a.send(t, "GET "+target+" HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}"); got.Status != 200 {
			t.Errorf("%.60s: status %d, body %s", target, got.Status, got.Body)
		}
	}
}

// What is no JWT is refused for that, whatever the URL has in common with it.
func TestAShortCredentialIsNotFoundInTheURL(t *testing.T) {
	p := startProxy(t, calendarSite)
	for _, token := range []string{"a", "bearer", "bearer/a.b"} {
		got := p.get("/"+url.PathEscape(token), token)
		if got.Status != 401 || got.code() != "invalid_token" {
			t.Errorf("%s: status %d, body %s", token, got.Status, got.Body)
		}
	}
}

func TestTheStatusIsNotAskedForWithTheTokenInTheURL(t *testing.T) {
	p := startProxy(t, calendarSite)
	token := p.token(alice)
	got := p.status(p.refused("/", token), token, "&token="+token)
	if got.Status != 400 || got.code() != "invalid_request" {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
}

// The upstream gets the host as well as the URL. The log line of a refusal does not.
func TestTheAgentsTokenIsNotTheHost(t *testing.T) {
	a := startAttack(t, attackedSite)
	everyHost := strings.Replace(a.caddyfile(attackedSite), a.URL+" {", fmt.Sprintf(":%d {", a.port), 1)
	if err := a.tryLoad(strings.ReplaceAll(everyHost, "{h2c}", a.Upstream.URL)); err != nil {
		t.Fatal(err)
	}
	got := a.send(t, "GET /bearer HTTP/1.1", "Host: {token}", "Authorization: Bearer {token}")
	if got.Status != 400 || got.Header.Get("Token-Vault-Error") != "invalid_request" || len(a.Upstream.requests()) != 0 {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
	_ = a.send(t, "GET /bearer HTTP/1.1", "Host: {token}") // unknown as a credential
	a.eventually("two refusals in the log", func() bool { return strings.Count(a.Log.String(), `"msg":"refused"`) == 2 })
	for line := range strings.Lines(a.Log.String()) {
		if strings.Contains(line, `"msg":"refused"`) && strings.Contains(line, a.agent[:20]) {
			t.Errorf("logged: %s", line)
		}
	}
}

// A route limits methods; an upstream that heeds these headers would not.
func TestNoHeaderChangesTheMethod(t *testing.T) {
	a := startAttackedSite(t)
	for _, name := range []string{"X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"} {
		for _, separator := range strings.Split("- _ . ! # $ % & ' * + ^ ` | ~", " ") {
			name := strings.ReplaceAll(name, "-", separator)
			for _, line := range []string{name + ": DELETE", strings.ToLower(name) + ": GET", strings.ToUpper(name) + ":"} {
				a.Upstream.forget()
				got := a.send(t, "GET /bearer HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}", line)
				if separator == "_" || separator == "." { // Caddy removes such names, unless it is told to expect them
					if text := dump(a.Upstream.last(t)); got.Status != 200 || strings.Contains(strings.ToLower(text), "method") {
						t.Errorf("%s: status %d, upstream got %s", line, got.Status, text)
					}
					continue
				}
				if got.Status != 400 || got.Header.Get("Token-Vault-Error") != "invalid_request" || !strings.Contains(got.text(t, "detail"), "X-HTTP-Method-Override") {
					t.Errorf("%s: status %d, body %s", line, got.Status, got.Body)
				}
				if n := len(a.Upstream.requests()); n != 0 {
					t.Errorf("%s: %d requests reached the upstream", line, n)
				}
			}
		}
	}
	for _, name := range []string{"X-HTTP-Methods", "X-Override", "HTTP-Method-Override", "X-HTTP-Method-Override-Allowed"} {
		if got := a.send(t, "GET /bearer HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}", name+": DELETE"); got.Status != http.StatusOK {
			t.Errorf("%s: status %d, body %s", name, got.Status, got.Body)
		}
	}
}

// Google's APIs take the method, and headers, from the query as well.
func TestNoParameterChangesTheMethod(t *testing.T) {
	a := startAttackedSite(t)
	for _, query := range []string{"$httpMethod=DELETE", "a=b&%24httpMethod=DELETE", "%24http%4Dethod", "$httpHeaders=Authorization:Bearer%20evil"} {
		got := a.send(t, "POST /bearer?"+query+" HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}", "Content-Length: 0")
		if got.Status != 400 || got.Header.Get("Token-Vault-Error") != "invalid_request" {
			t.Errorf("%s: status %d, body %s", query, got.Status, got.Body)
		}
	}
	if n := len(a.Upstream.requests()); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
	for _, query := range []string{"httpMethod=DELETE", "q=$httpMethod", "%2524httpMethod=x"} {
		if got := a.send(t, "GET /bearer?"+query+" HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}"); got.Status != http.StatusOK {
			t.Errorf("%s: status %d, body %s", query, got.Status, got.Body)
		}
	}
}

func TestNoTrailerChangesTheMethod(t *testing.T) {
	a := startAttackedSite(t)
	got := a.send(t, "POST /bearer HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}", "Transfer-Encoding: chunked",
		"Trailer: X-HTTP-Method-Override", "", "1", "x", "0", "X-HTTP-Method-Override: DELETE", "X_Http_Method: DELETE")
	if got.Status != http.StatusOK {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	if trailer := a.Upstream.last(t).Trailer; len(trailer) > 0 {
		t.Errorf("the upstream got the trailers %v", trailer)
	}
}

// Caddy's access log prints URLs.
func TestATokenInTheURLIsInNoLog(t *testing.T) {
	a := startAttack(t, "log\n"+attackedSite)
	for _, target := range []string{"/bearer?token={token}", "/bearer/{token}", "/bearer?access_token={token}"} {
		if got := a.send(t, "GET "+target+" HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}"); got.Status != 400 {
			t.Errorf("%s: status %d", target, got.Status)
		}
	}
	if got := a.send(t, "GET /bearer?seen HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}"); got.Status != 200 {
		t.Fatalf("status %d", got.Status)
	}
	a.logLine(`"/bearer?seen"`)
	if strings.Contains(a.Log.String(), a.agent) {
		t.Error("the agent's token is in the log")
	}
	if n := strings.Count(a.Log.String(), `"msg":"refused"`); n != 3 {
		t.Errorf("%d lines of ours say that a request was refused", n)
	}
}

// Whoever has no token costs no more because they fill the URL.
func TestLookingForATokenInAURLCostsOneCopyOfIt(t *testing.T) {
	for _, piece := range []string{"%", "%25", "%&", "x"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.RawQuery = strings.Repeat(piece, 15<<10/len(piece))
		r.Header.Set("Authorization", "Bearer a.b.c")
		if allocs := testing.AllocsPerRun(10, func() { _, _ = caddymodule.BearerToken(r) }); allocs > 8 {
			t.Errorf("%s: %v allocations", piece, allocs)
		}
	}
}

func TestATokenInTheQueryIsRefusedWithoutAHeaderToo(t *testing.T) {
	a := startAttackedSite(t)
	for _, query := range []string{"access_token={token}", "access_token=", "access_token", "access_token=x&access_token=y", "access%5Ftoken=x", "a=b;access_token=x"} {
		for _, lines := range [][]string{nil, {"Authorization: Basic dXNlcjpwYXNz"}, {"Authorization:"}} {
			got := a.send(t, append([]string{"GET /bearer?" + query + " HTTP/1.1", "Host: {host}"}, lines...)...)
			if got.Status != 400 || got.Header.Get("Token-Vault-Error") != "invalid_request" || !strings.Contains(got.Header.Get("WWW-Authenticate"), `error="invalid_request"`) {
				t.Errorf("%s %q: status %d, body %s", query, lines, got.Status, got.Body)
			}
			checkNoSecrets(t, got, a.agent)
		}
	}
	if n := len(a.Upstream.requests()); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}
