package auth0test

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// standIns are the providers that there are. Addresses and URLs come in this order.
var standIns = []*standIn{&google, &github, &microsoft, &slack}

// strategies are those that have one.
func strategies() []string {
	out := make([]string, len(standIns))
	for i, s := range standIns {
		out[i] = s.strategy
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
	name     string // as people know it
	strategy string // Auth0's, of the connections it serves
	extra    bool   // among the seeds only for who asks

	authorizePath string
	openID        bool // that endpoint minds response_type and prompt
	tokenPath     string
	lifetime      time.Duration // of an access token
	accessPrefix  string
	refreshPrefix string
	rotates       bool     // a refresh brings a new refresh token
	once          bool     // and ends the old one
	separator     string   // between scopes in answers
	schemes       []string // of Authorization at the API, besides Bearer
	scopeHeaders  string   // separator in the API's X-OAuth-Scopes; empty: no such headers

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

// credentials are how a connection's operator registered the tenant here.
func (p *standIn) credentials(c *Connection) (id, secret string) {
	name := "tenant-at-" + strings.ToLower(p.name)
	return c.option("client_id", name), c.option("client_secret", name+"-secret")
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

// asSpelled is the spelling of providers that answer what they were asked, each once.
func asSpelled(_ string, scopes []string) []string { return intersect(scopes, scopes) }

// digits is a number of n digits made of a sum.
func digits(n int, sum [sha256.Size]byte) string {
	text := strconv.FormatUint(binary.BigEndian.Uint64(sum[:8]), 10) + strconv.FormatUint(binary.BigEndian.Uint64(sum[8:16]), 10)
	return "1" + text[:n-1]
}
