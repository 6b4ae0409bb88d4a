package caddymodule_test

import (
	"sync"
	"testing"
)

// More users than the cache has room for.

func TestABoundedCacheServesEverybodyAndKeepsWhoCalledLast(t *testing.T) {
	const users, room, last = 500, 50, 40
	p := newProxy(t, crowd(users))
	p.loadQuietly(whoSite, "cache {\n max_entries 50\n }", "budget {\n tenant 10000\n }")
	everybody := p.people(0, users)
	first, lately := everybody[:users-last], everybody[users-last:]

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
	p.costs("the last users", lately, last)
	p.costs("the last users again", lately, 0)
	// All of these were pushed out, or the cache would be larger than it may be.
	p.costs("the first users again", first[:users-room], users-room)
	p.costs("the last of them once more", first[users-room-last:users-room], 0)
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
