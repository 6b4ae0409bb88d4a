package linkflow

import (
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/tokenvault/caddy-token-vault/linkflow/internal/outcome"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

func TestAPersonLinksAnIdentityByTheirOwnWill(t *testing.T) {
	w := newLinkingWorld(t, func(c *Config) { c.ReturnTo = []string{"http://127.0.0.1:1"} })
	b := w.browser()
	b.open(w.site.URL+"/auth/link?connection=github&returnTo="+url.QueryEscape("http://127.0.0.1:1/back")).want(200, "Add GitHub to your account?")
	b.press("", "").signIn("alice").want(200, "127.0.0.1:1").press("action", "prove").consent("allow")
	b.before = func(r *http.Request) bool { return r.URL.Host != "127.0.0.1:1" }
	b.want(200, "Make these one account?").press("action", "merge")
	if b.held == nil || b.held.URL.String() != "http://127.0.0.1:1/back" {
		t.Errorf("the browser went to %v", b.held)
	}
	if n := len(w.identities("auth0|alice")); n != 2 {
		t.Errorf("%d identities", n)
	}
	if strings.Contains(b.body, "names no agent") {
		t.Error("somebody is warned of an agent that there is not")
	}
}

// An agent may learn that linking was enough while its user's browser is between two
// pages. A browser that comes from a form of ours follows no redirect to elsewhere.
func TestWhoIsServedMeanwhileEndsOnAPageOfOurs(t *testing.T) {
	w := newLinkingWorld(t, func(c *Config) { c.ReturnTo = []string{"http://127.0.0.1:1"} })
	link := w.link(w.alice(), calendar)
	asked := mustOpen[ticket](w, forTicket, ticketOf(link))
	link.URL += "&returnTo=" + url.QueryEscape("http://127.0.0.1:1/back")
	b := w.browser().toMerge(link, "")
	b.before = func(r *http.Request) bool {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/confirm") {
			w.flow.outcomes.Record(asked.wished(), outcome.Completed)
		}
		return true
	}
	b.press("action", "merge").want(200, "127.0.0.1:1")
}

func TestWhoHasLinkedMayGoOnToConnect(t *testing.T) {
	w := newLinkingWorld(t, nil)
	b := w.browser().open(w.site.URL+"/auth/link?connection=github").press("", "").signIn("alice").press("action", "prove").consent("allow")
	b.press("action", "merge").want(200, "GitHub is part of your account").press("action", "connect").signIn("alice")
	b.want(200, "Connect GitHub?").press("action", "connect").consent("allow").want(200, "is connected")
}

// The page of somebody else's sign-in leads back to where the flow began, which is
// not the page of agents' links.
func TestWhoGoesOnToConnectAsSomebodyElseMayBeginAgain(t *testing.T) {
	w := newLinkingWorld(t, nil)
	b := w.browser().open(w.site.URL+"/auth/link?connection=github").press("", "").signIn("alice").press("action", "prove").consent("allow")
	b.press("action", "merge").press("action", "connect").signIn("bob").wantRefused(403, "wrong_user")
	b.again().want(200, "Add GitHub to your account?")
}

// again follows the link by which a page offers to begin again.
func (b *browser) again() *browser {
	b.Helper()
	again := againPattern.FindStringSubmatch(b.body)
	if again == nil {
		b.Fatalf("nothing leads on:\n%s", b.body)
	}
	return b.open(b.site.URL + html.UnescapeString(again[1]))
}

// Without scopes, connecting the account afterwards would ask for all that any route
// asks for.
func TestWhoTriesAgainAsksForTheSame(t *testing.T) {
	w := newLinkingWorld(t, nil)
	const scope = "https://www.googleapis.com/auth/calendar.readonly"
	b := w.browser().open(w.site.URL + "/auth/link?" + url.Values{"connection": {"google-oauth2"}, "scopes": {scope}}.Encode())
	b.change(func(q url.Values) { q.Del("max_age") })
	b.press("", "").signIn("alice").wantRefused(403, "not_fresh").again().want(200, "Add Google to your account?")
	if got := b.at.Query(); got.Get("connection") != "google-oauth2" || !slices.Equal(got["scopes"], []string{scope}) {
		t.Errorf("it asks for %v", got)
	}
}

// Which connection a person chose among those that were offered need not be one that
// a link may name.
func TestWhoWasOfferedSomebodyTriesAgainWithTheOffer(t *testing.T) {
	var address atomic.Value
	address.Store("203.0.113.1")
	w := newLinkingWorld(t, func(c *Config) {
		trusting(c)
		c.Linking.PinIP, c.ClientIP = true, func(*http.Request) string { return address.Load().(string) }
	}, aliceAtGoogle(true))
	b := w.browser().open(w.site.URL+"/auth/link").press("", "").signIn("alice").want(200, "Is this you too?")
	b.submit(url.Values{"action": {"prove"}, "connection": {"google-oauth2"}})
	address.Store("203.0.113.2")
	b.choose("117").wantRefused(403, "ip_address").again().want(200, "Add another way to sign in?")
}

func TestALinkToLinkAsksForNothingThatNoRouteUses(t *testing.T) {
	w := newLinkingWorld(t, func(c *Config) { c.ReturnTo = []string{"https://app.example.com"} })
	for query, want := range map[string]int{
		"connection=google-oauth2": 200,
		"":                         200,
		"connection=":              200,
		"connection=windowslive":   400,
		"connection=Username-Password-Authentication":          400,
		"connection=github&connection=github":                  400,
		"connection=github&scopes=repo":                        400,
		"returnTo=https://evil.example/":                       200, // and is dropped
		"connection=github&returnTo=//evil.example":            200,
		"connection=github&returnTo=https://app.example.com/x": 200,
		"connection=%zz":                                       400,
	} {
		if got := get(w.flow, "GET", "/auth/link?"+query).Code; got != want {
			t.Errorf("%s answered %d", query, got)
		}
	}
}

func TestALinkToLinkDropsAReturnToThatMayNotBeUsed(t *testing.T) {
	w := newLinkingWorld(t, nil)
	b := w.browser().open(w.site.URL+"/auth/link?connection=google-oauth2&scopes=openid&returnTo=/evil").want(200, "Continue")
	if strings.Contains(b.body, "evil") {
		t.Errorf("the page shows it:\n%s", b.body)
	}
	b.press("", "")
	if e := w.log.last(); e.Kind != Started || e.Reason != "return_to" {
		t.Errorf("the operator is told %+v", e)
	}
}

// A ticket for one of the two pages is none for the other.
func TestATicketToLinkIsNoTicketToConnect(t *testing.T) {
	w := newLinkingWorld(t, nil)
	b := w.browser().open(w.site.URL + "/auth/link")
	_, own := b.form()
	b.open(w.link(w.alice(), calendar).URL)
	_, agents := b.form()
	b.open(w.site.URL+"/auth/connect?"+url.Values{"ticket": {own.Get("ticket")}}.Encode()).want(400, titleOf(pageBadLink))
	b.send(b.post(w.site.URL+"/auth/connect", own, "same-origin", "")).wantRefused(400, "ticket")
	b.send(b.post(w.site.URL+"/auth/link", agents, "same-origin", "")).wantRefused(400, "ticket")
}

// trusting is a Flow whose operator believes the database and Google about e-mail
// addresses.
func trusting(c *Config) {
	withMachine(c)
	c.Linking.TrustEmail = []string{"Username-Password-Authentication", "google-oauth2"}
}

// aliceAtGoogle is another user with alice's address.
func aliceAtGoogle(verified bool) func(*auth0test.Config) {
	return func(c *auth0test.Config) {
		c.Users = append(c.Users, auth0test.User{
			UserID: "google-oauth2|117", Email: "alice@example.com", EmailVerified: verified, Name: "Alice Secret",
			UserMetadata: map[string]any{"colour": "teal"},
		})
		c.ProviderAccounts = append(c.ProviderAccounts, auth0test.ProviderAccount{
			Strategy: "google-oauth2", Account: "117", Email: "alice@example.com", EmailVerified: &verified,
		})
	}
}

func TestOtherUsersWithTheSameAddressAreOffered(t *testing.T) {
	w := newLinkingWorld(t, trusting, aliceAtGoogle(true))
	b := w.browser().open(w.site.URL+"/auth/link").want(200, "Add another way to sign in?").press("", "").signIn("alice")
	b.want(200, "Is this you too?").want(200, `<option value="google-oauth2">Google</option>`)
	for _, early := range []string{"117", "Secret", "colour"} {
		if strings.Contains(b.body, early) {
			t.Errorf("%q is told before its owner has signed in", early)
		}
	}
	for _, c := range b.flowCookies() {
		if strings.Contains(c.Value, "google") {
			t.Error("the cookie can be read")
		}
	}
	b.submit(url.Values{"action": {"prove"}, "connection": {"google-oauth2"}}).choose("117")
	b.want(200, "user_metadata.colour").want(200, "google-oauth2|117").press("action", "merge").want(200, "Google is part of your account")
	if got := w.identities("auth0|alice"); !slices.Equal(got, []string{"auth0|alice", "google-oauth2|117"}) {
		t.Errorf("the identities are %v", got)
	}
}

func TestOnlyWhoIsOfferedMayBeLinkedByAnOffer(t *testing.T) {
	w := newLinkingWorld(t, trusting, aliceAtGoogle(true))
	b := w.browser().open(w.site.URL+"/auth/link").press("", "").signIn("alice")
	b.submit(url.Values{"action": {"prove"}, "connection": {"github"}}).wantRefused(400, "form_malformed")
	b = w.browser().open(w.site.URL+"/auth/link").press("", "").signIn("alice")
	b.submit(url.Values{"action": {"prove"}, "connection": {"google-oauth2"}}).choose("666").wantRefused(403, "not_offered")
	w.wantUnlinked()
	// Another try begins with the same offer.
	b.open(b.site.URL+goOnPattern.FindStringSubmatch(b.body)[1]).want(200, "Is this you too?")
	b.submit(url.Values{"action": {"switch"}}).signIn("bob").want(200, titleOf(pageNothingToLink))
}

// A form of the page that offered somebody, after another one signed in who is
// offered nobody, and before they are told.
func TestWhoIsOfferedNothingProvesNothing(t *testing.T) {
	for _, via := range []Via{ViaManagement, ViaLinkAccount} {
		w := newLinkingWorld(t, func(c *Config) { trusting(c); c.Via = via }, aliceAtGoogle(true))
		b := w.browser().open(w.site.URL+"/auth/link").press("", "").signIn("alice").want(200, "Is this you too?")
		_, offer := b.form()
		b.submit(url.Values{"action": {"switch"}})
		b.stopAt("/auth/confirm", "flow")
		b.signIn("bob")
		b.before = nil
		offer.Set("action", "prove")
		b.send(b.post(w.site.URL+"/auth/confirm", offer, "same-origin", "")).wantRefused(409, "changed_meanwhile")
	}
}

func TestNobodyIsOfferedOnAnAddressThatIsNotTrusted(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		seed   func(*auth0test.Config)
	}{
		"not verified there": {trusting, aliceAtGoogle(false)},
		"not verified here": {trusting, func(c *auth0test.Config) {
			aliceAtGoogle(true)(c)
			c.Users[0].EmailVerified = false
		}},
		"a connection that is not trusted there": {func(c *Config) {
			trusting(c)
			c.Linking.TrustEmail = c.Linking.TrustEmail[:1]
		}, aliceAtGoogle(true)},
		"a connection that is not trusted here": {func(c *Config) {
			trusting(c)
			c.Linking.TrustEmail = c.Linking.TrustEmail[1:]
		}, aliceAtGoogle(true)},
		"nobody is trusted": {withMachine, aliceAtGoogle(true)},
		"another address": {trusting, func(c *auth0test.Config) {
			aliceAtGoogle(true)(c)
			c.Users[2].Email = "Alice@example.com"
		}},
		"no address": {trusting, func(c *auth0test.Config) {
			aliceAtGoogle(true)(c)
			c.Users[0].Email, c.Users[0].Username, c.Users[2].Email = "", "alice@example.com", ""
		}},
		"somebody with several identities": {trusting, func(c *auth0test.Config) {
			aliceAtGoogle(true)(c)
			c.Users[2].Identities = []auth0test.Identity{
				{Connection: "google-oauth2", Provider: "google-oauth2", UserID: "117", IsSocial: true},
				{Connection: "github", Provider: "github", UserID: "118", IsSocial: true},
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newLinkingWorld(t, c.change, c.seed)
			w.browser().open(w.site.URL+"/auth/link").press("", "").signIn("alice").want(200, titleOf(pageNothingToLink))
		})
	}
}

func TestAnOfferThatCannotBeMadeIsAFault(t *testing.T) {
	w := newLinkingWorld(t, trusting, aliceAtGoogle(true), func(c *auth0test.Config) {
		for i := range c.ClientGrants {
			if c.ClientGrants[i].ClientID == "tenant-management" {
				c.ClientGrants[i].Scope = []string{"read:clients"}
			}
		}
	})
	w.browser().open(w.site.URL+"/auth/link").press("", "").signIn("alice").wantRefused(502, "management_403")
	if e := w.log.last(); !strings.Contains(e.Err.Error(), "read:users") {
		t.Errorf("told %v", e.Err)
	}
}
