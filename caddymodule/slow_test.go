package caddymodule_test

import (
	"fmt"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// A tenant that takes seconds to answer holds up those who need it, as many as
// may wait, and nobody else.

func TestASlowTenantHoldsUpNoMoreThanMayWait(t *testing.T) {
	const linked, fresh, exchanges, waiting = 3, 120, 4, 10
	p := newProxy(t, crowd(linked+fresh))
	p.loadQuietly(whoSite, "timeout 3500ms", fmt.Sprintf("budget {\n exchanges %d\n waiting %d\n }", exchanges, waiting))
	known, strangers := p.people(0, linked), p.people(linked, linked+fresh)
	p.warm(known)
	before := goroutines()

	served := p.begin(known, 2, "/")
	p.more(served, 10)
	p.exchangeFault(auth0test.Fault{DelayMS: 2000})
	flights := most(func() int { return goroutinesIn("vault.(*Client).fly") })
	underWay := most(func() int { return goroutinesIn("vault.(*Client).fetch") })
	meanwhile := served.total()
	replies := p.together(fresh, func(i int) string { return strangers[i].token }, "/")
	meanwhile = served.total() - meanwhile
	// Those who come in the same moment may pass the bound side by side.
	if n := flights(); n < exchanges || n > 2*waiting {
		t.Errorf("%d exchanges wait or are under way", n)
	}
	if n := underWay(); n != exchanges {
		t.Errorf("%d exchanges are under way", n)
	}
	var seen tally
	for i, got := range replies {
		seen.add(strangers[i], got, nil, 0)
	}
	seen.only(t, "users without a token", fresh, "200", "503 vault_throttled")
	if n := seen.answers["200"]; n < exchanges || n > 2*waiting {
		t.Errorf("%d users were served", n)
	}
	served.end()
	served.only(t, "users with a token", 0, "200")
	if meanwhile < 100 {
		t.Errorf("only %d calls of users with a token meanwhile", meanwhile)
	}
	p.Tenant.ClearFaults()
	p.settle(before, 3*exchanges+5) // an idle connection to the tenant has three
	p.warm(strangers)
}
