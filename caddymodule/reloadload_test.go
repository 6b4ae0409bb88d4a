package caddymodule_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// Configurations that change, or do not, while agents call.

func TestTenReloadsUnderLoadLoseNothing(t *testing.T) {
	const users = 10
	p := newProxy(t, crowd(users))
	p.loadQuietly(whoSite)
	everybody := p.people(0, users)
	p.warm(everybody)
	p.loadQuietly(whoSite, "timeout 8s") // what a reload leaves once is there
	p.warm(everybody)
	before := goroutines()

	const connections = 6
	redial := &redialing{base: &http.Transport{MaxIdleConnsPerHost: connections}}
	served := p.beginOver(redial, func(n int) user { return everybody[n%users] }, connections, "/")
	for n := range 10 {
		p.more(served, 20)
		p.loadQuietly(whoSite, fmt.Sprintf("timeout %ds", n+1), fmt.Sprintf("cache {\n max_age %dm\n }", n+10))
	}
	p.more(served, 20)
	served.end()
	served.only(t, "during reloads", 200, "200")
	if n := redial.times.Load(); n > 10 {
		t.Errorf("%d new connections ended without an answer in ten reloads", n)
	}
	if n := p.exchanges(); n != users {
		t.Errorf("%d exchanges for %d users", n, users)
	}
	p.settle(before, 5)
}

// redialing sends a GET once more whose connection ended without an answer. Every
// configuration of Caddy listens on a socket of its own, and what was not
// accepted there yet ends with it, whatever the site does; net/http itself
// repeats a GET only on connections that it used before.
type redialing struct {
	base  *http.Transport
	times atomic.Int32
}

// RoundTrip implements http.RoundTripper.
func (r *redialing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.base.RoundTrip(req)
	if errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) {
		r.times.Add(1)
		return r.base.RoundTrip(req)
	}
	return resp, err
}

// CloseIdleConnections serves http.Client.
func (r *redialing) CloseIdleConnections() { r.base.CloseIdleConnections() }

// The new configuration is provisioned as a whole before it fails: its listener
// cannot be had.
func TestAReloadThatFailsLeavesTheBoundsOfTheRunningOne(t *testing.T) {
	p := newProxy(t, crowd(4))
	bounds := func(timeout, entries, exchanges int) []string {
		return []string{
			fmt.Sprintf("timeout %ds", timeout),
			fmt.Sprintf("cache {\n max_entries %d\n }", entries),
			fmt.Sprintf("budget {\n user %d\n }", exchanges),
		}
	}
	p.loadQuietly(whoSite, bounds(2, 2, 3)...)
	everybody := p.people(0, 4)
	served := p.begin(everybody[:1], 2, "/")
	p.more(served, 20)
	bad := strings.Replace(p.caddyfile(whoSite, bounds(60, 1000, 1000)...), "bind 127.0.0.1", "bind 203.0.113.1", 1)
	for range 3 {
		if err := p.tryLoad(quiet(bad)); err == nil {
			t.Fatal("it loads")
		}
	}
	p.more(served, 20)
	served.end()
	served.only(t, "users with a token", 40, "200")

	p.costs("two that there is room for", everybody[1:3], 2)
	p.costs("the one who was pushed out", everybody[:1], 1)
	p.costs("the one who called last", everybody[2:3], 0)

	p.exchangeFault(auth0test.Fault{DelayMS: 5000, Times: new(1)})
	began := time.Now()
	if got := p.get("/", everybody[3].token); got.code() != "vault_timeout" {
		t.Errorf("status %d after %v, body %s", got.Status, time.Since(began), got.Body)
	}
	p.exchangeFault(auth0test.Fault{Status: new(200), Body: map[string]any{"access_token": "once", "token_type": "Bearer", "expires_in": 0}})
	for n := range 3 {
		want := ""
		if n == 2 { // after the one that took too long
			want = "vault_throttled"
		}
		if got := p.get("/", everybody[3].token); got.code() != want {
			t.Errorf("call %d: status %d, body %s", n, got.Status, got.Body)
		}
	}
}
