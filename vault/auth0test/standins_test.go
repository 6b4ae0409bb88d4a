package auth0test_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// withStandIns are the seeds with every connection that there is a stand-in for.
func withStandIns(cfg *auth0test.Config) {
	cfg.Connections = auth0test.Seeds("windowslive", "oauth2").Connections
}

// methods are one of each connection's provider, with a scope for it.
var methods = map[string]struct{ path, scope string }{
	"google-oauth2":      {"/calendar/v3/calendars/primary/events", readonly},
	"github":             {"/user/repos", "repo"},
	"windowslive":        {"/v1.0/me/messages", "Mail.Read"},
	"sign-in-with-slack": {"/api/conversations.list", "channels:read"},
}

func standInURL(s *auth0test.Server, connection string) string {
	return map[string]string{
		"google-oauth2": s.GoogleURL, "github": s.GitHubURL, "windowslive": s.MicrosoftURL, "sign-in-with-slack": s.SlackURL,
	}[connection]
}

func TestEveryStandInConnectsServesRevokesAndLogsIn(t *testing.T) {
	s := tenant(t, withStandIns)
	for _, c := range s.Config().Connections {
		if c.Strategy == "auth0" { // the database
			continue
		}
		t.Run(c.Name, func(t *testing.T) {
			method := methods[c.Name]
			b := aliceBrowser(t, s)
			l := startLink(t, s, map[string]any{"connection": c.Name, "scopes": []string{"openid", "offline_access", method.scope}})
			page, at := b.open(l.open, callback)
			if strings.Contains(page.Body, "offline_access") {
				t.Error("the page asks for offline_access, which is no permission")
			}
			_, at = b.follow(b.submit(page, at, allow("a-1", "openid", method.scope)), at, callback)
			back, err := url.Parse(at)
			if err != nil {
				t.Fatal(err)
			}
			if a := l.complete(back.Query().Get("connect_code"), nil); a.Status != 201 {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			a := exchange(t, s, accessToken(t, s), "connection", c.Name, "login_hint", "a-1")
			if a.Status != 200 || strings.Contains(a.JSON["scope"].(string), "offline_access") {
				t.Fatalf("%d %s", a.Status, a.Body)
			}
			token := a.JSON["access_token"].(string)
			api := standInURL(s, c.Name) + method.path
			if a := get(t, api, token); a.Status != 200 || a.JSON["ok"] == false || a.JSON["error"] != nil {
				t.Errorf("%d %s", a.Status, a.Body)
			}
			if err := s.Revoke("auth0|alice", c.Name); err != nil {
				t.Fatal(err)
			}
			if a := get(t, api, token); a.Status == 200 && a.JSON["error"] != "token_revoked" {
				t.Errorf("revoked: %d %s", a.Status, a.Body)
			}
			if a := exchange(t, s, accessToken(t, s), "connection", c.Name); a.code() != "federated_connection_refresh_token_flow_failed" {
				t.Errorf("revoked: %d %s", a.Status, a.Body)
			}
			q := newBrowser(t).loginThrough(s, c.Name, everyScope("someone", "User.Read"))
			who := idToken(t, s, q)
			if sub := who["sub"].(string); !strings.HasPrefix(sub, c.Strategy+"|") || !strings.HasSuffix(sub, "someone") || who["email"] != "someone@accounts.example" {
				t.Errorf("logged in as %v", who)
			}
		})
	}
}

func TestRefreshTokensOfEveryStandInRenewForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tn, err := auth0test.New(auth0test.Seeds("windowslive", "oauth2"), auth0test.URLs{Issuer: "http://tenant.test/"})
		if err != nil {
			t.Fatal(err)
		}
		for connection, method := range methods {
			if err := tn.Connect("auth0|alice", connection, []string{method.scope}, ""); err != nil {
				t.Fatal(err)
			}
			var seen []any
			for range 3 {
				a := exchangeDirectly(t, tn, connection)
				if a.Status != 200 || slices.Contains(seen, a.JSON["access_token"]) {
					t.Errorf("%s: %d %s", connection, a.Status, a.Body)
				}
				seen = append(seen, a.JSON["access_token"])
				time.Sleep(13 * time.Hour)
			}
		}
	})
}

func TestMicrosoftSpellsScopesByTheKindOfAccount(t *testing.T) {
	s := tenant(t, withStandIns)
	const graph, work, personal = "https://graph.microsoft.com/", "3f2504e0-4f89-41d3-9a0c-0305e82c3301", "0003bffd4e2a91c7"
	for _, tt := range []struct{ account, asked, answered string }{
		{work, "offline_access User.Read", graph + "User.Read"},
		{work, "openid " + graph + "Mail.Read", "openid " + graph + "Mail.Read"},
		{personal, "offline_access User.Read", "User.Read"},
		{personal, graph + "Mail.Read openid", "Mail.Read openid"},
		{personal, "mail.read", "Mail.Read"},
		{work, "https://outlook.office.com/IMAP.AccessAsUser.All", "https://outlook.office.com/IMAP.AccessAsUser.All"},
	} {
		if err := s.Disconnect("auth0|alice", "windowslive"); err != nil {
			t.Fatal(err)
		}
		connect(t, s, "auth0|alice", "windowslive", strings.Fields(tt.asked), tt.account)
		if a := exchange(t, s, accessToken(t, s), "connection", "windowslive"); a.JSON["scope"] != tt.answered {
			t.Errorf("%s asked for %s: %s", tt.account, tt.asked, a.Body)
		}
	}
}

func TestMicrosoftGivesNoRefreshTokenWithoutOfflineAccess(t *testing.T) {
	s := tenant(t, withStandIns, func(cfg *auth0test.Config) {
		for _, c := range cfg.Connections {
			delete(c.Options, "offline_access")
		}
	})
	for _, tt := range []struct {
		scopes []string
		status int
	}{{[]string{"User.Read"}, 401}, {[]string{"User.Read", "offline_access"}, 200}} {
		l := startLink(t, s, map[string]any{"connection": "windowslive", "scopes": tt.scopes})
		q := l.consent(aliceBrowser(t, s), allow("0003bffd4e2a91c7", "User.Read"))
		if a := l.complete(q.Get("connect_code"), nil); a.Status != 201 {
			t.Fatalf("%d %s", a.Status, a.Body)
		}
		if a := exchange(t, s, accessToken(t, s), "connection", "windowslive"); a.Status != tt.status {
			t.Errorf("%v: %d %s", tt.scopes, a.Status, a.Body)
		}
	}
}

func TestGraphErrsInItsOwnStyle(t *testing.T) {
	s := tenant(t, withStandIns)
	read := providerToken(t, s, "windowslive", "User.Read")
	for name, tt := range map[string]struct {
		path, token string
		status      int
		code        string
	}{
		"good":            {"/v1.0/me", read, 200, ""},
		"no token":        {"/v1.0/me", "", 401, "InvalidAuthenticationToken"},
		"another's token": {"/v1.0/me", accessToken(t, s), 401, "InvalidAuthenticationToken"},
		"no mail":         {"/v1.0/me/messages", read, 403, "ErrorAccessDenied"},
		"no profile":      {"/v1.0/me", providerToken(t, s, "windowslive", "Mail.Read"), 403, "Authorization_RequestDenied"},
		"no such method":  {"/v1.0/me/nothing", read, 400, "BadRequest"},
	} {
		a := get(t, s.MicrosoftURL+tt.path, tt.token)
		e, _ := a.JSON["error"].(map[string]any)
		code, _ := e["code"].(string)
		if a.Status != tt.status || code != tt.code || (code != "" && e["innerError"] == nil) {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		if (a.Status == 401) != (a.Header.Get("WWW-Authenticate") != "") {
			t.Errorf("%s: challenge %q", name, a.Header.Get("WWW-Authenticate"))
		}
	}
}

func TestSlackSaysEverythingWithStatus200(t *testing.T) {
	s := tenant(t, withStandIns)
	token := providerToken(t, s, "sign-in-with-slack", "chat:write")
	if a := exchange(t, s, accessToken(t, s), "connection", "sign-in-with-slack"); a.JSON["scope"] != "chat:write" {
		t.Errorf("%s", a.Body)
	}
	post := func(token string, body map[string]any) answer {
		return postJSON(t, s.SlackURL+"/api/chat.postMessage", token, body)
	}
	message := map[string]any{"channel": "#general", "text": "Hello"}
	for name, tt := range map[string]struct {
		answer answer
		error  any
	}{
		"who it is":       {get(t, s.SlackURL+"/api/auth.test", token), nil},
		"a message":       {post(token, message), nil},
		"no text":         {post(token, map[string]any{"channel": "#general"}), "no_text"},
		"no such channel": {post(token, map[string]any{"channel": "#x", "text": "x"}), "channel_not_found"},
		"no token":        {post("", message), "not_authed"},
		"unknown token":   {post("x", message), "invalid_auth"},
		"too few scopes":  {get(t, s.SlackURL+"/api/conversations.list", token), "missing_scope"},
		"no such method":  {get(t, s.SlackURL+"/api/x.y", token), "unknown_method"},
	} {
		if a := tt.answer; a.Status != 200 || a.JSON["ok"] != (tt.error == nil) || a.JSON["error"] != tt.error {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	connect(t, s, "auth0|alice", "sign-in-with-slack", []string{"channels:read", "chat:write"}, "")
	if a := exchange(t, s, accessToken(t, s), "connection", "sign-in-with-slack"); a.JSON["scope"] != "channels:read,chat:write" {
		t.Errorf("%s", a.Body)
	}
}

func TestACustomSocialConnectionIsSlacksOrNone(t *testing.T) {
	for at, good := range map[string]bool{"https://slack.com/oauth/v2_user/authorize": true, "https://box.example/authorize": false} {
		cfg := auth0test.Seeds("oauth2")
		cfg.Connections[2].Options["authorizationURL"] = at
		if _, err := auth0test.New(cfg, auth0test.URLs{Issuer: "http://t.test"}); (err == nil) != good {
			t.Errorf("%s: %v", at, err)
		}
	}
}

func TestAStandInListensOnlyWhereItIsTold(t *testing.T) {
	s, err := auth0test.Listen(auth0test.Seeds("windowslive"), "127.0.0.1:0", "", "", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if s.GoogleURL != "" || s.SlackURL != "" || get(t, s.MicrosoftURL+"/v1.0/me", "").Status != 401 {
		t.Errorf("%q %q %q", s.GoogleURL, s.SlackURL, s.MicrosoftURL)
	}
	if _, err := auth0test.Listen(auth0test.Seeds(), "127.0.0.1:0", "", "", "", "", ""); err == nil {
		t.Error("an address of no stand-in")
	}
}
