package vault

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// Faults over real sockets.

func TestTenThousandFirstCallsAreOneExchange(t *testing.T) {
	s, c := listen(t, nil, Config{Timeout: time.Minute}) // ten thousand signatures keep the machine busy
	if err := s.Connect("auth0|alice", "google-oauth2", []string{"calendar"}, ""); err != nil {
		t.Fatal(err)
	}
	if err := s.AddFault(auth0test.Fault{Path: "/oauth/token", DelayMS: 50, Times: new(0)}); err != nil {
		t.Fatal(err)
	}
	raw := issueRaw(t, s, auth0test.TokenRequest{}).AccessToken
	begin := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() { close(begin) })
	failed := 0
	for _, err := range together(10_000, func(int) error {
		<-begin
		caller, err := c.Verify(t.Context(), raw)
		if err == nil {
			_, err = c.Token(t.Context(), caller, Request{Connection: "google-oauth2"})
		}
		return err
	}) {
		if err != nil {
			failed++
			t.Log(err)
		}
	}
	if keys, exchanges := askedOf(s); failed != 0 || keys != 1 || exchanges != 1 {
		t.Errorf("%d failed, %d fetches of the keys, %d exchanges", failed, keys, exchanges)
	}
}

// askedOf counts what the tenant was asked.
func askedOf(s *auth0test.Server) (keys, exchanges int) {
	for _, r := range s.Requests() {
		switch r.Path {
		case "/oauth/token":
			exchanges++
		case "/.well-known/jwks.json":
			keys++
		}
	}
	return keys, exchanges
}

// A tenant at which nobody listens cannot count who tries.
func TestATenantThatIsGoneIsDialledByFew(t *testing.T) {
	var dialled atomic.Int32
	transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled.Add(1)
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	t.Cleanup(transport.CloseIdleConnections)
	s, c := listen(t, nil, Config{Transport: transport})
	s.Close()
	callers := others(t, 200)
	calls, begun := 0, time.Now()
	for ; calls < 200 || time.Since(begun) < 2*time.Second; time.Sleep(time.Millisecond) {
		_, err := c.Token(t.Context(), callers[calls%len(callers)], calendar)
		refused(t, err, CodeUnavailable)
		calls++
	}
	// Until the tenant counts as failing, each call is tried twice.
	if n := dialled.Load(); n < 2*failingUsers || n > 2*failingUsers+10*int32(time.Since(begun)/time.Second) {
		t.Errorf("%d connections tried for %d calls", n, calls)
	}
}

// age makes the kept keys older, and the last fetch of them.
func (s *keySet) age(by time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last.Load()
	s.last.Store(&answeredKeys{last.keys, last.confirmed.Add(-by)})
	s.attempted = s.attempted.Add(-by)
}

func TestKnownKeysServeWhileTheirEndpointIsGone(t *testing.T) {
	for name, fault := range map[string]auth0test.Fault{
		"every connection drops": {Status: new(0)},
		"every answer takes 3 s": {DelayMS: 3000},
	} {
		t.Run(name, func(t *testing.T) {
			s, c := listen(t, nil, Config{Timeout: 2 * time.Second})
			issue(t, s, c)
			fault.Path, fault.Times = "/.well-known/*", new(0)
			if err := s.AddFault(fault); err != nil {
				t.Fatal(err)
			}
			verified := issueRaw(t, s, auth0test.TokenRequest{}).AccessToken
			c.keys.age(keysDue)
			for i := range 200 {
				fresh := issueRaw(t, s, auth0test.TokenRequest{Claims: object{"jti": fmt.Sprint(i)}}).AccessToken
				for what, raw := range map[string]string{"verified": verified, "new": fresh} {
					began := time.Now()
					if _, err := c.Verify(t.Context(), raw); err != nil || time.Since(began) > keysPatience {
						t.Fatalf("a %s token: %v after %v", what, err, time.Since(began))
					}
				}
				if i == 100 { // the keys are past their age, and the endpoint is known to fail
					untilFailed(t, c)
					c.keys.age(keysFresh)
				}
			}
			// Three fetches, and net/http's own repetition of a GET on a connection
			// that was idle.
			if keys, _ := askedOf(s); keys < 2 || keys > 4 {
				t.Errorf("the keys were asked for %d times", keys)
			}
		})
	}
}

// untilFailed waits for a fetch of the keys to fail.
func untilFailed(t *testing.T, c *Client) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		c.keys.mu.Lock()
		failed := c.keys.failure != nil
		c.keys.mu.Unlock()
		if failed {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("the keys were not asked for")
		}
	}
}
