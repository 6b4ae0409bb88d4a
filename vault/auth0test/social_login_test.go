package auth0test_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// everyScope is an account and all that a provider may be asked for at a login.
func everyScope(account string, more ...string) url.Values {
	return allow(account, append([]string{"openid", "email", "profile", "read:user", "user:email"}, more...)...)
}

// loginThrough is a login at a provider: /authorize names the connection, the
// consent page is answered with fields. It returns what the callback got.
func (b *browser) loginThrough(s *auth0test.Server, connection string, fields url.Values, pairs ...string) url.Values {
	b.t.Helper()
	base := []string{
		"response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack,
		"state", "st", "scope", "openid profile email", "connection", connection,
	}
	q := values(append(base, pairs...)...)
	page, at := b.open(s.URL+"/authorize?"+q.Encode(), q.Get("redirect_uri"))
	if page.Status == 200 {
		page, at = b.follow(b.submit(page, at, fields), at, q.Get("redirect_uri"))
	}
	if !strings.HasPrefix(at, q.Get("redirect_uri")) {
		b.t.Fatalf("the login ended at %s: %d %s", at, page.Status, page.Body)
	}
	u, _ := url.Parse(at)
	return u.Query()
}

// idToken redeems the code that a callback got.
func idToken(t *testing.T, s *auth0test.Server, q url.Values, pairs ...string) map[string]any {
	t.Helper()
	a := redeem(t, s, q.Get("code"), pairs...)
	if a.Status != 200 {
		t.Fatalf("%v: %d %s", q, a.Status, a.Body)
	}
	return claims(t, a.JSON["id_token"].(string))
}

func user(t *testing.T, s *auth0test.Server, id string) auth0test.User {
	t.Helper()
	users := s.Config().Users
	if i := slices.IndexFunc(users, func(u auth0test.User) bool { return u.UserID == id }); i >= 0 {
		return users[i]
	}
	t.Fatalf("no user %s", id)
	return auth0test.User{}
}

func withAccounts(accounts ...auth0test.ProviderAccount) func(*auth0test.Config) {
	return func(cfg *auth0test.Config) { cfg.ProviderAccounts = accounts }
}

func TestFirstLoginThroughAProviderMakesAUser(t *testing.T) {
	s := tenant(t, withAccounts(
		auth0test.ProviderAccount{Strategy: "google-oauth2", Account: "g-1", Email: "carol@example.com", Name: "Carol Example"},
		auth0test.ProviderAccount{Strategy: "github", Account: "4711", Email: "carol@example.com", EmailVerified: new(false)},
	))
	for _, tt := range []struct {
		connection, account string
		verified            bool
		name                string
	}{
		{"google-oauth2", "g-1", true, "Carol Example"},
		{"github", "4711", false, "carol"},
	} {
		id := idToken(t, s, newBrowser(t).loginThrough(s, tt.connection, everyScope(tt.account)))
		if id["sub"] != tt.connection+"|"+tt.account || id["email"] != "carol@example.com" || id["email_verified"] != tt.verified || id["name"] != tt.name {
			t.Errorf("ID token %v", id)
		}
		u := user(t, s, tt.connection+"|"+tt.account)
		want := auth0test.Identity{Connection: tt.connection, Provider: tt.connection, UserID: tt.account, IsSocial: true}
		if len(u.Identities) != 1 || u.Identities[0].Provider != want.Provider || u.Identities[0].UserID != want.UserID ||
			u.Identities[0].Connection != want.Connection || !u.Identities[0].IsSocial {
			t.Errorf("identities %+v", u.Identities)
		}
	}
	before := len(s.Config().Users)
	idToken(t, s, newBrowser(t).loginThrough(s, "github", everyScope("4711")))
	if n := len(s.Config().Users); n != before {
		t.Errorf("the second login made another user: %d, then %d", before, n)
	}
}

// Protocol §0.3: the vault reads connected accounts, a login fills identities.
func TestLoginThroughAProviderFillsNoVault(t *testing.T) {
	s := tenant(t)
	idToken(t, s, newBrowser(t).loginThrough(s, "google-oauth2", everyScope("g-1")))
	subject := accessToken(t, s, func(r *auth0test.TokenRequest) { r.User = "google-oauth2|g-1" })
	if got := refusal(exchange(t, s, subject)); got != notFound {
		t.Errorf("%s", got)
	}
}

func TestALinkedIdentityLogsInAsThePrimary(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) {
		cfg.Users[0].Identities = []auth0test.Identity{
			{Connection: "Username-Password-Authentication", Provider: "auth0", UserID: "alice"},
			{Connection: "github", Provider: "github", UserID: "4711", IsSocial: true},
		}
	})
	id := idToken(t, s, newBrowser(t).loginThrough(s, "github", everyScope("4711")))
	if id["sub"] != "auth0|alice" || id["email"] != "alice@example.com" || id["name"] != "Alice Example" {
		t.Errorf("a secondary identity logs in as %v", id)
	}
}

// An e-mail address finds nobody: it would let whoever has it at some provider
// in.
func TestTheSameEmailIsNotTheSameUser(t *testing.T) {
	s := tenant(t, withAccounts(auth0test.ProviderAccount{Strategy: "github", Account: "1", Email: "alice@example.com"}))
	if id := idToken(t, s, newBrowser(t).loginThrough(s, "github", everyScope("1"))); id["sub"] != "github|1" {
		t.Errorf("logged in as %v", id["sub"])
	}
	if id := idToken(t, s, newBrowser(t).login(s, "alice")); id["sub"] != "auth0|alice" {
		t.Errorf("alice's password logs in as %v", id["sub"])
	}
}

func TestLoginPageOffersTheClientsConnections(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) {
		cfg.Connections[1].EnabledClients = []string{"link-pages"}
		cfg.Connections = append(cfg.Connections, auth0test.Connection{
			Name: "not-for-login", Strategy: "github", EnabledClients: []string{"demo-agent"}, Authentication: &auth0test.Active{},
		})
	})
	b := newBrowser(t)
	q := values("response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack, "scope", "openid", "login_hint", "carol@example.com")
	page, at := b.open(s.URL + "/authorize?" + q.Encode())
	if strings.Count(page.Body, `name="connection"`) != 1 || !strings.Contains(page.Body, "Continue with Google") ||
		!strings.Contains(page.Body, `value="carol@example.com"`) || !strings.Contains(page.Body, `name="password"`) {
		t.Errorf("%s", page.Body)
	}
	for _, other := range []string{"github", "not-for-login", "Username-Password-Authentication", "x"} {
		if a := b.submit(page, at, values("connection", other)); a.Status != 400 {
			t.Errorf("%s: %d %s", other, a.Status, a.Header.Get("Location"))
		}
	}
	consent, at := b.follow(b.submit(page, at, values("connection", "google-oauth2")), at)
	if !strings.HasPrefix(at, s.GoogleURL+"/o/oauth2/v2/auth?") || !strings.Contains(consent.Body, "carol@example.com") {
		t.Fatalf("the button leads to %s", at)
	}
	if _, end := b.follow(b.submit(consent, at, everyScope("g-1")), at, agentBack); !strings.HasPrefix(end, agentBack+"?code=") {
		t.Errorf("ended at %s", end)
	}
	q.Set("connection", "Username-Password-Authentication")
	if page, _ := newBrowser(t).open(s.URL + "/authorize?" + q.Encode()); strings.Contains(page.Body, `name="connection"`) || !strings.Contains(page.Body, `name="password"`) {
		t.Errorf("connection names the database: %s", page.Body)
	}
}

func TestConnectionsThatCannotLogInAreRefused(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) {
		cfg.Connections[0].Authentication = &auth0test.Active{}
		cfg.Connections[1].EnabledClients = []string{"link-pages"}
	})
	for name, connection := range map[string]string{"not for authentication": "google-oauth2", "disabled for the client": "github", "unknown": "x"} {
		q := newBrowser(t).loginThrough(s, connection, nil)
		if q.Get("error") != "invalid_request" || q.Get("error_description") != "the connection was not found" || q.Get("state") != "st" {
			t.Errorf("%s: %v", name, q)
		}
	}
	none := tenant(t, func(cfg *auth0test.Config) {
		cfg.Connections = []auth0test.Connection{{Name: "users", Strategy: "auth0", EnabledClients: []string{"link-pages"}}}
	})
	if q := newBrowser(t).login(none, "alice"); q.Get("error_description") != "no connections enabled for the client" {
		t.Errorf("no connection at all: %v", q)
	}
}

func TestLoginScopesAndConnectionScopeReachTheProvider(t *testing.T) {
	s := tenant(t)
	for connection, want := range map[string]string{
		"google-oauth2": "openid email profile " + readonly,
		"github":        "user:email read:user " + readonly,
	} {
		q := values("response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack, "scope", "openid",
			"connection", connection, "connection_scope", readonly, "login_hint", "g-7")
		at := newBrowser(t).get(s.URL + "/authorize?" + q.Encode()).location(t).Query()
		if at.Get("scope") != want || at.Get("login_hint") != "g-7" || at.Get("state") == "" {
			t.Errorf("%s is asked for %v", connection, at)
		}
	}
}

func TestScopesThatWereLeftOutLeaveTheProfileEmpty(t *testing.T) {
	s := tenant(t)
	for connection, scope := range map[string]string{"google-oauth2": "openid", "github": "read:user"} {
		id := idToken(t, s, newBrowser(t).loginThrough(s, connection, allow("77", scope)))
		if _, there := id["email"]; there {
			t.Errorf("%s: %v", connection, id)
		}
	}
}

func TestRefusalAtTheProviderGoesBackToTheCallback(t *testing.T) {
	s := tenant(t)
	q := newBrowser(t).loginThrough(s, "github", values("action", "deny"))
	if q.Get("error") != "access_denied" || q.Get("state") != "st" || q.Has("code") {
		t.Errorf("%v", q)
	}
}

// Who brings somebody else's answer of a provider would log them in as oneself,
// or the other way round.
func TestProvidersAnswerCountsOnceAndInItsBrowserOnly(t *testing.T) {
	s := tenant(t)
	b := newBrowser(t)
	q := values("response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack, "scope", "openid", "connection", "github")
	page, at := b.open(s.URL + "/authorize?" + q.Encode())
	back := b.submit(page, at, everyScope("1")).location(t).String()
	if a := newBrowser(t).get(back); a.Status != 400 {
		t.Errorf("another browser: %d", a.Status)
	}
	if _, end := b.open(back, agentBack); !strings.HasPrefix(end, agentBack+"?code=") {
		t.Errorf("ended at %s", end)
	}
	if a := b.get(back); a.Status != 400 {
		t.Errorf("a second time: %d", a.Status)
	}
}

// Auth0 has the session do for another connection only when the user logged in
// through it.
func TestASessionCountsForItsConnection(t *testing.T) {
	s := tenant(t)
	b := newBrowser(t)
	b.login(s, "alice")
	if q := b.loginThrough(s, "github", nil, "prompt", "none"); q.Get("error") != "login_required" {
		t.Errorf("a session of the database: %v", q)
	}
	b.loginThrough(s, "github", everyScope("1"))
	if id := idToken(t, s, b.loginThrough(s, "github", nil, "prompt", "none")); id["sub"] != "github|1" {
		t.Errorf("a session of this connection: %v", id)
	}
}

func TestMaxAgeZeroAlwaysAsksForALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, b := unheard(t)
		b.login(s, "alice", "max_age", "0")
		q := values("response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack, "max_age", "0")
		if page, _ := b.open(s.URL+"/authorize?"+q.Encode(), agentBack); page.Status != 200 || !strings.Contains(page.Body, `name="password"`) {
			t.Errorf("in the same instant: %d", page.Status)
		}
		if q := b.login(s, "alice", "max_age", "0", "prompt", "none"); q.Get("error") != "login_required" {
			t.Errorf("silently: %v", q)
		}
	})
	s := tenant(t)
	if id := idToken(t, s, newBrowser(t).login(s, "alice", "max_age", "0")); id["auth_time"] == nil {
		t.Errorf("no auth_time: %v", id)
	}
}

func TestABlockedUserIsNotLoggedIn(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) { cfg.Users[0].Blocked = new(true) })
	if q := newBrowser(t).login(s, "alice"); q.Get("error") != "unauthorized" || q.Get("error_description") != "user is blocked" {
		t.Errorf("%v", q)
	}
}

func TestIDTokenHintIsTaken(t *testing.T) {
	s := tenant(t)
	b := newBrowser(t)
	tokens, err := s.IssueToken(auth0test.TokenRequest{User: "auth0|alice", ClientID: "demo-agent"})
	if err != nil {
		t.Fatal(err)
	}
	b.login(s, "alice")
	if q := b.login(s, "alice", "id_token_hint", tokens.IDToken, "prompt", "none"); q.Get("code") == "" {
		t.Errorf("%v", q)
	}
}

func TestGitHubTellsWhichAddressIsVerified(t *testing.T) {
	s := tenant(t, withAccounts(auth0test.ProviderAccount{Strategy: "github", Account: "1", Email: "a@b.example", EmailVerified: new(false)}))
	for scope, want := range map[string]int{"user:email": 200, "user": 200, "read:user": 403} {
		connect(t, s, "auth0|alice", "github", []string{scope}, "1")
		token := exchange(t, s, accessToken(t, s), "connection", "github").JSON["access_token"].(string)
		a := get(t, s.GitHubURL+"/user/emails", token)
		if a.Status != want || (want == 200 && a.Body != `[{"email":"a@b.example","primary":true,"verified":false,"visibility":"private"}]`) {
			t.Errorf("%s: %d %s", scope, a.Status, a.Body)
		}
	}
}
