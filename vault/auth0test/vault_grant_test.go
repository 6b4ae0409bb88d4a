package auth0test_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

func TestExchangeAnswersTheStoredToken(t *testing.T) {
	s := tenant(t)
	connect(t, s, "auth0|alice", "google-oauth2", []string{"openid", "email", readonly}, "")
	a := exchange(t, s, accessToken(t, s))
	if a.Status != 200 || a.JSON["token_type"] != "Bearer" || a.JSON["issued_token_type"] != vaultType {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if a.JSON["scope"] != "openid https://www.googleapis.com/auth/userinfo.email "+readonly {
		t.Errorf("scope %q", a.JSON["scope"])
	}
	if n := a.JSON["expires_in"].(float64); n < 3590 || n > 3599 {
		t.Errorf("expires_in %v", n)
	}
	if len(a.JSON) != 5 {
		t.Errorf("more than the five members: %s", a.Body)
	}
	if b := exchange(t, s, accessToken(t, s)); b.JSON["access_token"] != a.JSON["access_token"] {
		t.Error("a stored token that is still valid was not returned again")
	}
	events := get(t, s.GoogleURL+"/calendar/v3/calendars/primary/events", a.JSON["access_token"].(string))
	if events.Status != 200 {
		t.Errorf("Google refuses the token: %s", events.Body)
	}
}

func TestExchangeTakesJSONAndBasic(t *testing.T) {
	s := tenant(t)
	connect(t, s, "auth0|alice", "google-oauth2", nil, "")
	body := map[string]string{
		"grant_type": vaultGrant, "client_id": "vault-exchange", "client_secret": "vault-exchange-secret",
		"subject_token": accessToken(t, s), "subject_token_type": accessType, "requested_token_type": vaultType,
		"connection": "google-oauth2",
	}
	if a := postJSON(t, s.URL+"/oauth/token", "", body); a.Status != 200 {
		t.Errorf("JSON: %s", a.Body)
	}
	form := values("grant_type", vaultGrant, "client_id", "vault-exchange", "subject_token", accessToken(t, s),
		"subject_token_type", accessType, "requested_token_type", vaultType, "connection", "google-oauth2")
	req := request(t, http.MethodPost, s.URL+"/oauth/token", "application/x-www-form-urlencoded", form.Encode())
	req.SetBasicAuth("vault-exchange", "vault-exchange-secret")
	if a := do(t, http.DefaultClient, req); a.Status != 200 {
		t.Errorf("Basic with client_id in the body: %s", a.Body)
	}
}

func TestExchangeRefusesWhatAuth0Refuses(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) {
		cfg.ResourceServers = append(cfg.ResourceServers, auth0test.ResourceServer{Identifier: "https://other.example.com/"})
		vault := cfg.Clients[0]
		third, legacy, public, web := vault, vault, vault, vault
		for id, c := range map[string]*auth0test.Client{"third": &third, "legacy": &legacy, "public": &public, "web": &web} {
			c.ClientID, c.AppType, c.ResourceServerIdentifier = id, "regular_web", ""
		}
		third.IsFirstParty, legacy.OIDCConformant, public.TokenEndpointAuthMethod = new(false), new(false), "none"
		cfg.Clients = append(cfg.Clients, third, legacy, public, web)
		cfg.Connections = append(cfg.Connections, auth0test.Connection{Name: "off", Strategy: "github", EnabledClients: []string{"vault-exchange"}})
		cfg.Users[0].Identities = []auth0test.Identity{{Connection: "google-oauth2", Provider: "google-oauth2", UserID: "7", IsSocial: true}}
	})
	connect(t, s, "auth0|bob", "google-oauth2", nil, "")
	alice := accessToken(t, s)
	token := func(f func(*auth0test.TokenRequest)) string { return accessToken(t, s, f) }
	const notFound, badSubject = "federated_connection_refresh_token_not_found", "invalid_grant"
	tests := []struct {
		name, subject string
		pairs         []string
		status        int
		code          string
	}{
		{"nothing connected, whatever identities say", alice, nil, 401, notFound},
		{"connection not connected", alice, []string{"connection", "github"}, 401, notFound},
		{"unknown connection", alice, []string{"connection", "nope"}, 401, notFound},
		{"connection without connected accounts", alice, []string{"connection", "off"}, 401, notFound},
		{"login hint of another account", token(func(r *auth0test.TokenRequest) { r.User = "auth0|bob" }), []string{"login_hint", "nobody"}, 401, "user_not_found"},
		{"machine", token(func(r *auth0test.TokenRequest) { r.User = "" }), nil, 401, "user_not_found"},
		{"expired subject", token(func(r *auth0test.TokenRequest) { r.ExpiresIn = new(-1) }), nil, 401, badSubject},
		{"foreign issuer", token(func(r *auth0test.TokenRequest) { r.Claims = map[string]any{"iss": "https://x/"} }), nil, 401, badSubject},
		{"no token at all", "garbage", nil, 401, badSubject},
		{"bent signature", alice[:len(alice)-8] + "AAAAAAAA", nil, 401, badSubject},
		{"another API's token", token(func(r *auth0test.TokenRequest) { r.Audience = "https://other.example.com/" }), nil, 403, "unauthorized_client"},
		{"client that is no Custom API client", alice, []string{"client_id", "web"}, 403, "unauthorized_client"},
		{"third-party client", alice, []string{"client_id", "third"}, 403, "unauthorized_client"},
		{"client that is not OIDC conformant", alice, []string{"client_id", "legacy"}, 403, "unauthorized_client"},
		{"public client", alice, []string{"client_id", "public", "client_secret", ""}, 403, "unauthorized_client"},
		{"client without the grant", alice, []string{"client_id", "link-pages", "client_secret", "link-pages-secret"}, 403, "unauthorized_client"},
		{"wrong secret", alice, []string{"client_secret", "x"}, 401, "access_denied"},
		{"no secret", alice, []string{"client_secret", ""}, 401, "access_denied"},
		{"unknown client", alice, []string{"client_id", "x"}, 401, "access_denied"},
		{"no client", alice, []string{"client_id", ""}, 400, "invalid_request"},
		{"no subject token", "", nil, 400, "invalid_request"},
		{"no subject token type", alice, []string{"subject_token_type", ""}, 400, "invalid_request"},
		{"no requested type", alice, []string{"requested_token_type", ""}, 400, "invalid_request"},
		{"requested type in https", alice, []string{"requested_token_type", strings.Replace(vaultType, "http:", "https:", 1)}, 400, "invalid_request"},
		{"no connection", alice, []string{"connection", ""}, 400, "invalid_request"},
		{"unknown refresh token", "x", []string{"subject_token_type", refreshType}, 403, "invalid_grant"},
		{"unknown subject token type", alice, []string{"subject_token_type", "urn:x"}, 400, "invalid_request"},
		{"unknown grant", alice, []string{"grant_type", "urn:x"}, 403, "unsupported_grant_type"},
		{"no grant", alice, []string{"grant_type", ""}, 400, "invalid_request"},
	}
	for _, tt := range tests {
		a := exchange(t, s, tt.subject, tt.pairs...)
		if a.Status != tt.status || a.code() != tt.code || a.JSON["error_description"] == "" {
			t.Errorf("%s: %d %s", tt.name, a.Status, a.Body)
		}
		if a.Header.Get("X-Ratelimit-Reset") == "" {
			t.Errorf("%s: no rate-limit headers", tt.name)
		}
	}
}

func TestExchangeWordsItsRefusalsLikeAuth0(t *testing.T) {
	s := tenant(t)
	alice := accessToken(t, s)
	check := func(want string, a answer) {
		t.Helper()
		if a.JSON["error_description"] != want {
			t.Errorf("%s, want %q", a.Body, want)
		}
	}
	check("Federated connection Refresh Token not found.", exchange(t, s, alice))
	check("Grant type '"+vaultGrant+"' not allowed for the client.",
		exchange(t, s, alice, "client_id", "demo-agent", "client_secret", "demo-agent-secret"))
	check("Unauthorized", exchange(t, s, alice, "client_secret", "x"))
	connect(t, s, "auth0|alice", "google-oauth2", nil, "one")
	check("Identity User not found.", exchange(t, s, alice, "login_hint", "two"))
	if err := s.Revoke("auth0|alice", "google-oauth2"); err != nil {
		t.Fatal(err)
	}
	check("Refresh Token flow for the Federated Connection failed", exchange(t, s, alice))
}

func TestLoginHintPicksAmongSeveralAccounts(t *testing.T) {
	s := tenant(t)
	alice := accessToken(t, s)
	connect(t, s, "auth0|alice", "google-oauth2", []string{"openid"}, "work")
	connect(t, s, "auth0|alice", "google-oauth2", []string{"openid"}, "home")
	for _, account := range []string{"work", "home"} {
		a := exchange(t, s, alice, "login_hint", account)
		info := get(t, s.GoogleURL+"/oauth2/v3/userinfo", a.JSON["access_token"].(string))
		if info.JSON["sub"] != account {
			t.Errorf("login_hint %s led to %s", account, info.Body)
		}
	}
}

func TestRevokedGrantFailsAtOnceAndKillsTokensThatAreOut(t *testing.T) {
	s := tenant(t)
	for connection, path := range map[string]string{"google-oauth2": s.GoogleURL + "/oauth2/v3/userinfo", "github": s.GitHubURL + "/user"} {
		connect(t, s, "auth0|alice", connection, nil, "")
		connect(t, s, "auth0|bob", connection, nil, "")
		out := exchange(t, s, accessToken(t, s), "connection", connection).JSON["access_token"].(string)
		if a := get(t, path, out); a.Status != 200 {
			t.Fatalf("%s: %s", connection, a.Body)
		}
		if err := s.Revoke("auth0|alice", connection); err != nil {
			t.Fatal(err)
		}
		if a := get(t, path, out); a.Status != 401 {
			t.Errorf("%s still takes the token: %d", connection, a.Status)
		}
		if a := exchange(t, s, accessToken(t, s), "connection", connection); a.code() != "federated_connection_refresh_token_flow_failed" {
			t.Errorf("%s: %s", connection, a.Body)
		}
		bob := accessToken(t, s, func(r *auth0test.TokenRequest) { r.User = "auth0|bob" })
		if a := exchange(t, s, bob, "connection", connection); a.Status != 200 {
			t.Errorf("%s: bob lost his account too: %s", connection, a.Body)
		}
		connect(t, s, "auth0|alice", connection, nil, "")
		if a := exchange(t, s, accessToken(t, s), "connection", connection); a.Status != 200 {
			t.Errorf("%s: reconnecting did not help: %s", connection, a.Body)
		}
		if err := s.Disconnect("alice@example.com", connection); err != nil {
			t.Fatal(err)
		}
		if a := exchange(t, s, accessToken(t, s), "connection", connection); a.code() != "federated_connection_refresh_token_not_found" {
			t.Errorf("%s: disconnected: %s", connection, a.Body)
		}
	}
}

// Expiry is tested without listening, on the bubble's clock.
func TestExpiredProviderTokenIsRefreshedAtTheProvider(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tn, err := auth0test.New(auth0test.Seeds(), auth0test.URLs{
			Issuer: "http://tenant.test/", Google: "http://google.test", GitHub: "http://github.test",
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, connection := range []string{"google-oauth2", "github"} {
			if err := tn.Connect("auth0|alice", connection, []string{"openid"}, ""); err != nil {
				t.Fatal(err)
			}
		}
		google := func() answer { return exchangeDirectly(t, tn, "google-oauth2") }
		first := google()
		time.Sleep(1000 * time.Second)
		if a := google(); a.JSON["access_token"] != first.JSON["access_token"] || a.JSON["expires_in"] != 2599.0 {
			t.Errorf("after 1000 s: %s", a.Body)
		}
		time.Sleep(2599 * time.Second)
		second := google()
		if second.Status != 200 || second.JSON["access_token"] == first.JSON["access_token"] || second.JSON["expires_in"] != 3599.0 {
			t.Errorf("after the expiry: %s", second.Body)
		}

		// GitHub's refresh tokens are good once: every refresh brings a new one.
		for range 3 {
			time.Sleep(9 * time.Hour)
			if a := exchangeDirectly(t, tn, "github"); a.Status != 200 {
				t.Fatalf("GitHub: %s", a.Body)
			}
		}

		// A provider that is down is a failed refresh too.
		time.Sleep(9 * time.Hour)
		if err := tn.AddFault(auth0test.Fault{Path: "/token", Status: new(0)}); err != nil {
			t.Fatal(err)
		}
		if a := google(); a.code() != "federated_connection_refresh_token_flow_failed" {
			t.Errorf("provider down: %s", a.Body)
		}
		if a := google(); a.Status != 200 {
			t.Errorf("provider up again: %s", a.Body)
		}
	})
}

func TestConcurrentExchangesRefreshOnce(t *testing.T) {
	s := tenant(t, settings(func(set *auth0test.Settings) { set.RefreshLeeway = 100000 }))
	connect(t, s, "auth0|alice", "github", nil, "")
	alice := accessToken(t, s)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if a := exchange(t, s, alice, "connection", "github"); a.Status != 200 {
				t.Errorf("%d %s", a.Status, a.Body)
			}
		})
	}
	wg.Wait()
}

func TestRefreshTokenAsSubject(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) {
		agent := &cfg.Clients[2]
		agent.GrantTypes = append(agent.GrantTypes, vaultGrant)
	})
	connect(t, s, "auth0|alice", "google-oauth2", nil, "")
	code := newBrowser(t).login(s, "alice", "scope", "openid offline_access").Get("code")
	refresh, _ := redeem(t, s, code).JSON["refresh_token"].(string)
	issued, err := s.IssueToken(auth0test.TokenRequest{User: "auth0|alice", ClientID: "demo-agent", Scope: "offline_access"})
	if err != nil {
		t.Fatal(err)
	}
	agent := []string{"subject_token_type", refreshType, "client_id", "demo-agent", "client_secret", "demo-agent-secret"}
	for name, token := range map[string]string{"from a login": refresh, "issued without one": issued.RefreshToken} {
		if a := exchange(t, s, token, agent...); a.Status != 200 {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	if a := exchange(t, s, refresh, "subject_token_type", refreshType); a.Status != 403 || a.code() != "invalid_grant" {
		t.Errorf("another client's refresh token: %d %s", a.Status, a.Body)
	}
}
