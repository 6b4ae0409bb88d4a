package tenantsetup

import (
	"slices"
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
