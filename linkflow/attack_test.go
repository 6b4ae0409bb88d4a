package linkflow

import (
	"crypto/rand"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// sealedTicket makes a ticket as Link does, changed.
func (w *world) sealedTicket(change func(*ticket)) string {
	w.Helper()
	tk := ticket{
		Issuer: w.tenant.Issuer(), Subject: "auth0|alice", Agent: "demo-agent", Connection: "google-oauth2",
		Scopes: calendar.Scopes, ID: "TICKET", Expiry: time.Now().Add(time.Minute).Unix(),
	}
	change(&tk)
	return w.sealed(forTicket, tk)
}

func TestALinkServesOnlyTheUserItWasMadeFor(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	link := w.link(alice, calendar)
	b := w.browser().open(link.URL).press("", "").signIn("bob").wantRefused(403, "wrong_user")
	for _, name := range []string{"alice", "bob"} {
		if strings.Contains(b.body, name) {
			t.Errorf("the page names %s", name)
		}
	}
	if len(b.flowCookies()) != 0 {
		t.Error("the flow's cookie is left")
	}
	if w.called(connectPath) != 0 {
		t.Error("a connection was begun")
	}
	w.wantNotConnected()
	w.wantState(alice, link, Pending)
}

func TestALinkServesOnlyTheOrganizationItWasMadeFor(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	text := w.sealedTicket(func(tk *ticket) { tk.OrgID = "org_example" })
	b := w.browser()
	b.before = func(r *http.Request) bool { // Auth0 is asked for no organization
		if q := r.URL.Query(); r.URL.Path == "/authorize" {
			q.Del("organization")
			r.URL.RawQuery = q.Encode()
		}
		return true
	}
	b.open(w.site.URL+"/auth/connect?ticket="+text).press("", "").signIn("alice").wantRefused(403, "wrong_user")
	w.wantNotConnected()
}

func TestATicketOfAnotherIssuerServesNobody(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	text := w.sealedTicket(func(tk *ticket) { tk.Issuer = "https://other.example.com/" })
	w.browser().open(w.site.URL+"/auth/connect?ticket="+text).press("", "").signIn("alice").wantRefused(403, "wrong_user")
	w.wantNotConnected()
}

func TestAnAccountPageThatIsForwardedConnectsNothing(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	link := w.link(alice, calendar)
	attacker := w.browser().toConfirm(link)
	attacker.before = func(r *http.Request) bool { return !strings.HasPrefix(r.URL.String(), w.tenant.URL) }
	attacker.press("action", "connect")
	victim := w.browser()
	victim.open(attacker.held.URL.String())
	if strings.Contains(victim.body, `name="action" value="allow"`) {
		victim.consent("allow")
	}
	if victim.at.Path == "/auth/callback" {
		victim.want(400, titleOf(pageNoFlow))
	}
	w.wantNotConnected()
	w.wantState(alice, link, Pending)
}

func TestAFinishedConsentIsNothingInAnotherBrowser(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	link := w.link(w.alice(), calendar)
	b := w.browser().toConsent(link)
	b.stopAt("/auth/callback", "connect_code")
	b.consent("allow")
	w.browser().open(b.held.URL.String()).wantRefused(400, "no_flow")
	w.wantNotConnected()
	b.goOn().want(200, "is connected") // and nothing was lost for its own
}

func TestCallbacksWorkOnce(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	link := w.link(w.alice(), calendar)
	b := w.browser()
	b.stopAt("/auth/callback", "code")
	b.open(link.URL).press("", "").signIn("alice")
	login := b.held.URL.String()
	b.goOn().want(200, "Signed in as")
	confirm, at := b.body, b.at
	tokens := w.called("/oauth/token")
	b.open(login).wantRefused(400, "no_flow") // a reload
	if w.called("/oauth/token") != tokens {
		t.Error("the code was redeemed again")
	}
	b.body, b.at = confirm, at
	b.press("action", "connect")
	b.stopAt("/auth/callback", "connect_code")
	b.consent("allow")
	done := b.held.URL.String()
	b.goOn().want(200, "is connected")
	b.open(done).wantRefused(400, "no_flow")
	b.open(login).wantRefused(400, "no_flow")
	if n := w.called(completePath); n != 1 {
		t.Errorf("complete was called %d times", n)
	}
}

func TestAnOldCookieBringsNoSecondSignIn(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	link := w.link(w.alice(), calendar)
	b := w.browser()
	b.stopAt("/auth/callback", "code")
	b.open(link.URL).press("", "").signIn("alice")
	login, cookie := b.held.URL.String(), b.flowCookies()[0]
	b.goOn().want(200, "Signed in as")
	tokens := w.called("/oauth/token")
	b.setCookie(cookie)
	b.open(login).wantRefused(400, "state_spent").want(400, "Try again")
	if w.called("/oauth/token") != tokens {
		t.Error("the code was redeemed again")
	}
}

func TestACodeOfAnotherLegOrSignInIsNotTaken(t *testing.T) {
	t.Run("a code where a connect_code is due", func(t *testing.T) {
		w := newWorld(t, auth0test.Settings{}, nil)
		b := w.browser().toConsent(w.link(w.alice(), calendar))
		b.stopAt("/auth/callback", "connect_code")
		b.consent("allow")
		q := b.held.URL.Query()
		tokens := w.called("/oauth/token")
		b.before = nil
		b.open(w.site.URL+"/auth/callback?"+url.Values{"code": q["connect_code"], "state": q["state"]}.Encode()).wantRefused(400, "no_flow")
		if w.called("/oauth/token") != tokens {
			t.Error("it was redeemed")
		}
		w.wantNotConnected()
	})
	t.Run("a connect_code where a code is due", func(t *testing.T) {
		w := newWorld(t, auth0test.Settings{}, nil)
		b := w.browser()
		b.stopAt("/auth/callback", "code")
		b.open(w.link(w.alice(), calendar).URL).press("", "").signIn("alice")
		q := b.held.URL.Query()
		b.before = nil
		b.open(w.site.URL+"/auth/callback?"+url.Values{"connect_code": q["code"], "state": q["state"]}.Encode()).wantRefused(400, "no_flow")
		w.wantNotConnected()
	})
	t.Run("bob's code with alice's state", func(t *testing.T) {
		w := newWorld(t, auth0test.Settings{}, nil)
		code := func(user string) (*browser, url.Values) {
			b := w.browser()
			b.stopAt("/auth/callback", "code")
			b.open(w.link(w.alice(), calendar).URL).press("", "").signIn(user)
			b.before = nil
			return b, b.held.URL.Query()
		}
		_, bobs := code("bob")
		b, alices := code("alice")
		b.open(w.site.URL+"/auth/callback?"+url.Values{"code": bobs["code"], "state": alices["state"]}.Encode()).wantRefused(400, "invalid_grant")
		w.wantNotConnected()
	})
}

func TestCallbacksThatAreNotInOrderRedeemNothing(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	defer w.in(t)
	for name, change := range map[string]func(url.Values) string{
		"no state":            func(q url.Values) string { q.Del("state"); return q.Encode() },
		"another state":       func(q url.Values) string { q.Set("state", q.Get("state")+"A"); return q.Encode() },
		"another flow":        func(q url.Values) string { q.Set("state", strings.Repeat("A", 26)+".A"); return q.Encode() },
		"state twice":         func(q url.Values) string { q.Add("state", q.Get("state")); return q.Encode() },
		"code twice":          func(q url.Values) string { q.Add("code", q.Get("code")); return q.Encode() },
		"code and connect":    func(q url.Values) string { q.Set("connect_code", q.Get("code")); return q.Encode() },
		"code and error":      func(q url.Values) string { q.Set("error", "access_denied"); return q.Encode() },
		"code and empty code": func(q url.Values) string { return q.Encode() + "&connect_code" },
		"another issuer":      func(q url.Values) string { q.Set("iss", "https://evil.example.com/"); return q.Encode() },
		"an empty issuer":     func(q url.Values) string { q.Set("iss", ""); return q.Encode() },
		"malformed":           func(q url.Values) string { return q.Encode() + "&%zz" },
		"much too long":       func(q url.Values) string { return q.Encode() + "&x=" + strings.Repeat("x", maxQuery) },
		"nothing":             func(url.Values) string { return "" },
	} {
		t.Run(name, func(t *testing.T) {
			w.in(t)
			alice := w.alice()
			link := w.link(alice, calendar)
			b := w.browser()
			b.stopAt("/auth/callback", "code")
			b.open(link.URL).press("", "").signIn("alice")
			good := b.held.URL.String()
			b.before = nil
			b.open(w.site.URL+"/auth/callback?"+change(b.held.URL.Query())).want(400, titleOf(pageNoFlow))
			if e := w.log.last(); e.Kind != Refused || !strings.Contains(b.body, e.ID) {
				t.Errorf("the operator was told %+v", e)
			}
			if w.called("/oauth/token") != 0 {
				t.Error("the code was redeemed")
			}
			w.wantState(alice, link, Pending)
			b.open(good).want(200, "Signed in as") // the flow itself is not harmed
		})
	}
}

func TestTheIssuerOfACallbackMayBeOurs(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	b := w.browser()
	b.before = func(r *http.Request) bool {
		if q := r.URL.Query(); r.URL.Path == "/auth/callback" {
			q.Set("iss", w.tenant.Issuer())
			r.URL.RawQuery = q.Encode()
		}
		return true
	}
	b.toConsent(w.link(w.alice(), calendar)).consent("allow").want(200, "is connected")
}

func TestOneSealedThingIsNotAnother(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	link := w.link(w.alice(), calendar)
	b := w.browser()
	b.stopAt("/auth/callback", "code")
	b.open(link.URL).press("", "").signIn("alice")
	cookie := b.flowCookies()[0]
	b.before = nil

	w.browser().open(w.site.URL+"/auth/connect?ticket="+strings.TrimPrefix(cookie.Value, "1.")).want(400, titleOf(pageBadLink))

	thief := w.browser()
	thief.setCookie(&http.Cookie{Name: cookie.Name, Value: "1." + ticketOf(link)})
	thief.open(b.held.URL.String()).wantRefused(400, "no_flow")

	// The flow's cookie under another flow's name.
	id := strings.Repeat("B", 26)
	thief.setCookie(&http.Cookie{Name: flowCookie + id, Value: cookie.Value})
	q := b.held.URL.Query()
	q.Set("state", id+"."+strings.SplitN(q.Get("state"), ".", 2)[1])
	thief.open(w.site.URL+"/auth/callback?"+q.Encode()).wantRefused(400, "no_flow")

	flipped := []byte(cookie.Value)
	flipped[20] ^= 1
	thief.setCookie(&http.Cookie{Name: cookie.Name, Value: string(flipped)})
	thief.open(b.held.URL.String()).wantRefused(400, "no_flow")
	if w.called("/oauth/token") != 0 {
		t.Error("the code was redeemed")
	}
}

func TestTamperedTicketsAreRefused(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	good := ticketOf(w.link(alice, calendar))
	raw, err := base64.RawURLEncoding.DecodeString(good)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(raw); i += 7 {
		bad := slices.Clone(raw)
		bad[i] ^= 0x40
		text := base64.RawURLEncoding.EncodeToString(bad)
		w.browser().open(w.site.URL+"/auth/connect?ticket="+text).want(400, titleOf(pageBadLink))
		if _, err := w.flow.Status(t.Context(), alice, text, 0); err != ErrNoTicket {
			t.Errorf("status of a tampered ticket: %v", err)
		}
	}
	for _, text := range []string{"", "x", good + "A", good[:len(good)-4], good + "=", good + "%0A", "%ff", good + "&ticket=" + good, strings.Repeat("A", 10000)} {
		w.browser().open(w.site.URL+"/auth/connect?ticket="+text).want(400, titleOf(pageBadLink))
	}
	w.browser().open(w.site.URL+"/auth/connect").want(400, titleOf(pageBadLink))
	if kinds := w.log.kinds(); len(kinds) != 0 {
		t.Errorf("looking at a page told the operator %v", kinds)
	}
}

func TestExpiredTicketsAre410(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	old := w.sealedTicket(func(tk *ticket) { tk.Expiry = time.Now().Add(-time.Second).Unix() })
	b := w.browser()
	b.open(w.site.URL+"/auth/connect?ticket="+old).want(410, titleOf(pageExpired))
	b.open(w.link(w.alice(), calendar).URL)
	_, fields := b.form()
	fields.Set("ticket", old)
	b.send(b.post(w.site.URL+"/auth/connect", fields, "same-origin", "")).wantRefused(410, "expired")
	status, err := w.flow.Status(t.Context(), w.alice(), old, time.Minute)
	if err != nil || status.State != Expired {
		t.Errorf("status is %+v, %v", status, err)
	}
}

func TestAFlowEndsWithItsTicket(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	b := w.browser().toConfirm(w.link(w.alice(), calendar))
	cookie := b.flowCookies()[0]
	s, err := open[flowState](t.Context(), w.flow.sealer, forConfirm, strings.TrimPrefix(cookie.Value, "1."))
	if err != nil {
		t.Fatal(err)
	}
	s.Expiry = time.Now().Add(-time.Second).Unix()
	old, err := seal(t.Context(), w.flow.sealer, forConfirm, s)
	if err != nil {
		t.Fatal(err)
	}
	b.setCookie(&http.Cookie{Name: cookie.Name, Value: "1." + old})
	b.press("action", "connect").wantRefused(410, "expired")
	w.wantNotConnected()
}

func TestAPostFromElsewhereDoesNothing(t *testing.T) {
	cases := []struct {
		name, site, origin string
		change             func(url.Values)
		status             int
		reason             string
	}{
		{"another site", "cross-site", "https://evil.example.com", nil, 403, "cross_site"},
		{"a neighbouring host", "same-site", "https://evil.example.com", nil, 403, "cross_site"},
		{"typed by the user", "none", "", nil, 403, "cross_site"},
		{"an opaque origin", "", "null", nil, 403, "cross_site"},
		{"another origin", "", "http://127.0.0.1:1", nil, 403, "cross_site"},
		{"no browser's header", "", "", nil, 403, "cross_site"},
		{"no form token", "same-origin", "", func(v url.Values) { v.Del("form") }, 403, "form_token"},
		{"a made-up form token", "same-origin", "", func(v url.Values) { v.Set("form", "AAAA") }, 403, "form_token"},
		{"two form tokens", "same-origin", "", func(v url.Values) { v.Add("form", v.Get("form")) }, 400, "form_malformed"},
	}
	w := newWorld(t, auth0test.Settings{}, nil)
	defer w.in(t)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w.in(t)
			alice := w.alice()
			link := w.link(alice, calendar)
			b := w.browser()
			for _, page := range []string{"/auth/connect", "/auth/confirm"} {
				if b.at == nil {
					b.open(link.URL)
				} else {
					b.toConfirm(link)
				}
				_, fields := b.form()
				if c.change != nil {
					c.change(fields)
				}
				fields.Set("action", "connect")
				b.send(b.post(w.site.URL+page, fields, c.site, c.origin)).wantRefused(c.status, c.reason)
			}
			if w.called(connectPath) != 0 {
				t.Error("a connection was begun")
			}
			w.wantState(alice, link, Pending)
		})
	}
}

func TestOriginCountsWhereSecFetchSiteIsAbsent(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	b := w.browser().open(w.link(w.alice(), calendar).URL)
	action, fields := b.form()
	b.send(b.post(action, fields, "", w.site.URL)).want(200, `name="password"`)
}

func TestAFormTokenIsGoodForItsPageBrowserAndTicketOnly(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	link, other := w.link(alice, calendar), w.link(alice, calendar)
	mine, theirs := w.browser().open(link.URL), w.browser().open(link.URL)
	_, theirFields := theirs.form()
	action, fields := mine.form()

	foreign := url.Values{"ticket": fields["ticket"], "form": theirFields["form"]}
	mine.send(mine.post(action, foreign, "same-origin", "")).wantRefused(403, "form_token")

	elsewhere := url.Values{"ticket": {ticketOf(other)}, "form": fields["form"]}
	mine.send(mine.post(action, elsewhere, "same-origin", "")).wantRefused(403, "form_token")

	mine.toConfirm(link)
	_, confirm := mine.form()
	mine.send(mine.post(w.site.URL+"/auth/confirm", url.Values{"flow": confirm["flow"], "form": fields["form"], "action": {"connect"}}, "same-origin", "")).wantRefused(403, "form_token")

	first, firstConfirm := confirm.Get("form"), confirm.Get("flow")
	mine.toConfirm(other)
	_, confirm = mine.form()
	mine.send(mine.post(w.site.URL+"/auth/confirm", url.Values{"flow": confirm["flow"], "form": {first}, "action": {"connect"}}, "same-origin", "")).wantRefused(403, "form_token")
	mine.send(mine.post(w.site.URL+"/auth/confirm", url.Values{"flow": {firstConfirm}, "form": {first}, "action": {"dance"}}, "same-origin", "")).wantRefused(400, "form_malformed")
	mine.send(mine.post(w.site.URL+"/auth/confirm", url.Values{"flow": {"../x"}, "form": {first}, "action": {"connect"}}, "same-origin", "")).wantRefused(400, "no_flow")
	if w.called(connectPath) != 0 {
		t.Error("a connection was begun")
	}
}

func TestAHugeOrMalformedBodyIs400(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	b := w.browser().open(w.link(w.alice(), calendar).URL)
	_, fields := b.form()
	fields.Set("more", strings.Repeat("x", maxForm))
	b.send(b.post(w.site.URL+"/auth/connect", fields, "same-origin", "")).wantRefused(400, "form_malformed")
	req := b.post(w.site.URL+"/auth/connect", nil, "same-origin", "")
	req.Body = io.NopCloser(strings.NewReader("a=%zz"))
	req.ContentLength = 5
	b.send(req).wantRefused(400, "form_malformed")
}

func TestLookingAtALinkStartsNothing(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	link := w.link(alice, calendar)
	for range 3 {
		for _, method := range []string{"GET", "HEAD"} {
			req, err := http.NewRequest(method, link.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			b := w.browser().send(req)
			if b.status != 200 || (method == "HEAD") != (b.body == "") {
				t.Errorf("%s answered %d with %d bytes", method, b.status, len(b.body))
			}
			for _, secret := range []string{"alice", "demo-agent"} {
				if strings.Contains(b.body, secret) {
					t.Errorf("the page names %s", secret)
				}
			}
			if len(b.flowCookies()) != 0 {
				t.Error("a flow has begun")
			}
		}
	}
	if n := len(w.tenant.Requests()); n != 1 { // the keys, to verify alice's token
		t.Errorf("Auth0 was asked %d times", n)
	}
	if kinds := w.log.kinds(); len(kinds) != 0 {
		t.Errorf("the operator was told %v", kinds)
	}
}

func TestOneBrowserHasFiveFlowsAtMost(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	link := w.link(w.alice(), calendar)
	b := w.browser()
	var states []string
	for i := range maxFlows + 2 {
		b.open(link.URL)
		b.stopAt("/authorize", "state")
		b.press("", "")
		states = append(states, b.held.URL.Query().Get("state"))
		b.before = nil
		if n := len(b.flowCookies()); n != min(i+1, maxFlows) {
			t.Fatalf("%d flow cookies after %d flows", n, i+1)
		}
	}
	for _, c := range b.flowCookies() {
		id := strings.TrimPrefix(c.Name, flowCookie)
		if strings.HasPrefix(states[0], id) || strings.HasPrefix(states[1], id) {
			t.Error("one of the oldest flows is left")
		}
	}
}

func TestWhatAuth0SaysIsForTheOperatorOnly(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	for _, c := range []struct {
		error  string
		status int
		kind   Kind
	}{{"access_denied", 403, Refused}, {"invalid_request", 502, Fault}, {"server_error", 502, Fault}} {
		link := w.link(alice, calendar)
		b := w.browser().open(link.URL)
		b.stopAt("/authorize", "state")
		b.press("", "")
		b.before = nil
		q := url.Values{"error": {c.error}, "error_description": {"canary <b>Client</b> is not authorized"}, "state": b.held.URL.Query()["state"]}
		b.open(w.site.URL+"/auth/callback?"+q.Encode()).wantRefused(c.status, "sign_in_error")
		if strings.Contains(b.body, "canary") {
			t.Error("the description is on the page")
		}
		if e := w.log.last(); e.Kind != c.kind || e.Subject != "" || !strings.Contains(e.Err.Error(), "canary") {
			t.Errorf("the operator was told %+v", e)
		}
		w.wantState(alice, link, Pending) // nobody has signed in
		if len(b.flowCookies()) != 0 {
			t.Error("the flow's cookie is left")
		}
	}
}

func TestAnErrorInTheConnectLegFailsTheTicket(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	link := w.link(alice, calendar)
	b := w.browser().toConsent(link)
	b.stopAt("/auth/callback", "connect_code")
	b.consent("allow")
	b.before = nil
	q := url.Values{"error": {"server_error"}, "error_description": {"canary"}, "state": b.held.URL.Query()["state"]}
	b.open(w.site.URL+"/auth/callback?"+q.Encode()).wantRefused(502, "connect_error")
	if e := w.log.last(); e.Kind != FailedToConnect || e.Subject != "auth0|alice" || strings.Contains(b.body, "canary") {
		t.Errorf("the operator was told %+v", e)
	}
	w.wantState(alice, link, Failed)
	w.wantNotConnected()
}

func TestAuth0sFailuresAre502(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	defer w.in(t)
	t.Run("sign-in", func(t *testing.T) {
		w.in(t)
		for reason, fault := range map[string]auth0test.Fault{
			"no_token":        {Path: "/oauth/token", Status: new(0)},
			"token_endpoint":  {Path: "/oauth/token", Status: new(401), Body: `{"error":"access_denied","error_description":"Unauthorized"}`},
			"malformed":       {Path: "/oauth/token", Status: new(200), Body: `{"access_token":"x","token_type":"Bearer","id_token":"x"}`},
			"token_size":      {Path: "/oauth/token", Status: new(200), Body: `{"access_token":"x","token_type":"Bearer"}`},
			"wrong_algorithm": {Path: "/oauth/token", Status: new(200), Body: `{"access_token":"x","id_token":"eyJhbGciOiJub25lIn0.e30."}`},
		} {
			alice := w.alice()
			link := w.link(alice, calendar)
			fault.Headers = map[string]string{"Content-Type": "application/json"}
			if err := w.tenant.AddFault(fault); err != nil {
				t.Fatal(err)
			}
			w.browser().toConfirm(link).wantRefused(502, reason)
			w.wantState(alice, link, Pending)
		}
	})
	t.Run("before consent", func(t *testing.T) {
		w.in(t)
		for _, c := range []struct {
			path, body, reason string
			status             int
		}{
			{accountsPath, `{"type":"https://auth0.com/api-errors/A0E-403-0002","title":"Insufficient Scope","detail":"d","status":403}`, "my_account_403", 403},
			{connectPath, `{"type":"https://auth0.com/api-errors/A0E-401-0003","title":"Invalid Token","detail":"d","status":401}`, "my_account_401", 401},
			{connectPath, `<html>`, "my_account_404", 404},
			{connectPath, `{}`, "invalid_response", 201},
			{connectPath, `{"auth_session":"s","auth_session":"t"}`, "invalid_response", 201},
			{connectPath, `{"auth_session":"s","connect_uri":"https://evil.example.com/","connect_params":{"ticket":"t"},"expires_in":300}`, "connect_uri", 201},
		} {
			alice := w.alice()
			link := w.link(alice, calendar)
			b := w.browser().toConfirm(link)
			if err := w.tenant.AddFault(auth0test.Fault{Path: c.path, Status: &c.status, Body: c.body}); err != nil {
				t.Fatal(err)
			}
			b.press("action", "connect").wantRefused(502, c.reason)
			if w.log.last().Kind != Fault {
				t.Errorf("the operator was told %+v", w.log.last())
			}
			w.wantState(alice, link, Pending)
			w.wantNotConnected()
		}
	})
	t.Run("after consent", func(t *testing.T) {
		w.in(t)
		alice := w.alice()
		link := w.link(alice, calendar)
		b := w.browser().toConsent(link)
		if err := w.tenant.AddFault(auth0test.Fault{Path: completePath, Status: new(404), Body: `{"type":"https://auth0.com/api-errors/A0E-404-0001","title":"Not Found","detail":"Invalid or expired session","status":404}`}); err != nil {
			t.Fatal(err)
		}
		b.consent("allow").wantRefused(502, "my_account_404")
		if e := w.log.last(); e.Kind != FailedToConnect || !strings.Contains(e.Err.Error(), "A0E-404-0001: Not Found: Invalid or expired session") {
			t.Errorf("the operator was told %+v", e)
		}
		w.wantState(alice, link, Failed)
	})
	t.Run("it has been asked too much", func(t *testing.T) {
		w.in(t)
		alice := w.alice()
		link := w.link(alice, calendar)
		b := w.browser().toConfirm(link)
		if err := w.tenant.AddFault(auth0test.Fault{Path: connectPath, Status: new(429)}); err != nil {
			t.Fatal(err)
		}
		b.press("action", "connect").wantRefused(502, "too_many_requests")
		w.wantState(alice, link, Pending)
		w.wantNotConnected()
	})
}

func TestALongTokenTakesSeveralCookies(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	b := w.browser().toConfirm(w.link(w.alice(), calendar))
	action, fields := b.form()
	at, _ := url.Parse(w.site.URL)
	r := b.post(action, fields, "same-origin", "")
	for _, c := range b.jar.Cookies(at) {
		r.AddCookie(c)
	}
	s, _, err := w.flow.flowOf(r, fields.Get("flow"), forConfirm)
	if err != nil {
		t.Fatal(err)
	}
	long := *s
	long.IDToken = strings.Repeat(rand.Text(), 150)
	cookies, err := w.flow.keep(r, forConfirm, &long)
	if err != nil || len(cookies) != 2 {
		t.Fatalf("%d cookies, %v", len(cookies), err)
	}
	b.jar.SetCookies(at, cookies)
	b.press("action", "connect").consent("allow").want(200, "is connected")

	long.IDToken = strings.Repeat(rand.Text(), 600)
	if _, err := w.flow.keep(r, forConfirm, &long); err == nil {
		t.Error("what is too long was kept")
	}
	if _, err := w.flow.Link(t.Context(), w.alice(), vault.Request{Connection: "x", Scopes: []string{strings.Repeat("s", maxTicket)}}); err == nil {
		t.Error("the link was made")
	}
}

func TestSigningOutEndsFlowsToo(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	b := w.browser().toConfirm(w.link(w.alice(), calendar)).want(200, "alice@example.com")
	confirm := b.at.String()
	b.toAccounts("alice").press("action", "sign_out").want(200, "signed out here")
	if b.open(confirm).want(400, "open the link again"); strings.Contains(b.body, "alice") || len(b.flowCookies()) != 0 {
		t.Error("the next person can go on with it")
	}
}

func TestALongListOfScopesCostsNothing(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, offering)
	for name, list := range map[string]string{
		"repeated":           strings.Repeat("&scopes="+calendarScope, 100),
		"repeated, too long": strings.Repeat("&scopes=a", 100_000),
		"commas":             "&scopes=" + strings.Repeat("a,", 3000),
	} {
		start := time.Now()
		b := w.browser().open(w.site.URL + "/auth/connect?connection=google-oauth2" + list)
		if took := time.Since(start); b.status != 200 && b.status != 400 && b.status != 431 || took > time.Second {
			t.Errorf("%s: %d after %s", name, b.status, took)
		}
	}
}
