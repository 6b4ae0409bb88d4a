package auth0test_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// whyLast is the reason of the last request that the tenant got.
func whyLast(s *auth0test.Server) string {
	requests := s.Requests()
	return requests[len(requests)-1].Reason
}

// Auth0 answers all of these alike, and so does the tenant. Its owner learns which it was.
func TestTheOwnerLearnsWhyAnExchangeFoundNothing(t *testing.T) {
	exchanger := func(f func(*auth0test.Client)) func(*auth0test.Config) {
		return func(cfg *auth0test.Config) { f(&cfg.Clients[0]) }
	}
	google := func(f func(*auth0test.Connection)) func(*auth0test.Config) {
		return func(cfg *auth0test.Config) { f(&cfg.Connections[0]) }
	}
	for _, tt := range []struct {
		name   string
		change func(*auth0test.Config)
		pairs  []string
		want   string
	}{
		{"not enabled", google(func(c *auth0test.Connection) { c.EnabledClients = []string{"link-pages"} }), nil, "the connection google-oauth2 is not enabled for vault-exchange"},
		{"not active", google(func(c *auth0test.Connection) { c.ConnectedAccounts = nil }), nil, "the connection google-oauth2 is not active for connected accounts"},
		{"misspelt", nil, []string{"connection", "google"}, `there is no connection "google"`},
		{"not connected", nil, []string{"connection", "github"}, "auth0|alice has no account on the connection github"},
		{"no offline access", google(func(c *auth0test.Connection) { delete(c.Options, "offline_access") }), nil, "the provider gave no refresh token for the account "},
		{"another account", nil, []string{"login_hint", "4711"}, "login_hint names none of the accounts that auth0|alice has on google-oauth2"},
		{"wrong secret", nil, []string{"client_secret", "guess"}, "the secret is not that of vault-exchange"},
		{"unknown client", nil, []string{"client_id", "nobody"}, `there is no client "nobody"`},
		{"no JWT", nil, []string{"subject_token", "opaque"}, "the subject token is not a valid token of this tenant: it is no signed JWT"},
		{"not conformant", exchanger(func(c *auth0test.Client) { c.OIDCConformant = new(false) }), nil, "the vault serves OIDC-conformant clients only, and vault-exchange is not"},
		{"a third party", exchanger(func(c *auth0test.Client) { c.IsFirstParty = new(false) }), nil, "the vault serves first-party clients only, and vault-exchange is a third party's"},
	} {
		change := tt.change
		if change == nil {
			change = func(*auth0test.Config) {}
		}
		s := tenant(t, change)
		connect(t, s, "auth0|alice", "google-oauth2", nil, "")
		if a := exchange(t, s, accessToken(t, s), tt.pairs...); a.Status < 400 || !strings.HasPrefix(whyLast(s), tt.want) {
			t.Errorf("%s: %d, %q", tt.name, a.Status, whyLast(s))
		}
		if strings.Contains(fmt.Sprint(s.Requests()), "guess") {
			t.Errorf("%s: a secret is in the log", tt.name)
		}
	}
}

func TestTheOwnerLearnsWhichTokenWasBad(t *testing.T) {
	s := tenant(t)
	for want, change := range map[string]func(*auth0test.TokenRequest){
		"the subject token is an expired token: it was good until 20": func(r *auth0test.TokenRequest) { r.ExpiresIn = new(-1) },
		`the subject token is for [https://other.example/], and the resource_server_identifier of vault-exchange is "https://agents.example.com/"`: func(r *auth0test.TokenRequest) {
			r.Audience, r.Scope = "https://other.example/", ""
		},
		`the subject token is not a valid token of this tenant: no key of the tenant's has the kid "x" and the alg RS256`: func(r *auth0test.TokenRequest) {
			r.Header = map[string]any{"kid": "x"}
		},
		`the subject token's "demo-agent@clients" is no user of this tenant`: func(r *auth0test.TokenRequest) { r.User = "" },
	} {
		if a := exchange(t, s, accessToken(t, s, change)); a.Status < 400 || !strings.HasPrefix(whyLast(s), want) {
			t.Errorf("%d, %q, want %q", a.Status, whyLast(s), want)
		}
	}
}

func TestReasonsAreAmongTheRequestsAndNeverInAnswers(t *testing.T) {
	s := tenant(t)
	seen := make(chan auth0test.Request, 2)
	s.OnRequest(func(r auth0test.Request) { seen <- r })
	a := exchange(t, s, accessToken(t, s), "connection", "google")
	const want = `there is no connection "google"`
	if strings.Contains(a.Body, want) {
		t.Errorf("the answer tells: %s", a.Body)
	}
	list, err := listOf(do(t, http.DefaultClient, request(t, http.MethodGet, s.URL+"/_tenant/requests", "", "")))
	if err != nil || len(list) != 1 || list[0]["reason"] != want {
		t.Errorf("%v, %v", list, err)
	}
	if r := <-seen; r.Reason != want || r.Status != 401 {
		t.Errorf("told of %v", r)
	}
	get(t, s.URL+"/.well-known/jwks.json", "")
	if got := whyLast(s); got != "" {
		t.Errorf("what was not refused has the reason %q", got)
	}
}

// A refusal at /authorize is a redirect: the reason is there all the same.
func TestTheOwnerLearnsWhyALoginWasRefused(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) {
		cfg.Connections[0].EnabledClients = nil
		cfg.Connections[1].Authentication = &auth0test.Active{}
	})
	for connection, want := range map[string]string{
		"google-oauth2": "the connection google-oauth2 is not enabled for demo-agent",
		"github":        "the connection github is not active for authentication",
		"gogle":         `there is no connection "gogle"`,
	} {
		q := newBrowser(t).login(s, "alice", "connection", connection)
		if q.Get("error") == "" || whyLast(s) != want {
			t.Errorf("%s: %v, %q", connection, q, whyLast(s))
		}
	}
	a := newBrowser(t).get(s.URL + "/connected-accounts/connect?ticket=x")
	if a.Status != 400 || whyLast(s) == "" {
		t.Errorf("%d, %q", a.Status, whyLast(s))
	}
}

func TestConnectWarnsOfAccountsThatNoExchangeWillFind(t *testing.T) {
	for name, tt := range map[string]struct {
		change func(*auth0test.Config)
		want   string
	}{
		"nothing to warn of": {func(*auth0test.Config) {}, `{}`},
		"not enabled": {
			func(cfg *auth0test.Config) { cfg.Connections[0].EnabledClients = nil },
			`{"warnings":["the connection google-oauth2 is not enabled for vault-exchange"]}`,
		},
		"not active": {
			func(cfg *auth0test.Config) { cfg.Connections[0].ConnectedAccounts = &auth0test.Active{} },
			`{"warnings":["the connection google-oauth2 is not active for connected accounts"]}`,
		},
		"no exchange": {
			func(cfg *auth0test.Config) { cfg.Clients[0].GrantTypes = nil },
			`{"warnings":["no client has the vault's grant type"]}`,
		},
		"not conformant": {
			func(cfg *auth0test.Config) { cfg.Clients[0].OIDCConformant = new(false) },
			`{"warnings":["the vault serves OIDC-conformant clients only, and vault-exchange is not"]}`,
		},
		"no offline access": {
			func(cfg *auth0test.Config) { delete(cfg.Connections[0].Options, "offline_access") },
			`{"warnings":["the provider gave no refresh token for the account 4711 on google-oauth2: no offline access was asked for, or it has none to give"]}`,
		},
	} {
		s := tenant(t, tt.change)
		a := postJSON(t, s.URL+"/_tenant/connect", "", map[string]any{"user": "alice@example.com", "connection": "google-oauth2", "account": "4711"})
		if a.Status != 200 || a.Body != tt.want {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
}
