package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// standIn is the least of a tenant: a key set and the vault's exchange. It stands
// in for that of auth0test where there are more users than that one is made for
// (it signs with RSA and looks users up one by one), and where provider's tokens
// have to live for seconds. Every user has connected an account. It checks
// nothing: what is measured is the proxy.
type standIn struct {
	issuer string
	signer jose.Signer
	keys   jose.JSONWebKeySet

	// life is that of a provider's token; one that has less than leeway left is
	// not given out again but replaced, as Auth0 does.
	life, leeway time.Duration

	mu     sync.Mutex
	stored map[string]providerToken // by user
	minted int
}

type providerToken struct {
	text string
	ends time.Time
}

// startStandIn starts such a tenant. Its access tokens are signed with ES256,
// which takes a thirtieth of the time of RS256.
func (s *stage) startStandIn(life, leeway time.Duration) (*tenant, *standIn, error) {
	t, err := s.openDoor()
	if err != nil {
		return nil, nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	in := &standIn{issuer: t.url + "/", life: life, leeway: leeway, stored: make(map[string]providerToken)}
	in.keys.Keys = []jose.JSONWebKey{{KeyID: "stand-in", Use: "sig", Algorithm: "ES256", Key: key.Public()}}
	in.signer, err = jose.NewSigner(
		jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{KeyID: "stand-in", Key: key}},
		(&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return nil, nil, err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/jwks.json", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, in.keys) })
	mux.HandleFunc("POST /oauth/token", in.exchange)
	t.algorithm, t.issueToken = "ES256", in.issue
	t.serve(mux)
	return t, in, nil
}

func (in *standIn) issue(user, padding string) (string, error) {
	now := time.Now().Unix()
	claims, err := json.Marshal(map[string]any{
		"iss": in.issuer, "sub": user, "aud": audience, "azp": agentID, "iat": now, "exp": now + 86400,
		"https://agents.example.com/note": padding,
	})
	if err != nil {
		return "", err
	}
	signed, err := in.signer.Sign(claims)
	if err != nil {
		return "", err
	}
	return signed.CompactSerialize()
}

// exchange answers with what is left of the life of the user's stored token.
func (in *standIn) exchange(w http.ResponseWriter, r *http.Request) {
	user, err := subject(r.PostFormValue("subject_token"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	token := in.current(user)
	writeJSON(w, map[string]any{ //nolint:gosec // names of members, not credentials
		"access_token": token.text, "scope": calendar, "token_type": "Bearer",
		"expires_in":        int64(time.Until(token.ends) / time.Second),
		"issued_token_type": "http://auth0.com/oauth/token-type/federated-connection-access-token",
	})
}

// current is the user's stored token, or a new one if that has too little left.
func (in *standIn) current(user string) providerToken {
	in.mu.Lock()
	defer in.mu.Unlock()
	token := in.stored[user]
	if time.Now().Add(in.leeway).After(token.ends) {
		in.minted++
		token = providerToken{providerTokenText(in.minted), time.Now().Add(in.life)}
		in.stored[user] = token
	}
	return token
}

// replaced is how many tokens were made so far.
func (in *standIn) replaced() int {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.minted
}

// providerTokenText is of the size that Google's tokens have.
func providerTokenText(number int) string { return fmt.Sprintf("ya29.%0215d", number) }

// subject reads whose access token it is.
func subject(token string) (string, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return "", fmt.Errorf("%d parts in the subject token", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return "", err
	}
	var claims struct {
		Sub string `json:"sub"`
	}
	err = json.Unmarshal(payload, &claims)
	return claims.Sub, err
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
