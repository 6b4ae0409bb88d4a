package caddymodule_test

import (
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Links without a ticket, as front ends made for Auth0's SDKs build them, ask for
// what the routes use and for nothing else.

// wantOffer opens such a link. An offer that is not made is a page that says so.
func (p *proxy) wantOffer(want bool, connection string, scopes ...string) {
	p.t.Helper()
	query := url.Values{"connection": {connection}, "scopes": scopes}
	if got := p.get("/auth/connect?"+query.Encode(), ""); (got.Status == 200) != want || got.Status >= 500 {
		p.t.Errorf("%s %q: status %d, want %v", connection, scopes, got.Status, want)
	}
}

func TestLinksWithoutATicketAskForWhatRoutesUse(t *testing.T) {
	p := startProxy(t, `token_vault_link
	handle /calendar {
		token_vault google-oauth2 {
			scopes `+calendar+` openid
		}
	}
	handle /gmail {
		route {
			token_vault google-oauth2 {
				scopes `+gmail+` openid
			}
		}
	}
	handle /github {
		token_vault github
	}
	handle_errors {
		token_vault google-oauth2 {
			scopes email
		}
	}`)
	p.wantOffer(true, google)
	p.wantOffer(true, google, calendar, gmail, "openid", "email")
	p.wantOffer(true, "github")
	p.wantOffer(false, google, calendar, "https://www.googleapis.com/auth/drive")
	p.wantOffer(false, "github", "repo")
	p.wantOffer(false, "slack")

	p.load(`token_vault_link
	handle /one {
		token_vault custom {
			scopes Files.Read
		}
	}
	handle /other {
		token_vault custom {
			scopes files.read
		}
	}`)
	p.wantOffer(true, "custom", "Files.Read", "files.read") // which only Microsoft takes for one
	p.wantOffer(false, "custom", "FILES.READ")
	p.wantOffer(false, "custom", "https://graph.microsoft.com/files.read")

	p.load(`token_vault_link
	token_vault github {
		scopes repo
	}`)
	p.wantOffer(true, "github", "repo")
	p.wantOffer(false, google) // which was another configuration's
}

func TestTenantsOfferWhatTheirOwnRoutesUse(t *testing.T) {
	p := newProxy(t, withSecondAPI)
	p.global = secondTenant(p, "second")
	p.load(`token_vault_link
	handle /one {
		token_vault google-oauth2
	}
	handle /two {
		token_vault github {
			tenant second
			allow_clients *
		}
	}`)
	p.wantOffer(true, google)
	p.wantOffer(false, "github")
}

func TestPagesCarryTheOperatorsNameAndFiles(t *testing.T) {
	p := newProxy(t)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "style.css"), []byte("body { color: teal }"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("TEMPLATES", dir)
	t.Setenv("CANARY", "seven")
	p.link = strings.Replace(linkBlock, "{\n", "{\n name \"Acme & {env.CANARY}\"\n templates {env.TEMPLATES}\n", 1)
	p.load(calendarSite)
	link := p.refused("/", p.token(alice)).text(t, "link_url")
	if got := p.get(strings.TrimPrefix(link, p.URL), ""); !strings.Contains(got.Body, "Acme &amp; {env.CANARY}") {
		t.Errorf("the page is %s", got.Body)
	}
	if got := p.get("/auth/style.css", ""); got.Body != "body { color: teal }" {
		t.Errorf("the style sheet is %s", got.Body)
	}
	for _, bad := range []string{filepath.Join(dir, "nothing"), filepath.Join(dir, "style.css"), "{env.NOT_SET}"} {
		t.Setenv("TEMPLATES", bad)
		if err := p.tryLoad(p.caddyfile(calendarSite)); err == nil || !strings.Contains(err.Error(), "templates") {
			t.Errorf("%s: error %v", bad, err)
		}
	}
}
