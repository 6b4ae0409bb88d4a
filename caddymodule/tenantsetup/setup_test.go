package tenantsetup

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// empty leaves the seeds' users, their management client, and connections whose
// provider's keys are all that is set.
func empty(cfg *auth0test.Config) {
	cfg.Settings.IDTokenAlg = "HS256" // for applications that are made without one
	cfg.ResourceServers = nil
	cfg.Clients = without(cfg.Clients, func(c auth0test.Client) bool { return c.ClientID != "tenant-management" })
	cfg.ClientGrants = without(cfg.ClientGrants, func(g auth0test.ClientGrant) bool { return g.ClientID != "tenant-management" })
	for i := range cfg.Connections {
		c := &cfg.Connections[i]
		c.EnabledClients, c.ConnectedAccounts = nil, nil
		delete(c.Options, "offline_access")
	}
}

// prepare makes a plan.
func prepare(t *testing.T, n *Needs) *Plan {
	t.Helper()
	plan, err := Prepare(t.Context(), n, silent)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

// carryOut applies a plan, and puts what it made into the needs as a person would
// into the environment.
func carryOut(t *testing.T, ctx context.Context, n *Needs, plan *Plan, progress Progress) Outcome {
	t.Helper()
	return plan.Apply(ctx, progress, func(v Variables) ([]string, error) {
		switch v.IDVariable {
		case "AUTH0_CLIENT_ID":
			n.Exchange.ID = v.ID
			if v.Secret.Reveal() != "" {
				n.Exchange.Secret = v.Secret
			}
		case "AUTH0_LINK_CLIENT_ID":
			n.Link.Client.ID = v.ID
			if v.Secret.Reveal() != "" {
				n.Link.Client.Secret = v.Secret
			}
		default:
			n.Agents[slices.IndexFunc(n.Agents, func(a Agent) bool { return a.Name == v.Agent })].ID = v.ID
		}
		return []string{v.IDVariable}, nil
	})
}

func fault(t *testing.T, tenant *auth0test.Server, f auth0test.Fault) {
	t.Helper()
	if err := tenant.AddFault(f); err != nil {
		t.Fatal(err)
	}
}

// writes counts the calls that change the tenant.
func writes(tenant *auth0test.Server) (calls []string) {
	for _, r := range tenant.Requests() {
		if strings.HasPrefix(r.Path, "/api/v2/") && r.Method != "GET" {
			calls = append(calls, r.Method+" "+r.Path)
		}
	}
	return calls
}

func TestSetupMakesAllThatAnEmptyTenantLacks(t *testing.T) {
	tenant := start(t, empty)
	n := managed(tenant)
	n.CreateAgents = true
	plan := prepare(t, n)
	if calls := writes(tenant); len(calls) > 0 || len(plan.ByHand) > 0 {
		t.Fatalf("planning called %q, and leaves %+v", calls, plan.ByHand)
	}
	out := carryOut(t, t.Context(), n, plan, silent)
	if out.Err != nil || len(out.Refused) > 0 || len(out.Done) != len(plan.Changes) || plan.ExitCode(out) != ExitOK {
		t.Fatalf("%+v", out)
	}
	if calls := writes(tenant); len(calls) != len(plan.Changes) {
		t.Errorf("%d changes were planned, and these calls made: %q", len(plan.Changes), calls)
	}
	if got := wrongs(t, n); got != nil {
		t.Errorf("afterwards doctor finds %q", got)
	}
	if again := prepare(t, n); len(again.Changes) > 0 || len(again.ByHand) > 0 || len(again.Adopted) > 0 {
		t.Errorf("a second run would do %+v", again)
	}
	cfg := tenant.Config()
	if google := connectionOf(&cfg, "google-oauth2"); google.Options["client_secret"] != "tenant-at-google-secret" || google.Options["profile"] != true {
		t.Errorf("options of the connection were lost: %v", google.Options)
	}
}

func TestSetupFindsWhatARunMadeWhoseIDsNobodyCopied(t *testing.T) {
	tenant := start(t, empty)
	n := managed(tenant)
	n.CreateAgents = true
	carryOut(t, t.Context(), managed(tenant), prepare(t, n), silent)
	again := prepare(t, n) // with the ids of before
	if len(again.Changes) > 0 || len(again.Adopted) != 3 {
		t.Errorf("changes %+v, adopted %+v", again.Changes, again.Adopted)
	}
}

// A shell keeps the last value that a variable is given.
func TestNewAgentsAreToldApart(t *testing.T) {
	tenant := start(t, empty)
	keysAtOnce(t, tenant)
	n := managed(tenant)
	n.CreateAgents = true
	n.Agents = []Agent{{ID: "one", Name: "First Agent", IDVariable: "FIRST_AGENT"}, {ID: "two", Name: "Second Agent"}}
	plan := prepare(t, n)
	var kept bytes.Buffer
	out := plan.Apply(t.Context(), silent, func(v Variables) ([]string, error) { return WriteVariables(&kept, v, "") })
	var told bytes.Buffer
	WriteOutcome(&told, plan, out, "auth0.env")
	ids := make(map[string]string)
	for _, c := range tenant.Config().Clients {
		ids[c.Name] = c.ClientID
	}
	if want := "# the agent First Agent\nexport FIRST_AGENT=" + ids["First Agent"] + "\n"; !strings.HasSuffix(kept.String(), want) {
		t.Errorf("kept:\n%swant:\n%s", kept.String(), want)
	}
	if want := "\n# the agent Second Agent: " + ids["Second Agent"] + " in allow_clients\n"; !strings.Contains(told.String(), want) {
		t.Errorf("told:\n%s", told.String())
	}
	told.Reset()
	WritePlan(&told, prepare(t, n))
	for _, want := range []string{"FIRST_AGENT=" + ids["First Agent"], "Second Agent=" + ids["Second Agent"]} {
		if !strings.Contains(told.String(), "Already there, under another id than the configuration's: "+want+"\n") {
			t.Errorf("no %s in\n%s", want, told.String())
		}
	}
}

// Where a tenant lets anybody register applications, they are third-party ones, with
// any name and any callback, and somebody else has their secrets.
func TestSetupAdoptsNoApplicationThatAnybodyMayHaveRegistered(t *testing.T) {
	tenant := start(t, func(cfg *auth0test.Config) {
		empty(cfg)
		cfg.Clients = append(cfg.Clients,
			auth0test.Client{ClientID: "registered-1", Name: "Demo Agent", AppType: "native", IsFirstParty: new(false), TokenEndpointAuthMethod: "none"},
			auth0test.Client{
				ClientID: "registered-2", Name: "Token Vault", AppType: "regular_web", IsFirstParty: new(false),
				ClientSecret: "somebody-elses-secret", Callbacks: []string{"http://localhost:8080/auth/callback"},
			},
		)
	})
	n := managed(tenant)
	n.CreateAgents = true
	for _, v := range prepare(t, n).Adopted {
		t.Errorf("%s=%s is somebody else's", v.IDVariable, v.ID)
	}
}

func TestSetupLeavesAloneWhatIsAsItShouldBe(t *testing.T) {
	tenant := start(t, nil)
	before := tenant.Config()
	plan := prepare(t, managed(tenant))
	if len(plan.Changes) > 0 || len(plan.ByHand) > 0 || len(plan.Exists) == 0 {
		t.Errorf("%+v", plan)
	}
	if compact(before) != compact(tenant.Config()) {
		t.Error("the tenant has changed")
	}
}

func TestSetupDoesNothingWithoutTheScopesForAll(t *testing.T) {
	tenant := start(t, func(cfg *auth0test.Config) {
		empty(cfg)
		cfg.ClientGrants[0].Scope = without(cfg.ClientGrants[0].Scope, func(s string) bool { return s == "update:connections" })
	})
	_, err := Prepare(t.Context(), managed(tenant), silent)
	if err == nil || !strings.Contains(err.Error(), "update:connections") || len(writes(tenant)) > 0 {
		t.Errorf("%v, %q", err, writes(tenant))
	}
}

func TestAManagementAPIThatFailsIsNoFinding(t *testing.T) {
	for _, path := range []string{"/oauth/token", "/api/v2/clients", "/api/v2/connections", "/api/v2/guardian/policies"} {
		tenant := start(t, nil)
		fault(t, tenant, auth0test.Fault{Path: path, Status: new(503), Times: new(0)})
		if _, err := Examine(t.Context(), managed(tenant), silent); err == nil {
			t.Errorf("%s: no error", path)
		}
		if _, err := Prepare(t.Context(), managed(tenant), silent); err == nil {
			t.Errorf("%s: a plan", path)
		}
	}
}

func TestDoctorSaysWhatItsTokenDoesNotShow(t *testing.T) {
	tenant := start(t, func(cfg *auth0test.Config) {
		i := slices.IndexFunc(cfg.ClientGrants, func(g auth0test.ClientGrant) bool { return g.ClientID == "tenant-management" })
		cfg.ClientGrants[i].Scope = []string{"read:clients"}
	})
	report, err := Examine(t.Context(), managed(tenant), silent)
	if err != nil {
		t.Fatal(err)
	}
	status := make(map[string]Status)
	for _, f := range report.Findings {
		status[f.Check] = f.Status
	}
	for check, want := range map[string]Status{
		"management.scopes": StatusUnknown, "api.exists": StatusUnknown, "connection.exists": StatusUnknown,
		"tenant.mfa_policy": StatusUnknown, "client.grant": StatusOK, "link.callback": StatusOK,
	} {
		if status[check] != want {
			t.Errorf("%s: %q, want %q", check, status[check], want)
		}
	}
	if ExitCode([]*Report{report}) != ExitOK {
		t.Error("what cannot be seen fails")
	}
}

// Auth0 has been seen to refuse both.
func TestWhatAuth0LetsNoProgramDoIsLeftToPeople(t *testing.T) {
	for name, refuse := range map[string]func(*auth0test.Settings){
		"activating the My Account API": func(s *auth0test.Settings) { s.MyAccountAPI = "dashboard" },
		"user access to it":             func(s *auth0test.Settings) { s.ClientGrantSubjectType = "client" },
	} {
		t.Run(name, func(t *testing.T) {
			tenant := start(t, func(cfg *auth0test.Config) {
				empty(cfg)
				refuse(&cfg.Settings)
			})
			n := managed(tenant)
			n.CreateAgents = true
			plan := prepare(t, n)
			out := carryOut(t, t.Context(), n, plan, silent)
			var told bytes.Buffer
			WriteOutcome(&told, plan, out, "")
			if out.Err != nil || len(out.Refused) == 0 || len(out.Done)+len(out.Refused) != len(plan.Changes) || plan.ExitCode(out) != ExitWrong {
				t.Fatalf("%+v", out)
			}
			if !strings.Contains(told.String(), "Dashboard  Applications > APIs > Auth0 My Account API") {
				t.Errorf("told:\n%s", told.String())
			}
			for _, check := range wrongs(t, n) {
				if !strings.HasPrefix(check, "my_account.") {
					t.Errorf("%s is wrong too", check)
				}
			}
		})
	}
}

func TestCtrlCEndsASetupAndTellsWhatWasDone(t *testing.T) {
	tenant := start(t, empty)
	n := managed(tenant)
	plan := prepare(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	out := carryOut(t, ctx, n, plan, func(text string) {
		if strings.HasPrefix(text, "creating the link pages") {
			cancel()
		}
	})
	if len(out.Done) != 2 || out.Err == nil || len(out.Kept) != 1 || n.Exchange.Secret.Reveal() == "vault-exchange-secret" {
		t.Errorf("%+v", out)
	}
}

// The secret of a new application is shown once, so it must not be lost with the
// file that was to have it.
func TestASecretThatCannotBeKeptIsShown(t *testing.T) {
	tenant := start(t, empty)
	plan := prepare(t, managed(tenant))
	out := plan.Apply(t.Context(), silent, func(Variables) ([]string, error) { return nil, errors.New("no space left on device") })
	var told bytes.Buffer
	WriteOutcome(&told, plan, out, "auth0.env")
	cfg := tenant.Config()
	made := cfg.Clients[len(cfg.Clients)-1]
	if out.Err == nil || len(out.Done) != 1 || !strings.Contains(told.String(), "export AUTH0_CLIENT_SECRET="+made.ClientSecret) {
		t.Errorf("%+v told\n%s", out, told.String())
	}
}

// Nothing is changed where not even an id that is there already can be kept.
func TestAnAdoptedIDThatCannotBeKeptEndsARun(t *testing.T) {
	tenant := quick(t, func(cfg *auth0test.Config) { connectionOf(cfg, "github").ConnectedAccounts = nil })
	n := managed(tenant)
	n.Exchange.ID = "unset"
	plan := prepare(t, n)
	out := plan.Apply(t.Context(), silent, func(Variables) ([]string, error) { return nil, errors.New("no space left on device") })
	var told bytes.Buffer
	WriteOutcome(&told, plan, out, "auth0.env")
	if out.Err == nil || len(plan.Changes) == 0 || len(out.Left) != len(plan.Changes) || writes(tenant) != nil {
		t.Errorf("%+v, and called %q", out, writes(tenant))
	}
	if text := told.String(); !strings.Contains(text, "export AUTH0_CLIENT_ID=vault-exchange\n") || !strings.Contains(text, "no space left on device") {
		t.Errorf("told:\n%s", text)
	}
}

func TestTwoAgentsOfOneNameAreTwoApplications(t *testing.T) {
	tenant := start(t, nil)
	keysAtOnce(t, tenant)
	two := func() *Needs {
		n := managed(tenant)
		n.CreateAgents = true
		n.Agents = []Agent{{ID: "a", Name: "Bot", IDVariable: "A"}, {ID: "b", Name: "Bot", IDVariable: "B"}}
		return n
	}
	prepare(t, two()).Apply(t.Context(), silent, func(Variables) ([]string, error) { return nil, nil }) // nobody copied the ids
	plan := prepare(t, two())
	if len(plan.Adopted) != 2 || plan.Adopted[0].ID == plan.Adopted[1].ID {
		t.Errorf("adopted %+v", plan.Adopted)
	}
}

// An application whose ID tokens somebody wants signed with its secret may verify
// them so.
func TestAnAlgorithmThatSomebodyChoseIsLeftToPeople(t *testing.T) {
	tenant := start(t, func(cfg *auth0test.Config) {
		client(cfg, "link-pages").JWTConfiguration = &auth0test.JWTConfig{Alg: "HS256"}
	})
	keysAtOnce(t, tenant)
	plan := prepare(t, managed(tenant))
	if len(plan.Changes) != 0 || len(plan.ByHand) != 1 || plan.ByHand[0].Check != "link.id_token_alg" {
		t.Errorf("would change %+v, and leaves %+v", plan.Changes, plan.ByHand)
	}
}

// Who forgot to fill in the environment is not told to make everything once more.
func TestDoctorKnowsWhatIsThereUnderAnotherID(t *testing.T) {
	tenant := start(t, nil)
	keysAtOnce(t, tenant)
	n := managed(tenant)
	n.Exchange.ID, n.Link.Client.ID = "unset", "unset"
	report, err := Examine(t.Context(), n, silent)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"client.exists": "vault-exchange and its secret", "link.exists": "link-pages and its secret"}
	for _, f := range report.Findings {
		if text, ok := want[f.Check]; ok && (f.Status != StatusWrong || f.CLI != "" || !strings.Contains(f.Expected, text)) {
			t.Errorf("%+v", f)
		}
	}
}
