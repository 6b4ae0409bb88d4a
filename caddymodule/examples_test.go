package caddymodule_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// An example is a Caddyfile below examples/, and a call that it lets through.
type example struct {
	provider string // its API, as the file names it
	standIn  func(*auth0test.Server) string

	connection, path string
	scopes           []string
}

var examples = map[string]example{
	"google": {
		"https://www.googleapis.com", func(s *auth0test.Server) string { return s.GoogleURL },
		"google-oauth2", "/google/calendar/v3/users/me/calendarList", []string{"https://www.googleapis.com/auth/calendar.readonly"},
	},
	"github": {
		"https://api.github.com", func(s *auth0test.Server) string { return s.GitHubURL },
		"github", "/github/user/repos", []string{"repo"},
	},
	"microsoft": {
		"https://graph.microsoft.com", func(s *auth0test.Server) string { return s.MicrosoftURL },
		"windowslive", "/microsoft/v1.0/me/messages", []string{"offline_access", "User.Read", "Mail.Read"},
	},
	"slack": {
		"https://slack.com", func(s *auth0test.Server) string { return s.SlackURL },
		"sign-in-with-slack", "/slack/api/conversations.list", []string{"channels:read"},
	},
}

// startExample runs Caddy with one of the files, its hosts and the provider's API on
// loopback.
func startExample(t *testing.T, name string) (*proxy, example) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "examples", name, "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	e, known := examples[name]
	if !known {
		t.Fatalf("no call is known that examples/%s lets through", name)
	}
	p := newProxy(t, func(cfg *auth0test.Config) {
		cfg.Connections = auth0test.Seeds("windowslive", "oauth2").Connections
	})
	link := strings.Replace(p.URL, "127.0.0.1", "localhost", 1)
	for name, value := range map[string]string{
		"AUTH0_DOMAIN": p.Tenant.URL, "AUTH0_AUDIENCE": audience, "AUTH0_CLIENT_ID": "vault-exchange",
		"AUTH0_LINK_CLIENT_ID": "link-pages", "AGENT_CLIENT_ID": agentID, "AGENTS_HOST": p.URL, "LINK_HOST": link,
	} {
		t.Setenv(name, value)
	}
	standIn := e.standIn(p.Tenant)
	t.Setenv(strings.ToUpper(name)+"_UPSTREAM", standIn)
	err = p.tryLoad(strings.NewReplacer(
		"\n{\n\ttoken_vault", "\n{\n\tadmin off\n\ttoken_vault",
		"https://{$", "{$",
		regexp.QuoteMeta(e.provider), standIn,
	).Replace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	return p, e
}

func TestEveryExampleLetsACallThrough(t *testing.T) {
	files, err := filepath.Glob("../examples/*/Caddyfile")
	if err != nil || len(files) < len(examples) {
		t.Fatalf("%v, %v", files, err)
	}
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		t.Run(name, func(t *testing.T) {
			p, e := startExample(t, name)
			token := p.token(alice)
			if r := p.get(e.path, p.token(bob)); r.Status != 401 || r.Header.Get("Token-Vault-Error") != "link_required" {
				t.Errorf("not connected: %d %s", r.Status, r.Body)
			}
			if r := p.get("/elsewhere", token); r.Status != 404 {
				t.Errorf("elsewhere: %d %s", r.Status, r.Body)
			}
			p.connect(alice, e.connection, e.scopes...)
			if r := p.get(e.path, token); r.Status != 200 || strings.Contains(r.Body, `"ok":false`) {
				t.Errorf("%d %s", r.Status, r.Body)
			}
		})
	}
}

func TestTheNextPageOfGitHubIsBehindTheProxyToo(t *testing.T) {
	p, e := startExample(t, "github")
	p.connect(alice, e.connection, e.scopes...)
	token := p.token(alice)
	r := p.get(e.path+"?per_page=1", token)
	next := regexp.MustCompile(`<([^>]*)>; rel="next"`).FindStringSubmatch(r.Header.Get("Link"))
	if next == nil || strings.Contains(r.Header.Get("Link"), p.Tenant.GitHubURL) {
		t.Fatalf("%d, Link %q", r.Status, r.Header.Get("Link"))
	}
	path, ours := strings.CutPrefix(next[1], p.URL)
	if r := p.get(path, token); !ours || r.Status != 200 || !strings.Contains(r.Body, "alice/notes") {
		t.Errorf("%s: %d %s", next[1], r.Status, r.Body)
	}
}

// That is what the README says of Slack.
func TestATokenRevokedAtSlackIsToldByNoStatus(t *testing.T) {
	p, e := startExample(t, "slack")
	p.connect(alice, e.connection, e.scopes...)
	token := p.token(alice)
	if r := p.get(e.path, token); r.Status != 200 || !strings.Contains(r.Body, `"ok":true`) {
		t.Fatalf("%d %s", r.Status, r.Body)
	}
	if err := p.Tenant.Revoke(alice, e.connection); err != nil {
		t.Fatal(err)
	}
	before := p.exchanges()
	for range 2 {
		if r := p.get(e.path, token); r.Status != 200 || !strings.Contains(r.Body, `"error":"token_revoked"`) {
			t.Errorf("%d %s", r.Status, r.Body)
		}
	}
	if n := p.exchanges() - before; n != 0 {
		t.Errorf("the vault was asked %d times", n)
	}
}

// Microsoft's names for scopes differ by the kind of account, and offline_access is in
// no answer of its.
func TestWhoConnectsAnAccountOfMicrosoftsIsNotAskedAgain(t *testing.T) {
	personal := auth0test.ProviderAccount{Strategy: "windowslive", Account: "0003bffd4e2a91c7", Email: "alice@outlook.example"}
	for _, kind := range []struct {
		name     string
		accounts []auth0test.ProviderAccount // the first is chosen
	}{{"work", nil}, {"personal", []auth0test.ProviderAccount{personal}}} {
		for _, scopes := range []string{"offline_access User.Read", "https://graph.microsoft.com/User.Read", "user.read openid"} {
			t.Run(kind.name+"/"+scopes, func(t *testing.T) {
				p := newProxy(t, func(cfg *auth0test.Config) {
					cfg.Connections = auth0test.Seeds("windowslive").Connections
					cfg.ProviderAccounts = kind.accounts
				})
				p.load("token_vault_link\n token_vault windowslive {\n scopes " + scopes + "\n max_scopes " + scopes + "\n}\n reverse_proxy " + p.Tenant.MicrosoftURL)
				token := p.token(alice)
				refused := p.refused("/v1.0/me", token)
				_ = p.walk(refused.text(t, "link_url"), "alice")
				if r := p.status(refused, token, ""); !strings.Contains(r.Body, `"completed"`) {
					t.Errorf("the status is %s", r.Body)
				}
				if r := p.get("/v1.0/me", token); r.Status != 200 || !strings.Contains(r.Body, "displayName") {
					t.Errorf("%d %s", r.Status, r.Body)
				}
			})
		}
	}
}
