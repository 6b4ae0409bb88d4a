package chromium

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/chromedp/cdproto/network"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// Worlds in which identities are linked, and what their tenant says of them.

// change is what a world differs in.
type change = func(*auth0test.Config, *linkflow.Config)

// The identities that there are: alice's own, and those that her accounts at the
// providers are.
const (
	alice       = "auth0|alice"
	aliceGoogle = "google-oauth2|1001"
	aliceGitHub = "github|2002"
)

func (s service) identity() string {
	if s.name == google.name {
		return aliceGoogle
	}
	return aliceGitHub
}

// accountsOfAlice are her accounts at the providers.
func accountsOfAlice(seeds *auth0test.Config, _ *linkflow.Config) {
	seeds.ProviderAccounts = []auth0test.ProviderAccount{
		{Strategy: "google-oauth2", Account: "1001", Email: "alice@example.com"},
		{Strategy: "github", Account: "2002", Email: "alice@example.com"},
	}
}

func viaManagement(seeds *auth0test.Config, cfg *linkflow.Config) {
	accountsOfAlice(seeds, cfg)
	cfg.Via = linkflow.ViaManagement
}

// viaLinkAccount is for a tenant with the account-linking Action.
func viaLinkAccount(seeds *auth0test.Config, cfg *linkflow.Config) {
	accountsOfAlice(seeds, cfg)
	seeds.AddAccountLinking()
	cfg.Via = linkflow.ViaLinkAccount
}

func pushedRequests(seeds *auth0test.Config, _ *linkflow.Config) {
	seeds.Settings.PushedAuthorizationRequestsSupported = true
}

// suggesting offers people what else they may be: alice has signed in with
// GitHub, too, and applications have stored something with that.
func suggesting(seeds *auth0test.Config, cfg *linkflow.Config) {
	seeds.Users = append(seeds.Users, auth0test.User{
		UserID: aliceGitHub, Email: "alice@example.com", EmailVerified: true,
		UserMetadata: map[string]any{"language": "de"}, AppMetadata: map[string]any{"plan": "gold"},
	})
	cfg.Linking.ManagementID, cfg.Linking.ManagementSecret = "tenant-management", vault.NewSecret("tenant-management-secret")
	cfg.Linking.TrustEmail = []string{"Username-Password-Authentication", "github"}
}

// linkedToGitHub makes alice's GitHub account hers from the start.
func linkedToGitHub(seeds *auth0test.Config, _ *linkflow.Config) {
	seeds.Users[0].Identities = append(seeds.Users[0].Identities, auth0test.Identity{
		Connection: "github", Provider: "github", UserID: "2002", IsSocial: true,
		ProfileData: &auth0test.ProfileData{Email: "alice@example.com"},
	})
}

// ofBob makes alice's Google account bob's.
func ofBob(seeds *auth0test.Config, _ *linkflow.Config) {
	seeds.Users[1].Identities = append(seeds.Users[1].Identities, auth0test.Identity{
		Connection: "google-oauth2", Provider: "google-oauth2", UserID: "1001", IsSocial: true,
	})
}

func requireVerifiedEmail(_ *auth0test.Config, cfg *linkflow.Config) {
	cfg.Linking.RequireVerifiedEmail = true
}

// unverified makes a user's address one that nobody has verified.
func unverified(user string) change {
	return func(seeds *auth0test.Config, _ *linkflow.Config) {
		for i := range seeds.Users {
			seeds.Users[i].EmailVerified = seeds.Users[i].EmailVerified && seeds.Users[i].UserID != user
		}
		for i, a := range seeds.ProviderAccounts {
			if a.Strategy+"|"+a.Account == user {
				seeds.ProviderAccounts[i].EmailVerified = new(false)
			}
		}
	}
}

// addressHeader is where a browser says from which address it comes. Real ones are
// not asked.
const addressHeader = "X-Test-Address"

func pinIP(_ *auth0test.Config, cfg *linkflow.Config) {
	cfg.Linking.PinIP = true
	cfg.ClientIP = func(r *http.Request) string { return r.Header.Get(addressHeader) }
}

// from makes the tab one on another network.
func (b *tab) from(address string) *tab {
	b.Helper()
	command(b, network.SetExtraHTTPHeaders, network.SetExtraHTTPHeadersParams{Headers: network.Headers{addressHeader: address}})
	return b
}

// wantIdentities checks who a user is, as the tenant has it.
func (w *world) wantIdentities(user string, want ...string) {
	w.Helper()
	var got []string
	for _, u := range w.tenant.Config().Users {
		if u.UserID == user {
			for _, i := range u.Identities {
				got = append(got, i.Provider+"|"+i.UserID)
			}
		}
	}
	if !slices.Equal(got, want) {
		w.Errorf("%s has the identities %q, want %q", user, got, want)
	}
}

// wantNobodyLinked checks that alice is who she was.
func (w *world) wantNobodyLinked() {
	w.Helper()
	w.wantIdentities(alice, alice)
	if slices.Contains(w.events.kinds(), linkflow.Merged) {
		w.Errorf("success was claimed: %v", w.events)
	}
}

// wantConnected checks at which connections alice's agents can use an account, as
// the tenant has it.
func (w *world) wantConnected(want ...string) {
	w.Helper()
	var list struct {
		Accounts []struct{ Connection string } `json:"connected_accounts"`
	}
	if err := json.Unmarshal(w.manage(http.MethodGet, "/users/"+url.PathEscape(alice)+"/connected-accounts?take=50", ""), &list); err != nil {
		w.Fatal(err)
	}
	var got []string
	for _, a := range list.Accounts {
		got = append(got, a.Connection)
	}
	if !slices.Equal(got, want) {
		w.Errorf("connected are %q, want %q", got, want)
	}
}

// manage asks the Management API as the operator may.
func (w *world) manage(method, path, body string) []byte {
	w.Helper()
	tokens, err := w.tenant.IssueToken(auth0test.TokenRequest{
		ClientID: "tenant-management", Audience: w.tenant.URL + "/api/v2/", Scope: "read:users update:users",
	})
	if err != nil {
		w.Fatal(err)
	}
	status, answer := w.ask(method, w.tenant.URL+"/api/v2"+path, tokens.AccessToken, body)
	if status != http.StatusOK {
		w.Fatalf("%s %s answered %d: %s", method, path, status, answer)
	}
	return answer
}

func (w *world) ask(method, target, token, body string) (int, []byte) {
	w.Helper()
	req, err := http.NewRequestWithContext(w.Context(), method, target, strings.NewReader(body))
	if err != nil {
		w.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		w.Fatal(err)
	}
	return resp.StatusCode, answer
}

// call is a call of alice's agent: it comes to the provider's status, or to 401 and
// a link for her.
func (w *world) call(s service) (int, *linkflow.Link) {
	w.Helper()
	token, err := w.vault.Token(w.Context(), w.caller(), s.request)
	if refused, ok := errors.AsType[*vault.Error](err); ok && refused.NeedsLink() {
		return http.StatusUnauthorized, w.link(s.request)
	}
	if err != nil {
		w.Fatal(err)
	}
	target := w.tenant.GoogleURL + "/calendar/v3/calendars/primary/events"
	if s.name == github.name {
		target = w.tenant.GitHubURL + "/user/repos"
	}
	status, _ := w.ask(http.MethodGet, target, token.Reveal(), "")
	return status, nil
}
