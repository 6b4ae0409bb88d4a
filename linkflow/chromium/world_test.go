package chromium

import (
	"bytes"
	"context"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const (
	agent         = "demo-agent"
	audience      = "https://agents.example.com/"
	connectPath   = "/me/v1/connected-accounts/connect"
	completePath  = "/me/v1/connected-accounts/complete"
	calendarScope = "https://www.googleapis.com/auth/calendar.readonly"
)

// service is a provider that accounts are connected at.
type service struct {
	name    string
	request vault.Request
	consent where // the stand-in's page
}

var (
	google = service{
		"Google",
		vault.Request{Connection: "google-oauth2", Scopes: []string{calendarScope}},
		where{"/o/oauth2/v2/auth", "Google"},
	}
	github = service{
		"GitHub",
		vault.Request{Connection: "github", Scopes: []string{"read:user", "repo"}},
		where{"/login/oauth/authorize", "GitHub"},
	}
	services = []service{google, github}
)

// offered is a linkflow.Config.Offers.
func offered(connection string) ([]string, bool) {
	for _, s := range services {
		if s.request.Connection == connection {
			return s.request.Scopes, true
		}
	}
	return nil, false
}

// world is a tenant, link pages for it on an origin with https, an application
// on another origin that may be returned to, and what the operator is told.
type world struct {
	*testing.T
	tenant *auth0test.Server
	vault  *vault.Client
	config linkflow.Config
	flow   *linkflow.Flow
	site   *httptest.Server
	app    *httptest.Server
	seen   *recorder
	events *eventLog
}

// newWorld starts everything. change may change what it is made of.
func newWorld(t *testing.T, change ...func(*auth0test.Config, *linkflow.Config)) *world {
	t.Helper()
	w := &world{T: t, site: newServer(nil), app: newServer(http.HandlerFunc(serveApp)), seen: &recorder{}, events: &eventLog{}}
	origin := "https://" + w.site.Listener.Addr().String()
	w.app.Start()
	t.Cleanup(w.app.Close)
	w.config = linkflow.Config{
		Tenant: "default", Origin: origin,
		ClientID: "link-pages", ClientSecret: vault.NewSecret("link-pages-secret"),
		Keys:        linkflow.StaticKeys(bytes.Repeat([]byte{7}, 32)),
		ReturnTo:    []string{w.app.URL},
		ClientNames: map[string]string{agent: "Calendar Assistant"},
		Offers:      offered,
		Hook:        w.events.add,
	}
	seeds := auth0test.Seeds()
	for i := range seeds.Clients {
		if seeds.Clients[i].ClientID == w.config.ClientID {
			seeds.Clients[i].Callbacks = []string{origin + "/auth/callback"}
			seeds.Clients[i].AllowedLogoutURLs = []string{origin + "/auth/accounts"}
		}
	}
	for _, c := range change {
		c(&seeds, &w.config)
	}
	w.tenant = auth0test.NewServer(seeds)
	t.Cleanup(w.tenant.Close)
	w.vault, w.flow = w.newFlow(nil)
	w.site.Config.Handler = w.seen.watch(w.flow)
	w.site.StartTLS()
	t.Cleanup(w.site.Close)
	t.Cleanup(w.flow.Close)
	return w
}

// newServer is a server that does not tell the test's log of browsers that hang
// up.
func newServer(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	return s
}

// newFlow makes link pages of the world's configuration, which reach the tenant over
// a network, or over the usual one. All that are made open what the others sealed.
func (w *world) newFlow(network http.RoundTripper) (*vault.Client, *linkflow.Flow) {
	w.Helper()
	client, err := vault.New(vault.Config{
		Domain: w.tenant.URL, Audience: audience, Transport: network,
		ClientID: "vault-exchange", ClientSecret: vault.NewSecret("vault-exchange-secret"),
	})
	if err != nil {
		w.Fatal(err)
	}
	cfg := w.config
	cfg.Vault = client
	flow, err := linkflow.New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	return client, flow
}

// in makes w report to a subtest, and forgets what happened before.
func (w *world) in(t *testing.T) *world {
	copied := *w
	copied.T = t
	w.tenant.ClearRequests()
	w.tenant.ClearFaults()
	w.events.clear()
	return &copied
}

// url is a URL of the link pages.
func (w *world) url(path string) string { return w.site.URL + path }

// caller is alice's access token, as her agent has it.
func (w *world) caller() *vault.AccessToken { return w.callerWith(nil) }

// callerWith is caller with more claims.
func (w *world) callerWith(claims map[string]any) *vault.AccessToken {
	w.Helper()
	tokens, err := w.tenant.IssueToken(auth0test.TokenRequest{User: "auth0|alice", ClientID: agent, Audience: audience, Claims: claims})
	if err != nil {
		w.Fatal(err)
	}
	caller, err := w.vault.Verify(w.Context(), tokens.AccessToken)
	if err != nil {
		w.Fatal(err)
	}
	return caller
}

// link is what alice's agent hands to her.
func (w *world) link(request vault.Request) *linkflow.Link {
	w.Helper()
	link, err := w.flow.Link(w.Context(), w.caller(), request)
	if err != nil {
		w.Fatal(err)
	}
	return link
}

// wantState checks what the agent is told.
func (w *world) wantState(link *linkflow.Link, want linkflow.State) {
	w.Helper()
	_, ticket, _ := strings.Cut(link.URL, "?ticket=")
	status, err := w.flow.Status(w.Context(), w.caller(), ticket, 0)
	if err != nil || status.State != want {
		w.Errorf("the agent is told %q (%v), want %q", status.State, err, want)
	}
}

// connect connects an account of alice's without a browser. An empty account is
// the one that she has there.
func (w *world) connect(s service, account string) {
	w.Helper()
	if err := w.tenant.Connect("auth0|alice", s.request.Connection, s.request.Scopes, account); err != nil {
		w.Fatal(err)
	}
}

func (w *world) fault(f auth0test.Fault) {
	w.Helper()
	if err := w.tenant.AddFault(f); err != nil {
		w.Fatal(err)
	}
}

// asked counts the tenant's requests of a method at paths that begin so.
func (w *world) asked(method, prefix string) int {
	n := 0
	for _, r := range w.tenant.Requests() {
		if r.Method == method && strings.HasPrefix(r.Path, prefix) {
			n++
		}
	}
	return n
}

// wantNothingBegun checks that nobody went to a provider.
func (w *world) wantNothingBegun() {
	w.Helper()
	if n := w.asked("POST", connectPath); n != 0 {
		w.Errorf("a connection was begun %d times", n)
	}
}

// wantCompleted checks how many accounts were connected in a browser.
func (w *world) wantCompleted(want int) {
	w.Helper()
	if n := w.asked("POST", completePath); n != want {
		w.Errorf("%d accounts were connected, want %d", n, want)
	}
}

// eventLog is what the operator is told.
type eventLog struct {
	mu   sync.Mutex
	list []linkflow.Event
}

func (l *eventLog) add(_ context.Context, e linkflow.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, e)
}

func (l *eventLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}

// kinds are the events in order, without those of the kinds in but.
func (l *eventLog) kinds(but ...linkflow.Kind) []linkflow.Kind {
	l.mu.Lock()
	defer l.mu.Unlock()
	var kinds []linkflow.Kind
	for _, e := range l.list {
		if !slices.Contains(but, e.Kind) {
			kinds = append(kinds, e.Kind)
		}
	}
	return kinds
}

func (l *eventLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var text strings.Builder
	for _, e := range l.list {
		text.WriteString(string(e.Kind) + " " + e.Reason + "; ")
	}
	return text.String()
}

// recorder is what browsers asked the link pages for.
type recorder struct {
	mu       sync.Mutex
	requests []seen
	html     []byte // the last page that was sent
}

// seen is one request, and where the browser said that it came from.
type seen struct{ method, url, site string }

func (rec *recorder) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		copied := &copyWriter{ResponseWriter: w}
		next.ServeHTTP(copied, r)
		rec.mu.Lock()
		defer rec.mu.Unlock()
		rec.requests = append(rec.requests, seen{r.Method, r.URL.String(), r.Header.Get("Sec-Fetch-Site")})
		if strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			rec.html = copied.body.Bytes()
		}
	})
}

type copyWriter struct {
	http.ResponseWriter
	body bytes.Buffer
}

// Write implements http.ResponseWriter.
func (w *copyWriter) Write(p []byte) (int, error) {
	w.body.Write(p)
	return w.ResponseWriter.Write(p)
}

// page is the last HTML page, byte for byte.
func (rec *recorder) page() []byte {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	return rec.html
}

// last returns the last URL that was asked for below a path.
func (rec *recorder) last(path string) string {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	for _, r := range slices.Backward(rec.requests) {
		if strings.HasPrefix(r.url, path) {
			return r.url
		}
	}
	return ""
}

// foreign counts the requests of a method that other sites caused.
func (rec *recorder) foreign(method string) int {
	rec.mu.Lock()
	defer rec.mu.Unlock()
	n := 0
	for _, r := range rec.requests {
		if r.method == method && (r.site == "cross-site" || r.site == "same-site") {
			n++
		}
	}
	return n
}

// eventually waits for a condition.
func (w *world) eventually(what string, ok func() bool) {
	w.Helper()
	for start := time.Now(); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Since(start) > patience {
			w.Fatal("this did not happen: " + what)
		}
	}
}
