package linkflow

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const mailScope = "https://www.googleapis.com/auth/gmail.readonly"

// offering makes every route's needs those of Google and GitHub here.
func offering(c *Config) {
	c.Offers = func(connection string) ([]string, bool) {
		scopes, ok := map[string][]string{"google-oauth2": {calendarScope, mailScope}, "github": nil}[connection]
		return scopes, ok
	}
}

// connectedAccounts are the ids of the accounts on the page.
func (b *browser) connectedAccounts() []string {
	var ids []string
	for _, m := range regexp.MustCompile(`accounts\?disconnect=([A-Za-z0-9_]+)`).FindAllStringSubmatch(b.body, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// accountOf is the id of a user's only account, as another browser shows it.
func (w *world) accountOf(user string) string {
	w.Helper()
	return w.browser().toAccounts(user).connectedAccounts()[0]
}

// toAccounts goes to the list of accounts.
func (b *browser) toAccounts(user string) *browser {
	b.Helper()
	return b.open(b.site.URL+"/auth/accounts").press("action", "sign_in").signIn(user).want(200, user+"@example.com")
}

// age makes the browser's session at our pages look older.
func (b *browser) age(by time.Duration) {
	b.Helper()
	at, _ := url.Parse(b.site.URL)
	for _, c := range b.jar.Cookies(at) {
		if c.Name == sessionCookie {
			s := mustOpen[session](b.world, forSession, strings.TrimPrefix(c.Value, "1."))
			s.Expiry -= int64(by.Seconds())
			s.AuthTime -= int64(by.Seconds())
			b.setCookie(&http.Cookie{Name: c.Name, Value: "1." + b.sealed(forSession, s)})
		}
	}
}

func TestPeopleSeeTheirOwnAccounts(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	for user, scope := range map[string]string{"alice": calendarScope, "bob": mailScope} {
		if err := w.tenant.Connect("auth0|"+user, "google-oauth2", []string{scope}, ""); err != nil {
			t.Fatal(err)
		}
	}
	b := w.browser().open(w.site.URL+"/auth/accounts").want(200, "Sign in")
	if w.called("/authorize") != 0 {
		t.Error("looking at the page began a sign-in")
	}
	b.press("action", "sign_in").signIn("alice").want(200, "See your calendars")
	b.want(200, time.Now().UTC().Format(time.DateOnly))
	if strings.Contains(b.body, "e-mail") || len(b.connectedAccounts()) != 1 {
		t.Errorf("bob's account is on alice's page:\n%s", b.body)
	}
	if strings.Contains(b.at.String(), "code") {
		t.Errorf("the page's URL has a code: %s", b.at)
	}
	if e := w.log.last(); e.Kind != SignedIn || e.Subject != "auth0|alice" {
		t.Errorf("the operator was told %+v", e)
	}
}

func TestDisconnectingNeedsASecondLookAndAFreshSignIn(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	alice := w.alice()
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", []string{calendarScope}, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := w.vault.Token(t.Context(), alice, calendar); err != nil {
		t.Fatal(err)
	}
	b := w.browser().toAccounts("alice")
	page := w.site.URL + "/auth/accounts?disconnect=" + b.connectedAccounts()[0]

	b.open(page).want(200, `value="disconnect"`) // she has just signed in
	b.age(freshLife + time.Second)
	b.open(page).want(200, "Sign in again").press("action", "disconnect").want(200, "Sign in again")
	b.press("action", "sign_in").signIn("alice").want(200, `value="disconnect"`)
	b.age(freshLife + time.Second)
	b.press("action", "disconnect").want(200, "Sign in again") // it has become old meanwhile
	b.press("action", "sign_in").want(200, `value="disconnect"`)
	if _, err := w.vault.Token(t.Context(), alice, calendar); err != nil {
		t.Fatalf("disconnected too early: %v", err)
	}
	b.press("action", "disconnect").want(200, "Google is disconnected")
	if b.open(b.at.String()); strings.Contains(b.body, "is disconnected") {
		t.Error("a reload says it again")
	}
	if _, err := w.vault.Token(t.Context(), alice, calendar); !needsLink(err) {
		t.Errorf("the agent still gets a token: %v", err)
	}
	if e := w.log.last(); e.Kind != Disconnected || e.Subject != "auth0|alice" || e.Connection != "google-oauth2" {
		t.Errorf("the operator was told %+v", e)
	}
	b.open(page).wantRefused(404, "no_account")
	b.open(w.site.URL+"/auth/accounts").want(200, "No account is connected")
}

func needsLink(err error) bool {
	e, ok := err.(*vault.Error)
	return ok && e.NeedsLink()
}

func TestAnOldSignInAtAuth0IsNotFreshEnough(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", []string{calendarScope}, ""); err != nil {
		t.Fatal(err)
	}
	b := w.browser().toAccounts("alice")
	b.age(freshLife + time.Second)
	b.open(w.site.URL + "/auth/accounts?disconnect=" + b.connectedAccounts()[0])
	b.stopAt("/authorize", "state")
	b.press("action", "sign_in")
	if got := b.held.URL.Query().Get("max_age"); got != "300" {
		t.Errorf("Auth0 is asked for max_age %q", got)
	}
}

func TestNobodyDisconnectsSomebodyElsesAccount(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	if err := w.tenant.Connect("auth0|bob", "google-oauth2", []string{calendarScope}, ""); err != nil {
		t.Fatal(err)
	}
	bobs := w.browser().toAccounts("bob").connectedAccounts()[0]
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", []string{calendarScope}, ""); err != nil {
		t.Fatal(err)
	}
	b := w.browser().toAccounts("alice")
	hers := w.site.URL + "/auth/accounts?disconnect=" + b.connectedAccounts()[0]
	b.open(hers).press("action", "sign_in")
	b.submit(url.Values{"action": {"disconnect"}, "disconnect": {bobs}}).wantRefused(403, "form_token")
	b.open(hers)
	_, fields := b.form()
	form := mustOpen[formToken](w, forForm, fields.Get("form"))
	form.Seen = digestOf(bobs)
	b.submit(url.Values{"action": {"disconnect"}, "disconnect": {bobs}, "form": {w.sealed(forForm, form)}}).wantRefused(404, "no_account")
	b.open(w.site.URL+"/auth/accounts?disconnect="+bobs).wantRefused(404, "no_account")
	if got := w.browser().toAccounts("bob").connectedAccounts(); len(got) != 1 {
		t.Error("bob's account is gone")
	}
}

func TestASessionEnds(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	t.Run("after a quarter of an hour", func(t *testing.T) {
		b := w.in(t).browser().toAccounts("alice")
		for _, c := range b.header.Values("Set-Cookie") {
			if strings.HasPrefix(c, sessionCookie) && !strings.Contains(c, "Max-Age=9") {
				t.Errorf("the cookie is %s", c)
			}
		}
		b.age(sessionLife)
		b.open(w.site.URL+"/auth/accounts").want(200, "Sign in")
	})
	t.Run("by signing out", func(t *testing.T) {
		b := w.in(t).browser().toAccounts("alice")
		b.press("action", "sign_out").want(200, "signed out here").want(200, "/v2/logout?client_id=link-pages")
		b.open(w.site.URL+"/auth/accounts").want(200, "Sign in")
		b.before = func(r *http.Request) bool { return r.URL.Host != "localhost:8080" } // where Auth0 sends people then
		b.open(w.tenant.URL + "/v2/logout?client_id=link-pages")
		b.before = nil
		b.open(w.site.URL+"/auth/accounts").press("action", "sign_in").want(200, `name="password"`)
	})
	t.Run("with the My Account API's token", func(t *testing.T) {
		b := w.in(t).browser().toAccounts("alice").later()
		if err := w.tenant.AddFault(auth0test.Fault{Path: accountsPath, Status: new(401), Body: `{"type":"https://auth0.com/api-errors/A0E-401-0003","title":"Invalid Token","detail":"d","status":401}`}); err != nil {
			t.Fatal(err)
		}
		b.open(w.site.URL+"/auth/accounts").want(200, "Sign in")
		b.press("action", "sign_in").want(200, "alice@example.com") // and the form is good
	})
	w.in(t)
}

func TestAccountsWhenAuth0Fails(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", []string{calendarScope}, ""); err != nil {
		t.Fatal(err)
	}
	b := w.browser().toAccounts("alice").later()
	id := b.connectedAccounts()[0]
	fault := func(path string, status int) {
		if err := w.tenant.AddFault(auth0test.Fault{Path: path, Status: &status}); err != nil {
			t.Fatal(err)
		}
	}
	fault(accountsPath, 503)
	b.open(w.site.URL+"/auth/accounts").wantRefused(502, "server_error")
	b.open(w.site.URL+"/auth/accounts?disconnect="+id).want(200, `value="disconnect"`)
	fault(accountsPath+"/"+id, 403)
	b.press("action", "disconnect").wantRefused(502, "my_account_403")
	if !strings.Contains(w.log.last().Err.Error(), "delete:me:connected_accounts") {
		t.Errorf("the operator was told %v", w.log.last().Err)
	}
	b.open(w.site.URL+"/auth/accounts").want(200, id)
}

func TestAccountFormsAreForTheirSessionOnly(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", []string{calendarScope}, ""); err != nil {
		t.Fatal(err)
	}
	target := w.site.URL + "/auth/accounts"
	outside := w.browser().open(target)
	_, before := outside.form()
	b := w.browser().toAccounts("alice")
	id := b.connectedAccounts()[0]
	b.open(target + "?disconnect=" + id)
	_, fields := b.form()
	fields.Set("action", "disconnect")
	for _, c := range []struct {
		name, site string
		change     func(url.Values)
		status     int
		reason     string
	}{
		{"another site's", "cross-site", func(url.Values) {}, 403, "cross_site"},
		{"without a token", "same-origin", func(v url.Values) { v.Del("form") }, 403, "form_token"},
		{"with another browser's token", "same-origin", func(v url.Values) { v.Set("form", before.Get("form")) }, 403, "form_token"},
		{"twice the account", "same-origin", func(v url.Values) { v.Add("disconnect", "x") }, 400, "form_malformed"},
		{"doing what there is not", "same-origin", func(v url.Values) { v.Set("action", "dance") }, 400, "form_malformed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			changed := url.Values{"form": fields["form"], "action": fields["action"], "disconnect": {id}}
			c.change(changed)
			b.send(b.post(target, changed, c.site, "")).wantRefused(c.status, c.reason)
		})
	}
	// Who is not signed in can do nothing but that.
	before.Set("action", "disconnect")
	before.Set("disconnect", id)
	outside.send(outside.post(target, before, "same-origin", "")).wantRefused(403, "form_token")
	outside.open(target+"?disconnect="+id).press("action", "disconnect").wantRefused(400, "form_malformed")
	b.open(target+"?disconnect=a&disconnect=b").wantRefused(400, "disconnect_malformed")
	b.open(target+"?disconnect=../x").wantRefused(400, "disconnect_malformed")
	b.open(target).want(200, id)
}

func TestASessionIsNoFlowAndAFlowNoSession(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	b := w.browser().toConfirm(w.link(w.alice(), calendar))
	b.setCookie(&http.Cookie{Name: sessionCookie, Value: b.flowCookies()[0].Value})
	b.open(w.site.URL+"/auth/accounts").want(200, "Sign in")
}

func TestAnAccountCanBeConnectedAgainFromTheList(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", []string{calendarScope, "https://www.googleapis.com/auth/drive"}, ""); err != nil {
		t.Fatal(err)
	}
	b := w.browser().toAccounts("alice")
	link := regexp.MustCompile(`href="(/auth/connect[^"]*)"`).FindStringSubmatch(b.body)[1]
	b.open(w.site.URL+strings.ReplaceAll(link, "&amp;", "&")).want(200, "See your calendars")
	if !strings.Contains(link, "account="+b.accountOf("alice")) {
		t.Errorf("the link is %s", link)
	}
	if strings.Contains(b.body, "Drive") {
		t.Error("a link asks for what no route needs")
	}
	b.press("", "").want(200, " selected>Since").press("action", "connect").want(200, "https://www.googleapis.com/auth/drive")
	b.consent("allow").want(200, "is connected")
	if got := b.toAccounts("alice").connectedAccounts(); len(got) != 1 {
		t.Errorf("%d accounts", len(got))
	}
}

func TestADisconnectedAccountIsCompletedNoMore(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	alice := w.alice()
	link := w.link(alice, calendar)
	b := w.browser().toConsent(link).consent("allow").want(200, "is connected")
	w.wantState(alice, link, Completed)
	b.toAccounts("alice")
	b.open(w.site.URL+"/auth/accounts?disconnect="+b.connectedAccounts()[0]).press("action", "disconnect").want(200, "is disconnected")
	w.wantState(alice, link, Pending)
}
