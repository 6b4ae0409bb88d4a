package auth0test_test

import (
	"encoding/json"
	"net"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const smallConfig = `{
	"resource_servers": [{"identifier": "https://api.example.com/", "scopes": [{"value": "read:x"}]}],
	"clients": [
		{"client_id": "exchange", "client_secret": "s1", "app_type": "resource_server",
		 "resource_server_identifier": "https://api.example.com/",
		 "grant_types": ["urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"]},
		{"client_id": "pages", "client_secret": "s2", "app_type": "regular_web", "callbacks": ["{tenant}/x"]}
	],
	"client_grants": [{"client_id": "pages", "audience": "{tenant}/me/", "scope": ["read:me:connected_accounts"], "subject_type": "user"}],
	"connections": [{"name": "gh", "strategy": "github", "enabled_clients": ["exchange"], "connected_accounts": {"active": true}}],
	"users": [{"email": "carol@example.com", "password": "p",
		"connected_accounts": [{"connection": "gh", "scopes": ["repo"], "account": "42"}]}],
	"settings": {"omit_scope": true}
}`

func TestConfigFromJSON(t *testing.T) {
	cfg, err := auth0test.ParseConfig([]byte(smallConfig))
	if err != nil {
		t.Fatal(err)
	}
	s := auth0test.NewServer(cfg)
	t.Cleanup(s.Close)
	full := s.Config()
	if full.Clients[1].Callbacks[0] != s.URL+"/x" || full.ClientGrants[0].Audience != s.URL+"/me/" {
		t.Errorf("{tenant} is not the base URL: %+v", full.Clients[1])
	}
	user := full.Users[0].UserID
	if !strings.HasPrefix(user, "auth0|") {
		t.Errorf("user id %q", user)
	}
	token := accessToken(t, s, func(r *auth0test.TokenRequest) { r.User, r.Audience = "carol@example.com", "https://api.example.com/" })
	a := exchange(t, s, token, "client_id", "exchange", "client_secret", "s1", "connection", "gh", "login_hint", "42")
	if a.Status != 200 || a.JSON["scope"] != nil {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	// A grant on the My Account API means that it is active.
	if a := get(t, s.URL+mePath+"accounts", ""); a.Status != 401 {
		t.Errorf("My Account API: %d", a.Status)
	}
}

func TestActionsFromJSON(t *testing.T) {
	cfg, err := auth0test.ParseConfig([]byte(`{"actions": [
		{"name": "account-linking", "secrets": {"AUTH0_CLIENT_ID": "x"}, "configuration": {"ENFORCE_MFA": "yes"}}]}`))
	if err != nil || len(cfg.Actions) != 1 || cfg.Actions[0].Name != auth0test.AccountLinking ||
		cfg.Actions[0].Secrets["AUTH0_CLIENT_ID"] != "x" || cfg.Actions[0].Configuration["ENFORCE_MFA"] != "yes" {
		t.Errorf("%+v, %v", cfg.Actions, err)
	}
}

func TestConfigDefaultsAreThoseOfTheManagementAPI(t *testing.T) {
	cfg, _ := auth0test.ParseConfig([]byte(smallConfig))
	s := auth0test.NewServer(cfg)
	t.Cleanup(s.Close)
	full := s.Config()
	rs, custom, web := full.ResourceServers[0], full.Clients[0], full.Clients[1]
	if rs.SigningAlg != "RS256" || rs.TokenLifetime != 86400 || rs.TokenLifetimeForWeb != 7200 {
		t.Errorf("%+v", rs)
	}
	if !*custom.OIDCConformant || *web.OIDCConformant || !*web.IsFirstParty || web.RefreshToken.RotationType != "non-rotating" {
		t.Errorf("%+v %+v", custom, web)
	}
	if strings.Join(web.GrantTypes, " ") != "authorization_code implicit refresh_token client_credentials" {
		t.Errorf("%v", web.GrantTypes)
	}
}

func TestConfigRefusesMistakes(t *testing.T) {
	for name, tt := range map[string]struct{ old, new string }{
		"unknown member":        {`"users":`, `"people":`},
		"unknown user member":   {`"email"`, `"mail"`},
		"unknown setting":       {`"omit_scope"`, `"no_scope"`},
		"unknown strategy":      {`"strategy": "github"`, `"strategy": "slack"`},
		"unknown app type":      {`"regular_web"`, `"web"`},
		"client without secret": {`"client_secret": "s2", `, ``},
		"unknown API":           {`"resource_server_identifier": "https://api.example.com/"`, `"resource_server_identifier": "x"`},
		"API without its type":  {`"app_type": "resource_server",`, ``},
		"grant for nobody":      {`"client_grants": [{"client_id": "pages"`, `"client_grants": [{"client_id": "x"`},
		"grant on nothing":      {`"audience": "{tenant}/me/"`, `"audience": "x"`},
		"enabled for nobody":    {`"enabled_clients": ["exchange"]`, `"enabled_clients": ["x"]`},
		"account on nothing":    {`[{"connection": "gh"`, `[{"connection": "x"`},
		"the same client twice": {`"client_id": "pages", "client_secret"`, `"client_id": "exchange", "client_secret"`},
		"bad account":           {`"settings":`, `"provider_accounts": [{"strategy": "slack", "account": "1"}], "settings":`},
		"an identity twice":     {`"password": "p",`, `"identities": [{"provider": "gh", "user_id": "1"}, {"provider": "gh", "user_id": "1"}],`},
		"bad setting":           {`"omit_scope": true`, `"mfa_policy": "sometimes"`},
		"bad status":            {`"omit_scope": true`, `"complete_status": 204`},
		"bad factor":            {`"omit_scope": true`, `"mfa_factors": ["telepathy"]`},
		"bad dialect":           {`"scopes": [{"value"`, `"token_dialect": "x", "scopes": [{"value"`},
		"bad algorithm":         {`"scopes": [{"value"`, `"signing_alg": "RS1", "scopes": [{"value"`},
		"HS256 without secret":  {`"scopes": [{"value"`, `"signing_alg": "HS256", "scopes": [{"value"`},
		"two values":            {"\n}", "\n} {}"},
	} {
		text := strings.Replace(smallConfig, tt.old, tt.new, 1)
		if text == smallConfig {
			t.Fatalf("%s: nothing replaced", name)
		}
		cfg, err := auth0test.ParseConfig([]byte(text))
		if err == nil {
			_, err = auth0test.New(cfg, auth0test.URLs{Issuer: "http://t.test", Google: "http://g.test", GitHub: "http://h.test"})
		}
		if err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestSeedsAreAFreshCopyThatSurvivesJSON(t *testing.T) {
	a := auth0test.Seeds()
	a.Users[0].Email, a.Connections[0].Options["scope"] = "x", nil
	if b := auth0test.Seeds(); b.Users[0].Email != "alice@example.com" || b.Connections[0].Options["scope"] == nil {
		t.Error("the seeds are shared")
	}
	data, err := json.Marshal(auth0test.Seeds())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := auth0test.ParseConfig(data); err != nil {
		t.Error(err)
	}
}

func TestListenSaysWhichAddressIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	_, err = auth0test.Listen(auth0test.Seeds(), "127.0.0.1:0", l.Addr().String(), "127.0.0.1:0")
	if err == nil || !strings.Contains(err.Error(), "Google stand-in") || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("%v", err)
	}
}

func TestIssuerIsTheAddressAsGiven(t *testing.T) {
	for addr, host := range map[string]string{"localhost:0": "http://localhost:", "127.0.0.1:0": "http://127.0.0.1:", ":0": "http://127.0.0.1:"} {
		s, err := auth0test.Listen(auth0test.Seeds(), addr, "127.0.0.1:0", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		if !strings.HasPrefix(s.URL, host) || s.Issuer() != s.URL+"/" || get(t, s.URL+"/.well-known/jwks.json", "").Status != 200 {
			t.Errorf("%s: %s", addr, s.URL)
		}
		s.Close()
	}
}

func TestHS256API(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) {
		cfg.ResourceServers[0].SigningAlg, cfg.ResourceServers[0].SigningSecret = "HS256", strings.Repeat("k", 32)
	})
	token := accessToken(t, s)
	if part(t, token, 0)["alg"] != "HS256" {
		t.Error("not HS256")
	}
}

func TestRBACNarrowsScopesToPermissions(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) {
		cfg.ResourceServers[0].EnforcePolicies, cfg.ResourceServers[0].TokenDialect = true, "access_token_authz"
		cfg.Users[0].Permissions = []auth0test.UserPermission{{PermissionName: "read:calendar", ResourceServerIdentifier: audience}}
	})
	q := newBrowser(t).login(s, "alice", "scope", "openid read:calendar write:calendar")
	a := redeem(t, s, q.Get("code"))
	if a.JSON["scope"] != "openid read:calendar" {
		t.Errorf("%s", a.Body)
	}
	if p, _ := claims(t, a.JSON["access_token"].(string))["permissions"].([]any); len(p) != 1 || p[0] != "read:calendar" {
		t.Errorf("permissions %v", p)
	}
}
