package auth0test

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"
)

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
