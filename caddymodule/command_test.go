package caddymodule_test

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// command runs `caddy token-vault` with args on a Caddyfile for the tenant.
func command(t *testing.T, ctx context.Context, config string, args ...string) (code int, out, errOut string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Caddyfile")
	if strings.HasPrefix(config, "{\"") {
		file = strings.TrimSuffix(file, "Caddyfile") + "caddy.json"
	}
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := &cobra.Command{Use: "token-vault"}
	caddycmd.Commands()["token-vault"].CobraFunc(cmd)
	var stdout, stderr bytes.Buffer
	cmd.SetOut(&stdout)
	cmd.SetErr(&stderr)
	cmd.SetArgs(append(args, "--config", file))
	switch err := cmd.ExecuteContext(ctx); {
	case err == nil:
	case err.Error() == "exiting with status 2": // what Caddy's main understands
		code = 2
	default:
		code = 1
	}
	return code, stdout.String(), stderr.String()
}

// commandCaddyfile is a configuration for the seeds of a tenant.
func commandCaddyfile(tenant *auth0test.Server) string {
	return `{
	token_vault {
		domain ` + tenant.URL + `
		audience https://agents.example.com/
		client {$AUTH0_CLIENT_ID} {env.AUTH0_CLIENT_SECRET}
		allow_clients demo-agent
		link {
			origin http://localhost:8080
			client {$AUTH0_LINK_CLIENT_ID} {env.AUTH0_LINK_CLIENT_SECRET}
		}
	}
}
http://localhost:8080 {
	token_vault_link
	handle /google/* {
		route {
			token_vault google-oauth2 {
				scopes https://www.googleapis.com/auth/calendar.readonly
			}
		}
	}
	handle_errors {
		token_vault github
	}
}
`
}

// commandTenant starts a tenant, and sets the environment of its Caddyfile.
func commandTenant(t *testing.T, change func(*auth0test.Config)) *auth0test.Server {
	t.Helper()
	cfg := auth0test.Seeds()
	if change != nil {
		change(&cfg)
	}
	tenant := auth0test.NewServer(cfg)
	t.Cleanup(tenant.Close)
	for name, value := range map[string]string{
		"AUTH0_CLIENT_ID": "vault-exchange", "AUTH0_CLIENT_SECRET": "vault-exchange-secret",
		"AUTH0_LINK_CLIENT_ID": "link-pages", "AUTH0_LINK_CLIENT_SECRET": "link-pages-secret",
		"AUTH0_MANAGEMENT_CLIENT_ID": "", "AUTH0_MANAGEMENT_CLIENT_SECRET": "",
	} {
		t.Setenv(name, value)
	}
	return tenant
}

func TestDoctorsExitCodeSaysHowItWent(t *testing.T) {
	tenant := commandTenant(t, nil)
	config := commandCaddyfile(tenant)
	code, out, _ := command(t, t.Context(), config, "doctor")
	if code != 0 || !strings.Contains(out, "✓ discovery") || !strings.Contains(out, "? not seen: needs Management credentials") ||
		!strings.Contains(out, "(google-oauth2)") || !strings.Contains(out, "(github)") {
		t.Errorf("all well: exit %d\n%s", code, out)
	}
	t.Setenv("AUTH0_CLIENT_SECRET", "wrong-secret")
	if code, out, _ = command(t, t.Context(), config, "doctor"); code != 1 || !strings.Contains(out, "✗ client.secret") {
		t.Errorf("a wrong secret: exit %d\n%s", code, out)
	}
	t.Setenv("AUTH0_CLIENT_SECRET", "")
	if code, _, errOut := command(t, t.Context(), config, "doctor"); code != 2 || !strings.Contains(errOut, "AUTH0_CLIENT_SECRET") {
		t.Errorf("a configuration that does not load: exit %d\n%s", code, errOut)
	}
	if code, _, errOut := command(t, t.Context(), "{", "doctor"); code != 2 || errOut == "" {
		t.Errorf("no configuration: exit %d\n%s", code, errOut)
	}
	if code, _, errOut := command(t, t.Context(), config, "doctor", "--nonsense"); code != 2 || errOut == "" {
		t.Errorf("an unknown flag: exit %d\n%s", code, errOut)
	}
	if code, _, errOut := command(t, t.Context(), config, "doctor", "more"); code != 2 || !strings.Contains(errOut, "more") {
		t.Errorf("an argument: exit %d\n%s", code, errOut)
	}
	if code, _, errOut := command(t, t.Context(), config, "setup"); code != 2 || !strings.Contains(errOut, "machine-to-machine") {
		t.Errorf("setup without Management credentials: exit %d\n%s", code, errOut)
	}
}

func TestDoctorSpeaksJSON(t *testing.T) {
	tenant := commandTenant(t, nil)
	t.Setenv("AUTH0_LINK_CLIENT_SECRET", "wrong-secret")
	code, out, _ := command(t, t.Context(), commandCaddyfile(tenant), "doctor", "--json")
	var report struct {
		Tenants []struct {
			Tenant, Issuer string
			Managed        bool
			Findings       []struct{ Check, Status, Subject, Found, Expected, Dashboard, CLI string }
		}
	}
	decoder := json.NewDecoder(strings.NewReader(out))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&report); err != nil || code != 1 || len(report.Tenants) != 1 {
		t.Fatalf("exit %d, %v\n%s", code, err, out)
	}
	got := report.Tenants[0]
	if got.Tenant != "default" || got.Issuer != tenant.Issuer() || got.Managed {
		t.Errorf("%+v", got)
	}
	for _, f := range got.Findings {
		want := "ok"
		switch {
		case f.Check == "link.secret":
			want = "wrong"
		case f.Found == "needs Management credentials", strings.HasPrefix(f.Found, "the tenant's answer"):
			want = "unknown"
		}
		if f.Status != want || f.Found == "" || want == "wrong" && (f.Expected == "" || f.Dashboard == "") {
			t.Errorf("%+v", f)
		}
	}
}

func TestDoctorReadsJSONToo(t *testing.T) {
	tenant := commandTenant(t, nil)
	config := `{"apps":{"token_vault":{"tenants":{"second":{"domain":"` + tenant.URL + `","audience":"https://agents.example.com/",
		"client":{"id":"vault-exchange","secret":"{env.AUTH0_CLIENT_SECRET}"},"allow_clients":["*"]}}},
		"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"subroute","routes":[{"handle":[
		{"handler":"token_vault","tenant":"second","connection":"slack"}]}]}]}]}}}}}`
	code, out, errOut := command(t, t.Context(), config, "doctor", "--tenant", "second")
	if code != 0 || !strings.Contains(out, "connection.exists (slack)") || strings.Contains(out, "link.") || !strings.Contains(out, "tenant.dynamic_registration") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	if code, _, errOut = command(t, t.Context(), config, "doctor", "--tenant", "third"); code != 2 || !strings.Contains(errOut, "no such tenant") {
		t.Errorf("another tenant: exit %d %s", code, errOut)
	}
}

// What the warnings of a load see, doctor and setup see.
func TestDoctorSeesEveryPlaceOfTheConfiguration(t *testing.T) {
	tenant := commandTenant(t, nil)
	config := commandCaddyfile(tenant)
	config = config[:strings.Index(config, "http://localhost:8080 {")] + `&(named) {
	token_vault named
}
&(unused) {
	token_vault unused
}
http://*.localhost:8080 {
	token_vault_link
	@agents host agents.localhost
	handle @agents {
		token_vault hosts
	}
	intercept {
		@gone status 404
		handle_response @gone {
			token_vault intercept
		}
	}
	handle /named {
		invoke named
	}
	handle {
		reverse_proxy localhost:1 {
			handle_response {
				token_vault response
			}
		}
	}
	handle_errors {
		token_vault errors
	}
}
`
	_, out, errOut := command(t, t.Context(), config, "doctor")
	for _, connection := range []string{"named", "hosts", "intercept", "response", "errors"} {
		if !strings.Contains(out, "("+connection+")") {
			t.Errorf("%s is not seen:\n%s%s", connection, out, errOut)
		}
	}
	if strings.Contains(out, "(unused)") {
		t.Errorf("what nothing leads to is seen:\n%s", out)
	}
	jsonConfig := `{"apps":{"token_vault":{"tenants":{"default":{"domain":"` + tenant.URL + `","audience":"https://agents.example.com/",
		"client":{"id":"vault-exchange","secret":"{env.AUTH0_CLIENT_SECRET}"},"allow_clients":["*"]}}},
		"http":{"servers":{"s":{"routes":[{"handle":[{"handler":"subroute","errors":{"routes":[{"handle":[{"handler":"token_vault","connection":"subroutes-errors"}]}]}},
		{"handler":"nothing-here"}]}]}}}}}`
	if code, _, errOut := command(t, t.Context(), jsonConfig, "doctor"); code != 2 || !strings.Contains(errOut, "http.handlers.nothing-here") {
		t.Errorf("a handler that this Caddy does not have: exit %d %s", code, errOut)
	}
	if _, out, errOut := command(t, t.Context(), strings.Replace(jsonConfig, "nothing-here", "vars", 1), "doctor"); !strings.Contains(out, "(subroutes-errors)") {
		t.Errorf("errors of a subroute are not seen:\n%s%s", out, errOut)
	}
}

func TestDoctorEndsAtOnceWhenItIsInterrupted(t *testing.T) {
	tenant := commandTenant(t, nil)
	if err := tenant.AddFault(auth0test.Fault{Path: "/oauth/token", DelayMS: 60_000, Times: new(0)}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan int)
	go func() {
		code, _, _ := command(t, ctx, commandCaddyfile(tenant), "doctor")
		ended <- code
	}()
	cancel()
	if code := <-ended; code != 2 {
		t.Errorf("exit %d", code)
	}
}

// The environment may name the configuration's own management client, or one of the
// operator's that tells nothing about it.
func TestDoctorLooksWhetherTheConfigurationsManagementClientMayLink(t *testing.T) {
	tenant := commandTenant(t, nil)
	t.Setenv("AUTH0_MANAGEMENT_CLIENT_ID", "tenant-management")
	t.Setenv("AUTH0_MANAGEMENT_CLIENT_SECRET", "tenant-management-secret")
	t.Setenv("LINKER_SECRET", "any")
	config := strings.Replace(commandCaddyfile(tenant), "origin", "via management\n\t\t\ttrust_email nowhere\n\t\t\torigin", 1)
	for linker, want := range map[string]string{
		"tenant-management": "✓ management.linking ",
		"linker":            "? not seen: whether linker, the configuration's management, may link identities",
	} {
		code, out, errOut := command(t, t.Context(), strings.Replace(config, "allow_clients", "management "+linker+" {env.LINKER_SECRET}\n\t\tallow_clients", 1), "doctor")
		if code != 1 || !strings.Contains(out, want) || !strings.Contains(out, "nowhere: no connection nowhere, which trust_email names") {
			t.Errorf("%s: exit %d\n%s%s", linker, code, out, errOut)
		}
	}
}

func TestTheCommandsHelpSaysWhatAPlansExitCodeMeans(t *testing.T) {
	long := caddycmd.Commands()["token-vault"].Long
	if !strings.Contains(long, "0 when it has planned") {
		t.Error(long)
	}
}

func TestDoctorUsesTheManagementClientOfTheConfiguration(t *testing.T) {
	tenant := commandTenant(t, nil)
	config := strings.Replace(commandCaddyfile(tenant), "allow_clients", "management tenant-management {env.MANAGEMENT_SECRET}\n\t\tallow_clients", 1)
	t.Setenv("MANAGEMENT_SECRET", "tenant-management-secret")
	if code, out, errOut := command(t, t.Context(), config, "doctor"); code != 0 || !strings.Contains(out, "0 ✗   0 ?") {
		t.Errorf("exit %d\n%s%s", code, out, errOut)
	}
	t.Setenv("MANAGEMENT_SECRET", "")
	if code, _, errOut := command(t, t.Context(), config, "doctor"); code != 2 || !strings.Contains(errOut, "management") {
		t.Errorf("without its secret: exit %d\n%s", code, errOut)
	}
}
