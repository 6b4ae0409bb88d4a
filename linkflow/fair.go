package linkflow

import (
	"crypto/sha256"
	"maps"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// What keeps one browser from spending what Auth0 answers to all: each has a share
// of it, and what costs a call is done once.

// addressShare names the share of an address, for requests of whom no more is known.
// An IPv6 host has a whole /64 to itself (RFC 6177), and all that have no address have
// one share.
func addressShare(address string) string {
	ip, err := netip.ParseAddr(address)
	if err != nil {
		return "address unknown"
	}
	if ip = ip.Unmap().WithZone(""); ip.Is6() {
		return "address " + netip.PrefixFrom(ip, 64).Masked().String()
	}
	return "address " + ip.String()
}

// countAs has what r costs from here on count for a user of the tenant, who signed in by
// the flow or session that r came with. r is changed: [Flow.ServeHTTP] made it.
func countAs(r *http.Request, subject string) {
	*r = *r.WithContext(vault.WithShare(r.Context(), "person "+subject))
}

// maxSpent bounds how many states are remembered, half of them at least the last ones.
const maxSpent = 100_000

// spent remembers which states of legs came back, for as long as a flow lasts: what
// came with one is looked at once. It is this process's; elsewhere Auth0 says no.
type spent struct {
	mu            sync.Mutex
	recent, older map[[sha256.Size]byte]struct{}
	since         time.Time // that recent is filled
}

// spend tells whether state comes back for the first time.
func (s *spent) spend(state string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if age := time.Since(s.since); age >= ticketLife || len(s.recent) >= maxSpent/2 {
		s.older, s.recent, s.since = s.recent, make(map[[sha256.Size]byte]struct{}), time.Now()
		if age >= 2*ticketLife {
			s.older = nil
		}
	}
	sum := sha256.Sum256([]byte(state))
	_, recent := s.recent[sum]
	_, older := s.older[sum]
	if recent || older {
		return false
	}
	s.recent[sum] = struct{}{}
	return true
}

const (
	// keptLife is how long what a page was made of serves the same page again.
	keptLife = 5 * time.Second

	// maxKept bounds for how many flows something is kept.
	maxKept = 1000
)

// kept is what Auth0 told pages a moment ago, by the id of the flow or session that
// they are about, so that reloading one costs nothing. Whatever decides something asks
// Auth0 itself, and drops what is kept.
type kept struct {
	mu    sync.Mutex
	flows map[string]*keptFlow
}

// keptFlow is what is kept for one flow, by the tokens that Auth0 told it for.
type keptFlow struct {
	told  map[string]any
	until time.Time
}

// keptFor returns what ask returns, or returned a moment ago for the same flow and
// token. Nobody may change it.
func keptFor[T any](k *kept, flow, token string, ask func() (T, error)) (T, error) {
	of, told := k.get(flow, token)
	if told, ok := told.(T); ok {
		return told, nil
	}
	now, err := ask()
	if err == nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		of.told[token] = now // which nobody finds if it was dropped meanwhile
	}
	return now, err
}

func (k *kept) get(flow, token string) (of *keptFlow, told any) {
	k.mu.Lock()
	defer k.mu.Unlock()
	now := time.Now()
	if of = k.flows[flow]; of == nil || !now.Before(of.until) {
		k.makeRoom(now)
		of = &keptFlow{make(map[string]any), now.Add(keptLife)}
		k.flows[flow] = of
	}
	return of, of.told[token]
}

// makeRoom forgets what has ended, and whatever else if that is not enough.
func (k *kept) makeRoom(now time.Time) {
	if k.flows == nil {
		k.flows = make(map[string]*keptFlow)
	}
	if len(k.flows) < maxKept {
		return
	}
	maps.DeleteFunc(k.flows, func(_ string, of *keptFlow) bool { return !now.Before(of.until) })
	for flow := range k.flows {
		if len(k.flows) < maxKept {
			break
		}
		delete(k.flows, flow)
	}
}

// drop forgets what is kept for a flow or session, of which something was decided.
func (k *kept) drop(flow string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.flows, flow)
}
