package tenantsetup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// A new secret is in the file that keeps it, or else on the screen, in one place.
func TestANewSecretIsShownOnce(t *testing.T) {
	for _, kept := range []bool{true, false} {
		tenant := quick(t, empty)
		n := managed(tenant)
		n.CreateAgents = true
		var planned, told, file bytes.Buffer
		progress := NewProgress(&told, true)
		plan, err := Prepare(t.Context(), n, progress)
		if err != nil {
			t.Fatal(err)
		}
		WritePlan(&planned, plan)
		var keep Keep
		if kept {
			keep = func(v Variables) ([]string, error) { return WriteVariables(&file, v, file.String()) }
		}
		out := plan.Apply(t.Context(), progress, keep)
		WriteOutcome(&told, plan, out, "auth0.env")
		if out.Err != nil {
			t.Fatal(out.Err)
		}
		cfg := tenant.Config()
		named := func(name string) auth0test.Client {
			return cfg.Clients[slices.IndexFunc(cfg.Clients, func(c auth0test.Client) bool { return c.Name == name })]
		}
		for name, variable := range map[string]string{"Token Vault exchange": "AUTH0_CLIENT_SECRET", "Token Vault": "AUTH0_LINK_CLIENT_SECRET"} {
			made := named(name)
			line := "export " + variable + "=" + made.ClientSecret + "\n"
			if strings.Count(file.String(), made.ClientSecret) != either(kept, 1, 0) || strings.Count(told.String(), made.ClientSecret) != either(kept, 0, 1) ||
				strings.Contains(planned.String(), made.ClientSecret) || !strings.Contains(file.String()+told.String(), line) {
				t.Errorf("kept %v: no %s once in the file:\n%s\nor told:\n%s", kept, line, file.String(), told.String())
			}
		}
		for _, secret := range secretsOf(auth0test.Seeds()) {
			if text := planned.String() + told.String() + file.String(); strings.Contains(text, secret) {
				t.Errorf("%s was printed", secret)
			}
		}
		if agent := named("Demo Agent"); agent.ClientSecret != "" && strings.Contains(told.String()+file.String(), agent.ClientSecret) {
			t.Error("the agent's secret, which the proxy has no use for, was printed")
		}
	}
}

// Auth0 throttles whoever makes many calls: a run waits, and makes each call once.
func TestASetupThatIsThrottledGoesOn(t *testing.T) {
	tenant := wired(t, empty)
	throttled := 0
	tenant.meddle = func(_ int, w http.ResponseWriter, r *http.Request, handler http.Handler) {
		if r.URL.Path == "/api/v2/clients" && throttled == 0 {
			throttled++
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(http.StatusTooManyRequests)
			return
		}
		handler.ServeHTTP(w, r)
	}
	n := creating(tenant)
	var told bytes.Buffer
	plan, err := Prepare(t.Context(), n, NewProgress(&told, false))
	if err != nil {
		t.Fatal(err)
	}
	out := carryOut(t, t.Context(), n, plan, silent)
	if out.Err != nil || len(out.Done) != len(plan.Changes) || !strings.Contains(told.String(), "waiting 1s, as Auth0 asks") {
		t.Errorf("%+v, told %s", out, told.String())
	}
	cfg := tenant.Config()
	for _, c := range cfg.Clients {
		if same := without(slices.Clone(cfg.Clients), func(d auth0test.Client) bool { return d.Name != c.Name }); len(same) != 1 {
			t.Errorf("%q was made %d times", c.Name, len(same))
		}
	}
	if got := wrongs(t, n); got != nil {
		t.Errorf("afterwards doctor finds %q", got)
	}
}

// PATCH replaces a connection's options as a whole. What the Management API does not
// show would be gone, so nothing is sent then.
func TestOptionsAreSentWholeOrNotAtAll(t *testing.T) {
	const wrong, ok, unknown = StatusWrong, StatusOK, StatusUnknown
	for _, test := range []struct {
		name, strategy, options string
		want                    Status
		sent                    bool
	}{
		{"Google without offline access", "google-oauth2", `{"client_id":"a","client_secret":"b","profile":true}`, wrong, true},
		{"one whose secret is not shown", "google-oauth2", `{"client_id":"a","profile":true}`, wrong, false},
		{"Auth0's developer keys", "google-oauth2", `{"profile":true}`, wrong, true},
		{"Google with offline access", "google-oauth2", `{"client_id":"a","offline_access":true}`, ok, false},
		{"a text in place of true", "google-oauth2", `{"client_id":"a","client_secret":"b","offline_access":"yes"}`, wrong, true},
		{"options that are not shown", "google-oauth2", `null`, unknown, false},
		{"Microsoft", "waad", `{"client_id":"a","client_secret":"b"}`, wrong, true},
		{"Microsoft, by a list of scopes", "windowslive", `{"client_id":"a","scope":["User.Read","offline_access"]}`, ok, false},
		{"another, by a text of scopes", "oidc", `{"client_id":"a","scope":"openid offline_access"}`, ok, false},
		{"another, by no scope", "oidc", `{"client_id":"a","scope":"openid offline_accessible"}`, unknown, false},
		{"scopes that are neither", "oidc", `{"client_id":"a","scope":7}`, unknown, false},
		{"GitHub", "github", `{"client_id":"a"}`, ok, false},
	} {
		c := &connection{ID: "con_1", Name: "c", Strategy: test.strategy}
		if err := json.Unmarshal([]byte(test.options), &c.Options); err != nil {
			t.Fatal(err)
		}
		f := checkOffline(c)
		if f.Status != test.want || (f.change != nil) != test.sent || f.CLI != "" {
			t.Errorf("%s: %+v", test.name, f)
		}
		if f.change == nil {
			continue
		}
		sent := map[string]any{}
		_ = json.Unmarshal([]byte(compact(f.change.Body.(map[string]any)["options"])), &sent)
		for name := range c.Options {
			if _, there := sent[name]; !there {
				t.Errorf("%s: %s is not sent", test.name, name)
			}
		}
		if sent["offline_access"] != true || strings.Contains(compact(f.change.shown()), `"b"`) {
			t.Errorf("%s: sends %v, and shows %s", test.name, sent, compact(f.change.shown()))
		}
	}
}

// A person is found by their id or by an address that is theirs alone.
func TestDoctorFindsTheOnePersonWhoIsMeant(t *testing.T) {
	tenant := quick(t, func(cfg *auth0test.Config) {
		cfg.Users = append(cfg.Users,
			auth0test.User{UserID: "auth0|twin", Email: "twins@example.com", Password: "twin-password"},
			auth0test.User{UserID: "github|twin", Email: "twins@example.com"},
		)
	})
	for name, want := range map[string]string{
		"alice@example.com": "ok auth0|alice", "Alice@Example.com": "ok auth0|alice", "auth0|alice": "ok auth0|alice", "github|twin": "ok github|twin",
		"auth0|nobody":      "wrong no user auth0|nobody",
		"auth0|alice/../..": "wrong no user auth0|alice/../..",
		"nobody":            "wrong no user nobody",
		"twins@example.com": "wrong no user twins@example.com: 2 users have this address; name one by user id",
	} {
		n := managed(tenant)
		n.User, n.Routes = name, nil
		report, err := Examine(t.Context(), n, silent)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		last := report.Findings[len(report.Findings)-1]
		if got := fmt.Sprint(last.Status, " ", last.Found); last.Check != "user.exists" || got != want {
			t.Errorf("%s: %+v, want %s", name, last, want)
		}
	}
}

// Setup is told of each scope of its token that a plan takes and that it lacks, and
// of none besides.
func TestSetupNamesTheScopesThatItsPlanTakes(t *testing.T) {
	for _, scope := range writeScopes {
		tenant := quick(t, func(cfg *auth0test.Config) {
			empty(cfg)
			cfg.ClientGrants[0].Scope = without(cfg.ClientGrants[0].Scope, func(s string) bool { return s == scope })
		})
		n := managed(tenant)
		_, err := Prepare(t.Context(), n, silent)
		needed := !slices.Contains([]string{"update:resource_servers", "update:clients", "update:client_grants"}, scope) // nothing of these is there
		if got := err != nil && strings.Contains(err.Error(), "lacks "+scope+":"); got != needed || (err == nil) == needed {
			t.Errorf("without %s: %v", scope, err)
		}
		if calls := writes(tenant); calls != nil {
			t.Errorf("without %s: %q", scope, calls)
		}
	}
}

// FuzzAWordForAShellIsOneWord: names of a tenant are in lines that people paste.
func FuzzAWordForAShellIsOneWord(f *testing.F) {
	for _, seed := range []string{"", "abc", "it's", "$(id)", "`id`", "a b", "'", "''", `\'`, "\n", "-rf", "*", "~", "é", "a'; rm -rf / #", "#", "a=b", "!!"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, word string) {
		if got, ok := shellWord(quote(word)); !ok || got != word {
			t.Errorf("a shell takes %s for %q, ok %v", quote(word), got, ok)
		}
	})
}

// shellWord reads one word as POSIX §2.2 has it, with no character but plain ones and
// \' outside of single quotes.
func shellWord(s string) (word string, ok bool) {
	if s == "" {
		return "", false
	}
	for s != "" {
		switch {
		case s[0] == '\'':
			inside, rest, closed := strings.Cut(s[1:], "'")
			if !closed {
				return "", false
			}
			word, s = word+inside, rest
		case strings.HasPrefix(s, `\'`):
			word, s = word+"'", s[2:]
		case strings.IndexByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:@", s[0]) >= 0:
			word, s = word+s[:1], s[1:]
		default:
			return "", false
		}
	}
	return word, true
}
