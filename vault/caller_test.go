package vault

import (
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// listenWebApp starts a local tenant with an application that may exchange its
// users' refresh tokens, and that application's Client.
func listenWebApp(t *testing.T, change func(*auth0test.Client)) (*auth0test.Server, *Client, *recorder) {
	t.Helper()
	app := auth0test.Client{
		ClientID: "web-app", ClientSecret: "web-app-secret", AppType: "regular_web", OIDCConformant: new(true),
		GrantTypes: []string{"authorization_code", "refresh_token", grantType},
	}
	if change != nil {
		change(&app)
	}
	seeds := auth0test.Seeds()
	seeds.Clients = append(seeds.Clients, app)
	for i := range seeds.Connections {
		seeds.Connections[i].EnabledClients = append(seeds.Connections[i].EnabledClients, app.ClientID)
	}
	s := auth0test.NewServer(seeds)
	t.Cleanup(s.Close)
	connect(t, s, "")
	wire := &recorder{base: http.DefaultTransport}
	c, err := New(Config{
		Domain: s.URL, ClientID: app.ClientID, ClientSecret: NewSecret(app.ClientSecret), RefreshTokens: true, Transport: wire,
	})
	if err != nil {
		t.Fatal(err)
	}
	return s, c, wire
}

// loggedIn is a user of the application with the refresh token of one login.
func loggedIn(t *testing.T, s *auth0test.Server, user string) *RefreshToken {
	t.Helper()
	tokens := issueRaw(t, s, auth0test.TokenRequest{User: user, ClientID: "web-app", Scope: "openid offline_access"})
	return &RefreshToken{Subject: user, Token: NewSecret(tokens.RefreshToken)}
}

func revoke(t *testing.T, s *auth0test.Server, token *RefreshToken) {
	t.Helper()
	resp, err := http.PostForm(s.URL+"/oauth/revoke", url.Values{
		"client_id": {"web-app"}, "client_secret": {"web-app-secret"}, "token": {token.Token.Reveal()},
	})
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v", resp, err)
	}
	_ = resp.Body.Close()
}

func TestARefreshTokenIsExchangedAsAuth0Documents(t *testing.T) {
	s, c, wire := listenWebApp(t, nil)
	alice := loggedIn(t, s, "auth0|alice")
	token := mustToken(t, c, alice, google)
	want := url.Values{
		"grant_type":           {"urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"},
		"subject_token":        {alice.Token.Reveal()},
		"subject_token_type":   {"urn:ietf:params:oauth:token-type:refresh_token"},
		"requested_token_type": {"http://auth0.com/oauth/token-type/federated-connection-access-token"},
		"connection":           {"google-oauth2"},
		"client_id":            {"web-app"},
		"client_secret":        {"web-app-secret"},
	}
	if !reflect.DeepEqual(wire.form, want) {
		t.Errorf("sent %v\nwant %v", wire.form, want)
	}
	if !reflect.DeepEqual(token.Scopes, []string{calendarScope}) {
		t.Errorf("Scopes are %q", token.Scopes)
	}
	source, err := c.TokenSource(t.Context(), alice, google).Token()
	if err != nil || source.AccessToken != token.Reveal() {
		t.Errorf("the source gives another: %v", err)
	}
	api := &http.Client{Transport: &Transport{Client: c, Caller: alice, Request: google, Host: strings.TrimPrefix(s.GoogleURL, "http://")}}
	get(t, api, s.GoogleURL+eventsPath, http.StatusOK)
	if n := exchangesAt(s); n != 1 {
		t.Errorf("%d exchanges, want one", n)
	}
}

func TestARefreshTokenGetsOnlyWhatItWasExchangedFor(t *testing.T) {
	s, c, _ := listenWebApp(t, nil)
	logins := []*RefreshToken{loggedIn(t, s, "auth0|alice"), loggedIn(t, s, "auth0|alice")}
	ask := func(want int) {
		t.Helper()
		for range 2 {
			for _, login := range logins {
				mustToken(t, c, login, google)
			}
		}
		if n := exchangesAt(s); n != want {
			t.Errorf("%d exchanges, want %d", n, want)
		}
	}
	ask(2)
	c.ForgetUser("auth0|alice")
	ask(4)
}

// Whoever says that a token is another user's gets nothing of that user.
func TestASubjectThatIsNotTheTokensOwnGetsNothing(t *testing.T) {
	s := newTenant()
	c := s.client(t, Config{RefreshTokens: true})
	alice := &RefreshToken{Subject: "auth0|alice", Token: NewSecret("alice's")}
	mistaken := &RefreshToken{Subject: "auth0|alice", Token: NewSecret("bob's")}
	mustToken(t, c, alice, calendar)
	if got := mustToken(t, c, mistaken, calendar).Reveal(); got != "bob's/google-oauth2/" {
		t.Errorf("got %s", got)
	}
}

func TestARevokedRefreshTokenDoesNotLiveOnByAnotherLogin(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c := s.client(t, Config{RefreshTokens: true, MaxAge: time.Minute})
		revoked := &RefreshToken{Subject: "auth0|alice", Token: NewSecret("revoked")}
		good := &RefreshToken{Subject: "auth0|alice", Token: NewSecret("good")}
		mustToken(t, c, revoked, calendar)
		s.serveVault(func(w http.ResponseWriter, r *http.Request) {
			if r.PostFormValue("subject_token") == "revoked" {
				refusal(http.StatusForbidden, "invalid_grant")(w, r)
				return
			}
			mint(w, r)
		})
		for range 6 {
			time.Sleep(10 * time.Second)
			mustToken(t, c, good, calendar)
		}
		_, err := c.Token(t.Context(), revoked, calendar)
		refused(t, err, CodeInvalidToken)
	})
}

// exchangesAt counts the exchanges that reached a tenant.
func exchangesAt(s *auth0test.Server) (n int) {
	for _, r := range s.Requests() {
		if r.GrantType == grantType {
			n++
		}
	}
	return n
}

func TestWhatAuth0SaysOfARefreshToken(t *testing.T) {
	rotating := func(app *auth0test.Client) { app.RefreshToken = &auth0test.RefreshToken{RotationType: "rotating"} }
	for _, tt := range []struct {
		name   string
		app    func(*auth0test.Client)
		before func(*testing.T, *auth0test.Server, *RefreshToken)
		want   string
	}{
		{"revoked", nil, revoke, "invalid_token/invalid_grant"},
		{"one that never was", nil, func(_ *testing.T, _ *auth0test.Server, r *RefreshToken) { r.Token = NewSecret("v1.made-up") }, "invalid_token/invalid_grant"},
		{"another application's", nil, func(t *testing.T, s *auth0test.Server, r *RefreshToken) {
			other := issueRaw(t, s, auth0test.TokenRequest{User: "auth0|alice", ClientID: "demo-agent", Scope: "offline_access"})
			r.Token = NewSecret(other.RefreshToken)
		}, "invalid_token/invalid_grant"},
		{"an application that rotates", rotating, nil, "vault_misconfigured/unauthorized_client"},
		{"an application without the grant", func(app *auth0test.Client) { app.GrantTypes = app.GrantTypes[:2] }, nil, "vault_misconfigured/unauthorized_client"},
		{"a third party's application", func(app *auth0test.Client) { app.IsFirstParty = new(false) }, nil, "vault_misconfigured/unauthorized_client"},
		{"nothing connected", nil, func(t *testing.T, s *auth0test.Server, _ *RefreshToken) {
			if err := s.Disconnect("auth0|alice", "google-oauth2"); err != nil {
				t.Fatal(err)
			}
		}, linkRequired},
		{"good", nil, nil, "ok"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, c, _ := listenWebApp(t, tt.app)
			token := loggedIn(t, s, "auth0|alice")
			if tt.before != nil {
				tt.before(t, s, token)
			}
			_, err := c.Token(t.Context(), token, google)
			if got := describe(err); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
			holds(t, "the error", describe(err)+errorText(err), token.Token.Reveal(), "web-app-secret")
		})
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestARefusedRefreshTokenIsItsOwnersAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(after(time.Second, func(w http.ResponseWriter, r *http.Request) {
			if r.PostFormValue("subject_token") == "ended" {
				refusal(http.StatusForbidden, "invalid_grant")(w, r)
				return
			}
			mint(w, r)
		}))
		c := s.client(t, Config{RefreshTokens: true})
		ended := &RefreshToken{Subject: "auth0|alice", Token: NewSecret("ended")}
		good := &RefreshToken{Subject: "auth0|alice", Token: NewSecret("good")}
		results := together(2, func(i int) string {
			time.Sleep(time.Duration(i) * time.Millisecond) // the refused one is first
			_, err := c.Token(t.Context(), []*RefreshToken{ended, good}[i], calendar)
			return describe(err)
		})
		if want := []string{"invalid_token/invalid_grant", "ok"}; !reflect.DeepEqual(results, want) {
			t.Errorf("got %q, want %q", results, want)
		}
		s.asked(t, 2)
	})
}

func TestRefreshTokensAndAccessTokensShareNothing(t *testing.T) {
	s := newTenant()
	cache := NewCache()
	api := s.client(t, Config{Cache: cache})
	apps := []*Client{
		s.client(t, Config{Cache: cache, RefreshTokens: true}), // of the same client id
		s.client(t, Config{Cache: cache, RefreshTokens: true, ClientID: "another"}),
		s.client(t, Config{Cache: cache, RefreshTokens: true, Domain: "other.example.com"}),
	}
	callers := []*RefreshToken{
		{Subject: "auth0|alice", Token: NewSecret("alice's")},
		{Subject: "auth0|alice", OrgID: "org_1", Token: NewSecret("alice's in org_1")},
		{Subject: "auth0|bob", Token: NewSecret("bob's")},
	}
	mustToken(t, api, callerWith(t, "raw", object{"azp": nil}), calendar)
	for range 2 {
		for _, app := range apps {
			for _, caller := range callers {
				token := mustToken(t, app, caller, calendar).Reveal()
				if !strings.HasPrefix(token, caller.Token.Reveal()+"/") {
					t.Errorf("%v got %s", caller, token)
				}
			}
		}
	}
	s.asked(t, 1+len(apps)*len(callers))
}

func TestACallerHasToBeOneForTheClient(t *testing.T) {
	s := newTenant()
	api, app := s.client(t, Config{}), s.client(t, Config{RefreshTokens: true})
	good := RefreshToken{Subject: "auth0|alice", Token: NewSecret("raw")}
	for name, tt := range map[string]struct {
		client *Client
		caller Caller
	}{
		"an access token where refresh tokens are exchanged": {app, alice(t, "raw")},
		"a refresh token where access tokens are exchanged":  {api, &good},
		"a refresh token of nobody":                          {app, &RefreshToken{Token: good.Token}},
		"no refresh token":                                   {app, &RefreshToken{Subject: good.Subject}},
	} {
		if _, err := tt.client.Token(t.Context(), tt.caller, calendar); err == nil {
			t.Errorf("%s: no error", name)
		}
		if hints := tt.client.LoginHints(tt.caller, "google-oauth2"); hints != nil {
			t.Errorf("%s: hints %q", name, hints)
		}
	}
	s.asked(t, 0)
}

// There is no audience that a token could have to be for.
func TestAClientOfRefreshTokensVerifiesNoAccessToken(t *testing.T) {
	s := newTenant()
	c := s.client(t, Config{RefreshTokens: true})
	for name, aud := range map[string]any{"the API's": testAudience, "empty": "", "none": nil, "several": []string{"", testAudience}} {
		if _, err := c.Verify(t.Context(), goodToken(object{"aud": aud})); err == nil {
			t.Errorf("audience %s: verified", name)
		}
	}
	id := goodToken(object{"aud": "app", "azp": nil, "nonce": "n"})
	if got, err := c.VerifyIDToken(t.Context(), id, "app", "n"); err != nil || got.Subject != "auth0|alice" {
		t.Errorf("an ID token: %v, %v", got, err)
	}
}

func TestABudgetHoldsForRefreshTokensToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(minting(object{"expires_in": 0}))
		c := s.client(t, Config{RefreshTokens: true, UserBudget: 3})
		ask := func(subject string) string {
			_, err := c.Token(t.Context(), &RefreshToken{Subject: subject, Token: NewSecret(subject)}, calendar)
			return describe(err)
		}
		for range 3 {
			if got := ask("auth0|alice"); got != "ok" {
				t.Error(got)
			}
		}
		if got := ask("auth0|alice"); got != "vault_throttled/user_budget" {
			t.Error(got)
		}
		if got := ask("auth0|bob"); got != "ok" {
			t.Error(got)
		}
	})
}
