package caddymodule_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// The tenant's signing keys under load: they rotate while somebody makes key ids
// up.

// keysCoolDown separates two fetches of the keys, whatever is sent.
const keysCoolDown = 10 * time.Second

func TestKeysRotateDuringAFloodOfUnknownKeyIDs(t *testing.T) {
	p := newProxy(t, crowd(3))
	p.loadQuietly(whoSite)
	users := p.people(0, 3)
	flood := p.beginWith(p.madeUpKeyIDs(), 6, "/")
	first := p.begin(users, 2, "/")
	p.more(flood, 100)

	p.Tenant.RotateKeys(false) // to the key that was announced
	second := p.begin(p.newTokens(users), 2, "/")
	p.eventuallyWithin(2*keysCoolDown, "the keys to be fetched again", func() bool { return len(p.keyFetches()) >= 2 })
	first.end()
	second.end()
	p.Tenant.RotateKeys(true) // to the one that was announced by then
	third := p.begin(p.newTokens(users), 2, "/")
	p.more(third, 50)

	third.end()
	flood.end()
	for what, l := range map[string]*traffic{"the first key": first, "the second key": second, "the third key": third} {
		l.only(t, what, 50, "200")
	}
	flood.only(t, "unknown keys", 1000, "401 invalid_token")
	if n := p.exchanges(); n != len(users) {
		t.Errorf("%d exchanges", n)
	}
	fetches := p.keyFetches()
	if len(fetches) != 2 {
		t.Fatalf("%d fetches of the keys", len(fetches))
	}
	if apart := fetches[1].Sub(fetches[0]); apart < keysCoolDown {
		t.Errorf("the keys were fetched twice within %v", apart)
	}
}

// madeUpKeyIDs are tokens of which each names another key. The signature is one
// of the tenant's, so that nothing else is wrong with them.
func (p *proxy) madeUpKeyIDs() func(n int) user {
	p.t.Helper()
	var tokens []user
	for i := range 100 {
		tokens = append(tokens, user{"nobody", p.token(alice, header("kid", fmt.Sprint("made-up-", i)))})
	}
	return func(n int) user { return tokens[n%len(tokens)] }
}

// newTokens are the users with tokens signed now.
func (p *proxy) newTokens(users []user) (same []user) {
	p.t.Helper()
	for _, u := range users {
		same = append(same, user{u.id, p.token(u.id)})
	}
	return same
}

func (p *proxy) keyFetches() (at []time.Time) {
	for _, r := range p.Tenant.Requests() {
		if r.Path == "/.well-known/jwks.json" {
			at = append(at, r.At)
		}
	}
	return at
}

func TestAnOutageOfTheKeyEndpointIsNotFeltByKnownKeys(t *testing.T) {
	p := newProxy(t, crowd(60))
	p.loadQuietly(whoSite)
	everybody := p.people(0, 30)
	p.warm(everybody[:1])
	p.fault(auth0test.Fault{Path: "/.well-known/*", Status: new(0)})
	p.Tenant.RotateKeys(false)
	announced := p.people(30, 60)

	verified := p.begin(everybody[:1], 2, "/")
	strange := p.beginWith(p.madeUpKeyIDs(), 2, "/")
	fresh := p.begin(append(everybody, announced...), 4, "/")
	p.eventually("everybody to be served", func() bool { return fresh.all(everybody) && fresh.all(announced) })
	p.more(verified, 50)
	p.more(strange, 50)
	for what, l := range map[string]*traffic{"a verified token": verified, "new tokens": fresh} {
		l.end()
		l.only(t, what, 50, "200")
	}
	strange.end()
	strange.only(t, "unknown keys", 50, "401 invalid_token", "503 keys_unavailable")
}
