package auth0test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

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
