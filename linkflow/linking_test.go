package linkflow

import (
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// newLinkingWorld is newWorld with accounts connected via management. seed may
// change what the tenant is made of.
func newLinkingWorld(t *testing.T, change func(*Config), seed ...func(*auth0test.Config)) *world {
	t.Helper()
	return newTenantWorld(t, func(c *auth0test.Config) {
		for _, change := range seed {
			change(c)
		}
	}, func(c *Config) {
		c.Via = ViaManagement
		c.Offers = offers
		if change != nil {
			change(c)
		}
	})
}

func withMachine(c *Config) {
	c.Linking.ManagementID, c.Linking.ManagementSecret = "tenant-management", vault.NewSecret("tenant-management-secret")
}

// offers is a Config.Offers for the seeds' connections.
func offers(connection string) ([]string, bool) {
	scopes, ok := map[string][]string{"google-oauth2": {calendarScope}, "github": {"read:user"}}[connection]
	return scopes, ok
}

// toLinkConfirm goes as far as the page that follows the first sign-in.
func (b *browser) toLinkConfirm(link *Link) *browser {
	b.Helper()
	return b.open(link.URL).want(200, "sign in twice").press("", "").signIn("alice")
}

// toMerge goes on as far as the page that shows both, as whoever of the provider's
// accounts is given; the first one without.
func (b *browser) toMerge(link *Link, account string) *browser {
	b.Helper()
	return b.toLinkConfirm(link).press("action", "prove").choose(account)
}

// choose answers the provider's page with an account.
func (b *browser) choose(account string) *browser {
	b.Helper()
	if account == "" {
		return b.consent("allow")
	}
	fields := url.Values{"action": {"allow"}, "account": {account}}
	for _, m := range scopePattern.FindAllStringSubmatch(b.body, -1) {
		fields.Add("scope", m[1])
	}
	return b.submit(fields)
}

var userIDPattern = regexp.MustCompile(`(google-oauth2|github)\|[0-9a-z-]+`)

// identities are those of a user, as the tenant has them.
func (w *world) identities(user string) (subs []string) {
	w.Helper()
	for _, u := range w.tenant.Config().Users {
		if u.UserID == user {
			for _, i := range u.Identities {
				subs = append(subs, i.Provider+"|"+i.UserID)
			}
		}
	}
	return subs
}

func TestAPersonLinksAnIdentityAndThenConnectsIt(t *testing.T) {
	w := newLinkingWorld(t, nil)
	alice := w.alice()
	link := w.link(alice, calendar)
	b := w.browser().toLinkConfirm(link).want(200, "alice@example.com").want(200, "demo-agent").want(200, "Google")
	b.press("action", "prove").choose("").want(200, "Make these one account?").want(200, "auth0|alice")
	second := userIDPattern.FindString(b.body)
	if got := w.identities("auth0|alice"); len(got) != 1 {
		t.Fatalf("linked before anybody said so: %v", got)
	}
	b.press("action", "merge").want(200, "Google is part of your account")
	if got := w.identities("auth0|alice"); !slices.Equal(got, []string{"auth0|alice", second}) {
		t.Fatalf("the identities are %v, want %s too", got, second)
	}
	w.wantState(alice, link, Pending)
	b.press("action", "connect").want(200, `name="password"`)
	b.signIn("alice").want(200, "Connect Google?").press("action", "connect").consent("allow").want(200, "is connected")
	w.wantState(alice, link, Completed)
	if want := []Kind{Started, SignedIn, Started, SignedIn, Merged, Started, SignedIn, Confirmed, Connected}; !slices.Equal(w.log.kinds(), want) {
		t.Errorf("the operator was told %v, want %v", w.log.kinds(), want)
	}
	for _, e := range w.log.events {
		if e.Kind == Merged && (e.Identity != second || e.Subject != "auth0|alice" || e.ID != link.ID) {
			t.Errorf("told %+v", e)
		}
	}
	if strings.Contains(strings.Join(w.asked(), "\n"), "client_credentials") {
		t.Error("the machine was asked")
	}
}

// asked are the tenant's requests, in words.
func (w *world) asked() (lines []string) {
	for _, r := range w.tenant.Requests() {
		lines = append(lines, r.Method+" "+r.Path+" "+r.GrantType)
	}
	return lines
}

func TestPagesAboutIdentitiesAreThereOnlyWhereTheyAreLinked(t *testing.T) {
	for via, want := range map[Via]int{ViaConnectedAccounts: 404, ViaManagement: 200, ViaLinkAccount: 200} {
		w := newWorld(t, auth0test.Settings{}, func(c *Config) { c.Via, c.Offers = via, offers })
		for _, page := range []string{"/auth/link?connection=github", "/auth/unlink"} {
			if got := get(w.flow, "GET", page).Code; got != want {
				t.Errorf("%s via %s answered %d", page, via, got)
			}
		}
		if got, form := w.flow.Route("/auth/link") == RouteForm, want == 200; got != form {
			t.Errorf("via %s link is a form: %t", via, got)
		}
	}
}

func TestLookingAtALinkThatLinksStartsNothing(t *testing.T) {
	w := newLinkingWorld(t, nil)
	for _, page := range []string{"/auth/link", "/auth/link?connection=github", "/auth/unlink"} {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			if got := get(w.flow, method, page); got.Code != 200 && page != "/auth/unlink" || len(w.log.events) != 0 || len(w.tenant.Requests()) != 0 {
				t.Errorf("%s %s answered %d, told %v, asked %v", method, page, got.Code, w.log.events, w.asked())
			}
		}
	}
}
