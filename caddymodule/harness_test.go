package caddymodule_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tokenvault/caddy-token-vault/caddymodule"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test/browser"
)

// Tests of this package run a real Caddy in this process, with the local tenant
// behind it. There is one Caddy to a process, so they do not run in parallel;
// none of them is skipped, whatever the flags.

const (
	alice      = "auth0|alice"
	bob        = "auth0|bob"
	agentID    = "demo-agent"
	audience   = "https://agents.example.com/"
	vaultGrant = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
	google     = "google-oauth2"
	calendar   = "https://www.googleapis.com/auth/calendar.readonly"
)

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "caddymodule-test-")
	if err != nil {
		log.Fatal(err)
	}
	caddy.DefaultStorage.Path = dir
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")
	if config := os.Getenv(configVariable); config != "" {
		runCaddy(config)
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// proxy is a running Caddy with its tenant, and an upstream that records what it
// gets.
type proxy struct {
	t        *testing.T
	URL      string // of the site
	Tenant   *auth0test.Server
	Upstream *upstream
	Log      *logBuffer // everything Caddy logs, at DEBUG
	global   string     // more global options
	link     string     // the tenant's link block; may be emptied before load
	port     int
}

const linkBlock = `link {
			origin {site}
			client link-pages {env.AUTH0_LINK_CLIENT_SECRET}
		}`

// startProxy runs Caddy with the given body of a site, in which {upstream},
// {google} and {github} stand for URLs, and the tenant block's extra lines.
func startProxy(t *testing.T, site string, tenantLines ...string) *proxy {
	t.Helper()
	p := newProxy(t)
	p.load(site, tenantLines...)
	return p
}

// newProxy makes everything but Caddy's configuration. change may change what
// the tenant is seeded with.
func newProxy(t *testing.T, change ...func(*auth0test.Config)) *proxy {
	t.Helper()
	p := &proxy{t: t, port: freePort(t), Upstream: newUpstream(t), Log: newLog(t), link: linkBlock}
	p.URL = fmt.Sprintf("http://127.0.0.1:%d", p.port)
	seeds := auth0test.Seeds()
	for i := range seeds.Clients {
		if seeds.Clients[i].ClientID == "link-pages" {
			seeds.Clients[i].Callbacks = append(seeds.Clients[i].Callbacks, p.URL+"/auth/callback")
		}
	}
	for _, c := range change {
		c(&seeds)
	}
	p.Tenant = auth0test.NewServer(seeds)
	t.Cleanup(p.Tenant.Close)
	t.Setenv("AUTH0_CLIENT_SECRET", secretOf(t, seeds, "vault-exchange"))
	t.Setenv("AUTH0_LINK_CLIENT_SECRET", secretOf(t, seeds, "link-pages"))
	t.Cleanup(func() { _ = caddy.Stop() })
	return p
}

// load (re)loads Caddy with a site.
func (p *proxy) load(site string, tenantLines ...string) {
	p.t.Helper()
	if err := p.tryLoad(p.caddyfile(site, tenantLines...)); err != nil {
		p.t.Fatal(err)
	}
}

func (p *proxy) tryLoad(caddyfile string) error {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	// The server of the configuration before ends these, and no client sends a
	// POST again that it wrote to one.
	defer noRedirects.CloseIdleConnections()
	return caddy.Load(config, true)
}

// caddyfile is a whole configuration around the body of a site.
func (p *proxy) caddyfile(site string, tenantLines ...string) string {
	return p.expand(fmt.Sprintf(`{
	admin off
	log {
		level DEBUG
		output net {log}
	}
	servers {
		protocols h1 h2c
	}
	token_vault {
		domain   {tenant}
		audience %s
		client   vault-exchange {env.AUTH0_CLIENT_SECRET}
		allow_clients %s
		%s
		%s
	}
	%s
}
{site} {
	bind 127.0.0.1
	log
	%s
}
`, audience, agentID, p.link, strings.Join(tenantLines, "\n\t\t"), p.global, site))
}

func (p *proxy) expand(text string) string {
	return strings.NewReplacer(
		"{site}", p.URL, "{tenant}", p.Tenant.URL, "{upstream}", p.Upstream.URL,
		"{google}", p.Tenant.GoogleURL, "{github}", p.Tenant.GitHubURL, "{log}", p.Log.address,
	).Replace(text)
}

// token returns an access token of the user for the demo agent.
func (p *proxy) token(user string, change ...func(*auth0test.TokenRequest)) string {
	p.t.Helper()
	req := auth0test.TokenRequest{User: user, ClientID: agentID, Audience: audience}
	for _, c := range change {
		c(&req)
	}
	tokens, err := p.Tenant.IssueToken(req)
	if err != nil {
		p.t.Fatal(err)
	}
	return tokens.AccessToken
}

// connect connects an account without a browser.
func (p *proxy) connect(user, connection string, scopes ...string) {
	p.t.Helper()
	if err := p.Tenant.Connect(user, connection, scopes, ""); err != nil {
		p.t.Fatal(err)
	}
}

// exchanges counts the exchanges that the tenant was asked for.
func (p *proxy) exchanges() (n int) {
	for _, r := range p.Tenant.Requests() {
		if r.Path == "/oauth/token" && strings.HasSuffix(r.GrantType, "federated-connection-access-token") {
			n++
		}
	}
	return n
}

// reply is an answer, read whole.
type reply struct {
	Status int
	Header http.Header
	Body   string
}

// problem decodes the body of a refusal.
func (r *reply) problem(t *testing.T) map[string]any {
	t.Helper()
	if got := r.Header.Get("Content-Type"); got != "application/problem+json" {
		t.Fatalf("Content-Type %q, status %d, body %s", got, r.Status, r.Body)
	}
	var body map[string]any
	if err := json.Unmarshal([]byte(r.Body), &body); err != nil {
		t.Fatalf("%v in %s", err, r.Body)
	}
	return body
}

// get calls a path with a bearer token; an empty one sends no Authorization.
func (p *proxy) get(path, token string, change ...func(*http.Request)) *reply {
	p.t.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, p.URL+path, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for _, c := range change {
		c(req)
	}
	return p.do(req)
}

// do makes a call. A listener that a reload closes resets what it has not accepted, also
// that of bare Caddy: such a call is made once more.
func (p *proxy) do(req *http.Request) *reply {
	p.t.Helper()
	resp, err := noRedirects.Do(req)
	if errors.Is(err, syscall.ECONNRESET) && req.Body == nil {
		resp, err = noRedirects.Do(req)
	}
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return &reply{resp.StatusCode, resp.Header, string(body)}
}

var noRedirects = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// upstream records the requests that reach it and answers 200, unless told
// otherwise.
type upstream struct {
	URL    string
	mu     sync.Mutex
	seen   []*http.Request
	answer http.HandlerFunc
}

func newUpstream(t *testing.T) *upstream {
	u := &upstream{}
	server := httptest.NewServer(u)
	t.Cleanup(server.Close)
	u.URL = server.URL
	return u
}

// ServeHTTP implements http.Handler. It reads the body, so that recorded
// requests have their trailers, unless an answer is set.
func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	answer := u.answer
	u.mu.Unlock()
	if answer == nil {
		_, _ = io.Copy(io.Discard, r.Body)
		answer = func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "upstream") }
	}
	u.mu.Lock()
	u.seen = append(u.seen, r)
	u.mu.Unlock()
	answer(w, r)
}

// respond sets what is answered from now on.
func (u *upstream) respond(answer http.HandlerFunc) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.answer = answer
}

// requests returns what arrived so far.
func (u *upstream) requests() []*http.Request {
	u.mu.Lock()
	defer u.mu.Unlock()
	return append([]*http.Request(nil), u.seen...)
}

// last returns the latest request.
func (u *upstream) last(t *testing.T) *http.Request {
	t.Helper()
	seen := u.requests()
	if len(seen) == 0 {
		t.Fatal("nothing reached the upstream")
	}
	return seen[len(seen)-1]
}

// logBuffer collects what Caddy writes to its log, over a socket, since that is
// the only writer whose output a test can read without a race.
type logBuffer struct {
	address string
	mu      sync.Mutex
	text    strings.Builder
}

func newLog(t *testing.T) *logBuffer {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	l := &logBuffer{address: listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.Copy(l, conn)
			}()
		}
	}()
	return l
}

// Write implements io.Writer.
func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns the log so far.
func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// freePort finds a port below those that systems give away by themselves, so
// that nobody else gets it before Caddy does.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 10_000 + rand.IntN(20_000)
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err != nil {
			continue
		}
		_ = listener.Close()
		return port
	}
	t.Fatal("no port is free")
	return 0
}

func secretOf(t *testing.T, cfg auth0test.Config, clientID string) string {
	t.Helper()
	for _, client := range cfg.Clients {
		if client.ClientID == clientID {
			return client.ClientSecret
		}
	}
	t.Fatalf("no client %s", clientID)
	return ""
}

// fault arms a fault at the tenant that lasts, unless it says otherwise.
func (p *proxy) fault(f auth0test.Fault) {
	p.t.Helper()
	if f.Times == nil {
		f.Times = new(0)
	}
	if err := p.Tenant.AddFault(f); err != nil {
		p.t.Fatal(err)
	}
}

// exchangeFault is fault for the vault's exchange.
func (p *proxy) exchangeFault(f auth0test.Fault) {
	p.t.Helper()
	f.Path, f.GrantType = "/oauth/token", vaultGrant
	p.fault(f)
}

// logLine waits for the first log line with that text.
func (p *proxy) logLine(text string) map[string]any {
	p.t.Helper()
	var line map[string]any
	p.eventually("a log line with "+text, func() bool {
		for entry := range strings.Lines(p.Log.String()) {
			if strings.Contains(entry, text) && json.Unmarshal([]byte(entry), &line) == nil {
				return true
			}
		}
		return false
	})
	return line
}

// eventually waits until something is so.
func (p *proxy) eventually(what string, so func() bool) {
	p.t.Helper()
	p.eventuallyWithin(10*time.Second, what, so)
}

func (p *proxy) eventuallyWithin(patience time.Duration, what string, so func() bool) {
	p.t.Helper()
	deadline := time.Now().Add(patience)
	for !so() {
		if time.Now().After(deadline) {
			text := p.Log.String()
			p.t.Fatalf("waited in vain for %s; log: …%s", what, text[max(0, len(text)-2000):])
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// walk is what a person does with a link: open it, sign in, connect, consent. It
// returns the page that the browser ends on.
func (p *proxy) walk(link, user string) *browser.Page {
	p.t.Helper()
	return p.steps(link, user, "connect", "allow")
}

// steps is walk with other words for the confirmation and the consent; without
// the latter it ends before.
func (p *proxy) steps(link, user, confirm, consent string) *browser.Page {
	p.t.Helper()
	person := p.signIn(link, user)
	person.submit(url.Values{"action": {confirm}})
	if consent != "" {
		person.submit(url.Values{"action": {consent}})
	}
	return person.page
}

// person has opened a link.
type person struct {
	*proxy
	browser *browser.Browser
	page    *browser.Page
}

// signIn goes as far as the page on which the user decides.
func (p *proxy) signIn(link, user string) *person {
	p.t.Helper()
	visitor := &person{proxy: p, browser: browser.New()}
	visitor.open(link)
	visitor.submit(nil)
	visitor.submit(url.Values{"username": {user + "@example.com"}, "password": {user + "-password"}})
	return visitor
}

// open goes to a page.
func (p *person) open(target string) {
	p.t.Helper()
	page, err := p.browser.Open(p.t.Context(), target)
	if err != nil {
		p.t.Fatal(err)
	}
	p.page = page
}

// submit sends the page's form, unless the page is where it went wrong.
func (p *person) submit(values url.Values) {
	p.t.Helper()
	if p.page.Status >= 400 {
		return
	}
	page, err := p.browser.Submit(p.t.Context(), p.page, values)
	if err != nil {
		p.t.Fatal(err)
	}
	p.page = page
}

// connect confirms and consents.
func (p *person) connect() {
	p.t.Helper()
	p.submit(url.Values{"action": {"connect"}})
	p.submit(url.Values{"action": {"allow"}})
	if p.page.Status != 200 {
		p.t.Fatalf("status %d, page %s", p.page.Status, p.page.Body)
	}
}

// decline does not.
func (p *person) decline() {
	p.t.Helper()
	p.submit(url.Values{"action": {"decline"}})
}

// text returns a member of a problem.
func (r *reply) text(t *testing.T, member string) string {
	t.Helper()
	text, ok := r.problem(t)[member].(string)
	if !ok {
		t.Fatalf("no %s in %s", member, r.Body)
	}
	return text
}

// code is what the answer says is wrong, if it is one of ours.
func (r *reply) code() string { return r.Header.Get("Token-Vault-Error") }

// filesIn lists the files below dir whose path begins with prefix.
func filesIn(t *testing.T, dir, prefix string) (files []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasPrefix(name, prefix) {
			files = append(files, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// configVariable tells this test's own program to be a Caddy, for what ends with
// the process.
const configVariable = "CADDYMODULE_TEST_CONFIG"

// runCaddy is what such a program does.
func runCaddy(config string) {
	caddy.TrapSignals()
	if err := caddy.Load([]byte(config), true); err != nil {
		log.Fatal(err)
	}
	select {}
}

func startCaddyProcess(t *testing.T, config string) *exec.Cmd {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program)
	cmd.Env = append(os.Environ(), configVariable+"="+config)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	return cmd
}
