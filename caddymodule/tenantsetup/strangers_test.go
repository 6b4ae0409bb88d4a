package tenantsetup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// Somebody has put the id of another application into the configuration. Making that
// one what we need would break whoever uses it.
func TestSetupLeavesAloneAnApplicationOfAnotherKind(t *testing.T) {
	spa := func(cfg *auth0test.Config) {
		cfg.Clients = append(cfg.Clients, auth0test.Client{
			ClientID: "theirs", Name: "Shop", AppType: "spa", TokenEndpointAuthMethod: "none", GrantTypes: []string{"implicit"},
			OIDCConformant: new(false), Callbacks: []string{"https://shop.example.com/"},
		})
	}
	for _, test := range []struct {
		name   string
		tenant func(*auth0test.Config)
		needs  func(*Needs)
		check  string
	}{
		{"a single-page application for the pages", spa, func(n *Needs) { n.Link.Client.ID = "theirs" }, "link.app_type"},
		{"a single-page application for the exchange", spa, func(n *Needs) { n.Exchange.ID = "theirs" }, "client.linked"},
		{"another API's client for the exchange", func(cfg *auth0test.Config) {
			cfg.ResourceServers = append(cfg.ResourceServers, auth0test.ResourceServer{Identifier: "https://shop.example.com/"})
			cfg.Clients = append(cfg.Clients, auth0test.Client{
				ClientID: "theirs", ClientSecret: "theirs", Name: "Shop", AppType: "resource_server",
				ResourceServerIdentifier: "https://shop.example.com/", GrantTypes: []string{},
			})
		}, func(n *Needs) { n.Exchange.ID = "theirs" }, "client.linked"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tenant := quick(t, test.tenant)
			n := managed(tenant)
			test.needs(n)
			plan := prepare(t, n)
			for _, c := range plan.Changes {
				if strings.Contains(strings.Join(c.Path, "/")+compact(c.Body), "theirs") {
					t.Errorf("would change %s: %s", c.What, compact(c.Body))
				}
			}
			if !slices.ContainsFunc(plan.ByHand, func(f Finding) bool { return f.Check == test.check }) {
				t.Errorf("left to people: %+v", plan.ByHand)
			}
		})
	}
}

// What is sent for one member of an object leaves its other members as they are,
// where a call replaces the whole object.
func TestWhoMayHaveMachinesTokensStaysAsItIs(t *testing.T) {
	tenant := quick(t, func(cfg *auth0test.Config) {
		apiOf(cfg, audience).SubjectTypeAuthorization = &auth0test.SubjectTypeAuthorization{
			User: &auth0test.AccessPolicy{Policy: "deny_all"}, Client: &auth0test.AccessPolicy{Policy: "deny_all"},
		}
	})
	for _, f := range allWrong(t, managed(tenant)) {
		runLine(t, tenant, f.CLI)
	}
	cfg := tenant.Config()
	if of := apiOf(&cfg, audience).SubjectTypeAuthorization; of.User.Policy != "require_client_grant" || of.Client == nil || of.Client.Policy != "deny_all" {
		t.Errorf("users' tokens: %+v, machines': %+v", of.User, of.Client)
	}
}

// Tenants are large: what is ours is on the last of many pages.
func TestWhatIsOnALaterPageIsSeen(t *testing.T) {
	const many = 230
	tenant := quick(t, func(cfg *auth0test.Config) {
		var clients []auth0test.Client
		var apis []auth0test.ResourceServer
		var grants []auth0test.ClientGrant
		var ids []string
		for i := range many {
			id, api := fmt.Sprint("another-", i), fmt.Sprintf("https://%d.example.com/", i)
			ids = append(ids, id)
			clients = append(clients, auth0test.Client{ClientID: id, ClientSecret: "theirs-theirs-theirs", Name: id, AppType: "regular_web"})
			apis = append(apis, auth0test.ResourceServer{Identifier: api})
			grants = append(grants, auth0test.ClientGrant{ClientID: id, Audience: api, SubjectType: "user"})
		}
		cfg.Clients = append(clients, cfg.Clients...)
		cfg.ResourceServers = append(apis, cfg.ResourceServers...)
		cfg.ClientGrants = append(grants, cfg.ClientGrants...)
		for i := range cfg.Connections {
			c := &cfg.Connections[i]
			c.EnabledClients = append(slices.Clone(ids), c.EnabledClients...)
		}
		for i := range many {
			cfg.Users[0].ConnectedAccounts = append(cfg.Users[0].ConnectedAccounts, auth0test.UserAccount{
				Connection: "github", Scopes: []string{"repo"}, Account: fmt.Sprint(i),
			})
		}
		accountsWith([]string{readonly})(cfg)
		cfg.Settings.MaxAccounts = many + 1
	})
	n := managed(tenant)
	asked(Route{Scopes: []string{readonly}})(n)
	if got := wrongs(t, n); got != nil {
		t.Errorf("wrong: %q", got)
	}
	if plan := prepare(t, n); len(plan.Changes) > 0 {
		t.Errorf("would change %+v", plan.Changes)
	}
}

// A tenant whose lists never end is no tenant to plan for.
func TestAListThatNeverEndsEndsARun(t *testing.T) {
	for path, body := range map[string]any{
		"/api/v2/clients":                              map[string]any{"clients": []any{}, "start": 0, "limit": 0, "total": 1},
		"/api/v2/connections/con_google/clients":       map[string]any{"clients": []any{}, "next": "again"},
		"/api/v2/users/auth0|alice/connected-accounts": map[string]any{"connected_accounts": []any{}, "next": "again"},
	} {
		tenant := quick(t, func(cfg *auth0test.Config) { connectionOf(cfg, "google-oauth2").ID = "con_google" })
		fault(t, tenant, auth0test.Fault{Path: path, Status: new(200), Body: body, Times: new(0)})
		n := managed(tenant)
		n.User = "alice@example.com"
		if _, err := Examine(t.Context(), n, silent); err == nil || !strings.Contains(err.Error(), errTooMany.Error()) {
			t.Errorf("%s: %v", path, err)
		}
	}
}

// evilName is what a name of a tenant can do to a terminal.
const evilName = "\x1b]0;owned\a\u202e\u009b31m\r\n✓ client.secret  all is well"

// Everything that has a name has this one, and no output shows it as it is.
func TestNamesOfATenantDoNotControlTheTerminal(t *testing.T) {
	evil := func(cfg *auth0test.Config) {
		for i := range cfg.Clients {
			cfg.Clients[i].Name = evilName
		}
		for i := range cfg.ResourceServers {
			cfg.ResourceServers[i].Name = evilName
		}
		for i := range cfg.Users {
			cfg.Users[i].Name = evilName
		}
		client(cfg, "link-pages").Callbacks = []string{evilName}
		client(cfg, "link-pages").AllowedLogoutURLs = []string{evilName}
		client(cfg, "link-pages").GrantTypes = []string{evilName}
		client(cfg, "vault-exchange").GrantTypes = []string{evilName}
		apiOf(cfg, audience).Scopes = []auth0test.Scope{{Value: evilName, Description: evilName}}
		connectionOf(cfg, "google-oauth2").Options = map[string]any{"client_id": evilName, "client_secret": evilName, "scope": []any{evilName}}
		requireGrant(cfg)
		accountsWith([]string{evilName})(cfg)
		grantOf(cfg, "demo-agent").Scope = []string{evilName}
		disable(cfg, "github", "link-pages")
	}
	tenant := quick(t, evil)
	n := managed(tenant)
	n.User, n.Permissions = "alice@example.com", []string{"delete:everything"}
	var out, encoded bytes.Buffer
	progress := NewProgress(&out, false)
	report, err := Examine(t.Context(), n, progress)
	if err != nil {
		t.Fatal(err)
	}
	WriteText(&out, []*Report{report})
	if err := WriteJSON(&encoded, []*Report{report}); err != nil {
		t.Error(err)
	}
	plan := prepare(t, n)
	WritePlan(&out, plan)
	applied := plan.Apply(t.Context(), progress, nil)
	WriteOutcome(&out, plan, applied, "")
	if applied.Err != nil || len(applied.Done) < 5 {
		t.Errorf("%+v", applied)
	}
	for _, line := range strings.Split(out.String()+encoded.String(), "\n") {
		if strings.HasPrefix(line, "✓ client.secret  all") || strings.ContainsAny(line, "\x1b\a\u202e\u009b\r") {
			t.Errorf("%q", line)
		}
	}
	if !strings.Contains(out.String(), "owned") || !json.Valid(encoded.Bytes()) {
		t.Error("the names are shown nowhere")
	}
}

// Some answers repeat what was sent, and a connection's options hold the secret of a
// client at a provider.
func TestARefusalThatRepeatsAProvidersSecretIsNotPrinted(t *testing.T) {
	tenant := quick(t, func(cfg *auth0test.Config) {
		connectionOf(cfg, "google-oauth2").Options["offline_access"] = false
	})
	cfg := tenant.Config()
	google := connectionOf(&cfg, "google-oauth2")
	plan := prepare(t, managed(tenant))
	fault(t, tenant, refusedBecause("/api/v2/connections/"+google.ID, "Payload validation error: "+compact(google.Options)))
	var out bytes.Buffer
	applied := plan.Apply(t.Context(), NewProgress(&out, false), nil)
	WritePlan(&out, plan)
	WriteOutcome(&out, plan, applied, "")
	if secret, _ := google.Options["client_secret"].(string); applied.Err == nil || secret == "" || strings.Contains(out.String(), secret) {
		t.Errorf("%v:\n%s", applied.Err, out.String())
	}
}

func refusedBecause(path, message string) auth0test.Fault {
	f := refusal(400, message)
	f.Path = path
	return f
}

// What a tenant says is one line of some length, and no secret of ours.
func TestATextOfATenantIsBounded(t *testing.T) {
	const secret = "a-secret-of-24-characters"
	for text, want := range map[string]string{
		"  Insufficient scope \n":              "Insufficient scope",
		"two\r\nlines":                         "two??lines",
		strings.Repeat("é", 301):               strings.Repeat("é", 300) + "…",
		strings.Repeat("é", 300):               strings.Repeat("é", 300),
		"it was " + secret:                     "(a text that repeats a secret)",
		"it was " + secret[3:20]:               "(a text that repeats a secret)",
		strings.Repeat("x", 5000) + secret:     "(a text that repeats a secret)",
		"\x1b[2J" + strings.Repeat("\a", 2000): "?[2J" + strings.Repeat("?", 296) + "…",
	} {
		if got := harmless(text, "", secret); got != want {
			t.Errorf("%.40q becomes %q", text, got)
		}
	}
}
