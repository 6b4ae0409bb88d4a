package auth0test_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// The reasons of protocol §D.3.
const (
	r1 = "ID_TOKEN_HINT Invalid: The `id_token_hint` does not conform to the authorization policy"
	r2 = "You must perform MFA for account linking"
	r3 = "Email Verification is required for account linking"
	r4 = "Unexpected Error trying to start account linking"
	r5 = "Failed to complete account linking"
	r6 = "Failed to link users"
	r7 = "error linking"
)

// withLinking adds the Action; secrets in pairs replace its own, an empty one
// is removed.
func withLinking(secrets ...string) func(*auth0test.Config) {
	return func(cfg *auth0test.Config) {
		cfg.AddAccountLinking()
		for i := 0; i+1 < len(secrets); i += 2 {
			if secrets[i+1] == "" {
				delete(cfg.Actions[0].Secrets, secrets[i])
			} else {
				cfg.Actions[0].Secrets[secrets[i]] = secrets[i+1]
			}
		}
	}
}

// A linkRun is a person who is logged in as alice and comes with a request for
// linking.
type linkRun struct {
	*browser
	s *auth0test.Server
}

func startRun(t *testing.T, s *auth0test.Server) linkRun {
	t.Helper()
	return linkRun{aliceBrowser(t, s), s}
}

// hint is an ID token of alice's for the demo agent.
func hint(t *testing.T, s *auth0test.Server) string {
	t.Helper()
	return idTokenOf(t, s, "auth0|alice", "demo-agent")
}

// request is the URL that asks for linking with GitHub; pairs change it.
func (l linkRun) request(pairs ...string) string {
	l.t.Helper()
	base := []string{
		"response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack, "state", "st",
		"scope", "link_account openid profile offline_access", "requested_connection", "github", "id_token_hint", hint(l.t, l.s),
	}
	return l.s.URL + "/authorize?" + values(append(base, pairs...)...).Encode()
}

// begin asks for linking, and returns the page where the person ends up: the
// consent page of the second login, or nothing when the callback was reached.
func (l linkRun) begin(pairs ...string) (page answer, at string, ended url.Values) {
	l.t.Helper()
	page, at = l.open(l.request(pairs...), agentBack)
	if strings.HasPrefix(at, agentBack) {
		u, _ := url.Parse(at)
		return page, at, u.Query()
	}
	return page, at, nil
}

// link goes through the second login as a GitHub account, and returns what the
// callback got.
func (l linkRun) link(account string, pairs ...string) url.Values {
	l.t.Helper()
	page, at, ended := l.begin(pairs...)
	if ended != nil {
		return ended
	}
	page, at = l.follow(l.submit(page, at, everyScope(account)), at, agentBack)
	if !strings.HasPrefix(at, agentBack) {
		l.t.Fatalf("the linking ended at %s: %d %s", at, page.Status, page.Body)
	}
	u, _ := url.Parse(at)
	return u.Query()
}

// identities are a user's, "provider|id" each.
func identities(t *testing.T, s *auth0test.Server, id string) (list []string) {
	t.Helper()
	for _, i := range user(t, s, id).Identities {
		list = append(list, i.Provider+"|"+i.UserID)
	}
	return list
}

// notLinked checks a refusal: what the callback got, and that nothing happened.
func (l linkRun) notLinked(what, reason string, q url.Values) {
	l.t.Helper()
	if q.Get("error") != "access_denied" || q.Get("error_description") != reason || q.Get("state") != "st" || q.Has("code") {
		l.t.Errorf("%s: %v, want %q", what, q, reason)
	}
	if got := identities(l.t, l.s, "auth0|alice"); !slices.Equal(got, []string{"auth0|alice"}) {
		l.t.Errorf("%s: linked all the same: %v", what, got)
	}
}

func TestLinkAccountMergesTheSecondAccount(t *testing.T) {
	s := tenant(t, withLinking())
	l := startRun(t, s)
	first := claims(t, hint(t, s))["sub"]
	page, at, _ := l.begin("requested_connection_scope", "repo")
	if u, _ := url.Parse(at); !strings.HasPrefix(at, s.GitHubURL) || u.Query().Get("scope") != "user:email read:user repo" {
		t.Fatalf("the second login is at %s: %d", at, page.Status)
	}
	q := l.link("4711")
	id := idToken(t, s, q)
	if q.Get("state") != "st" || id["sub"] != first {
		t.Errorf("%v: logged in as %v", q, id["sub"])
	}
	if got := identities(t, s, "auth0|alice"); !slices.Equal(got, []string{"auth0|alice", "github|4711"}) {
		t.Errorf("identities %v", got)
	}
	if id := idToken(t, s, newBrowser(t).loginThrough(s, "github", everyScope("4711"))); id["sub"] != "auth0|alice" {
		t.Errorf("the second account logs in as %v", id["sub"])
	}
	// It fills no vault (protocol §0.3).
	if got := refusal(exchange(t, s, accessToken(t, s), "connection", "github")); got != notFound {
		t.Errorf("the vault answers %s", got)
	}
	if again := l.link("4711"); again.Get("code") == "" || len(identities(t, s, "auth0|alice")) != 2 {
		t.Errorf("the same account again: %v", again)
	}
}

// The second login gave the browser another session. The published Action
// counts on the transaction keeping its own; what the browser has in the end is
// a setting.
func TestSessionAfterContinueSetting(t *testing.T) {
	for value, want := range map[string]string{"": "auth0|alice", "transaction": "auth0|alice", "latest": "login_required"} {
		s := tenant(t, withLinking(), settings(func(set *auth0test.Settings) { set.SessionAfterContinue = value }))
		l := startRun(t, s)
		l.link("1")
		q := l.login(s, "nobody", "prompt", "none")
		got := q.Get("error") // the second user is gone, and with them their session
		if got == "" {
			got = idToken(t, s, q)["sub"].(string)
		}
		if got != want {
			t.Errorf("%q: %s, want %s", value, got, want)
		}
	}
}

func TestLinkAccountScopeIsNotInTheToken(t *testing.T) {
	s := tenant(t, withLinking())
	a := redeem(t, s, startRun(t, s).link("1").Get("code"))
	if a.JSON["scope"] != "openid profile offline_access" || a.JSON["refresh_token"] == nil {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestR1HintMustBeARecentOneOfThisUserAndClient(t *testing.T) {
	s := tenant(t, withLinking())
	l := startRun(t, s)
	issued := func(user, client string, age int) string {
		// IssueToken makes a token that has been issued a day before it expired.
		tokens, err := s.IssueToken(auth0test.TokenRequest{User: user, ClientID: client, ExpiresIn: &age})
		if err != nil {
			t.Fatal(err)
		}
		return tokens.IDToken
	}
	good := hint(t, s)
	for name, h := range map[string]string{
		"none":             "",
		"no JWT":           "x",
		"another client's": idTokenOf(t, s, "auth0|alice", "link-pages"),
		"another user's":   idTokenOf(t, s, "auth0|bob", "demo-agent"),
		"expired":          issued("auth0|alice", "demo-agent", -1),
		"broken signature": good[:len(good)-8] + "AAAAAAAA",
		"an access token":  accessToken(t, s),
	} {
		l.notLinked(name, r1, l.link("1", "id_token_hint", h))
	}
	hs256 := tenant(t, withLinking(), func(cfg *auth0test.Config) { cfg.Clients[2].JWTConfiguration = &auth0test.JWTConfig{Alg: "HS256"} })
	m := startRun(t, hs256)
	m.notLinked("HS256", r1, m.link("1"))
}

// Protocol H.4 #14.
func TestR1HintOfElevenMinutesAgo(t *testing.T) {
	s := tenant(t, withLinking())
	l := startRun(t, s)
	// An ID token issued when one likes: IssueToken overrides the claims of access
	// tokens only, and the Action cannot tell them apart.
	issued := func(ago time.Duration) string {
		return accessToken(t, s, func(r *auth0test.TokenRequest) {
			at := time.Now().Add(-ago).Unix()
			r.Claims = map[string]any{"aud": "demo-agent", "iat": at, "exp": at + 36000}
		})
	}
	l.notLinked("11 minutes", r1, l.link("1", "id_token_hint", issued(11*time.Minute)))
	l.notLinked("in a minute", r1, l.link("1", "id_token_hint", issued(-time.Minute)))
	if q := l.link("1", "id_token_hint", issued(9*time.Minute)); q.Get("code") == "" {
		t.Errorf("9 minutes: %v", q)
	}
}

// To the second.
func TestR1HintIsTenMinutesOldAtMost(t *testing.T) {
	for age, reason := range map[time.Duration]string{10 * time.Minute: "", 10*time.Minute + time.Second: r1} {
		synctest.Test(t, func(t *testing.T) {
			s, b := unheard(t, withLinking())
			l := linkRun{b, s}
			b.login(s, "alice")
			target := l.request()
			time.Sleep(age)
			_, at := b.open(target, agentBack, "http://github.test/")
			u, _ := url.Parse(at)
			if u.Query().Get("error_description") != reason || (reason == "") != strings.HasPrefix(at, "http://github.test/") {
				t.Errorf("a hint %v old: %s", age, at)
			}
		})
	}
}

// The issuer is taken from the request's host: a hint of the canonical domain
// does not count at a custom one.
func TestR1HintMustComeFromTheSameDomain(t *testing.T) {
	s := tenant(t, withLinking())
	l := startRun(t, s)
	l.c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
		r.Host = "login.example.com"
		return http.DefaultTransport.RoundTrip(r)
	})
	l.notLinked("another host", r1, l.link("1"))
}

func TestR2LinkingWantsMFAOfWhoHasAFactor(t *testing.T) {
	enrolled := func(cfg *auth0test.Config) { cfg.Users[0].Authenticators = []auth0test.Authenticator{{}} }
	s := tenant(t, withLinking("ENFORCE_MFA", "yes"), enrolled)
	l := startRun(t, s)
	l.notLinked("no second factor", r2, l.link("1"))

	without := tenant(t, withLinking("ENFORCE_MFA", "yes"))
	if q := startRun(t, without).link("1"); q.Get("code") == "" {
		t.Errorf("nobody can show a factor that they have not: %v", q)
	}
	ask := auth0test.Action{Name: "ask", OnExecutePostLogin: func(e event, a api) {
		if e.Client.ClientID == "demo-agent" {
			a.ChallengeWithAny("otp")
		}
	}}
	with := tenant(t, withLinking(), enrolled, func(cfg *auth0test.Config) {
		cfg.Actions[0].Configuration = map[string]string{"ENFORCE_MFA": "yes"}
		cfg.Actions = []auth0test.Action{ask, cfg.Actions[0]}
	})
	b := newBrowser(t)
	m := linkRun{b, with}
	page, at, _ := m.begin()
	page, at = b.follow(b.submit(page, at, values("username", "alice@example.com", "password", "alice-password")), at)
	page, at = b.follow(b.submit(page, at, values("code", "123456")), at)
	if !strings.HasPrefix(at, with.GitHubURL) {
		t.Errorf("with a second factor: %s %d %s", at, page.Status, page.Body)
	}
}

func TestR3LinkingWantsAVerifiedEmail(t *testing.T) {
	s := tenant(t, withLinking("ENFORCE_EMAIL_VERIFICATION", "yes"), func(cfg *auth0test.Config) { cfg.Users[0].EmailVerified = false })
	l := startRun(t, s)
	l.notLinked("unverified", r3, l.link("1"))
	verified := tenant(t, withLinking("ENFORCE_EMAIL_VERIFICATION", "yes"))
	if q := startRun(t, verified).link("1"); q.Get("code") == "" {
		t.Errorf("verified: %v", q)
	}
	off := tenant(t, withLinking(), func(cfg *auth0test.Config) { cfg.Users[0].EmailVerified = false })
	if q := startRun(t, off).link("1"); q.Get("code") == "" {
		t.Errorf("not enforced: %v", q)
	}
}

func TestR4WhatThrowsBeforeTheSecondLogin(t *testing.T) {
	for _, secret := range []string{"ACTION_SECRET", "AUTH0_CLIENT_ID"} {
		s := tenant(t, withLinking(secret, ""))
		l := startRun(t, s)
		l.notLinked("without "+secret, r4, l.link("1"))
	}
}

func TestR5WhatGoesWrongInTheSecondLogin(t *testing.T) {
	s := tenant(t, withLinking())
	l := startRun(t, s)
	page, at, _ := l.begin()
	_, end := l.follow(l.submit(page, at, values("action", "deny")), at, agentBack)
	u, _ := url.Parse(end)
	l.notLinked("the person refuses", r5, u.Query())
	l.notLinked("unknown connection", r5, l.link("1", "requested_connection", "x"))

	// A code of another nested login does not fit this one's verifier.
	page, at, _ = l.begin()
	other := startRun(t, s)
	otherPage, otherAt, _ := other.begin()
	back := nestedCallback(other, otherPage, otherAt, "666")
	mine := nestedCallback(l, page, at, "1")
	swapped := mine.Query()
	swapped.Set("code", back.Query().Get("code"))
	_, end = l.open(s.URL+"/continue?"+swapped.Encode(), agentBack)
	u, _ = url.Parse(end)
	l.notLinked("another's code", r5, u.Query())

	wrong := tenant(t, withLinking("AUTH0_CLIENT_SECRET", "x"))
	m := startRun(t, wrong)
	m.notLinked("wrong secret", r5, m.link("1"))
}

// nestedCallback goes through the second login, and stops before /continue.
func nestedCallback(l linkRun, page answer, at, account string) *url.URL {
	l.t.Helper()
	_, at = l.follow(l.submit(page, at, everyScope(account)), at, l.s.URL+"/continue")
	u, err := url.Parse(at)
	if err != nil || u.Path != "/continue" {
		l.t.Fatalf("the second login ended at %s", at)
	}
	return u
}

func TestR5SecondLoginIsAMinuteOldAtMost(t *testing.T) {
	for age, reason := range map[time.Duration]string{60 * time.Second: "", 61 * time.Second: r5} {
		synctest.Test(t, func(t *testing.T) {
			s, b := unheard(t, withLinking(), func(cfg *auth0test.Config) {
				cfg.Users = append(cfg.Users, auth0test.User{UserID: "auth0|carol", Email: "carol@example.com", Password: "carol-password"})
			})
			l := linkRun{b, s}
			b.login(s, "alice")
			page, at := b.open(l.request("requested_connection", "Username-Password-Authentication"), agentBack)
			_, at = b.follow(b.submit(page, at, values("username", "carol@example.com", "password", "carol-password")), at, s.URL+"/continue")
			time.Sleep(age)
			_, at = b.open(at, agentBack)
			if u, _ := url.Parse(at); u.Query().Get("error_description") != reason {
				t.Errorf("a login %v old: %s", age, at)
			}
		})
	}
}

func TestR6WithoutAManagementToken(t *testing.T) {
	noGrant := func(cfg *auth0test.Config) {
		cfg.ClientGrants = slices.DeleteFunc(cfg.ClientGrants, func(g auth0test.ClientGrant) bool { return g.ClientID == "account-linking" })
	}
	s := tenant(t, withLinking(), noGrant)
	l := startRun(t, s)
	l.notLinked("no grant", r6, l.link("1"))
}

func TestR7WhenTheManagementAPIRefuses(t *testing.T) {
	s := tenant(t, withLinking())
	if err := s.AddFault(auth0test.Fault{Path: "/api/v2/users/auth0|alice/identities", Status: new(409)}); err != nil {
		t.Fatal(err)
	}
	l := startRun(t, s)
	l.notLinked("conflict", r7, l.link("1"))
}

// Protocol H.4 #15.
func TestClientThatMayNotLinkIsLoggedInWithoutAWord(t *testing.T) {
	for allowed, links := range map[string]bool{"link-pages": false, "link-pages, demo-agent": false, "link-pages,demo-agent": true} {
		s := tenant(t, withLinking("ALLOWED_CLIENT_IDS", allowed))
		q := startRun(t, s).link("1")
		if q.Get("code") == "" || q.Has("error") || (len(identities(t, s, "auth0|alice")) == 2) != links {
			t.Errorf("%q: %v, %v", allowed, q, identities(t, s, "auth0|alice"))
		}
	}
}

func TestFaultAddressIsPinnedEvenWhenTheSettingSaysNo(t *testing.T) {
	for _, pin := range []string{"", "no", "yes"} {
		from := "192.0.2.1:1"
		s, b := unheard(t, withLinking("PIN_IP_ADDRESS", pin))
		b.c.Transport = roundTripper(func(r *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			r.RemoteAddr = from
			handler := s.Handler()
			if r.URL.Host == "github.test" {
				handler = s.GitHub()
			}
			handler.ServeHTTP(w, r)
			return w.Result(), nil
		})
		l := linkRun{b, s}
		b.login(s, "alice")
		page, at, _ := l.begin()
		back := nestedCallback(l, page, at, "1")
		from = "192.0.2.2:1"
		_, end := l.open(back.String(), agentBack)
		u, _ := url.Parse(end)
		l.notLinked("PIN_IP_ADDRESS "+pin, r5, u.Query())
	}
}

func TestFaultAnyAccountMayBeLinkedWithoutRequestedConnection(t *testing.T) {
	s := tenant(t, withLinking())
	l := startRun(t, s)
	page, at, _ := l.begin("requested_connection", "")
	if !strings.Contains(page.Body, `value="google-oauth2"`) || !strings.Contains(page.Body, `name="password"`) {
		t.Fatalf("the second login offers not everything: %s", page.Body)
	}
	if _, end := l.follow(l.submit(page, at, values("username", "bob@example.com", "password", "bob-password")), at, agentBack); !strings.HasPrefix(end, agentBack+"?code=") {
		t.Errorf("ended at %s", end)
	}
	if got := identities(t, s, "auth0|alice"); !slices.Equal(got, []string{"auth0|alice", "auth0|bob"}) {
		t.Errorf("identities %v", got)
	}
}

// Nothing looks whether the second login came through the connection that was
// asked for: whoever holds the person's browser changes the nested request.
func TestFaultConnectionOfTheSecondLoginIsNotCompared(t *testing.T) {
	s := tenant(t, withLinking())
	l := startRun(t, s)
	_, at := l.open(l.request(), s.URL+"/authorize?")
	nested, _ := url.Parse(at)
	q := nested.Query()
	q.Set("connection", "google-oauth2")
	page, at := l.open(s.URL + "/authorize?" + q.Encode())
	if _, end := l.follow(l.submit(page, at, everyScope("g-1")), at, agentBack); !strings.HasPrefix(end, agentBack+"?code=") {
		t.Errorf("ended at %s", end)
	}
	if got := identities(t, s, "auth0|alice"); !slices.Contains(got, "google-oauth2|g-1") {
		t.Errorf("identities %v", got)
	}
}

func TestFaultNobodyComparesEmailsAndThereIsNoNonce(t *testing.T) {
	s := tenant(t, withLinking(), withAccounts(auth0test.ProviderAccount{
		Strategy: "github", Account: "1", Email: "someone-else@example.com", EmailVerified: new(false),
	}))
	l := startRun(t, s)
	if _, at := l.open(l.request(), s.URL+"/authorize?"); strings.Contains(at, "nonce") || !strings.Contains(at, "code_challenge_method=S256") {
		t.Errorf("the nested request: %s", at)
	}
	if q := l.link("1"); q.Get("code") == "" || len(identities(t, s, "auth0|alice")) != 2 {
		t.Errorf("%v", q)
	}
}

func TestFaultTheDomainIsUndefined(t *testing.T) {
	s := tenant(t, withLinking("AUTH0_DOMAIN", ""))
	l := startRun(t, s)
	l.notLinked("as the instructions have it", r6, l.link("1"))
}

func TestFaultTheInstructionsGrantTheWrongScope(t *testing.T) {
	s := tenant(t, withLinking(), func(cfg *auth0test.Config) {
		cfg.ClientGrants[len(cfg.ClientGrants)-1].Scope = []string{"create:users"}
	})
	l := startRun(t, s)
	l.notLinked("create:users", r7, l.link("1"))
}

// The second account is an identity of bob's: what logs in is bob, who has
// others.
func TestR7SecondAccountThatIsSomebodys(t *testing.T) {
	s := tenant(t, withLinking(), func(cfg *auth0test.Config) {
		cfg.Users[1].Identities = []auth0test.Identity{
			{Connection: "Username-Password-Authentication", Provider: "auth0", UserID: "bob"},
			{Connection: "github", Provider: "github", UserID: "9", IsSocial: true},
		}
	})
	l := startRun(t, s)
	l.notLinked("bob's", r7, l.link("9"))
}

func TestNestedLoginAsksForMFAOfWhoHasAFactor(t *testing.T) {
	s := tenant(t, withLinking("ENFORCE_MFA", "yes"), func(cfg *auth0test.Config) {
		cfg.Users = append(cfg.Users, auth0test.User{
			UserID: "github|4711", Email: "alice@users.example", Authenticators: []auth0test.Authenticator{{Type: "sms", Code: "000111"}},
		})
	})
	l := startRun(t, s)
	page, at, _ := l.begin()
	page, at = l.follow(l.submit(page, at, everyScope("4711")), at, agentBack)
	if !strings.Contains(page.Body, `name="code"`) {
		t.Fatalf("no second factor: %s %d", at, page.Status)
	}
	if _, end := l.follow(l.submit(page, at, values("code", "000111")), at, agentBack); !strings.HasPrefix(end, agentBack+"?code=") {
		t.Errorf("ended at %s", end)
	}
}

// The Action sees of a pushed request only what Auth0 stores: the connection
// is lost, and any account may be linked.
func TestPushedLinkRequestLosesTheConnection(t *testing.T) {
	s := tenant(t, withPAR, withLinking())
	l := startRun(t, s)
	a := push(t, s, "scope", "link_account openid", "requested_connection", "github", "id_token_hint", hint(t, s))
	page, at := l.open(s.URL + "/authorize?" + values("client_id", "demo-agent", "request_uri", a.JSON["request_uri"].(string), "requested_connection", "github").Encode())
	if !strings.HasPrefix(at, s.URL+"/u/login") || !strings.Contains(page.Body, `name="password"`) {
		t.Errorf("the second login is at %s: %d", at, page.Status)
	}
}

// With the behaviour of 2025 the second login fills the vault, and the link takes
// what it has along.
func TestLinkingFeedsTheVaultAsItDidIn2025(t *testing.T) {
	s := tenant(t, withLinking(), settings(func(set *auth0test.Settings) { set.IdentitiesFeedVault = true }))
	l := startRun(t, s)
	if q := l.link("4711"); q.Get("code") == "" {
		t.Fatalf("%v", q)
	}
	if a := exchange(t, s, accessToken(t, s), "connection", "github", "login_hint", "4711"); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
