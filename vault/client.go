package vault

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unique"

	"github.com/go-jose/go-jose/v4"
)

// Client verifies access tokens of one API and exchanges them. Make one with
// [New]. It is safe for concurrent use and needs no closing.
type Client struct {
	issuer        string
	audience      string
	clientID      string
	clientSecret  Secret
	refreshTokens bool // are what is exchanged; then audience is empty
	basicAuth     bool
	algorithms    []jose.SignatureAlgorithm
	timeout       time.Duration
	maxAge        time.Duration
	maxEntries    int
	userBudget    int
	tenantBudget  int
	http          *http.Client
	hook          func(Event)

	cache *Cache
	keys  *keySet

	// What the keys of a Cache say, interned since many entries have the same:
	tenant unique.Handle[string] // the issuer
	rules  unique.Handle[string] // what verifying a token depends on
	id     unique.Handle[string] // what the vault's answers depend on besides the caller

	slots  chan struct{} // one in it for each exchange under way
	limits limits
}

// New checks cfg and returns a Client for it. It makes no network call.
func New(cfg Config) (*Client, error) {
	issuer, err := ParseDomain(cfg.Domain)
	if err != nil {
		return nil, fmt.Errorf("domain: %w", err)
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	basic, err := ParseAuthMethod(cfg.AuthMethod)
	if err != nil {
		return nil, err
	}
	algorithms, err := parseAlgorithms(cfg.Algorithms)
	if err != nil {
		return nil, err
	}
	cfg.setDefaults()
	c := &Client{
		issuer:        issuer,
		audience:      cfg.Audience,
		clientID:      cfg.ClientID,
		clientSecret:  cfg.ClientSecret,
		refreshTokens: cfg.RefreshTokens,
		basicAuth:     basic,
		algorithms:    algorithms,
		timeout:       cfg.Timeout,
		maxAge:        cfg.MaxAge,
		maxEntries:    cfg.MaxEntries,
		userBudget:    cfg.UserBudget,
		tenantBudget:  cfg.TenantBudget,
		slots:         make(chan struct{}, cfg.MaxExchanges),
		limits: limits{
			waiting:          cfg.MaxWaiting,
			waitingOfOneUser: max(1, cfg.MaxWaiting/2),
			begunOfOneUser:   max(1, cfg.MaxExchanges/8),
		},
		hook: cfg.Hook,
		http: &http.Client{Transport: cfg.Transport, CheckRedirect: refuseRedirects},
	}
	c.share(cfg.Cache)
	return c, nil
}

// share makes cache the one that c and others like it use.
func (c *Client) share(cache *Cache) {
	c.cache = cache
	c.keys = cache.keySet(c.issuer + ".well-known/jwks.json")
	c.tenant = unique.Make(c.issuer)
	c.rules = unique.Make(joinKey(c.issuer, c.audience, fmt.Sprint(c.algorithms)))
	c.id = unique.Make(joinKey(c.issuer, c.audience, c.clientID))
}

// joinKey joins parts so that no two lists of parts give the same key.
func joinKey(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(strconv.Itoa(len(part)))
		b.WriteByte(':')
		b.WriteString(part)
	}
	return b.String()
}

// Issuer returns the tenant's issuer identifier: the domain's URL with its
// trailing slash, as it stands in the `iss` claim.
func (c *Client) Issuer() string { return c.issuer }

// Audience returns the identifier of the API; empty with [Config.RefreshTokens].
func (c *Client) Audience() string { return c.audience }

// HTTPClient returns a client for calls to Auth0 that a library makes for
// somebody who is not known yet, such as a sign-in. It follows no redirect, takes
// no longer than [Config.Timeout], and spends a quarter of [Config.TenantBudget]
// at most; beyond that its errors are CodeThrottled.
func (c *Client) HTTPClient() *http.Client {
	client := *c.http
	client.Timeout = c.timeout
	client.Transport = sparing{c}
	return &client
}

// refuseRedirects keeps secrets and subject tokens on the tenant's host: a 307
// would carry both to wherever it points.
func refuseRedirects(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// Event is something that happened, for whoever measures: see [Config.Hook]. It holds
// nothing secret.
type Event struct {
	Kind EventKind

	// Connection is that of an Exchanged, Remembered or Missed.
	Connection string

	// API is that of a Throttled: "authentication", "management" or "my_account".
	API string

	// Duration is that of an Exchanged, with what it waited to begin, or KeysFetched.
	Duration time.Duration

	// Err is what went wrong; nil if nothing did. With Exchanged, whatever the vault
	// refused is an [*Error].
	Err error
}

// EventKind says what happened.
type EventKind int

// The kinds of events.
const (
	// Exchanged: an exchange ended, or was not allowed to begin.
	Exchanged EventKind = iota
	// Remembered: a kept answer served; Auth0 was not asked.
	Remembered
	// Missed: no kept answer served, so that an exchange was begun or waited for.
	Missed
	// KeysFetched: the tenant's key set was asked for.
	KeysFetched
	// Throttled: Auth0 answered 429, or a budget of ours was spent; Err tells.
	Throttled
)

// tell tells the hook, if there is one. Connections are told as they are configured.
func (c *Client) tell(e Event) {
	if c.hook != nil {
		c.hook(e)
	}
}
