package caddymodule_test

import (
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// What the handler adds to a request, by itself: everything between Caddy's
// route and the handler that follows, which does nothing here. The tenant is the
// local one, but in what is measured nobody asks it.

const (
	benchUsers     = 256
	benchTokenSize = 900 // bytes, as Auth0's are
)

// bench is a provisioned handler, and tokens for it.
type bench struct {
	handler caddyhttp.MiddlewareHandler
	tenant  *auth0test.Server
}

// newBench provisions a tenant and a handler of it as Caddy does. cache is the
// tenant's, in JSON.
func newBench(b *testing.B, cache string) *bench {
	b.Helper()
	seeds := auth0test.Seeds()
	for i := range benchUsers {
		id := benchUser(i)
		seeds.Users = append(seeds.Users, auth0test.User{UserID: id, Email: strings.TrimPrefix(id, "auth0|") + "@example.com", Password: "password"})
	}
	tenant := auth0test.NewServer(seeds)
	b.Cleanup(tenant.Close)

	app := fmt.Sprintf(`{"tenants": {"default": {
		"domain": %q, "audience": %q, "client": {"id": "vault-exchange", "secret": %q}, "cache": %s
	}}}`, tenant.URL, audience, benchSecret, cache)
	ctx, err := caddy.ProvisionContext(&caddy.Config{
		Admin:   &caddy.AdminConfig{Disabled: true},
		Logging: &caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": {BaseLog: caddy.BaseLog{Level: "ERROR"}}}},
		AppsRaw: caddy.ModuleMap{"token_vault": json.RawMessage(app)},
	})
	if err != nil {
		b.Fatal(err)
	}
	handler, err := ctx.LoadModuleByID("http.handlers.token_vault", []byte(`{"connection": "google-oauth2", "scopes": ["`+calendar+`"], "allow_clients": ["demo-agent"]}`))
	if err != nil {
		b.Fatal(err)
	}
	return &bench{handler: handler.(caddyhttp.MiddlewareHandler), tenant: tenant}
}

const benchSecret = "vault-exchange-secret"

func benchUser(i int) string { return fmt.Sprintf("auth0|user%03d", i) }

// token returns an access token of the size of Auth0's, unlike any other, of a
// user who has connected the account.
func (s *bench) token(b *testing.B, user string, id int) string {
	b.Helper()
	claims := map[string]any{"jti": fmt.Sprintf("%08d", id), "https://example.com/padding": ""}
	issue := func() string {
		tokens, err := s.tenant.IssueToken(auth0test.TokenRequest{User: user, ClientID: agentID, Audience: audience, Claims: claims})
		if err != nil {
			b.Fatal(err)
		}
		return tokens.AccessToken
	}
	claims["https://example.com/padding"] = strings.Repeat("x", max(0, benchTokenSize-len(issue()))*3/4)
	return issue()
}

// connect connects the user's account.
func (s *bench) connect(b *testing.B, user string) {
	b.Helper()
	if err := s.tenant.Connect(user, google, []string{calendar}, ""); err != nil {
		b.Fatal(err)
	}
}

// benchRequest is a request on which Caddy's server has done its part: context,
// variables and replacer are not ours to pay for, so all calls share them.
type benchRequest struct {
	*http.Request
	replacer *caddy.Replacer
	prepared caddy.Replacer // as it was before the first call
	writer   *benchWriter
}

func newBenchRequest() *benchRequest {
	r := httptest.NewRequest(http.MethodGet, "https://agents.example.com/google/calendar/v3/calendars/primary/events?maxResults=10", nil)
	r.Header = http.Header{"Accept": {"application/json"}, "Accept-Encoding": {"gzip"}, "User-Agent": {"agent/1.0"}}
	writer := &benchWriter{header: http.Header{"Server": {"Caddy"}}}
	replacer := caddy.NewReplacer()
	r = caddyhttp.PrepareRequest(r, replacer, writer, new(caddyhttp.Server))
	return &benchRequest{Request: r, replacer: replacer, prepared: *replacer, writer: writer}
}

// renew makes a new request of it. The handler takes the credential off the
// request, adds to the replacer and leaves a variable: putting that back is two
// writes to maps and one copied struct.
func (r *benchRequest) renew(authorization []string) {
	r.Header["Authorization"] = authorization
	*r.replacer = r.prepared
	caddyhttp.SetVar(r.Context(), "token_vault", nil)
}

// call sends the request through the handler.
func (r *benchRequest) call(b *testing.B, handler caddyhttp.MiddlewareHandler, authorization []string) {
	r.renew(authorization)
	if err := handler.ServeHTTP(r.writer, r.Request, nothingFollows); err != nil {
		b.Fatal(err)
	}
}

// warm makes the call once, with the exchange, and sees to it that the provider's
// token is what goes on.
func (r *benchRequest) warm(b *testing.B, handler caddyhttp.MiddlewareHandler, authorization []string) {
	b.Helper()
	r.renew(authorization)
	attached := ""
	err := handler.ServeHTTP(r.writer, r.Request, caddyhttp.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		attached = r.Header.Get("Authorization")
		return nil
	}))
	if err != nil || !strings.HasPrefix(attached, "Bearer ") || attached == authorization[0] || r.writer.status != 0 {
		b.Fatalf("status %d, error %v, attached %q", r.writer.status, err, attached)
	}
}

var nothingFollows = caddyhttp.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })

// benchWriter is the least that an http.ResponseWriter can be.
type benchWriter struct {
	header http.Header
	status int
}

func (w *benchWriter) Header() http.Header         { return w.header }
func (w *benchWriter) WriteHeader(status int)      { w.status = status }
func (w *benchWriter) Write(p []byte) (int, error) { return len(p), nil }

// A token that was verified before, and an answer of the vault that is kept.
func BenchmarkHandlerWarm(b *testing.B) {
	s, request := newBench(b, "{}"), newBenchRequest()
	s.connect(b, alice)
	authorization := []string{"Bearer " + s.token(b, alice, 0)}
	request.warm(b, s.handler, authorization)
	b.ReportAllocs()
	for b.Loop() {
		request.call(b, s.handler, authorization)
	}
}

// What package vault takes of BenchmarkHandlerWarm.
func BenchmarkVaultWarm(b *testing.B) {
	s := newBench(b, "{}")
	s.connect(b, alice)
	raw := s.token(b, alice, 0)
	client, err := vault.New(vault.Config{Domain: s.tenant.URL, Audience: audience, ClientID: "vault-exchange", ClientSecret: vault.NewSecret(benchSecret)})
	if err != nil {
		b.Fatal(err)
	}
	request := vault.Request{Connection: google, Scopes: []string{calendar}}
	ctx := newBenchRequest().Context()
	caller, err := client.Verify(ctx, raw)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("Verify", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = client.Verify(ctx, raw)
		}
	})
	b.Run("Token", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = client.Token(ctx, caller, request)
		}
	})
}

// All cores at once, for one user, or each call for another one.
func BenchmarkHandlerWarmParallel(b *testing.B) {
	for _, users := range []int{1, benchUsers} {
		b.Run(fmt.Sprintf("users=%d", users), func(b *testing.B) {
			s := newBench(b, "{}")
			authorizations := make([][]string, users)
			for i := range authorizations {
				s.connect(b, benchUser(i))
				authorizations[i] = []string{"Bearer " + s.token(b, benchUser(i), i)}
				newBenchRequest().warm(b, s.handler, authorizations[i])
			}
			var goroutines atomic.Int64
			b.ReportAllocs()
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				request := newBenchRequest()
				for i := int(goroutines.Add(1)) * users / 2; pb.Next(); i++ {
					request.call(b, s.handler, authorizations[i%users])
				}
			})
		})
	}
}

// A token that is seen for the first time: all of its verification, and an answer
// of the vault that is kept.
func BenchmarkHandlerNewToken(b *testing.B) {
	// More tokens than are remembered, so that each is new again in its turn.
	s, request := newBench(b, `{"max_entries": 64}`), newBenchRequest()
	s.connect(b, alice)
	authorizations := make([][]string, 1024)
	for i := range authorizations {
		authorizations[i] = []string{"Bearer " + s.token(b, alice, i)}
	}
	request.warm(b, s.handler, authorizations[0])
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		request.call(b, s.handler, authorizations[i%len(authorizations)])
	}
}

// The part of BenchmarkHandlerNewToken that nobody can do without.
func BenchmarkRSAVerify(b *testing.B) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		b.Fatal(err)
	}
	message := []byte(strings.Repeat("x", benchTokenSize-342-1)) // less the signature and its dot
	digest := sha256.Sum256(message)
	signature, err := rsa.SignPKCS1v15(nil, key, crypto.SHA256, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		digest := sha256.Sum256(message)
		if err := rsa.VerifyPKCS1v15(&key.PublicKey, crypto.SHA256, digest[:], signature); err != nil {
			b.Fatal(err)
		}
	}
}
