package main

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const (
	agentID    = "demo-agent"
	audience   = "https://agents.example.com/"
	vaultID    = "vault-exchange"
	vaultKey   = "vault-exchange-secret" // the local tenant's, see auth0test.Seeds
	connection = "google-oauth2"
	calendar   = "https://www.googleapis.com/auth/calendar.readonly"

	// tokenSize is about that of an access token that Auth0 issues, in bytes.
	tokenSize = 900
)

// tenant is an Auth0 tenant behind a door that counts who comes, and that can be
// shut.
type tenant struct {
	*door
	url        string
	algorithm  string // of its access tokens
	issueToken func(user, padding string) (string, error)
	padding    string // that makes a token as long as tokenSize
}

// issue makes an access token of the user for our agent, of tokenSize.
func (t *tenant) issue(user string) (string, error) {
	if t.padding == "" {
		token, err := t.issueToken(user, "")
		if err != nil {
			return "", err
		}
		t.padding = strings.Repeat("x", max(1, (tokenSize-len(token))*3/4)) // in base64
	}
	return t.issueToken(user, t.padding)
}

// startTenant starts the tenant of auth0test with so many users, user0 and so on,
// who have connected their Google account.
func (s *stage) startTenant(users int) (*tenant, error) {
	t, err := s.openDoor()
	if err != nil {
		return nil, err
	}
	local, err := auth0test.New(seedsWith(users), auth0test.URLs{Issuer: t.url, Google: "http://google.invalid", GitHub: "http://github.invalid"})
	if err != nil {
		return nil, err
	}
	for i := range users {
		if err := local.Connect(user(i), connection, []string{calendar}, ""); err != nil {
			return nil, err
		}
	}
	t.algorithm = "RS256"
	t.issueToken = func(user, padding string) (string, error) {
		tokens, err := local.IssueToken(auth0test.TokenRequest{
			User: user, ClientID: agentID, Audience: audience,
			Claims: map[string]any{"https://agents.example.com/note": padding},
		})
		return tokens.AccessToken, err
	}
	t.serve(local.Handler())
	return t, nil
}

// seedsWith are the tenant's, and so many users whose password is their name.
func seedsWith(users int) auth0test.Config {
	seeds := auth0test.Seeds()
	for i := range users {
		name := fmt.Sprintf("user%d", i)
		seeds.Users = append(seeds.Users, auth0test.User{UserID: "auth0|" + name, Email: name + "@example.com", EmailVerified: true, Password: name})
	}
	return seeds
}

func user(i int) string { return fmt.Sprintf("auth0|user%d", i) }

// issueMany makes tokens of the first users.
func (t *tenant) issueMany(users int) ([]string, error) {
	tokens := make([]string, users)
	for i := range tokens {
		var err error
		if tokens[i], err = t.issue(user(i)); err != nil {
			return nil, err
		}
	}
	return tokens, nil
}

// openDoor listens where a tenant will be.
func (s *stage) openDoor() (*tenant, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &door{Listener: listener}
	s.later(func() { _ = listener.Close() })
	s.later(func() { d.set(refusing) })
	return &tenant{door: d, url: "http://" + listener.Addr().String()}, nil
}

// door is the listener and the front of a tenant.
type door struct {
	net.Listener
	exchanges atomic.Int64 // that were asked for
	keys      atomic.Int64 // how often the key set was
	delay     atomic.Int64 // of the token endpoint, a time.Duration

	mu       sync.Mutex
	state    doorState
	conns    []net.Conn
	attempts []time.Time // connections while the tenant is down
}

type doorState int

const (
	open     doorState = iota
	refusing           // connections are reset
	silent             // connections are taken and nothing comes back
)

// set opens the door or shuts it, on those who are connected too.
func (d *door) set(state doorState) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.state = state
	for _, conn := range d.conns {
		_ = conn.Close()
	}
	d.conns = nil
}

// Accept implements net.Listener.
func (d *door) Accept() (net.Conn, error) {
	for {
		conn, err := d.Listener.Accept()
		if err != nil || d.admit(conn) {
			return conn, err
		}
	}
}

func (d *door) admit(conn net.Conn) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.state != open {
		d.attempts = append(d.attempts, time.Now())
	}
	if d.state == refusing {
		if tcp, ok := conn.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0) // a reset, as from a port that nobody listens on
		}
		_ = conn.Close()
		return false
	}
	d.conns = append(d.conns, conn)
	return d.state == open
}

// attemptsWhileDown is how many there were, and the most in any second.
func (d *door) attemptsWhileDown() (all, busiest int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	first := 0
	for i, at := range d.attempts {
		for at.Sub(d.attempts[first]) >= time.Second {
			first++
		}
		busiest = max(busiest, i-first+1)
	}
	return len(d.attempts), busiest
}

// serve puts the door in front of a tenant.
func (d *door) serve(next http.Handler) {
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second}
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/.well-known/jwks.json":
			d.keys.Add(1)
		case "/oauth/token":
			d.exchanges.Add(1)
			time.Sleep(time.Duration(d.delay.Load()))
		}
		next.ServeHTTP(w, r)
	})
	go func() { _ = server.Serve(d) }()
}
