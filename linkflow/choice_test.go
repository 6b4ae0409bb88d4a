package linkflow

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const driveScope = "https://www.googleapis.com/auth/drive.readonly"

// choices are what the confirm page lets one choose from.
func (b *browser) choices() []string {
	var values []string
	for _, m := range regexp.MustCompile(`<option value="([^"]*)"`).FindAllStringSubmatch(b.body, -1) {
		values = append(values, m[1])
	}
	return values
}

// wantAsked checks what the provider's page asks for, and how.
func (b *browser) wantAsked(prompt string, scopes ...string) *browser {
	b.Helper()
	var got []string
	for _, m := range scopePattern.FindAllStringSubmatch(b.body, -1) {
		got = append(got, m[1])
	}
	slices.Sort(got)
	slices.Sort(scopes)
	if !slices.Equal(got, scopes) || !strings.Contains(b.body, "prompt: "+prompt) {
		b.Errorf("the provider asks for %v, want %v, prompt %s:\n%s", got, scopes, prompt, b.body)
	}
	return b
}

func TestTheFirstAccountIsChosenAtTheProvider(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	b := w.browser().toConfirm(w.link(w.alice(), calendar)).want(200, "Nothing is connected yet")
	if len(b.choices()) != 0 {
		t.Errorf("there is a choice of %v", b.choices())
	}
	b.press("action", "connect").wantAsked("select_account", calendarScope)
}

func TestEachAccountKeepsWhatItHas(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	for account, scope := range map[string]string{"": mailScope, "1234": driveScope} {
		if err := w.tenant.Connect("auth0|alice", "google-oauth2", []string{scope}, account); err != nil {
			t.Fatal(err)
		}
	}
	link := w.link(w.alice(), calendar)
	b := w.browser().toConfirm(link).want(200, "Read all your e-mail").want(200, "See and download all your files")
	choices := b.choices()
	if len(choices) != 3 || choices[2] != anotherAccount {
		t.Fatalf("the choices are %v", choices)
	}
	choose := func(value string) *browser {
		b.toConfirm(link)
		return b.submit(url.Values{"action": {"connect"}, "account": {value}})
	}
	asked := map[string]bool{}
	for _, id := range choices[:2] {
		choose(id)
		for _, scope := range []string{mailScope, driveScope} {
			if strings.Contains(b.body, scope) {
				b.wantAsked("consent", calendarScope, scope)
				asked[scope] = true
			}
		}
	}
	if len(asked) != 2 {
		t.Errorf("asked for %v", asked)
	}
	choose(anotherAccount).wantAsked("select_account", calendarScope)
	choose("").wantAsked("consent", calendarScope, mailScope, driveScope) // unknown which: nothing is lost
	choose("cac_gone").want(200, "Which account")
}

func TestAConnectionsOwnPromptIsKept(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, func(c *Config) { c.KeepPrompt = true })
	b := w.browser().toConsent(w.link(w.alice(), calendar))
	if strings.Contains(b.body, "prompt: ") {
		t.Errorf("a prompt was asked for:\n%s", b.body)
	}
}

func TestWhoConnectsAgainGetsANewRefreshToken(t *testing.T) {
	w := newWorld(t, auth0test.Settings{GoogleRefreshToken: "consent"}, nil)
	alice := w.alice()
	first, second := w.link(alice, calendar), w.link(alice, calendar)
	w.browser().toConsent(first).consent("allow").want(200, "is connected")
	w.browser().toConsent(second).wantAsked("consent", calendarScope).consent("allow").want(200, "is connected")
	w.wantState(alice, second, Completed)
}

func TestAFlowIsFoundWhereItIs(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	link := w.link(alice, calendar)
	b := w.browser()
	b.stopAt("/auth/callback", "code")
	b.open(link.URL).press("", "").signIn("alice")
	login := b.held.URL.String()
	b.goOn()
	confirm := b.at.String()
	if strings.Contains(confirm, "code") || strings.Contains(confirm, "state") {
		t.Errorf("the page's URL is %s", confirm)
	}
	b.open(confirm).want(200, "Decline") // a reload
	b.press("action", "connect").want(200, `value="allow"`)
	b.open(confirm).want(200, "Decline") // the back button
	b.press("action", "connect").want(200, `value="allow"`)
	b.open(login).want(400, `href="/auth/confirm?flow=`) // the callback out of the history
	page, at := b.open(confirm).body, b.at
	b.press("action", "connect").consent("allow").want(200, "Google is connected")
	done := b.at.String()
	b.open(done).want(200, "Google is connected")
	b.open(confirm).want(200, "Google is connected")
	b.body, b.at = page, at
	b.press("action", "decline").want(200, "Google is connected") // too late
	w.wantState(alice, link, Completed)
	w.browser().open(done).want(400, "open the link again") // in another browser
	w.browser().open(confirm).want(400, "open the link again")
	b.open(done+"&flow=x").want(400, "open the link again")
}

func TestDecliningMayBeReloaded(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	b := w.browser().toConfirm(w.link(w.alice(), calendar))
	page, at := b.body, b.at
	b.press("action", "decline").want(200, "Nothing was connected")
	b.body, b.at = page, at
	b.press("action", "decline").want(200, "Nothing was connected")
	b.open(strings.Replace(at.String(), "confirm", "done", 1)).want(200, "Nothing was connected")
}

func TestWhoGrantedTooLittleIsToldWhatAndCanGrantTheRest(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	req := calendar
	req.Scopes = []string{calendarScope, driveScope}
	link := w.link(alice, req)
	b := w.browser().toConsent(link)
	b.submit(url.Values{"action": {"allow"}, "account": {optionPattern.FindStringSubmatch(b.body)[1]}, "scope": {calendarScope}})
	b.want(200, "Some permissions are missing").want(200, "See and download all your files")
	if strings.Contains(b.body, "See your calendars") {
		t.Error("what was granted is called missing")
	}
	w.wantState(alice, link, Failed)
	again := regexp.MustCompile(`href="(/auth/connect[^"]*)"`).FindStringSubmatch(b.body)
	b.open(w.site.URL+again[1]).press("", "").want(200, "Signed in as").press("action", "connect").wantAsked("consent", calendarScope, driveScope)
	b.consent("allow").want(200, "is connected")
	w.wantState(alice, link, Completed)
}

func TestWhoChoosesAKnownAccountForAnotherIsToldWhatItLost(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", []string{mailScope}, ""); err != nil {
		t.Fatal(err)
	}
	alice := w.alice()
	link := w.link(alice, calendar)
	b := w.browser().toConfirm(link)
	b.submit(url.Values{"action": {"connect"}, "account": {anotherAccount}}).consent("allow")
	b.want(200, "Some permissions are missing").want(200, "Read all your e-mail").want(200, "Grant the rest")
	w.wantState(alice, link, Completed) // for this agent it suffices
}

func TestTheAgentsWordForAnAccountIsShownAsSuch(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", calendar.Scopes, ""); err != nil {
		t.Fatal(err)
	}
	req := calendar
	req.LoginHint = "1234"
	b := w.browser().toConfirm(w.link(w.alice(), req)).want(200, "<code>1234</code> <small>as the agent calls it")
	if choices := b.choices(); len(choices) != 3 || choices[0] != "" {
		t.Errorf("an account is chosen already: %v", choices)
	}
	b.submit(url.Values{"action": {"connect"}, "account": {anotherAccount}}).consent("allow").want(200, "If you chose another one")
}

func TestWhereTheFlowLeadsIsKeptForTheSecondTry(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, func(c *Config) { c.ReturnTo = []string{"http://127.0.0.1:1"} })
	req := calendar
	req.Scopes = []string{calendarScope, driveScope}
	b := w.browser().open(w.link(w.alice(), req).URL+"&returnTo=http://127.0.0.1:1/back").press("", "").signIn("alice")
	b.want(200, "127.0.0.1:1").press("action", "connect")
	b.submit(url.Values{"action": {"allow"}, "account": {optionPattern.FindStringSubmatch(b.body)[1]}, "scope": {calendarScope}})
	again := regexp.MustCompile(`href="(/auth/connect[^"]*)"`).FindStringSubmatch(b.body)
	b.before = func(r *http.Request) bool { return r.URL.Host != "127.0.0.1:1" }
	b.open(w.site.URL+strings.ReplaceAll(again[1], "&amp;", "&")).press("", "").press("action", "connect").consent("allow")
	if b.held == nil {
		t.Errorf("the browser ended at %s", b.at)
	}
}

// An account may have been granted more than can be asked for at once.
func TestAnAccountOfMoreScopesThanAuth0TakesIsConnectedAgain(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	granted := []string{mailScope}
	for i := range maxAsked - 1 {
		granted = append(granted, fmt.Sprint("https://www.googleapis.com/auth/s", i))
	}
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", granted, ""); err != nil {
		t.Fatal(err)
	}
	alice := w.alice()
	link := w.link(alice, calendar)
	w.browser().toConsent(link).wantAsked("consent", calendarScope).consent("allow").want(200, "Read all your e-mail")
	w.wantState(alice, link, Completed)
}

// Microsoft refuses the scope that stands for all beside any other one.
func TestAnAccountOfMicrosoftsIsConnectedAgainForAllThatIsRegistered(t *testing.T) {
	const all = "https://graph.microsoft.com/.default"
	w := newTenantWorld(t, func(cfg *auth0test.Config) { cfg.Connections = auth0test.Seeds("windowslive").Connections }, nil)
	if err := w.tenant.Connect("auth0|alice", "windowslive", []string{"User.Read", "Mail.Read"}, ""); err != nil {
		t.Fatal(err)
	}
	link := w.link(w.alice(), vault.Request{Connection: "windowslive", Scopes: []string{all}})
	w.browser().toConsent(link).wantAsked("consent", all)
}
