package linkflow

import (
	"bytes"
	"context"
	"html"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const (
	calendarScope = "https://www.googleapis.com/auth/calendar.readonly"
	connectPath   = "/me/v1/connected-accounts/connect"
	completePath  = "/me/v1/connected-accounts/complete"
	accountsPath  = "/me/v1/connected-accounts/accounts"
)

var (
	testKey  = bytes.Repeat([]byte{7}, keySize)
	calendar = vault.Request{Connection: "google-oauth2", Scopes: []string{calendarScope}}
)

// world is a tenant, link pages for it, and what an operator of both sees.
type world struct {
	*testing.T
	tenant *auth0test.Server
	vault  *vault.Client
	flow   *Flow
	site   *httptest.Server
	log    *log
}

// newWorld starts everything. change may change what the Flow is made of.
func newWorld(t *testing.T, settings auth0test.Settings, change func(*Config)) *world {
	t.Helper()
	return newTenantWorld(t, func(cfg *auth0test.Config) {
		settings.Organizations = cfg.Settings.Organizations
		cfg.Settings = settings
	}, change)
}

// newTenantWorld is newWorld for a tenant that differs in more than settings.
func newTenantWorld(t *testing.T, changeTenant func(*auth0test.Config), change func(*Config)) *world {
	t.Helper()
	site := httptest.NewUnstartedServer(nil)
	origin := "http://" + site.Listener.Addr().String()
	seeds := auth0test.Seeds()
	changeTenant(&seeds)
	for i := range seeds.Clients {
		if seeds.Clients[i].ClientID == "link-pages" {
			seeds.Clients[i].Callbacks = append(seeds.Clients[i].Callbacks, origin+"/auth/callback")
		}
	}
	w := &world{T: t, site: site, tenant: auth0test.NewServer(seeds), log: &log{}}
	t.Cleanup(w.tenant.Close)
	client, err := vault.New(vault.Config{
		Domain: w.tenant.URL, Audience: "https://agents.example.com/",
		ClientID: "vault-exchange", ClientSecret: vault.NewSecret("vault-exchange-secret"),
	})
	if err != nil {
		t.Fatal(err)
	}
	w.vault = client
	cfg := Config{
		Vault: client, Tenant: "default", Origin: origin,
		ClientID: "link-pages", ClientSecret: vault.NewSecret("link-pages-secret"),
		Keys: StaticKeys(testKey), Hook: w.log.hook,
	}
	if change != nil {
		change(&cfg)
	}
	if w.flow, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	site.Config.Handler = w.watched(w.flow)
	site.Start()
	t.Cleanup(site.Close)
	t.Cleanup(func() { w.log.check(t) })
	return w
}

// in makes w report to a subtest, and forgets what the tenant was asked.
func (w *world) in(t *testing.T) *world {
	w.T = t
	w.tenant.ClearRequests()
	return w
}

// caller is a verified access token that an agent got for user.
func (w *world) caller(user, agent string, claims map[string]any) *vault.AccessToken {
	w.Helper()
	tokens, err := w.tenant.IssueToken(auth0test.TokenRequest{User: user, ClientID: agent, Audience: "https://agents.example.com/", Claims: claims})
	if err != nil {
		w.Fatal(err)
	}
	caller, err := w.vault.Verify(w.Context(), tokens.AccessToken)
	if err != nil {
		w.Fatal(err)
	}
	return caller
}

func (w *world) alice() *vault.AccessToken { return w.caller("auth0|alice", "demo-agent", nil) }

func (w *world) link(caller *vault.AccessToken, req vault.Request) *Link {
	w.Helper()
	link, err := w.flow.Link(w.Context(), caller, req)
	if err != nil {
		w.Fatal(err)
	}
	w.log.secret(ticketOf(link))
	return link
}

func ticketOf(link *Link) string {
	_, text, _ := strings.Cut(link.URL, "?ticket=")
	return text
}

func (w *world) wantState(caller *vault.AccessToken, link *Link, want State) {
	w.Helper()
	status, err := w.flow.Status(w.Context(), caller, ticketOf(link), 0)
	if err != nil || status.State != want {
		w.Errorf("status is %q (%v), want %q", status.State, err, want)
	}
}

// called counts what the tenant was asked at a path.
func (w *world) called(path string) int {
	n := 0
	for _, r := range w.tenant.Requests() {
		if r.Path == path {
			n++
		}
	}
	return n
}

func (w *world) wantNotConnected() {
	w.Helper()
	if n := w.called(completePath); n != 0 {
		w.Errorf("complete was called %d times", n)
	}
}

// watched is flow with an eye on its callbacks, each of which leaves one event.
func (w *world) watched(flow *Flow) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var events atomic.Int32
		answered := &watchedAnswer{ResponseWriter: rw}
		flow.ServeHTTP(answered, r.WithContext(context.WithValue(r.Context(), eventsKey{}, &events)))
		if flow.Route(r.URL.Path) != RouteCallback || r.Method != http.MethodGet {
			return
		}
		if n := events.Load(); n != 1 {
			w.Errorf("%d events for one callback: %v", n, w.log.kinds())
		}
		if location := answered.Header().Get("Location"); answered.status != http.StatusSeeOther || strings.Contains(location, "/callback") {
			w.Errorf("a callback was answered %d, to %q: nothing is to be shown at its URL", answered.status, location)
		}
	})
}

type eventsKey struct{}

// watchedAnswer notes the status of an answer.
type watchedAnswer struct {
	http.ResponseWriter
	status int
}

func (a *watchedAnswer) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

// log is an operator's log, and what must not be in it.
type log struct {
	mu      sync.Mutex
	events  []Event
	secrets []string
}

func (l *log) hook(ctx context.Context, e Event) {
	if events, ok := ctx.Value(eventsKey{}).(*atomic.Int32); ok {
		events.Add(1)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.events = append(l.events, e)
}

func (l *log) secret(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(s) >= 12 {
		l.secrets = append(l.secrets, s)
	}
}

func (l *log) last() Event {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.events) == 0 {
		return Event{}
	}
	return l.events[len(l.events)-1]
}

func (l *log) kinds() []Kind {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kinds []Kind
	for _, e := range l.events {
		kinds = append(kinds, e.Kind)
	}
	return kinds
}

// check looks for secrets in the log.
func (l *log) check(t *testing.T) {
	for _, e := range l.events {
		text := string(e.Kind) + " " + e.Connection + " " + e.Agent + " " + e.Subject + " " + e.Reason
		if e.Err != nil {
			text += " " + e.Err.Error()
		}
		if vault.RepeatsSecret(text, l.secrets...) || strings.Contains(text, "://") {
			t.Errorf("an event holds a secret or a URL: %s", text)
		}
		if e.ID == "" {
			t.Errorf("event %s has no id", text)
		}
	}
}

// browser follows links, redirects and Refresh headers, keeps cookies and sends
// what browsers send with a POST.
type browser struct {
	*world
	client *http.Client
	jar    *cookiejar.Jar
	at     *url.URL
	status int
	header http.Header
	body   string

	// before is asked before each request; false stops the browser there.
	before func(*http.Request) bool
	held   *http.Request
	last   *url.URL // of a page of a flow
}

func (w *world) browser() *browser {
	jar, err := cookiejar.New(nil)
	if err != nil {
		w.Fatal(err)
	}
	return &browser{world: w, jar: jar, client: &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// open goes to a URL as by typing it.
func (b *browser) open(target string) *browser {
	b.Helper()
	req, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		b.Fatal(err)
	}
	return b.send(req)
}

func (b *browser) send(req *http.Request) *browser {
	b.Helper()
	for range 20 {
		if b.before != nil && !b.before(req) {
			b.held = req
			return b
		}
		b.get(req)
		onward := b.header.Get("Location")
		if req.Method == http.MethodPost && strings.HasPrefix(req.URL.String(), b.site.URL) && strings.Contains(onward, "://") {
			b.Errorf("browsers take the redirect of a form to %s for one that form-action forbids", onward)
		}
		if onward == "" {
			_, onward, _ = strings.Cut(b.header.Get("Refresh"), "url=")
		}
		if onward == "" {
			return b
		}
		next, err := b.at.Parse(onward)
		if err != nil {
			b.Fatal(err)
		}
		req, err = http.NewRequest(http.MethodGet, next.String(), nil)
		if err != nil {
			b.Fatal(err)
		}
	}
	b.Fatal("the browser goes round in circles")
	return nil
}

func (b *browser) get(req *http.Request) {
	b.Helper()
	for name, values := range req.URL.Query() {
		if slices.Contains([]string{"ticket", "code", "connect_code", "state", "id_token_hint"}, name) {
			b.log.secret(values[0])
		}
	}
	resp, err := b.client.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	b.at, b.status, b.header, b.body = req.URL, resp.StatusCode, resp.Header, string(body)
	if _, ours := strings.CutPrefix(req.URL.String(), b.site.URL); ours {
		b.checkPage()
		b.checkRoom()
	}
}

// checkRoom checks that the browser gets through to us with what it keeps.
func (b *browser) checkRoom() {
	b.Helper()
	at, _ := url.Parse(b.site.URL)
	size := 0
	for _, c := range b.jar.Cookies(at) {
		if IsCookie(c.Name) { // the tenant is on another port, for which jars have no eyes
			size += sizeOf(c.Name, c.Value)
		}
	}
	if size > 7000 {
		b.Errorf("after %s the browser keeps %d bytes of cookies", b.at.Path, size)
	}
}

// checkPage checks what every answer of ours has to have.
func (b *browser) checkPage() {
	b.Helper()
	for name, want := range map[string]string{
		"Content-Security-Policy": policy, "Referrer-Policy": "same-origin",
		"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store",
	} {
		if got := b.header.Get(name); got != want {
			b.Errorf("%s of %s is %q", name, b.at.Path, got)
		}
	}
	for _, r := range tagPattern.ReplaceAllString(b.body, "") {
		if !isVisible(r) && r != ' ' && r != '\n' && b.header.Get("Content-Type") == "text/html; charset=utf-8" {
			b.Errorf("%U is shown on %s", r, b.at.Path)
		}
	}
	if strings.Contains(b.body, "<script") || strings.Contains(b.body, "style=") {
		b.Errorf("script or inline style on %s", b.at.Path)
	}
}

var (
	formPattern   = regexp.MustCompile(`(?s)<form method="post" action="([^"]*)"`)
	hiddenPattern = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)
	optionPattern = regexp.MustCompile(`<option value="([^"]*)"`)
	tagPattern    = regexp.MustCompile(`(?s)<[^>]*>`)
	scopePattern  = regexp.MustCompile(`name="scope" value="([^"]*)"`)
)

// form returns where the page's form goes, and what is in it.
func (b *browser) form() (string, url.Values) {
	b.Helper()
	action := formPattern.FindStringSubmatch(b.body)
	if action == nil {
		b.Fatalf("no form on %s (%d):\n%s", b.at.Path, b.status, b.body)
	}
	fields := url.Values{}
	for _, m := range hiddenPattern.FindAllStringSubmatch(b.body, -1) {
		fields.Add(m[1], html.UnescapeString(m[2]))
	}
	target, err := b.at.Parse(html.UnescapeString(action[1]))
	if err != nil {
		b.Fatal(err)
	}
	return target.String(), fields
}

// submit sends the page's form with some fields filled in.
func (b *browser) submit(filled url.Values) *browser {
	b.Helper()
	action, fields := b.form()
	maps.Copy(fields, filled)
	return b.send(b.post(action, fields, "same-origin", b.at.Scheme+"://"+b.at.Host))
}

func (b *browser) post(target string, fields url.Values, site, origin string) *http.Request {
	b.Helper()
	req, err := http.NewRequest(http.MethodPost, target, strings.NewReader(fields.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if site != "" {
		req.Header.Set("Sec-Fetch-Site", site)
	}
	if origin != "" {
		req.Header.Set("Origin", origin)
	}
	return req
}

// press presses a button of our pages.
func (b *browser) press(name, value string) *browser {
	b.Helper()
	fields := url.Values{}
	if name != "" {
		fields.Set(name, value)
	}
	return b.submit(fields)
}

// signIn fills in Auth0's login form, unless Auth0 knows the browser already.
func (b *browser) signIn(user string) *browser {
	b.Helper()
	if !strings.Contains(b.body, `name="password"`) {
		return b
	}
	return b.submit(url.Values{"username": {user + "@example.com"}, "password": {user + "-password"}})
}

// consent answers the provider's consent page with what it offers.
func (b *browser) consent(action string) *browser {
	b.Helper()
	fields := url.Values{"action": {action}}
	if account := optionPattern.FindStringSubmatch(b.body); account != nil {
		fields.Set("account", account[1])
	}
	for _, m := range scopePattern.FindAllStringSubmatch(b.body, -1) {
		fields.Add("scope", html.UnescapeString(m[1]))
	}
	return b.submit(fields)
}

// toConfirm goes as far as our second page, as alice.
func (b *browser) toConfirm(link *Link) *browser {
	b.Helper()
	return b.open(link.URL).press("", "").signIn("alice")
}

// toConsent goes as far as the provider's page.
func (b *browser) toConsent(link *Link) *browser {
	b.Helper()
	return b.toConfirm(link).press("action", "connect").signIn("alice")
}

func (b *browser) want(status int, text string) *browser {
	b.Helper()
	if b.status != status || !strings.Contains(b.body, text) {
		b.Fatalf("%s answered %d, want %d with %q:\n%s", b.at.Path, b.status, status, text, b.body)
	}
	return b
}

// wantRefused is want for an error page whose id is in the operator's log.
func (b *browser) wantRefused(status int, reason string) *browser {
	b.Helper()
	e := b.log.last()
	if b.status != status || e.Reason != reason || !strings.Contains(b.body, e.ID) {
		b.Fatalf("%s answered %d and told %+v, want %d for %q:\n%s", b.at.Path, b.status, e, status, reason, b.body)
	}
	return b
}

// mustOpen opens what was sealed for a purpose.
func mustOpen[T expiring](w *world, p purpose, text string) T {
	w.Helper()
	content, err := open[T](w.Context(), w.flow.sealer, p, text)
	if err != nil {
		w.Fatal(err)
	}
	return content
}

// sealed is content sealed for a purpose.
func (w *world) sealed(p purpose, content expiring) string {
	w.Helper()
	text, err := seal(w.Context(), w.flow.sealer, p, content)
	if err != nil {
		w.Fatal(err)
	}
	return text
}

// titleOf is the title of a message.
func titleOf(m message) string {
	pages, err := loadPages(nil)
	if err != nil {
		panic(err)
	}
	return pages.texts[m.name+".title"]
}

// stopAt makes the browser stop before it goes to a path of ours with that
// parameter.
func (b *browser) stopAt(path, parameter string) {
	b.before = func(r *http.Request) bool {
		return r.URL.Path != path || !r.URL.Query().Has(parameter)
	}
}

// goOn lets the browser go where it was stopped.
func (b *browser) goOn() *browser {
	b.Helper()
	if b.held == nil {
		b.Fatalf("the browser was not stopped; it is at %s (%d)", b.at, b.status)
	}
	req := b.held
	b.before, b.held = nil, nil
	return b.send(req)
}

// flowCookies are our cookies in the browser's jar.
func (b *browser) flowCookies() []*http.Cookie {
	at, _ := url.Parse(b.site.URL)
	var ours []*http.Cookie
	for _, c := range b.jar.Cookies(at) {
		if strings.HasPrefix(c.Name, flowCookie) {
			ours = append(ours, c)
		}
	}
	return ours
}

func (b *browser) setCookie(c *http.Cookie) {
	at, _ := url.Parse(b.site.URL)
	b.jar.SetCookies(at, []*http.Cookie{{Name: c.Name, Value: c.Value, Path: "/"}})
}
