package caddymodule_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test/browser"
)

// What many waiting agents cost, above as many requests that wait in bare Caddy
// for something else.

// crowdSize is how many wait at the same time, for how many users.
const (
	crowdSize  = 1000
	crowdUsers = 250
)

// blocker is the least that a request can wait in: a handler that does nothing
// until the client hangs up.
type blocker struct{}

// CaddyModule returns the Caddy module information.
func (blocker) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.test_block", New: func() caddy.Module { return new(blocker) }}
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (blocker) ServeHTTP(_ http.ResponseWriter, r *http.Request, _ caddyhttp.Handler) error {
	<-r.Context().Done()
	return nil
}

func init() {
	caddy.RegisterModule(blocker{})
	httpcaddyfile.RegisterHandlerDirective("test_block", func(h httpcaddyfile.Helper) (caddyhttp.MiddlewareHandler, error) {
		h.Next()
		return blocker{}, nil
	})
	httpcaddyfile.RegisterDirectiveOrder("test_block", httpcaddyfile.Before, "respond")
}

// inUse is the memory of heap and stacks that is in use.
func inUse() int64 {
	var stats runtime.MemStats
	for range 5 { // stacks shrink by half each time
		runtime.GC()
	}
	runtime.ReadMemStats(&stats)
	return int64(stats.HeapAlloc + stats.StackInuse)
}

// goroutinesIn counts the goroutines that are in a function whose name ends so.
func goroutinesIn(function string) (n int) {
	records := make([]runtime.StackRecord, 20*crowdSize)
	found, _ := runtime.GoroutineProfile(records)
	for _, record := range records[:found] {
		frames := runtime.CallersFrames(record.Stack())
		for frame, more := frames.Next(); more; frame, more = frames.Next() {
			if strings.HasSuffix(frame.Function, function) {
				n++
				break
			}
		}
	}
	return n
}

// crowdCosts sends so many requests over as many connections and returns how
// much memory is in use while all of them wait in a function. The clients read
// nothing, and so cost the same whatever they ask for.
func (p *proxy) crowdCosts(requests []string, function string, meanwhile func()) int64 {
	p.t.Helper()
	before := inUse()
	conns := make([]net.Conn, len(requests))
	for i, request := range requests {
		conn, err := net.Dial("tcp", strings.TrimPrefix(p.URL, "http://"))
		if err != nil {
			p.t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, request); err != nil {
			p.t.Fatal(err)
		}
		conns[i] = conn
	}
	p.eventually(fmt.Sprint(len(requests), " waiting requests"), func() bool { return goroutinesIn(function) == len(requests) })
	meanwhile()
	cost := inUse() - before
	if n := goroutinesIn(function); n != len(requests) {
		p.t.Errorf("%d of %d requests still wait", n, len(requests))
	}
	for _, conn := range conns {
		conn.Close()
	}
	p.eventually("the end of the requests", func() bool { return goroutinesIn(function) == 0 })
	return cost
}

// rawGet is a request as it goes over the wire.
func (p *proxy) rawGet(path, token string) string {
	return "GET " + path + " HTTP/1.1\r\nHost: " + strings.TrimPrefix(p.URL, "http://") + "\r\nAuthorization: Bearer " + token + "\r\n\r\n"
}

// startCrowd runs a proxy with many users, and gives each a token. It logs what
// production logs.
func startCrowd(t *testing.T) (p *proxy, tokens []string) {
	t.Helper()
	p = newProxy(t, crowd(crowdUsers))
	site := "token_vault_link\nhandle /bare {\n test_block\n}\nhandle {\n" + strings.Replace(calendarRoute, "{\n", "{\n hold 1m\n", 1) + "\n}"
	config := p.caddyfile(site, "budget {\n tenant 10000\n }") // for the people who sign in all at once
	if err := p.tryLoad(strings.Replace(config, "level DEBUG", "level WARN", 1)); err != nil {
		t.Fatal(err)
	}
	for i := range crowdUsers {
		tokens = append(tokens, p.token(fmt.Sprintf("auth0|user%d", i)))
	}
	return p, tokens
}

// checkCrowd demands that a thousand such requests cost little more than bare
// ones.
func (p *proxy) checkCrowd(what string, requests []string, token, function string, meanwhile func()) {
	p.t.Helper()
	bare := slices.Repeat([]string{p.rawGet("/bare", token)}, len(requests))
	_ = p.crowdCosts(bare, "blocker.ServeHTTP", func() {}) // pools fill the first time
	idle := p.crowdCosts(bare, "blocker.ServeHTTP", func() {})
	cost := p.crowdCosts(requests, function, meanwhile)
	n := int64(len(requests))
	p.t.Logf("%d %s: %d bytes each, %d in bare Caddy", n, what, cost/n, idle/n)
	if above := (cost - idle) * crowdSize / n; above > allowance {
		p.t.Errorf("%s: a thousand cost %d KiB more than in bare Caddy", what, above>>10)
	}
}

func TestAThousandWaitingAgentsCostLittle(t *testing.T) {
	p, tokens := startCrowd(t)
	var links, requests []string
	for i := range crowdSize {
		token := tokens[i%crowdUsers]
		refused := p.refused("/", token)
		links = append(links, refused.text(t, "link_url"))
		requests = append(requests, p.rawGet(strings.TrimPrefix(refused.text(t, "status_url"), p.URL)+"&wait=55", token))
	}
	var before int
	p.checkCrowd("status calls", requests, tokens[0], "linkflow.(*Flow).await", func() {
		start := time.Now()
		before = p.exchanges()
		p.eventually("questions to the vault", func() bool { return p.exchanges() > before+15 })
		if asked, took := p.exchanges()-before, time.Since(start); asked > 20+10*int(took.Seconds()+1) {
			t.Errorf("%d exchanges in %v", asked, took)
		}
	})

	// People who sign in take their time, so there are fewer of them, and the
	// cost is that of a thousand like these.
	const held = 200
	var visits sync.WaitGroup
	for i := range held {
		visits.Go(func() { visit(t, links[i], fmt.Sprintf("user%d", i)) })
	}
	visits.Wait()
	http.DefaultClient.CloseIdleConnections()
	requests = nil
	for _, token := range tokens[:held] {
		requests = append(requests, p.rawGet("/", token))
	}
	p.checkCrowd("held calls", requests, tokens[0], "linkflow.(*Flow).Hold", func() { before = p.exchanges() })
	if asked := p.exchanges() - before; asked != 0 {
		t.Errorf("%d exchanges while calls were held", asked)
	}
}

// visit is signIn for many at the same time.
func visit(t *testing.T, link, user string) {
	person := browser.New()
	page, err := person.Open(t.Context(), link)
	for _, values := range []url.Values{nil, {"username": {user + "@example.com"}, "password": {user + "-password"}}} {
		if err == nil {
			page, err = person.Submit(t.Context(), page, values)
		}
	}
	if err != nil || page.Status != http.StatusOK {
		t.Errorf("%s: status %d, %v", user, page.Status, err)
	}
}
