package vault

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

func TestTokenSourceAsksTheVault(t *testing.T) {
	s, c := listen(t, nil, Config{})
	connect(t, s, "")
	caller := issue(t, s, c)
	var source oauth2.TokenSource = c.TokenSource(t.Context(), caller, google)
	token, err := source.Token()
	if err != nil || !token.Valid() || token.AccessToken != mustToken(t, c, caller, google).Reveal() {
		t.Errorf("got %v, %v", token != nil, err)
	}
	_, err = c.TokenSource(t.Context(), caller, Request{Connection: "github"}).Token()
	refused(t, err, CodeLinkRequired)
}

// calendarAPI is an http.Client that reads alice's calendar at the stand-in.
func calendarAPI(t *testing.T, s *auth0test.Server, c *Client, caller *AccessToken) *http.Client {
	t.Helper()
	return &http.Client{Transport: &Transport{
		Client: c, Caller: caller, Request: google, Host: strings.TrimPrefix(s.GoogleURL, "http://"),
	}}
}

const eventsPath = "/calendar/v3/calendars/primary/events"

func TestTransportReachesTheProviderWithItsToken(t *testing.T) {
	s, c := listen(t, nil, Config{})
	connect(t, s, "")
	resp, err := calendarAPI(t, s, c, issue(t, s, c)).Get(s.GoogleURL + eventsPath)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		t.Errorf("the provider answered %s", resp.Status)
	}
}

func TestTransportAsksAgainAfterTheProviderRefused(t *testing.T) {
	s, c := listen(t, nil, Config{})
	connect(t, s, "")
	api := calendarAPI(t, s, c, issue(t, s, c))
	get(t, api, s.GoogleURL+eventsPath, http.StatusOK)
	if err := s.Revoke("auth0|alice", "google-oauth2"); err != nil {
		t.Fatal(err)
	}
	get(t, api, s.GoogleURL+eventsPath, http.StatusUnauthorized) // with the kept token
	_, err := api.Get(s.GoogleURL + eventsPath)
	refused(t, err, CodeRelinkRequired)
}

func get(t *testing.T, client *http.Client, url string, want int) {
	t.Helper()
	resp, err := client.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != want {
		t.Errorf("got %s, want %d", resp.Status, want)
	}
}

// closing notes whether a request's body was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

func TestTransportAttachesToACopy(t *testing.T) {
	s := newTenant()
	var sent *http.Request
	transport := &Transport{
		Client: s.client(t, Config{}), Caller: alice(t, "raw"), Request: calendar, Host: "api.example.com",
		Base: roundTripper(func(r *http.Request) (*http.Response, error) {
			sent = r
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		}),
	}
	req := httptest.NewRequest(http.MethodPost, "https://api.example.com/x", strings.NewReader("body"))
	req.Header.Set("Authorization", "Bearer the agent's own")
	resp, err := transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := sent.Header["Authorization"]; len(got) != 1 || got[0] != "Bearer raw/google-oauth2/" {
		t.Errorf("sent %q", got)
	}
	if got := req.Header.Get("Authorization"); got != "Bearer the agent's own" {
		t.Errorf("the request was changed: %q", got)
	}
}

func TestTransportSendsTheTokenNowhereElse(t *testing.T) {
	s := newTenant()
	sent := 0
	transport := &Transport{
		Client: s.client(t, Config{}), Caller: alice(t, "raw"), Request: calendar,
		Base: roundTripper(func(*http.Request) (*http.Response, error) {
			sent++
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		}),
	}
	for _, tt := range []struct {
		host, url string
		ok        bool
	}{
		{"api.example.com", "https://api.example.com/", true},
		{"api.example.com:8443", "https://api.example.com:8443/", true},
		{"127.0.0.1:80", "http://127.0.0.1:80/", true},
		{"[::1]:80", "http://[::1]:80/", true},
		{"localhost", "http://localhost/", true},
		{"api.example.com", "http://api.example.com/", false},
		{"api.example.com", "https://api.example.com:8443/", false},
		{"api.example.com", "https://evil.example.com/", false},
		{"api.example.com", "https://api.example.com.evil.example.com/", false},
		{"api.example.com", "https://api.example.com@evil.example.com/", false},
		{"localhost.example.com", "http://localhost.example.com/", false},
		{"", "https://api.example.com/", false},
	} {
		transport.Host, sent = tt.host, 0
		body := &closing{Reader: strings.NewReader("x")}
		req, err := http.NewRequest(http.MethodPost, tt.url, body)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := transport.RoundTrip(req)
		if (err == nil) != tt.ok || (sent == 1) != tt.ok || body.closed == tt.ok {
			t.Errorf("to %s, for %s: %v, sent %d, body closed: %t", tt.url, tt.host, err, sent, body.closed)
		}
		if err == nil {
			_ = resp.Body.Close()
		}
	}
}

func TestTransportDoesNotFollowARedirectWithTheToken(t *testing.T) {
	reached := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	defer elsewhere.Close()
	provider := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer provider.Close()
	client := &http.Client{Transport: &Transport{
		Client: newTenant().client(t, Config{}), Caller: alice(t, "raw"), Request: calendar,
		Host: strings.TrimPrefix(provider.URL, "http://"),
	}}
	if _, err := client.Get(provider.URL); err == nil || reached {
		t.Errorf("got %v, reached: %t", err, reached)
	}
}

func TestTransportClosesTheBodyWhenItSendsNothing(t *testing.T) {
	s := newTenant()
	s.serveVault(notLinked())
	broken := errors.New("no route")
	for name, base := range map[string]http.RoundTripper{
		"no token":    nil,
		"no provider": roundTripper(func(*http.Request) (*http.Response, error) { return nil, broken }),
	} {
		if base != nil {
			s.serveVault(mint)
		} else {
			s.serveVault(notLinked())
		}
		transport := &Transport{Client: s.client(t, Config{}), Caller: alice(t, "raw"), Request: calendar, Host: "api.example.com", Base: base}
		body := &closing{Reader: strings.NewReader("x")}
		req, _ := http.NewRequest(http.MethodPost, "https://api.example.com/", body)
		resp, err := transport.RoundTrip(req)
		if err == nil || resp != nil || !body.closed {
			t.Errorf("%s: %v, body closed: %t", name, err, body.closed)
		}
	}
}
