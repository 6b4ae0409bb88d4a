package auth0test

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// URLs are where the tenant and its stand-ins can be reached. A slash at the
// end, or the port that the scheme implies, makes no difference. A stand-in without
// a URL is known to the tenant, and to nobody's browser.
type URLs struct {
	Issuer, Google, GitHub, Microsoft, Slack string
}

// standIns are in the order of the stand-ins.
func (u *URLs) standIns() []*string {
	return []*string{&u.Google, &u.GitHub, &u.Microsoft, &u.Slack}
}

// Tenant is an Auth0 tenant with its provider stand-ins. Make one with
// [New], or with [NewServer] or [Listen] to have it listen. Its methods may be
// called from several goroutines.
type Tenant struct {
	base      string // the issuer without its slash
	directory directory
	providers map[string]*provider // by strategy
	handler   http.Handler
	faults    *faultList
	requests  *requestLog

	mu           sync.Mutex // guards all below
	keys         *keyRing
	sessions     map[string]*session
	transactions map[string]*transaction
	codes        map[string]*authCode
	refresh      map[string]*refreshToken
	opaque       map[string]*opaqueToken
	accounts     []*account // in the order they were connected
	connecting   map[string]*connectSession
	pushed       map[string]pushedRequest // by request_uri
}

// New builds a tenant that does not listen; Handler, Google, GitHub, Microsoft and
// Slack serve it. The issuer is always the given one, whatever a request's Host says.
func New(cfg Config, urls URLs) (*Tenant, error) {
	for i, u := range urls.standIns() {
		setDefault(u, "http://"+strings.ToLower(standIns[i].name)+".invalid")
	}
	for _, u := range append(urls.standIns(), &urls.Issuer) {
		var err error
		if *u, err = normalize(*u); err != nil {
			return nil, fmt.Errorf("auth0test: %w", err)
		}
	}
	base := urls.Issuer
	expanded, err := cfg.expand(base)
	if err != nil {
		return nil, fmt.Errorf("auth0test: %w", err)
	}
	if err := expanded.validate(); err != nil {
		return nil, fmt.Errorf("auth0test: %w", err)
	}
	t := &Tenant{
		base:   base,
		faults: &faultList{}, requests: &requestLog{},
		keys:         newKeyRing(base),
		sessions:     map[string]*session{},
		transactions: map[string]*transaction{},
		codes:        map[string]*authCode{},
		refresh:      map[string]*refreshToken{},
		opaque:       map[string]*opaqueToken{},
		connecting:   map[string]*connectSession{},
		pushed:       map[string]pushedRequest{},
		providers:    map[string]*provider{},
	}
	for i, s := range standIns {
		t.providers[s.strategy] = t.newProvider(s, *urls.standIns()[i])
	}
	t.directory.current.Store(&expanded)
	t.handler = t.routes()
	return t, t.connectSeeds()
}

// normalize writes a base URL as clients compare it: without a slash at the end and
// without the port that its scheme implies.
func normalize(base string) (string, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return "", fmt.Errorf("%q is no absolute URL", base)
	}
	if port := u.Port(); (u.Scheme == "https" && port == "443") || (u.Scheme == "http" && port == "80") {
		u.Host = strings.TrimSuffix(u.Host, ":"+port)
	}
	return strings.TrimSuffix(u.String(), "/"), nil
}

// signingAlgs are the algorithms the JWKS has keys for: RS256 always, others
// where an API signs with them.
func (cfg *Config) signingAlgs() []string {
	algs := []string{"RS256"}
	for _, alg := range []string{"PS256", "ES256"} {
		if find(cfg.ResourceServers, func(rs ResourceServer) bool { return rs.SigningAlg == alg }) != nil {
			algs = append(algs, alg)
		}
	}
	return algs
}

// connectSeeds stores the accounts that users have from the start.
func (t *Tenant) connectSeeds() error {
	for _, u := range t.cfg().Users {
		for _, a := range u.ConnectedAccounts {
			if err := t.Connect(u.UserID, a.Connection, a.Scopes, a.Account); err != nil {
				return err
			}
		}
	}
	return nil
}

// Issuer is the tenant's issuer, with its slash at the end.
func (t *Tenant) Issuer() string { return t.base + "/" }

// Handler serves the tenant: Auth0's endpoints and the /_tenant controls.
func (t *Tenant) Handler() http.Handler { return t.handler }

// Google serves the Google stand-in.
func (t *Tenant) Google() http.Handler { return t.providers[google.strategy].handler }

// GitHub serves the GitHub stand-in.
func (t *Tenant) GitHub() http.Handler { return t.providers[github.strategy].handler }

// Microsoft serves the Microsoft stand-in: sign-in and Microsoft Graph.
func (t *Tenant) Microsoft() http.Handler { return t.providers[microsoft.strategy].handler }

// Slack serves the Slack stand-in.
func (t *Tenant) Slack() http.Handler { return t.providers[slack.strategy].handler }

func (t *Tenant) routes() http.Handler {
	auth0 := http.NewServeMux()
	for pattern, handler := range map[string]http.HandlerFunc{
		"GET /.well-known/openid-configuration":          t.serveDiscovery,
		"GET /.well-known/oauth-authorization-server":    t.serveDiscovery,
		"GET /.well-known/jwks.json":                     t.serveJWKS,
		"GET /authorize":                                 t.serveAuthorize,
		"POST /authorize":                                t.serveAuthorize,
		"GET /authorize/resume":                          t.serveResume,
		"GET /continue":                                  t.serveContinue,
		"POST /continue":                                 t.serveContinue,
		"GET /u/mfa-otp-challenge":                       t.serveFactorPage,
		"POST /u/mfa-otp-challenge":                      t.serveFactor,
		"GET /u/login":                                   t.serveLoginPage,
		"POST /u/login":                                  t.serveLogin,
		"GET /v2/logout":                                 t.serveLogout,
		"GET /oidc/logout":                               t.serveOIDCLogout,
		"POST /oidc/logout":                              t.serveOIDCLogout,
		"POST /oauth/par":                                t.servePAR,
		"POST /oauth/token":                              t.serveToken,
		"POST /oauth/revoke":                             t.serveRevoke,
		"GET /userinfo":                                  t.serveUserInfo,
		"POST /userinfo":                                 t.serveUserInfo,
		"GET " + t.cfg().Settings.ConnectURIPath:         t.serveConnectTicket,
		"GET /login/callback":                            t.serveProviderCallback,
		"POST /me/v1/connected-accounts/connect":         t.myAccount("create:me:connected_accounts", t.startConnect),
		"POST /me/v1/connected-accounts/complete":        t.myAccount("create:me:connected_accounts", t.completeConnect),
		"GET /me/v1/connected-accounts/accounts":         t.myAccount("read:me:connected_accounts", t.listAccounts),
		"DELETE /me/v1/connected-accounts/accounts/{id}": t.myAccount("delete:me:connected_accounts", t.deleteAccount),
		"GET /me/v1/connected-accounts/connections":      t.myAccount("read:me:connected_accounts", t.listConnections),
	} {
		auth0.HandleFunc(pattern, handler)
	}
	for pattern, handler := range t.managementRoutes() {
		auth0.HandleFunc(pattern, handler)
	}
	// No method here: Auth0 answers a known path with a wrong method like an
	// unknown path.
	auth0.HandleFunc("/", notFound)

	root := http.NewServeMux()
	root.Handle("/_tenant/", t.controls())
	root.Handle("/", t.withDate(withRateLimit(t.requests.watch(t.withCORS(t.faults.inject(withoutDPoP(auth0)))))))
	return root
}

// withDate says what time it is here (RFC 9110 §6.6.1).
func (t *Tenant) withDate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now().Add(time.Duration(t.cfg().Settings.ClockSkew) * time.Second)
		w.Header().Set("Date", now.UTC().Format(http.TimeFormat))
		next.ServeHTTP(w, r)
	})
}

// withoutDPoP refuses requests with a proof of possession.
func withoutDPoP(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header["Dpop"] != nil {
			refuseDPoP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// rateLimit is the limit the headers speak of; only faults answer 429.
const rateLimit = 100

// withRateLimit adds Auth0's rate-limit headers, lower-case as on its wire.
func withRateLimit(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h["x-ratelimit-limit"] = []string{strconv.Itoa(rateLimit)}
		h["x-ratelimit-remaining"] = []string{strconv.Itoa(rateLimit - 1)}
		h["x-ratelimit-reset"] = []string{strconv.FormatInt(time.Now().Unix()+1, 10)}
		next.ServeHTTP(w, r)
	})
}

// findUser takes a user id or an e-mail address.
func (t *Tenant) findUser(name string) (*User, error) {
	if u := t.cfg().user(name); u != nil {
		return u, nil
	}
	if u := t.cfg().userByLogin(name); u != nil {
		return u, nil
	}
	return nil, fmt.Errorf("no user %q", name)
}

// findConnection takes a connection that has a stand-in.
func (t *Tenant) findConnection(name string) (*Connection, *provider, error) {
	c := t.cfg().connection(name)
	if c == nil {
		return nil, nil, fmt.Errorf("no connection %q", name)
	}
	p := t.providers[c.Strategy]
	if p == nil {
		return nil, nil, errors.New("connection " + strconv.Quote(name) + " has no provider")
	}
	return c, p, nil
}
