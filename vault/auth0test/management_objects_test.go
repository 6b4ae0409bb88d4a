package auth0test_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// allScopes lets a token do all that the tests of objects do.
func allScopes(t *testing.T, s *auth0test.Server) string {
	t.Helper()
	scopes := []string{
		"read:users", "delete:users", "read:client_keys", "read:authentication_methods", "read:tenant_settings",
		"update:tenant_settings", "read:mfa_policies", "update:mfa_policies", "read:guardian_factors", "update:users", "create:users",
	}
	for _, of := range []string{"clients", "client_grants", "connections", "resource_servers"} {
		for _, verb := range []string{"read:", "create:", "update:", "delete:"} {
			scopes = append(scopes, verb+of)
		}
	}
	return scopedToken(t, s, "", strings.Join(scopes, " "))
}

// want wants a status, and gives the answer back.
func want(t *testing.T, status int, a answer) answer {
	t.Helper()
	if a.Status != status {
		t.Fatalf("%d %s, want %d", a.Status, a.Body, status)
	}
	return a
}

func textOf(t *testing.T, a answer, member string) string {
	t.Helper()
	s, _ := a.JSON[member].(string)
	if s == "" {
		t.Fatalf("no %s: %s", member, a.Body)
	}
	return s
}

const newAPI = `{"name":"Other API","identifier":"https://other.example.com/","scopes":[{"value":"read:x"}]}`

func TestACustomAPIClientIsMadeOfWhatAuth0Takes(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	api := want(t, 201, call(t, s, token, "POST", "/resource-servers", newAPI))
	made := want(t, 201, call(t, s, token, "POST", "/clients",
		`{"name":"Exchange","app_type":"resource_server","resource_server_identifier":"https://other.example.com/"}`))
	if made.JSON["oidc_conformant"] != true || made.JSON["is_first_party"] != true || len(made.JSON["grant_types"].([]any)) != 0 {
		t.Errorf("%s", made.Body)
	}
	id, secret := textOf(t, made, "client_id"), textOf(t, made, "client_secret")
	linked := call(t, s, token, "GET", "/resource-servers/"+textOf(t, api, "id"), "")
	if linked.JSON["client_id"] != id {
		t.Errorf("the API does not show its client: %s", linked.Body)
	}
	subject := accessToken(t, s, func(r *auth0test.TokenRequest) { r.Audience = "https://other.example.com/" })
	ask := func() string {
		return refusal(exchange(t, s, subject, "client_id", id, "client_secret", secret))
	}
	if got := ask(); got != "403 unauthorized_client" {
		t.Errorf("without the grant: %s", got)
	}
	want(t, 200, call(t, s, token, "PATCH", "/clients/"+id, `{"grant_types":["`+vaultGrant+`"]}`))
	want(t, 204, call(t, s, token, "PATCH", "/connections/con_googleoauth2seed/clients", `[{"client_id":"`+id+`","status":true}]`))
	if got := ask(); got != notFound {
		t.Errorf("with the grant: %s", got)
	}
	connect(t, s, "auth0|alice", "google-oauth2", nil, "")
	if got := ask(); got != "200 " {
		t.Errorf("connected: %s", got)
	}
	second := call(t, s, token, "POST", "/clients",
		`{"name":"Second","app_type":"resource_server","resource_server_identifier":"https://other.example.com/"}`)
	wantError(t, second, 400, "invalid_body", "https://other.example.com/")
}

func TestAnOrdinaryClientIsNotConformantByItself(t *testing.T) {
	s := tenant(t)
	a := want(t, 201, call(t, s, allScopes(t, s), "POST", "/clients", `{"name":"Web","app_type":"regular_web"}`))
	grants := fmt.Sprint(a.JSON["grant_types"])
	if a.JSON["oidc_conformant"] != false || grants != "[authorization_code implicit refresh_token client_credentials]" {
		t.Errorf("%s", a.Body)
	}
}

func TestSecretsNeedTheirScope(t *testing.T) {
	s := tenant(t)
	for scope, shown := range map[string]bool{"read:clients": false, "read:client_keys": true} {
		for _, path := range []string{"/clients", "/clients/link-pages"} {
			a := call(t, s, scopedToken(t, s, "", scope), "GET", path, "")
			if a.Status != 200 || strings.Contains(a.Body, "link-pages-secret") != shown {
				t.Errorf("%s %s: %d %s", scope, path, a.Status, a.Body)
			}
		}
	}
}

func TestClientsRefuseWhatAuth0Refuses(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	for body, message := range map[string]string{
		`{"name":"x","nonsense":1}`:             "Additional properties not allowed: nonsense",
		`{"name":"x","client_id":"mine"}`:       "Additional properties not allowed: client_id",
		`{"name":"x","client_secret":"mine"}`:   "Additional properties not allowed: client_secret",
		`{"app_type":"spa"}`:                    "Missing required property: name",
		`{"name":"x","app_type":"web"}`:         "app_type",
		`{"name":"x","grant_types":"implicit"}`: "Expected type array but found type string",
		`{"name":"x","app_type":"resource_server","resource_server_identifier":"https://x/"}`:         "https://x/",
		`{"name":"x","refresh_token":{"rotation_type":"rotating","expiration_type":"x","y":true}}`:    "Additional properties not allowed: y",
		`{"name":"x","refresh_token":{"rotation_type":"sometimes","expiration_type":"non-expiring"}}`: "rotation_type",
	} {
		wantError(t, call(t, s, token, "POST", "/clients", body), 400, "invalid_body", message)
	}
	before := len(s.Config().Clients)
	wantError(t, call(t, s, token, "PATCH", "/clients/link-pages", `{"app_type":"web"}`), 400, "invalid_body", "app_type")
	wantError(t, call(t, s, token, "PATCH", "/clients/nobody", `{}`), 404, "inexistent_client", "")
	if cfg := s.Config(); len(cfg.Clients) != before || cfg.Clients[1].AppType != "regular_web" {
		t.Error("a refused change was kept")
	}
}

func TestPatchingAClientReplacesWhatIsSent(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	a := want(t, 200, call(t, s, token, "PATCH", "/clients/link-pages",
		`{"callbacks":["https://a.example.com/cb"],"allowed_logout_urls":null,"refresh_token":{"rotation_type":"rotating","expiration_type":"expiring","leeway":3,
		  "policies":[{"audience":"{tenant}","scope":["a"]}]}}`))
	refresh, _ := a.JSON["refresh_token"].(map[string]any)
	if fmt.Sprint(a.JSON["callbacks"]) != "[https://a.example.com/cb]" || a.JSON["allowed_logout_urls"] != nil ||
		refresh["rotation_type"] != "rotating" || refresh["infinite_token_lifetime"] != false || refresh["leeway"] != 3.0 {
		t.Errorf("%s", a.Body)
	}
	if a.JSON["name"] != "Link pages" || a.JSON["oidc_conformant"] != true {
		t.Errorf("what was not sent changed: %s", a.Body)
	}
}

func TestDeletingAClientTakesItsGrants(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	for range 2 {
		want(t, 204, call(t, s, token, "DELETE", "/clients/link-pages", ""))
	}
	wantError(t, call(t, s, token, "GET", "/clients/link-pages", ""), 404, "inexistent_client", "")
	if a := call(t, s, token, "GET", "/client-grants?client_id=link-pages", ""); a.Body != "[]" {
		t.Errorf("%s", a.Body)
	}
	if a := call(t, s, token, "GET", "/connections/con_googleoauth2seed/clients", ""); strings.Contains(a.Body, "link-pages") {
		t.Errorf("%s", a.Body)
	}
}

func TestClientGrantsDecideWhoGetsTokens(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	me := s.URL + "/me/"
	login := func() string {
		return newBrowser(t).login(s, "alice", "audience", me, "scope", "openid read:me:connected_accounts").Get("error")
	}
	if got := login(); got != "invalid_request" {
		t.Errorf("without a grant: %q", got)
	}
	grant := `{"client_id":"demo-agent","audience":` + quoted(me) + `,"scope":["read:me:connected_accounts"],"subject_type":"user"}`
	a := want(t, 201, call(t, s, token, "POST", "/client-grants", grant))
	id := textOf(t, a, "id")
	if !strings.HasPrefix(id, "cgr_") || a.JSON["subject_type"] != "user" {
		t.Errorf("%s", a.Body)
	}
	if got := login(); got != "" {
		t.Errorf("with a grant: %q", got)
	}
	wantError(t, call(t, s, token, "POST", "/client-grants", grant), 409, "", "already exists")
	wantError(t, call(t, s, token, "PATCH", "/client-grants/"+id, `{"subject_type":"client"}`), 400, "invalid_body", "subject_type")
	patched := want(t, 200, call(t, s, token, "PATCH", "/client-grants/"+id, `{"scope":[]}`))
	if fmt.Sprint(patched.JSON["scope"]) != "[]" {
		t.Errorf("%s", patched.Body)
	}
	found := call(t, s, token, "GET", "/client-grants?subject_type=user&audience="+url.QueryEscape(me), "")
	if list, _ := listOf(found); len(list) != 2 {
		t.Errorf("%s", found.Body)
	}
	want(t, 204, call(t, s, token, "DELETE", "/client-grants/"+id, ""))
	wantError(t, call(t, s, token, "GET", "/client-grants/"+id, ""), 404, "inexistent_client_grant", "The grant does not exist.")
	for body, status := range map[string]int{
		`{"client_id":"nobody","audience":"` + audience + `","scope":[]}`:  404,
		`{"client_id":"demo-agent","audience":"https://x/","scope":[]}`:    404,
		`{"client_id":"demo-agent","audience":"` + audience + `"}`:         400,
		`{"client_id":"demo-agent","scope":[]}`:                            400,
		`{"client_id":"x","audience":"x","scope":[],"subject_type":"app"}`: 404,
	} {
		want(t, status, call(t, s, token, "POST", "/client-grants", body))
	}
}

func TestPatchingAConnectionReplacesItsOptions(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	const path = "/connections/con_googleoauth2seed"
	connect(t, s, "auth0|alice", "google-oauth2", nil, "")
	a := want(t, 200, call(t, s, token, "PATCH", path, `{"connected_accounts":{"active":false}}`))
	if options, _ := a.JSON["options"].(map[string]any); options["client_id"] != "tenant-at-google" {
		t.Errorf("options that were not sent are gone: %s", a.Body)
	}
	if got := refusal(exchange(t, s, accessToken(t, s))); got != notFound {
		t.Errorf("inactive: %s", got)
	}
	b := want(t, 200, call(t, s, token, "PATCH", path, `{"options":{"offline_access":false},"connected_accounts":{"active":true}}`))
	options, _ := b.JSON["options"].(map[string]any)
	if options["client_id"] != nil || options["offline_access"] != false || fmt.Sprint(options["scope"]) != "[email profile]" {
		t.Errorf("%s", b.Body)
	}
	for body, member := range map[string]string{`{"name":"x"}`: "name", `{"strategy":"github"}`: "strategy", `{"id":"x"}`: "id"} {
		wantError(t, call(t, s, token, "PATCH", path, body), 400, "invalid_body", "Additional properties not allowed: "+member)
	}
	wantError(t, call(t, s, token, "PATCH", "/connections/con_x", `{}`), 404, "inexistent_connection", "The connection does not exist")
	wantError(t, call(t, s, token, "POST", "/connections", `{"name":"google-oauth2","strategy":"google-oauth2"}`),
		409, "connection_conflict", "A connection with the same name already exists")
}

func TestConnectionsAreEnabledForClients(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	const path = "/connections/con_githubseed000000/clients"
	enabled := func() string {
		a := want(t, 200, call(t, s, token, "GET", path, ""))
		var body struct {
			Clients []struct {
				ClientID string `json:"client_id"`
			}
		}
		_ = json.Unmarshal([]byte(a.Body), &body)
		var out []string
		for _, c := range body.Clients {
			out = append(out, c.ClientID)
		}
		return strings.Join(out, " ")
	}
	want(t, 204, call(t, s, token, "PATCH", path, `[{"client_id":"link-pages","status":false},{"client_id":"tenant-management","status":true}]`))
	if got := enabled(); got != "vault-exchange demo-agent tenant-management" {
		t.Errorf("%s", got)
	}
	for body, status := range map[string]int{
		`[{"client_id":"nobody","status":true}]`: 400, `[{"client_id":"link-pages"}]`: 400, `{}`: 400, `[{"x":1}]`: 400,
	} {
		want(t, status, call(t, s, token, "PATCH", path, body))
	}
	want(t, 404, call(t, s, token, "PATCH", "/connections/con_x/clients", `[]`))
	want(t, 404, call(t, s, token, "GET", "/connections/con_x/clients", ""))
}

func TestAnAPIIsMadeAndUsed(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	a := want(t, 201, call(t, s, token, "POST", "/resource-servers", strings.Replace(newAPI, "{", `{"signing_alg":"ES256","token_lifetime":60,`, 1)))
	if a.JSON["token_lifetime_for_web"] != 7200.0 || a.JSON["allow_offline_access"] != false {
		t.Errorf("%s", a.Body)
	}
	issued := accessToken(t, s, func(r *auth0test.TokenRequest) { r.Audience = "https://other.example.com/" })
	if part(t, issued, 0)["alg"] != "ES256" || !strings.Contains(get(t, s.URL+"/.well-known/jwks.json", "").Body, "ES256") {
		t.Error("the new algorithm has no key")
	}
	wantError(t, call(t, s, token, "POST", "/resource-servers", newAPI), 409, "resource_server_conflict", "same identifier already exists")
	byIdentifier := "/resource-servers/" + url.PathEscape("https://other.example.com/")
	b := want(t, 200, call(t, s, token, "PATCH", byIdentifier, `{"subject_type_authorization":{"user":{"policy":"deny_all"}}}`))
	if policy := fmt.Sprint(b.JSON["subject_type_authorization"]); policy != "map[user:map[policy:deny_all]]" {
		t.Errorf("%s", b.Body)
	}
	wantError(t, call(t, s, token, "PATCH", byIdentifier, `{"identifier":"x"}`), 400, "invalid_body", "identifier")
	want(t, 204, call(t, s, token, "DELETE", byIdentifier, ""))
	wantError(t, call(t, s, token, "GET", byIdentifier, ""), 404, "inexistent_resource_server", "")
	wantError(t, call(t, s, token, "PATCH", "/resource-servers/"+url.PathEscape(s.URL+"/api/v2/"), `{"scopes":[]}`),
		400, "invalid_body", "Additional properties not allowed: scopes")
	wantError(t, call(t, s, token, "DELETE", "/resource-servers/"+url.PathEscape(s.URL+"/api/v2/"), ""), 400, "operation_not_supported", "")
}

func TestTheMyAccountAPICanBeActivated(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	path := "/resource-servers/" + url.PathEscape(s.URL+"/me/")
	want(t, 204, call(t, s, token, "DELETE", path, ""))
	if a := get(t, s.URL+mePath+"accounts", ""); a.Status != 404 {
		t.Errorf("inactive: %d", a.Status)
	}
	grant := `{"client_id":"link-pages","audience":` + quoted(s.URL+"/me/") + `,"scope":[],"subject_type":"user"}`
	want(t, 404, call(t, s, token, "POST", "/client-grants", grant))
	a := want(t, 201, call(t, s, token, "POST", "/resource-servers", `{"identifier":`+quoted(s.URL+"/me/")+`}`))
	if a.JSON["name"] != "Auth0 My Account API" || a.JSON["is_system"] != true || a.JSON["token_lifetime"] != 600.0 {
		t.Errorf("%s", a.Body)
	}
	want(t, 201, call(t, s, token, "POST", "/client-grants", grant))
	if a := get(t, s.URL+mePath+"accounts", ""); a.Status != 401 {
		t.Errorf("active: %d", a.Status)
	}
}

func TestListsHavePages(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	bare, _ := listOf(want(t, 200, call(t, s, token, "GET", "/clients?fields=client_id", "")))
	if len(bare) != 4 || len(bare[0]) != 1 {
		t.Errorf("%v", bare)
	}
	totals := want(t, 200, call(t, s, token, "GET", "/clients?include_totals=true&page=1&per_page=3", ""))
	if totals.JSON["total"] != 4.0 || totals.JSON["start"] != 3.0 || totals.JSON["limit"] != 3.0 || len(totals.JSON["clients"].([]any)) != 1 {
		t.Errorf("%s", totals.Body)
	}
	var seen []string
	for path := "/client-grants?take=3"; path != ""; {
		a := want(t, 200, call(t, s, token, "GET", path, ""))
		for _, g := range a.JSON["client_grants"].([]any) {
			seen = append(seen, g.(map[string]any)["id"].(string))
		}
		path = ""
		if next, ok := a.JSON["next"].(string); ok {
			path = "/client-grants?take=3&from=" + next
		}
	}
	if len(seen) != 4 || len(slices.Compact(slices.Sorted(slices.Values(seen)))) != 4 {
		t.Errorf("%v", seen)
	}
}

func TestConnectedAccountsAreListed(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	const path = alicePath + "/connected-accounts"
	if a := want(t, 200, call(t, s, token, "GET", path+"?take=50", "")); a.Body != `{"connected_accounts":[]}` {
		t.Errorf("%s", a.Body)
	}
	connect(t, s, "auth0|alice", "google-oauth2", []string{"openid", "email"}, "")
	connect(t, s, "auth0|alice", "github", nil, "")
	a := want(t, 200, call(t, s, token, "GET", path+"?take=1", ""))
	first := a.JSON["connected_accounts"].([]any)[0].(map[string]any)
	if !strings.HasPrefix(first["id"].(string), "cac_") || first["connection_id"] != "con_googleoauth2seed" || first["access_type"] != "offline" ||
		fmt.Sprint(first["scopes"]) != "[openid https://www.googleapis.com/auth/userinfo.email]" || a.JSON["next"] == nil {
		t.Errorf("%s", a.Body)
	}
	wantError(t, call(t, s, token, "GET", "/users/auth0%7Cnobody/connected-accounts", ""), 404, "inexistent_user", "")
	wantError(t, call(t, s, token, "GET", path+"?per_page=5", ""), 400, "invalid_query_string", "per_page")
}

func TestEnrolledFactorsAreListed(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) {
		cfg.Users[0].Authenticators = []auth0test.Authenticator{{}, {Type: "sms", Code: "canary"}}
	})
	token := allScopes(t, s)
	a := want(t, 200, call(t, s, token, "GET", alicePath+"/authentication-methods?include_totals=true&per_page=50", ""))
	if list, _ := a.JSON["authenticators"].([]any); len(list) != 2 || list[0].(map[string]any)["type"] != "totp" || strings.Contains(a.Body, "canary") {
		t.Errorf("%s", a.Body)
	}
	own := scopedToken(t, s, "auth0|alice", currentUser)
	if list, _ := listOf(want(t, 200, call(t, s, own, "GET", alicePath+"/enrollments", ""))); len(list) != 2 || list[1]["type"] != "phone" {
		t.Errorf("%v", list)
	}
	if a := call(t, s, token, "GET", bobPath+"/enrollments", ""); a.Body != "[]" {
		t.Errorf("%s", a.Body)
	}
}

func TestTenantSettingsAreReadAndMerged(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	a := want(t, 200, call(t, s, token, "GET", "/tenants/settings", ""))
	if a.JSON["resource_parameter_profile"] != "audience" || a.JSON["client_id_metadata_document_supported"] != false {
		t.Errorf("%s", a.Body)
	}
	want(t, 200, call(t, s, token, "PATCH", "/tenants/settings", `{"flags":{"enable_dynamic_client_registration":true}}`))
	b := want(t, 200, call(t, s, token, "PATCH", "/tenants/settings", `{"friendly_name":"Mine"}`))
	flags, _ := b.JSON["flags"].(map[string]any)
	if flags["enable_dynamic_client_registration"] != true || b.JSON["friendly_name"] != "Mine" {
		t.Errorf("%s", b.Body)
	}
	wantError(t, call(t, s, token, "PATCH", "/tenants/settings", `{"nonsense":1}`), 400, "invalid_body", "nonsense")
}

func TestTheMFAPolicyIsReadAndChanged(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	for _, policies := range []string{`[]`, `["all-applications"]`, `["confidence-score"]`, `[]`} {
		a := want(t, 200, call(t, s, token, "PUT", "/guardian/policies", policies))
		if b := call(t, s, token, "GET", "/guardian/policies", ""); a.Body != policies || b.Body != policies {
			t.Errorf("%s: %s %s", policies, a.Body, b.Body)
		}
	}
	want(t, 200, call(t, s, token, "PUT", "/guardian/policies", `["all-applications"]`))
	if got := refusal(exchange(t, s, accessToken(t, s))); got != "403 mfa_required" {
		t.Errorf("%s", got)
	}
	wantError(t, call(t, s, token, "PUT", "/guardian/policies", `["sometimes"]`), 400, "invalid_body", "sometimes")
}

var objectSwitches = map[string]switchTest{
	"IDTokenAlg": {
		func(s *auth0test.Settings) { s.IDTokenAlg = "HS256" },
		func(t *testing.T, s *auth0test.Server) string {
			a := call(t, s, allScopes(t, s), "POST", "/clients", `{"name":"Web"}`)
			return fmt.Sprint(part(t, idTokenOf(t, s, "auth0|alice", textOf(t, a, "client_id")), 0)["alg"])
		},
		"RS256", "HS256",
	},
	"ClientGrantSubjectType": {
		func(s *auth0test.Settings) { s.ClientGrantSubjectType = "client" },
		func(t *testing.T, s *auth0test.Server) string {
			return textOf(t, call(t, s, allScopes(t, s), "POST", "/client-grants",
				`{"client_id":"vault-exchange","audience":"`+audience+`","scope":[],"subject_type":"user"}`), "subject_type")
		},
		"user", "client",
	},
	"PatchEnabledClients": {
		func(s *auth0test.Settings) { s.PatchEnabledClients = "accepted" },
		func(t *testing.T, s *auth0test.Server) string {
			return fmt.Sprint(call(t, s, allScopes(t, s), "PATCH", "/connections/con_githubseed000000", `{"enabled_clients":["link-pages"]}`).Status)
		},
		"400", "200",
	},
	"MyAccountAPI": {
		func(s *auth0test.Settings) { s.MyAccountAPI = "dashboard" },
		func(t *testing.T, s *auth0test.Server) string {
			token := allScopes(t, s)
			call(t, s, token, "DELETE", "/resource-servers/"+url.PathEscape(s.URL+"/me/"), "")
			return fmt.Sprint(call(t, s, token, "POST", "/resource-servers", `{"identifier":`+quoted(s.URL+"/me/")+`}`).Status)
		},
		"201", "400",
	},
	"TokensetMethods": {
		func(s *auth0test.Settings) { s.TokensetMethods = true },
		func(t *testing.T, s *auth0test.Server) string {
			connect(t, s, "auth0|alice", "github", nil, "")
			token, path := allScopes(t, s), alicePath+"/federated-connections-tokensets"
			list, _ := listOf(call(t, s, token, "GET", path, ""))
			return fmt.Sprint(len(list), " ", call(t, s, token, "DELETE", path+"/unknown", "").Status)
		},
		"0 404", "1 204",
	},
	"MFAFactors": {
		func(s *auth0test.Settings) { s.MFAFactors = []string{"otp"} },
		func(t *testing.T, s *auth0test.Server) string {
			list, _ := listOf(call(t, s, allScopes(t, s), "GET", "/guardian/factors", ""))
			return fmt.Sprint(len(list), " ", list[2]["name"], " ", list[2]["enabled"])
		},
		"8 otp false", "8 otp true",
	},
}

// Users have identities there, so the API lists it, as at Auth0.
func TestTheDefaultDatabaseIsAConnectionLikeAnyOther(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	list, err := listOf(call(t, s, token, "GET", "/connections?name=Username-Password-Authentication", ""))
	if err != nil || len(list) != 1 || list[0]["strategy"] != "auth0" {
		t.Fatalf("%v, %v", list, err)
	}
	id, _ := list[0]["id"].(string)
	want(t, 204, call(t, s, token, "PATCH", "/connections/"+id+"/clients", `[{"client_id":"demo-agent","status":false}]`))
	page, _ := newBrowser(t).open(s.URL + "/authorize?" + values("response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack).Encode())
	if strings.Contains(page.Body, `name="password"`) {
		t.Error("a client logs in through a database that is not enabled for it")
	}
}

func TestAClientWithAKeyHasNoSecretToAuthenticateWith(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	made := want(t, 201, call(t, s, token, "POST", "/clients",
		`{"name":"x","client_authentication_methods":{"private_key_jwt":{"credentials":[{"name":"k","credential_type":"public_key","pem":"-"}]}}}`))
	id, secret := made.JSON["client_id"].(string), made.JSON["client_secret"].(string)
	a := postForm(t, s.URL+"/oauth/token", values("grant_type", "client_credentials", "client_id", id, "client_secret", secret, "audience", audience))
	if a.Status != 401 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestAMachineActsForItsDefaultOrganization(t *testing.T) {
	s := tenant(t)
	token := allScopes(t, s)
	body := `{"default_organization":{"organization_id":"%s","flows":["client_credentials"]}}`
	want(t, 400, call(t, s, token, "PATCH", "/clients/demo-agent", fmt.Sprintf(body, "org_unknown")))
	want(t, 200, call(t, s, token, "PATCH", "/clients/demo-agent", fmt.Sprintf(body, "org_example")))
	a := postForm(t, s.URL+"/oauth/token", values("grant_type", "client_credentials", "client_id", "demo-agent",
		"client_secret", "demo-agent-secret", "audience", audience))
	if access, _ := a.JSON["access_token"].(string); access == "" || claims(t, access)["org_id"] != "org_example" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
