package linkflow

import (
	"errors"
	"html"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// wantUnlinked is what every refusal has to leave.
func (w *world) wantUnlinked() {
	w.Helper()
	for _, u := range w.tenant.Config().Users {
		if len(u.Identities) != 1 {
			w.Errorf("%s has the identities %v", u.UserID, w.identities(u.UserID))
		}
	}
	if slices.Contains(w.log.kinds(), Merged) {
		w.Error("success was claimed")
	}
}

// change edits the parameters of the next authorization request for a connection,
// or of any.
func (b *browser) change(edit func(url.Values)) {
	b.before = func(r *http.Request) bool {
		if r.URL.Path == "/authorize" {
			q := r.URL.Query()
			edit(q)
			r.URL.RawQuery = q.Encode()
			b.before = nil
		}
		return true
	}
}

func TestAPersonMayRefuseAtEachStep(t *testing.T) {
	for name, step := range map[string]func(b *browser, link *Link){
		"after the first sign-in": func(b *browser, link *Link) {
			b.toLinkConfirm(link).press("action", "decline").want(200, "Nothing was connected")
		},
		"at the provider": func(b *browser, link *Link) {
			b.toLinkConfirm(link).press("action", "prove").consent("deny").wantRefused(403, "second_sign_in_error")
			b.open(b.site.URL+goOnPattern.FindStringSubmatch(b.body)[1]).want(200, "Add Google to your account?")
			b.press("action", "decline").want(200, "Nothing was connected")
		},
		"before the two are joined": func(b *browser, link *Link) {
			b.toMerge(link, "").press("action", "decline").want(200, "Nothing was connected")
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newLinkingWorld(t, nil)
			alice := w.alice()
			link := w.link(alice, calendar)
			step(w.browser(), link)
			w.wantUnlinked()
			w.wantState(alice, link, Declined)
			if e := w.log.last(); e.Kind != DeclinedByUser || e.Subject != "auth0|alice" {
				t.Errorf("told %+v", e)
			}
		})
	}
}

func TestALinkThatLinksServesOnlyTheUserItWasMadeFor(t *testing.T) {
	w := newLinkingWorld(t, nil)
	link := w.link(w.alice(), calendar)
	b := w.browser().open(link.URL).press("", "").signIn("bob").wantRefused(403, "wrong_user")
	if strings.Contains(b.body, "alice") || strings.Contains(b.body, "bob") {
		t.Error("the page names somebody")
	}
	w.wantUnlinked()
	b.press("prompt", "login").signIn("alice").want(200, "Add Google to your account?")
}

// The second sign-in has made another user Auth0's session; the first one is who
// was proved first, whatever the session is.
func TestTheUserOfTheTicketRemains(t *testing.T) {
	w := newLinkingWorld(t, nil)
	b := w.browser().toMerge(w.link(w.alice(), calendar), "")
	for _, text := range []string{"This one stays", "auth0|alice", "This one becomes a part of it", "google-oauth2|"} {
		b.want(200, text)
	}
	b.press("action", "merge").want(200, "is part of your account")
	if got := w.identities("auth0|alice"); len(got) != 2 || got[0] != "auth0|alice" {
		t.Errorf("the identities are %v", got)
	}
}

func TestWhatIsLostIsNamedAfterBothHaveSignedInAndNotBefore(t *testing.T) {
	w := newLinkingWorld(t, nil, func(c *auth0test.Config) {
		c.Users = append(c.Users, auth0test.User{
			UserID: "google-oauth2|1", Email: "alice@example.com", EmailVerified: true,
			UserMetadata: map[string]any{"favourite<color>": "teal"}, AppMetadata: map[string]any{"plan": "gold"},
		})
	})
	b := w.browser().toLinkConfirm(w.link(w.alice(), calendar))
	if strings.Contains(b.body, "plan") {
		t.Error("metadata is named before its owner has signed in")
	}
	b.press("action", "prove").choose("1").want(200, "app_metadata.plan").want(200, "user_metadata.favourite&lt;color&gt;")
	if strings.Contains(b.body, "teal") || strings.Contains(b.body, "gold") {
		t.Error("metadata is told, and not only named")
	}
}

func TestWhatIsLinkedAlreadyIsNotLinkedAgain(t *testing.T) {
	google := func(id string) auth0test.Identity {
		return auth0test.Identity{Connection: "google-oauth2", Provider: "google-oauth2", UserID: id, IsSocial: true}
	}
	t.Run("known after the first sign-in", func(t *testing.T) {
		w := newLinkingWorld(t, nil, func(c *auth0test.Config) {
			c.Users[0].Identities = []auth0test.Identity{{Connection: "Username-Password-Authentication", Provider: "auth0", UserID: "alice"}, google("1")}
		})
		alice := w.alice()
		link := w.link(alice, calendar)
		b := w.browser().toLinkConfirm(link).want(200, "is part of your account already")
		b.press("action", "connect").want(200, "Connect Google?").press("action", "connect").consent("allow").want(200, "is connected")
		w.wantState(alice, link, Completed)
	})
	t.Run("found out by the second", func(t *testing.T) {
		w := newLinkingWorld(t, nil, func(c *auth0test.Config) {
			c.Users[0].Identities = []auth0test.Identity{{Connection: "Username-Password-Authentication", Provider: "auth0", UserID: "alice"}, google("1")}
		})
		b := w.browser().open(w.site.URL+"/auth/link?connection=google-oauth2").press("", "").signIn("alice")
		b.press("action", "prove").choose("1").want(200, "is part of your account already")
		if n := len(w.identities("auth0|alice")); n != 2 {
			t.Errorf("%d identities", n)
		}
	})
	t.Run("and it is the user themselves", func(t *testing.T) {
		w := newLinkingWorld(t, nil, func(c *auth0test.Config) {
			c.Users = append(c.Users, auth0test.User{UserID: "google-oauth2|1", Email: "alice@example.com", EmailVerified: true})
		})
		b := w.browser().open(w.site.URL+"/auth/link?connection=google-oauth2").press("", "")
		b.press("connection", "google-oauth2").choose("1").press("action", "prove").choose("1").want(200, "is part of your account already")
		w.wantUnlinked()
	})
}

func TestAnIdentityThatBelongsToSomebodyIsNotLinked(t *testing.T) {
	t.Run("as one of several", func(t *testing.T) {
		w := newLinkingWorld(t, nil, func(c *auth0test.Config) {
			c.Users[1].Identities = []auth0test.Identity{
				{Connection: "Username-Password-Authentication", Provider: "auth0", UserID: "bob"},
				{Connection: "google-oauth2", Provider: "google-oauth2", UserID: "2", IsSocial: true},
			}
		})
		w.browser().toMerge(w.link(w.alice(), calendar), "2").wantRefused(409, "several_identities")
		if len(w.identities("auth0|alice")) != 1 || len(w.identities("auth0|bob")) != 2 {
			t.Error("something was changed")
		}
	})
	t.Run("as the first of several", func(t *testing.T) {
		w := newLinkingWorld(t, nil, func(c *auth0test.Config) {
			c.Users = append(c.Users, auth0test.User{UserID: "google-oauth2|2", Email: "bob@example.com", Identities: []auth0test.Identity{
				{Connection: "google-oauth2", Provider: "google-oauth2", UserID: "2", IsSocial: true},
				{Connection: "github", Provider: "github", UserID: "3", IsSocial: true},
			}})
		})
		w.browser().toMerge(w.link(w.alice(), calendar), "2").wantRefused(409, "several_identities")
	})
	t.Run("since this very page", func(t *testing.T) {
		w := newLinkingWorld(t, nil)
		alice := w.browser().toMerge(w.link(w.alice(), calendar), "1").want(200, "Make these one account?")
		bob := w.browser().open(w.link(w.caller("auth0|bob", "demo-agent", nil), calendar).URL).press("", "").signIn("bob")
		bob.press("action", "prove").choose("1").press("action", "merge").want(200, "is part of your account")
		alice.press("action", "merge").wantRefused(409, "second_gone").want(409, "belongs to somebody already")
		alice.open(w.site.URL+html.UnescapeString(goOnPattern.FindStringSubmatch(alice.body)[1])).want(200, "Add Google to your account?")
		if n := len(w.identities("auth0|alice")); n != 1 {
			t.Errorf("%d identities", n)
		}
	})
	t.Run("since a moment ago", func(t *testing.T) {
		network := &broken{}
		w := newLinkingWorld(t, through(network))
		b := w.browser().toMerge(w.link(w.alice(), calendar), "")
		network.fail = func(_ int, r *http.Request) *failure {
			if r.Method == http.MethodPost {
				return &failure{status: 409, body: `{"statusCode": 409, "error": "Conflict", "message": "taken"}`}
			}
			return nil
		}
		b.press("action", "merge").wantRefused(409, "management_409").want(409, "belongs to somebody already")
		w.wantUnlinked()
	})
}

func TestTheSecondSignInHasToBeThroughTheRequestedConnection(t *testing.T) {
	w := newLinkingWorld(t, nil)
	b := w.browser().toLinkConfirm(w.link(w.alice(), calendar))
	b.change(func(q url.Values) { q.Set("connection", "github") })
	b.press("action", "prove").consent("allow").wantRefused(403, "wrong_connection")
	w.wantUnlinked()
}

// Who signs in as the same user elsewhere has proved nothing, and nothing is linked.
func TestTheSameUserElsewhereIsNoReasonToClaimThatAnIdentityIsLinked(t *testing.T) {
	w := newLinkingWorld(t, nil)
	b := w.browser().toLinkConfirm(w.link(w.alice(), calendar))
	b.change(func(q url.Values) { q.Set("connection", "Username-Password-Authentication") })
	b.press("action", "prove").signIn("alice").wantRefused(403, "wrong_connection")
	w.wantUnlinked()
}

// Without the parameter, Auth0 would show all connections there are.
func TestTheRequestedConnectionIsAlwaysNamed(t *testing.T) {
	w := newLinkingWorld(t, nil)
	b := w.browser().toLinkConfirm(w.link(w.alice(), calendar))
	var q url.Values
	b.change(func(got url.Values) { q = got })
	b.press("action", "prove")
	for name, want := range map[string]string{
		"connection": "google-oauth2", "connection_scope": calendarScope, "max_age": "0", "code_challenge_method": "S256",
		"client_id": "link-pages", "audience": w.tenant.URL + "/api/v2/",
	} {
		if q.Get(name) != want {
			t.Errorf("%s is %q, want %q", name, q.Get(name), want)
		}
	}
	if q.Get("nonce") == "" || q.Get("state") == "" || q.Get("id_token_hint") != "" {
		t.Errorf("asked with %v", q)
	}
}

func TestTheSecondSignInIsOfThisFlowAndNow(t *testing.T) {
	for name, c := range map[string]struct {
		edit   func(url.Values)
		reason string
	}{
		"with another nonce":      {func(q url.Values) { q.Set("nonce", "another") }, "wrong_nonce"},
		"without a nonce":         {func(q url.Values) { q.Del("nonce") }, "wrong_nonce"},
		"at an unknown time":      {func(q url.Values) { q.Del("max_age") }, "second_not_fresh"},
		"with another's PKCE":     {func(q url.Values) { q.Set("code_challenge", strings.Repeat("x", 43)) }, "invalid_grant"},
		"without its API":         {func(q url.Values) { q.Del("audience") }, "management_400"},
		"without its API's scope": {func(q url.Values) { q.Set("scope", "openid") }, "management_403"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newLinkingWorld(t, nil)
			b := w.browser().toLinkConfirm(w.link(w.alice(), calendar))
			b.change(c.edit)
			b.press("action", "prove").consent("allow")
			if e := w.log.last(); e.Reason != c.reason || b.status < 400 {
				t.Errorf("answered %d, told %+v", b.status, e)
			}
			w.wantUnlinked()
		})
	}
}

func TestTheFirstSignInIsOfTheLastFiveMinutes(t *testing.T) {
	w := newLinkingWorld(t, nil)
	b := w.browser().open(w.link(w.alice(), calendar).URL)
	var q url.Values
	b.change(func(got url.Values) {
		q = copied(got)
		got.Del("max_age")
	})
	b.press("", "").signIn("alice").wantRefused(403, "not_fresh")
	if q.Get("prompt") != "login" || q.Get("max_age") != "300" {
		t.Errorf("asked with %v", q)
	}
	w.wantUnlinked()
}

func copied(values url.Values) url.Values {
	out := url.Values{}
	for name := range values {
		out.Set(name, values.Get(name))
	}
	return out
}

func TestAnEmailThatIsNotVerifiedIsAReasonNotToLinkWhereTheOperatorSaysSo(t *testing.T) {
	unverified := func(c *auth0test.Config) {
		c.ProviderAccounts = append(c.ProviderAccounts, auth0test.ProviderAccount{
			Strategy: "google-oauth2", Account: "1", Email: "alice@example.com", EmailVerified: new(false),
		})
	}
	require := func(c *Config) { c.Linking.RequireVerifiedEmail = true }
	t.Run("of the first", func(t *testing.T) {
		w := newLinkingWorld(t, require, func(c *auth0test.Config) { c.Users[0].EmailVerified = false })
		w.browser().toLinkConfirm(w.link(w.alice(), calendar)).wantRefused(403, "email_unverified")
		w.wantUnlinked()
	})
	t.Run("of the second", func(t *testing.T) {
		w := newLinkingWorld(t, require, unverified)
		w.browser().toMerge(w.link(w.alice(), calendar), "1").wantRefused(403, "email_unverified")
		w.wantUnlinked()
	})
	t.Run("verified", func(t *testing.T) {
		w := newLinkingWorld(t, require)
		w.browser().toMerge(w.link(w.alice(), calendar), "").want(200, "Make these one account?")
	})
	t.Run("and the operator does not say so", func(t *testing.T) {
		w := newLinkingWorld(t, nil, unverified)
		w.browser().toMerge(w.link(w.alice(), calendar), "1").want(200, "Make these one account?")
	})
}

func TestAnIPAddressIsPinnedOnlyWhereTheOperatorSaysSo(t *testing.T) {
	for _, pinned := range []bool{true, false} {
		for name, until := range map[string]func(*browser, *Link){
			"after the first sign-in": func(b *browser, link *Link) { b.toLinkConfirm(link) },
			"after the second":        func(b *browser, link *Link) { b.toMerge(link, "") },
		} {
			address := "192.0.2.1"
			w := newLinkingWorld(t, func(c *Config) {
				c.Linking.PinIP = pinned
				c.ClientIP = func(*http.Request) string { return address }
			})
			b := w.browser()
			until(b, w.link(w.alice(), calendar))
			action := "merge"
			if strings.Contains(b.body, `value="prove"`) {
				action = "prove"
			}
			address = "192.0.2.2"
			b.press("action", action)
			if refused := w.log.last().Reason == "ip_address"; refused != pinned || refused != (b.status == 403) {
				t.Errorf("%s, pinned: %t: answered %d", name, pinned, b.status)
			}
			if pinned {
				w.wantUnlinked()
			}
		}
	}
}

func TestWhoStaysAtOneAddressGetsThrough(t *testing.T) {
	w := newLinkingWorld(t, func(c *Config) { c.Linking.PinIP = true })
	b := w.browser().toMerge(w.link(w.alice(), calendar), "").press("action", "merge").want(200, "is part of your account")
	b.press("action", "connect").signIn("alice").want(200, "Connect Google?")
}

func TestAnIPAddressThatChangesDuringASignInIsNoticed(t *testing.T) {
	address := "192.0.2.1"
	w := newLinkingWorld(t, func(c *Config) {
		c.Linking.PinIP = true
		c.ClientIP = func(*http.Request) string { return address }
	})
	b := w.browser().open(w.link(w.alice(), calendar).URL).press("", "")
	address = "192.0.2.2"
	b.signIn("alice").wantRefused(403, "ip_address")
	w.wantUnlinked()
}

// The page that the person saw is what they say yes to.
func TestWhatChangesBetweenThePageAndTheYesIsLookedAtAgain(t *testing.T) {
	network := &broken{}
	changed := false
	network.fail = func(_ int, r *http.Request) *failure {
		if changed && r.Method == http.MethodGet && strings.Contains(r.URL.Path, "google-oauth2|1") {
			return &failure{status: 200, body: `{"user_id": "google-oauth2|1", "email": "mallory@example.com", "email_verified": true,
				"identities": [{"provider": "google-oauth2", "user_id": "1", "connection": "google-oauth2"}]}`}
		}
		return nil
	}
	w := newLinkingWorld(t, through(network))
	b := w.browser().toMerge(w.link(w.alice(), calendar), "1")
	changed = true
	b.press("action", "merge").wantRefused(409, "changed_meanwhile")
	w.wantUnlinked()
	b.open(b.site.URL+goOnPattern.FindStringSubmatch(b.body)[1]).want(200, "Make these one account?")
	b.press("action", "merge").want(200, "is part of your account")
}

func TestNoTokenIsInAnyURLOfALinking(t *testing.T) {
	w := newLinkingWorld(t, nil)
	b := w.browser()
	var seen []string
	b.before = func(r *http.Request) bool { seen = append(seen, r.URL.String()); return true }
	b.toMerge(w.link(w.alice(), calendar), "").press("action", "merge").want(200, "is part of your account")
	b.press("action", "connect").signIn("alice").want(200, "Connect Google?")
	for _, u := range seen {
		if strings.Contains(u, "eyJ") || strings.Contains(u, "id_token") {
			t.Errorf("a token is in %s", u)
		}
	}
}

func TestAThirdPartySiteCannotStartOrFinishALinking(t *testing.T) {
	w := newLinkingWorld(t, nil)
	b := w.browser()
	post := func(page string, fields url.Values) {
		for _, from := range []struct{ site, origin string }{{"cross-site", "https://evil.example"}, {"same-site", "https://evil.example"}, {"", "https://evil.example"}, {"", ""}} {
			b.send(b.post(w.site.URL+page, fields, from.site, from.origin)).want(403, titleOf(pageForeign))
		}
	}
	b.open(w.site.URL + "/auth/link?connection=google-oauth2")
	_, start := b.form()
	post("/auth/link", start)
	link := w.link(w.alice(), calendar)
	b.toMerge(link, "")
	_, merge := b.form()
	merge.Set("action", "merge")
	post("/auth/confirm", merge)
	w.wantUnlinked()
	// With the right headers, a form of another browser, page or step does nothing.
	unseen := mustOpen[formToken](w, forForm, merge.Get("form"))
	unseen.Seen = digestOf("something else")
	for name, c := range map[string]struct {
		form   string
		status int
	}{
		"no token":          {"", 403},
		"another step's":    {start.Get("form"), 403},
		"what was not seen": {w.sealed(forForm, unseen), 409},
	} {
		fields := copied(merge)
		fields.Set("form", c.form)
		b.send(b.post(w.site.URL+"/auth/confirm", fields, "same-origin", ""))
		if b.status != c.status {
			t.Errorf("%s: answered %d", name, b.status)
		}
	}
	other := w.browser()
	other.send(other.post(w.site.URL+"/auth/confirm", merge, "same-origin", "")).want(400, "")
	w.wantUnlinked()
}

func TestAMergePageThatIsForwardedMergesNothing(t *testing.T) {
	w := newLinkingWorld(t, nil)
	b := w.browser().toMerge(w.link(w.alice(), calendar), "")
	w.browser().open(b.at.String()).wantRefused(400, "no_flow")
	w.wantUnlinked()
}

// The second account is proved in the flow of one person; somebody else's code is
// of no use in it.
func TestTheSecondSignInOfAnotherBrowserIsNotTaken(t *testing.T) {
	w := newLinkingWorld(t, nil)
	alice := w.browser().toLinkConfirm(w.link(w.alice(), calendar)).press("action", "prove")
	bob := w.browser()
	bob.open(w.link(w.caller("auth0|bob", "demo-agent", nil), calendar).URL).press("", "").signIn("bob").press("action", "prove")
	bob.stopAt("/auth/callback", "code")
	bob.consent("allow")
	alice.open(bob.held.URL.String()).wantRefused(400, "no_flow")
	q := bob.held.URL.Query()
	alice.open(w.site.URL + "/auth/callback?" + url.Values{"code": {q.Get("code")}, "state": {alice.stateOf()}}.Encode())
	if alice.status != 400 {
		t.Errorf("answered %d", alice.status)
	}
	w.wantUnlinked()
}

// stateOf is the state of the second sign-in that the browser is on.
func (b *browser) stateOf() string {
	b.Helper()
	r, _ := http.NewRequest(http.MethodGet, b.site.URL, nil)
	cookies := b.flowCookies()
	for _, c := range cookies {
		r.AddCookie(c)
	}
	for _, c := range cookies {
		if text, err := b.flow.get(r, c.Name); err == nil {
			return mustOpen[flowState](b.world, forSecond, text).State
		}
	}
	b.Fatal("the browser is on no flow")
	return ""
}

// What the vault said before about either of the two is not believed any more, and
// who has a token of the user that is gone has to sign in again.
func TestAfterLinkingBothUsersAreAskedForAnew(t *testing.T) {
	w := newLinkingWorld(t, nil, aliceAtGoogle(true))
	w.connectBoth()
	alice, other := w.alice(), w.caller("google-oauth2|117", "demo-agent", nil)
	for range 2 {
		w.wantToken(alice, "")
		w.wantToken(other, "")
	}
	if n := w.exchanges(); n != 2 {
		t.Fatalf("%d exchanges", n)
	}
	w.browser().toMerge(w.link(alice, calendar), "117").press("action", "merge").want(200, "is part of your account")
	w.wantToken(alice, "")
	w.wantToken(other, vault.CodeInvalidToken)
	if n := w.exchanges(); n != 4 {
		t.Errorf("%d exchanges: what the vault said before the linking is still believed", n)
	}
}

func TestAfterUnlinkingTheUserIsAskedForAnew(t *testing.T) {
	w := newLinkingWorld(t, nil, aliceTwice)
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", []string{calendarScope}, ""); err != nil {
		t.Fatal(err)
	}
	alice := w.alice()
	w.wantToken(alice, "")
	w.toUnlink().press("action", "unlink").want(200, "of its own again")
	w.wantToken(alice, "")
	if n := w.exchanges(); n != 2 {
		t.Errorf("%d exchanges", n)
	}
}

// connectBoth has the vault serve both alice and the user that she also is.
func (w *world) connectBoth() {
	w.Helper()
	for _, user := range []string{"auth0|alice", "google-oauth2|117"} {
		if err := w.tenant.Connect(user, "google-oauth2", []string{calendarScope}, ""); err != nil {
			w.Fatal(err)
		}
	}
}

// wantToken asks the vault; refusal is empty if it is to have a token.
func (w *world) wantToken(caller *vault.AccessToken, refusal vault.Code) {
	w.Helper()
	_, err := w.vault.Token(w.Context(), caller, calendar)
	var code vault.Code
	if e, ok := errors.AsType[*vault.Error](err); ok {
		code = e.Code
	}
	if code != refusal || (err == nil) != (refusal == "") {
		w.Errorf("%s: the vault said %v, want %q", caller.Subject, err, refusal)
	}
}

func (w *world) exchanges() (n int) {
	for _, r := range w.tenant.Requests() {
		if strings.HasSuffix(r.GrantType, "federated-connection-access-token") {
			n++
		}
	}
	return n
}

// The page that follows the first sign-in can be left open. Whoever comes by then
// must not add an account of theirs.
func TestAFirstSignInThatIsTooOldIsMadeAgainBeforeTheSecond(t *testing.T) {
	for minutes, again := range map[int64]bool{4: false, 6: true} {
		w := newLinkingWorld(t, nil)
		b := w.browser().toLinkConfirm(w.link(w.alice(), calendar))
		b.reseal(forLinkConfirm, func(s *flowState) { s.Linking.AuthTime -= minutes * 60 })
		b.press("action", "prove")
		if asked := strings.Contains(b.body, `name="password"`); asked != again {
			t.Errorf("after %d minutes a sign-in is asked for: %t", minutes, asked)
		}
		if again {
			b.signIn("alice").press("action", "prove")
		}
		b.choose("").want(200, "Make these one account?")
		w.wantUnlinked()
	}
}
