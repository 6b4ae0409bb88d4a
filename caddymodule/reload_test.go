package caddymodule_test

import (
	"fmt"
	"io"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenvault/caddy-token-vault/caddymodule"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// What a new configuration keeps, and what it ends.

func TestAReloadEmptiesNoCache(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.connect(alice, google, calendar)
	token := p.token(alice)
	if got := p.get("/", token); got.Status != 200 {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	sent := p.Upstream.last(t).Header.Get("Authorization")
	p.Tenant.ClearRequests()
	for _, lines := range []string{"timeout 9s", "algorithms RS256 PS256", "cache {\n max_age 30m\n }", "allow_clients other-agent"} {
		p.load(calendarSite, lines)
		if got := p.get("/", token); got.Status != 200 || p.Upstream.last(t).Header.Get("Authorization") != sent {
			t.Errorf("after a reload with %q: status %d, body %s", lines, got.Status, got.Body)
		}
	}
	if requests := p.Tenant.Requests(); len(requests) != 0 {
		t.Errorf("Auth0 was asked: %v", requests)
	}
}

func TestANewSecretEmptiesNoCacheEither(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.connect(alice, google, calendar)
	p.connect(bob, google, calendar)
	_ = p.get("/", p.token(alice))
	t.Setenv("AUTH0_CLIENT_SECRET", "wrong-secret")
	p.load(calendarSite)
	if got := p.get("/", p.token(alice)); got.Status != 200 {
		t.Errorf("kept: status %d, body %s", got.Status, got.Body)
	}
	if got := p.get("/", p.token(bob)); got.code() != "vault_misconfigured" {
		t.Errorf("new: status %d, body %s: the new secret is not in use", got.Status, got.Body)
	}
	if n := p.exchanges(); n != 2 {
		t.Errorf("%d exchanges", n)
	}
}

func TestAPolicyChangesWithTheReload(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.connect(alice, google, calendar)
	if got := p.get("/", p.token(alice)); got.Status != 200 {
		t.Fatalf("status %d", got.Status)
	}
	p.load(strings.Replace(calendarSite, "{\n", "{\n allow_clients other\n", 1))
	if got := p.get("/", p.token(alice)); got.code() != "client_not_allowed" {
		t.Errorf("status %d", got.Status)
	}
}

func TestAFailingReloadChangesNothing(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.connect(alice, google, calendar)
	_ = p.get("/", p.token(alice))
	before := caddymodule.PoolSize()
	for name, bad := range map[string]string{
		"value missing":  strings.Replace(p.caddyfile(calendarSite), "{env.AUTH0_CLIENT_SECRET}", "{env.NOT_SET}", 1),
		"link's missing": strings.Replace(p.caddyfile(calendarSite), "{env.AUTH0_LINK_CLIENT_SECRET}", "{env.NOT_SET}", 1),
		"other tenant":   strings.Replace(p.caddyfile(calendarSite), "client   vault-exchange", "client other {env.NOT_SET}\n #", 1),
		"route":          strings.Replace(p.caddyfile(calendarSite), "allow_clients "+agentID, "", 1),
		"another app":    strings.Replace(p.caddyfile(calendarSite), "bind 127.0.0.1", "bind 203.0.113.1", 1),
		"second tenant":  strings.Replace(p.caddyfile(calendarSite), "\n}\n"+p.URL, "\ntoken_vault second {\n domain two.example.com\n audience x\n client a {env.NOT_SET}\n}\n}\n"+p.URL, 1),
	} {
		if err := p.tryLoad(bad); err == nil {
			t.Errorf("%s: loads", name)
		}
		if got := p.get("/", p.token(alice)); got.Status != 200 {
			t.Errorf("%s: status %d, body %s", name, got.Status, got.Body)
		}
		if n := caddymodule.PoolSize(); n != before {
			t.Errorf("%s: %d tenants in the pool, had %d", name, n, before)
		}
	}
	if n := p.exchanges(); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}

func TestARemovedTenantFreesItsPlace(t *testing.T) {
	_ = caddy.Stop()
	base := caddymodule.PoolSize()
	p := newProxy(t, withSecondAPI)
	p.global = strings.Replace(secondTenant(p, "second"), p.Tenant.URL, "second.example.com", 1)
	p.load(calendarSite)
	if n := caddymodule.PoolSize() - base; n != 2 {
		t.Errorf("%d tenants, want 2", n)
	}
	p.global = ""
	p.load(calendarSite, "timeout 9s")
	if n := caddymodule.PoolSize() - base; n != 1 {
		t.Errorf("%d tenants, want 1", n)
	}
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	if n := caddymodule.PoolSize() - base; n != 0 {
		t.Errorf("%d tenants after the stop", n)
	}
}

// later runs a call and gives its answer when there is one.
func later(call func() *reply) <-chan *reply {
	done := make(chan *reply, 1)
	go func() { done <- call() }()
	return done
}

func (p *proxy) await(done <-chan *reply) *reply {
	p.t.Helper()
	select {
	case got := <-done:
		return got
	case <-time.After(15 * time.Second):
		p.t.Fatal("no answer")
		return nil
	}
}

func TestARequestInFlightFinishesOnWhatItBeganWith(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.connect(alice, google, calendar)
	arrived, release := make(chan struct{}), make(chan struct{})
	p.Upstream.respond(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(arrived)
			<-release
		}
		_, _ = io.WriteString(w, "whole answer")
	})
	token := p.token(alice)
	done := later(func() *reply { return p.get("/slow", token) })
	<-arrived
	p.load(strings.Replace(calendarSite, "{\n", "{\n allow_clients other\n", 1))
	if got := p.get("/", token); got.code() != "client_not_allowed" {
		t.Errorf("the new configuration: status %d", got.Status)
	}
	close(release)
	if got := p.await(done); got.Status != 200 || got.Body != "whole answer" {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
}

// The old configuration is gone while the exchange is on its way, tenant and all.
func TestAnExchangeInFlightFinishes(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.connect(alice, google, calendar)
	p.fault(auth0test.Fault{Path: "/oauth/token", DelayMS: 700, Times: new(1)})
	token := p.token(alice)
	done := later(func() *reply { return p.get("/", token) })
	p.eventually("the key set to be asked for", func() bool { return len(p.Tenant.Requests()) > 0 })
	p.load("respond plain")
	if got := p.await(done); got.Status != 200 || got.Body != "upstream" {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
}

func TestAWaitInFlightLearnsOfTheLink(t *testing.T) {
	p := startProxy(t, calendarSite)
	token := p.token(alice)
	refused := p.refused("/", token)
	asked := p.exchanges()
	done := later(func() *reply { return p.status(refused, token, "&wait=30") })
	p.eventually("the wait to ask the vault again", func() bool { return p.exchanges() > asked })
	p.load(calendarSite, "timeout 9s")
	_ = p.walk(refused.text(t, "link_url"), "alice")
	linked := time.Now()
	p.wantStatus(p.await(done), "completed")
	if took := time.Since(linked); took > 3*time.Second {
		t.Errorf("told after %v", took)
	}
}

func TestWhatBecameOfALinkOutlivesAReload(t *testing.T) {
	p := startProxy(t, calendarSite)
	token := p.token(alice)
	refused := p.refused("/", token)
	_ = p.steps(refused.text(t, "link_url"), "alice", "decline", "")
	p.load(calendarSite, "timeout 9s")
	p.wantStatus(p.status(refused, token, ""), "declined")
}

// The site has no reverse_proxy, whose idle connections outlive a reload.
func TestReloadsLeakNothing(t *testing.T) {
	site := strings.Replace(calendarSite, "reverse_proxy {upstream}", "respond ok", 1)
	p := startProxy(t, site)
	p.connect(alice, google, calendar)
	reload := func(n int) {
		p.load(site, fmt.Sprintf("timeout %ds", n+10))
		if got := p.get("/", p.token(alice)); got.Status != 200 {
			t.Fatalf("status %d", got.Status)
		}
	}
	settled := func() int {
		noRedirects.CloseIdleConnections()
		http.DefaultClient.CloseIdleConnections()
		runtime.GC()
		return runtime.NumGoroutine()
	}
	for n := range 3 {
		reload(n)
	}
	before, pool := settled(), caddymodule.PoolSize()
	for n := range 20 {
		reload(n)
	}
	const slack = 5 // of 20 reloads none may leave anything
	now := 0
	deadline := time.Now().Add(5 * time.Second)
	for now = settled(); now > before+slack && time.Now().Before(deadline); now = settled() {
		runtime.Gosched()
	}
	if now > before+slack {
		stacks := make([]byte, 1<<20)
		t.Errorf("%d goroutines, had %d:\n%s", now, before, stacks[:runtime.Stack(stacks, true)])
	}
	if n := caddymodule.PoolSize(); n != pool {
		t.Errorf("%d tenants in the pool, had %d", n, pool)
	}
}
