package caddymodule_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Answers and bodies pass as with plain reverse_proxy, less what only the proxy
// may say. Where it matters, each case runs beside a route without token_vault.

// bothWays are a route with token_vault and the same one without, over HTTP/1.1
// and over HTTP/2 to the upstream.
var bothWays = []string{"/bearer", "/plain", "/h2c", "/h2cplain"}

// open sends a request and leaves the answer's body to the test.
func (a *attack) open(t *testing.T, client *http.Client, req *http.Request) *http.Response {
	t.Helper()
	if strings.Contains(req.URL.Path, "plain") {
		req.Header.Del("Authorization")
	} else {
		req.Header.Set("Authorization", "Bearer "+a.agent)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

func (a *attack) request(t *testing.T, method, path string, body io.Reader) *http.Request {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, method, a.URL+path, body)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// clients speak HTTP/1.1 and HTTP/2 to Caddy.
func clients(t *testing.T) map[string]*http.Client {
	return map[string]*http.Client{"HTTP/1.1": noRedirects, "HTTP/2": newH2C(t)}
}

// foreignCookies pass, our own do not, whatever an upstream makes of their names.
var (
	foreignCookies = []string{
		"session=1; Path=/; HttpOnly", "token_vault=1", "my_token_vault_form=1", "a=token_vault_form=1", "", ";;",
		"a; token_vault_form=1", "a=1; token_vault_form; Path=/", "; token_vault_form=1", "a=1, token_vault_form=1",
	}
	ownCookies = []string{
		"token_vault_form=evil", "__Host-token_vault_form=evil; Secure; Path=/", "token_vault_flow_X=evil", " __hOST-Token_Vault_Flow_=evil",
		"TOKEN_VAULT_FORM = evil", "\ttoken_vault_form\t=evil; Path=/auth", "token_vault_form", "=token_vault_form=evil", " = token_vault_flow_X=evil",
		"token_vault_form; Path=/", "__Host-token_vault_session; Secure; Path=/", " token_vault_form\t;a=evil", "=token_vault_form; Path=/", "==token_vault_flow_X;",
	}
)

// spoof sets on h what only we may say, among what passes.
func spoof(h http.Header, prefix string) {
	h[prefix+"Token-Vault-Error"] = []string{"link_required", "evil"}
	h[prefix+"Set-Cookie"] = append(slices.Clone(ownCookies), foreignCookies...)
	h[prefix+"X-Other"] = []string{"one", "two"}
}

// checkSpoof demands that h holds what passes and nothing else of the spoof.
func checkSpoof(t *testing.T, where string, h http.Header) {
	t.Helper()
	if _, ok := h["Token-Vault-Error"]; ok {
		t.Errorf("%s: Token-Vault-Error %q", where, h["Token-Vault-Error"])
	}
	if strings.Contains(fmt.Sprint(h), "evil") {
		t.Errorf("%s: %q", where, h)
	}
	if got := h["Set-Cookie"]; !slices.Equal(got, foreignCookies) {
		t.Errorf("%s: Set-Cookie %q, want %q", where, got, foreignCookies)
	}
	if got := h["X-Other"]; !slices.Equal(got, []string{"one", "two"}) {
		t.Errorf("%s: X-Other %q", where, got)
	}
}

func TestAnUpstreamCannotSpeakForTheProxy(t *testing.T) {
	a := startAttackedSite(t)
	for version, client := range clients(t) {
		for _, path := range []string{"/bearer", "/h2c", "/key", "/two"} {
			for _, status := range []int{200, 204, 302, 304, 401, 404, 500} {
				a.Upstream.respond(func(w http.ResponseWriter, _ *http.Request) {
					spoof(w.Header(), "")
					w.WriteHeader(status)
				})
				resp := a.open(t, client, a.request(t, http.MethodGet, path, nil))
				if resp.StatusCode != status {
					t.Errorf("status %d, want %d", resp.StatusCode, status)
				}
				checkSpoof(t, fmt.Sprint(version, " ", path, " ", status), resp.Header)
			}
		}
	}
}

func TestAnUpstreamCannotSpeakForTheProxyInTrailers(t *testing.T) {
	a := startAttackedSite(t)
	announced := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Add("Trailer", "X-Other, Token-Vault-Error")
		w.Header().Add("Trailer", "set-cookie")
		_, _ = io.WriteString(w, "hello")
		_ = http.NewResponseController(w).Flush() // or HTTP/2 gives a length, and HTTP/1 then has no trailers
		spoof(w.Header(), "")
	}
	unannounced := func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "hello")
		_ = http.NewResponseController(w).Flush()
		spoof(w.Header(), http.TrailerPrefix)
	}
	for version, client := range clients(t) {
		for _, path := range []string{"/bearer", "/h2c", "/two"} {
			for name, answer := range map[string]http.HandlerFunc{"announced": announced, "unannounced": unannounced} {
				where := fmt.Sprint(version, " ", path, " ", name)
				a.Upstream.respond(answer)
				resp := a.open(t, client, a.request(t, http.MethodGet, path, nil))
				if _, ok := resp.Trailer["Token-Vault-Error"]; ok {
					t.Errorf("%s: announces Token-Vault-Error", where)
				}
				if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello" {
					t.Errorf("%s: body %q, %v", where, body, err)
				}
				checkSpoof(t, where, resp.Trailer)
			}
		}
	}
}

func TestAnUpstreamCannotSpeakForTheProxyEarly(t *testing.T) {
	a := startAttackedSite(t)
	a.Upstream.respond(func(w http.ResponseWriter, _ *http.Request) {
		spoof(w.Header(), "")
		w.Header().Set("Link", "</style.css>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.WriteHeader(http.StatusProcessing)
		clear(w.Header())
		w.Header().Set("X-Final", "yes")
		_, _ = io.WriteString(w, "hello")
	})
	for version, client := range clients(t) {
		for _, path := range []string{"/bearer", "/h2c", "/two"} {
			var early []http.Header
			req := a.request(t, http.MethodGet, path, nil)
			req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
				Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
					early = append(early, http.Header(h))
					return nil
				},
			}))
			resp := a.open(t, client, req)
			if len(early) != 2 || early[0].Get("Link") == "" {
				t.Errorf("%s %s: early answers %v", version, path, early)
			}
			for _, h := range early {
				checkSpoof(t, version+" early "+path, h)
			}
			if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Final") == "" || len(resp.Header["Set-Cookie"]) > 0 {
				t.Errorf("%s %s: status %d, %v", version, path, resp.StatusCode, resp.Header)
			}
		}
	}
}

// Handlers on both sides of ours see an answer without the spoof.
func TestAnUpstreamCannotSpeakForTheProxyThroughOtherHandlers(t *testing.T) {
	a := startAttack(t, `
	handle /handle_response {
		token_vault google-oauth2
		reverse_proxy {upstream} {
			handle_response {
				header X-Mine yes
				copy_response 200
			}
		}
	}
	handle /intercept {
		token_vault google-oauth2
		intercept {
			@ok status 2xx
			replace_status @ok 200
		}
		header >X-Mine yes
		reverse_proxy {upstream}
	}
	handle /encode {
		token_vault google-oauth2
		encode gzip
		header +X-Mine yes
		reverse_proxy {upstream}
	}
	handle /header_down {
		token_vault google-oauth2
		reverse_proxy {upstream} {
			header_down X-Mine yes
		}
	}
	`)
	a.Upstream.respond(func(w http.ResponseWriter, _ *http.Request) {
		spoof(w.Header(), "")
		_, _ = io.WriteString(w, strings.Repeat("hello ", 1000))
	})
	for _, path := range []string{"/handle_response", "/intercept", "/encode", "/header_down"} {
		resp := a.open(t, noRedirects, a.request(t, http.MethodGet, path, nil))
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != http.StatusOK || len(body) != 6000 || resp.Header.Get("X-Mine") != "yes" {
			t.Errorf("%s: status %d, %d bytes, %v, %v", path, resp.StatusCode, len(body), err, resp.Header)
		}
		checkSpoof(t, path, resp.Header)
	}
}

// What the proxy passes on is what the upstream said.
func TestAnswersPassAsWithoutTokenVault(t *testing.T) {
	a := startAttackedSite(t)
	many := func(h http.Header) {
		for i := range 500 {
			h.Set("X-Many-"+strconv.Itoa(i), strings.Repeat("v", 40))
		}
	}
	for name, answer := range map[string]http.HandlerFunc{
		"204": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) },
		"304": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Etag", `"x"`)
			w.WriteHeader(http.StatusNotModified)
		},
		"307": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://other.example/")
			w.WriteHeader(http.StatusTemporaryRedirect)
		},
		"401": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("WWW-Authenticate", `Bearer realm="provider", error="invalid_token"`)
			w.Header().Add("WWW-Authenticate", "Basic")
			http.Error(w, "provider says no", http.StatusUnauthorized)
		},
		"range": func(w http.ResponseWriter, r *http.Request) {
			http.ServeContent(w, r, "x", time.Time{}, strings.NewReader("hello world"))
		},
		"many headers": func(w http.ResponseWriter, _ *http.Request) { many(w.Header()) },
		"no body":      func(http.ResponseWriter, *http.Request) {},
		"chunked": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "hello")
			_ = http.NewResponseController(w).Flush()
		},
		"no-store": func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "max-age=9") },
	} {
		a.Upstream.respond(answer)
		for version, client := range clients(t) {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodOptions, "PROPFIND"} {
				var got []string
				for _, path := range bothWays {
					req := a.request(t, method, path, nil)
					req.Header.Set("Range", "bytes=1-3")
					resp := a.open(t, client, req)
					body, err := io.ReadAll(resp.Body)
					resp.Header.Del("Date")
					names := slices.Sorted(maps.Keys(resp.Header))
					got = append(got, fmt.Sprint(resp.StatusCode, resp.ContentLength, names, resp.Header, string(body), err))
				}
				if got[0] != got[1] || got[2] != got[3] {
					t.Errorf("%s, %s over %s:\n%s\n%s\nover HTTP/2 to the upstream:\n%s\n%s", name, method, version, got[0], got[1], got[2], got[3])
				}
			}
		}
	}
}

func TestEventsArriveOneByOne(t *testing.T) {
	a := startAttackedSite(t)
	next := make(chan struct{})
	a.Upstream.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 3 {
			_, _ = fmt.Fprintf(w, "data: %d\n\n", i)
			_ = http.NewResponseController(w).Flush()
			<-next
		}
	})
	for version, client := range clients(t) {
		for _, path := range bothWays {
			resp := a.open(t, client, a.request(t, http.MethodGet, path, nil))
			lines := bufio.NewReader(resp.Body)
			for i := range 3 {
				line, err := lines.ReadString('\n')
				if want := fmt.Sprintf("data: %d\n", i); line != want || err != nil {
					t.Errorf("%s %s: %q, %v, want %q", version, path, line, err, want)
				}
				_, _ = lines.ReadString('\n')
				next <- struct{}{}
			}
			if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
				t.Errorf("%s %s: %q, %v", version, path, rest, err)
			}
		}
	}
}

// upgrade answers 101 and echoes, as a WebSocket's first frames would be.
func upgrade(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Upgrade") != "websocket" {
		http.Error(w, "no upgrade", http.StatusBadRequest)
		return
	}
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer conn.Close()
	header := http.Header{"Upgrade": {"websocket"}, "Connection": {"Upgrade"}, "Sec-Websocket-Accept": {"x"}}
	spoof(header, "")
	var head bytes.Buffer
	_ = header.Write(&head)
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\n%s\r\n", head.Bytes())
	_, _ = io.Copy(conn, buffered)
}

func TestWebSocketsPass(t *testing.T) {
	a := startAttackedSite(t)
	a.Upstream.respond(upgrade)
	for _, path := range []string{"/bearer", "/key", "/two"} {
		conn := a.dial(t)
		_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
			"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", a.URL+path, a.agent)
		reader := bufio.NewReader(conn)
		resp, err := http.ReadResponse(reader, nil)
		if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
			t.Fatalf("%s: %v, %v", path, resp, err)
		}
		checkSpoof(t, path, resp.Header)
		for _, message := range []string{"hello", strings.Repeat("\x00\xff", 50_000)} {
			go func() { _, _ = io.WriteString(conn, message) }()
			echo := make([]byte, len(message))
			if _, err := io.ReadFull(reader, echo); err != nil || string(echo) != message {
				t.Errorf("%s: echo of %d bytes: %v", path, len(message), err)
			}
		}
		conn.Close()
	}
	a.upgraded(3)
}

// upgraded waits for the end of so many upgraded connections: Caddy's own end
// races with theirs.
func (p *proxy) upgraded(n int) {
	p.t.Helper()
	p.eventually("the end of the connections", func() bool {
		ended := 0
		for line := range strings.Lines(p.Log.String()) {
			if strings.Contains(line, "http.log.access") && strings.Contains(line, `"status":101`) {
				ended++
			}
		}
		return ended == n
	})
}

// gRPC needs HTTP/2 on both sides, both directions at once, and trailers.
func TestTrailersAndStreamsPassBothWays(t *testing.T) {
	a := startAttackedSite(t)
	a.Upstream.respond(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Trailer", "Grpc-Status")
		w.WriteHeader(http.StatusOK)
		controller := http.NewResponseController(w)
		_ = controller.EnableFullDuplex()
		_ = controller.Flush()
		buffer := make([]byte, 100)
		for {
			n, err := r.Body.Read(buffer)
			_, _ = w.Write(buffer[:n])
			_ = controller.Flush()
			if err != nil {
				break
			}
		}
		w.Header().Set("Grpc-Status", "0 "+r.Trailer.Get("X-Sum"))
		w.Header().Set(http.TrailerPrefix+"Grpc-Message", "fine")
	})
	client := newH2C(t)
	for _, path := range []string{"/h2c", "/h2cplain"} {
		body, send := io.Pipe()
		req := a.request(t, http.MethodPost, path, body)
		req.Header.Set("Te", "trailers")
		req.Trailer = http.Header{"X-Sum": nil}
		resp := a.open(t, client, req)
		for _, message := range []string{"ping", "pong"} {
			_, _ = io.WriteString(send, message)
			echo := make([]byte, len(message))
			if _, err := io.ReadFull(resp.Body, echo); err != nil || string(echo) != message {
				t.Fatalf("%s: %q, %v", path, echo, err)
			}
		}
		req.Trailer.Set("X-Sum", "4711")
		send.Close()
		if rest, err := io.ReadAll(resp.Body); err != nil || len(rest) > 0 {
			t.Errorf("%s: %q, %v", path, rest, err)
		}
		if resp.Trailer.Get("Grpc-Status") != "0 4711" || resp.Trailer.Get("Grpc-Message") != "fine" {
			t.Errorf("%s: trailers %v", path, resp.Trailer)
		}
	}
}

// The upstream reads the beginning of a body before the client sends the end.
func TestRequestBodiesStream(t *testing.T) {
	a := startAttackedSite(t)
	beginning, whole := make(chan string), make(chan string, 1)
	a.Upstream.respond(func(_ http.ResponseWriter, r *http.Request) {
		first := make([]byte, 5)
		_, _ = io.ReadFull(r.Body, first)
		beginning <- string(first)
		rest, err := io.ReadAll(r.Body)
		whole <- fmt.Sprint(string(rest), err)
	})
	for version, client := range clients(t) {
		for _, path := range bothWays {
			body, send := io.Pipe()
			go func() {
				_, _ = io.WriteString(send, "first")
				_, _ = io.WriteString(send, " after "+<-beginning)
				send.Close()
			}()
			resp := a.open(t, client, a.request(t, http.MethodPost, path, body))
			if got := <-whole; got != " after first<nil>" || resp.StatusCode != http.StatusOK {
				t.Errorf("%s %s: status %d, body %q", version, path, resp.StatusCode, got)
			}
		}
	}
}

func TestExpectContinueWorksAsWithoutTokenVault(t *testing.T) {
	a := startAttackedSite(t)
	a.dropAccessLog(t)
	refuse := func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusExpectationFailed) }
	accept := func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) }
	for _, path := range []string{"/bearer", "/plain"} {
		a.Upstream.respond(refuse)
		if _, final := a.expectContinue(t, path, a.agent); final != "417 " {
			t.Errorf("%s, refused: %q", path, final)
		}
		a.Upstream.respond(accept)
		if continued, final := a.expectContinue(t, path, a.agent); !continued || final != "200 hello" {
			t.Errorf("%s, accepted: %v, %q", path, continued, final)
		}
	}
	a.Upstream.forget()
	continued, final := a.expectContinue(t, "/bearer", "unknown")
	if continued || !strings.HasPrefix(final, "401 ") || len(a.Upstream.requests()) > 0 {
		t.Errorf("a bad token: %v, %q", continued, final)
	}
}

// expectContinue sends a body when told to, or after a second, as clients do. It
// returns whether it was told to, and the final answer.
func (a *attack) expectContinue(t *testing.T, path, token string) (continued bool, final string) {
	t.Helper()
	conn := a.dial(t)
	defer conn.Close()
	authorization := ""
	if path != "/plain" {
		authorization = "Authorization: Bearer " + token + "\r\n"
	}
	_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\n%sExpect: 100-continue\r\nContent-Length: 5\r\n\r\n", a.URL+path, authorization)
	told, done := make(chan struct{}, 1), make(chan struct{})
	defer close(done)
	go func() {
		select {
		case <-told:
		case <-time.After(time.Second):
		case <-done:
			return
		}
		_, _ = io.WriteString(conn, "hello")
	}()
	reader := bufio.NewReader(conn)
	for {
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if resp.StatusCode == http.StatusContinue {
			continued = true
			told <- struct{}{}
			continue
		}
		body, _ := io.ReadAll(resp.Body)
		return continued, fmt.Sprint(resp.StatusCode, " ", string(body))
	}
}

// endless makes size bytes, and counts nothing else.
type endless struct{ left int64 }

func (e *endless) Read(p []byte) (int, error) {
	if e.left <= 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), e.left)
	e.left -= n
	return int(n), nil
}

// peakHeap runs f and returns by how much the heap grew meanwhile, at most.
func peakHeap(f func()) (growth uint64) {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	before := stats.HeapAlloc
	done := make(chan struct{})
	go func() { defer close(done); f() }()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return growth
		case <-tick.C:
			if runtime.ReadMemStats(&stats); stats.HeapAlloc > before {
				growth = max(growth, stats.HeapAlloc-before)
			}
		}
	}
}

const flat = 64 << 20 // far less than what passes through

func TestLargeBodiesPassInFlatMemory(t *testing.T) {
	a := startAttackedSite(t)
	a.Upstream.respond(func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Received", strconv.FormatInt(n, 10))
		if r.Method == http.MethodGet {
			_, _ = io.Copy(w, &endless{largeBody})
		}
	})
	growth := peakHeap(func() {
		resp := a.open(t, noRedirects, a.request(t, http.MethodGet, "/bearer", nil))
		if n, err := io.Copy(io.Discard, resp.Body); n != largeBody || err != nil {
			t.Errorf("downloaded %d bytes, %v", n, err)
		}
		for _, path := range []string{"/bearer", "/two"} {
			resp = a.open(t, noRedirects, a.request(t, http.MethodPost, path, &endless{largeBody}))
			if got := resp.Header.Get("X-Received"); got != strconv.Itoa(largeBody) {
				t.Errorf("uploaded %s bytes, status %d", got, resp.StatusCode)
			}
		}
	})
	if growth > flat {
		t.Errorf("the heap grew by %d MiB", growth>>20)
	}
}

func TestAClientThatHangsUpIsNoticedUpstream(t *testing.T) {
	a := startAttackedSite(t)
	gone := make(chan struct{})
	a.Upstream.respond(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		gone <- struct{}{}
	})
	for version, client := range clients(t) {
		for _, path := range bothWays {
			ctx, cancel := context.WithCancel(t.Context())
			a.open(t, client, a.request(t, http.MethodGet, path, nil).WithContext(ctx))
			cancel()
			select {
			case <-gone:
			case <-time.After(10 * time.Second):
				t.Fatalf("%s %s: the upstream still sends", version, path)
			}
		}
	}
}

// dropAccessLog is for upstreams that answer early: Caddy's access log reads how
// long a body is while it may still be read. Its transport for HTTP/2 upstreams
// races then as well.
func (a *attack) dropAccessLog(t *testing.T) {
	t.Helper()
	if err := a.tryLoad(strings.Replace(a.caddyfile(withH2C(t, a, attackedSite)), "\n\tlog\n", "\n", 1)); err != nil {
		t.Fatal(err)
	}
}

// An upstream that answers before it has read the body must not make the
// handler's trailers and the reading of the body race.
func TestEarlyAnswersAndLateTrailersDoNotRace(t *testing.T) {
	a := startAttackedSite(t)
	a.dropAccessLog(t)
	a.Upstream.respond(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) })
	client := newH2C(t)
	for i := range 50 {
		for _, path := range []string{"/bearer", "/two"} {
			conn := a.dial(t)
			_, _ = fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n\r\n5\r\nhello\r\n0\r\nX-Sum: 1\r\nX-Token: evil\r\n\r\n", a.URL+path, a.agent)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil || resp.StatusCode != http.StatusForbidden {
				t.Fatalf("%d %s: %v, %v", i, path, resp, err)
			}
			conn.Close()

			req := a.request(t, http.MethodPost, path, io.NopCloser(&endless{100_000}))
			req.Trailer = http.Header{"X-Sum": {"1"}}
			req.Header.Set("Authorization", "Bearer "+a.agent)
			if resp, err := client.Do(req); err == nil {
				_ = resp.Body.Close()
			}
		}
	}
}
