package auth0test_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// The recordings of the Management API that are played, request by request.
// Each answer must have the recorded status, members, types and values.
var managementRecordings = []string{
	"TestUserManager_Create", "TestUserManager_Delete", "TestUserManager_Read", "TestUserManager_Update",
	"TestUserManager_List", "TestUserManager_Search", "TestUserManager_ListByEmail",
	"TestUserManager_Link", "TestUserManager_Unlink",
	"TestUserManager_ListConnectedAccounts", "TestUserManager_Enrollments",
	"TestUserManager_ListFederatedConnectionTokenSets", "TestUserManager_DeleteFederatedConnectionTokenSet",
	"TestClient_Create", "TestClient_CreateLinkedToResourceServer", "TestClient_CreateWithClientRefreshToken",
	"TestClient_CreateWithClientAddons", "TestClient_CreateWithOIDCLogout", "TestClient_CreateWithTokenExchange",
	"TestClient_Read", "TestClient_Update", "TestClient_Delete", "TestClient_List",
	"TestClientGrantManager_Create", "TestClientGrantManager_List", "TestClientGrantManager_Read",
	"TestClientGrantManager_Update", "TestClientGrantManager_Delete", "TestClientGrant_IsSystem",
	"TestConnectionManager_List", "TestConnectionManager_Delete", "TestConnectionManager_EnabledClients",
	"TestConnectionManager_UpdateEnabledClients_Add", "TestConnectionManager_UpdateEnabledClients_Remove",
	"TestConnectionManager_Create/It_can_successfully_create_a_Auth0_Connection",
	"TestConnectionManager_Create/It_can_successfully_create_a_GitHub_Connection",
	"TestConnectionManager_Create/It_can_successfully_create_a_GoogleOAuth2_Connection",
	"TestConnectionManager_Create/It_can_successfully_create_a_WindowsLive_Connection",
	"TestConnectionManager_Read/It_can_successfully_read_a_Auth0_Connection",
	"TestConnectionManager_Read/It_can_successfully_read_a_GitHub_Connection",
	"TestConnectionManager_Read/It_can_successfully_read_a_GoogleOAuth2_Connection",
	"TestConnectionManager_Read/It_can_successfully_read_a_WindowsLive_Connection",
	"TestConnectionManager_ReadByName/It_can_successfully_find_a_Auth0_Connection_by_its_name",
	"TestConnectionManager_ReadByName/It_can_successfully_find_a_GitHub_Connection_by_its_name",
	"TestConnectionManager_ReadByName/It_can_successfully_find_a_GoogleOAuth2_Connection_by_its_name",
	"TestConnectionManager_ReadByName/It_can_successfully_find_a_WindowsLive_Connection_by_its_name",
	"TestConnectionManager_Update/It_can_successfully_update_a_Auth0_Connection",
	"TestConnectionManager_Update/It_can_successfully_update_a_GitHub_Connection",
	"TestConnectionManager_Update/It_can_successfully_update_a_GoogleOAuth2_Connection",
	"TestConnectionManager_Update/It_can_successfully_update_a_WindowsLive_Connection",
	"TestResourceServer_Create", "TestResourceServer_Read", "TestResourceServer_Update", "TestResourceServer_Delete",
	"TestResourceServer_List", "TestResourceServer_ACR",
	"TestResourceServer_TokenDialect/When_TokenDialect_is_access_token_authz_and_RBAC_enabled_should_succeed",
	"TestResourceServer_TokenDialect/When_TokenDialect_is_access_token_should_succeed",
	"TestResourceServer_TokenDialect/When_TokenDialect_is_rfc9068_profile_authz_and_RBAC_enabled_should_succeed",
	"TestResourceServer_TokenDialect/When_TokenDialect_is_rfc9068_profile_should_succeed",
	"TestTenantManager_CIMDAndResourceParameterProfile",
	"TestGuardian/MultiFactor/Policy", "TestGuardian/MultiFactor/List",
}

// Recordings of the same kinds that are not played, by the beginnings of their
// names, and why.
var notPlayed = map[string]string{
	"TestUserManager_AuthenticationMethods":             "factors are enrolled in a tenant.json or at a login, not by the API",
	"TestUserManager_Block":                             "attack protection is not here",
	"TestUserManager_Unblock":                           "attack protection is not here",
	"TestUserManager_ClearRisk":                         "attack protection is not here",
	"TestUserManager_DeleteRefreshTokens":               "sessions and refresh tokens have no methods here",
	"TestUserManager_DeleteUserSessions":                "sessions and refresh tokens have no methods here",
	"TestUserManager_ListRefreshTokens":                 "sessions and refresh tokens have no methods here",
	"TestUserManager_ListUserSessions":                  "sessions and refresh tokens have no methods here",
	"TestUserManager_GetUserLogs":                       "there are no logs",
	"TestUserManager_InvalidateRememberBrowser":         "no browser is remembered",
	"TestUserManager_RegenerateRecoveryCode":            "there are no recovery codes",
	"TestUserManager_Organizations":                     "organizations are a setting",
	"TestUserManager_Permissions":                       "RBAC is in tenant.json only",
	"TestUserManager_Roles":                             "RBAC is in tenant.json only",
	"TestClientAuthenticationMethods":                   "credentials have no methods of their own",
	"TestClient_CreateAllCredential":                    "credentials have no methods of their own",
	"TestClient_CreateCredential":                       "credentials have no methods of their own",
	"TestClient_DeleteCredential":                       "credentials have no methods of their own",
	"TestClient_GetCredentials":                         "credentials have no methods of their own",
	"TestClient_ListCredentials":                        "credentials have no methods of their own",
	"TestClient_UpdateCredential":                       "credentials have no methods of their own",
	"TestClient_RotateSecret":                           "a secret is changed by PATCH",
	"TestClientSignedRequestObject":                     "no signed requests",
	"TestClientGrantManager_Organizations":              "organizations are a setting",
	"TestClientGrant_ExpressConfiguration":              "no express configuration",
	"TestClientManager_ReadEnabledConnections":          "no Okta connections",
	"TestClient_CIMDFields":                             "no client id metadata documents",
	"TestClient_CreateWithDefaultOrg":                   "organizations are a setting",
	"TestClient_ExpressConfiguration":                   "no express configuration",
	"TestClient_MyOrganizationConfiguration":            "no My Organization API",
	"TestClient_OrganizationDiscoveryMethods":           "organizations are a setting",
	"TestClient_SessionTransfer":                        "no session transfer",
	"TestConnectionManager_Create/":                     "other strategies have no stand-in",
	"TestConnectionManager_Read/":                       "other strategies have no stand-in",
	"TestConnectionManager_ReadByName/":                 "other strategies have no stand-in",
	"TestConnectionManager_Update/":                     "other strategies have no stand-in",
	"TestConnectionManager_CreateDB":                    "a database's options are not looked into",
	"TestConnectionManager_PasswordOptions":             "a database's options are not looked into",
	"TestConnectionManager_CreateSCIM":                  "no SCIM",
	"TestConnectionManager_DeleteSCIM":                  "no SCIM",
	"TestConnectionManager_ListSCIM":                    "no SCIM",
	"TestConnectionManager_ReadSCIM":                    "no SCIM",
	"TestConnectionManager_UpdateSCIM":                  "no SCIM",
	"TestConnectionManager_DpopForOktaAndOIDC":          "no enterprise connections",
	"TestConnectionManager_IDTokenSessionExpiry":        "no enterprise connections",
	"TestConnectionManager_TokenEndpointJwtcaAudFormat": "no enterprise connections",
	"TestConnectionManager_ReadKeys":                    "no enterprise connections",
	"TestConnectionManager_RotateKeys":                  "no enterprise connections",
	"TestResourceServer_ExpressConfiguration":           "no express configuration",
	"TestTenantManager":                                 "pages, mail and other settings that nothing here depends on",
	"TestGuardian/":                                     "factors are set up in the settings, not by the API",
}

// unmodelled are members that this tenant does not know: they are taken out of
// requests and answers before the comparison.
var unmodelled = map[string]string{
	"signing_keys":          "nothing signs SAML",
	"authorization_details": "no rich authorization requests",
	"authorization_policy":  "no step-up policies",
	"consent_policy":        "no rich authorization requests",
	"token_encryption":      "no encrypted tokens",
	"cross_origin_auth":     "the older name of cross_origin_authentication",
	"tenant":                "a member of clients that the API's reference does not have",
	"picture":               "made by gravatar.com there",
	// Of the tenant's settings:
	"change_password": "pages", "guardian_mfa_page": "pages",
	"ephemeral_session_lifetime": "one kind of session", "idle_ephemeral_session_lifetime": "one kind of session",
	"phone_consolidated_experience": "no phones", "sandbox_versions_available": "no Actions in JavaScript",
	"sandbox_version": "no Actions in JavaScript",
	"enable_sso":      "an old flag", "universal_login": "an old flag", "revoke_refresh_token_grant": "no grants of consent",
	"allow_changing_enable_sso": "an old flag", "allow_legacy_delegation_grant_types": "an old flag",
	"allow_legacy_ro_grant_types": "an old flag", "allow_other_legacy_grant_types": "an old flag",
	"disable_impersonation": "an old flag", "disable_clickjack_protection_headers": "an old flag",
	"cannot_change_enforce_client_authentication_on_passwordless_start": "an old flag",
	"enforce_client_authentication_on_passwordless_start":               "an old flag",
}

// added are members of this tenant's answers that older recordings lack.
var added = map[string]string{
	"cross_origin_authentication": "not in clients before 2025",
	"client_secret":               "cut out of some recordings",
}

// volatile are members whose values differ from run to run.
var volatile = []string{
	"id", "client_id", "user_id", "created_at", "updated_at", "deleted_at", "last_password_reset", "client_secret", "token",
}

// A player plays a recording to a tenant, whose ids differ from the recorded.
type player struct {
	t     *testing.T
	s     *auth0test.Server
	token string
	ids   map[string]string // ours, by the recorded one
}

func TestRecordedManagementTraffic(t *testing.T) {
	dir := filepath.Dir(recordingsDir(t))
	s := tenant(t, func(cfg *auth0test.Config) {
		cfg.Connections = append(cfg.Connections[:0], auth0test.Connection{
			Name: "Username-Password-Authentication", Strategy: "auth0",
		})
		cfg.Users, cfg.Clients, cfg.ClientGrants = nil, nil, nil
		cfg.ResourceServers = cfg.ResourceServers[:1]
		cfg.Settings.TokensetMethods = true
		cfg.Tenant.ClientIDMetadataDocumentSupported = true
	})
	token := allScopes(t, s)
	for _, name := range managementRecordings { // each leaves nothing behind
		t.Run(name, func(t *testing.T) {
			p := &player{t: t, s: s, token: token, ids: map[string]string{
				"https://go-auth0-dev.eu.auth0.com.us.auth0.com": s.URL,
				databaseID: s.Config().Connections[0].ID,
			}}
			interactions := readInteractions(t, dir, name)
			for i, in := range interactions {
				// A connection is deleted in Auth0's own time: the same again soon
				// afterwards may be the same answer.
				if i == 0 || !reflect.DeepEqual(in, interactions[i-1]) {
					p.play(in)
				}
			}
		})
	}
}

// databaseID is that of the database in the recordings.
const databaseID = "con_ftSSLHb0O7rcUGmF"

// Whatever is recorded of the kinds of objects that this tenant has is either
// played, or there is a reason.
func TestEveryManagementRecordingIsAccountedFor(t *testing.T) {
	dir := filepath.Dir(recordingsDir(t))
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".yaml" {
			return err
		}
		name, _ := filepath.Rel(dir, strings.TrimSuffix(path, ".yaml"))
		kinds := []string{"TestUserManager_", "TestClient", "TestConnectionManager_", "TestResourceServer_", "TestTenantManager", "TestGuardian"}
		begins := func(prefix string) bool { return strings.HasPrefix(name, prefix) }
		if !slices.ContainsFunc(kinds, begins) || slices.Contains(managementRecordings, name) {
			return nil
		}
		if !slices.ContainsFunc(slices.Collect(maps.Keys(notPlayed)), begins) {
			t.Errorf("%s is neither played nor excused", name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func readInteractions(t *testing.T, dir, name string) []interaction {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Interactions []interaction }
	if err := yaml.Unmarshal(data, &file); err != nil || len(file.Interactions) == 0 {
		t.Fatalf("%s: %v", name, err)
	}
	return file.Interactions
}

func (p *player) play(in interaction) {
	p.t.Helper()
	u, err := url.Parse(in.Request.URL)
	if err != nil {
		p.t.Fatal(err)
	}
	body := in.Request.Body
	var sent any
	if json.Unmarshal([]byte(body), &sent) == nil && sent != nil {
		data, _ := json.Marshal(modelled(sent))
		body = string(data)
	}
	at := in.Request.Method + " " + u.Path
	req := request(p.t, in.Request.Method, p.s.URL+p.ours(u.RequestURI()), "", p.ours(body))
	maps.Copy(req.Header, http.Header(in.Request.Headers))
	req.Header.Set("Authorization", "Bearer "+p.token)
	got := do(p.t, http.DefaultClient, req)
	if got.Status != in.Response.Code {
		p.t.Fatalf("%s: status %d, recorded %d: %s", at, got.Status, in.Response.Code, got.Body)
	}
	if in.Response.Body == "" || in.Response.Code == http.StatusNotFound && !strings.Contains(in.Response.Body, "statusCode") {
		return // two errors were recorded without their bodies
	}
	var recorded, mine any
	if json.Unmarshal([]byte(in.Response.Body), &recorded) != nil || json.Unmarshal([]byte(got.Body), &mine) != nil {
		p.t.Fatalf("%s: no JSON: %s", at, got.Body)
	}
	p.learn(recorded, mine)
	p.compare(at, modelled(recorded), modelled(mine))
}

// ours puts this tenant's ids in the place of the recorded ones.
func (p *player) ours(text string) string {
	for old, id := range p.ids {
		text = strings.ReplaceAll(strings.ReplaceAll(text, old, id), url.PathEscape(old), url.PathEscape(id))
	}
	return text
}

// learn notes which id stands for which.
func (p *player) learn(recorded, mine any) {
	switch r := recorded.(type) {
	case map[string]any:
		m, _ := mine.(map[string]any)
		for name, value := range r {
			if old, ok := value.(string); ok && (name == "id" || name == "client_id" || name == "user_id") {
				if id, _ := m[name].(string); id != "" {
					p.ids[strings.TrimPrefix(old, "auth0|")] = strings.TrimPrefix(id, "auth0|")
				}
			}
			p.learn(value, m[name])
		}
	case []any:
		if m, _ := mine.([]any); len(m) == len(r) {
			for i := range r {
				p.learn(r[i], m[i])
			}
		}
	}
}

// modelled is a value without the members that this tenant does not know.
func modelled(value any) any {
	switch v := value.(type) {
	case map[string]any:
		out := map[string]any{}
		for name, member := range v {
			if _, ok := unmodelled[name]; !ok {
				out[name] = modelled(member)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = modelled(v[i])
		}
		return out
	}
	return value
}

// compare wants the recorded members with their types and, unless they are
// volatile, their values. Lists of what else the tenants have are not compared.
func (p *player) compare(at string, recorded, mine any) {
	p.t.Helper()
	if fmt.Sprintf("%T", recorded) != fmt.Sprintf("%T", mine) {
		p.t.Errorf("%s is %v, recorded %v", at, mine, recorded)
		return
	}
	switch r := recorded.(type) {
	case map[string]any:
		m := mine.(map[string]any)
		if total, ok := r["total"]; (ok && m["total"] != total) || r["id"] == databaseID {
			return // what else that tenant had
		}
		for name, value := range r {
			if _, ok := m[name]; !ok {
				p.t.Errorf("%s lacks %s, recorded %v", at, name, value)
			} else if !slices.Contains(volatile, name) {
				p.compare(at+" "+name, value, m[name])
			}
		}
		for name := range m {
			_, ok := r[name]
			if _, extra := added[name]; !ok && !extra {
				p.t.Errorf("%s has %s, which is not in the recording", at, name)
			}
		}
	case []any:
		m := mine.([]any)
		if len(m) != len(r) {
			p.t.Errorf("%s has %d items, recorded %d", at, len(m), len(r))
			return
		}
		for i := range r {
			p.compare(fmt.Sprintf("%s %d", at, i), r[i], m[i])
		}
	case string:
		if p.ours(r) != mine {
			p.t.Errorf("%s is %v, recorded %v", at, mine, r)
		}
	default:
		if recorded != mine {
			p.t.Errorf("%s is %v, recorded %v", at, mine, recorded)
		}
	}
}
