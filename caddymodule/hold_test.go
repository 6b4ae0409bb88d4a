package caddymodule_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// A call that is made again while its user connects the account waits for the
// end, and then goes through.

// holdSite holds whatever the method.
var holdSite = strings.Replace(calendarSite, "{\n", "{\n hold 20s any\n", 1)

// deciding is the user of a refused call, signed in on its link.
func (p *proxy) deciding(token string) *person {
	p.t.Helper()
	return p.signIn(p.refused("/", token).text(p.t, "link_url"), "alice")
}

// holding waits until so many calls have begun to wait.
func (p *proxy) holding(n int) {
	p.t.Helper()
	p.eventually(fmt.Sprint(n, " calls that wait"), func() bool { return strings.Count(p.Log.String(), "holding the request") == n })
}

// send makes a call with a body.
func (p *proxy) send(method, token string, body io.Reader, change ...func(*http.Request)) *reply {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), method, p.URL+"/", body)
	if err != nil {
		p.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	for _, c := range change {
		c(req)
	}
	return p.do(req)
}

// wantAtOnce demands an answer to a call that must not wait.
func (p *proxy) wantAtOnce(what, code string, call func() *reply) {
	p.t.Helper()
	start := time.Now()
	got := call()
	if took := time.Since(start); got.code() != code || took > 3*time.Second {
		p.t.Errorf("%s: status %d, %s, after %v", what, got.Status, got.code(), took)
	}
}

func TestACallThatIsMadeAgainWaitsAndGoesThrough(t *testing.T) {
	p := startProxy(t, holdSite)
	token := p.token(alice)
	person := p.deciding(token)
	done := later(func() *reply { return p.get("/calendar?day=today", token) })
	p.holding(1)
	asked := p.exchanges()
	person.connect()
	finished := time.Now()
	got := p.await(done)
	if took := time.Since(finished); got.Status != 200 || got.Body != "upstream" || took > time.Second {
		t.Errorf("status %d, body %s, after %v", got.Status, got.Body, took)
	}
	if sent := p.Upstream.last(t); sent.RequestURI != "/calendar?day=today" || strings.Contains(dump(sent), token) {
		t.Errorf("the upstream got %s", dump(sent))
	}
	if n := p.exchanges(); n != asked+1 {
		t.Errorf("%d exchanges after the wait", n-asked)
	}
}

func TestNobodyWaitsForAUserWhoHasNotSignedIn(t *testing.T) {
	p := startProxy(t, holdSite)
	token := p.token(alice)
	link := p.refused("/", token).text(t, "link_url")
	if got := p.get(strings.TrimPrefix(link, p.URL), ""); got.Status != 200 {
		t.Fatalf("status %d", got.Status)
	}
	p.wantAtOnce("opened only", "link_required", func() *reply { return p.get("/", token) })
	_ = p.signIn(link, "bob") // who is somebody else
	p.wantAtOnce("opened by somebody else", "link_required", func() *reply { return p.get("/", token) })
}

func TestAUserWhoDeclinesEndsTheWaitWithANewLink(t *testing.T) {
	p := startProxy(t, holdSite)
	token := p.token(alice)
	refused := p.refused("/", token)
	person := p.signIn(refused.text(t, "link_url"), "alice")
	done := later(func() *reply { return p.get("/", token) })
	p.holding(1)
	person.decline()
	got := p.await(done)
	if got.code() != "link_required" || got.text(t, "link_url") == refused.text(t, "link_url") {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
	p.wantAtOnce("then", "link_required", func() *reply { return p.get("/", token) })
}

// The server would end the call, and the agent would get no answer at all.
func TestAHoldThatIsLongerThanTheServersTimeoutWarns(t *testing.T) {
	p := newProxy(t)
	config := strings.Replace(p.caddyfile(holdSite), "protocols h1 h2c", "protocols h1 h2c\n timeouts {\n write 1s\n}", 1)
	if err := p.tryLoad(config); err != nil {
		t.Fatal(err)
	}
	if line := p.logLine("the server's timeout write has to be longer than hold"); line["level"] != "warn" {
		t.Errorf("logged %v", line)
	}
}

func TestAWaitEndsWhenTheRouteSays(t *testing.T) {
	p := startProxy(t, strings.Replace(holdSite, "20s", "500ms", 1))
	token := p.token(alice)
	_ = p.deciding(token)
	start := time.Now()
	got := p.get("/", token)
	if took := time.Since(start); got.code() != "link_required" || took < 500*time.Millisecond || took > 3*time.Second {
		t.Errorf("status %d after %v", got.Status, took)
	}
}

func TestOfTwoCallsOneWaits(t *testing.T) {
	p := startProxy(t, holdSite)
	token := p.token(alice)
	person := p.deciding(token)
	done := later(func() *reply { return p.get("/", token) })
	p.holding(1)
	p.wantAtOnce("the second", "link_required", func() *reply { return p.get("/", token) })
	person.connect()
	if got := p.await(done); got.Status != 200 {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
}

func TestOtherRefusalsDoNotWait(t *testing.T) {
	p := startProxy(t, holdSite)
	token := p.token(alice)
	_ = p.deciding(token)
	for code, token := range map[string]string{
		"no_credentials":     "",
		"invalid_token":      p.token(alice, expired),
		"client_not_allowed": p.token(alice, strange),
		"user_required":      p.token("", machine),
		"link_required":      p.token(bob),
	} {
		p.wantAtOnce(code, code, func() *reply { return p.get("/", token) })
	}
}

func TestSafeMethodsWaitUnlessAnyMay(t *testing.T) {
	for _, c := range []struct {
		words string
		wait  []string
		not   []string
	}{
		{"hold 20s", []string{"GET", "HEAD", "OPTIONS"}, []string{"POST", "PUT", "PATCH", "DELETE", "PROPFIND"}},
		{"hold 20s any", []string{"POST", "PUT", "PATCH", "DELETE", "PROPFIND"}, nil},
		{"scopes " + calendar, nil, []string{"GET"}},
	} {
		t.Run(c.words, func(t *testing.T) {
			p := startProxy(t, strings.Replace(calendarSite, "{\n", "{\n "+c.words+"\n", 1))
			token := p.token(alice)
			person := p.deciding(token)
			for _, method := range c.not {
				p.wantAtOnce(method, "link_required", func() *reply { return p.send(method, token, nil) })
			}
			for i, method := range c.wait {
				done := later(func() *reply { return p.send(method, token, nil) })
				p.holding(i + 1)
				person.connect()
				if got := p.await(done); got.Status != 200 || p.Upstream.last(t).Method != method {
					t.Errorf("%s: status %d", method, got.Status)
				}
				if err := p.Tenant.Disconnect(alice, google); err != nil {
					t.Fatal(err)
				}
				person = p.again(token)
			}
		})
	}
}

// again has the user sign in on a new link, when the proxy has noticed that the
// account is gone.
func (p *proxy) again(token string) *person {
	p.t.Helper()
	p.Upstream.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
	p.eventually("a call that needs a link", func() bool { return p.get("/", token).code() == "link_required" })
	p.Upstream.respond(nil)
	return p.deciding(token)
}

// The agent's token is looked at again before anything is asked with it.
func TestATokenThatExpiresMeanwhileDoesNotGoThrough(t *testing.T) {
	p := startProxy(t, holdSite)
	person := p.deciding(p.token(alice))
	token := p.token(alice, func(r *auth0test.TokenRequest) { r.ExpiresIn = new(3) })
	expires := time.Now().Add(3 * time.Second)
	done := later(func() *reply { return p.get("/", token) })
	p.holding(1)
	asked := p.exchanges()
	p.eventually("the token's end", func() bool { return time.Now().After(expires) })
	person.connect()
	if got := p.await(done); got.code() != "invalid_token" {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
	if n := len(p.Upstream.requests()); n != 0 || p.exchanges() != asked {
		t.Errorf("%d requests reached the upstream, %d exchanges", n, p.exchanges()-asked)
	}
}

func TestABodyWaitsWithItsCall(t *testing.T) {
	p := startProxy(t, holdSite)
	token := p.token(alice)
	person := p.deciding(token)
	body := bytes.Repeat([]byte("0123456789abcdef"), 4096) // 64 KiB
	var got []byte
	p.Upstream.respond(func(w http.ResponseWriter, r *http.Request) { got, _ = io.ReadAll(r.Body) })
	done := later(func() *reply { return p.send("POST", token, bytes.NewReader(body)) })
	p.holding(1)
	person.connect()
	if r := p.await(done); r.Status != 200 || !bytes.Equal(got, body) {
		t.Errorf("status %d, the upstream got %d bytes", r.Status, len(got))
	}
	if sent := p.Upstream.last(t); sent.ContentLength != int64(len(body)) {
		t.Errorf("Content-Length %d", sent.ContentLength)
	}
}

func TestABodyOfUnknownLengthWaitsWithItsTrailers(t *testing.T) {
	for name, client := range clients(t) {
		t.Run(name, func(t *testing.T) {
			a := &attack{proxy: newProxy(t)}
			a.load(holdSite)
			a.agent = a.token(alice)
			person := a.deciding(a.agent)
			req, err := http.NewRequestWithContext(t.Context(), "POST", a.URL+"/", io.MultiReader(strings.NewReader("hello")))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+a.agent)
			req.Trailer = a.smuggledTrailers()
			if name == "HTTP/2" { // Caddy's server ends the stream for these
				delete(req.Trailer, "Authorization")
				delete(req.Trailer, "Proxy-Authorization")
			}
			done := later(func() *reply {
				resp, err := client.Do(req)
				if err != nil {
					return &reply{Body: err.Error()}
				}
				defer resp.Body.Close()
				return &reply{Status: resp.StatusCode}
			})
			a.holding(1)
			person.connect()
			if got := a.await(done); got.Status != 200 {
				t.Fatalf("status %d, %s", got.Status, got.Body)
			}
			a.checkTrailers(t, route{header: "Authorization", value: func(*attack) string {
				return "Bearer " + providerToken(t, a.Upstream.last(t))
			}}, true)
		})
	}
}

func TestABodyThatCannotBeKeptDoesNotWait(t *testing.T) {
	p := startProxy(t, holdSite)
	token := p.token(alice)
	person := p.deciding(token)
	long := strings.Repeat("x", 64<<10+1)
	unknown := func(r *http.Request) { r.ContentLength = -1 }
	p.wantAtOnce("too long", "link_required", func() *reply { return p.send("POST", token, strings.NewReader(long)) })
	p.wantAtOnce("turns out too long", "link_required", func() *reply { return p.send("POST", token, strings.NewReader(long), unknown) })
	never, stop := io.Pipe() // an agent that wants an answer before it goes on
	defer stop.Close()
	p.wantAtOnce("does not end", "link_required", func() *reply { return p.send("POST", token, never, unknown) })
	p.wantAtOnce("turns out too long and does not end", "link_required", func() *reply {
		return p.send("POST", token, io.MultiReader(strings.NewReader(long), never), unknown)
	})
	if text := p.Log.String(); strings.Contains(text, "holding the request") {
		t.Error("a call waited")
	}
	person.connect()
}

// An error route gets the whole body, though a part of it was read.
func TestABodyThatCannotBeKeptIsWholeInTheErrorRoute(t *testing.T) {
	p := startProxy(t, holdSite)
	token := p.token(alice)
	_ = p.deciding(token)
	p.load(strings.Replace(holdSite, "{\n", "{\n on_missing error\n", 1) + `
	handle_errors {
		reverse_proxy {upstream}
	}`)
	long := strings.Repeat("x", 100<<10)
	var got int
	p.Upstream.respond(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		got = len(body)
	})
	if r := p.send("POST", token, strings.NewReader(long), func(r *http.Request) { r.ContentLength = -1 }); r.Status != 200 || got != len(long) {
		t.Errorf("status %d, the error route got %d bytes", r.Status, got)
	}
}

// It gets no longer for that than the server gives any body.
func TestABodyThatCannotBeKeptHasToEndInTheErrorRoute(t *testing.T) {
	p := startProxy(t, holdSite)
	token := p.token(alice)
	_ = p.deciding(token)
	config := p.caddyfile(strings.Replace(holdSite, "{\n", "{\n on_missing error\n", 1) + `
	handle_errors {
		reverse_proxy {upstream}
	}`)
	config = strings.Replace(config, "protocols h1 h2c", "protocols h1 h2c\n timeouts {\n read_body 1s\n read_body_idle -1s\n}", 1)
	if err := p.tryLoad(p.expand(config)); err != nil {
		t.Fatal(err)
	}
	cut := make(chan error, 1)
	p.Upstream.respond(func(_ http.ResponseWriter, r *http.Request) {
		_, err := io.Copy(io.Discard, r.Body)
		cut <- err
	})
	never, stop := io.Pipe()
	defer stop.Close()
	body := io.MultiReader(strings.NewReader(strings.Repeat("x", 64<<10+1)), never)
	done := later(func() *reply { return p.send("POST", token, body, func(r *http.Request) { r.ContentLength = -1 }) })
	if got := p.await(done); got.Status < 400 {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
	if err := <-cut; err == nil {
		t.Error("the upstream got a body that ended")
	}
}

func TestAHeldCallMayExpectToBeToldToContinue(t *testing.T) {
	a := &attack{proxy: startProxy(t, holdSite)}
	a.agent = a.token(alice)
	person := a.deciding(a.agent)
	a.Upstream.respond(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	type end struct {
		continued bool
		final     string
	}
	done := make(chan end, 1)
	go func() {
		continued, final := a.expectContinue(t, "/bearer", a.agent)
		done <- end{continued, final}
	}()
	a.holding(1)
	person.connect()
	if got := <-done; !got.continued || got.final != "200 hello" {
		t.Errorf("%+v", got)
	}
}

func TestAHeldCallMayBecomeAWebSocket(t *testing.T) {
	a := &attack{proxy: startProxy(t, holdSite)}
	a.agent = a.token(alice)
	person := a.deciding(a.agent)
	a.Upstream.respond(upgrade)
	conn := a.dial(t)
	_, _ = fmt.Fprintf(conn, "GET %s/ HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", a.URL, a.agent)
	a.holding(1)
	_, _ = io.WriteString(conn, "early ") // not nice, but it must not get lost
	person.connect()
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, nil)
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	_, _ = io.WriteString(conn, "hello")
	echo := make([]byte, len("early hello"))
	if _, err := io.ReadFull(reader, echo); err != nil || string(echo) != "early hello" {
		t.Errorf("echo %q, %v", echo, err)
	}
	conn.Close()
	a.upgraded(1)
}

func TestAnAgentThatHangsUpIsNotWaitedFor(t *testing.T) {
	for name, client := range clients(t) {
		for _, body := range []string{"", "a body that was read"} {
			t.Run(fmt.Sprintf("%s with %d bytes", name, len(body)), func(t *testing.T) {
				p := startProxy(t, holdSite)
				token := p.token(alice)
				person := p.deciding(token)
				ctx, hangUp := context.WithCancel(t.Context())
				req, err := http.NewRequestWithContext(ctx, "POST", p.URL+"/hung-up", strings.NewReader(body))
				if err != nil {
					t.Fatal(err)
				}
				req.Header.Set("Authorization", "Bearer "+token)
				done := make(chan error, 1)
				go func() {
					resp, err := client.Do(req)
					if err == nil {
						resp.Body.Close()
					}
					done <- err
				}()
				p.holding(1)
				hangUp()
				if err := <-done; err == nil {
					t.Error("there was an answer")
				}
				p.logLine(`"status":499`)
				again := later(func() *reply { return p.get("/again", token) }) // the place is free
				p.holding(2)
				person.connect()
				if got := p.await(again); got.Status != 200 {
					t.Errorf("status %d", got.Status)
				}
				for _, r := range p.Upstream.requests() {
					if r.URL.Path == "/hung-up" {
						t.Error("the call went on without its agent")
					}
				}
			})
		}
	}
}

// The end of the flow belongs to the new configuration, the call to the old one.
func TestAHeldCallOutlivesAReload(t *testing.T) {
	p := startProxy(t, holdSite)
	token := p.token(alice)
	person := p.deciding(token)
	done := later(func() *reply { return p.get("/", token) })
	p.holding(1)
	p.load(strings.Replace(calendarSite, "{\n", "{\n allow_clients other\n", 1))
	person.connect()
	if got := p.await(done); got.Status != 200 {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
}

func TestOfTwoHandlersTheInnerMayHold(t *testing.T) {
	p := startProxy(t, `token_vault_link
	route {
		token_vault github {
			attach header X-Outer
		}
		token_vault google-oauth2 {
			scopes `+calendar+`
			hold 20s any
		}
		reverse_proxy {upstream}
	}`)
	p.connect(alice, "github", "repo")
	token := p.token(alice)
	person := p.deciding(token)
	done := later(func() *reply { return p.send("POST", token, strings.NewReader("hello")) })
	p.holding(1)
	person.connect()
	if got := p.await(done); got.Status != 200 {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	if sent := p.Upstream.last(t); sent.Header.Get("X-Outer") != "" || sent.ContentLength != 5 || strings.Contains(dump(sent), token) {
		t.Errorf("the upstream got %s", dump(sent))
	}
}

func TestHoldNeedsALinkBlock(t *testing.T) {
	p := newProxy(t)
	p.link = ""
	if err := p.tryLoad(p.caddyfile("token_vault google-oauth2 {\n hold 30s\n}")); err == nil || !strings.Contains(err.Error(), "link block") {
		t.Errorf("error %v", err)
	}
}

// Exiting, a process waits for its requests; these would keep it for a minute.
func TestWaitingCallsDoNotHoldUpTheEndOfTheProcess(t *testing.T) {
	p := newProxy(t)
	caddy := startCaddyProcess(t, adapted(p.caddyfile(holdSite)))
	p.eventually("Caddy", func() bool {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	token := p.token(alice)
	refused := p.refused("/", token)
	_ = p.signIn(refused.text(t, "link_url"), "alice")
	held := later(func() *reply { return p.get("/", token) })
	waiting := later(func() *reply { return p.status(refused, token, "&wait=55") })
	p.holding(1)
	p.eventually("the wait", func() bool { return p.exchanges() > 1 })
	start := time.Now()
	if err := caddy.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if got := p.await(held); got.code() != "link_required" {
		t.Errorf("held: status %d, body %s", got.Status, got.Body)
	}
	p.wantStatus(p.await(waiting), "pending")
	if err := caddy.Wait(); err != nil || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

// holdWhileLinking is a site whose links lead to linking first, and a call that is held
// until alice has linked her account at Google.
func holdWhileLinking(t *testing.T, change func(*auth0test.Config)) (*proxy, *person, <-chan *reply) {
	t.Helper()
	p := newProxy(t, withLinking, change)
	p.via("management")
	p.load(holdSite)
	token := p.token(alice)
	person := p.deciding(token)
	done := later(func() *reply { return p.get("/", token) })
	p.holding(1)
	for _, action := range []string{"prove", "allow", "merge"} {
		person.submit(url.Values{"action": {action}})
	}
	p.logLine(`"link merged"`)
	return p, person, done
}

// On a tenant of 2025 that fills the vault.
func TestWhereLinkingSufficesAHeldCallGoesOnAfterIt(t *testing.T) {
	p, _, done := holdWhileLinking(t, func(cfg *auth0test.Config) { cfg.Settings.IdentitiesFeedVault = true })
	linked := time.Now()
	if got := p.await(done); got.Status != 200 || time.Since(linked) > time.Second {
		t.Errorf("status %d after %v, body %s", got.Status, time.Since(linked), got.Body)
	}
}

func TestWhereLinkingDoesNotSufficeAHeldCallWaitsForTheAccount(t *testing.T) {
	p, person, done := holdWhileLinking(t, func(*auth0test.Config) {})
	p.eventually("the vault's no", func() bool { return p.exchanges() > 1 })
	person.submit(url.Values{"action": {"connect"}})
	person.submit(url.Values{"username": {"alice@example.com"}, "password": {"alice-password"}})
	select {
	case got := <-done:
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	default:
	}
	person.connect()
	if got := p.await(done); got.Status != 200 {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
}
