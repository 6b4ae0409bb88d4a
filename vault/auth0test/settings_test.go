package auth0test_test

import (
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// A switchTest is one setting: what can be seen with its default, and with
// another value.
type switchTest struct {
	set             func(*auth0test.Settings)
	see             func(*testing.T, *auth0test.Server) string
	byDefault, then string
}

func refusal(a answer) string { return fmt.Sprintf("%d %s", a.Status, a.code()) }

// exchanging sees the refusal of an exchange.
func exchanging(change func(*auth0test.TokenRequest), pairs ...string) func(*testing.T, *auth0test.Server) string {
	return func(t *testing.T, s *auth0test.Server) string {
		return refusal(exchange(t, s, accessToken(t, s, change), pairs...))
	}
}

// connected sees a member of the exchange's answer.
func connected(member string, pairs ...string) func(*testing.T, *auth0test.Server) string {
	return func(t *testing.T, s *auth0test.Server) string {
		connect(t, s, "auth0|alice", "github", []string{"repo", "read:user"}, "one")
		a := exchange(t, s, accessToken(t, s), append([]string{"connection", "github"}, pairs...)...)
		if a.Status != 200 {
			return refusal(a)
		}
		return fmt.Sprint(a.JSON[member])
	}
}

func keep(*auth0test.TokenRequest) {}

const notFound = "401 federated_connection_refresh_token_not_found"

var exchangeSwitches = map[string]switchTest{
	"NotConnectedError": {
		func(s *auth0test.Settings) { s.NotConnectedError = "tokenset_not_found" },
		exchanging(keep), notFound, "401 tokenset_not_found",
	},
	"UnknownConnectionError": {
		func(s *auth0test.Settings) { s.UnknownConnectionError = "invalid_request" },
		exchanging(keep, "connection", "x"), notFound, "400 invalid_request",
	},
	"UnknownUserError": {
		func(s *auth0test.Settings) { s.UnknownUserError = "invalid_grant" },
		exchanging(func(r *auth0test.TokenRequest) { r.User = "auth0|gone" }), "401 user_not_found", "401 invalid_grant",
	},
	"UserNotFoundMember": {
		func(s *auth0test.Settings) { s.UserNotFoundMember = "description" },
		func(t *testing.T, s *auth0test.Server) string {
			return exchange(t, s, accessToken(t, s, func(r *auth0test.TokenRequest) { r.User = "auth0|gone" })).Body
		},
		`{"error":"user_not_found","error_description":"Identity User not found."}`,
		`{"description":"Identity User not found.","error":"user_not_found"}`,
	},
	"InvalidSubjectError": {
		func(s *auth0test.Settings) { s.InvalidSubjectError = "invalid_token" },
		exchanging(func(r *auth0test.TokenRequest) { r.ExpiresIn = new(-1) }), "401 invalid_grant", "401 invalid_token",
	},
	"WrongAudienceError": {
		func(s *auth0test.Settings) { s.WrongAudienceError = "invalid_request" },
		exchanging(func(r *auth0test.TokenRequest) { r.Audience = "https://x/" }), "403 unauthorized_client", "403 invalid_request",
	},
	"WrongAudienceStatus": {
		func(s *auth0test.Settings) { s.WrongAudienceStatus = 401 },
		exchanging(func(r *auth0test.TokenRequest) { r.Audience = "https://x/" }), "403 unauthorized_client", "401 unauthorized_client",
	},
	"RefuseBoundSubject": {
		func(s *auth0test.Settings) { s.RefuseBoundSubject = true },
		exchanging(func(r *auth0test.TokenRequest) {
			r.Claims = map[string]any{"cnf": map[string]string{"jkt": "x"}}
		}),
		notFound, "401 invalid_grant",
	},
	"SeveralAccounts": {
		func(s *auth0test.Settings) { s.SeveralAccounts = "newest" },
		func(t *testing.T, s *auth0test.Server) string {
			connect(t, s, "auth0|alice", "github", []string{"first"}, "1")
			connect(t, s, "auth0|alice", "github", []string{"second"}, "2")
			return fmt.Sprint(exchange(t, s, accessToken(t, s), "connection", "github").JSON["scope"])
		},
		"first", "second",
	},
	"LoginHintEmail": {
		func(s *auth0test.Settings) { s.LoginHintEmail = true },
		func(t *testing.T, s *auth0test.Server) string {
			connect(t, s, "auth0|alice", "github", nil, "")
			return refusal(exchange(t, s, accessToken(t, s), "connection", "github", "login_hint", "Alice@example.com"))
		},
		"401 user_not_found", "200 ",
	},
	"VaultRequestScope": {
		func(s *auth0test.Settings) { s.VaultRequestScope = "honoured" },
		connected("scope", "scope", "repo"), "repo,read:user", "repo",
	},
	"OmitScope":      {func(s *auth0test.Settings) { s.OmitScope = true }, connected("scope"), "repo,read:user", "<nil>"},
	"ScopeSeparator": {func(s *auth0test.Settings) { s.ScopeSeparator = "space" }, connected("scope"), "repo,read:user", "repo read:user"},
	"OmitExpiresIn": {
		func(s *auth0test.Settings) { s.OmitExpiresIn = true },
		func(t *testing.T, s *auth0test.Server) string {
			return fmt.Sprint(connected("expires_in")(t, s) != "<nil>")
		},
		"true", "false",
	},
	"ExpiresIn": {
		func(s *auth0test.Settings) { s.ExpiresIn = new(int64(0)) },
		func(t *testing.T, s *auth0test.Server) string {
			return fmt.Sprint(connected("expires_in")(t, s) == "0")
		},
		"false", "true",
	},
	"MFAPolicy": {func(s *auth0test.Settings) { s.MFAPolicy = "always" }, exchanging(keep), notFound, "403 mfa_required"},
	"MFARequiredStatus": {
		func(s *auth0test.Settings) { s.MFAPolicy, s.MFARequiredStatus = "always", 401 },
		exchanging(keep), notFound, "401 mfa_required",
	},
	"WrongSecretError": {
		func(s *auth0test.Settings) { s.WrongSecretError = "invalid_client" },
		exchanging(keep, "client_secret", "x"), "401 access_denied", "401 invalid_client",
	},
	"UnsupportedGrantStatus": {
		func(s *auth0test.Settings) { s.UnsupportedGrantStatus = 400 },
		exchanging(keep, "grant_type", "x"), "403 unsupported_grant_type", "400 unsupported_grant_type",
	},
	"RefreshLeeway": {
		func(s *auth0test.Settings) { s.RefreshLeeway = 8 * 3600 },
		func(t *testing.T, s *auth0test.Server) string {
			first := connected("access_token")(t, s)
			return fmt.Sprint(exchange(t, s, accessToken(t, s), "connection", "github").JSON["access_token"] == first)
		},
		"true", "false",
	},
	"GitHubOAuthApp": {func(s *auth0test.Settings) { s.GitHubOAuthApp = true }, connected("token_type"), "Bearer", notFound},
}

// linking goes through the whole connect flow and sees the last answer.
func linking(see func(start, end answer) string) func(*testing.T, *auth0test.Server) string {
	return func(t *testing.T, s *auth0test.Server) string {
		start := postJSON(t, s.URL+mePath+"connect", meToken(t, s, "auth0|alice"), connectBody(nil))
		l := startLink(t, s, nil)
		code := l.consent(aliceBrowser(t, s), allow("g-1", "openid")).Get("connect_code")
		return see(start, l.complete(code, nil))
	}
}

func connectURI(t *testing.T, s *auth0test.Server) string {
	return linking(func(start, end answer) string {
		return strings.TrimPrefix(fmt.Sprint(start.JSON["connect_uri"]), s.URL) + fmt.Sprint(" ", end.Status)
	})(t, s)
}

var myAccountSwitches = map[string]switchTest{
	"CompleteStatus": {
		func(s *auth0test.Settings) { s.CompleteStatus = 200 },
		linking(func(_, end answer) string { return fmt.Sprint(end.Status) }), "201", "200",
	},
	"ConnectURIPath": {
		func(s *auth0test.Settings) { s.ConnectURIPath = "/connect" },
		connectURI, "/connected-accounts/connect 201", "/connect 201",
	},
	"ConnectURIQuery": {
		func(s *auth0test.Settings) { s.ConnectURIQuery = "a=b" },
		connectURI, "/connected-accounts/connect 201", "/connected-accounts/connect?a=b 201",
	},
	"ConnectRedirectURI": {
		func(s *auth0test.Settings) { s.ConnectRedirectURI = "any" },
		func(t *testing.T, s *auth0test.Server) string {
			body := connectBody(map[string]any{"redirect_uri": "https://elsewhere.example/"})
			return fmt.Sprint(postJSON(t, s.URL+mePath+"connect", meToken(t, s, "auth0|alice"), body).Status)
		},
		"400", "201",
	},
	"ConnectWrongBrowser": {
		func(s *auth0test.Settings) { s.ConnectWrongBrowser = "page" },
		func(t *testing.T, s *auth0test.Server) string {
			return fmt.Sprint(newBrowser(t).get(startLink(t, s, nil).open).Status)
		},
		"302", "403",
	},
	"Reconnect": {
		func(s *auth0test.Settings) { s.Reconnect = "add" },
		func(t *testing.T, s *auth0test.Server) string {
			connect(t, s, "auth0|alice", "github", nil, "1")
			connect(t, s, "auth0|alice", "github", nil, "1")
			a := get(t, s.URL+mePath+"accounts", meToken(t, s, "auth0|alice"))
			return fmt.Sprint(len(a.JSON["accounts"].([]any)))
		},
		"1", "2",
	},
	"MaxAccounts": {
		func(s *auth0test.Settings) { s.MaxAccounts = 1 },
		func(t *testing.T, s *auth0test.Server) string {
			connect(t, s, "auth0|alice", "google-oauth2", nil, "another")
			return linking(func(_, end answer) string { return fmt.Sprint(end.Status) })(t, s)
		},
		"201", "409",
	},
	"DeleteUnknownStatus": {
		func(s *auth0test.Settings) { s.DeleteUnknownStatus = 404 },
		func(t *testing.T, s *auth0test.Server) string {
			req := request(t, http.MethodDelete, s.URL+mePath+"accounts/cac_x", "", "")
			req.Header.Set("Authorization", "Bearer "+meToken(t, s, "auth0|alice"))
			return fmt.Sprint(do(t, http.DefaultClient, req).Status)
		},
		"204", "404",
	},
	"OmitWWWAuthenticate": {
		func(s *auth0test.Settings) { s.OmitWWWAuthenticate = true },
		func(t *testing.T, s *auth0test.Server) string {
			return get(t, s.URL+mePath+"accounts", "").Header.Get("WWW-Authenticate")
		},
		"Bearer", "",
	},
}

var loginSwitches = map[string]switchTest{
	"ClockSkew": {
		func(s *auth0test.Settings) { s.ClockSkew = 3600 },
		func(t *testing.T, s *auth0test.Server) string {
			iat := claims(t, accessToken(t, s))["iat"].(float64)
			return fmt.Sprint(int64(iat) > time.Now().Unix()+1000)
		},
		"false", "true",
	},
	"RefusedConnectionError": {
		func(s *auth0test.Settings) { s.RefusedConnectionError = "unauthorized_client" },
		func(t *testing.T, s *auth0test.Server) string {
			return newBrowser(t).loginThrough(s, "x", nil).Get("error")
		},
		"invalid_request", "unauthorized_client",
	},
	"IdentitiesFeedVault": {
		func(s *auth0test.Settings) { s.IdentitiesFeedVault = true },
		func(t *testing.T, s *auth0test.Server) string {
			newBrowser(t).loginThrough(s, "google-oauth2", everyScope("g-1"))
			return refusal(exchange(t, s, accessToken(t, s, func(r *auth0test.TokenRequest) { r.User = "google-oauth2|g-1" })))
		},
		notFound, "200 ",
	},
	"PushedAuthorizationRequestsSupported": {
		func(s *auth0test.Settings) { s.PushedAuthorizationRequestsSupported = true },
		discovered, "<nil> 404", "/oauth/par 201",
	},
	"Organizations": {
		func(s *auth0test.Settings) {
			s.Organizations = []auth0test.Organization{{ID: "org_x", Name: "x", Members: []string{"auth0|alice"}}}
		},
		func(t *testing.T, s *auth0test.Server) string {
			return newBrowser(t).login(s, "alice", "organization", "org_x").Get("error")
		},
		"invalid_request", "",
	},
	"AnyOrganization": {
		func(s *auth0test.Settings) { s.AnyOrganization = true },
		func(t *testing.T, s *auth0test.Server) string {
			return newBrowser(t).login(s, "alice", "organization", "org_x").Get("error")
		},
		"invalid_request", "",
	},
}

// Every setting must change what can be seen, and none may be forgotten here.
func TestEverySettingSwitches(t *testing.T) {
	elsewhere := map[string]bool{"RotatingSubjectError": true, "OfflineAccess": true, "GoogleRefreshToken": true, "SessionAfterContinue": true} // their own tests below
	settingsType := reflect.TypeFor[auth0test.Settings]()
	for i := range settingsType.NumField() {
		name := settingsType.Field(i).Name
		tt, ok := exchangeSwitches[name]
		for _, more := range []map[string]switchTest{myAccountSwitches, loginSwitches, linkSwitches, objectSwitches} {
			if !ok {
				tt, ok = more[name]
			}
		}
		if !ok {
			if !elsewhere[name] {
				t.Errorf("no test for %s", name)
			}
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := tt.see(t, tenant(t)); got != tt.byDefault {
				t.Errorf("by default: %s, want %s", got, tt.byDefault)
			}
			if got := tt.see(t, tenant(t, settings(tt.set))); got != tt.then {
				t.Errorf("switched: %s, want %s", got, tt.then)
			}
		})
	}
}

func TestOtherValuesOfSettings(t *testing.T) {
	s := tenant(t, settings(func(set *auth0test.Settings) {
		set.SeveralAccounts, set.VaultRequestScope = "error", "rejected"
	}))
	connect(t, s, "auth0|alice", "github", nil, "1")
	if a := exchange(t, s, accessToken(t, s), "connection", "github", "scope", "repo"); refusal(a) != "400 invalid_request" {
		t.Errorf("%s", a.Body)
	}
	connect(t, s, "auth0|alice", "github", nil, "2")
	if a := exchange(t, s, accessToken(t, s), "connection", "github"); refusal(a) != "400 invalid_request" {
		t.Errorf("%s", a.Body)
	}
	comma := tenant(t, settings(func(set *auth0test.Settings) { set.ScopeSeparator = "comma" }))
	connect(t, comma, "auth0|alice", "google-oauth2", []string{"openid", readonly}, "")
	if a := exchange(t, comma, accessToken(t, comma)); a.JSON["scope"] != "openid,"+readonly {
		t.Errorf("%s", a.Body)
	}
}

func TestOfflineAccessSetting(t *testing.T) {
	for value, want := range map[string]string{"connection": notFound, "always": "200 "} {
		s := tenant(t, func(cfg *auth0test.Config) {
			delete(cfg.Connections[0].Options, "offline_access")
			cfg.Settings.OfflineAccess = value
		})
		l := startLink(t, s, nil)
		l.complete(l.consent(aliceBrowser(t, s), allow("g-1", "openid")).Get("connect_code"), nil)
		if got := refusal(exchange(t, s, accessToken(t, s))); got != want {
			t.Errorf("%s: %s", value, got)
		}
	}
}

// Google asks an account once, and gives a refresh token only when it asks.
func TestGoogleRefreshTokenSetting(t *testing.T) {
	consented := map[string]any{"prompt": "consent"}
	chosen := map[string]any{"prompt": "select_account", "login_hint": "g-1"}
	for value, again := range map[string]string{"": "200 ", "always": "200 ", "consent": notFound} {
		t.Run("setting "+value, func(t *testing.T) {
			s := tenant(t, settings(func(set *auth0test.Settings) { set.GoogleRefreshToken = value }))
			b := aliceBrowser(t, s)
			revoke := func() {
				if err := s.Revoke("auth0|alice", "google-oauth2"); err != nil {
					t.Fatal(err)
				}
			}
			for _, tt := range []struct {
				name    string
				before  func()
				params  map[string]any
				account string
				scopes  []string
				want    string
			}{
				{"the first time", nil, nil, "g-1", []string{"openid"}, "200 "},
				{"the same again", nil, nil, "g-1", []string{"openid"}, again},
				{"the account chosen again", nil, chosen, "g-1", []string{"openid"}, again},
				{"consent asked for", nil, consented, "g-1", []string{"openid"}, "200 "},
				{"a further scope", nil, nil, "g-1", []string{"openid", "email"}, "200 "},
				{"both again, one by its long name", nil, nil, "g-1", []string{"https://www.googleapis.com/auth/userinfo.email", "openid"}, again},
				{"fewer", nil, nil, "g-1", []string{"email"}, again},
				{"another account", nil, nil, "g-2", []string{"openid"}, "200 "},
				{"after the vault forgot it", func() { _ = s.Disconnect("auth0|alice", "google-oauth2") }, nil, "g-1", []string{"openid"}, again},
				{"after a revocation", revoke, nil, "g-1", []string{"openid"}, "200 "},
				{"after a connect without a page", func() { connect(t, s, "auth0|alice", "google-oauth2", []string{"profile"}, "g-3") }, nil, "g-3", []string{"profile"}, again},
			} {
				if tt.before != nil {
					tt.before()
				}
				change := map[string]any{"scopes": tt.scopes}
				if tt.params != nil {
					change["authorization_params"] = tt.params
				}
				l := startLink(t, s, change)
				l.complete(l.consent(b, allow(tt.account, tt.scopes...)).Get("connect_code"), nil)
				if got := refusal(exchange(t, s, accessToken(t, s), "login_hint", tt.account)); got != tt.want {
					t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
				}
			}
		})
	}
}

func TestScopesLeftUntickedAreAskedForAgain(t *testing.T) {
	s := tenant(t, settings(func(set *auth0test.Settings) { set.GoogleRefreshToken = "consent" }))
	for range 2 {
		l := startLink(t, s, map[string]any{"scopes": []string{"openid", readonly}})
		l.complete(l.consent(aliceBrowser(t, s), allow("g-1", "openid")).Get("connect_code"), nil)
		if got := refusal(exchange(t, s, accessToken(t, s))); got != "200 " {
			t.Errorf("%s", got)
		}
	}
}

// The setting is Google's: a GitHub App always gives a refresh token.
func TestGitHubTakesNoNoticeOfGooglesSetting(t *testing.T) {
	s := tenant(t, settings(func(set *auth0test.Settings) { set.GoogleRefreshToken = "consent" }))
	for range 2 {
		l := startLink(t, s, map[string]any{"connection": "github", "scopes": nil})
		l.complete(l.consent(aliceBrowser(t, s), allow("1", "read:user")).Get("connect_code"), nil)
		if got := refusal(exchange(t, s, accessToken(t, s), "connection", "github")); got != "200 " {
			t.Errorf("%s", got)
		}
	}
}

func TestRotatingSubjectErrorSetting(t *testing.T) {
	for value, want := range map[string]string{"": "403 unauthorized_client", "invalid_grant": "403 invalid_grant"} {
		s := tenant(t, func(cfg *auth0test.Config) {
			agent := &cfg.Clients[2]
			agent.GrantTypes = append(agent.GrantTypes, vaultGrant)
			agent.RefreshToken = &auth0test.RefreshToken{RotationType: "rotating"}
			cfg.Settings.RotatingSubjectError = value
		})
		code := newBrowser(t).login(s, "alice", "scope", "openid offline_access").Get("code")
		refresh, _ := redeem(t, s, code).JSON["refresh_token"].(string)
		a := exchange(t, s, refresh, "subject_token_type", refreshType, "client_id", "demo-agent", "client_secret", "demo-agent-secret")
		if refusal(a) != want {
			t.Errorf("%q: %d %s", value, a.Status, a.Body)
		}
	}
}
