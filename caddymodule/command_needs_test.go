package caddymodule_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// asManager sets the management client of the seeds.
func asManager(t *testing.T) {
	t.Helper()
	t.Setenv("AUTH0_MANAGEMENT_CLIENT_ID", "tenant-management")
	t.Setenv("AUTH0_MANAGEMENT_CLIENT_SECRET", "tenant-management-secret")
}

func TestDoctorComparesWhatAPersonHasConnectedWithEachRoute(t *testing.T) {
	tenant := commandTenant(t, nil)
	asManager(t)
	const calendar, mail = "https://www.googleapis.com/auth/calendar.readonly", "https://www.googleapis.com/auth/gmail.readonly"
	for connection, scopes := range map[string][]string{"google-oauth2": {calendar, mail}, "github": {"repo"}} {
		if err := tenant.Connect("alice@example.com", connection, scopes, ""); err != nil {
			t.Fatal(err)
		}
	}
	config := commandCaddyfile(tenant)
	code, out, errOut := command(t, t.Context(), config, "doctor", "--user", "alice@example.com")
	if code != 0 || !strings.Contains(out, "✓ user.connected") || !strings.Contains(out, "github: connected with repo") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	limited := strings.Replace(config, "scopes "+calendar, "scopes "+calendar+"\n\t\t\t\tmax_scopes "+calendar, 1)
	code, out, errOut = command(t, t.Context(), limited, "doctor", "--user", "alice@example.com")
	if code != 1 || !strings.Contains(out, "✗ user.scope_excess ") || !strings.Contains(out, "google-oauth2: connected with "+calendar+" "+mail+", more than max_scopes") {
		t.Errorf("with max_scopes: exit %d\n%s%s", code, out, errOut)
	}
	for hint, want := range map[string]string{
		"112233445566778899000":         "? not seen: whether the connected account is the one that login_hint names\n    user.connected (github)",
		"{http.request.header.Account}": "github: connected with repo",
	} {
		named := strings.Replace(config, "token_vault github", "token_vault github {\n\t\t\tlogin_hint "+hint+"\n\t\t}", 1)
		code, out, errOut = command(t, t.Context(), named, "doctor", "--user", "alice@example.com")
		if code != 0 || !strings.Contains(out, want) {
			t.Errorf("with login_hint %s: exit %d\n%s%s", hint, code, out, errOut)
		}
	}
}

// What they name has to be what the routes use, and the agent's variable the one that
// the configuration takes it from.
func TestDoctorAndSetupReadTheWordsThatPlaceholdersStandFor(t *testing.T) {
	tenant := commandTenant(t, nil)
	asManager(t)
	for name, value := range map[string]string{
		"CONNECTION": "github", "SCOPE": "repo", "PERMISSION": "read:nothing", "ACCOUNT": "4711", "TRUSTED": "nowhere", "AGENT": "another-agent",
		"AGENT_NAME": "Another agent",
	} {
		t.Setenv(name, value)
	}
	config := strings.Replace(commandCaddyfile(tenant), "token_vault github", `token_vault {env.CONNECTION} {
			scopes {env.SCOPE}
			max_scopes {env.SCOPE}
			require_scopes {env.PERMISSION}
			login_hint {env.ACCOUNT}
			allow_clients {env.AGENT}
		}`, 1)
	config = strings.Replace(config, "origin", "client_name {env.AGENT} {env.AGENT_NAME}\n\t\t\tvia management\n\t\t\ttrust_email {env.TRUSTED}\n\t\t\torigin", 1)
	config = strings.Replace(config, "allow_clients demo-agent", "management {env.AUTH0_MANAGEMENT_CLIENT_ID} {env.AUTH0_MANAGEMENT_CLIENT_SECRET}\n\t\tallow_clients demo-agent", 1)
	if err := tenant.Connect("alice@example.com", "github", []string{"repo"}, "4711"); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := command(t, t.Context(), config, "doctor", "--user", "alice@example.com")
	if code != 1 || strings.Contains(out, "{env.") || !strings.Contains(out, "no connection nowhere") || !strings.Contains(out, "another-agent") ||
		!strings.Contains(out, "whether the connected account is the one that login_hint names") || !strings.Contains(out, "read:nothing") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	code, out, errOut = command(t, t.Context(), config, "setup", "--create-agent")
	if code != 0 || strings.Contains(out, "{env.") || !strings.Contains(out, "Another agent") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	t.Setenv("SCOPE", "repo gist")
	for _, args := range [][]string{{"doctor"}, {"setup"}} {
		if code, _, errOut := command(t, t.Context(), config, args...); code != 2 || !strings.Contains(errOut, "{$SCOPE}") {
			t.Errorf("%v with two words: exit %d\n%s", args, code, errOut)
		}
	}
}

// Auth0 has its Management API on the tenant's own host only.
func TestTheManagementAPIIsAskedAtTheTenantsOwnDomain(t *testing.T) {
	custom, own := commandTenant(t, nil), commandTenant(t, nil)
	asManager(t)
	code, out, errOut := command(t, t.Context(), commandCaddyfile(custom), "doctor", "--management-domain", own.URL)
	if code != 0 || !strings.Contains(out, "0 ✗   0 ?") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	managing := func(r auth0test.Request) bool {
		return strings.HasPrefix(r.Path, "/api/v2/") || r.GrantType == "client_credentials"
	}
	if slices.ContainsFunc(custom.Requests(), managing) || !slices.ContainsFunc(own.Requests(), managing) {
		t.Errorf("asked: %v, %v", custom.Requests(), own.Requests())
	}
	for _, r := range own.Requests() {
		if !managing(r) {
			t.Errorf("%s %s was sent to the tenant's own domain", r.Method, r.Path)
		}
	}
	if code, _, errOut := command(t, t.Context(), commandCaddyfile(custom), "doctor", "--management-domain", "http://tenant.example.com"); code != 2 || !strings.Contains(errOut, "management-domain") {
		t.Errorf("without TLS: exit %d %s", code, errOut)
	}
}

// Each tenant gets what its own block and routes need, and its variables are the
// block's.
func TestSetupOfSeveralTenants(t *testing.T) {
	first, second := commandTenant(t, emptyTenant), commandTenant(t, emptyTenant)
	asManager(t)
	names := []string{"FIRST_ID", "FIRST_AGENT", "FIRST_OTHER_AGENT", "SECOND_ID", "SECOND_AGENT"}
	for _, name := range names {
		t.Setenv(name, strings.ToLower(name))
	}
	config := `{
	token_vault first {
		domain ` + first.URL + `
		audience https://first.example.com/
		client {env.FIRST_ID} {env.FIRST_SECRET}
		allow_clients {env.FIRST_AGENT} {env.FIRST_OTHER_AGENT}
	}
	token_vault second {
		domain ` + second.URL + `
		audience https://second.example.com/
		client {env.SECOND_ID} {env.SECOND_SECRET}
		allow_clients {env.SECOND_AGENT}
	}
}
http://localhost:8080 {
	route /google/* {
		token_vault google-oauth2 {
			tenant first
		}
	}
	route /github/* {
		token_vault github {
			tenant second
		}
	}
}
`
	file := filepath.Join(privateDir(t), "auth0.env")
	code, out, errOut := command(t, t.Context(), config, "setup", "--create-agent", "--apply", "--env-file", file)
	if code != 0 {
		t.Fatalf("exit %d\n%s%s", code, out, errOut)
	}
	kept, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range append(names, "FIRST_SECRET", "SECOND_SECRET") {
		before, after, _ := strings.Cut(string(kept), "export "+name+"=")
		if value, _, ended := strings.Cut(after, "\n"); !ended || strings.Contains(before+after, "export "+name+"=") {
			t.Errorf("%s is not there once:\n%s", name, kept)
		} else {
			t.Setenv(name, value)
		}
	}
	code, out, errOut = command(t, t.Context(), config, "doctor")
	if code != 0 || strings.Count(out, " 0 ✗   0 ?") != 2 {
		t.Errorf("afterwards doctor exits with %d\n%s%s", code, out, errOut)
	}
	for _, other := range []struct {
		tenant             *auth0test.Server
		audience, disabled string
	}{{first, "https://second.example.com/", "github"}, {second, "https://first.example.com/", "google-oauth2"}} {
		for _, rs := range other.tenant.Config().ResourceServers {
			if rs.Identifier == other.audience {
				t.Errorf("%s is in the other tenant", rs.Identifier)
			}
		}
		for _, c := range other.tenant.Config().Connections {
			if c.Name == other.disabled && len(c.EnabledClients) > 0 {
				t.Errorf("%s is enabled in the other tenant", c.Name)
			}
		}
	}
}
