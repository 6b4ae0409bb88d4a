package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test/browser"
)

// From the first 401 over the person's browser to the first 200, and the status
// that the agent asks for meanwhile.

// refused makes a call that needs a link.
func (p *proxy) refused(path, token string) *reply {
	p.t.Helper()
	got := p.get(path, token)
	if got.Status != 401 || got.problem(p.t)["link_url"] == nil {
		p.t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	return got
}

// status asks what became of a refused call's link.
func (p *proxy) status(refused *reply, token, more string) *reply {
	p.t.Helper()
	return p.get(strings.TrimPrefix(refused.text(p.t, "status_url"), p.URL)+more, token)
}

func (p *proxy) wantStatus(got *reply, want string) {
	p.t.Helper()
	var body map[string]string
	if err := json.Unmarshal([]byte(got.Body), &body); err != nil || got.Status != 200 {
		p.t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	if body["status"] != want || body["connection"] != google || len(body) != 2 {
		p.t.Errorf("body %s, want %s", got.Body, want)
	}
	if got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("Content-Type") != "application/json" {
		p.t.Errorf("header %v", got.Header)
	}
}

// The pages are where their links lead, whatever the site makes of their path.
func TestThePagesWorkBelowHandlePath(t *testing.T) {
	for what, pages := range map[string]string{
		"handle_path":           "handle_path /auth/* {\n token_vault_link\n respond elsewhere\n }",
		"handle_path of a part": "handle_path /au* {\n token_vault_link\n respond elsewhere\n }",
		"another query":         "handle /auth/* {\n uri query -ticket\n uri strip_prefix /auth\n token_vault_link\n respond elsewhere\n }",
		"rewritten to them":     "rewrite /pages/* /auth{http.request.uri}\n uri /auth/* replace /auth/pages /auth\n token_vault_link",
	} {
		t.Run(what, func(t *testing.T) {
			p := startProxy(t, pages+"\nhandle {"+calendarRoute+"}")
			token := p.token(alice)
			refused := p.refused("/", token)
			p.wantStatus(p.status(refused, token, ""), "pending")
			if page := p.walk(refused.text(t, "link_url"), "alice"); page.Status != 200 {
				t.Fatalf("status %d, page %s", page.Status, page.Body)
			}
			p.wantStatus(p.status(refused, token, ""), "completed")
			if got := p.get("/auth/accounts", ""); got.Status != 200 || !strings.Contains(got.Body, "<form") {
				t.Errorf("accounts: status %d, page %s", got.Status, got.Body)
			}
			if what == "rewritten to them" {
				if got := p.get("/pages/accounts", ""); got.Status != 200 || !strings.Contains(got.Body, "<form") {
					t.Errorf("accounts under another path: status %d, page %s", got.Status, got.Body)
				}
			}
			p.eventually("the log of the last page", func() bool { return strings.Count(p.Log.String(), `"handled request"`) > 5 })
			for line := range strings.Lines(p.Log.String()) { // at DEBUG, Caddy's rewrite logs each URL
				if strings.Contains(line, "http.log.access") && strings.Contains(line, "callback?") {
					t.Errorf("the access log has %s", line)
				}
			}
		})
	}
}

// Caddy's matchers take paths for ours that are not: they ignore case and clean.
func TestWhatCaddyTakesForAPageOfOursIsOneOr404AndLeavesNoCode(t *testing.T) {
	for what, pages := range map[string]string{
		"handle_path": "handle_path /auth/* {\n token_vault_link\n }",
		"handle":      "handle /auth/* {\n token_vault_link\n }",
		"its own":     "token_vault_link",
	} {
		t.Run(what, func(t *testing.T) {
			p := startProxy(t, pages+"\nhandle {\n respond elsewhere\n }")
			const code = "c0de-of-a-callback"
			for _, path := range []string{
				"/AUTH/accounts", "/Auth/", "/x/../auth/accounts", "//auth/accounts", "/auth//accounts", "/%41uth/connect", "/auth/x/../accounts", "/Auth/status",
				"/Auth/callback?code=" + code, "/auth/Callback?code=" + code, "/auth/callback/?code=" + code, "/x/../auth/callback?code=" + code, "/auth//callback?code=" + code,
			} {
				if got := p.get(path, ""); got.Status != 404 || !strings.Contains(got.Body, "Page not found") {
					t.Errorf("%s: status %d, body %s", path, got.Status, got.Body)
				}
			}
			if got := p.get("/authx/end", ""); got.Body != "elsewhere" {
				t.Errorf("another path: status %d, body %s", got.Status, got.Body)
			}
			p.logLine("/authx/end")
			for line := range strings.Lines(p.Log.String()) { // at DEBUG, Caddy's rewrite logs each URL
				if strings.Contains(line, "http.log.access") && strings.Contains(line, code) {
					t.Errorf("the access log has %s", line)
				}
			}
		})
	}
}

func TestAfterLinkingTheNextCallGoesThrough(t *testing.T) {
	p := startProxy(t, calendarSite)
	token := p.token(alice)
	refused := p.refused("/calendar", token)
	p.wantStatus(p.status(refused, token, ""), "pending")

	if page := p.walk(refused.text(t, "link_url"), "alice"); page.Status != 200 {
		t.Fatalf("status %d, page %s", page.Status, page.Body)
	}
	if got := p.get("/calendar", token); got.Status != 200 {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
	p.wantStatus(p.status(refused, token, ""), "completed")
}

// No answer of Google's has offline_access or Google's short names.
func TestScopesThatNoAnswerNamesSoSendNobodyAround(t *testing.T) {
	p := startProxy(t, strings.Replace(calendarSite, "scopes ", "scopes offline_access email ", 1))
	token := p.token(alice)
	refused := p.refused("/calendar", token)
	if wanted, missing := refused.problem(t)["scopes"], refused.problem(t)["missing_scopes"]; fmt.Sprint(wanted) != fmt.Sprint(missing) ||
		!strings.Contains(fmt.Sprint(wanted), "offline_access") {
		t.Errorf("asks for %v of %v", missing, wanted)
	}
	page := p.walk(refused.text(t, "link_url"), "alice")
	if page.Status != 200 || !strings.Contains(page.Body, "is connected") || strings.Contains(page.Body, "missing") {
		t.Fatalf("status %d, page %s", page.Status, page.Body)
	}
	p.wantStatus(p.status(refused, token, ""), "completed")
	if got := p.get("/calendar", token); got.Status != 200 {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
}

func TestLinkingHelpsTheUsersOtherAgentsAtOnce(t *testing.T) {
	p := startProxy(t, strings.Replace(calendarSite, "{\n", "{\n allow_clients *\n", 1))
	other := p.token(alice, func(r *auth0test.TokenRequest) { r.ClientID = "other-agent" })
	refused := p.refused("/", p.token(alice))
	_ = p.refused("/", other)
	_ = p.walk(refused.text(t, "link_url"), "alice")
	if got := p.get("/", other); got.Status != 200 {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
}

func TestLinkedElsewhereGoesThroughWithinTwoSeconds(t *testing.T) {
	p := startProxy(t, calendarSite)
	token := p.token(alice)
	_ = p.refused("/", token)
	p.connect(alice, google, calendar)
	start := time.Now()
	p.eventually("a call that goes through", func() bool { return p.get("/", token).Status == 200 })
	if took := time.Since(start); took > 2500*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

// A kept token with too little is asked for again before anybody is sent away.
func TestMoreGrantedElsewhereGoesThroughWithinTwoSeconds(t *testing.T) {
	p := newProxy(t)
	p.load(calendarSite)
	p.connect(alice, google, gmail)
	token := p.token(alice)
	if got := p.get("/", token); got.code() != "scope_required" {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	p.connect(alice, google, gmail, calendar)
	start := time.Now()
	p.eventually("a call that goes through", func() bool { return p.get("/", token).Status == 200 })
	if took := time.Since(start); took > 2500*time.Millisecond {
		t.Errorf("took %v", took)
	}
}

func TestRelinkingAsksForTheUnionAndHelpsAtOnce(t *testing.T) {
	p := startProxy(t, `token_vault_link
	handle /gmail {
		token_vault google-oauth2 {
			scopes `+gmail+`
		}
		reverse_proxy {upstream}
	}
	handle {
		token_vault google-oauth2 {
			scopes `+calendar+`
		}
		reverse_proxy {upstream}
	}`)
	p.connect(alice, google, gmail)
	token := p.token(alice)
	if got := p.get("/gmail", token); got.Status != 200 {
		t.Fatalf("status %d", got.Status)
	}
	refused := p.refused("/calendar", token)
	if refused.code() != "scope_required" {
		t.Fatalf("%s", refused.Body)
	}
	_ = p.walk(refused.text(t, "link_url"), "alice")
	for _, path := range []string{"/calendar", "/gmail"} {
		if got := p.get(path, token); got.Status != 200 {
			t.Errorf("%s: status %d, body %s", path, got.Status, got.Body)
		}
	}
}

func TestRelinkingARevokedGrant(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.connect(alice, google, calendar)
	if err := p.Tenant.Revoke(alice, google); err != nil {
		t.Fatal(err)
	}
	token := p.token(alice)
	refused := p.refused("/", token)
	if refused.code() != "relink_required" {
		t.Fatalf("%s", refused.Body)
	}
	_ = p.walk(refused.text(t, "link_url"), "alice")
	if got := p.get("/", token); got.Status != 200 {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
}

func TestAnUpstreams401DropsTheTokenOnceAMinute(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.connect(alice, google, calendar)
	p.connect(bob, google, calendar)
	p.Upstream.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(401) })
	for range 5 {
		if got := p.get("/", p.token(alice)); got.Status != 401 || got.code() != "" {
			t.Fatalf("status %d, header %v", got.Status, got.Header)
		}
	}
	if n := p.exchanges(); n != 2 {
		t.Errorf("%d exchanges, want the first and one after the 401", n)
	}
	for range 2 {
		_ = p.get("/", p.token(bob))
	}
	if n := p.exchanges(); n != 4 {
		t.Errorf("%d exchanges: bob's token is another entry", n)
	}
}

func TestStatusesThroughCaddy(t *testing.T) {
	p := startProxy(t, calendarSite)
	token := p.token(alice)
	declined := p.refused("/", token)
	if page := p.steps(declined.text(t, "link_url"), "alice", "decline", ""); page.Status != 200 {
		t.Fatalf("status %d", page.Status)
	}
	p.wantStatus(p.status(declined, token, ""), "declined")
	refused := p.refused("/", token)
	p.wantStatus(p.status(refused, token, "&wait=0"), "pending")
	p.connect(alice, google, calendar)
	p.eventually("completed", func() bool { return strings.Contains(p.status(refused, token, "&wait=1").Body, "completed") })
	p.wantStatus(p.status(refused, token, ""), "completed")
	if got := p.get(strings.TrimPrefix(refused.text(t, "status_url"), p.URL), token, func(r *http.Request) { r.Method = http.MethodHead }); got.Status != 200 || got.Body != "" {
		t.Errorf("HEAD: status %d, body %s", got.Status, got.Body)
	}
}

func TestAWaitingAgentLearnsSoon(t *testing.T) {
	p := startProxy(t, calendarSite)
	token := p.token(alice)
	refused := p.refused("/", token)
	got := make(chan *reply, 1)
	go func() { got <- p.status(refused, token, "&wait=55") }()
	_ = p.walk(refused.text(t, "link_url"), "alice")
	linked := time.Now()
	select {
	case reply := <-got:
		p.wantStatus(reply, "completed")
		if took := time.Since(linked); took > 100*time.Millisecond {
			t.Errorf("told after %v", took)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the agent still waits")
	}
}

// A third wait for a link is answered at once, and told when to ask again.
func TestAWaitTooManyIsAnsweredAtOnce(t *testing.T) {
	p := startProxy(t, calendarSite)
	token := p.token(alice)
	refused := p.refused("/", token)
	answers := make(chan *reply)
	for range 3 {
		go func() { answers <- p.status(refused, token, "&wait=3") }()
	}
	start := time.Now()
	for i, retryAfter := range []string{"5", "", ""} {
		got := <-answers
		p.wantStatus(got, "pending")
		if took := time.Since(start); got.Header.Get("Retry-After") != retryAfter || (took < 2*time.Second) != (i == 0) {
			t.Errorf("answer %d after %v, Retry-After %q", i, took, got.Header.Get("Retry-After"))
		}
	}
}

func TestAWaitEndsWhenItSays(t *testing.T) {
	p := startProxy(t, calendarSite)
	token := p.token(alice)
	refused := p.refused("/", token)
	start := time.Now()
	p.wantStatus(p.status(refused, token, "&wait=1"), "pending")
	if took := time.Since(start); took < 900*time.Millisecond || took > 4*time.Second {
		t.Errorf("waited %v", took)
	}
}

func TestATicketThatIsNotYoursIsNoTicket(t *testing.T) {
	p := startProxy(t, strings.Replace(calendarSite, "{\n", "{\n allow_clients *\n", 1))
	token := p.token(alice)
	refused := p.refused("/", token)
	path := strings.TrimPrefix(refused.text(t, "status_url"), p.URL)
	tampered := []byte(path)
	tampered[len(tampered)-5] ^= 1
	answers := map[string]string{}
	for name, c := range map[string]struct{ path, token string }{
		"another user":         {path, p.token(bob)},
		"another agent":        {path, p.token(alice, func(r *auth0test.TokenRequest) { r.ClientID = "other-agent" })},
		"another organization": {path, p.token(alice, claim("org_id", "org_example"))},
		"a machine":            {path, p.token("")},
		"tampered":             {string(tampered), token},
		"unknown":              {"/auth/status?ticket=abc", token},
		"none":                 {"/auth/status", token},
		"waiting":              {path + "&wait=30", p.token(bob)},
	} {
		got := p.get(c.path, c.token)
		if got.Status != 404 || got.code() != "ticket_not_found" || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d, header %v", name, got.Status, got.Header)
		}
		got.Header.Del("Date")
		answers[got.Body+fmt.Sprint(got.Header)] = name
	}
	if len(answers) != 1 {
		t.Errorf("%d different answers: %v", len(answers), answers)
	}
}

func TestTheStatusWantsCredentialsAndANumber(t *testing.T) {
	p := startProxy(t, calendarSite)
	token := p.token(alice)
	refused := p.refused("/", token)
	for _, c := range []struct {
		more, token string
		status      int
		code        string
	}{
		{"", "", 401, "no_credentials"},
		{"", p.token(alice, expired), 401, "invalid_token"},
		{"", p.token(alice, header("jku", "https://elsewhere.example.com/keys")), 401, "invalid_token"},
		{"", p.token(alice, header("x", [][]string{{}})), 401, "invalid_token"},
		{"&access_token=x", token, 400, "invalid_request"},
		{"&wait=soon", token, 400, "invalid_request"},
		{"&wait=-1", token, 400, "invalid_request"},
		{"&wait=1.5", token, 400, "invalid_request"},
		{"&wait=99999999999999999999", token, 400, "invalid_request"},
	} {
		got := p.status(refused, c.token, c.more)
		if got.Status != c.status || got.code() != c.code || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%q: status %d, header %v", c.more, got.Status, got.Header)
		}
		checkMembers(t, got.problem(t), c.status, c.code)
		checkNoSecrets(t, got, token)
	}
	if got := p.get("/auth/status", token, func(r *http.Request) { r.Method = http.MethodPost }); got.Status != 405 || got.Header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: status %d, header %v", got.Status, got.Header)
	}
}

// A parameter that is wrong is not a credential that is wrong.
func TestARefusedWaitSpeaksOfTheWait(t *testing.T) {
	p := startProxy(t, calendarSite)
	token := p.token(alice)
	got := p.status(p.refused("/", token), token, "&wait=soon")
	if detail := got.text(t, "detail"); !strings.Contains(detail, "wait") {
		t.Errorf("detail %q", detail)
	}
}

func TestTheCallbackLeavesOneLineAndNoURL(t *testing.T) {
	for via, way := range map[string]struct {
		walk   func(p *proxy, link string)
		events map[string]int
		last   string
	}{
		"connected_accounts": {
			func(p *proxy, link string) { _ = p.walk(link, "alice") },
			map[string]int{"started": 1, "signed_in": 1, "confirmed": 1, "linked": 1},
			"linked",
		},
		"management": {
			func(p *proxy, link string) {
				visitor := p.linkAsAlice(link, "merge")
				visitor.submit(url.Values{"action": {"connect"}})
				visitor.submit(url.Values{"username": {"alice@example.com"}, "password": {"alice-password"}})
				visitor.connect()
				visitor.unlink()
			},
			map[string]int{"signed_in": 4, "confirmed": 1, "linked": 1, "merged": 1, "separated": 1},
			"separated",
		},
	} {
		t.Run(via, func(t *testing.T) {
			p := newProxy(t, withLinking)
			p.via(via)
			p.load(calendarSite)
			link := p.refused("/", p.token(alice)).text(t, "link_url")
			codes := p.codes(func() { way.walk(p, link) })
			p.logLine(`"link ` + way.last + `"`)
			text := p.Log.String()
			if got := strings.Count(text, `"link signed_in"`) + strings.Count(text, `"link linked"`); got != len(codes) || got < 2 {
				t.Errorf("%d callbacks left %d lines", len(codes), got)
			}
			for event, want := range way.events {
				if n := strings.Count(text, `"link `+event+`"`); n != want {
					t.Errorf("%d lines %s", n, event)
				}
			}
			wantNoTrace(t, text, codes)
		})
	}
}

// wantNoTrace: neither a code nor where the flow went.
func wantNoTrace(t *testing.T, text string, codes []string) {
	t.Helper()
	for _, trace := range append(codes, "/auth/callback", "code_challenge", "/connected-accounts/connect?") {
		if strings.Contains(text, trace) {
			t.Errorf("the log holds %s: %s", trace, lineWith(text, trace))
		}
	}
}

// Operators read these lines below each other.
func TestLinesOfTheLogNameThingsInOneOrder(t *testing.T) {
	p := startProxy(t, calendarSite)
	_ = p.walk(p.refused("/", p.token(alice)).text(t, "link_url"), "alice")
	p.logLine(`"link linked"`)
	if line := p.logLine(`"refused"`); line["client_ip"] != "127.0.0.1" || line["user_id"] != alice || line["client_id"] != agentID {
		t.Errorf("%v", line)
	}
	ordered := regexp.MustCompile(`"msg":"link \w+","tenant":"default","id":"\w+","connection":"[^"]+","client_id":"[^"]+"(,"user_id":"[^"]+")?}`)
	for line := range strings.Lines(p.Log.String()) {
		if strings.Contains(line, `"msg":"link `) && !ordered.MatchString(line) {
			t.Errorf("%s", line)
		}
	}
}

// codes returns the code and connect_code values that come through the browser on a
// walk.
func (p *proxy) codes(walk func()) []string {
	p.t.Helper()
	watch := &watcher{RoundTripper: http.DefaultTransport}
	http.DefaultTransport = watch
	walk()
	http.DefaultTransport = watch.RoundTripper
	var codes []string
	for _, callback := range watch.callbacks {
		codes = append(codes, callback.Query().Get("code")+callback.Query().Get("connect_code"))
	}
	return codes
}

// watcher sees where the browser passes through.
type watcher struct {
	http.RoundTripper
	callbacks []*url.URL
}

func (w *watcher) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasSuffix(r.URL.Path, "/auth/callback") {
		w.callbacks = append(w.callbacks, r.URL)
	}
	return w.RoundTripper.RoundTrip(r)
}

func TestCallbacksThatFailLeaveNoURLEither(t *testing.T) {
	p := startProxy(t, calendarSite)
	for _, query := range []string{"code=SECRETCODE&state=SECRETSTATE", "connect_code=SECRETCODE&state=SECRETSTATE", "error=access_denied&error_description=SECRETWORDS"} {
		for _, method := range []string{"GET", "HEAD", "POST"} {
			want := http.StatusMethodNotAllowed
			if method == "GET" {
				want = http.StatusSeeOther
			}
			got := p.get("/auth/callback?"+query, "", func(r *http.Request) { r.Method = method })
			if location := got.Header.Get("Location"); got.Status != want || strings.Contains(location, "SECRET") {
				t.Errorf("%s: status %d, to %s", method, got.Status, location)
			}
		}
	}
	_ = p.get("/done", "")
	p.logLine(`"uri":"/done"`)
	if text := p.Log.String(); strings.Contains(text, "SECRET") || strings.Contains(text, "callback") {
		t.Errorf("log %s", text)
	}
}

func TestPagesAreServedUnderTheirPathOnly(t *testing.T) {
	p := newProxy(t)
	p.link = strings.Replace(linkBlock, "{\n", "{\n path /accounts/link\n", 1)
	p.load(calendarSite)
	token := p.token(alice)
	refused := p.refused("/", token)
	if !strings.HasPrefix(refused.text(t, "link_url"), p.URL+"/accounts/link/connect?ticket=") {
		t.Errorf("link_url %s", refused.text(t, "link_url"))
	}
	for path, want := range map[string]int{"/accounts/link/nothing": 404, "/auth/connect": 401, "/accounts/linker": 401, "/": 401} {
		if got := p.get(path, ""); got.Status != want {
			t.Errorf("%s: status %d", path, got.Status)
		}
	}
	p.wantStatus(p.status(refused, token, ""), "pending")
}

func TestTheLinkKeyIsMadeWhenFirstNeeded(t *testing.T) {
	p := newProxy(t)
	dir := t.TempDir()
	p.global = "storage file_system " + dir
	p.load(calendarSite)
	if files := filesIn(t, dir, "token_vault"); len(files) != 0 {
		t.Errorf("stored %v", files)
	}
	_ = p.refused("/", p.token(alice))
	if files := filesIn(t, dir, "token_vault"); !slices.Equal(files, []string{"token_vault/default/link.key"}) {
		t.Errorf("stored %v", files)
	}
}

func TestALinkOutlivesAReloadByTheStoredKey(t *testing.T) {
	p := startProxy(t, calendarSite)
	token := p.token(alice)
	refused := p.refused("/", token)
	p.load(calendarSite, "timeout 9s")
	p.wantStatus(p.status(refused, token, ""), "pending")
	_ = p.walk(refused.text(t, "link_url"), "alice")
	p.wantStatus(p.status(refused, token, ""), "completed")
}

func lineWith(text, part string) string {
	for line := range strings.Lines(text) {
		if strings.Contains(line, part) {
			return line
		}
	}
	return ""
}

func TestWhatIsDisconnectedIsForgottenForEveryAPI(t *testing.T) {
	p := newProxy(t, withSecondAPI)
	p.global = secondTenant(p, "second")
	p.load(`token_vault_link
	handle /first {
		token_vault google-oauth2
		reverse_proxy {upstream}
	}
	handle /second {
		token_vault google-oauth2 {
			tenant second
		}
		reverse_proxy {upstream}
	}`)
	p.connect(alice, google, calendar)
	first, second := p.token(alice), p.token(alice, func(r *auth0test.TokenRequest) { r.Audience = "https://second.example.com/" })
	want := func(status int) {
		t.Helper()
		if a, b := p.get("/first", first).Status, p.get("/second", second).Status; a != status || b != status {
			t.Errorf("status %d and %d, want %d", a, b, status)
		}
	}
	want(200)
	person := &person{proxy: p, browser: browser.New()}
	person.open(p.URL + "/auth/accounts")
	person.submit(url.Values{"action": {"sign_in"}})
	person.submit(url.Values{"username": {"alice@example.com"}, "password": {"alice-password"}})
	id := regexp.MustCompile(`disconnect=([A-Za-z0-9_]+)`).FindStringSubmatch(person.page.Body)
	person.open(p.URL + "/auth/accounts?disconnect=" + id[1])
	person.submit(url.Values{"action": {"disconnect"}})
	want(401)
}
