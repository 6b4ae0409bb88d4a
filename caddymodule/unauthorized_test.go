package caddymodule_test

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"testing"
)

// The provider refuses a token, and the vault has another by then: the user
// connected the account again, which the proxy does not know. The refusal passes,
// and the next call asks the vault, whatever the route makes of a 401.

const refusedSite = `
	handle /plain {
		request_header -Authorization
		reverse_proxy {upstream}
	}
	handle /passed {
		token_vault google-oauth2
		reverse_proxy {upstream}
	}
	handle /replace_status {
		token_vault google-oauth2
		reverse_proxy {upstream} {
			@refused status 401
			replace_status @refused 503
		}
	}
	handle /handle_response {
		token_vault google-oauth2
		reverse_proxy {upstream} {
			@refused status 401
			handle_response @refused {
				respond "the route's own answer" 403
			}
		}
	}
	handle /handle_response/error {
		token_vault google-oauth2
		reverse_proxy {upstream} {
			@refused status 401
			handle_response @refused {
				error "refused" 502
			}
		}
	}
	handle /intercept/replace_status {
		route {
			token_vault google-oauth2
			intercept {
				@refused status 401
				replace_status @refused 503
			}
			reverse_proxy {upstream}
		}
	}
	handle /intercept/handle_response {
		route {
			token_vault google-oauth2
			intercept {
				@refused status 401
				handle_response @refused {
					respond "the route's own answer" 200
				}
			}
			reverse_proxy {upstream}
		}
	}
	handle /intercept/error {
		route {
			token_vault google-oauth2
			intercept {
				@refused status 401
				handle_response @refused {
					error "refused" 502
				}
			}
			reverse_proxy {upstream}
		}
	}
	handle /lb_retry_match {
		token_vault google-oauth2
		reverse_proxy {upstream} {
			lb_retries 2
			lb_retry_match ` + "`{rp.status_code} == 401`" + `
		}
	}
	handle /lb_retry_match/handle_errors {
		token_vault google-oauth2
		reverse_proxy {upstream} {
			lb_retries 1
			lb_retry_match ` + "`{rp.status_code} == 401`" + `
		}
	}
	handle /respond {
		token_vault google-oauth2
		respond "not the provider" 401
	}
	handle /error {
		token_vault google-oauth2
		error "not the provider" 401
	}
	handle /error/handle_errors {
		token_vault google-oauth2
		error "not the provider" 401
	}
	handle /encode {
		route {
			encode gzip
			token_vault google-oauth2
			reverse_proxy {upstream}
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
	handle_errors {
		@rewritten path */handle_errors
		respond @rewritten "the error page" 200
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
	r.load(refusedSite)
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
	if got := r.get("/passed", agent); got.Status != http.StatusOK {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	r.agents = append(r.agents, agent)
	r.old = append(r.old, r.Upstream.last(t).Header.Get("Authorization"))
	r.connect(user, google, calendar)
}

// refuse sets what the upstream answers to old tokens.
func (r *reconnected) refuse(refusal http.HandlerFunc) {
	r.Upstream.respond(func(w http.ResponseWriter, req *http.Request) {
		if slices.Contains(r.old, req.Header.Get("Authorization")) || req.Header.Get("Authorization") == "" {
			refusal(w, req)
			return
		}
		_, _ = io.WriteString(w, "welcome")
	})
}

// wantNews checks that the next call goes on with a token that the vault was asked
// for, once.
func (r *reconnected) wantNews(t *testing.T, where, agent string) {
	t.Helper()
	r.Upstream.forget()
	got := r.get("/passed", agent)
	if sent := len(r.Upstream.requests()); got.Status != http.StatusOK || got.Body != "welcome" || sent != 1 || r.exchanges() != 1 {
		t.Errorf("%s: the next call: status %d, body %s, sent %d times, %d exchanges", where, got.Status, got.Body, sent, r.exchanges())
	}
	r.Tenant.ClearRequests()
}

// refusal is a 401 with all that an answer can have.
func refusal(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Link", "</early.css>; rel=preload")
	w.WriteHeader(http.StatusEarlyHints)
	w.Header().Del("Link")
	w.Header().Set("Trailer", "X-Announced")
	w.Header().Set("Www-Authenticate", `Bearer error="invalid_token"`)
	w.Header().Add("Set-Cookie", "session=")
	w.WriteHeader(http.StatusUnauthorized)
	_, _ = io.WriteString(w, "refused")
	_ = http.NewResponseController(w).Flush()
	w.Header().Set("X-Announced", "yes")
	w.Header().Set(http.TrailerPrefix+"X-Late", "yes")
}

func TestARefusedTokenIsDroppedWhateverTheRouteMakesOfA401(t *testing.T) {
	routes := []struct {
		path         string
		status, sent int // to the agent; to the upstream, by the operator's own will more than once
	}{
		{"/passed", 401, 1},
		{"/replace_status", 503, 1},
		{"/handle_response", 403, 1},
		{"/handle_response/error", 502, 1},
		{"/intercept/replace_status", 503, 1},
		{"/intercept/handle_response", 200, 1},
		{"/intercept/error", 502, 1},
		{"/lb_retry_match", 401, 3},
		{"/lb_retry_match/handle_errors", 200, 2},
		{"/respond", 401, 0},
		{"/error", 401, 0},
		{"/error/handle_errors", 200, 0},
		{"/encode", 401, 1},
	}
	r := startReconnected(t, len(routes))
	r.refuse(refusal)
	for i, route := range routes {
		r.Upstream.forget()
		got := r.get(route.path, r.agents[i])
		if sent := len(r.Upstream.requests()); got.Status != route.status || got.code() != "" || sent != route.sent || r.exchanges() != 0 {
			t.Errorf("%s: status %d, %v, sent %d times, %d exchanges", route.path, got.Status, got.Header, sent, r.exchanges())
		}
		r.wantNews(t, route.path, r.agents[i])
	}
	line := r.logLine("the provider refuses its own token")
	if line["level"] != "info" || line["connection"] != google || line["user_id"] != "auth0|user0" {
		t.Errorf("%v", line)
	}
}

// Whoever has a 401's header can have called again before its body has ended.
func TestARefusedTokenIsDroppedBeforeTheAnswerHasEnded(t *testing.T) {
	paths := []string{"/passed", "/replace_status", "/handle_response"}
	r := startReconnected(t, len(paths))
	for i, path := range paths {
		goOn := make(chan struct{})
		r.refuse(func(w http.ResponseWriter, req *http.Request) {
			w.WriteHeader(http.StatusUnauthorized)
			_, _ = io.WriteString(w, "one")
			_ = http.NewResponseController(w).Flush()
			select {
			case <-goOn:
			case <-req.Context().Done():
			}
			_, _ = io.WriteString(w, "two")
		})
		r.agent = r.agents[i]
		resp := r.open(t, noRedirects, r.request(t, http.MethodGet, path, nil))
		r.wantNews(t, path, r.agents[i])
		close(goOn)
		if body, err := io.ReadAll(resp.Body); err != nil || path != "/handle_response" && string(body) != "onetwo" {
			t.Errorf("%s: %q, %v", path, body, err)
		}
	}
}

// A body that breaks off ends the route's handlers by a panic.
func TestARefusedTokenIsDroppedThoughTheAnswerBreaksOff(t *testing.T) {
	paths := []string{"/passed", "/replace_status", "/intercept/replace_status"}
	r := startReconnected(t, len(paths))
	r.refuse(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, "one")
		_ = http.NewResponseController(w).Flush()
		panic(http.ErrAbortHandler)
	})
	// A connection that is new is not tried again by the client itself.
	once := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	for i, path := range paths {
		r.Upstream.forget()
		req := r.request(t, http.MethodGet, path, nil)
		req.Header.Set("Authorization", "Bearer "+r.agents[i])
		if resp, err := once.Do(req); err == nil {
			_, err = io.ReadAll(resp.Body)
			resp.Body.Close()
			if err == nil {
				t.Errorf("%s: status %d, and the body is whole", path, resp.StatusCode)
			}
		}
		if sent := len(r.Upstream.requests()); sent != 1 {
			t.Errorf("%s: it was sent %d times", path, sent)
		}
		r.wantNews(t, path, r.agents[i])
	}
}

// Nothing that the agent gets differs from what it gets without the handler.
func TestARefusalPassesAndIsSentOnce(t *testing.T) {
	methods := []string{"GET", "HEAD", "OPTIONS", "POST", "PUT", "DELETE"}
	r := startReconnected(t, 2*len(methods))
	r.refuse(refusal)
	i := 0
	for version, client := range clients(t) {
		for _, method := range methods {
			where := version + " " + method
			r.agent = r.agents[i]
			var got []string
			for _, path := range []string{"/passed", "/plain"} {
				r.Upstream.forget()
				early := 0
				req := r.request(t, method, path, nil)
				req = req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
					Got1xxResponse: func(int, textproto.MIMEHeader) error { early++; return nil },
				}))
				resp := r.open(t, client, req)
				body, err := io.ReadAll(resp.Body)
				if err != nil {
					t.Fatal(err)
				}
				resp.Header.Del("Date")
				names := slices.Sorted(maps.Keys(resp.Header))
				got = append(got, fmt.Sprint(resp.StatusCode, early, names, resp.Header, resp.Trailer, string(body)))
				if sent := len(r.Upstream.requests()); sent != 1 {
					t.Errorf("%s %s: it was sent %d times", where, path, sent)
				}
			}
			if got[0] != got[1] || !strings.HasPrefix(got[0], "401 1 ") {
				t.Errorf("%s:\n%s\n%s", where, got[0], got[1])
			}
			r.wantNews(t, where, r.agent)
			i++
		}
	}
}

// A token that the vault gives again is refused again, and costs no exchange more.
func TestATokenThatTheVaultGivesAgainCostsOneExchangeAMinute(t *testing.T) {
	r := startReconnected(t, 1)
	r.Upstream.respond(refusal)
	for _, path := range []string{"/passed", "/replace_status", "/handle_response/error", "/lb_retry_match", "/passed"} {
		r.get(path, r.agents[0])
	}
	if n := r.exchanges(); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}

// Whoever sent the token answers for it.
func TestARefusalIsAMatterOfTheInnerHandler(t *testing.T) {
	r := startReconnected(t, 1)
	agent := r.agents[0]
	r.connect("auth0|user0", "github", "repo")
	r.get("/github", agent)
	r.Tenant.ClearRequests()
	r.refuse(refusal)
	if got := r.get("/two", agent); got.Status != http.StatusUnauthorized {
		t.Errorf("status %d", got.Status)
	}
	r.wantNews(t, "/two", agent)
	if got := r.get("/github", agent); got.Status != http.StatusOK || r.exchanges() != 0 {
		t.Errorf("status %d, %d exchanges: the outer handler's token was dropped", got.Status, r.exchanges())
	}
}

// The outer handler's provider was asked before the inner one had its turn.
func TestARefusalBeforeTheInnerHandlerIsTheOuterOnes(t *testing.T) {
	for inner, status := range map[string]int{"connected": http.StatusOK, "not connected": http.StatusUnauthorized} {
		r := startReconnected(t, 1)
		r.load(refusedSite + `
		handle /fallback {
			token_vault google-oauth2
			reverse_proxy {upstream} {
				@refused status 401
				handle_response @refused {
					token_vault github
					reverse_proxy {upstream}
				}
			}
		}`)
		if inner == "connected" {
			r.connect("auth0|user0", "github", "repo")
		}
		r.refuse(refusal)
		if got := r.get("/fallback", r.agents[0]); got.Status != status {
			t.Errorf("%s: status %d, %s", inner, got.Status, got.Body)
		}
		r.Tenant.ClearRequests()
		r.wantNews(t, inner, r.agents[0])
	}
}

// Of several proxies behind one handler the last one's answer counts: what the
// README says.
func TestOfTwoProxiesTheLastCounts(t *testing.T) {
	other := newUpstream(t)
	r := startReconnected(t, 1)
	r.load(refusedSite + strings.ReplaceAll(`
	handle /last {
		token_vault google-oauth2
		reverse_proxy {upstream} {
			handle_response {
				reverse_proxy {other} {
					header_up -Authorization
				}
			}
		}
	}`, "{other}", other.URL))
	r.refuse(refusal)
	if got := r.get("/last", r.agents[0]); got.Status != http.StatusOK {
		t.Errorf("status %d", got.Status)
	}
	if got := r.get("/last", r.agents[0]); got.Status != http.StatusOK || r.exchanges() != 0 {
		t.Errorf("status %d, %d exchanges", got.Status, r.exchanges())
	}
	r.refuse(func(http.ResponseWriter, *http.Request) {})
	other.respond(refusal)
	if got := r.get("/last", r.agents[0]); got.Status != http.StatusUnauthorized {
		t.Errorf("status %d", got.Status)
	}
	r.wantNews(t, "/last", r.agents[0])
}

// What somebody else refused before the token was sent anywhere is not about it.
func TestARefusalBeforeTheHandlerCostsNoToken(t *testing.T) {
	r := startReconnected(t, 1)
	r.load(refusedSite + `
	handle /before {
		route {
			reverse_proxy {upstream} {
				@refused status 401
				handle_response @refused {
				}
			}
			token_vault google-oauth2
			respond "no proxy at all"
		}
	}`)
	r.Upstream.respond(refusal)
	for range 2 {
		if got := r.get("/before", r.agents[0]); got.Body != "no proxy at all" || r.exchanges() != 0 {
			t.Errorf("status %d, body %s, %d exchanges", got.Status, got.Body, r.exchanges())
		}
	}
}
