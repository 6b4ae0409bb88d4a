package linkflow

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// The links of Auth0's front ends: auth0-ai's TokenVaultConsentPopup and
// -Redirect, nextjs-auth0 and auth0-fastapi.

func TestLinksOfAuth0sFrontEndsConnectForWhoeverSignsIn(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, func(c *Config) {
		offering(c)
		c.ReturnTo = []string{c.Origin}
	})
	b := w.browser()
	b.before = func(r *http.Request) bool { return r.URL.Path != "/close" }
	q := url.Values{
		"connection": {"google-oauth2"}, "scopes": {calendarScope, mailScope}, "returnTo": {"/close"},
		"access_type": {"offline"}, "prompt": {"none"}, "redirect_uri": {"https://evil.example.com"},
	}
	b.open(w.site.URL+"/auth/connect?"+q.Encode()).want(200, "See your calendars").want(200, "Read all your e-mail")
	if n := len(w.tenant.Requests()); n != 0 || len(b.flowCookies()) != 0 || len(w.log.kinds()) != 0 {
		t.Errorf("looking at the page began something: %d requests", n)
	}
	b.press("", "").signIn("bob").want(200, "bob@example.com").want(200, "names no agent")
	b.press("action", "connect").consent("allow")
	if b.held == nil || b.held.URL.String() != w.site.URL+"/close" {
		t.Fatalf("the browser went to %v", b.held)
	}
	bob := w.caller("auth0|bob", "demo-agent", nil)
	if _, err := w.vault.Token(t.Context(), bob, vault.Request{Connection: "google-oauth2", Scopes: []string{calendarScope, mailScope}}); err != nil {
		t.Errorf("the vault does not serve the account: %v", err)
	}
}

// Nobody asked for it but the person who tries again.
func TestALinkWithoutATicketNamesNoAgentWhenItIsTriedAgain(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	b := w.browser().open(w.site.URL+"/auth/connect?connection=google-oauth2").want(200, "This connects your Google account")
	b.press("", "").signIn("alice").press("action", "connect")
	if err := w.tenant.AddFault(auth0test.Fault{Path: completePath, Status: new(500)}); err != nil {
		t.Fatal(err)
	}
	b.consent("allow").want(502, "Try again").again().want(200, "This connects your Google account")
}

func TestLinksWithoutATicketAskForWhatRoutesUseAndNoMore(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	for query, want := range map[string]int{
		"connection=google-oauth2": 200,
		"connection=github":        200,
		"connection=google-oauth2&scopes=" + calendarScope + "+" + mailScope:                        200,
		"connection=google-oauth2&scopes=":                                                          200,
		"connection=google-oauth2&scopes=https://www.googleapis.com/auth/drive":                     400,
		"connection=google-oauth2&scopes=offline_access":                                            400,
		"connection=google-oauth2&scopes=" + calendarScope + "&scopes=evil":                         400,
		"connection=github&scopes=repo":                                                             400,
		"connection=evil":                                                                           400,
		"connection=":                                                                               400,
		"connection=github&connection=github":                                                       400,
		"connection=github&returnTo=https://evil.example.com":                                       200, // and is dropped
		"connection=github&returnTo=/close":                                                         200, // no return_to is configured
		"connection=github&returnTo=//evil.example.com":                                             200,
		"scopes=" + calendarScope:                                                                   400,
		"connection=google-oauth2&ticket=" + ticketOf(w.link(w.alice(), calendar)):                  200,
		"connection=evil&ticket=" + ticketOf(w.link(w.alice(), vault.Request{Connection: "other"})): 200, // a ticket says all
		"connection=github&ticket=":                                                                 400,
	} {
		b := w.browser().open(w.site.URL + "/auth/connect?" + query)
		if b.status != want || strings.Contains(b.body, "evil") {
			t.Errorf("%s: %d", query, b.status)
		}
	}
	none := newWorld(t, auth0test.Settings{}, nil)
	none.browser().open(none.site.URL+"/auth/connect?connection=google-oauth2").want(400, "makes use of")
}

// What a provider calls a scope is nothing to others, and an authorization server
// may take each spelling for a scope of its own.
func TestALinkWithoutATicketAsksInTheRoutesOwnWords(t *testing.T) {
	const (
		google    = "https://www.googleapis.com/auth/userinfo."
		microsoft = "https://graph.microsoft.com/"
	)
	routes := []string{"Files.Read", "email", google + "profile", microsoft + "Mail.Read", microsoft + ".default"}
	w := newWorld(t, auth0test.Settings{}, func(c *Config) {
		c.Offers = func(string) ([]string, bool) { return routes, true }
	})
	for _, tt := range []struct {
		connections []string
		scope, asks string // nothing: the link is refused
	}{
		{[]string{"custom", "google-oauth2", "github"}, "FILES.READ", ""},
		{[]string{"custom", "google-oauth2", "github"}, "files.read", ""},
		{[]string{"custom", "google-oauth2", "github"}, microsoft + "files.read", ""},
		{[]string{"custom", "google-oauth2", "github"}, microsoft + "Files.Read", ""},
		{[]string{"custom", "google-oauth2", "github"}, "Mail.Read", ""},
		{[]string{"custom", "google-oauth2", "github"}, microsoft + "email", ""},
		{[]string{"custom", "google-oauth2", "github"}, microsoft + ".Default", ""},
		{[]string{"custom", "google-oauth2", "github"}, ".default", ""},
		{[]string{"windowslive", "waad", "azure-ad"}, "FILES.READ", "Files.Read"},
		{[]string{"windowslive", "waad", "azure-ad"}, microsoft + "files.read", "Files.Read"},
		{[]string{"windowslive", "waad", "azure-ad"}, "mail.read", microsoft + "Mail.Read"},
		{[]string{"windowslive", "waad", "azure-ad"}, microsoft + "email", "email"},
		{[]string{"windowslive", "waad", "azure-ad"}, ".Default", microsoft + ".default"},
		{[]string{"windowslive", "waad", "azure-ad"}, "Files.Read files.read", "Files.Read"},
		{[]string{"custom", "windowslive", "github"}, google + "email", ""},
		{[]string{"google-oauth2", "google-apps"}, google + "email", "email"},
		{[]string{"google-oauth2", "google-apps"}, "profile", google + "profile"},
		{[]string{"custom", "windowslive", "google-oauth2", "github"}, "Files.Read", "Files.Read"},
		{[]string{"custom", "windowslive", "google-oauth2", "github"}, microsoft + ".default", microsoft + ".default"},
		{[]string{"custom", "windowslive", "google-oauth2", "github"}, "EMAIL", ""},
	} {
		for _, connection := range tt.connections {
			query := url.Values{"connection": {connection}, "scopes": {tt.scope}}
			b := w.browser().open(w.site.URL + "/auth/connect?" + query.Encode())
			if tt.asks == "" {
				b.want(400, titleOf(pageNotOffered))
				continue
			}
			_, fields := b.want(200, "This connects").form()
			if got := mustOpen[ticket](w, forTicket, fields.Get("ticket")).Scopes; !slices.Equal(got, []string{tt.asks}) {
				t.Errorf("%s: %s asks for %q", connection, tt.scope, got)
			}
		}
	}
	for connection, want := range map[string]string{"custom": "", "windowslive": "Files.Read"} {
		again := w.flow.accountText(connectedAccount{Connection: connection, Scopes: []string{"files.read"}}).Again
		if u, err := url.Parse(again); err != nil || u.Query().Get("scopes") != want {
			t.Errorf("%s: connecting again asks by %s", connection, again)
		}
	}
}

// Auth0's AI SDKs add these, which are about the sign-in at Auth0, to what a front end
// asks for.
func TestScopesOfASignInThatNoRouteAsksForAreDropped(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, func(c *Config) {
		c.Offers = func(string) ([]string, bool) { return []string{calendarScope, "profile"}, true }
	})
	for scopes, want := range map[string][]string{
		calendarScope + "&scopes=openid&scopes=profile&scopes=email": {calendarScope, "profile"},
		"openid+email":                  nil,
		"openid+email+" + calendarScope: {calendarScope},
	} {
		b := w.browser().open(w.site.URL+"/auth/connect?connection=google-oauth2&scopes="+scopes).want(200, "This connects")
		_, fields := b.form()
		if got := mustOpen[ticket](w, forTicket, fields.Get("ticket")).Scopes; !slices.Equal(got, want) {
			t.Errorf("%s asks for %q", scopes, got)
		}
	}
	w.browser().open(w.site.URL+"/auth/connect?connection=google-oauth2&scopes=openid+offline_access+evil").want(400, titleOf(pageNotOffered))
}

func TestATicketForAnyoneTellsAgentsNothing(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	b := w.browser().open(w.site.URL + "/auth/connect?connection=google-oauth2")
	_, fields := b.form()
	if _, err := w.flow.Status(t.Context(), w.alice(), fields.Get("ticket"), 0); err != ErrNoTicket {
		t.Errorf("the status is told: %v", err)
	}
}

func TestNotYouLeadsToAnotherSignIn(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	t.Run("with a ticket", func(t *testing.T) {
		w.in(t)
		alice := w.alice()
		link := w.link(alice, calendar)
		b := w.browser().toConfirm(link).press("action", "switch").want(200, `name="password"`)
		b.signIn("bob").wantRefused(403, "wrong_user")
		b.press("prompt", "login").want(200, `name="password"`).signIn("alice").want(200, "alice@example.com")
		b.press("action", "connect").consent("allow").want(200, "is connected")
		w.wantState(alice, link, Completed)
	})
	t.Run("with a link for anyone", func(t *testing.T) {
		w.in(t)
		b := w.browser().open(w.site.URL+"/auth/connect?connection=github").press("", "").signIn("alice").want(200, "alice@example.com")
		b.press("action", "switch").signIn("bob").want(200, "bob@example.com").press("action", "connect").consent("allow").want(200, "is connected")
		if _, err := w.vault.Token(t.Context(), w.caller("auth0|bob", "demo-agent", nil), vault.Request{Connection: "github"}); err != nil {
			t.Errorf("bob's account is not connected: %v", err)
		}
		if _, err := w.vault.Token(t.Context(), w.alice(), vault.Request{Connection: "github"}); !needsLink(err) {
			t.Errorf("alice has an account: %v", err)
		}
	})
	w.in(t)
}
