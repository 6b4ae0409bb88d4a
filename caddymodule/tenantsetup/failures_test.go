package tenantsetup

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// refusal is how the Management API refuses a call.
func refusal(status int, message string) auth0test.Fault {
	return auth0test.Fault{Status: &status, Body: map[string]any{"statusCode": status, "error": http.StatusText(status), "message": message}}
}

func answering(status int, body string) auth0test.Fault {
	return auth0test.Fault{Status: &status, Body: body}
}

// failures are how a call that reads something fails. A refusal is about what the
// token may see; everything else ends a run.
var failures = []struct {
	name    string
	refusal bool
	fault   auth0test.Fault
}{
	{"a scope is missing", true, refusal(403, "Insufficient scope, expected any of: read:something")},
	{"not found", true, refusal(404, "Not Found")},
	{"conflict", true, refusal(409, "Conflict")},
	{"a bad request that is no JSON", true, answering(400, "<html>")},
	{"the token has expired", false, refusal(401, "Expired token received for JSON Web Token validation")},
	{"throttled for too long", false, auth0test.Fault{Status: new(429), Headers: map[string]string{"Retry-After": "3600"}}},
	{"an error", false, refusal(500, "Internal Server Error")},
	{"down", false, answering(503, "<html>")},
	{"a page of somebody else's", false, answering(200, "<html>")},
	{"no content", false, answering(204, "")},
	{"an empty answer", false, answering(200, "")},
	{"null", false, answering(200, "null")},
	{"an object without members", false, answering(200, "{}")},
	{"a list of nothing", false, answering(200, "[]")},
	{"half an answer", false, answering(200, `{"total":1,"clients":[{"client_id":"a"`)},
	{"dropped", false, auth0test.Fault{Status: new(0)}},
	{"no answer in time", false, auth0test.Fault{DelayMS: 60_000}},
}

// whatNothingMeans are the lists of which an empty one is a right answer.
var whatNothingMeans = []string{"/api/v2/guardian/policies", "/api/v2/users-by-email"}

// everything asks about all that a tenant has.
func everything(n *Needs) {
	n.User, n.AnyAgent = "alice@example.com", true
	n.Link.Via, n.Linker = "management", n.Management.ID
	n.Routes = []Route{{Connection: "google-oauth2", Scopes: []string{readonly}}}
}

// A tenant that has all that is needed: whatever becomes of a call that reads it,
// nothing is found wrong, and nothing is planned.
func TestACallThatFailsIsNotWhatTheTenantHas(t *testing.T) {
	asked := quick(t, accountsWith([]string{readonly}))
	n := managed(asked)
	everything(n)
	if findings := allWrong(t, n); findings != nil {
		t.Fatalf("wrong: %+v", findings)
	}
	var paths []string
	for _, r := range asked.Requests() {
		if strings.HasPrefix(r.Path, "/api/v2/") && !slices.Contains(paths, r.Path) {
			paths = append(paths, r.Path)
		}
	}
	if len(paths) < 9 {
		t.Fatalf("only %q were read", paths)
	}
	for _, path := range paths {
		t.Run(strings.TrimPrefix(path, "/api/v2/"), func(t *testing.T) {
			t.Parallel()
			tenant := quick(t, accountsWith([]string{readonly}))
			for _, failure := range failures {
				if failure.name == "a list of nothing" && slices.Contains(whatNothingMeans, path) {
					continue
				}
				failure.fault.Path, failure.fault.Times = path, new(0)
				tenant.ClearFaults()
				fault(t, tenant, failure.fault)
				keysAtOnce(t, tenant)
				failToRead(t, tenant, path, failure.name, failure.refusal)
			}
			if calls := writes(tenant); calls != nil {
				t.Errorf("calls that change something: %q", calls)
			}
		})
	}
}

func failToRead(t *testing.T, tenant *auth0test.Server, path, name string, refused bool) {
	t.Helper()
	n := managed(tenant)
	everything(n)
	if name == "no answer in time" {
		n.Timeout = 500 * time.Millisecond
	}
	report, err := Examine(t.Context(), n, silent)
	if (err == nil) != refused {
		t.Errorf("%s: doctor ends with %v", name, err)
	}
	if report != nil {
		for _, f := range report.Findings {
			if f.Status == StatusWrong && !(f.Check == "user.exists" && name == "not found") {
				t.Errorf("%s: found wrong: %+v", name, f)
			}
		}
		if unknown := slices.ContainsFunc(report.Findings, func(f Finding) bool { return f.Status == StatusUnknown && strings.Contains(f.Found, "answers 4") }); !unknown && name != "not found" {
			t.Errorf("%s: nothing is said to be unseen", name)
		}
	}
	if strings.HasPrefix(path, "/api/v2/users") || n.Timeout > 0 {
		return // a plan asks for nobody
	}
	n.User = ""
	plan, err := Prepare(t.Context(), n, silent)
	if plan != nil && len(plan.Changes) > 0 {
		t.Errorf("%s: would change %+v", name, plan.Changes)
	}
	// Only what setup never changes may stay unseen.
	if leaves := strings.Contains(path, "guardian") || strings.Contains(path, "tenants"); (err == nil) != (refused && leaves) {
		t.Errorf("%s: planning ends with %v", name, err)
	}
}

// endings are how a call that changes something fails: before the change was made,
// or after.
var endings = []struct {
	name    string
	refusal bool
	answer  func(w http.ResponseWriter, r *http.Request, tenant http.Handler)
}{
	{"down", false, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(503) }},
	{"a scope is missing", true, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(403)
		fmt.Fprint(w, `{"statusCode":403,"error":"Forbidden","message":"Insufficient scope, so it says"}`)
	}},
	{"a bad request that is no JSON", true, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.WriteHeader(400)
		fmt.Fprint(w, "<html>")
	}},
	{"gone meanwhile", true, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(404) }},
	{"conflict", true, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) { w.WriteHeader(409) }},
	{"throttled for too long", false, func(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
		w.Header().Set("Retry-After", "3600")
		w.WriteHeader(429)
	}},
	{"made, and the answer is lost", false, func(_ http.ResponseWriter, r *http.Request, tenant http.Handler) {
		tenant.ServeHTTP(httptest.NewRecorder(), r)
		panic(http.ErrAbortHandler)
	}},
	{"made, and answered with 502", false, func(w http.ResponseWriter, r *http.Request, tenant http.Handler) {
		tenant.ServeHTTP(httptest.NewRecorder(), r)
		w.WriteHeader(502)
		fmt.Fprint(w, "<html>")
	}},
	{"made, and half the answer comes", false, func(w http.ResponseWriter, r *http.Request, tenant http.Handler) {
		tenant.ServeHTTP(httptest.NewRecorder(), r)
		fmt.Fprint(w, `{"client_id":"`)
	}},
}

// Whichever call fails, and however: what was done is told, the next run does the
// rest, and nothing is made twice.
func TestARunThatEndsAnywhereIsFinishedByTheNext(t *testing.T) {
	first := wired(t, empty)
	n := creating(first)
	if out := carryOut(t, t.Context(), n, prepare(t, n), silent); out.Err != nil {
		t.Fatal(out.Err)
	}
	want := inventory(first.Config())
	for at := range first.writes {
		for _, ending := range endings {
			t.Run(fmt.Sprintf("%d %s", at, ending.name), func(t *testing.T) {
				t.Parallel()
				tenant := wired(t, empty)
				tenant.meddle = func(i int, w http.ResponseWriter, r *http.Request, handler http.Handler) {
					if i != at {
						handler.ServeHTTP(w, r)
						return
					}
					ending.answer(w, r, handler)
				}
				n := creating(tenant)
				plan := prepare(t, n)
				out := carryOut(t, t.Context(), n, plan, silent)
				if ending.refusal && aboutMyAccount(plan.Changes[at]) {
					leftToPeople(t, plan, out, at)
				} else {
					ended(t, plan, out, at)
				}
				finish(t, tenant, n, want)
			})
		}
	}
}

// creating is managed, for agents as well.
func creating(tenant *wire) *Needs {
	n := managed(tenant.Server)
	n.CreateAgents = true
	return n
}

// ended checks what is told of a run that ended at a change.
func ended(t *testing.T, plan *Plan, out Outcome, at int) {
	t.Helper()
	if out.Err == nil || out.Failed != &plan.Changes[at] || len(out.Done) != at || len(out.Left) != len(plan.Changes)-at-1 || plan.ExitCode(out) != ExitWrong {
		t.Fatalf("%+v", out)
	}
	var told bytes.Buffer
	WriteOutcome(&told, plan, out, "")
	if text := told.String(); !strings.Contains(text, "✗ "+plan.Changes[at].What+": "+out.Err.Error()) || strings.Count(text, "not done:") != len(out.Left) {
		t.Errorf("told:\n%s", text)
	}
}

// leftToPeople checks what is told of a change that Auth0 refused to a program.
func leftToPeople(t *testing.T, plan *Plan, out Outcome, at int) {
	t.Helper()
	if out.Err != nil || len(out.Refused) == 0 || plan.ExitCode(out) != ExitWrong {
		t.Fatalf("%+v", out)
	}
	var told bytes.Buffer
	WriteOutcome(&told, plan, out, "")
	if text := told.String(); !strings.Contains(text, "✗ "+plan.Changes[at].What+": Auth0 does not let a program do this") || !strings.Contains(text, "the Management API answers 4") {
		t.Errorf("told:\n%s", text)
	}
}

// finish runs setup again and wants the same as after one whole run.
func finish(t *testing.T, tenant *wire, n *Needs, want []string) {
	t.Helper()
	if out := carryOut(t, t.Context(), n, prepare(t, n), silent); out.Err != nil || len(out.Refused) > 0 {
		t.Fatalf("the next run: %+v", out)
	}
	cfg := tenant.Config()
	if got := inventory(cfg); !slices.Equal(got, want) {
		t.Errorf("the tenant has %q, want %q", got, want)
	}
	knowSecrets(cfg, n) // those whose answers were lost
	if got := wrongs(t, n); got != nil {
		t.Errorf("afterwards doctor finds %q", got)
	}
	if again := prepare(t, n); len(again.Changes)+len(again.ByHand)+len(again.Adopted) > 0 {
		t.Errorf("a further run would do %+v", again)
	}
}

// inventory names what a tenant has, without ids.
func inventory(cfg auth0test.Config) (names []string) {
	called := make(map[string]string)
	for _, c := range cfg.Clients {
		called[c.ClientID] = c.Name
		names = append(names, "client "+c.Name)
	}
	for _, rs := range cfg.ResourceServers {
		names = append(names, "API "+rs.Name)
	}
	for _, g := range cfg.ClientGrants {
		names = append(names, "grant "+called[g.ClientID]+" "+g.SubjectType+" "+strings.Join(g.Scope, " "))
	}
	for _, c := range cfg.Connections {
		for _, id := range c.EnabledClients {
			names = append(names, "enabled "+c.Name+" "+called[id])
		}
	}
	slices.Sort(names)
	return names
}

// An agent's access that Auth0 stores as a machine's is of no use: the run says so, and
// does not take it for done.
func TestAnAgentsGrantThatIsStoredAsClientAccessIsNotDone(t *testing.T) {
	tenant := quick(t, func(cfg *auth0test.Config) {
		requireGrant(cfg)
		cfg.ClientGrants = without(cfg.ClientGrants, func(g auth0test.ClientGrant) bool { return g.ClientID == "demo-agent" })
		cfg.Settings.ClientGrantSubjectType = "client"
	})
	n := managed(tenant)
	plan := prepare(t, n)
	out := carryOut(t, t.Context(), n, plan, silent)
	if out.Err == nil || !strings.Contains(out.Err.Error(), "stored as client access") || len(out.Done) > 0 || plan.ExitCode(out) != ExitWrong {
		t.Errorf("%+v", out)
	}
	if got := wrongs(t, n); !slices.Equal(got, []string{"agents.subject_type"}) {
		t.Errorf("afterwards doctor finds %q", got)
	}
}
