package auth0test_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// linkedAlice has a GitHub account among her identities.
func linkedAlice(cfg *auth0test.Config) {
	cfg.Users[0].Identities = []auth0test.Identity{
		{Connection: "Username-Password-Authentication", Provider: "auth0", UserID: "alice"},
		{Connection: "github", Provider: "github", UserID: "4711", IsSocial: true},
	}
}

// unlink asks for unlinking; who logs in again is whose name is given.
func (l linkRun) unlink(user string, pairs ...string) url.Values {
	l.t.Helper()
	page, at, ended := l.begin(append([]string{"scope", "openid unlink_account"}, pairs...)...)
	if ended != nil {
		return ended
	}
	if !strings.Contains(page.Body, `name="password"`) || strings.Contains(page.Body, `name="connection"`) {
		l.t.Fatalf("no login through the primary connection: %s %s", at, page.Body)
	}
	fields := values("username", user+"@example.com", "password", user+"-password")
	_, at = l.follow(l.submit(page, at, fields), at, agentBack)
	u, _ := url.Parse(at)
	return u.Query()
}

func TestUnlinkAccountTakesTheIdentityAway(t *testing.T) {
	s := tenant(t, withLinking(), linkedAlice)
	l := startRun(t, s)
	if q := l.unlink("alice"); q.Get("code") == "" || q.Get("state") != "st" {
		t.Errorf("%v", q)
	}
	if got := identities(t, s, "auth0|alice"); !slices.Equal(got, []string{"auth0|alice"}) {
		t.Errorf("identities %v", got)
	}
	if id := idToken(t, s, newBrowser(t).loginThrough(s, "github", everyScope("4711"))); id["sub"] != "github|4711" {
		t.Errorf("the account logs in as %v", id["sub"])
	}
}

func TestUnlinkAccountIsDenied(t *testing.T) {
	s := tenant(t, withLinking(), linkedAlice)
	l := startRun(t, s)
	for reason, pairs := range map[string][]string{
		"no id_token_hint present":                                                 {"id_token_hint", ""},
		"id_token_hint verification failed":                                        {"id_token_hint", "x"},
		"no requested_connection requested":                                        {"requested_connection", ""},
		"user auth0|alice does not have profile against connection: google-oauth2": {"requested_connection", "google-oauth2"},
		"both link_account and unlink_account requested":                           {"scope", "openid link_account unlink_account"},
	} {
		if q := l.unlink("alice", pairs...); q.Get("error") != "access_denied" || q.Get("error_description") != reason {
			t.Errorf("%v: %v", pairs, q)
		}
	}
	if len(identities(t, s, "auth0|alice")) != 2 {
		t.Error("unlinked all the same")
	}
	without := tenant(t, withLinking("AUTH0_DOMAIN", ""), linkedAlice)
	if q := startRun(t, without).unlink("alice"); q.Get("error_description") != "error unlinking" {
		t.Errorf("without a Management token: %v", q)
	}
	wrong := tenant(t, withLinking("AUTH0_CLIENT_SECRET", "x"), linkedAlice)
	if q := startRun(t, wrong).unlink("alice"); q.Get("error_description") != "error in exchange" {
		t.Errorf("wrong secret: %v", q)
	}
}

// While the person logs in again the identity goes by another way.
func TestUnlinkAccountMissesAnIdentityThatIsGone(t *testing.T) {
	s := tenant(t, withLinking(), linkedAlice)
	l := startRun(t, s)
	page, at, _ := l.begin("scope", "openid unlink_account")
	if a := call(t, s, machineToken(t, s), "DELETE", "/users/auth0%7Calice/identities/github/4711", ""); a.Status != 200 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	_, at = l.follow(l.submit(page, at, values("username", "alice@example.com", "password", "alice-password")), at, agentBack)
	if u, _ := url.Parse(at); u.Query().Get("error_description") != "target identity not found" {
		t.Errorf("%s", at)
	}
	page, at, _ = l.begin("scope", "openid unlink_account", "requested_connection", "Username-Password-Authentication")
	_, at = l.follow(l.submit(page, at, values("username", "alice@example.com", "password", "alice-password")), at, agentBack)
	if u, _ := url.Parse(at); u.Query().Get("error_description") != "error unlinking" {
		t.Errorf("the last identity: %s", at)
	}
}

func TestFaultUnlinkingDoesNotLookWhoLoggedInAgain(t *testing.T) {
	s := tenant(t, withLinking(), linkedAlice)
	l := startRun(t, s)
	if q := l.unlink("bob"); q.Get("code") == "" || len(identities(t, s, "auth0|alice")) != 1 {
		t.Errorf("%v, %v", q, identities(t, s, "auth0|alice"))
	}
}
