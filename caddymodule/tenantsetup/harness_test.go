package tenantsetup

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const (
	audience = "https://agents.example.com/"
	readonly = "https://www.googleapis.com/auth/calendar.readonly"
)

// start runs the seeds' tenant, changed by change.
func start(t *testing.T, change func(*auth0test.Config)) *auth0test.Server {
	t.Helper()
	cfg := auth0test.Seeds()
	if change != nil {
		change(&cfg)
	}
	tenant := auth0test.NewServer(cfg)
	t.Cleanup(tenant.Close)
	return tenant
}

// keysAtOnce spares a tenant the making of keys, most of what it takes in a test
// that verifies no token.
func keysAtOnce(t *testing.T, tenant *auth0test.Server) {
	t.Helper()
	fault(t, tenant, auth0test.Fault{
		Path: "/.well-known/jwks.json", Status: new(200), Times: new(0),
		Body: map[string]any{"keys": []any{map[string]any{"kty": "RSA", "alg": "RS256"}}},
	})
}

// quick is start for tests with many tenants: it makes no RSA key at all.
func quick(t *testing.T, change func(*auth0test.Config)) *auth0test.Server {
	t.Helper()
	tenant := start(t, quickly(change))
	keysAtOnce(t, tenant)
	return tenant
}

// quickly has a tenant sign tokens of the Management API with a key that takes no
// time to make.
func quickly(change func(*auth0test.Config)) func(*auth0test.Config) {
	return func(cfg *auth0test.Config) {
		if change != nil {
			change(cfg)
		}
		const identifier = "{tenant}/api/v2/"
		if !slices.ContainsFunc(cfg.ResourceServers, func(rs auth0test.ResourceServer) bool { return rs.Identifier == identifier }) {
			cfg.ResourceServers = append(cfg.ResourceServers, auth0test.ResourceServer{Name: "Auth0 Management API", Identifier: identifier})
		}
		apiOf(cfg, identifier).SigningAlg = "ES256"
	}
}

// A wire is what lies between setup and a tenant. It keeps the calls that change
// something.
type wire struct {
	*auth0test.Server
	mu     sync.Mutex
	writes []written
	meddle func(at int, w http.ResponseWriter, r *http.Request, tenant http.Handler) // for the write at this index; nil lets it through
}

// written is a call that changes something.
type written struct{ method, path, body string }

// wired is quick, with a wire before the tenant.
func wired(t *testing.T, change func(*auth0test.Config)) *wire {
	t.Helper()
	cfg := auth0test.Seeds()
	quickly(change)(&cfg)
	front := httptest.NewUnstartedServer(nil)
	tenant, err := auth0test.New(cfg, auth0test.URLs{Issuer: "http://" + front.Listener.Addr().String()})
	if err != nil {
		t.Fatal(err)
	}
	between := &wire{Server: &auth0test.Server{Tenant: tenant}}
	front.Config.Handler = between
	front.Start()
	t.Cleanup(front.Close)
	keysAtOnce(t, between.Server)
	return between
}

// ServeHTTP implements http.Handler.
func (l *wire) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodGet || !strings.HasPrefix(r.URL.Path, "/api/v2/") {
		l.Handler().ServeHTTP(w, r)
		return
	}
	body, _ := io.ReadAll(r.Body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	l.mu.Lock()
	at, meddle := len(l.writes), l.meddle
	l.writes = append(l.writes, written{r.Method, strings.TrimPrefix(r.URL.Path, "/api/v2/"), string(bytes.TrimSpace(body))})
	l.mu.Unlock()
	if meddle == nil {
		l.Handler().ServeHTTP(w, r)
		return
	}
	meddle(at, w, r, l.Handler())
}

// demo is what the top-level Caddyfile needs of a tenant.
func demo(tenant *auth0test.Server) *Needs {
	return &Needs{
		Tenant: "default", Issuer: tenant.Issuer(), Audience: audience, Algorithms: []string{"RS256"},
		Exchange: Client{
			ID: "vault-exchange", Secret: vault.NewSecret("vault-exchange-secret"),
			IDVariable: "AUTH0_CLIENT_ID", SecretVariable: "AUTH0_CLIENT_SECRET",
		},
		Link: &Link{
			Client: Client{
				ID: "link-pages", Secret: vault.NewSecret("link-pages-secret"),
				IDVariable: "AUTH0_LINK_CLIENT_ID", SecretVariable: "AUTH0_LINK_CLIENT_SECRET",
			},
			Callback: "http://localhost:8080/auth/callback", Accounts: "http://localhost:8080/auth/accounts", Name: "Token Vault",
		},
		Agents: []Agent{{ID: "demo-agent", Name: "Demo Agent", IDVariable: "AGENT_CLIENT_ID"}},
		Routes: []Route{{Connection: "google-oauth2", Scopes: []string{readonly}}, {Connection: "github", Scopes: []string{"read:user", "repo"}}},
	}
}

// silent is a Progress for tests.
func silent(string) {}

// allWrong are the findings of something wrong.
func allWrong(t *testing.T, n *Needs) (findings []Finding) {
	t.Helper()
	report, err := Examine(t.Context(), n, silent)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Status != StatusWrong {
			continue
		}
		findings = append(findings, f)
		if f.Found == "" || f.Expected == "" || f.Dashboard == "" {
			t.Errorf("%s does not say what was found, what should be, and where: %+v", f.Check, f)
		}
	}
	return findings
}

// wrongs are the checks that found something wrong, each once.
func wrongs(t *testing.T, n *Needs) []string {
	t.Helper()
	var ids []string
	for _, f := range allWrong(t, n) {
		if !slices.Contains(ids, f.Check) {
			ids = append(ids, f.Check)
		}
	}
	return ids
}

// client finds one of a configuration's clients.
func client(cfg *auth0test.Config, id string) *auth0test.Client {
	return &cfg.Clients[slices.IndexFunc(cfg.Clients, func(c auth0test.Client) bool { return c.ClientID == id })]
}
