package linkflow

import (
	"cmp"
	"html"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// Linking by the tenant's account-linking Action, as Auth0 published it.

// actionWorld is newLinkingWorld with accounts connected through that Action.
func actionWorld(t *testing.T, seed ...func(*auth0test.Config)) *world {
	t.Helper()
	seed = append([]func(*auth0test.Config){(*auth0test.Config).AddAccountLinking}, seed...)
	return newLinkingWorld(t, func(c *Config) { c.Via = ViaLinkAccount }, seed...)
}

// secret gives the Action a secret, or takes it away.
func secret(name, value string) func(*auth0test.Config) {
	return func(cfg *auth0test.Config) {
		cfg.Actions[0].Secrets[name] = value
		if value == "" {
			delete(cfg.Actions[0].Secrets, name)
		}
	}
}

// ofAlice changes alice.
func ofAlice(change func(*auth0test.User)) func(*auth0test.Config) {
	return func(cfg *auth0test.Config) {
		for i := range cfg.Users {
			if cfg.Users[i].UserID == "auth0|alice" {
				change(&cfg.Users[i])
			}
		}
	}
}

// wantIdentities checks of which providers alice has identities besides her own.
func (w *world) wantIdentities(want ...string) {
	w.Helper()
	var got []string
	for _, sub := range w.identities("auth0|alice")[1:] {
		provider, _ := splitSub(sub)
		got = append(got, provider)
	}
	if !slices.Equal(got, want) {
		w.Errorf("alice has identities of %v, want %v", got, want)
	}
}

// headed is the title of a page about Google.
func headed(page string) string {
	pages, err := loadPages(nil)
	if err != nil {
		panic(err)
	}
	return html.EscapeString(pages.texts.say(page+".title", variables{"provider": "Google"}))
}

// reseal changes what the browser keeps of its flow.
func (b *browser) reseal(leg purpose, change func(*flowState)) {
	b.Helper()
	req, err := http.NewRequest(http.MethodGet, b.site.URL, nil)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range b.jar.Cookies(req.URL) {
		req.AddCookie(c)
	}
	s, _, err := b.flow.flowOf(req, b.at.Query().Get("flow"), leg)
	if err != nil {
		b.Fatal(err)
	}
	change(s)
	cookies, err := b.flow.keep(req, leg, s)
	if err != nil {
		b.Fatal(err)
	}
	b.jar.SetCookies(req.URL, cookies)
}

// watch notes where the browser goes.
func (b *browser) watch() *[]*url.URL {
	var seen []*url.URL
	b.before = func(r *http.Request) bool { seen = append(seen, r.URL); return true }
	return &seen
}

// toLinkAccount goes as far as the page of the second sign-in.
func (b *browser) toLinkAccount(link *Link) *browser {
	b.Helper()
	return b.toConfirm(link).want(200, "becomes a part of yours at once").press("action", "prove")
}

func TestTheActionLinksAndTheFlowGoesOnToConnect(t *testing.T) {
	w := actionWorld(t)
	alice := w.alice()
	link := w.link(alice, calendar)
	b := w.browser()
	seen := b.watch()
	b.toLinkAccount(link).consent("allow").want(200, headed("linked"))
	w.wantIdentities("google-oauth2")
	w.wantState(alice, link, Pending) // identities do not feed the vault
	b.press("action", "connect").signIn("alice").want(200, "Connect").press("action", "connect").consent("allow").want(200, "is connected")
	w.wantState(alice, link, Completed)
	want := []Kind{Started, SignedIn, Confirmed, Merged, Started, SignedIn, Confirmed, Connected}
	if !slices.Equal(w.log.kinds(), want) {
		t.Errorf("the operator was told %v, want %v", w.log.kinds(), want)
	}
	for _, u := range *seen {
		if q := u.Query(); q.Get("scope") == "link_account openid profile offline_access" {
			if q.Get("requested_connection") != "google-oauth2" || q.Get("requested_connection_scope") != calendarScope ||
				q.Get("id_token_hint") == "" || q.Get("code_challenge_method") != "S256" || q.Get("nonce") == "" || q.Get("state") == "" {
				t.Errorf("the Action was asked by %s", u)
			}
			return
		}
	}
	t.Error("the Action was not asked")
}

func TestAPushedRequestShowsTheHintToNobody(t *testing.T) {
	w := actionWorld(t, func(cfg *auth0test.Config) { cfg.Settings.PushedAuthorizationRequestsSupported = true })
	b := w.browser()
	seen := b.watch()
	b.toLinkAccount(w.link(w.alice(), calendar))
	// Auth0 drops requested_connection, so the person has to say it again.
	b.press("connection", "google-oauth2").consent("allow").want(200, headed("linked"))
	w.wantIdentities("google-oauth2")
	for _, u := range *seen {
		if u.Query().Has("id_token_hint") {
			t.Errorf("the hint is in %s", u)
		}
	}
}

func TestAnotherAccountThanTheRequestedOneIsNoSuccess(t *testing.T) {
	w := actionWorld(t, func(cfg *auth0test.Config) { cfg.Settings.PushedAuthorizationRequestsSupported = true })
	alice := w.alice()
	link := w.link(alice, calendar)
	b := w.browser().toLinkAccount(link)
	b.press("connection", "github").consent("allow").wantRefused(409, "wrong_connection").want(409, "/auth/unlink")
	w.wantIdentities("github") // the Action does not look
	w.wantState(alice, link, Pending)
}

func TestEveryRefusalOfTheActionSaysWhatToDo(t *testing.T) {
	enrolled := ofAlice(func(u *auth0test.User) { u.Authenticators = []auth0test.Authenticator{{Type: "otp"}} })
	unverified := ofAlice(func(u *auth0test.User) { u.EmailVerified = false })
	noGrant := func(cfg *auth0test.Config) {
		cfg.ClientGrants = slices.DeleteFunc(cfg.ClientGrants, func(g auth0test.ClientGrant) bool { return g.ClientID == "account-linking" })
	}
	conflict := auth0test.Fault{Path: "/api/v2/users/auth0|alice/identities", Status: new(409)}
	for name, c := range map[string]struct {
		changes []func(*auth0test.Config)
		fault   auth0test.Fault
		second  string // what the person does in the second sign-in; empty if there is none
		want    message
		onward  string // what the person may do then; empty: sign in there once more
	}{
		"R2": {changes: []func(*auth0test.Config){secret("ENFORCE_MFA", "yes"), enrolled}, want: pageFactorNeeded, onward: "Try again"},
		"R3": {changes: []func(*auth0test.Config){secret("ENFORCE_EMAIL_VERIFICATION", "yes"), unverified}, want: pageEmailUnverified},
		"R4": {changes: []func(*auth0test.Config){secret("ACTION_SECRET", "")}, want: pageNotLinked},
		"R5": {second: "deny", want: pageSecondSignIn},
		"R6": {changes: []func(*auth0test.Config){noGrant}, second: "allow", want: pageNotLinked},
		"R7": {fault: conflict, second: "allow", want: pagePerhapsTaken},
	} {
		t.Run(name, func(t *testing.T) {
			w := actionWorld(t, c.changes...)
			if c.fault.Path != "" {
				if err := w.tenant.AddFault(c.fault); err != nil {
					t.Fatal(err)
				}
			}
			alice := w.alice()
			link := w.link(alice, calendar)
			b := w.browser().toLinkAccount(link)
			if c.second != "" {
				b.consent(c.second)
			}
			b.wantRefused(c.want.status, "linking_action").want(c.want.status, headed(c.want.name))
			if strings.Contains(b.body, "MFA for account") || strings.Contains(b.body, "error linking") {
				t.Error("the Action's words are shown")
			}
			b.want(c.want.status, cmp.Or(c.onward, "Go on where you were"))
			w.wantIdentities()
			w.wantState(alice, link, Pending)
		})
	}
}

// The answer to the Action was lost, say, or another Action denies in the end.
func TestWhatTheActionLinkedBeforeItFailedIsLinked(t *testing.T) {
	w := actionWorld(t, func(cfg *auth0test.Config) {
		cfg.Actions = append(cfg.Actions, auth0test.Action{Name: "last", OnExecutePostLogin: func(e *auth0test.PostLoginEvent, api *auth0test.PostLoginAPI) {
			if slices.Contains(e.Transaction.RequestedScopes, "link_account") {
				api.Deny("error linking")
			}
		}})
	})
	b := w.browser().toLinkAccount(w.link(w.alice(), calendar)).consent("allow").want(200, headed("linked"))
	w.wantIdentities("google-oauth2")
	if e := w.log.last(); e.Kind != Merged || !strings.HasPrefix(e.Identity, "google-oauth2|") {
		b.Errorf("the operator was told %+v", e)
	}
}

// R1, as it happens: somebody else has signed in since.
func TestAHintOfSomebodyElseThanWhoIsSignedInIsRefused(t *testing.T) {
	w := actionWorld(t)
	alice := w.alice()
	b := w.browser().toConfirm(w.link(alice, calendar)).want(200, "Sign in there")
	other := w.browser()
	other.client, other.jar = b.client, b.jar
	other.open(w.link(w.caller("auth0|bob", "demo-agent", nil), calendar).URL).press("", "").signIn("bob").want(200, "Sign in there")
	b.press("action", "prove").wantRefused(403, "linking_action").want(403, headed(pageHintRefused.name))
	b.want(403, "Try again")
	w.wantIdentities()
	again := regexp.MustCompile(`href="(/auth/connect[^"]*)"`).FindStringSubmatch(b.body)
	b.open(w.site.URL+html.UnescapeString(again[1])).press("", "").signIn("alice").press("action", "prove").consent("allow")
	b.want(200, headed("linked"))
}

func TestDescriptionsThatNobodyKnowsEndOnAGeneralPage(t *testing.T) {
	for _, reason := range []string{"<b>You are hacked</b>", "error linking ", "Access denied"} {
		w := actionWorld(t, func(cfg *auth0test.Config) {
			cfg.Actions = []auth0test.Action{{Name: "other", OnExecutePostLogin: func(e *auth0test.PostLoginEvent, api *auth0test.PostLoginAPI) {
				if slices.Contains(e.Transaction.RequestedScopes, "link_account") {
					api.Deny(reason)
				}
			}}}
		})
		b := w.browser().toLinkAccount(w.link(w.alice(), calendar))
		b.wantRefused(pageNotLinked.status, "linking_action").want(pageNotLinked.status, headed(pageNotLinked.name))
		if strings.Contains(b.body, "hacked") {
			t.Error("the description is shown")
		}
	}
}

// The Action does nothing about an account that is linked already, and as little
// about one that it may not link. Which of the two it was, nobody is told.
func TestAnAccountThatIsLinkedAlreadyIsNoFailureOfTheAction(t *testing.T) {
	w := actionWorld(t, aliceTwice)
	b := w.browser().open(w.site.URL+"/auth/link?connection=google-oauth2").press("", "").signIn("alice").press("action", "prove").choose("117")
	b.wantRefused(200, "nothing_gained").want(200, headed(pageNothingGained.name)).want(200, "Go on where you were")
	w.wantIdentities("google-oauth2")
}

func TestAClientThatTheActionDoesNotAllowClaimsNothing(t *testing.T) {
	w := actionWorld(t, secret("ALLOWED_CLIENT_IDS", "demo-agent, link-pages"))
	alice := w.alice()
	link := w.link(alice, calendar)
	w.browser().toLinkAccount(link).wantRefused(502, "not_linked").want(502, headed(pageNotLinkedByAction.name))
	w.wantIdentities()
	w.wantState(alice, link, Pending)
}

// The Action lets through whom it does not know, whoever that is.
func TestACodeOfSomebodyElseOutOfTheActionLinksNothing(t *testing.T) {
	w := actionWorld(t, secret("ALLOWED_CLIENT_IDS", "other"))
	b := w.browser().toConfirm(w.link(w.alice(), calendar)).want(200, "Sign in there")
	other := w.browser()
	other.client, other.jar = b.client, b.jar
	other.open(w.link(w.caller("auth0|bob", "demo-agent", nil), calendar).URL).press("", "").signIn("bob").want(200, "Sign in there")
	b.press("action", "prove").wantRefused(403, "wrong_user")
	if strings.Contains(b.body, "bob") {
		t.Error("the page names somebody")
	}
}

func TestAPersonCanTryAgainWhenTheActionCannotBeAsked(t *testing.T) {
	w := actionWorld(t)
	if err := w.tenant.AddFault(auth0test.Fault{Path: "/.well-known/openid-configuration", Status: new(503)}); err != nil {
		t.Fatal(err)
	}
	b := w.browser().toLinkAccount(w.link(w.alice(), calendar)).wantRefused(502, "server_error").want(502, "Go on where you were")
	goOn := regexp.MustCompile(`href="(/auth/confirm[^"]*)"`).FindStringSubmatch(b.body)[1]
	b.open(w.site.URL+goOn).press("action", "prove").consent("allow").want(200, headed("linked"))
	w.wantIdentities("google-oauth2")
}

func TestALinkServesNobodyElseByTheActionEither(t *testing.T) {
	w := actionWorld(t)
	b := w.browser().open(w.link(w.alice(), calendar).URL).press("", "").signIn("bob")
	b.wantRefused(403, "wrong_user").want(403, titleOf(pageWrongPerson))
}

// What was linked is told once, also if the person goes on after a mistake.
func TestAfterAnotherAccountTheRequestedOneCanBeLinkedToo(t *testing.T) {
	w := actionWorld(t, func(cfg *auth0test.Config) { cfg.Settings.PushedAuthorizationRequestsSupported = true })
	b := w.browser().toLinkAccount(w.link(w.alice(), calendar))
	b.press("connection", "github").consent("allow").wantRefused(409, "wrong_connection")
	goOn := regexp.MustCompile(`href="(/auth/confirm[^"]*)"`).FindStringSubmatch(b.body)[1]
	b.open(w.site.URL+goOn).press("action", "prove").press("connection", "google-oauth2").consent("allow").want(200, headed("linked"))
	w.wantIdentities("github", "google-oauth2")
	told := 0
	for _, kind := range w.log.kinds() {
		if kind == Merged {
			told++
		}
	}
	if told != 2 {
		t.Errorf("the operator was told of %d links", told)
	}
}

func TestASignInThatIsTooOldForTheActionIsMadeAgain(t *testing.T) {
	w := actionWorld(t)
	b := w.browser().toConfirm(w.link(w.alice(), calendar))
	b.reseal(forLinkConfirm, func(s *flowState) { s.Linking.AuthTime -= int64((11 * time.Minute).Seconds()) })
	seen := b.watch()
	b.press("action", "prove").want(200, `name="password"`)
	for _, u := range *seen {
		if u.Query().Has("id_token_hint") {
			t.Errorf("the Action was asked with it: %s", u)
		}
	}
	b.signIn("alice").press("action", "prove").consent("allow").want(200, headed("linked"))
}

func TestAHintIsTenMinutesOldAtMost(t *testing.T) {
	for minutes, refused := range map[time.Duration]bool{9: false, 11: true} {
		w := actionWorld(t)
		b := w.browser().toConfirm(w.link(w.alice(), calendar))
		tokens, err := w.tenant.IssueToken(auth0test.TokenRequest{ // an ID token in all that the Action looks at
			User: "auth0|alice", ClientID: "link-pages", Audience: "link-pages",
			Claims: map[string]any{"iat": time.Now().Add(-minutes * time.Minute).Unix()},
		})
		if err != nil {
			t.Fatal(err)
		}
		b.reseal(forLinkConfirm, func(s *flowState) { s.IDToken = tokens.AccessToken })
		b.press("action", "prove")
		if refused {
			b.wantRefused(403, "linking_action").want(403, headed("hint_refused")).want(403, "Try again")
		} else {
			b.want(200, "wants to access your Google account")
		}
		w.wantIdentities()
	}
}

func TestWhoIsLinkedAlreadyIsSentThroughNoAction(t *testing.T) {
	w := actionWorld(t, aliceTwice)
	b := w.browser()
	seen := b.watch()
	b.toConfirm(w.link(w.alice(), calendar)).want(200, headed("linked_already"))
	for _, u := range *seen {
		if strings.Contains(u.Query().Get("scope"), "link_account") {
			t.Errorf("the browser went to %s", u)
		}
	}
	b.press("action", "connect").signIn("alice").press("action", "connect").consent("allow").want(200, "is connected")
}

// unreadable makes the Management API refuse to tell about alice, before the Action
// and after it.
func (w *world) unreadable() {
	w.Helper()
	if err := w.tenant.AddFault(auth0test.Fault{
		Path: "/api/v2/users/auth0|alice", Status: new(403), Times: new(2),
		Body: map[string]any{"statusCode": 403, "error": "Forbidden", "message": "Insufficient scope", "errorCode": "insufficient_scope"},
	}); err != nil {
		w.Fatal(err)
	}
}

func TestWhatNobodyCanReadIsNotClaimed(t *testing.T) {
	w := actionWorld(t)
	w.unreadable()
	b := w.browser().toLinkAccount(w.link(w.alice(), calendar)).consent("allow").want(200, headed("linked_unchecked"))
	if e := w.log.last(); e.Kind != Fault || e.Reason != "management_403" {
		t.Errorf("the operator was told %+v", e)
	}
	b.press("action", "connect").signIn("alice").press("action", "connect").consent("allow").want(200, "is connected")
}

func TestWhatNobodyCanReadIsNotClaimedToTheApplicationEither(t *testing.T) {
	w := actionWorld(t)
	w.flow.returnTo = []string{"http://127.0.0.1:1"}
	w.unreadable()
	b := w.browser().open(w.site.URL+"/auth/link?connection=google-oauth2&returnTo=http://127.0.0.1:1/linked").press("", "").signIn("alice")
	b.press("action", "prove").consent("allow").want(200, headed("linked_unchecked"))
}

func TestWithRulesWhatNobodyCanReadIsNotLinked(t *testing.T) {
	w := actionWorld(t)
	w.flow.linking.RequireVerifiedEmail = true
	w.unreadable()
	w.browser().toConfirm(w.link(w.alice(), calendar)).wantRefused(502, "management_403")
}

// On a tenant of 2025 a login through the provider feeds the vault.
func TestWhereIdentitiesFeedTheVaultThereIsNothingToConnect(t *testing.T) {
	for via, decide := range map[Via]string{ViaLinkAccount: "", ViaManagement: "merge"} {
		w := actionWorld(t, func(cfg *auth0test.Config) { cfg.Settings.IdentitiesFeedVault = true })
		w.flow.via = via
		alice := w.alice()
		link := w.link(alice, calendar)
		b := w.browser().toConfirm(link).press("action", "prove").consent("allow")
		if decide != "" {
			b.press("action", decide)
		}
		b.want(200, headed("linked"))
		w.wantState(alice, link, Completed)
		b.open(b.at.String()).want(200, "is connected")
		w.wantNotConnected()
	}
}

func TestAnAgentThatWaitsLearnsThatLinkingWasEnough(t *testing.T) {
	w := actionWorld(t, func(cfg *auth0test.Config) { cfg.Settings.IdentitiesFeedVault = true })
	alice := w.alice()
	link := w.link(alice, calendar)
	b := w.browser().toLinkAccount(link)
	got := make(chan Status, 1)
	go func() {
		status, _ := w.flow.Status(t.Context(), alice, ticketOf(link), MaxWait)
		got <- status
	}()
	b.consent("allow")
	select {
	case status := <-got:
		if status.State != Completed {
			t.Errorf("status is %+v", status)
		}
	case <-time.After(10 * time.Second):
		t.Error("the agent still waits")
	}
}

func TestTheActionUnlinksToo(t *testing.T) {
	w := actionWorld(t, aliceTwice)
	w.toUnlink().press("action", "unlink").signIn("alice").want(200, "Google is an account of its own again")
	w.wantIdentities()
	if e := w.log.last(); e.Kind != Separated || e.Identity != "google-oauth2|117" || e.Connection != "google-oauth2" {
		t.Errorf("the operator was told %+v", e)
	}
}

// So it is with the Action that Auth0 published last, which knows no unlinking.
func TestAnUnlinkingThatDidNothingIsNotClaimed(t *testing.T) {
	w := actionWorld(t, aliceTwice, secret("ALLOWED_CLIENT_IDS", "other"))
	w.toUnlink().press("action", "unlink").wantRefused(502, "not_unlinked").want(502, "Go on where you were")
	w.wantIdentities("google-oauth2")
}

func TestTheActionUnlinksNoneOfSeveralAtOneConnection(t *testing.T) {
	w := actionWorld(t, aliceTwice, ofAlice(func(u *auth0test.User) {
		u.Identities = append(u.Identities, auth0test.Identity{Connection: "google-oauth2", Provider: "google-oauth2", UserID: "118", IsSocial: true})
	}))
	w.toUnlink().press("action", "unlink").wantRefused(502, "several_at_connection")
	w.wantIdentities("google-oauth2", "google-oauth2")
}

// Two tabs may have gone through the Action.
func TestEveryIdentityThatWasLinkedIsTold(t *testing.T) {
	w := actionWorld(t)
	s := &flowState{ID: "AAAAAAAAAAAAAAAAAAAAAAAAAA", Linking: &linking{Before: []string{"auth0|alice"}}, Expiry: time.Now().Add(time.Minute).Unix()}
	s.Ticket = ticket{ID: "T", Subject: "auth0|alice", Connection: "google-oauth2", Expiry: s.Expiry}
	u := &user{id: "auth0|alice", identities: []identity{
		{"auth0", "alice", "Username-Password-Authentication", ""}, {"github", "666", "github", ""}, {"google-oauth2", "117", "google-oauth2", ""},
	}}
	r := httptest.NewRequest("GET", "/auth/callback", nil)
	w.flow.afterAction(r, s, u)
	told := map[string]string{}
	for _, e := range w.log.events {
		if e.Kind == Merged {
			told[e.Identity] = e.Connection
		}
	}
	if told["github|666"] != "github" || told["google-oauth2|117"] != "google-oauth2" {
		t.Errorf("told %v", told)
	}
}
