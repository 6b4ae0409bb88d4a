package caddymodule_test

import (
	"bufio"
	"compress/gzip"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// The provider refuses a token, and the vault has another by then: the user
// connected the account again, which the proxy does not know.

// retrySite has the handlers that Caddyfiles put around a proxy.
const retrySite = `
	header X-Before yes
	header +X-Added yes
	@safe path /safe*
	handle @safe {
		token_vault google-oauth2
		reverse_proxy {upstream}
	}
	handle /h2c {
		token_vault google-oauth2
		reverse_proxy {h2c}
	}
	handle /plain {
		request_header -Authorization
		reverse_proxy {upstream}
	}
	handle /routes* {
		token_vault google-oauth2
		handle_path /routes/a/* {
			rewrite * {path}?rewritten={path}
			reverse_proxy {upstream}
		}
		handle {
			respond "no other route matched"
		}
	}
	handle /headers {
		route {
			token_vault google-oauth2
			request_header X-Edited one onemore
			header +X-Added later
			header >X-Deferred yes
			header X-Before {http.request.header.X-Nothing}changed
			reverse_proxy {upstream} {
				header_down +X-Added down
			}
		}
	}
	handle /gzip/inside {
		token_vault google-oauth2
		encode gzip
		reverse_proxy {upstream}
	}
	handle /gzip/outside {
		route {
			encode gzip
			token_vault google-oauth2
			reverse_proxy {upstream}
		}
	}
	handle /intercept {
		route {
			intercept {
				@refused status 401
				replace_status @refused 503
			}
			token_vault google-oauth2
			intercept {
				@fine status 200
				replace_status @fine 203
			}
			reverse_proxy {upstream}
		}
	}
	handle /handled {
		token_vault google-oauth2
		reverse_proxy {upstream} {
			@refused status 401
			handle_response @refused {
				respond "the route's own answer" 403
			}
		}
	}
	handle /two {
		route {
			token_vault github
			token_vault google-oauth2
			reverse_proxy {upstream}
		}
	}
	handle /github {
		token_vault github
		reverse_proxy {upstream}
	}
`

// reconnected is a proxy whose users have connected their account again since the
// proxy got their tokens.
type reconnected struct {
	*attack
	agents []string // access tokens, one of each user
	old    []string // what the upstream got for each, and now refuses
}

func startReconnected(t *testing.T, users int) *reconnected {
	t.Helper()
	r := &reconnected{attack: &attack{proxy: newProxy(t, crowd(users))}}
	r.load(withH2C(t, r.attack, retrySite))
	for i := range users {
		r.reconnect(t, fmt.Sprintf("auth0|user%d", i))
	}
	r.Tenant.ClearRequests()
	r.Upstream.forget()
	return r
}

func (r *reconnected) reconnect(t *testing.T, user string) {
	t.Helper()
	r.connect(user, google, calendar)
	agent := r.token(user)
	if got := r.get("/safe", agent); got.Status != http.StatusOK {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	r.agents = append(r.agents, agent)
	r.old = append(r.old, r.Upstream.last(t).Header.Get("Authorization"))
	r.connect(user, google, calendar)
}

// respond sets what the upstream answers to old tokens and to all others.
func (r *reconnected) respond(refusal, answer http.HandlerFunc) {
	r.Upstream.respond(func(w http.ResponseWriter, req *http.Request) {
		if slices.Contains(r.old, req.Header.Get("Authorization")) {
			refusal(w, req)
			return
		}
		answer(w, req)
	})
}

// send makes a call and reads its answer.
func (r *reconnected) send(t *testing.T, client *http.Client, req *http.Request, agent string) (*http.Response, string) {
	t.Helper()
	req.Header.Set("Authorization", "Bearer "+agent)
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("status %d, body %.100q: %v", resp.StatusCode, body, err)
	}
	return resp, string(body)
}

// refuse is a 401 with all that an answer can have.
func refuse(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Link", "</early.css>; rel=preload")
	w.WriteHeader(http.StatusEarlyHints)
	w.Header().Del("Link")
	w.Header().Set("Trailer", "X-Old-Trailer")
	w.Header().Set("Www-Authenticate", `Bearer error="invalid_token"`)
	w.Header().Set("X-Old", "header")
	w.Header().Set("X-Both", "old")
	w.Header().Add("Set-Cookie", "old=1")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, "old body")
	_ = http.NewResponseController(w).Flush()
	w.Header().Set("X-Old-Trailer", "old")
	w.Header().Set(http.TrailerPrefix+"X-Old-Late", "old")
}

func accept(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Trailer", "X-New-Trailer")
	w.Header().Set("X-Both", "new")
	w.Header().Add("Set-Cookie", "new=1")
	_, _ = io.WriteString(w, "new body")
	_ = http.NewResponseController(w).Flush()
	w.Header().Set("X-New-Trailer", "new")
	w.Header().Set(http.TrailerPrefix+"X-New-Late", "new")
}

func TestARefusedCallGoesOnWithTheTokenThatTheVaultHasNow(t *testing.T) {
	r := startReconnected(t, 12)
	r.respond(refuse, accept)
	i := 0
	for version, client := range clients(t) {
		for _, path := range []string{"/safe", "/h2c"} {
			for _, method := range []string{http.MethodGet, http.MethodHead, http.MethodOptions} {
				where := fmt.Sprint(version, " ", path, " ", method)
				r.Upstream.forget()
				r.Tenant.ClearRequests()
				resp, body := r.send(t, client, r.request(t, method, path, nil), r.agents[i])
				want, trailer := "new body", "new"
				if method == http.MethodHead {
					want, trailer = "", ""
				}
				if resp.StatusCode != http.StatusOK || body != want {
					t.Errorf("%s: status %d, body %q", where, resp.StatusCode, body)
				}
				if method != http.MethodHead && (resp.Trailer.Get("X-New-Trailer") != trailer || resp.Trailer.Get("X-New-Late") != trailer) {
					t.Errorf("%s: trailers %v", where, resp.Trailer)
				}
				if all := fmt.Sprint(resp.Header, resp.Trailer); strings.Contains(strings.ToLower(all), "old") || resp.Header.Get("Www-Authenticate") != "" {
					t.Errorf("%s: of the refused answer: %s", where, all)
				}
				if got := resp.Header["Set-Cookie"]; !slices.Equal(got, []string{"new=1"}) || !slices.Equal(resp.Header["X-Both"], []string{"new"}) {
					t.Errorf("%s: %v", where, resp.Header)
				}
				if sent := r.Upstream.requests(); len(sent) != 2 || r.exchanges() != 1 {
					t.Errorf("%s: %d requests, %d exchanges", where, len(sent), r.exchanges())
				}
				i++
			}
		}
	}
	line := r.logLine("goes on with the one that the vault has now")
	if line["level"] != "info" || line["connection"] != google || line["user_id"] == "" {
		t.Errorf("%v", line)
	}
}

// Nothing of the request differs the second time but the token.
func TestTheSecondCallIsTheFirstWithAnotherToken(t *testing.T) {
	r := startReconnected(t, 1)
	r.respond(refuse, accept)
	req := r.request(t, http.MethodGet, "/headers?a=b&c", nil)
	req.Header["X-Edited"] = []string{"one", "two"}
	req.Header.Set("Cookie", "session=1")
	resp, body := r.send(t, noRedirects, req, r.agents[0])
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("status %d, body %s", resp.StatusCode, body)
	}
	sent := r.Upstream.requests()
	if len(sent) != 2 || sent[0].Header.Get("Authorization") == sent[1].Header.Get("Authorization") {
		t.Fatalf("%d requests", len(sent))
	}
	for _, s := range sent {
		s.Header.Del("Authorization")
	}
	if first, second := dump(sent[0]), dump(sent[1]); first != second || !strings.Contains(first, "[onemore two]") {
		t.Errorf("\n%s\n%s", first, second)
	}
}

func TestTheSecondAnswersHeadersAreThoseOfAFirst(t *testing.T) {
	r := startReconnected(t, 1)
	r.respond(refuse, accept)
	var got []string
	for range 2 { // the second call is not refused
		resp, _ := r.send(t, noRedirects, r.request(t, http.MethodGet, "/headers", nil), r.agents[0])
		resp.Header.Del("Date")
		got = append(got, fmt.Sprint(resp.StatusCode, resp.Header))
	}
	if got[0] != got[1] || !strings.Contains(got[0], "X-Added:[yes later down]") {
		t.Errorf("\n%s\n%s", got[0], got[1])
	}
}

// Rewrites and groups of routes behind the handler begin anew.
func TestTheSecondCallTakesTheSameRoute(t *testing.T) {
	r := startReconnected(t, 1)
	r.respond(refuse, accept)
	resp, body := r.send(t, noRedirects, r.request(t, http.MethodGet, "/routes/a/x", nil), r.agents[0])
	if resp.StatusCode != http.StatusOK || body != "new body" {
		t.Errorf("status %d, body %q", resp.StatusCode, body)
	}
	for _, sent := range r.Upstream.requests() {
		if sent.RequestURI != "/x?rewritten=%2Fx" {
			t.Errorf("%s %s", sent.Method, sent.RequestURI)
		}
	}
}

func TestEarlyHintsBeforeARefusalPass(t *testing.T) {
	r := startReconnected(t, 1)
	r.respond(refuse, accept)
	var early []string
	req := r.request(t, http.MethodGet, "/safe", nil)
	req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(_ int, h textproto.MIMEHeader) error {
			early = append(early, h.Get("Link"))
			return nil
		},
	}))
	if resp, _ := r.send(t, noRedirects, req, r.agents[0]); resp.StatusCode != http.StatusOK || len(early) != 1 || early[0] == "" {
		t.Errorf("status %d, early %q", resp.StatusCode, early)
	}
}

func TestACallThatCannotBeRepeatedPasses401(t *testing.T) {
	cases := []struct {
		method string
		body   io.Reader
	}{
		{http.MethodPost, nil},
		{http.MethodPost, strings.NewReader("body")},
		{http.MethodPut, strings.NewReader("body")},
		{http.MethodPatch, nil},
		{http.MethodDelete, nil},
		{"PROPFIND", nil},
		{http.MethodGet, strings.NewReader("body")},
		{http.MethodGet, io.MultiReader(strings.NewReader("chunked"))},
		{http.MethodOptions, strings.NewReader("body")},
	}
	r := startReconnected(t, len(cases))
	r.respond(refuse, accept)
	for i, c := range cases {
		r.Upstream.forget()
		resp, body := r.send(t, noRedirects, r.request(t, c.method, "/safe", c.body), r.agents[i])
		if resp.StatusCode != http.StatusUnauthorized || body != "old body" || resp.Trailer.Get("X-Old-Trailer") == "" || resp.Header.Get("X-Old") == "" {
			t.Errorf("%s: status %d, body %q, %v", c.method, resp.StatusCode, body, resp.Header)
		}
		if n := len(r.Upstream.requests()); n != 1 {
			t.Errorf("%s: %d requests", c.method, n)
		}
		if got := r.get("/safe", r.agents[i]); got.Status != http.StatusOK || len(r.Upstream.requests()) != 2 {
			t.Errorf("%s: the next one: status %d, %d requests", c.method, got.Status, len(r.Upstream.requests()))
		}
	}
}

// passesUnchanged compares a 401 with what the agent gets without the handler.
func (r *reconnected) passesUnchanged(t *testing.T, agent string) {
	t.Helper()
	var got []string
	for _, path := range []string{"/safe", "/plain"} {
		resp, body := r.send(t, noRedirects, r.request(t, http.MethodGet, path, nil), agent)
		resp.Header.Del("Date")
		names := slices.Sorted(maps.Keys(resp.Header))
		got = append(got, fmt.Sprint(resp.StatusCode, names, resp.Header, resp.Trailer, body))
	}
	if got[0] != got[1] || !strings.HasPrefix(got[0], "401") {
		t.Errorf("\n%s\n%s", got[0], got[1])
	}
}

func TestATokenThatTheVaultGivesAgainIsNotSentAgain(t *testing.T) {
	r := startReconnected(t, 0)
	r.connect(alice, google, calendar)
	agent := r.token(alice)
	r.Upstream.respond(refuse)
	r.passesUnchanged(t, agent)
	for _, got := range r.together(20, func(int) string { return agent }, "/safe") {
		if got.Status != http.StatusUnauthorized || got.code() != "" || got.Body != "old body" {
			t.Errorf("status %d, %v", got.Status, got.Header)
		}
	}
	if n, sent := r.exchanges(), len(r.Upstream.requests()); n != 2 || sent != 22 {
		t.Errorf("%d exchanges, want the first and one after the first 401; %d requests", n, sent)
	}
	r.logLine("the vault has no other")
}

// What the vault says instead of a token is for the next call to tell.
func TestTheRefusalPassesIfTheVaultHasNoToken(t *testing.T) {
	for name, arrange := range map[string]func(*reconnected){
		"link_required":     func(r *reconnected) { _ = r.Tenant.Disconnect("auth0|user0", google) },
		"relink_required":   func(r *reconnected) { _ = r.Tenant.Revoke("auth0|user0", google) },
		"vault_unavailable": func(r *reconnected) { r.exchangeFault(auth0test.Fault{Status: new(500)}) },
		"scope_required":    func(r *reconnected) { r.connect("auth0|user0", google, "openid") },
	} {
		t.Run(name, func(t *testing.T) {
			r := startReconnected(t, 1)
			r.load(strings.Replace(retrySite, "token_vault google-oauth2\n", "token_vault google-oauth2 {\n scopes "+calendar+"\n}\n", 1))
			r.Upstream.respond(refuse)
			arrange(r)
			r.passesUnchanged(t, r.agents[0])
			got := r.get("/safe", r.agents[0])
			if name == "vault_unavailable" { // the token may be good, and serves on
				if got.Status != http.StatusUnauthorized || got.code() != "" {
					t.Errorf("the next one: status %d, %s", got.Status, got.Body)
				}
			} else if got.code() != name {
				t.Errorf("the next one: status %d, %s", got.Status, got.Body)
			}
		})
	}
}

// The agent's token is looked at again before anything is asked with it.
func TestACallWhoseTokenEndedMeanwhileDoesNotGoOn(t *testing.T) {
	r := startReconnected(t, 1)
	agent := r.token("auth0|user0", func(req *auth0test.TokenRequest) { req.ExpiresIn = new(2) })
	expired := time.Now().Add(2 * time.Second)
	r.respond(func(w http.ResponseWriter, req *http.Request) {
		time.Sleep(time.Until(expired))
		refuse(w, req)
	}, accept)
	if resp, body := r.send(t, noRedirects, r.request(t, http.MethodGet, "/safe", nil), agent); resp.StatusCode != http.StatusUnauthorized || body != "old body" {
		t.Errorf("status %d, body %q", resp.StatusCode, body)
	}
	if n, sent := r.exchanges(), len(r.Upstream.requests()); n != 0 || sent != 1 {
		t.Errorf("%d exchanges, %d requests", n, sent)
	}
}

func TestARefusalWithoutEndDoesNotHangAnybody(t *testing.T) {
	for name, body := range map[string]http.HandlerFunc{
		"endless": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, strings.Repeat("old", 1000))
			}
		},
		"trickling": func(w http.ResponseWriter, r *http.Request) {
			for r.Context().Err() == nil {
				_, _ = io.WriteString(w, "old")
				_ = http.NewResponseController(w).Flush()
				time.Sleep(10 * time.Millisecond)
			}
		},
		"cut off": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "old")
			_ = http.NewResponseController(w).Flush()
			panic(http.ErrAbortHandler)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := startReconnected(t, 3)
			r.respond(func(w http.ResponseWriter, req *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
				body(w, req)
			}, accept)
			// On a connection that is used again, a client repeats by itself what is cut off.
			once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
			for i, path := range []string{"/safe", "/h2c", "/gzip/inside"} {
				resp, got := r.send(t, once, r.request(t, http.MethodGet, path, nil), r.agents[i])
				if resp.StatusCode != http.StatusOK || got != "new body" {
					t.Errorf("%s: status %d, body %.100q", path, resp.StatusCode, got)
				}
			}
			if n := len(r.Upstream.requests()); n != 6 {
				t.Errorf("%d requests", n)
			}
			if name == "endless" && !strings.Contains(r.Log.String(), "the provider's 401 is discarded") {
				t.Error("it was taken for as long as it came")
			}
		})
	}
}

func TestARefusalThatPassesIsStreamed(t *testing.T) {
	r := startReconnected(t, 0)
	r.connect(alice, google, calendar)
	goOn := make(chan struct{})
	r.Upstream.respond(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "one")
		_ = http.NewResponseController(w).Flush()
		<-goOn
		_, _ = io.WriteString(w, "two")
	})
	req := r.request(t, http.MethodGet, "/safe", nil)
	req.Header.Set("Authorization", "Bearer "+r.token(alice))
	resp, err := noRedirects.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	first := make([]byte, 3)
	if _, err := io.ReadFull(resp.Body, first); err != nil || string(first) != "one" || resp.StatusCode != http.StatusUnauthorized {
		t.Errorf("status %d, %q, %v", resp.StatusCode, first, err)
	}
	close(goOn)
	if rest, err := io.ReadAll(resp.Body); err != nil || string(rest) != "two" {
		t.Errorf("%q, %v", rest, err)
	}
}

func TestCallsThatAreRefusedTogetherShareOneExchange(t *testing.T) {
	const calls = 10
	r := startReconnected(t, 1)
	var arrived sync.WaitGroup
	arrived.Add(calls)
	r.respond(func(w http.ResponseWriter, req *http.Request) {
		arrived.Done()
		arrived.Wait()
		refuse(w, req)
	}, accept)
	for _, got := range r.together(calls, func(int) string { return r.agents[0] }, "/safe") {
		if got.Status != http.StatusOK || got.Body != "new body" {
			t.Errorf("status %d, body %q", got.Status, got.Body)
		}
	}
	if n, sent := r.exchanges(), len(r.Upstream.requests()); n != 1 || sent != 2*calls {
		t.Errorf("%d exchanges, %d requests", n, sent)
	}
}

// Whoever sent the token answers for it.
func TestARefusalIsAMatterOfTheInnerHandler(t *testing.T) {
	for _, method := range []string{http.MethodGet, http.MethodPost} {
		r := startReconnected(t, 1)
		r.connect("auth0|user0", "github", "repo")
		r.get("/github", r.agents[0])
		r.Tenant.ClearRequests()
		r.respond(refuse, accept)
		resp, _ := r.send(t, noRedirects, r.request(t, method, "/two", nil), r.agents[0])
		want := map[string]int{http.MethodGet: http.StatusOK, http.MethodPost: http.StatusUnauthorized}[method]
		if resp.StatusCode != want {
			t.Errorf("%s: status %d", method, resp.StatusCode)
		}
		r.get("/safe", r.agents[0])
		if n := r.exchanges(); n != 1 {
			t.Errorf("%s: %d exchanges, want one for the inner handler's token", method, n)
		}
		if got := r.get("/github", r.agents[0]); got.Status != http.StatusOK || r.exchanges() != 1 {
			t.Errorf("%s: status %d, %d exchanges: the outer handler's token was dropped", method, got.Status, r.exchanges())
		}
	}
}

// A second 401 passes, and costs nothing more.
func TestACallGoesOnOnlyOnce(t *testing.T) {
	r := startReconnected(t, 1)
	r.Upstream.respond(refuse)
	r.passesUnchanged(t, r.agents[0])
	if n, sent := r.exchanges(), len(r.Upstream.requests()); n != 1 || sent != 3 {
		t.Errorf("%d exchanges, %d requests", n, sent)
	}
}

func TestTheSecondAnswerIsCompressed(t *testing.T) {
	r := startReconnected(t, 2)
	long := func(word string, status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/plain")
			w.Header().Set("Etag", `"`+word+`"`)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, strings.Repeat(word, 1000))
		}
	}
	r.respond(long("old", http.StatusUnauthorized), long("new", http.StatusOK))
	for i, path := range []string{"/gzip/inside", "/gzip/outside"} {
		req := r.request(t, http.MethodGet, path, nil)
		req.Header.Set("Accept-Encoding", "gzip")
		resp, body := r.send(t, noRedirects, req, r.agents[i])
		unzipped, err := gzip.NewReader(strings.NewReader(body))
		if err != nil {
			t.Fatalf("%s: status %d, %v, %v", path, resp.StatusCode, resp.Header, err)
		}
		text, err := io.ReadAll(unzipped)
		if err != nil || string(text) != strings.Repeat("new", 1000) || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: status %d, %.20q, %v", path, resp.StatusCode, text, err)
		}
		if got := resp.Header["Vary"]; !slices.Equal(got, []string{"Accept-Encoding"}) {
			t.Errorf("%s: Vary %q", path, got)
		}
	}
}

func TestInterceptSeesTheSecondAnswer(t *testing.T) {
	r := startReconnected(t, 1)
	r.respond(refuse, accept)
	if resp, body := r.send(t, noRedirects, r.request(t, http.MethodGet, "/intercept", nil), r.agents[0]); resp.StatusCode != http.StatusNonAuthoritativeInfo || body != "new body" {
		t.Errorf("status %d, body %q", resp.StatusCode, body)
	}
}

// What the route makes of a 401 is no 401.
func TestARefusalThatTheRouteHandlesPasses(t *testing.T) {
	r := startReconnected(t, 1)
	r.respond(refuse, accept)
	if got := r.get("/handled", r.agents[0]); got.Status != http.StatusForbidden || len(r.Upstream.requests()) != 1 {
		t.Errorf("status %d, %d requests", got.Status, len(r.Upstream.requests()))
	}
}

func TestAWebSocketThatIsRefusedGoesOn(t *testing.T) {
	r := startReconnected(t, 1)
	r.respond(refuse, upgrade)
	conn := r.dial(t)
	_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", r.URL+"/safe", r.agents[0])
	reader := bufio.NewReader(conn)
	resp, err := http.ReadResponse(reader, nil)
	for err == nil && resp.StatusCode == http.StatusEarlyHints {
		resp, err = http.ReadResponse(reader, nil)
	}
	if err != nil || resp.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%v, %v", resp, err)
	}
	go func() { _, _ = io.WriteString(conn, "hello") }()
	echo := make([]byte, 5)
	if _, err := io.ReadFull(reader, echo); err != nil || string(echo) != "hello" {
		t.Errorf("%q, %v", echo, err)
	}
	conn.Close()
	r.upgraded(1)
}

// An upstream that dies the second time is an error like any other, and the
// error's routes see neither token.
func TestAFailureOfTheSecondCallIsItsAnswer(t *testing.T) {
	r := startReconnected(t, 1)
	errorPage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = fmt.Fprint(w, req.Header, req.URL)
	}))
	t.Cleanup(errorPage.Close)
	r.load(strings.Replace(retrySite, "{h2c}", "{upstream}", 1) + "\nhandle_errors {\nreverse_proxy " + errorPage.URL + "\n}")
	r.respond(refuse, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	resp, body := r.send(t, noRedirects, r.request(t, http.MethodGet, "/safe?x", nil), r.agents[0])
	if strings.Contains(body, "ya29.") || strings.Contains(body, "Bearer") || !strings.Contains(body, "/safe?x") || resp.Header.Get("X-Old") != "" {
		t.Errorf("status %d, %v, body %s", resp.StatusCode, resp.Header, body)
	}
}

// A handler may make another request of what came.
func TestACallThatGoesOnAsAnotherMethodIsNotRepeated(t *testing.T) {
	r := startReconnected(t, 1)
	r.load("route {\ntoken_vault google-oauth2\nmethod POST\nreverse_proxy {upstream}\n}")
	r.Upstream.respond(refuse)
	before := len(r.Upstream.requests())
	if got := r.get("/safe", r.agents[0]); got.Status != http.StatusUnauthorized {
		t.Errorf("status %d", got.Status)
	}
	if n := len(r.Upstream.requests()) - before; n != 1 {
		t.Errorf("it was sent %d times", n)
	}
}
