package tenantsetup

import (
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/auth0/go-auth0/management"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// managed is demo with a client for the Management API.
func managed(tenant *auth0test.Server) *Needs {
	n := demo(tenant)
	n.Management = Client{ID: "tenant-management", Secret: vault.NewSecret("tenant-management-secret")}
	return n
}

// api finds one of a configuration's APIs.
func apiOf(cfg *auth0test.Config, identifier string) *auth0test.ResourceServer {
	return &cfg.ResourceServers[slices.IndexFunc(cfg.ResourceServers, func(rs auth0test.ResourceServer) bool { return rs.Identifier == identifier })]
}

func connectionOf(cfg *auth0test.Config, name string) *auth0test.Connection {
	return &cfg.Connections[slices.IndexFunc(cfg.Connections, func(c auth0test.Connection) bool { return c.Name == name })]
}

// grantOf finds the seeds' user grant of a client.
func grantOf(cfg *auth0test.Config, clientID string) *auth0test.ClientGrant {
	return &cfg.ClientGrants[slices.IndexFunc(cfg.ClientGrants, func(g auth0test.ClientGrant) bool {
		return g.ClientID == clientID && g.SubjectType == "user"
	})]
}

func without[T any](list []T, match func(T) bool) []T { return slices.DeleteFunc(list, match) }

func disable(cfg *auth0test.Config, connection, client string) {
	c := connectionOf(cfg, connection)
	c.EnabledClients = without(slices.Clone(c.EnabledClients), func(id string) bool { return id == client })
}

// A wrongSetting is one wrong setting, of the tenant or the configuration, with the one
// check that has to name it.
type wrongSetting struct {
	name   string
	check  string
	tenant func(*auth0test.Config)
	needs  func(*Needs)
}

// broken are settings that are wrong one at a time.
var broken = []wrongSetting{
	{name: "another domain than the issuer's", check: "discovery", needs: func(n *Needs) {
		n.Issuer = strings.Replace(n.Issuer, "127.0.0.1", "localhost", 1)
		n.ManagementDomain = strings.Replace(n.Issuer, "localhost", "127.0.0.1", 1)
	}},
	{name: "a management client that Auth0 does not know", check: "management.credentials", needs: func(n *Needs) { n.Management.ID = "nobody" }},
	{name: "an audience without an API", check: "api.exists", needs: func(n *Needs) { n.Audience = "https://other.example.com/" }},
	{name: "an API that signs otherwise", check: "api.signing_alg", tenant: func(cfg *auth0test.Config) { apiOf(cfg, audience).SigningAlg = "PS256" }},
	{name: "an API that no user's token is for", check: "api.user_access", tenant: func(cfg *auth0test.Config) {
		apiOf(cfg, audience).SubjectTypeAuthorization = &auth0test.SubjectTypeAuthorization{User: &auth0test.AccessPolicy{Policy: "deny_all"}}
	}},
	{name: "a required scope that the API lacks", check: "api.permissions", needs: func(n *Needs) { n.Permissions = []string{"delete:everything"} }},
	{name: "no such exchange client", check: "client.exists", needs: func(n *Needs) { n.Exchange.ID = "nobody" }},
	{name: "an exchange client of another API", check: "client.linked", tenant: func(cfg *auth0test.Config) {
		cfg.ResourceServers = append(cfg.ResourceServers, auth0test.ResourceServer{Identifier: "https://other.example.com/"})
		client(cfg, "vault-exchange").ResourceServerIdentifier = "https://other.example.com/"
	}},
	{name: "a third-party exchange client", check: "client.first_party", tenant: func(cfg *auth0test.Config) { client(cfg, "vault-exchange").IsFirstParty = new(false) }},
	{name: "an exchange client that is not OIDC-conformant", check: "client.oidc_conformant", tenant: func(cfg *auth0test.Config) { client(cfg, "vault-exchange").OIDCConformant = new(false) }},
	{name: "a public exchange client", check: "client.auth_method", tenant: func(cfg *auth0test.Config) { client(cfg, "vault-exchange").TokenEndpointAuthMethod = "none" }},
	{name: "an exchange client without the grant", check: "client.grant", tenant: func(cfg *auth0test.Config) { client(cfg, "vault-exchange").GrantTypes = []string{} }},
	{name: "a wrong secret for the exchange", check: "client.secret", needs: func(n *Needs) { n.Exchange.Secret = vault.NewSecret("wrong") }},
	{name: "no such application for the pages", check: "link.exists", needs: func(n *Needs) { n.Link.Client.ID = "nobody" }},
	{name: "pages that are a single-page application", check: "link.app_type", tenant: func(cfg *auth0test.Config) { client(cfg, "link-pages").AppType = "spa" }},
	{name: "a callback that is not allowed", check: "link.callback", tenant: func(cfg *auth0test.Config) {
		client(cfg, "link-pages").Callbacks = []string{"https://localhost:8080/auth/callback"}
	}},
	{name: "a logout URL that is not the first", check: "link.logout_url", tenant: func(cfg *auth0test.Config) { slices.Reverse(client(cfg, "link-pages").AllowedLogoutURLs) }},
	{name: "pages whose ID tokens anybody with their secret can make", check: "link.id_token_alg", tenant: func(cfg *auth0test.Config) {
		client(cfg, "link-pages").JWTConfiguration = &auth0test.JWTConfig{Alg: "HS256", LifetimeInSeconds: 600}
	}},
	{name: "pages made without an algorithm for ID tokens", check: "link.id_token_alg", tenant: func(cfg *auth0test.Config) {
		client(cfg, "link-pages").JWTConfiguration = nil
	}},
	{name: "pages that are a public client", check: "link.auth_method", tenant: func(cfg *auth0test.Config) { client(cfg, "link-pages").TokenEndpointAuthMethod = "none" }},
	{name: "pages without the code grant", check: "link.grant", tenant: func(cfg *auth0test.Config) { client(cfg, "link-pages").GrantTypes = []string{"refresh_token"} }},
	{name: "a wrong secret for the pages", check: "link.secret", tenant: func(cfg *auth0test.Config) { client(cfg, "link-pages").ClientSecret = "another" }},
	{name: "My Account API not active", check: "my_account.active", tenant: func(cfg *auth0test.Config) {
		cfg.ResourceServers = without(cfg.ResourceServers, func(rs auth0test.ResourceServer) bool { return rs.Identifier == "{tenant}/me/" })
		cfg.ClientGrants = without(cfg.ClientGrants, func(g auth0test.ClientGrant) bool { return g.Audience == "{tenant}/me/" })
	}},
	{name: "My Account API closed to users", check: "my_account.user_access", tenant: func(cfg *auth0test.Config) {
		apiOf(cfg, "{tenant}/me/").SubjectTypeAuthorization = &auth0test.SubjectTypeAuthorization{User: &auth0test.AccessPolicy{Policy: "deny_all"}}
	}},
	{name: "pages without access to My Account", check: "my_account.grant", tenant: func(cfg *auth0test.Config) {
		cfg.ClientGrants = without(cfg.ClientGrants, func(g auth0test.ClientGrant) bool { return g.ClientID == "link-pages" })
	}},
	{name: "a grant stored as client access", check: "my_account.subject_type", tenant: func(cfg *auth0test.Config) { grantOf(cfg, "link-pages").SubjectType = "client" }},
	{name: "a grant without disconnecting", check: "my_account.scopes", tenant: func(cfg *auth0test.Config) {
		grantOf(cfg, "link-pages").Scope = []string{"create:me:connected_accounts", "read:me:connected_accounts"}
	}},
	{name: "no such connection", check: "connection.exists", needs: func(n *Needs) { n.Routes[1].Connection = "gitlab" }},
	{name: "a connection with Auth0's developer keys", check: "connection.keys", tenant: func(cfg *auth0test.Config) {
		delete(connectionOf(cfg, "google-oauth2").Options, "client_id")
		delete(connectionOf(cfg, "google-oauth2").Options, "client_secret")
	}},
	{name: "Connected Accounts off", check: "connection.active", tenant: func(cfg *auth0test.Config) { connectionOf(cfg, "github").ConnectedAccounts = nil }},
	{name: "no offline access at Google", check: "connection.offline_access", tenant: func(cfg *auth0test.Config) { connectionOf(cfg, "google-oauth2").Options["offline_access"] = false }},
	{name: "a connection closed to the exchange", check: "connection.enabled", tenant: func(cfg *auth0test.Config) { disable(cfg, "google-oauth2", "vault-exchange") }},
	{name: "a connection closed to the pages", check: "connection.enabled", tenant: func(cfg *auth0test.Config) { disable(cfg, "github", "link-pages") }},
	{name: "a misspelt scope of Google's", check: "connection.scopes", needs: func(n *Needs) { n.Routes[0].Scopes = []string{"calendar.readonly"} }},
	{name: "an agent that Auth0 does not know", check: "agents.exist", needs: func(n *Needs) { n.Agents = append(n.Agents, Agent{ID: "nobody", Name: "nobody"}) }},
	{name: "an agent without the grant that the API asks for", check: "agents.grant", tenant: func(cfg *auth0test.Config) {
		requireGrant(cfg)
		cfg.ClientGrants = without(cfg.ClientGrants, func(g auth0test.ClientGrant) bool { return g.ClientID == "demo-agent" })
	}},
	{name: "an agent with client access only", check: "agents.subject_type", tenant: func(cfg *auth0test.Config) {
		requireGrant(cfg)
		cfg.ClientGrants = without(cfg.ClientGrants, func(g auth0test.ClientGrant) bool { return g.ClientID == "demo-agent" && g.SubjectType == "user" })
	}},
	{name: "an agent without a required scope", check: "agents.scopes", tenant: func(cfg *auth0test.Config) {
		requireGrant(cfg)
		grantOf(cfg, "demo-agent").Scope = []string{"read:repos"}
	}, needs: func(n *Needs) { n.Permissions = []string{"read:calendar"} }},
	{name: "a connection that nobody may sign in through, with identities to link", check: "connection.login", tenant: func(cfg *auth0test.Config) {
		connectionOf(cfg, "github").Authentication = &auth0test.Active{Active: false}
	}, needs: func(n *Needs) { n.Link.Via = "management" }},
	{name: "a management client that may not link identities", check: "management.linking", tenant: func(cfg *auth0test.Config) {
		i := slices.IndexFunc(cfg.ClientGrants, func(g auth0test.ClientGrant) bool { return g.ClientID == "tenant-management" })
		cfg.ClientGrants[i].Scope = without(cfg.ClientGrants[i].Scope, func(s string) bool { return s == "update:users" })
	}, needs: func(n *Needs) { n.Link.Via, n.Linker = "link_account", "tenant-management" }},
	{name: "no such connection in trust_email", check: "connection.exists", needs: func(n *Needs) {
		n.Link.Via, n.Link.TrustEmail = "management", []string{"google-oauth2", "nowhere"}
	}},
	{name: "a connection in trust_email that nobody may sign in through", check: "connection.login", tenant: func(cfg *auth0test.Config) {
		cfg.Connections = append(cfg.Connections, auth0test.Connection{
			ID: "con_staff", Name: "staff", Strategy: "github", EnabledClients: []string{"link-pages"}, Authentication: &auth0test.Active{Active: false},
		})
	}, needs: func(n *Needs) { n.Link.Via, n.Link.TrustEmail = "management", []string{"staff"} }},
	{name: "a connection in trust_email closed to the pages", check: "connection.enabled", tenant: func(cfg *auth0test.Config) {
		cfg.Connections = append(cfg.Connections, auth0test.Connection{ID: "con_staff", Name: "staff", Strategy: "github", Authentication: &auth0test.Active{Active: true}})
	}, needs: func(n *Needs) { n.Link.Via, n.Link.TrustEmail = "management", []string{"staff"} }},
	{name: "a Management API closed to users", check: "management_api.user_access", tenant: func(cfg *auth0test.Config) {
		managementAPI(cfg, "deny_all")
	}, needs: func(n *Needs) { n.Link.Via = "link_account" }},
	{name: "pages without access to the Management API", check: "management_api.grant", tenant: func(cfg *auth0test.Config) {
		managementAPI(cfg, "require_client_grant")
	}, needs: func(n *Needs) { n.Link.Via = "management" }},
	{name: "pages that may not link", check: "management_api.scopes", tenant: func(cfg *auth0test.Config) {
		managementAPI(cfg, "require_client_grant")
		cfg.ClientGrants = append(cfg.ClientGrants, auth0test.ClientGrant{
			ID: "cgr_linkpagesmanagement", ClientID: "link-pages", Audience: "{tenant}/api/v2/", Scope: []string{"read:current_user"}, SubjectType: "user",
		})
	}, needs: func(n *Needs) { n.Link.Via = "management" }},
	{name: "keys of another algorithm only", check: "keys", needs: func(n *Needs) { n.Algorithms = []string{"ES256"} }, tenant: func(cfg *auth0test.Config) {
		apiOf(cfg, audience).SigningAlg = "ES256"
	}},
	{name: "MFA always", check: "tenant.mfa_policy", tenant: func(cfg *auth0test.Config) { cfg.Settings.MFAPolicy = "always" }},
	{name: "clients that register themselves, where any agent is let through", check: "tenant.dynamic_registration", tenant: func(cfg *auth0test.Config) {
		cfg.Tenant.Flags.EnableDynamicClientRegistration = true
	}, needs: func(n *Needs) { n.AnyAgent = true }},
	{name: "a grant of the Management API stored as client access", check: "management_api.subject_type", tenant: func(cfg *auth0test.Config) {
		managementAPI(cfg, "require_client_grant")
		cfg.ClientGrants = append(cfg.ClientGrants, auth0test.ClientGrant{
			ID: "cgr_linkpagesmanagement", ClientID: "link-pages", Audience: "{tenant}/api/v2/", SubjectType: "client",
			Scope: []string{"read:current_user", "update:current_user_identities"},
		})
	}, needs: func(n *Needs) { n.Link.Via = "management" }},
	{name: "a person whom nobody knows", check: "user.exists", needs: func(n *Needs) { n.User = "nobody@example.com" }},
	{name: "an account that is not connected", check: "user.connected", needs: asked(Route{Scopes: []string{readonly}})},
	{name: "an account with too few scopes", check: "user.scopes", tenant: accountsWith([]string{"email"}), needs: asked(Route{Scopes: []string{readonly}})},
	{name: "an account with too many scopes", check: "user.scope_excess", tenant: accountsWith([]string{readonly, gmail}), needs: asked(Route{MaxScopes: []string{readonly}})},
	{name: "an account whose scopes nobody tells, where they are limited", check: "user.scope_excess", tenant: accountsWith([]string{}), needs: asked(Route{MaxScopes: []string{readonly}})},
	{name: "a clock that is wrong", check: "clock", tenant: func(cfg *auth0test.Config) { cfg.Settings.ClockSkew = 60 }},
}

func requireGrant(cfg *auth0test.Config) {
	apiOf(cfg, audience).SubjectTypeAuthorization = &auth0test.SubjectTypeAuthorization{User: &auth0test.AccessPolicy{Policy: "require_client_grant"}}
}

// managementAPI sets who may have users' tokens of the Management API.
func managementAPI(cfg *auth0test.Config, policy string) {
	cfg.ResourceServers = append(cfg.ResourceServers, auth0test.ResourceServer{
		Name: "Auth0 Management API", Identifier: "{tenant}/api/v2/",
		SubjectTypeAuthorization: &auth0test.SubjectTypeAuthorization{User: &auth0test.AccessPolicy{Policy: policy}},
	})
}

// What linking identities takes and the tenant does not show is named as such.
func TestDoctorSaysWhatItCannotSeeOfLinking(t *testing.T) {
	for _, test := range []struct {
		name   string
		tenant func(*auth0test.Config)
		needs  func(*Needs)
		want   []string
	}{
		{"another management than doctor's", nil, func(n *Needs) { n.Link.Via, n.Linker = "management", "another-machine" },
			[]string{"unknown management_api.user_access", "unknown management.linking"}},
		{"an Action", nil, func(n *Needs) { n.Link.Via = "link_account" },
			[]string{"unknown link.action", "unknown link.par", "unknown management_api.user_access"}},
		{"an Action, with pushed authorization requests", func(cfg *auth0test.Config) { cfg.Settings.PushedAuthorizationRequestsSupported = true },
			func(n *Needs) { n.Link.Via = "link_account" },
			[]string{"unknown link.action", "ok link.par", "unknown management_api.user_access"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			n := managed(start(t, test.tenant))
			test.needs(n)
			report, err := Examine(t.Context(), n, silent)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, f := range report.Findings {
				if f.Status != StatusOK || f.Check == "link.par" {
					got = append(got, string(f.Status)+" "+f.Check)
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

// Each setting that is wrong is named, and no other; setup mends it, or says that
// it is left to people.
func TestDoctorNamesTheOneSettingThatIsWrong(t *testing.T) {
	for _, b := range broken {
		t.Run(b.name, func(t *testing.T) {
			t.Parallel()
			tenant := start(t, b.tenant)
			keysAtOnce(t, tenant)
			n := managed(tenant)
			if b.needs != nil {
				b.needs(n)
			}
			findings := allWrong(t, n)
			if len(findings) == 0 || slices.ContainsFunc(findings, func(f Finding) bool { return f.Check != b.check }) {
				t.Fatalf("wrong: %+v, want %q", findings, b.check)
			}
			if b.check != "discovery" && b.check != "management.credentials" { // without them there is no setup
				setupMends(t, tenant, n, b.check)
			}
			for _, f := range findings {
				if _, cannot := withoutLine[f.Check]; cannot != (f.CLI == "") {
					t.Errorf("%s has the line %q", f.Check, f.CLI)
				}
			}
		})
	}
}

// setupMends carries out the plan for a tenant with one wrong setting.
func setupMends(t *testing.T, tenant *auth0test.Server, n *Needs, check string) {
	t.Helper()
	plan := prepare(t, n)
	var left []string
	for _, f := range plan.ByHand {
		left = append(left, f.Check)
	}
	if slices.Contains(left, check) == (len(plan.Changes)+len(plan.Adopted) > 0) {
		t.Fatalf("left to people: %q, adopted: %+v, changes: %+v", left, plan.Adopted, plan.Changes)
	}
	if out := carryOut(t, t.Context(), n, plan, silent); out.Err != nil || len(writes(tenant)) != len(plan.Changes) {
		t.Fatalf("%q: %+v", writes(tenant), out)
	}
	if got := wrongs(t, n); !slices.Equal(got, left) {
		t.Errorf("afterwards doctor finds %q, and %q was left to people", got, left)
	}
}

// The tenants of tests know no such applications.
func TestAnApplicationThatAuthenticatesWithKeysKeepsThem(t *testing.T) {
	c := &management.Client{
		ClientID: new("abc"), Name: new("Keys"),
		ClientAuthenticationMethods: &management.ClientAuthenticationMethods{
			PrivateKeyJWT: &management.PrivateKeyJWT{Credentials: &[]management.Credential{{ID: new("cred_1")}}},
		},
	}
	f := authMethodRule("client.auth_method").judge(c)
	if f.Status != StatusWrong || f.Found != "authenticates with keys, not with a secret" || f.change != nil || f.CLI != "" {
		t.Errorf("%+v", f)
	}
	c.ClientAuthenticationMethods = nil
	if f := authMethodRule("client.auth_method").judge(c); f.Status != StatusOK {
		t.Errorf("without keys: %+v", f)
	}
}

// withoutLine are the checks that no line of Auth0's command line mends.
var withoutLine = map[string]string{
	"discovery": "the configuration is for another tenant", "keys": "keys of the tenant, or algorithms of the configuration",
	"clock": "this machine's", "client.exists": "the API has another client", "link.exists": "another application has the callback", "connection.scopes": "the configuration's",
	"management.credentials": "a secret", "client.secret": "a secret", "link.secret": "a secret",
	"connection.keys":           "the provider's, and options are replaced as a whole",
	"connection.offline_access": "options are replaced as a whole, and setup can",
	"user.exists":               "a person's", "user.connected": "a person's", "user.scopes": "a person's", "user.scope_excess": "a person's",
}

// apiLine is a call of the Management API by Auth0's command line.
var apiLine = regexp.MustCompile(`^auth0 api (post|patch|put) (\S+) --data '(.*)'$`)

// runLine does what Auth0's command line does, for somebody who has filled in the
// strategy, and returns the answer.
func runLine(t *testing.T, tenant *auth0test.Server, line string) []byte {
	t.Helper()
	match := apiLine.FindStringSubmatch(line)
	if match == nil {
		t.Fatalf("no line to run: %q", line)
	}
	body := strings.ReplaceAll(match[3], `'\''`, "'")
	body = strings.ReplaceAll(body, `"strategy":"…"`, `"strategy":"github"`)
	token, err := tenant.IssueToken(auth0test.TokenRequest{
		ClientID: "tenant-management", Audience: tenant.Issuer() + "api/v2/",
		Scope: "create:clients update:clients create:client_grants update:client_grants create:resource_servers update:resource_servers " +
			"create:connections update:connections update:mfa_policies update:tenant_settings",
	})
	if err != nil {
		t.Fatal(err)
	}
	method := strings.ToUpper(match[1])
	req, err := http.NewRequestWithContext(t.Context(), method, tenant.Issuer()+"api/v2/"+match[2], strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token.AccessToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := tenant.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, _ := io.ReadAll(resp.Body)
	if resp.StatusCode >= 300 {
		t.Errorf("%s is answered %d %s", line, resp.StatusCode, answer)
	}
	return answer
}

func TestDoctorIsContentWithTheSeeds(t *testing.T) {
	tenant := start(t, nil)
	report, err := Examine(t.Context(), managed(tenant), silent)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Status != StatusOK {
			t.Errorf("%+v", f)
		}
	}
	for _, r := range tenant.Requests() {
		if strings.HasPrefix(r.Path, "/api/") && r.Method != "GET" {
			t.Errorf("%s %s", r.Method, r.Path)
		}
	}
}
