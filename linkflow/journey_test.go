package linkflow

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

func TestAPersonConnectsAnAccountAndTheAgentLearnsOfIt(t *testing.T) {
	for _, req := range []vault.Request{calendar, {Connection: "github", Scopes: []string{"read:user"}}} {
		t.Run(req.Connection, func(t *testing.T) {
			w := newWorld(t, auth0test.Settings{}, nil)
			alice := w.alice()
			link := w.link(alice, req)
			w.wantState(alice, link, Pending)
			b := w.browser()
			b.open(link.URL).want(200, "Continue")
			b.press("", "").signIn("alice").want(200, "alice@example.com").want(200, "demo-agent")
			b.press("action", "connect").consent("allow").want(200, "is connected")
			w.wantState(alice, link, Completed)
			if _, err := w.vault.Token(t.Context(), alice, req); err != nil {
				t.Errorf("the vault does not serve the account: %v", err)
			}
			if e := w.log.last(); e.ID != link.ID {
				t.Errorf("the event has the id %s, the link %s", e.ID, link.ID)
			}
			if want := []Kind{Started, SignedIn, Confirmed, Connected}; !slices.Equal(w.log.kinds(), want) {
				t.Errorf("the operator was told %v, want %v", w.log.kinds(), want)
			}
			b.open(b.at.String()).want(200, "is connected") // a reload
			for _, c := range b.flowCookies() {
				if text := strings.TrimPrefix(c.Value, "1."); mustOpen[flowState](w, forEnd, text).AccessToken != "" {
					t.Error("a token is left in the browser")
				}
			}
		})
	}
}

// TestWhateverAProviderCallsAScopeOneConsentSuffices walks once through each
// provider's consent, for scopes that it answers by other names, or not at all.
func TestWhateverAProviderCallsAScopeOneConsentSuffices(t *testing.T) {
	const graphMail = "https://graph.microsoft.com/Mail.Read"
	for _, tt := range []struct{ name, connection, account, wanted, most string }{
		{"Google", "google-oauth2", "", "offline_access openid email " + calendarScope, "openid email " + calendarScope},
		{"a work account's bare names", "windowslive", "", "offline_access user.read mail.read", "User.Read Mail.Read"},
		{"a work account's long names", "windowslive", "", "https://graph.microsoft.com/User.Read " + graphMail, "user.read mail.read"},
		{"a personal account's long names", "windowslive", "0003bffd4e2a91c7", "offline_access " + graphMail, graphMail},
		{"a personal account's bare names", "windowslive", "0003bffd4e2a91c7", "Mail.Read", graphMail},
		{"GitHub", "github", "", "offline_access read:user repo", "user repo"},
		{"Slack", "sign-in-with-slack", "", "channels:read users:read", "channels:read users:read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			w := newTenantWorld(t, func(cfg *auth0test.Config) {
				cfg.Connections = auth0test.Seeds("windowslive", "oauth2").Connections
			}, nil)
			alice, scopes := w.alice(), strings.Fields(tt.wanted)
			link := w.link(alice, vault.Request{Connection: tt.connection, Scopes: scopes})
			b := w.browser().toConsent(link)
			if tt.account != "" {
				b.body = optionPattern.ReplaceAllString(b.body, `<option value="`+tt.account+`"`)
			}
			b.consent("allow").want(200, "is connected")
			if strings.Contains(b.body, "missing") {
				t.Errorf("something is missing: %s", b.body)
			}
			w.wantState(alice, link, Completed)
			req, err := vault.Request{Connection: tt.connection, Scopes: scopes, MaxScopes: strings.Fields(tt.most)}.Prepare()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := w.vault.Token(t.Context(), alice, req); err != nil {
				t.Errorf("the vault's answer does not suffice, or is too much: %v", err)
			}
		})
	}
}

func TestAnAccountThatIsConnectedWakesTheWaitingAgent(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	link := w.link(alice, calendar)
	got := make(chan Status, 1)
	go func() {
		status, _ := w.flow.Status(t.Context(), alice, ticketOf(link), MaxWait)
		got <- status
	}()
	w.browser().toConsent(link).consent("allow").want(200, "is connected")
	select {
	case status := <-got:
		if status != (Status{State: Completed, Connection: "google-oauth2"}) {
			t.Errorf("status is %+v", status)
		}
	case <-time.After(10 * time.Second):
		t.Error("the agent still waits")
	}
}

func TestAnAccountConnectedElsewhereCompletesTheTicket(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	link := w.link(alice, calendar)
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", calendar.Scopes, ""); err != nil {
		t.Fatal(err)
	}
	w.wantState(alice, link, Completed)
}

func TestTheSecondConsentAsksForWhatWasGrantedToo(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", []string{"https://www.googleapis.com/auth/gmail.readonly"}, ""); err != nil {
		t.Fatal(err)
	}
	alice := w.alice()
	link := w.link(alice, calendar)
	b := w.browser().toConsent(link)
	for _, scope := range []string{calendarScope, "https://www.googleapis.com/auth/gmail.readonly"} {
		b.want(200, scope)
	}
	b.consent("allow").want(200, "is connected")
	w.wantState(alice, link, Completed)
}

func TestLessThanNeededIsNoSuccess(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	link := w.link(alice, vault.Request{Connection: "google-oauth2", Scopes: []string{calendarScope, "https://www.googleapis.com/auth/drive.readonly"}})
	b := w.browser().toConsent(link)
	account := optionPattern.FindStringSubmatch(b.body)[1]
	b.submit(url.Values{"action": {"allow"}, "account": {account}, "scope": {calendarScope}})
	b.want(200, "Some permissions are missing").want(200, "drive.readonly")
	if e := w.log.last(); e.Kind != FailedToConnect || e.Reason != "scopes_missing" {
		t.Errorf("the operator was told %+v", e)
	}
	w.wantState(alice, link, Failed)
}

func TestARequestWithoutScopesConnectsToo(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	link := w.link(alice, vault.Request{Connection: "google-oauth2"})
	w.browser().toConsent(link).consent("allow").want(200, "is connected")
	w.wantState(alice, link, Completed)
}

func TestTheTicketsOrganizationIsTheLoginsOrganization(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	inOrg := w.caller("auth0|alice", "demo-agent", map[string]any{"org_id": "org_example"})
	link := w.link(inOrg, calendar)
	w.browser().toConsent(link).consent("allow").want(200, "is connected")
	w.wantState(inOrg, link, Completed)
	if _, err := w.flow.Status(t.Context(), w.alice(), ticketOf(link), 0); err != ErrNoTicket {
		t.Errorf("outside the organization the status is told: %v", err)
	}
}

func TestDecliningIsToldToTheAgent(t *testing.T) {
	t.Run("on our page", func(t *testing.T) {
		w := newWorld(t, auth0test.Settings{}, func(c *Config) { c.ReturnTo = []string{"https://app.example.com"} })
		alice := w.alice()
		link := w.link(alice, calendar)
		b := w.browser().open(link.URL+"&returnTo=https://app.example.com/done").press("", "").signIn("alice")
		b.press("action", "decline").want(200, "Nothing was connected").want(200, `href="https://app.example.com/done"`)
		w.wantState(alice, link, Declined)
		w.wantNotConnected()
		if e := w.log.last(); e.Kind != DeclinedByUser || e.Subject != "auth0|alice" || e.Connection != "google-oauth2" {
			t.Errorf("the operator was told %+v", e)
		}
	})
	t.Run("at the provider", func(t *testing.T) {
		w := newWorld(t, auth0test.Settings{}, nil)
		alice := w.alice()
		link := w.link(alice, calendar)
		w.browser().toConsent(link).consent("deny").want(200, "Nothing was connected")
		w.wantState(alice, link, Declined)
		w.wantNotConnected()
		// The link may be opened again, and it is the last word that counts.
		w.browser().toConsent(link).consent("allow").want(200, "is connected")
		w.wantState(alice, link, Completed)
	})
}

func TestAFinishedFlowReturnsWhereItMay(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, func(c *Config) { c.ReturnTo = []string{"http://127.0.0.1:1"} })
	link := w.link(w.alice(), calendar)
	b := w.browser()
	b.before = func(r *http.Request) bool { return r.URL.Host != "127.0.0.1:1" }
	b.open(link.URL+"&returnTo="+url.QueryEscape("http://127.0.0.1:1/back?a=b")).press("", "").signIn("alice")
	b.press("action", "connect").consent("allow")
	if b.held == nil || b.held.URL.String() != "http://127.0.0.1:1/back?a=b" {
		t.Errorf("the browser went to %v", b.held)
	}
}

func TestReturnToIsCheckedAgainAtTheEnd(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, func(c *Config) { c.ReturnTo = []string{"http://127.0.0.1:1"} })
	link := w.link(w.alice(), calendar)
	b := w.browser().open(link.URL+"&returnTo=http://127.0.0.1:1/back").press("", "").signIn("alice")
	b.press("action", "connect")
	w.flow.returnTo = nil
	b.consent("allow").want(200, "is connected")
}

func TestTwoTabsSideBySideBothFinish(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	google, github := w.link(alice, calendar), w.link(alice, vault.Request{Connection: "github"})
	first := w.browser()
	second := w.browser()
	second.client, second.jar = first.client, first.jar
	first.open(google.URL)
	second.open(github.URL)
	first.press("", "").signIn("alice").want(200, "Google")
	second.press("", "").want(200, "GitHub")
	first.press("action", "connect")
	second.press("action", "connect").consent("allow").want(200, "is connected")
	first.consent("allow").want(200, "is connected")
	w.wantState(alice, google, Completed)
	w.wantState(alice, github, Completed)
}

func TestAnyNodeWithTheKeyServesAnyStep(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	link := w.link(alice, calendar)
	b := w.browser()
	node := func() {
		flow, err := New(Config{
			Vault: w.vault, Tenant: "default", Origin: w.site.URL, ClientID: "link-pages",
			ClientSecret: vault.NewSecret("link-pages-secret"), AuthMethod: "client_secret_post",
			Keys: StaticKeys(make([]byte, keySize), testKey), Hook: w.log.hook,
		})
		if err != nil {
			t.Fatal(err)
		}
		w.flow = flow
		w.site.Config.Handler = w.watched(flow)
	}
	b.before = func(r *http.Request) bool { node(); return true }
	b.toConsent(link).consent("allow").want(200, "is connected")
	node()
	w.wantState(alice, link, Completed)
}

func TestTheConfirmPageCanBeUsedAgainAfterAuth0Failed(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	link := w.link(alice, calendar)
	b := w.browser().toConfirm(link)
	confirmPage, at := b.body, b.at
	if err := w.tenant.AddFault(auth0test.Fault{Path: connectPath, Status: new(503)}); err != nil {
		t.Fatal(err)
	}
	b.press("action", "connect").wantRefused(502, "server_error")
	w.wantState(alice, link, Pending)
	b.body, b.at = confirmPage, at // the Back button
	b.press("action", "connect").consent("allow").want(200, "is connected")
}

func TestASignInCanBeMadeAfresh(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	b := w.browser()
	b.open(w.link(alice, calendar).URL).press("", "").signIn("bob").wantRefused(403, "wrong_user")
	link := w.link(alice, calendar)
	b.open(link.URL).press("prompt", "login").want(200, `name="password"`)
	b.signIn("alice").want(200, "alice@example.com")
}

func TestOperatorsAgentNamesAreShown(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, func(c *Config) { c.ClientNames = map[string]string{"demo-agent": "Travel <Helper>"} })
	b := w.browser().toConfirm(w.link(w.alice(), calendar)).want(200, "Travel &lt;Helper&gt;")
	if strings.Contains(b.body, "Unverified") {
		t.Error("a name that the operator gave is marked as unverified")
	}
	b = w.browser().toConfirm(w.link(w.caller("auth0|alice", "other-agent", nil), calendar))
	b.want(200, "other-agent").want(200, "Unverified")
}

func TestAnotherAccountThanTheOneThatServesIsNoSuccess(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", []string{"openid"}, "the account that the vault serves"); err != nil {
		t.Fatal(err)
	}
	alice := w.alice()
	link := w.link(alice, calendar)
	w.browser().toConsent(link).consent("allow").want(200, "is connected")
	w.wantState(alice, link, Failed)
}
