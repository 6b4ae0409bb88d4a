package caddymodule_test

import (
	"sync"
	"testing"
)

// More users than the cache has room for.

func TestABoundedCacheServesEverybodyAndKeepsWhoCalledLast(t *testing.T) {
	const users, room = 500, 50
	p := newProxy(t, crowd(users))
	p.loadQuietly(whoSite, "cache {\n max_entries 50\n }", "budget {\n tenant 10000\n }")
	everybody := p.people(0, users)
	first, before, last := everybody[:users-2*room], everybody[users-2*room:users-room], everybody[users-room:]

	var seen tally
	var calls sync.WaitGroup
	const connections = 8
	for connection := range connections {
		calls.Go(func() {
			for i := connection; i < len(first); i += connections {
				got, err := call(noRedirects, p.URL, first[i].token)
				seen.add(first[i], got, err, 0)
			}
		})
	}
	calls.Wait()
	seen.only(t, "the first call of each", len(first), "200")
	p.costs("those before the last", before, room)
	p.costs("the last", last, room)
	p.costs("the last again", last, 0)
	// All of these were pushed out, or the cache would be larger than it may be.
	p.costs("those before the last again", before, room)
}

// costs demands that one call of each user costs so many exchanges.
func (p *proxy) costs(what string, users []user, exchanges int) {
	p.t.Helper()
	before := p.exchanges()
	p.warm(users)
	if n := p.exchanges() - before; n != exchanges {
		p.t.Errorf("%s: %d exchanges for %d users, want %d", what, n, len(users), exchanges)
	}
}
