package tenantsetup

import (
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// Without Management credentials, requests that have to fail tell what is wrong.
func TestProbesNameTheOneSettingThatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*auth0test.Config){
		"client.secret": func(cfg *auth0test.Config) { client(cfg, "vault-exchange").ClientSecret = "another" },
		"client.grant":  func(cfg *auth0test.Config) { client(cfg, "vault-exchange").GrantTypes = []string{} },
		"link.secret":   func(cfg *auth0test.Config) { client(cfg, "link-pages").ClientSecret = "another" },
		"link.grant":    func(cfg *auth0test.Config) { client(cfg, "link-pages").GrantTypes = []string{"refresh_token"} },
		"link.callback": func(cfg *auth0test.Config) {
			client(cfg, "link-pages").Callbacks = []string{"https://elsewhere.example.com/"}
		},
		"link.logout_url": func(cfg *auth0test.Config) { slices.Reverse(client(cfg, "link-pages").AllowedLogoutURLs) },
		"my_account.grant": func(cfg *auth0test.Config) {
			cfg.ClientGrants = slices.DeleteFunc(cfg.ClientGrants, func(g auth0test.ClientGrant) bool { return g.ClientID == "link-pages" })
		},
		"": func(*auth0test.Config) {},
	} {
		t.Run(want, func(t *testing.T) {
			tenant := start(t, change)
			got := allWrong(t, demo(tenant))
			if len(got) != len(strings.Fields(want)) || len(got) == 1 && got[0].Check != want {
				t.Fatalf("wrong: %+v, want %q", got, want)
			}
			for _, f := range got {
				switch line := "auth0 apps open " + either(strings.HasPrefix(want, "link."), "link-pages", "vault-exchange"); {
				case strings.HasSuffix(want, ".secret") && f.CLI == "":
				case want == "my_account.grant":
					runLine(t, tenant, f.CLI)
				case f.CLI != line: // lists that nobody has seen are not replaced
					t.Errorf("%s has the line %q", want, f.CLI)
				}
			}
		})
	}
}

func TestProbesChangeNothing(t *testing.T) {
	tenant := start(t, nil)
	before := tenant.Config()
	if got := wrongs(t, demo(tenant)); len(got) > 0 {
		t.Fatalf("wrong: %q", got)
	}
	for _, r := range tenant.Requests() {
		if r.Method == "POST" && (r.Path != "/oauth/token" || r.Status < 400) {
			t.Errorf("%s %s was answered %d", r.Method, r.Path, r.Status)
		}
	}
	if compact(before) != compact(tenant.Config()) {
		t.Error("the tenant has changed")
	}
}
