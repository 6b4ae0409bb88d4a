package vault

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	_ "crypto/sha512" // for RS512
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// What the clients of these tests are configured with.
const (
	testIssuer   = "https://tenant.example.com/"
	testAudience = "https://api.example.com/"
	testClientID = "exchange-client"
	testSecret   = "exchange-client-secret"
)

// Keys are made once: they are what is slow in these tests.
var (
	rsaKey      = sync.OnceValue(func() *rsa.PrivateKey { return newRSAKey(2048) })
	otherRSAKey = sync.OnceValue(func() *rsa.PrivateKey { return newRSAKey(2048) })
	smallRSAKey = sync.OnceValue(func() *rsa.PrivateKey { return newRSAKey(1024) })
	ecKey       = sync.OnceValue(func() *ecdsa.PrivateKey { return newECKey(elliptic.P256()) })
)

func newRSAKey(bits int) *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		panic(err)
	}
	return key
}

func newECKey(curve elliptic.Curve) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		panic(err)
	}
	return key
}

// object is a JSON object.
type object = map[string]any

// with returns base with some members replaced; nil removes one.
func with(base object, changes object) object {
	out := maps.Clone(base)
	for name, value := range changes {
		if value == nil {
			delete(out, name)
		} else {
			out[name] = value
		}
	}
	return out
}

func mustJSON(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// b64 is the encoding of a JWS's parts.
func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

// decodeB64 undoes b64 on JSON.
func decodeB64(s string, v any) error {
	data, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}

func goodHeader() object { return object{"alg": "RS256", "typ": "JWT", "kid": "key-1"} }

// goodClaims are those of an access token in Auth0's own profile.
func goodClaims() object {
	now := time.Now().Unix()
	return object{
		"iss": testIssuer, "sub": "auth0|alice", "aud": testAudience, "azp": "agent",
		"iat": now, "exp": now + 3600, "scope": "read:calendar",
	}
}

// sign makes a compact JWS by hand: a library would refuse to make bad ones.
func sign(key any, header, payload string) string {
	var alg struct{ Alg string }
	_ = json.Unmarshal([]byte(header), &alg)
	input := b64(header) + "." + b64(payload)
	return input + "." + b64(string(signature(key, alg.Alg, input)))
}

func signature(key any, alg, input string) []byte {
	hash := crypto.SHA256
	if strings.HasSuffix(alg, "512") {
		hash = crypto.SHA512
	}
	h := hash.New()
	h.Write([]byte(input))
	digest := h.Sum(nil)
	switch key := key.(type) {
	case *rsa.PrivateKey:
		var opts crypto.SignerOpts = hash
		if strings.HasPrefix(alg, "PS") {
			opts = &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash, Hash: hash}
		}
		out, err := key.Sign(rand.Reader, digest, opts)
		if err != nil {
			panic(err)
		}
		return out
	case *ecdsa.PrivateKey:
		r, s, err := ecdsa.Sign(rand.Reader, key, digest)
		if err != nil {
			panic(err)
		}
		return append(r.FillBytes(make([]byte, 32)), s.FillBytes(make([]byte, 32))...)
	}
	return nil
}

// goodToken is an access token that testClient accepts, of the given claims.
func goodToken(changes object) string {
	return sign(rsaKey(), mustJSON(goodHeader()), mustJSON(with(goodClaims(), changes)))
}

// jwk renders a public key with further members.
func jwk(key any, kid string, members object) object {
	data, err := jose.JSONWebKey{Key: key, KeyID: kid}.MarshalJSON()
	if err != nil {
		panic(err)
	}
	var out object
	if err := json.Unmarshal(data, &out); err != nil {
		panic(err)
	}
	return with(out, members)
}

// keySetOf is a key set document.
func keySetOf(keys ...object) string { return mustJSON(object{"keys": keys}) }

// goodKeys is the document that goodToken is signed for.
func goodKeys() string {
	return keySetOf(jwk(rsaKey().Public(), "key-1", object{"alg": "RS256", "use": "sig"}))
}

// tenant is an Auth0 tenant without sockets: a RoundTripper, so that it works
// in a testing/synctest bubble.
type tenant struct {
	mu                  sync.Mutex
	keys, vault         http.HandlerFunc
	fetches, exchanges_ int
}

// newTenant publishes goodKeys, and its vault answers with mint.
func newTenant() *tenant {
	return &tenant{keys: answering(http.StatusOK, goodKeys()), vault: mint}
}

// RoundTrip implements http.RoundTripper.
func (s *tenant) RoundTrip(r *http.Request) (*http.Response, error) {
	s.mu.Lock()
	handler := http.NotFound
	switch r.URL.Path {
	case "/.well-known/jwks.json":
		s.fetches++
		handler = s.keys
	case "/oauth/token":
		s.exchanges_++
		handler = s.vault
	}
	s.mu.Unlock()
	return handled(handler, r)
}

// handled is what a handler answers, unless the request ended meanwhile.
func handled(h http.HandlerFunc, r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	h(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return w.Result(), nil
}

func (s *tenant) serveKeys(h http.HandlerFunc) { s.mu.Lock(); defer s.mu.Unlock(); s.keys = h }

func (s *tenant) serveVault(h http.HandlerFunc) { s.mu.Lock(); defer s.mu.Unlock(); s.vault = h }

func (s *tenant) keyFetches() int { s.mu.Lock(); defer s.mu.Unlock(); return s.fetches }

func (s *tenant) exchanges() int { s.mu.Lock(); defer s.mu.Unlock(); return s.exchanges_ }

// client returns a Client of this tenant. cfg may leave out what is always the
// same here.
func (s *tenant) client(t testing.TB, cfg Config) *Client {
	t.Helper()
	if cfg.Transport == nil {
		cfg.Transport = s
	}
	for field, value := range map[*string]string{&cfg.Domain: testIssuer, &cfg.Audience: testAudience, &cfg.ClientID: testClientID} {
		if *field == "" && !(field == &cfg.Audience && cfg.RefreshTokens) {
			*field = value
		}
	}
	if cfg.ClientSecret.Reveal() == "" {
		cfg.ClientSecret = NewSecret(testSecret)
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// answering is a handler that always says the same.
func answering(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
}

// after delays a handler, as long as the client waits.
func after(d time.Duration, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		select {
		case <-time.After(d):
			h(w, r)
		case <-r.Context().Done():
		}
	}
}

// blackHole never answers.
func blackHole(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// mint answers an exchange with a token that says what it was made for.
func mint(w http.ResponseWriter, r *http.Request) {
	_, _ = w.Write([]byte(mustJSON(grant(mintedFor(r), nil))))
}

// minting is mint with members of the answer changed.
func minting(changes object) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte(mustJSON(grant(mintedFor(r), changes))))
	}
}

func mintedFor(r *http.Request) string {
	_ = r.ParseForm()
	return strings.Join([]string{r.PostFormValue("subject_token"), r.PostFormValue("connection"), r.PostFormValue("login_hint")}, "/")
}

// grant is a success answer of the vault.
func grant(token string, changes object) object {
	return with(object{
		"access_token": token, "token_type": "Bearer", "expires_in": 3600, "scope": "calendar",
		"issued_token_type": requestedTokenType,
	}, changes)
}

// refusal is an error answer of the vault.
func refusal(status int, code string) http.HandlerFunc {
	return answering(status, mustJSON(object{"error": code, "error_description": "As the test says."}))
}

const notConnected = "federated_connection_refresh_token_not_found"

// callerWith is the AccessToken of raw, with goodClaims changed.
func callerWith(t testing.TB, raw string, changes object) *AccessToken {
	t.Helper()
	claims, err := parseClaims[claims]([]byte(mustJSON(with(goodClaims(), changes))))
	if err != nil {
		t.Fatal(err)
	}
	caller, err := claims.accessToken(raw)
	if err != nil {
		t.Fatal(err)
	}
	return caller
}

// alice is a caller; each raw is another access token of hers.
func alice(t testing.TB, raw string) *AccessToken { return callerWith(t, raw, nil) }

// calendar is the request that most tests make.
var calendar = Request{Connection: "google-oauth2", Scopes: []string{"calendar"}}

// refused returns err as the Error of that code, or ends the test.
func refused(t testing.TB, err error, code Code) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want %s", err, code)
	}
	if e.Code != code {
		t.Fatalf("got %s (%v), want %s", e.Code, e, code)
	}
	return e
}

// describe is "ok" for nil, "code/reason" for an Error, otherwise the error's text.
func describe(err error) string {
	var e *Error
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &e):
		return string(e.Code) + "/" + e.Reason
	}
	return err.Error()
}

// mustToken returns the value of the token that caller gets, or ends the test.
func mustToken(t testing.TB, c *Client, caller Caller, req Request) *Token {
	t.Helper()
	token, err := c.Token(t.Context(), caller, req)
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// together runs f n times at once and returns what each got.
func together[T any](n int, f func(i int) T) []T {
	results := make([]T, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { results[i] = f(i) })
	}
	wg.Wait()
	return results
}

// bubble runs f by a clock that moves only while everybody waits.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		defer time.Sleep(DefaultTimeout) // what is on its way has ended then
		f(t)
	})
}

// kept counts what is in a cache.
func kept(c *Cache) (entries, inOrder, flights int) {
	c.flights.mu.Lock()
	defer c.flights.mu.Unlock()
	c.answers.mu.Lock()
	defer c.answers.mu.Unlock()
	for _, list := range c.answers.entries {
		entries += len(list)
	}
	for e := c.answers.newest; e != nil; e = e.older {
		inOrder++
	}
	flights = len(c.flights.byName)
	return entries, inOrder, flights
}

// seconds is for JSON numbers.
func seconds(t time.Time) int64 { return t.Unix() }

// listen starts a local Auth0 tenant and a Client of its seeded API.
func listen(t testing.TB, change func(*auth0test.Config), cfg Config) (*auth0test.Server, *Client) {
	t.Helper()
	seeds := auth0test.Seeds()
	if change != nil {
		change(&seeds)
	}
	s := auth0test.NewServer(seeds)
	t.Cleanup(s.Close)
	return s, clientOf(t, s.URL, cfg)
}

// clientOf is a Client of the seeded API at that address.
func clientOf(t testing.TB, domain string, cfg Config) *Client {
	t.Helper()
	cfg.Domain, cfg.Audience, cfg.ClientID = domain, "https://agents.example.com/", "vault-exchange"
	if cfg.ClientSecret.Reveal() == "" {
		cfg.ClientSecret = NewSecret("vault-exchange-secret")
	}
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// issue has the tenant issue alice's access token and the client verify it.
func issue(t testing.TB, s *auth0test.Server, c *Client) *AccessToken {
	t.Helper()
	caller, err := c.Verify(t.Context(), issueRaw(t, s, auth0test.TokenRequest{}).AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	return caller
}

func issueRaw(t testing.TB, s *auth0test.Server, req auth0test.TokenRequest) auth0test.Tokens {
	t.Helper()
	if req.User == "" && req.ClientID == "" {
		req.User, req.ClientID = "auth0|alice", "demo-agent"
	}
	tokens, err := s.IssueToken(req)
	if err != nil {
		t.Fatal(err)
	}
	return tokens
}

// recorder keeps the last request that passed to the token endpoint.
type recorder struct {
	base   http.RoundTripper
	header http.Header
	form   url.Values
	body   string
}

// RoundTrip implements http.RoundTripper.
func (r *recorder) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Path == "/oauth/token" {
		copied := req.Clone(context.Background())
		copied.Body, _ = req.GetBody()
		_ = copied.ParseForm()
		r.header, r.form = req.Header.Clone(), copied.PostForm
		r.body = copied.PostForm.Encode()
	}
	return r.base.RoundTrip(req)
}

// holds fails the test if text holds 12 characters in a row of a secret.
func holds(t testing.TB, what, text string, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		for i := 0; i+12 <= len(secret); i++ {
			if strings.Contains(text, secret[i:i+12]) {
				t.Errorf("%s holds part of a secret: %s", what, fmt.Sprintf("%.300q", text))
				return
			}
		}
	}
}
