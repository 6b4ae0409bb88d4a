package caddymodule_test

import (
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// The answer may come while others still arrive: these neither wait nor ask.
func TestAThousandFirstCallsAreOneExchangeHoweverFastItIs(t *testing.T) {
	p := newProxy(t)
	p.loadQuietly(whoSite)
	p.connect(alice, google, calendar)
	p.exchangeFault(auth0test.Fault{DelayMS: 50})
	token := p.token(alice)
	var seen tally
	for _, got := range p.together(1000, func(int) string { return token }, "/") {
		seen.add(user{alice, token}, got, nil, 0)
	}
	seen.only(t, "first calls", 1000, "200")
	if n := p.exchanges(); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}
