package caddymodule_test

import (
	"fmt"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// A tenant that goes away and comes back, under load. Nothing is lost.

// outage is how long the tenant is away.
const outage = 2 * time.Second

// outageAnswers are what a user without a token may be told meanwhile: never that
// the account has to be connected, and never that the access token is bad.
var outageAnswers = []string{"502 vault_unavailable", "503 vault_throttled", "504 vault_timeout"}

func TestAnOutageOfTheTenantLosesNothing(t *testing.T) {
	for _, way := range []struct {
		name  string
		start func(t *testing.T, users int) (p *proxy, down, up func())
	}{
		{"every connection drops", startDropping},
		{"nobody listens", startClosing},
	} {
		t.Run(way.name, func(t *testing.T) {
			const linked, fresh = 5, 45
			p, down, up := way.start(t, linked+fresh)
			p.loadQuietly(whoSite, "timeout 2s")
			known, strangers := p.people(0, linked), p.people(linked, linked+fresh)
			p.warm(known)

			served := p.begin(known, 3, "/")
			p.more(served, 10)
			down()
			before := p.exchanges()
			waiting := p.begin(strangers, 6, "/")
			time.Sleep(outage)
			waiting.end()
			asked := p.exchanges() - before
			up()

			waiting.only(t, "users without a token", 100, outageAnswers...)
			if waiting.longest > 3*time.Second { // the timeout, and a second for the machine
				t.Errorf("an answer took %v", waiting.longest)
			}
			if limit := 10 * int(outage/time.Second); asked > limit {
				t.Errorf("the tenant was asked %d times in %v", asked, outage)
			}
			p.comesBack(strangers)
			served.end()
			served.only(t, "users with a token", 100, "200")
			if n := p.granted(); n != linked+fresh {
				t.Errorf("%d tokens for %d users", n, linked+fresh)
			}
		})
	}
}

// comesBack demands that users without a token have one soon.
func (p *proxy) comesBack(users []user) {
	p.t.Helper()
	back := time.Now()
	calls := p.begin(users, 6, "/")
	p.eventually("all users to be served", func() bool { return calls.all(users) })
	if took := time.Since(back); took > 2*time.Second { // it is noticed within half a second
		p.t.Errorf("the last user was served %v after the tenant was back", took)
	}
	calls.end()
	calls.only(p.t, "after the outage", len(users), append(outageAnswers, "200")...)
}

// startDropping is a tenant that drops the connection of every request while it
// is down.
func startDropping(t *testing.T, users int) (p *proxy, down, up func()) {
	p = newProxy(t, crowd(users))
	return p, func() { p.fault(auth0test.Fault{Path: "/*", Status: new(0)}) }, p.Tenant.ClearFaults
}

// startClosing is a tenant whose listener and connections are closed while it is
// down.
func startClosing(t *testing.T, users int) (p *proxy, down, up func()) {
	var config auth0test.Config
	p = newProxy(t, crowd(users), func(c *auth0test.Config) { config = *c })
	address := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	urls := auth0test.URLs{Issuer: "http://" + address, Google: p.Tenant.GoogleURL, GitHub: p.Tenant.GitHubURL}
	tenant, err := auth0test.New(config, urls)
	if err != nil {
		t.Fatal(err)
	}
	p.Tenant = &auth0test.Server{Tenant: tenant, URL: urls.Issuer, GoogleURL: urls.Google, GitHubURL: urls.GitHub}

	var server *http.Server
	up = func() {
		listener, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		server = &http.Server{Handler: tenant.Handler(), ReadHeaderTimeout: time.Minute}
		go func(s *http.Server) { _ = s.Serve(listener) }(server)
	}
	down = func() { _ = server.Close() }
	up()
	t.Cleanup(func() { down() })
	return p, down, up
}
