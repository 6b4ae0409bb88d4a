package vault

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

func TestNewChecksItsConfig(t *testing.T) {
	good := func() Config {
		return Config{Domain: "tenant.example.com", Audience: "a", ClientID: "c", ClientSecret: NewSecret(canary)}
	}
	for _, tt := range []struct {
		name   string
		change func(*Config)
		want   string // part of the error; empty if there is none
	}{
		{"complete", func(*Config) {}, ""},
		{"no domain", func(c *Config) { c.Domain = "" }, "domain: required"},
		{"no audience", func(c *Config) { c.Audience = "" }, "audience: required"},
		{"an audience where refresh tokens are exchanged", func(c *Config) { c.RefreshTokens = true }, "audience: must be empty"},
		{"no audience where refresh tokens are exchanged", func(c *Config) { c.RefreshTokens, c.Audience = true, "" }, ""},
		{"refresh tokens and no client id", func(c *Config) { c.RefreshTokens, c.Audience, c.ClientID = true, "", "" }, "client id: required"},
		{"no client id", func(c *Config) { c.ClientID = "" }, "client id: required"},
		{"no client secret", func(c *Config) { c.ClientSecret = Secret{} }, "client secret: required"},
		{"an empty client secret", func(c *Config) { c.ClientSecret = NewSecret("") }, "client secret: required"},
		{"plain http", func(c *Config) { c.Domain = "http://tenant.example.com" }, "must be https"},
		{"an unknown client authentication", func(c *Config) { c.AuthMethod = "none" }, `"none"`},
		{"every algorithm there is", func(c *Config) { c.Algorithms = []string{"RS256", "PS256", "ES256"} }, ""},
		{"a shared secret", func(c *Config) { c.Algorithms = []string{"RS256", "HS256"} }, `"HS256"`},
		{"no signature", func(c *Config) { c.Algorithms = []string{"none"} }, `"none"`},
		{"an algorithm in lower case", func(c *Config) { c.Algorithms = []string{"rs256"} }, `"rs256"`},
		{"a longer hash", func(c *Config) { c.Algorithms = []string{"RS512"} }, `"RS512"`},
		{"a timeout below zero", func(c *Config) { c.Timeout = -1 }, "timeout: must not be negative"},
		{"an age below zero", func(c *Config) { c.MaxAge = -1 }, "max age: must not be negative"},
		{"entries below zero", func(c *Config) { c.MaxEntries = -1 }, "max entries: must not be negative"},
		{"a user budget below zero", func(c *Config) { c.UserBudget = -1 }, "user budget: must not be negative"},
		{"a tenant budget below zero", func(c *Config) { c.TenantBudget = -1 }, "tenant budget: must not be negative"},
		{"exchanges below zero", func(c *Config) { c.MaxExchanges = -1 }, "max exchanges: must not be negative"},
		{"waiting callers below zero", func(c *Config) { c.MaxWaiting = -1 }, "max waiting: must not be negative"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := good()
			tt.change(&cfg)
			c, err := New(cfg)
			if (err == nil) != (tt.want == "") || (c == nil) != (err != nil) {
				t.Fatalf("got %v", err)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), canary)) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}

func TestParseDomain(t *testing.T) {
	for _, tt := range []struct{ domain, want string }{
		{"tenant.eu.auth0.com", "https://tenant.eu.auth0.com/"},
		{"Tenant.EU.auth0.com", "https://tenant.eu.auth0.com/"},
		{"https://tenant.eu.auth0.com", "https://tenant.eu.auth0.com/"},
		{"https://tenant.eu.auth0.com/", "https://tenant.eu.auth0.com/"},
		{"HTTPS://tenant.eu.auth0.com", "https://tenant.eu.auth0.com/"},
		{"tenant.example.com:8443", "https://tenant.example.com:8443/"},
		{"http://127.0.0.1:8484", "http://127.0.0.1:8484/"},
		{"http://[::1]:8484", "http://[::1]:8484/"},
		{"http://localhost", "http://localhost/"},
		{"http://tenant.eu.auth0.com", ""},
		{"http://localhost.example.com", ""},
		{"http://127.0.0.1.example.com", ""},
		{"http://10.0.0.1", ""},
		{"ftp://tenant.eu.auth0.com", ""},
		{"https://user:password@tenant.eu.auth0.com", ""},
		{"user@tenant.eu.auth0.com", ""},
		{"tenant.eu.auth0.com/path", ""},
		{"tenant.eu.auth0.com?x", ""},
		{"tenant.eu.auth0.com#x", ""},
		{"tenant.eu.auth0.com ", ""},
		{"tenant\r\n.eu.auth0.com", ""},
		{"https://", ""},
		{"https:///", ""},
		{":8484", ""},
		{"", ""},
	} {
		got, err := ParseDomain(tt.domain)
		if got != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("%q: got %q, %v, want %q", tt.domain, got, err, tt.want)
		}
	}
}

func TestAClientKnowsItsTenant(t *testing.T) {
	c := newTenant().client(t, Config{Domain: "Tenant.example.com"})
	if c.Issuer() != testIssuer || c.Audience() != testAudience {
		t.Errorf("%s, %s", c.Issuer(), c.Audience())
	}
	if err := c.HTTPClient().CheckRedirect(nil, nil); !errors.Is(err, http.ErrUseLastResponse) {
		t.Errorf("the client follows redirects: %v", err)
	}
}

func TestTheProgramMayHaveAnotherDefaultTransport(t *testing.T) {
	s := auth0test.NewServer(auth0test.Seeds())
	t.Cleanup(s.Close)
	raw := issueRaw(t, s, auth0test.TokenRequest{}).AccessToken
	gos := http.DefaultTransport
	defer func() { http.DefaultTransport = gos }()
	http.DefaultTransport = roundTrip(func(*http.Request) (*http.Response, error) { return nil, errors.New("not for Auth0") })
	if _, err := clientOf(t, s.URL, Config{}).Verify(t.Context(), raw); err != nil {
		t.Error(err)
	}
}

func TestCallLeavesOtherStatusesToItsCaller(t *testing.T) {
	s := newTenant()
	s.serveVault(answering(http.StatusNotFound, "not here"))
	c := s.client(t, Config{})
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, testIssuer+"oauth/token", nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.Call(req)
	if err != nil || answer.Status != http.StatusNotFound || string(answer.Body) != "not here" {
		t.Errorf("got %+v, %v", answer, err)
	}
}

// As http.Client promises, and an http.RoundTripper must.
func TestTheBodyOfARefusedRequestIsClosed(t *testing.T) {
	for name, send := range map[string]func(c *Client, req *http.Request) error{
		"Call":       func(c *Client, req *http.Request) error { _, err := c.Call(req); return err },
		"HTTPClient": func(c *Client, req *http.Request) error { return closed(c.HTTPClient().Do(req)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				c := newTenant().client(t, Config{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					return handled(answering(429, ""), r)
				})})
				_ = send(c, request(t, testIssuer+"oauth/par"))
				req, body := request(t, testIssuer+"oauth/par"), &closing{Reader: strings.NewReader("")}
				req.Body = body
				refused(t, send(c, req), CodeThrottled)
				if !body.closed {
					t.Error("it is open")
				}
			})
		})
	}
}

// The other tests count in these; here they are held to what is promised.
func TestPromisedLimits(t *testing.T) {
	for name, tt := range map[string]struct{ got, want any }{
		"a key set is fresh":              {keysFresh, 10 * time.Minute},
		"a key set serves in an outage":   {keysUsable, time.Hour},
		"fetches of keys are apart":       {keysCoolDown, 10 * time.Second},
		"an outage costs a caller":        {keysPatience, time.Second},
		"a link answer rests on":          {linkMaxAge, 2 * time.Second},
		"a token is not used shortly":     {expiryMargin, 5 * time.Second},
		"an entry is dropped once in":     {rejectInterval, time.Minute},
		"a clock may be ahead":            {clockSkew, 30 * time.Second},
		"bytes of an access token":        {MaxTokenSize, 8192},
		"bits of an RSA key":              {minRSABits, 2048},
		"one call to Auth0":               {DefaultTimeout, 10 * time.Second},
		"a revoked link lives on":         {DefaultMaxAge, time.Hour},
		"answers that are kept":           {DefaultMaxEntries, 100_000},
		"the longest Retry-After":         {maxRetryAfter, time.Minute},
		"an agent's budget for a user":    {DefaultUserBudget, 300},
		"the tenant's budget in a second": {DefaultTenantBudget, 100},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %v, promised is %v", name, tt.got, tt.want)
		}
	}
}
