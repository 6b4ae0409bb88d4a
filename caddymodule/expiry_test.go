package caddymodule_test

import (
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// A provider's token serves on while the tenant is down, but not for longer than
// it may.

func TestATokenThatEndsWhileTheTenantIsDownIsNotSentAnyMore(t *testing.T) {
	for _, c := range []struct {
		name      string
		lines     []string
		expiresIn int
		calls     int // until the vault is known to give the token until its end
	}{
		{"it expires", nil, 3, 2},
		{"max_age", []string{"cache {\n max_age 3s\n }"}, 3600, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProxy(t)
			p.loadQuietly("token_vault google-oauth2\nreverse_proxy {upstream}", c.lines...)
			p.exchangeFault(auth0test.Fault{Status: new(200), Body: map[string]any{
				"access_token": "short-lived", "token_type": "Bearer", "expires_in": c.expiresIn,
			}})
			p.Upstream.respond(func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.WriteString(w, r.Header.Get("Authorization"))
			})
			token := p.token(alice)
			for range c.calls {
				p.sends(p.get("/", token), "Bearer short-lived")
			}
			over := time.Now().Add(3 * time.Second) // it was asked for before
			p.Tenant.ClearFaults()
			p.fault(auth0test.Fault{Path: "/*", Status: new(0)})
			p.sends(p.get("/", token), "Bearer short-lived")

			late := 0
			p.eventually("ten calls after the end", func() bool {
				began := time.Now()
				got := p.get("/", token)
				if began.After(over) {
					late++
					if got.Status != 502 && got.Status != 503 {
						t.Errorf("status %d, body %s, %v after the end", got.Status, got.Body, began.Sub(over))
					}
				}
				return late == 10
			})
			p.Tenant.ClearFaults()
			p.connect(alice, google, calendar)
			p.eventually("another token", func() bool { return p.get("/", token).Status == 200 })
			if got := p.get("/", token); got.Body == "Bearer short-lived" {
				t.Error("the old token was sent again")
			}
		})
	}
}

// sends demands that the upstream got such a header.
func (p *proxy) sends(got *reply, authorization string) {
	p.t.Helper()
	if got.Status != 200 || got.Body != authorization {
		p.t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
}
