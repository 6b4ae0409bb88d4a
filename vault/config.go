package vault

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// Defaults of [Config], with the reason for each.
const (
	// DefaultTimeout bounds one call to Auth0: longer than any healthy answer,
	// shorter than the patience of most HTTP clients.
	DefaultTimeout = 10 * time.Second

	// DefaultMaxAge is how long a provider's token may outlive a revocation
	// that happened elsewhere.
	DefaultMaxAge = time.Hour

	// DefaultMaxEntries bounds the memory of a Cache.
	DefaultMaxEntries = 100_000

	// DefaultUserBudget is how many exchanges one agent may cause for one user
	// in a minute: far above any sane need, since answers are cached.
	DefaultUserBudget = 300

	// DefaultTenantBudget is how many calls a second all callers together may
	// cause. It fits the Authentication API limit of Auth0's enterprise plans;
	// Auth0's own 429 protects smaller ones.
	DefaultTenantBudget = 100

	// DefaultMaxExchanges is how many exchanges may be under way at once. A tenant
	// that takes seconds to answer still serves some fifty users a second.
	DefaultMaxExchanges = 256

	// DefaultMaxWaiting is how many callers may wait for exchanges at once.
	DefaultMaxWaiting = 20_000
)

// Config describes one Auth0 tenant, one API of it, and the client that
// exchanges tokens for that API; or, with RefreshTokens, one application of the
// tenant. Domain, Audience, ClientID and ClientSecret are required; the zero value of
// every other field means its default.
type Config struct {
	// Domain is the tenant's or its custom domain's host, or an https URL of
	// it. An http URL is accepted for loopback hosts only. Tokens must have
	// been issued under this very domain.
	Domain string

	// Audience is the identifier of the API whose access tokens callers send.
	Audience string

	// ClientID and ClientSecret belong to the Custom API client that is linked
	// to this API (app_type resource_server) and may use the Token Vault grant.
	ClientID     string
	ClientSecret Secret

	// RefreshTokens says that ClientID is the application that users log in to (app_type
	// regular_web), with the Token Vault grant and without refresh token rotation. There
	// is no API then: Audience must be empty, Verify refuses all tokens, and callers are
	// [RefreshToken]s.
	RefreshTokens bool

	// AuthMethod is how that client authenticates: "client_secret_post"
	// (default) or "client_secret_basic".
	AuthMethod string

	// Algorithms lists the signatures that count: RS256 (default), PS256, ES256.
	Algorithms []string

	// Timeout bounds one call to Auth0. Default: DefaultTimeout.
	Timeout time.Duration

	// MaxAge bounds how long a provider's token is kept, and thus the longest that
	// an account disconnected elsewhere lives on here. Default: DefaultMaxAge.
	MaxAge time.Duration

	// MaxEntries bounds how many answers are kept. Of verified access tokens as many
	// are kept while they are used, and never many more than twice as many. Default:
	// DefaultMaxEntries.
	MaxEntries int

	// UserBudget is how many exchanges per minute one agent may cause for one
	// user. Default: DefaultUserBudget.
	UserBudget int

	// TenantBudget is how many calls per second may go to the tenant, ten
	// seconds' worth at once. [Client.Call] and [Client.HTTPClient] may use a quarter
	// of it each. Default: DefaultTenantBudget.
	TenantBudget int

	// MaxExchanges is how many exchanges may be under way at once; further ones
	// wait for half of Timeout at most. Default: DefaultMaxExchanges.
	MaxExchanges int

	// MaxWaiting is about how many callers may wait for exchanges at once, and how
	// many exchanges may be begun and not ended, whether or not somebody still waits
	// for them; other callers are refused with CodeThrottled. Default:
	// DefaultMaxWaiting.
	MaxWaiting int

	// Cache holds what outlives this Client. Default: a new one.
	Cache *Cache

	// Hook is told of what happens, once for each call of [Client.Token] and more; it
	// must be safe for concurrent use and return at once. Default: nobody is told.
	Hook func(Event)

	// Transport carries the calls to Auth0. Default: the Cache's own.
	Transport http.RoundTripper
}

// check checks what needs no parsing.
func (cfg *Config) check() error {
	switch {
	case cfg.RefreshTokens && cfg.Audience != "":
		return errors.New("audience: must be empty where refresh tokens are exchanged")
	case !cfg.RefreshTokens && cfg.Audience == "":
		return errors.New("audience: required")
	case cfg.ClientID == "":
		return errors.New("client id: required")
	case cfg.ClientSecret.Reveal() == "":
		return errors.New("client secret: required")
	}
	for _, bound := range []struct {
		name  string
		value int64
	}{
		{"timeout", int64(cfg.Timeout)},
		{"max age", int64(cfg.MaxAge)},
		{"max entries", int64(cfg.MaxEntries)},
		{"user budget", int64(cfg.UserBudget)},
		{"tenant budget", int64(cfg.TenantBudget)},
		{"max exchanges", int64(cfg.MaxExchanges)},
		{"max waiting", int64(cfg.MaxWaiting)},
	} {
		if bound.value < 0 {
			return fmt.Errorf("%s: must not be negative", bound.name)
		}
	}
	return nil
}

func (cfg *Config) setDefaults() {
	cfg.Timeout = cmp.Or(cfg.Timeout, DefaultTimeout)
	cfg.MaxAge = cmp.Or(cfg.MaxAge, DefaultMaxAge)
	cfg.MaxEntries = cmp.Or(cfg.MaxEntries, DefaultMaxEntries)
	cfg.UserBudget = cmp.Or(cfg.UserBudget, DefaultUserBudget)
	cfg.TenantBudget = cmp.Or(cfg.TenantBudget, DefaultTenantBudget)
	cfg.MaxExchanges = cmp.Or(cfg.MaxExchanges, DefaultMaxExchanges)
	cfg.MaxWaiting = cmp.Or(cfg.MaxWaiting, DefaultMaxWaiting)
	if cfg.Cache == nil {
		cfg.Cache = NewCache()
	}
	if cfg.Transport == nil {
		cfg.Transport = cfg.Cache.roundTripper()
	}
}

// ParseDomain turns an Auth0 domain, "tenant.eu.auth0.com" or an https URL of
// that host, into its issuer identifier. An http URL is accepted for loopback
// hosts only.
func ParseDomain(domain string) (issuer string, err error) {
	if domain == "" {
		return "", errors.New("required")
	}
	if !strings.Contains(domain, "://") {
		domain = "https://" + domain
	}
	u, err := url.Parse(domain)
	if err != nil || u.Hostname() == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
		return "", errors.New("not a host or an https URL of one")
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !IsLoopback(u.Hostname())) {
		return "", errors.New("must be https; http is for loopback hosts only")
	}
	return u.Scheme + "://" + strings.ToLower(u.Host) + "/", nil
}

// ParseAuthMethod reads a token_endpoint_auth_method; empty is the default.
func ParseAuthMethod(method string) (basic bool, err error) {
	switch method {
	case "", "client_secret_post":
		return false, nil
	case "client_secret_basic":
		return true, nil
	}
	return false, fmt.Errorf("client authentication %q: want client_secret_post or client_secret_basic", method)
}

func parseAlgorithms(names []string) ([]jose.SignatureAlgorithm, error) {
	if len(names) == 0 {
		return []jose.SignatureAlgorithm{jose.RS256}, nil
	}
	supported := []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256}
	var algorithms []jose.SignatureAlgorithm
	for _, name := range names {
		alg := jose.SignatureAlgorithm(name)
		if !slices.Contains(supported, alg) {
			return nil, fmt.Errorf("algorithm %q: want RS256, PS256 or ES256", name)
		}
		algorithms = append(algorithms, alg)
	}
	return algorithms, nil
}

// IsLoopback tells whether host, a name or an address without a port, is this
// machine: the only one that is spoken to without TLS.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
