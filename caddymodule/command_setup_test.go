package caddymodule_test

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/auth0/go-auth0"
	"github.com/auth0/go-auth0/management"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// emptyTenant has users, a management client, and connections of which only the
// provider's keys are set.
func emptyTenant(cfg *auth0test.Config) {
	other := func(id string) bool { return id != "tenant-management" }
	cfg.Settings.IDTokenAlg = "HS256" // for applications that are made without one
	cfg.ResourceServers = nil
	cfg.Clients = slices.DeleteFunc(cfg.Clients, func(c auth0test.Client) bool { return other(c.ClientID) })
	cfg.ClientGrants = slices.DeleteFunc(cfg.ClientGrants, func(g auth0test.ClientGrant) bool { return other(g.ClientID) })
	for i := range cfg.Connections {
		c := &cfg.Connections[i]
		c.EnabledClients, c.ConnectedAccounts = nil, nil
		delete(c.Options, "offline_access")
	}
}

const setupSite = `{
	admin off
	log {
		output net {log}
	}
	token_vault {
		domain {tenant}
		audience https://agents.example.com/
		client {$AUTH0_CLIENT_ID} {env.AUTH0_CLIENT_SECRET}
		allow_clients {$AGENT_CLIENT_ID:my-agent}
		link {
			origin {site}
			client {$AUTH0_LINK_CLIENT_ID} {env.AUTH0_LINK_CLIENT_SECRET}
		}
	}
}
{site} {
	bind 127.0.0.1
	token_vault_link
	handle_path /google/* {
		token_vault google-oauth2 {
			scopes https://www.googleapis.com/auth/calendar.readonly
		}
		reverse_proxy {google}
	}
	handle_path /github/* {
		token_vault github {
			scopes read:user repo
		}
		reverse_proxy {github}
	}
}
`

// From a tenant that has nothing, setup, and what it printed, are enough for the
// whole flow.
func TestSetupFromAnEmptyTenantToTheWholeFlow(t *testing.T) {
	p := &proxy{t: t, port: freePort(t), Upstream: newUpstream(t), Log: newLog(t)}
	p.URL = "http://127.0.0.1:" + strconv.Itoa(p.port)
	p.Tenant = commandTenant(t, emptyTenant)
	t.Cleanup(func() { _ = caddy.Stop() })
	for _, name := range []string{"AUTH0_CLIENT_ID", "AUTH0_CLIENT_SECRET", "AUTH0_LINK_CLIENT_ID", "AUTH0_LINK_CLIENT_SECRET", "AGENT_CLIENT_ID"} {
		t.Setenv(name, "")
		_ = os.Unsetenv(name)
	}
	t.Setenv("AUTH0_MANAGEMENT_CLIENT_ID", "tenant-management")
	t.Setenv("AUTH0_MANAGEMENT_CLIENT_SECRET", "tenant-management-secret")
	config := p.expand(setupSite)
	file := filepath.Join(privateDir(t), "auth0.env")
	if err := os.WriteFile(file, []byte("# by hand, and without an end of line"), 0o600); err != nil {
		t.Fatal(err)
	}

	code, planned, errOut := command(t, t.Context(), config, "setup", "--create-agent")
	if code != 0 || !strings.Contains(planned, "Nothing has been changed") {
		t.Fatalf("exit %d\n%s%s", code, planned, errOut)
	}
	code, out, errOut := command(t, t.Context(), config, "setup", "--create-agent", "--apply", "--env-file", file)
	if code != 0 || strings.Contains(out, "Would") || !strings.Contains(out, "✓ appended to "+file+": AUTH0_CLIENT_ID AUTH0_CLIENT_SECRET ") {
		t.Fatalf("exit %d\n%s%s", code, out, errOut)
	}
	kept, _ := os.ReadFile(file)
	code, again, errOut := command(t, t.Context(), config, "setup", "--create-agent", "--apply", "--env-file", file)
	if now, err := os.ReadFile(file); code != 0 || err != nil || string(now) != string(kept) || strings.Contains(again, "appended") {
		t.Fatalf("what is in the file is written again: exit %d\n%s%s", code, again, errOut)
	}
	for name, value := range readEnvironment(t, file) {
		t.Setenv(name, value)
		if strings.HasSuffix(name, "SECRET") && strings.Contains(planned+out+errOut, value) {
			t.Errorf("%s is in the output", name)
		}
	}
	if strings.Contains(planned+out+errOut, "tenant-management-secret") || strings.Contains(planned+out+errOut, "tenant-at-google-secret") {
		t.Error("a secret is in the output")
	}
	if code, out, _ := command(t, t.Context(), config, "doctor"); code != 0 || !strings.Contains(out, " 0 ✗ ") {
		t.Errorf("afterwards doctor exits with %d\n%s", code, out)
	}
	if code, out, _ := command(t, t.Context(), config, "setup", "--create-agent"); code != 0 || !strings.Contains(out, "There is nothing to set up.") {
		t.Errorf("a second run exits with %d\n%s", code, out)
	}

	// By which connections people sign in is for the operator to say.
	enable(t, p.Tenant, "Username-Password-Authentication", os.Getenv("AUTH0_LINK_CLIENT_ID"), os.Getenv("AGENT_CLIENT_ID"))

	if err := p.tryLoad(config); err != nil {
		t.Fatal(err)
	}
	token := p.token("alice@example.com", func(r *auth0test.TokenRequest) { r.ClientID = os.Getenv("AGENT_CLIENT_ID") })
	for _, path := range []string{"/google/calendar/v3/calendars/primary/events", "/github/user/repos"} {
		asked := p.get(path, token)
		if asked.code() != "link_required" {
			t.Fatalf("%s: %d %s", path, asked.Status, asked.Body)
		}
		if page := p.walk(asked.text(t, "link_url"), "alice"); page.Status != http.StatusOK {
			t.Fatalf("the person ends on a page with %d", page.Status)
		}
		if got := p.get(path, token); got.Status != http.StatusOK || !json.Valid([]byte(got.Body)) {
			t.Errorf("%s: %d %s", path, got.Status, got.Body)
		}
	}
	code, out, _ = command(t, t.Context(), config, "doctor", "--user", "alice@example.com")
	if code != 0 || strings.Count(out, "user.connected") != 2 {
		t.Errorf("for a user doctor exits with %d\n%s", code, out)
	}
}

// enable lets applications use a connection, as its page in the Dashboard does.
func enable(t *testing.T, tenant *auth0test.Server, name string, clients ...string) {
	t.Helper()
	api, err := management.New(strings.TrimPrefix(tenant.URL, "http://"), management.WithInsecure(),
		management.WithClientCredentials(t.Context(), "tenant-management", "tenant-management-secret"))
	if err != nil {
		t.Fatal(err)
	}
	connection, err := api.Connection.ReadByName(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	var enabled []management.ConnectionEnabledClient
	for i := range clients {
		enabled = append(enabled, management.ConnectionEnabledClient{ClientID: &clients[i], Status: auth0.Bool(true)})
	}
	if err := api.Connection.UpdateEnabledClients(t.Context(), connection.GetID(), enabled); err != nil {
		t.Fatal(err)
	}
}

// readEnvironment reads what setup wrote, for its owner only.
func readEnvironment(t *testing.T, file string) map[string]string {
	t.Helper()
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("%v %v", info, err)
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	values := make(map[string]string)
	for line := range strings.Lines(string(data)) {
		if name, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "export "), "="); ok {
			values[name] = strings.Trim(value, "'")
		}
	}
	if len(values) != 5 {
		t.Fatalf("%d variables", len(values))
	}
	return values
}
