package auth0test_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// withGoogleUser adds a user who came through Google, with metadata.
func withGoogleUser(cfg *auth0test.Config) {
	cfg.Users = append(cfg.Users, auth0test.User{
		UserID: "google-oauth2|1042", Email: "alice@example.com", EmailVerified: true, Name: "Alice at Google",
		UserMetadata: map[string]any{"theme": "dark"},
	})
}

func postIdentity(t *testing.T, s *auth0test.Server, token, path, body string) answer {
	t.Helper()
	return call(t, s, token, "POST", path+"/identities", body)
}

func quoted(s string) string {
	data, _ := json.Marshal(s)
	return string(data)
}

// identityIDs are "provider|user_id" of an answer's identities, in order.
func identityIDs(t *testing.T, a answer) string {
	t.Helper()
	list, err := listOf(a)
	if err != nil {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	out := []string{}
	for _, i := range list {
		out = append(out, fmt.Sprintf("%v|%v", i["provider"], i["user_id"]))
	}
	return strings.Join(out, " ")
}

const (
	bothIDs     = "auth0|alice google-oauth2|1042"
	linkGoogle  = `{"provider":"google-oauth2","user_id":"1042"}`
	googlePath  = "/users/google-oauth2%7C1042"
	googleUser  = "google-oauth2|1042"
	unlinkAlice = alicePath + "/identities/google-oauth2/1042"
)

func TestLinkingMakesTheSecondaryAnIdentity(t *testing.T) {
	s := tenant(t, withGoogleUser)
	token := machineToken(t, s)
	a := postIdentity(t, s, token, alicePath, linkGoogle)
	if a.Status != 201 || identityIDs(t, a) != bothIDs {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	list, _ := listOf(a)
	for i, name := range []string{"Alice Example", "Alice at Google"} {
		if p, _ := list[i]["profileData"].(map[string]any); p["name"] != name || p["email_verified"] != true {
			t.Errorf("profileData of %d: %v", i, p)
		}
	}
	wantError(t, call(t, s, token, "GET", googlePath, ""), 404, "inexistent_user", "The user does not exist.")
	u := call(t, s, token, "GET", alicePath, "")
	if u.JSON["name"] != "Alice Example" || u.JSON["user_metadata"] != nil {
		t.Errorf("the primary's profile changed: %s", u.Body)
	}
	renamed := call(t, s, token, "PATCH", alicePath, `{"name":"Alice Renamed"}`)
	if first, _ := renamed.JSON["identities"].([]any)[0].(map[string]any)["profileData"].(map[string]any); first["name"] != "Alice Renamed" {
		t.Errorf("the primary identity keeps an older profile: %s", renamed.Body)
	}
	found := call(t, s, token, "GET", "/users?q=identities.user_id:%221042%22&search_engine=v3", "")
	if users, _ := listOf(found); len(users) != 1 || users[0]["user_id"] != "auth0|alice" {
		t.Errorf("the primary is not found by the identity: %s", found.Body)
	}
}

func TestLinkTakesPrefixedIDsAndAConnection(t *testing.T) {
	s := tenant(t, withGoogleUser)
	token := machineToken(t, s)
	for body, want := range map[string]int{
		`{"provider":"google-oauth2","user_id":"google-oauth2|1042"}`:                          201,
		`{"provider":"google-oauth2","user_id":1042}`:                                          201,
		`{"provider":"google-oauth2","user_id":"1042","connection_id":"con_googleoauth2seed"}`: 201,
		`{"provider":"google-oauth2","user_id":"1042","connection_id":"con_githubseed000000"}`: 400,
		`{"provider":"google-oauth2","user_id":"1042","connection_id":"con_0000000000000000"}`: 400,
		`{"provider":"google-oauth2"}`:                                                         400,
		`{"user_id":"google-oauth2|1042"}`:                                                     400,
		`{"provider":"google-oauth2","user_id":"1042","nonsense":1}`:                           400,
		`{}`: 400,
	} {
		if a := postIdentity(t, s, token, alicePath, body); a.Status != want {
			t.Errorf("%s: %d %s", body, a.Status, a.Body)
		}
		call(t, s, token, "DELETE", unlinkAlice, "")
	}
}

func TestAPersonLinksWithTheSecondAccountsIDToken(t *testing.T) {
	s := tenant(t, withGoogleUser)
	token := scopedToken(t, s, "auth0|alice", currentUser)
	second := idTokenOf(t, s, googleUser, "link-pages")
	hs256 := tenantToken(t, s, googleUser, "link-pages", map[string]any{"alg": "HS256"})
	for name, tt := range map[string]struct {
		body   string
		status int
	}{
		"by name":                   {linkGoogle, 400},
		"with a name beside":        {`{"link_with":` + quoted(second) + `,"provider":"google-oauth2"}`, 400},
		"another client's ID token": {`{"link_with":` + quoted(idTokenOf(t, s, googleUser, "demo-agent")) + `}`, 401},
		"an access token":           {`{"link_with":` + quoted(accessToken(t, s)) + `}`, 401},
		"an HS256 token":            {`{"link_with":` + quoted(hs256) + `}`, 401},
		"a forged token":            {`{"link_with":` + quoted(second[:len(second)-4]+"AAAA") + `}`, 401},
		"no token":                  {`{"link_with":"x"}`, 401},
		"a token of nobody":         {`{"link_with":` + quoted(idTokenOf(t, s, "google-oauth2|0", "link-pages")) + `}`, 400},
		"the own account":           {`{"link_with":` + quoted(idTokenOf(t, s, "auth0|alice", "link-pages")) + `}`, 400},
	} {
		if a := postIdentity(t, s, token, alicePath, tt.body); a.Status != tt.status {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
	}
	wantError(t, postIdentity(t, s, token, bobPath, `{"link_with":`+quoted(second)+`}`), 403, "unowned_resource", "")
	machine := postIdentity(t, s, scopedToken(t, s, "", "update:users"), alicePath, `{"link_with":`+quoted(idTokenOf(t, s, googleUser, "demo-agent"))+`}`)
	wantError(t, machine, 401, "", "Invalid token")
	if a := postIdentity(t, s, token, alicePath, `{"link_with":`+quoted(second)+`}`); a.Status != 201 || identityIDs(t, a) != bothIDs {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// tenantToken is an ID token's claims under another header.
func tenantToken(t *testing.T, s *auth0test.Server, user, client string, header map[string]any) string {
	t.Helper()
	tokens, err := s.IssueToken(auth0test.TokenRequest{User: user, ClientID: client, Audience: client, Header: header})
	if err != nil {
		t.Fatal(err)
	}
	return tokens.AccessToken
}

func TestLinkRefusals(t *testing.T) {
	three := func(cfg *auth0test.Config) {
		withGoogleUser(cfg)
		cfg.Users[1].Identities = []auth0test.Identity{{Connection: "github", Provider: "github", UserID: "77"}}
	}
	s := tenant(t, three)
	token := machineToken(t, s)
	if a := postIdentity(t, s, token, alicePath, linkGoogle); a.Status != 201 {
		t.Fatal(a.Body)
	}
	for name, tt := range map[string]struct {
		path, body    string
		status        int
		code, message string
	}{
		"nobody to link":            {alicePath, `{"provider":"google-oauth2","user_id":"0"}`, 400, "", "Linking an inexistent identity is not allowed."},
		"nobody to link to":         {"/users/auth0%7Cnobody", linkGoogle, 404, "inexistent_user", "The user does not exist."},
		"to itself":                 {alicePath, `{"provider":"auth0","user_id":"alice"}`, 400, "", "The main identity"},
		"linked before":             {alicePath, linkGoogle, 409, "", "already linked"},
		"somebody else's secondary": {bobPath, linkGoogle, 409, "", "already linked"},
		"a primary with others":     {alicePath, `{"provider":"auth0","user_id":"bob"}`, 409, "", "already linked"},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, postIdentity(t, s, token, tt.path, tt.body), tt.status, tt.code, tt.message)
		})
	}
	wantError(t, postIdentity(t, s, scopedToken(t, s, "", "read:users"), alicePath, linkGoogle), 403, "insufficient_scope",
		"Insufficient scope, expected any of: update:users,update:current_user_identities")
}

func TestALinkedUserLogsInAsThePrimary(t *testing.T) {
	s := tenant(t)
	b := newBrowser(t)
	q := b.login(s, "bob", "scope", "openid offline_access")
	refresh, _ := redeem(t, s, q.Get("code")).JSON["refresh_token"].(string)
	connect(t, s, "auth0|bob", "google-oauth2", nil, "")
	before := accessToken(t, s, func(r *auth0test.TokenRequest) { r.User = "auth0|bob" })
	if a := postIdentity(t, s, machineToken(t, s), alicePath, `{"provider":"auth0","user_id":"auth0|bob"}`); a.Status != 201 || strings.Contains(a.Body, "password") {
		t.Fatal(a.Body)
	}
	if q := b.login(s, "bob", "prompt", "none"); q.Get("error") != "login_required" {
		t.Errorf("the session lives on: %v", q)
	}
	a := redeem(t, s, b.login(s, "bob", "scope", "openid email").Get("code"))
	id := claims(t, a.JSON["id_token"].(string))
	if id["sub"] != "auth0|alice" || id["email"] != "alice@example.com" {
		t.Errorf("%v", id)
	}
	if a := postForm(t, s.URL+"/oauth/token", values("grant_type", "refresh_token", "client_id", "demo-agent",
		"client_secret", "demo-agent-secret", "refresh_token", refresh)); a.code() != "invalid_grant" {
		t.Errorf("the refresh token lives on: %s", a.Body)
	}
	if a := exchange(t, s, before); a.code() != "user_not_found" {
		t.Errorf("a token of the sub that is gone: %d %s", a.Status, a.Body)
	}
	if got := refusal(exchange(t, s, accessToken(t, s))); got != notFound {
		t.Errorf("identities feed the vault: %s", got)
	}
}

func TestUnlinkingMakesAFreshUser(t *testing.T) {
	s := tenant(t, withGoogleUser)
	token := machineToken(t, s)
	wantError(t, call(t, s, token, "DELETE", alicePath+"/identities/auth0/alice", ""), 400, "", "The main identity")
	if a := postIdentity(t, s, token, alicePath, linkGoogle); a.Status != 201 {
		t.Fatal(a.Body)
	}
	wantError(t, call(t, s, token, "DELETE", alicePath+"/identities/auth0/alice", ""), 400, "", "The main identity")
	wantError(t, call(t, s, token, "DELETE", alicePath+"/identities/github/1", ""), 400, "", "does not have this identity")
	wantError(t, call(t, s, scopedToken(t, s, "auth0|bob", currentUser), "DELETE", unlinkAlice, ""), 403, "unowned_resource", "")
	a := call(t, s, scopedToken(t, s, "auth0|alice", currentUser), "DELETE", unlinkAlice, "")
	if a.Status != 200 || identityIDs(t, a) != "auth0|alice" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	u := call(t, s, token, "GET", googlePath, "")
	if u.Status != 200 || u.JSON["name"] != "Alice at Google" || u.JSON["user_metadata"] != nil || u.JSON["email_verified"] != true {
		t.Errorf("%d %s", u.Status, u.Body)
	}
}

func TestProvidersTokensNeedTheirScope(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) {
		cfg.Users[0].Identities = []auth0test.Identity{
			{Connection: "google-oauth2", Provider: "google-oauth2", UserID: "7", AccessToken: "canary-access", RefreshToken: "canary-refresh"},
		}
	})
	for scope, shown := range map[string]bool{"read:users": false, "read:users read:user_idp_tokens": true} {
		a := call(t, s, scopedToken(t, s, "", scope), "GET", alicePath, "")
		if strings.Contains(a.Body, "canary") != shown {
			t.Errorf("%s: %s", scope, a.Body)
		}
	}
}

func TestAnIdentityBelongsToOneUser(t *testing.T) {
	cfg := auth0test.Seeds()
	for i := range cfg.Users {
		cfg.Users[i].Identities = []auth0test.Identity{{Connection: "github", Provider: "github", UserID: "7"}}
	}
	_, err := auth0test.New(cfg, auth0test.URLs{Issuer: "http://t.test", Google: "http://g.test", GitHub: "http://h.test"})
	if err == nil || !strings.Contains(err.Error(), "github|7") {
		t.Errorf("%v", err)
	}
}

// linkOutcome sees how a link ends, as a machine.
func linkOutcome(path string, bodies ...string) func(*testing.T, *auth0test.Server) string {
	return func(t *testing.T, s *auth0test.Server) string {
		var a answer
		for _, body := range bodies {
			a = postIdentity(t, s, machineToken(t, s), path, body)
		}
		if a.Status == 201 {
			return "201 " + identityIDs(t, a)
		}
		return fmt.Sprint(a.Status, " ", a.JSON["message"])
	}
}

func message(method, path string) func(*testing.T, *auth0test.Server) string {
	return func(t *testing.T, s *auth0test.Server) string {
		return fmt.Sprint(call(t, s, machineToken(t, s), method, path, "").JSON["message"])
	}
}

var linkSwitches = map[string]switchTest{
	"LinkSelfMessage": {
		func(s *auth0test.Settings) { s.LinkSelfMessage = "No." },
		linkOutcome(alicePath, `{"provider":"auth0","user_id":"alice"}`),
		"400 The main identity cannot be linked to itself.", "400 No.",
	},
	"LinkConflictMessage": {
		func(s *auth0test.Settings) { s.LinkConflictMessage = "No." },
		linkOutcome(alicePath, `{"provider":"auth0","user_id":"bob"}`, `{"provider":"auth0","user_id":"bob"}`),
		"409 The identity is already linked to a user.", "409 No.",
	},
	"LinkAgain": {
		func(s *auth0test.Settings) { s.LinkAgain = "accepted" },
		linkOutcome(alicePath, `{"provider":"auth0","user_id":"bob"}`, `{"provider":"auth0","user_id":"bob"}`),
		"409 The identity is already linked to a user.", "201 auth0|alice auth0|bob",
	},
	"LinkPrimaryWithIdentities": {
		func(s *auth0test.Settings) { s.LinkPrimaryWithIdentities = "accepted" },
		func(t *testing.T, s *auth0test.Server) string {
			cfg := s.Config()
			cfg.Users = append(cfg.Users, auth0test.User{UserID: "auth0|carol", Identities: []auth0test.Identity{{Provider: "github", UserID: "7"}}})
			return linkOutcome(alicePath, `{"provider":"auth0","user_id":"carol"}`)(t, restarted(t, cfg))
		},
		"409 The identity is already linked to a user.", "201 auth0|alice auth0|carol github|7",
	},
	"LinkConnectedAccounts": {
		func(s *auth0test.Settings) { s.LinkConnectedAccounts = "moved" },
		func(t *testing.T, s *auth0test.Server) string {
			connect(t, s, "auth0|bob", "github", nil, "77")
			linkOutcome(alicePath, `{"provider":"auth0","user_id":"bob"}`)(t, s)
			return refusal(exchange(t, s, accessToken(t, s), "connection", "github"))
		},
		notFound, "200 ",
	},
	"LinkUnknownPrimaryStatus": {
		func(s *auth0test.Settings) { s.LinkUnknownPrimaryStatus = 400 },
		linkOutcome("/users/auth0%7Cnobody", `{"provider":"auth0","user_id":"bob"}`),
		"404 The user does not exist.", "400 Linking an inexistent identity is not allowed.",
	},
	"UnlinkMainMessage": {
		func(s *auth0test.Settings) { s.UnlinkMainMessage = "No." },
		message("DELETE", alicePath+"/identities/auth0/alice"), "The main identity cannot be unlinked.", "No.",
	},
	"UnlinkUnknownMessage": {
		func(s *auth0test.Settings) { s.UnlinkUnknownMessage = "No." },
		message("DELETE", alicePath+"/identities/auth0/x"), "The user does not have this identity.", "No.",
	},
	"UnownedMessage": {
		func(s *auth0test.Settings) { s.UnownedMessage = "No." },
		func(t *testing.T, s *auth0test.Server) string {
			return fmt.Sprint(call(t, s, scopedToken(t, s, "auth0|bob", currentUser), "GET", alicePath, "").JSON["message"])
		},
		"User to be acted on does not match subject in bearer token.", "No.",
	},
	"GitHubIdentityUserID": {
		func(s *auth0test.Settings) { s.GitHubIdentityUserID = "string" },
		func(t *testing.T, s *auth0test.Server) string {
			cfg := s.Config()
			cfg.Users = append(cfg.Users, auth0test.User{UserID: "github|77"})
			s = restarted(t, cfg)
			list, _ := call(t, s, machineToken(t, s), "GET", "/users/github%7C77", "").JSON["identities"].([]any)
			return fmt.Sprintf("%T", list[0].(map[string]any)["user_id"])
		},
		"float64", "string",
	},
}

// restarted is a tenant on a running one's configuration. It has the seeds'
// grants again, which name the tenant's own address.
func restarted(t *testing.T, cfg auth0test.Config) *auth0test.Server {
	t.Helper()
	seeds := auth0test.Seeds()
	seeds.Users, seeds.Settings = cfg.Users, cfg.Settings
	s := auth0test.NewServer(seeds)
	t.Cleanup(s.Close)
	return s
}
