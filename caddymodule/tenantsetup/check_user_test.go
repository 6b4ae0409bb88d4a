package tenantsetup

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/auth0/go-auth0/management"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const gmail = "https://www.googleapis.com/auth/gmail.readonly"

// accountsWith gives the seeds' first user accounts at Google, one for each list of
// scopes.
func accountsWith(scopes ...[]string) func(*auth0test.Config) {
	return func(cfg *auth0test.Config) {
		for i, granted := range scopes {
			cfg.Users[0].ConnectedAccounts = append(cfg.Users[0].ConnectedAccounts, auth0test.UserAccount{
				Connection: "google-oauth2", Scopes: granted, Account: []string{"112233445566778899000", "112233445566778899001"}[i],
			})
		}
	}
}

// asked is about the seeds' first user and one route.
func asked(route Route) func(*Needs) {
	return func(n *Needs) {
		route.Connection = "google-oauth2"
		n.User, n.Routes = "alice@example.com", []Route{route}
	}
}

func TestDoctorJudgesAccountsAsTheVaultDoes(t *testing.T) {
	calendar := []string{readonly}
	both := []string{readonly, gmail}
	many := slices.Clone(calendar)
	for i := range 256 {
		many = append(many, fmt.Sprint("https://www.googleapis.com/auth/", i))
	}
	for _, test := range []struct {
		name     string
		accounts [][]string
		route    Route
		want     string
	}{
		{"enough, and not too much", [][]string{calendar}, Route{Scopes: calendar, MaxScopes: calendar}, "ok user.connected"},
		{"Google's short names", [][]string{{"profile"}}, Route{MaxScopes: []string{"https://www.googleapis.com/auth/userinfo.profile"}}, "ok user.connected"},
		{"offline_access, which nobody tells", [][]string{calendar}, Route{Scopes: append([]string{"offline_access"}, calendar...)}, "ok user.connected"},
		{"a scope that another is included in elsewhere", [][]string{{"read:user"}}, Route{MaxScopes: []string{"user"}}, "wrong user.scope_excess"},
		{"more scopes than are compared", [][]string{many}, Route{MaxScopes: calendar}, "wrong user.scope_excess"},
		{"scopes that nobody tells", [][]string{{}}, Route{Scopes: calendar}, "ok user.connected"},
		{"two accounts, and both suffice", [][]string{both, calendar}, Route{Scopes: calendar}, "ok user.connected"},
		{"two accounts, and one suffices", [][]string{both, calendar}, Route{MaxScopes: calendar}, "unknown user.connected"},
		{"two accounts, and none suffices", [][]string{both, both}, Route{MaxScopes: calendar}, "wrong user.scope_excess"},
		{"one account is named", [][]string{calendar}, Route{Scopes: calendar, OneAccount: true}, "unknown user.connected"},
		{"one account is named, and there is none", nil, Route{Scopes: calendar, OneAccount: true}, "wrong user.connected"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tenant := start(t, accountsWith(test.accounts...))
			keysAtOnce(t, tenant)
			n := managed(tenant)
			asked(test.route)(n)
			report, err := Examine(t.Context(), n, silent)
			if err != nil {
				t.Fatal(err)
			}
			last := report.Findings[len(report.Findings)-1]
			if got := string(last.Status) + " " + last.Check; got != test.want || last.Subject != "google-oauth2" {
				t.Errorf("got %+v, want %s", last, test.want)
			}
		})
	}
}

// An account that has expired is as good as none, and one that never does as any.
func TestDoctorKnowsAnExpiredAccount(t *testing.T) {
	route := Route{Connection: "github", Scopes: []string{"repo"}}
	account := func(expires *time.Time) *management.UserConnectedAccount {
		return &management.UserConnectedAccount{Connection: new("github"), Scopes: &[]string{"repo"}, ExpiresAt: expires}
	}
	past, future := time.Now().Add(-time.Minute), time.Now().Add(time.Minute)
	for _, test := range []struct {
		name     string
		accounts []*management.UserConnectedAccount
		want     string
	}{
		{"it never expires", []*management.UserConnectedAccount{account(nil)}, "ok"},
		{"it will expire", []*management.UserConnectedAccount{account(&future)}, "ok"},
		{"it has expired", []*management.UserConnectedAccount{account(&past)}, "wrong"},
		{"one of two has expired", []*management.UserConnectedAccount{account(&past), account(&future)}, "unknown"},
		{"another connection's", []*management.UserConnectedAccount{{Connection: new("google-oauth2"), Scopes: &[]string{"repo"}}}, "wrong"},
	} {
		if f := checkRoute(&user{accounts: test.accounts}, route); string(f.Status) != test.want || f.Check != "user.connected" {
			t.Errorf("%s: %+v", test.name, f)
		}
	}
}

// Auth0 keeps offline_access from Google, which knows no such scope.
func TestDoctorTakesOfflineAccessForNoMisspelling(t *testing.T) {
	n := &Needs{Routes: []Route{{Connection: "google-oauth2", Scopes: []string{"offline_access", "email", readonly}}}}
	found := checkScopes(n, &connection{Name: "google-oauth2", Strategy: "google-oauth2"})
	if len(found) != 1 || found[0].Status != StatusOK {
		t.Errorf("got %+v", found)
	}
}

// Routes that need the same of an account are told of once.
func TestDoctorTellsOfAnAccountOnce(t *testing.T) {
	tenant := start(t, accountsWith([]string{readonly}))
	keysAtOnce(t, tenant)
	n := managed(tenant)
	asked(Route{Scopes: []string{readonly}})(n)
	n.Routes = append(n.Routes, n.Routes[0])
	report, err := Examine(t.Context(), n, silent)
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, f := range report.Findings {
		if f.Check == "user.connected" {
			count++
		}
	}
	if count != 1 || !slices.ContainsFunc(report.Findings, func(f Finding) bool { return f.Check == "user.exists" }) {
		t.Errorf("told %d times: %+v", count, report.Findings)
	}
}
