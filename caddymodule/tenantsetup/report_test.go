package tenantsetup

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

func TestAReportIsShortAndSaysHowToMendThings(t *testing.T) {
	var out bytes.Buffer
	WriteText(&out, []*Report{{Tenant: "default", Issuer: "https://tenant.example.com/", Findings: []Finding{
		fine("discovery", "issuer https://tenant.example.com/"),
		wrong("link.callback", "callbacks none", "https://link.example.com/auth/callback", "Applications > Applications > It's > Settings").
			mendedBy(Change{Method: "PATCH", Path: []string{"clients", "abc"}, Body: map[string]any{"callbacks": []string{"https://link.example.com/it's"}}}),
		unseen("api.exists", errNoCredentials),
		unseen("connection.exists", errNoCredentials).about("github"),
	}}})
	const want = `Auth0 tenant https://tenant.example.com/ (default)

✓ discovery      issuer https://tenant.example.com/
✗ link.callback  callbacks none
    expected   https://link.example.com/auth/callback
    Dashboard  Applications > Applications > It's > Settings
    CLI        auth0 api patch clients/abc --data '{"callbacks":["https://link.example.com/it'\''s"]}'

? not seen: needs Management credentials
    api.exists, connection.exists (github)
`
	if !strings.HasPrefix(out.String(), want) || !strings.HasSuffix(out.String(), "\n1 ✓   1 ✗   2 ?\n") {
		t.Errorf("got:\n%s", out.String())
	}
}

// Names are what anybody who may make a client chose them to be.
func TestWhatATenantSaysDoesNotControlTheTerminal(t *testing.T) {
	const evil = "\x1b]0;owned\a\u202e\u009b31m\n✓ client.secret  all is well"
	finding := wrong("client.grant", evil, evil, evil).about(evil).mendedBy(Change{What: evil, Method: "PATCH", Path: []string{evil}, Body: map[string]any{evil: evil}})
	var out bytes.Buffer
	WriteText(&out, []*Report{{Tenant: evil, Issuer: evil, Findings: []Finding{finding, unseen(evil, &apiError{400, evil})}}})
	plan := &Plan{
		Needs: &Needs{Issuer: evil, Tenant: evil}, Exists: []Finding{finding}, ByHand: []Finding{finding}, Changes: []Change{*finding.change},
		Adopted: []Variables{{IDVariable: "A", ID: evil, SecretVariable: "B", Secret: vault.NewSecret(evil)}},
	}
	WritePlan(&out, plan)
	WriteOutcome(&out, plan, Outcome{
		Done: plan.Changes, Refused: plan.Changes, Failed: &plan.Changes[0], Left: plan.Changes,
		Why: &apiError{400, evil}, Err: &apiError{400, evil}, Kept: []string{evil}, Variables: plan.Adopted,
	}, "file")
	NewProgress(&out, false)(evil)
	if err := WriteJSON(&out, []*Report{{Tenant: evil, Issuer: evil, Findings: []Finding{finding}}}); err != nil {
		t.Error(err)
	}
	for _, line := range strings.Split(out.String(), "\n") {
		if strings.HasPrefix(line, "✓ client.secret") || strings.ContainsAny(line, "\x1b\a\u202e\u009b") {
			t.Errorf("%q", line)
		}
	}
}

func TestWithoutCredentialsTheScopesForWhatIsAskedAreNamed(t *testing.T) {
	tenant := start(t, nil)
	for _, user := range []string{"", "alice@example.com"} {
		n := demo(tenant)
		n.User = user
		report, err := Examine(t.Context(), n, silent)
		if err != nil {
			t.Fatal(err)
		}
		var out bytes.Buffer
		WriteText(&out, []*Report{report})
		if !strings.Contains(out.String(), "read:clients") || strings.Contains(out.String(), "read:users") != (user != "") {
			t.Errorf("asked about %q:\n%s", user, out.String())
		}
	}
}

// A plan says what would be done, and an outcome what was; neither says both.
func TestAnOutcomeSaysOnceWhatWasDone(t *testing.T) {
	plan := &Plan{
		Needs: &Needs{Tenant: "default", Issuer: "https://tenant.example.com/"}, Exists: []Finding{fine("discovery", "")},
		Changes: []Change{{What: "API a", Method: "POST", Path: []string{"resource-servers"}, Body: map[string]any{}}},
		ByHand:  []Finding{wrong("tenant.mfa_policy", "Always", "Never", "Security")},
	}
	var out bytes.Buffer
	WriteOutcome(&out, plan, Outcome{Done: plan.Changes, Kept: []string{"AUTH0_CLIENT_ID"}}, "new.env")
	const want = `Auth0 tenant https://tenant.example.com/ (default)

As it should be:
    discovery

✓ created API a
✓ appended to new.env: AUTH0_CLIENT_ID

Left to you:

✗ tenant.mfa_policy  Always
    expected   Never
    Dashboard  Security

With these in the environment, token-vault doctor says what is still missing. It cannot
see by which connections people are to sign in: enable those for new applications.
`
	if out.String() != want {
		t.Errorf("got:\n%s", out.String())
	}
}

func TestVariablesAreWrittenOnce(t *testing.T) {
	fresh := Variables{IDVariable: "ID", ID: "abc", SecretVariable: "SECRET", Secret: vault.NewSecret("hidden")}
	adopted := Variables{IDVariable: "ID", ID: "abc", SecretVariable: "SECRET"}
	agent := Variables{Agent: "Demo Agent", IDVariable: "ID", ID: "abc"}
	const both = "export ID=abc\nexport SECRET=hidden\n"
	for _, c := range []struct {
		name  string
		v     Variables
		there string
		want  string
		names []string
	}{
		{"a new application", fresh, "", both, []string{"ID", "SECRET"}},
		{"one that is in the file", adopted, "# by hand\n" + both, "", nil},
		{"one whose secret nobody knows", adopted, "", "export ID=abc\n# SECRET: Applications > Applications > (abc) > Settings > Client Secret\n", []string{"ID"}},
		{"an agent's, with its name", agent, "", "# the agent Demo Agent\nexport ID=abc\n", []string{"ID"}},
		{"an agent's that is in the file", agent, "# the agent Demo Agent\nexport ID=abc\n", "", nil},
		{"an agent's that no variable is known for", Variables{Agent: "Demo Agent", ID: "abc"}, "", "# the agent Demo Agent: abc in allow_clients\n", nil},
		{"another than the file's", fresh, "export ID=abcd\nXexport ID=abc\n", both, []string{"ID", "SECRET"}},
	} {
		var out bytes.Buffer
		names, err := WriteVariables(&out, c.v, c.there)
		if err != nil || out.String() != c.want || !slices.Equal(names, c.names) {
			t.Errorf("%s: %q, %v, wrote %q", c.name, names, err, out.String())
		}
	}
}

func TestProgressTakesOneLineOfATerminal(t *testing.T) {
	var terminal, file bytes.Buffer
	for _, progress := range []Progress{NewProgress(&terminal, true), NewProgress(&file, false)} {
		progress("reading clients")
		progress("")
	}
	if terminal.String() != "\r\x1b[Kreading clients…\r\x1b[K" || file.String() != "token-vault: reading clients\n" {
		t.Errorf("%q, %q", terminal.String(), file.String())
	}
}

// A tenant that repeats what it was sent, and one that redirects.
func TestNoOutputHoldsASecret(t *testing.T) {
	const canary = "canary-secret-canary-secret"
	n := managed(start(t, nil))
	n.Exchange.Secret, n.Link.Client.Secret, n.Management.Secret = vault.NewSecret(canary), vault.NewSecret(canary), vault.NewSecret(canary)
	for _, answer := range []http.HandlerFunc{
		func(w http.ResponseWriter, r *http.Request) {
			_ = r.ParseForm()
			w.WriteHeader(http.StatusForbidden)
			_ = json.NewEncoder(w).Encode(map[string]any{"error": "access_denied", "error_description": r.Form.Encode(), "message": r.Form.Encode()})
		},
		func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
		},
		func(w http.ResponseWriter, r *http.Request) { panic(http.ErrAbortHandler) },
	} {
		server := httptest.NewServer(answer)
		n.Issuer = server.URL + "/"
		report, err := Examine(t.Context(), n, silent)
		var out bytes.Buffer
		if report != nil {
			WriteText(&out, []*Report{report})
			if err := WriteJSON(&out, []*Report{report}); err != nil {
				t.Error(err)
			}
		}
		if err != nil {
			out.WriteString(err.Error())
		}
		if strings.Contains(out.String(), canary) || out.Len() == 0 {
			t.Errorf("got %s", out.String())
		}
		server.Close()
	}
}

func TestTheManagementTokenFollowsNoRedirect(t *testing.T) {
	var carried string
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { carried = r.Header.Get("Authorization") }))
	defer elsewhere.Close()
	tenant := start(t, nil)
	fault(t, tenant, auth0test.Fault{Path: "/api/v2/*", Status: new(307), Headers: map[string]string{"Location": elsewhere.URL}, Times: new(0)})
	if _, err := Examine(t.Context(), managed(tenant), silent); err == nil || carried != "" {
		t.Errorf("%v, and elsewhere got %q", err, carried)
	}
}

func TestAnswersOfTheManagementAPIThatMakeNoSenseAreErrors(t *testing.T) {
	for _, body := range []any{`{"clients":[{"client_id":7}]}`, `[]`, `nonsense`, `{"clients":7}`, `null`} {
		tenant := start(t, nil)
		fault(t, tenant, auth0test.Fault{Path: "/api/v2/*", Status: new(200), Body: body, Times: new(0)})
		if report, err := Examine(t.Context(), managed(tenant), silent); err == nil && ExitCode([]*Report{report}) == ExitOK {
			t.Errorf("%s: all is well", body)
		}
	}
}
