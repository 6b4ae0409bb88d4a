package auth0test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// standIns are the providers that there are. Addresses and URLs come in this order.
var standIns = []*standIn{&google, &github, &microsoft, &slack}

// strategies are those that have one.
func strategies() []string {
	var out []string
	for _, s := range standIns {
		out = append(out, s.strategy)
	}
	return out
}

// standInFor finds the one that serves a strategy's connections, or nil.
func standInFor(strategy string) *standIn {
	for _, s := range standIns {
		if s.strategy == strategy {
			return s
		}
	}
	return nil
}

// A standIn is all that makes one provider differ from the others: one more is a
// file that fills one of these, and its place in standIns.
type standIn struct {
	name                     string // as people know it
	strategy                 string // Auth0's, of the connections it serves
	authorizePath, tokenPath string
	openID                   bool     // the authorization endpoint minds response_type and prompt
	schemes                  []string // of Authorization, besides Bearer

	lifetime                    time.Duration // of an access token
	accessPrefix, refreshPrefix string
	rotates                     bool   // a refresh brings a new refresh token
	once                        bool   // and ends the old one
	separator                   string // between scopes in answers
	scopeHeaders                string // separator in X-OAuth-Scopes; empty: no such headers

	extra bool // among the seeds only for who asks
	// seed is the connection among the seeds, as far as it is special.
	seed func() Connection
	// complete fills in what Auth0 adds to a connection's options; may be nil.
	complete func(options map[string]any) map[string]any
	// account is the id that somebody with this e-mail address has; sum is of the
	// address, and another one at each provider.
	account func(email string, sum [sha256.Size]byte) string
	// loginScopes are what Auth0 asks for at every login.
	loginScopes func(c *Connection) []string
	// askOffline is how Auth0 asks for a refresh token; nil where none is asked for.
	askOffline func(q url.Values)
	// offline decides whether a consent brings a refresh token. consented: the
	// person had to be asked.
	offline func(p *provider, asked url.Values, consented bool) bool
	// spelling is how answers spell scopes that an account granted.
	spelling func(account string, scopes []string) []string
	// answer and refuse are what the token endpoint says.
	answer func(w http.ResponseWriter, r *http.Request, g *providerGrant, m mintedToken)
	refuse func(w http.ResponseWriter, status int, code, description string)
	// api adds the API's methods. deny is how they refuse a token, with one of the
	// errors of check or errTokenScope; g is nil unless it is good so far.
	api  func(p *provider, mux *http.ServeMux)
	deny func(w http.ResponseWriter, err error, g *providerGrant, scopes []string)
	// readProfile is Auth0 asking who logged in.
	readProfile func(ctx context.Context, p *provider, token string) (profile, error)
}

// A provider is a stand-in at work: accounts, a consent page, a token endpoint,
// and an API that checks tokens and scopes. It knows the tenant only as the OAuth
// client that the connections describe.
type provider struct {
	*standIn
	base     string
	tenant   *Tenant
	handler  http.Handler
	client   *http.Client // reaches handler without a network
	callback string

	mu       sync.Mutex // guards all below; taken after the tenant's mutex
	pending  map[string]*providerRequest
	codes    map[string]*providerCode
	access   map[string]*providerToken
	refresh  map[string]*providerGrant
	consents map[consenter][]string // all scopes that were ever granted
}

// A consenter is an account, and the client that it granted something.
type consenter struct{ account, clientID string }

// A providerGrant is one consent of one account.
type providerGrant struct {
	consenter
	scopes  []string
	offline bool
	revoked bool
}

// A providerToken is an access token under a grant.
type providerToken struct {
	grant   *providerGrant
	expires time.Time
}

// A providerRequest is an authorization request whose consent page is open.
type providerRequest struct {
	asked          url.Values
	scopes, prompt []string
}

// A providerCode waits for the token endpoint.
type providerCode struct {
	grant       *providerGrant
	redirectURI string
	expires     time.Time
}

// newProvider puts a stand-in to work.
func (t *Tenant) newProvider(s *standIn, base string) *provider {
	p := &provider{
		standIn: s, base: base, tenant: t, callback: t.base + "/login/callback",
		pending: map[string]*providerRequest{}, codes: map[string]*providerCode{},
		access: map[string]*providerToken{}, refresh: map[string]*providerGrant{},
		consents: map[consenter][]string{},
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+p.authorizePath, p.serveConsentPage)
	mux.HandleFunc("POST "+p.authorizePath, p.serveConsent)
	mux.HandleFunc("POST "+p.tokenPath, p.serveToken)
	s.api(p, mux)
	p.handler = t.faults.inject(mux)
	p.client = &http.Client{Transport: handlerTransport{p.handler}, Timeout: time.Minute}
	return p
}

// accountID is the account that the provider has for an e-mail address, so that it
// is stable and no Auth0 user id.
func (p *provider) accountID(email string) string {
	return p.account(email, sha256.Sum256([]byte(p.strategy+":"+strings.ToLower(email))))
}

// digits is a number of n digits made of a sum.
func digits(n int, sum [sha256.Size]byte) string {
	text := strconv.FormatUint(binary.BigEndian.Uint64(sum[:8]), 10) + strconv.FormatUint(binary.BigEndian.Uint64(sum[8:16]), 10)
	return "1" + text[:n-1]
}

// credentials are how a connection's operator registered the tenant here.
func (p *standIn) credentials(c *Connection) (id, secret string) {
	name := "tenant-at-" + strings.ToLower(p.name)
	return c.option("client_id", name), c.option("client_secret", name+"-secret")
}

// knows reports whether a client is registered; an empty secret is not checked.
func (p *provider) knows(id, secret string) bool {
	for _, c := range p.tenant.cfg().Connections {
		if c.Strategy != p.strategy {
			continue
		}
		if wantID, wantSecret := p.credentials(&c); id == wantID && (secret == "" || secret == wantSecret) {
			return true
		}
	}
	return false
}

// grantDirectly is a consent without a page, for a connection.
func (p *provider) grantDirectly(c *Connection, account string, scopes []string) providerTokens {
	id, _ := p.credentials(c)
	asked := url.Values{}
	p.ask(asked, scopes, p.tenant.asksOffline(c, scopes))
	g := &providerGrant{
		consenter: consenter{account, id}, scopes: p.spelling(account, noOffline(scopes)),
		offline: p.offline(p, asked, true),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.consent(g, g.scopes)
	return p.stored(p.mint(g, ""))
}

// consent takes note of a grant, and reports whether the account had to be
// asked: it had granted something of what was asked for never before. The
// caller holds p.mu.
func (p *provider) consent(g *providerGrant, asked []string) (first bool) {
	before, known := p.consents[g.consenter]
	all := slices.Concat(before, g.scopes)
	p.consents[g.consenter] = intersect(all, all) // each once
	return !known || len(intersect(asked, before)) < len(asked)
}

// A mintedToken is the token endpoint's success, as far as providers agree.
type mintedToken struct {
	AccessToken  string `json:"access_token"`
	ExpiresIn    int64  `json:"expires_in,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	Scope        string `json:"scope"`
	TokenType    string `json:"token_type"`
}

// mint issues tokens under a grant; kept is the refresh token the client has
// already. The caller holds p.mu.
func (p *provider) mint(g *providerGrant, kept string) mintedToken {
	out := mintedToken{
		AccessToken: p.accessPrefix + randomID(40), TokenType: "Bearer",
		ExpiresIn: int64(p.lifetime / time.Second), Scope: strings.Join(g.scopes, p.separator),
	}
	p.access[out.AccessToken] = &providerToken{grant: g, expires: time.Now().Add(p.lifetime)}
	if g.offline && (kept == "" || p.rotates) {
		if p.once {
			delete(p.refresh, kept)
		}
		out.RefreshToken = p.refreshPrefix + randomID(40)
		p.refresh[out.RefreshToken] = g
	}
	return out
}

// stored is how the vault keeps a provider's answer.
func (p *provider) stored(m mintedToken) providerTokens {
	return providerTokens{
		access: m.AccessToken, refresh: m.RefreshToken, scopeText: m.Scope,
		scopes:  splitScopes(m.Scope),
		expires: time.Now().Add(time.Duration(m.ExpiresIn) * time.Second),
	}
}

// asSpelled is the spelling of providers that answer what they were asked, each once.
func asSpelled(_ string, scopes []string) []string { return intersect(scopes, scopes) }

// splitScopes takes scopes apart at spaces and commas.
func splitScopes(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
}

// revoke ends the grant behind an access or refresh token. The account will be
// asked anew.
func (p *provider) revoke(token string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	g := p.refresh[token]
	if at := p.access[token]; at != nil {
		g = at.grant
	}
	if g == nil {
		return false
	}
	g.revoked = true
	delete(p.consents, g.consenter)
	return true
}

// What is wrong with a token at a provider's API.
var (
	errTokenMissing = errors.New("no token")
	errTokenUnknown = errors.New("unknown token")
	errTokenExpired = errors.New("expired token")
	errTokenRevoked = errors.New("revoked token")
	errTokenScope   = errors.New("missing scope")
)

// check finds the grant of an access token that is good right now.
func (p *provider) check(token string) (*providerGrant, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	at := p.access[token]
	switch {
	case at == nil:
		return nil, errTokenUnknown
	case at.grant.revoked:
		return nil, errTokenRevoked
	case time.Now().After(at.expires):
		return nil, errTokenExpired
	}
	return at.grant, nil
}

// An apiMethod serves a request with a token that suffices.
type apiMethod func(w http.ResponseWriter, r *http.Request, g *providerGrant)

// method wraps an API method with the check for a token that has any of scopes;
// without scopes any token will do.
func (p *provider) method(serve apiMethod, scopes ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		g, err := p.check(bearer(r, append(p.schemes, "Bearer")...))
		if r.Header.Get("Authorization") == "" {
			err = errTokenMissing
		}
		if g != nil && p.scopeHeaders != "" {
			w.Header().Set("X-Oauth-Scopes", strings.Join(g.scopes, p.scopeHeaders))
			w.Header().Set("X-Accepted-Oauth-Scopes", strings.Join(scopes, p.scopeHeaders))
		}
		if g != nil && len(scopes) > 0 && len(intersect(p.spelling(g.account, scopes), g.scopes)) == 0 {
			err = errTokenScope
		}
		if err != nil {
			p.deny(w, err, g, scopes)
			return
		}
		serve(w, r, g)
	}
}

// bearer takes the token out of a request's Authorization header.
func bearer(r *http.Request, schemes ...string) string {
	scheme, token, ok := strings.Cut(r.Header.Get("Authorization"), " ")
	if !ok || !slices.ContainsFunc(schemes, func(s string) bool { return strings.EqualFold(s, scheme) }) {
		return ""
	}
	return token
}

// ask puts what Auth0 wants into an authorization request: scopes, of which
// offline_access is Auth0's own word, and a refresh token.
func (p *standIn) ask(q url.Values, scopes []string, offline bool) {
	q.Set("scope", strings.Join(noOffline(scopes), " "))
	if offline && p.askOffline != nil {
		p.askOffline(q)
	}
}

// noOffline leaves out what asks for a refresh token and permits nothing.
func noOffline(scopes []string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(scope string) bool { return scope == "offline_access" })
}

// authorizeURL is where Auth0 sends the browser for a consent to what q asks.
func (p *provider) authorizeURL(c *Connection, q url.Values) string {
	id, _ := p.credentials(c)
	q.Set("client_id", id)
	q.Set("redirect_uri", p.callback)
	q.Set("response_type", "code")
	return addQuery(p.base+p.authorizePath, q)
}

// redeem is Auth0's side of the code exchange.
func (p *provider) redeem(ctx context.Context, c *Connection, code string) (providerTokens, string, error) {
	minted, err := p.post(ctx, c, url.Values{
		"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {p.callback},
	})
	if err != nil {
		return providerTokens{}, "", err
	}
	g, err := p.check(minted.AccessToken)
	if err != nil {
		return providerTokens{}, "", err
	}
	return p.stored(minted), g.account, nil
}

// refreshAt is Auth0's side of a refresh.
func (p *provider) refreshAt(ctx context.Context, c *Connection, old providerTokens) (providerTokens, error) {
	minted, err := p.post(ctx, c, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {old.refresh}})
	if err != nil {
		return old, err
	}
	fresh := p.stored(minted)
	setDefault(&fresh.refresh, old.refresh)
	return fresh, nil
}

// post calls the provider's token endpoint.
func (p *provider) post(ctx context.Context, c *Connection, form url.Values) (mintedToken, error) {
	id, secret := p.credentials(c)
	form.Set("client_id", id)
	form.Set("client_secret", secret)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+p.tokenPath, strings.NewReader(form.Encode()))
	if err != nil {
		return mintedToken{}, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := p.client.Do(req)
	if err != nil {
		return mintedToken{}, err
	}
	defer func() { _ = resp.Body.Close() }()
	var minted mintedToken
	if err := json.NewDecoder(resp.Body).Decode(&minted); err != nil {
		return mintedToken{}, err
	}
	if resp.StatusCode != http.StatusOK || minted.AccessToken == "" {
		return mintedToken{}, fmt.Errorf("the provider answered %s", resp.Status)
	}
	return minted, nil
}
