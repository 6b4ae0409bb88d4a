package caddymodule_test

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

// What an agent may try to get a credential of its own past the handler, or the
// provider's to where it does not belong. Requests are written to the socket as
// they stand, since net/http's client would tidy them up.

// attack is a proxy in front of an account that is connected, with the tokens
// that the upstream must and must not see.
type attack struct {
	*proxy
	agent, google, github string
}

// attackedSite has a route for every way to attach a token. {h2c} is the
// upstream over HTTP/2.
const attackedSite = `
	handle /bearer* {
		token_vault google-oauth2
		reverse_proxy {upstream}
	}
	handle /github* {
		token_vault github
		reverse_proxy {upstream}
	}
	handle /h2c* {
		token_vault google-oauth2
		reverse_proxy {h2c}
	}
	handle /key* {
		token_vault google-oauth2 {
			attach header X-Api-Key
		}
		reverse_proxy {upstream}
	}
	handle /prefix* {
		token_vault google-oauth2 {
			attach header X-Token Prefix
		}
		reverse_proxy {upstream}
	}
	handle /basic* {
		token_vault google-oauth2 {
			attach basic user
		}
		reverse_proxy {upstream}
	}
	handle /two* {
		route {
			token_vault google-oauth2 {
				attach header X-Api-Key
			}
			token_vault github {
				attach header X-Token Prefix
			}
			reverse_proxy {upstream}
		}
	}
	handle /plain* {
		reverse_proxy {upstream}
	}
	handle /h2cplain* {
		reverse_proxy {h2c}
	}
`

// route is how the token of a route arrives.
type route struct {
	path, header string
	value        func(*attack) string
}

var routes = []route{
	{"/bearer", "Authorization", func(a *attack) string { return "Bearer " + a.google }},
	{"/h2c", "Authorization", func(a *attack) string { return "Bearer " + a.google }},
	{"/key", "X-Api-Key", func(a *attack) string { return a.google }},
	{"/prefix", "X-Token", func(a *attack) string { return "Prefix " + a.google }},
	{"/basic", "Authorization", func(a *attack) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("user:"+a.google))
	}},
	{"/two", "X-Token", func(a *attack) string { return "Prefix " + a.github }},
}

func startAttack(t *testing.T, site string, tenantLines ...string) *attack {
	t.Helper()
	a := &attack{proxy: newProxy(t)}
	a.load(withH2C(t, a, site), tenantLines...)
	a.connect(alice, google, calendar)
	a.connect(alice, "github", "repo")
	a.agent = a.token(alice)
	return a
}

// withH2C fills in {h2c}.
func withH2C(t *testing.T, a *attack, site string) string {
	h2c := httptest.NewUnstartedServer(a.Upstream)
	h2c.Config.Protocols = h2cOnly()
	h2c.Start()
	t.Cleanup(h2c.Close)
	return strings.ReplaceAll(site, "{h2c}", "h2c://"+h2c.Listener.Addr().String())
}

// startAttackedSite runs the routes above and finds out the provider's tokens.
func startAttackedSite(t *testing.T) *attack {
	t.Helper()
	a := startAttack(t, attackedSite)
	a.get("/bearer", a.agent)
	a.google = providerToken(t, a.Upstream.last(t))
	a.get("/github", a.agent)
	a.github = providerToken(t, a.Upstream.last(t))
	a.Upstream.forget()
	return a
}

func h2cOnly() *http.Protocols {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return p
}

// newH2C returns a client that speaks HTTP/2 without TLS.
func newH2C(t *testing.T) *http.Client {
	transport := &http.Transport{Protocols: h2cOnly()}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, CheckRedirect: noRedirects.CheckRedirect}
}

// forget makes room for the next case.
func (u *upstream) forget() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.seen = nil
}

// providerToken returns the token that the stand-in providers made up.
func providerToken(t *testing.T, r *http.Request) string {
	t.Helper()
	token := regexp.MustCompile(`(ya29\.|ghu_)[\w-]{40}`).FindString(r.Header.Get("Authorization"))
	if token == "" {
		t.Fatalf("no provider's token in %v", r.Header)
	}
	return token
}

// send writes a request as it stands, {token} and {host} filled in, and reads
// the answer. Lines end with CRLF.
func (a *attack) send(t *testing.T, lines ...string) *reply {
	t.Helper()
	conn := a.dial(t)
	defer conn.Close()
	text := strings.Join(lines, "\r\n") + "\r\n\r\n"
	text = strings.NewReplacer("{token}", a.agent, "{host}", strings.TrimPrefix(a.URL, "http://")).Replace(text)
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return &reply{resp.StatusCode, resp.Header, string(body)}
}

// dial opens a connection to Caddy that no test waits on for long.
func (a *attack) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(a.URL, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	return conn
}

// dump is all that an upstream got, as text.
func dump(r *http.Request) string {
	return fmt.Sprint(r.Method, " ", r.RequestURI, " ", r.Host, " ", r.Header, " trailers ", r.Trailer)
}

// checkCredential demands that the upstream's last request carries the route's
// credential in its one place, and nothing that the test calls evil.
func (a *attack) checkCredential(t *testing.T, to route) {
	t.Helper()
	got := a.Upstream.last(t)
	text := dump(got)
	if strings.Contains(text, a.agent) {
		t.Errorf("the agent's token reached the upstream: %s", text)
	}
	if strings.Contains(text, "evil") {
		t.Errorf("a credential of the agent's reached the upstream: %s", text)
	}
	if sent := got.Header[to.header]; !slices.Equal(sent, []string{to.value(a)}) {
		t.Errorf("%s %q, want only %q", to.header, sent, to.value(a))
	}
	for _, name := range credentialNames {
		if sent := got.Header[name]; name != to.header && len(sent) > 0 {
			t.Errorf("%s %q beside %s", name, sent, to.header)
		}
	}
}

var credentialNames = []string{"Authorization", "X-Api-Key", "X-Token", "Dpop", "Proxy-Authorization"}

func TestSmuggledHeadersNeverReachTheUpstream(t *testing.T) {
	a := startAttackedSite(t)
	for _, to := range routes {
		for _, lines := range [][]string{
			{"X-Nothing: fine"},
			{"Proxy-Authorization: Basic evil"},
			{"proxy_authorization: Basic evil"},
			{"Proxy.Authorization: Basic evil"},
			{"DPoP: evil"},
			{"dpop: evil", "DPOP: evil"},
			{"X-Copy: {token}"},
			{"X-Copy: fine", "X-Copy: Bearer {token}"},
			{"X-Forwarded-For: {token}"},
			{"User-Agent: curl {token}"},
			{"Cookie: session={token}"},
			{"Cookie: theme=dark; session={token}; lang=en"},
			{"Referer: http://agent.example/?token={token}"},
			{"Trailer: Authorization"},
			{"Trailer: Authorization, X-Api-Key", "Trailer: X-Token"},
			{"TE: trailers"},
		} {
			t.Run(to.path+" "+lines[0], func(t *testing.T) {
				a.Upstream.forget()
				request := append([]string{"GET " + to.path + " HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}"}, lines...)
				if got := a.send(t, request...); got.Status != http.StatusOK {
					t.Fatalf("status %d, body %s", got.Status, got.Body)
				}
				a.checkCredential(t, to)
			})
		}
	}
}

// CGI makes one variable of X-Api-Key, X_Api_Key, X.Api.Key and more.
func TestNamesThatFoldToTheAttachedOneNeverReachTheUpstream(t *testing.T) {
	a := startAttackedSite(t)
	for _, to := range routes {
		for _, separator := range strings.Split("- _ . ! # $ % & ' * + ^ ` | ~", " ") {
			name := strings.ReplaceAll(to.header, "-", separator)
			if name == "Authorization" {
				continue
			}
			for _, name := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
				t.Run(to.path+" "+name, func(t *testing.T) {
					a.Upstream.forget()
					got := a.send(t, "GET "+to.path+" HTTP/1.1", "Host: {host}", name+": evil", "Authorization: Bearer {token}", name+": evil too")
					if got.Status != http.StatusOK {
						t.Fatalf("status %d, body %s", got.Status, got.Body)
					}
					a.checkCredential(t, to)
				})
			}
		}
	}
}

// A Connection header names what a proxy removes on the way; it must not name
// the credential.
func TestConnectionCannotRemoveTheCredential(t *testing.T) {
	a := startAttackedSite(t)
	for _, to := range routes {
		for _, lines := range [][]string{
			{"Connection: authorization, x-api-key, x-token"},
			{"Connection: close, Authorization , x-api-key,X-TOKEN"},
			{"Connection: close", "Connection: \tAuthorization\t,,", "connection: X_Api_Key, x-api-key, X-Token"},
			{"Connection: Upgrade, Authorization, X-Api-Key, X-Token", "Upgrade: websocket"},
			{"Proxy-Connection: Authorization, X-Api-Key, X-Token"},
			{"Keep-Alive: Authorization, X-Api-Key, X-Token"},
		} {
			if to.path == "/h2c" && len(lines) > 1 && lines[1] == "Upgrade: websocket" {
				continue // HTTP/2 has no such upgrade: Caddy cannot ask for it
			}
			t.Run(to.path+" "+lines[0], func(t *testing.T) {
				a.Upstream.forget()
				request := append([]string{"GET " + to.path + " HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}"}, lines...)
				if got := a.send(t, request...); got.Status != http.StatusOK {
					t.Fatalf("status %d, body %s", got.Status, got.Body)
				}
				a.checkCredential(t, to)
			})
		}
	}
}

func TestConnectionStillRemovesWhatItMay(t *testing.T) {
	a := startAttackedSite(t)
	got := a.send(t, "GET /bearer HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}",
		"Connection: keep-alive, X-Hop, Authorization", "X-Hop: gone", "X-Stays: here")
	sent := a.Upstream.last(t)
	if got.Status != http.StatusOK || sent.Header.Get("X-Hop") != "" || sent.Header.Get("X-Stays") != "here" {
		t.Errorf("status %d, upstream got %s", got.Status, dump(sent))
	}
}

func TestMalformedCredentialsReachNobody(t *testing.T) {
	a := startAttackedSite(t)
	long := strings.Repeat("x", 9<<10)
	for _, c := range []struct {
		name   string
		status int
		code   string
		lines  []string
	}{
		{"none", 401, "no_credentials", nil},
		{"Basic", 401, "no_credentials", []string{"Authorization: Basic dXNlcjpwYXNz"}},
		{"another scheme", 401, "no_credentials", []string{"Authorization: Bearerx {token}"}},
		{"no scheme", 401, "no_credentials", []string{"Authorization: {token}"}},
		{"a tab for the space", 401, "no_credentials", []string{"Authorization: Bearer\t{token}"}},
		{"in a header that folds", 401, "no_credentials", []string{"Proxy-Authorization: Bearer {token}", "DPoP: {token}"}},
		{"an empty header", 400, "invalid_request", []string{"Authorization:"}},
		{"spaces", 400, "invalid_request", []string{"Authorization:   "}},
		{"an empty Bearer", 400, "invalid_request", []string{"Authorization: Bearer"}},
		{"an empty Bearer and spaces", 400, "invalid_request", []string{"Authorization: Bearer   "}},
		{"two words", 400, "invalid_request", []string{"Authorization: Bearer {token} x"}},
		{"two words, a tab between", 400, "invalid_request", []string{"Authorization: Bearer {token}\tx"}},
		{"a list", 400, "invalid_request", []string{"Authorization: Bearer {token}, Bearer x"}},
		{"a list without spaces", 400, "invalid_request", []string{"Authorization: Bearer {token},x"}},
		{"twice", 400, "invalid_request", []string{"Authorization: Bearer {token}", "Authorization: Bearer {token}"}},
		{"twice, once in capitals", 400, "invalid_request", []string{"Authorization: Bearer {token}", "AUTHORIZATION: Bearer x"}},
		{"twice, once empty", 400, "invalid_request", []string{"authorization:", "Authorization: Bearer {token}"}},
		{"twice, once Basic", 400, "invalid_request", []string{"Authorization: Bearer {token}", "Authorization: Basic dTpw"}},
		{"twice, once folded", 400, "invalid_request", []string{"Authorization: Bearer {token}", "Authorization:\tBearer", " {token}"}},
		{"9 KiB", 400, "invalid_request", []string{"Authorization: Bearer " + long}},
		{"folded into two words", 400, "invalid_request", []string{"Authorization: Bearer {token}", "\tx"}},
		{"changed", 401, "invalid_token", []string{"Authorization: Bearer {token}x"}},
		{"not ASCII", 401, "invalid_token", []string{"Authorization: Bearer {token}\u00a0"}},
		{"overlong UTF-8", 401, "invalid_token", []string{"Authorization: Bearer {token}\xc0\x80"}},
		{"space before the colon", 400, "", []string{"Authorization : Bearer {token}"}},
		{"space before the name", 400, "", []string{" Authorization: Bearer {token}"}},
		{"a control character", 400, "", []string{"Authorization: Bearer {token}\x01"}},
		{"a zero byte", 400, "", []string{"Authorization: Bearer {token}\x00"}},
		{"a bare CR", 400, "", []string{"Authorization: Bearer {token}\rX-Api-Key: evil"}},
		{"DEL", 400, "", []string{"Authorization: Bearer {token}\x7f"}},
		{"a header over Caddy's limit", 431, "", []string{"X-Large: " + strings.Repeat("x", 24<<10)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := a.send(t, append([]string{"GET /bearer HTTP/1.1", "Host: {host}"}, c.lines...)...)
			if got.Status != c.status || got.Header.Get("Token-Vault-Error") != c.code {
				t.Errorf("status %d, Token-Vault-Error %q, want %d, %q", got.Status, got.Header.Get("Token-Vault-Error"), c.status, c.code)
			}
			if strings.Contains(fmt.Sprint(got), a.agent) {
				t.Errorf("the answer repeats the token: %v", got)
			}
		})
	}
	if n := len(a.Upstream.requests()); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

func TestOneFoldedCredentialIsOneCredential(t *testing.T) {
	a := startAttackedSite(t)
	for _, lines := range [][]string{
		{"Authorization:", " Bearer {token}"},
		{"Authorization: Bearer", "\t{token}"},
		{"aUTHORIZATION:    bearer    {token}   "},
		{"authorization:BEARER {token}"},
	} {
		a.Upstream.forget()
		if got := a.send(t, append([]string{"GET /bearer HTTP/1.1", "Host: {host}"}, lines...)...); got.Status != http.StatusOK {
			t.Errorf("%q: status %d, body %s", lines, got.Status, got.Body)
			continue
		}
		a.checkCredential(t, routes[0])
	}
}

func TestATokenInTheQueryIsRefusedHoweverItIsWritten(t *testing.T) {
	a := startAttackedSite(t)
	for _, query := range []string{
		"access_token=x", "access_token", "access_token=", "a=b&access_token=x", "%61ccess_token=x",
		"%61%63%63%65%73%73%5f%74%6F%6B%65%6E=x", "a=b;access_token=x", ";;access_token", "&&access%5Ftoken=x",
		"access_token=x&access_token=y", "access_token={token}", "a=%zz&access_token=x",
	} {
		t.Run(query, func(t *testing.T) {
			got := a.send(t, "GET /bearer?"+query+" HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}")
			if got.Status != 400 || got.Header.Get("Token-Vault-Error") != "invalid_request" {
				t.Errorf("status %d, body %s", got.Status, got.Body)
			}
		})
	}
	if n := len(a.Upstream.requests()); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
	for _, query := range []string{"access_tokens=x", "my_access_token=x", "a=access_token", "Access_Token=x", "%2561ccess_token=x"} {
		a.Upstream.forget()
		got := a.send(t, "GET /bearer?"+query+" HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}")
		if got.Status != http.StatusOK || a.Upstream.last(t).URL.RawQuery != query {
			t.Errorf("%s: status %d, body %s", query, got.Status, got.Body)
		}
	}
}

// smuggledTrailers are what an agent may append to a body.
func (a *attack) smuggledTrailers() http.Header {
	return http.Header{
		"X-Sum":               {"fine"},
		"Authorization":       {"Bearer evil"},
		"X-Api-Key":           {"evil"},
		"X_api_key":           {"evil"},
		"X.token":             {"evil"},
		"X-Token":             {"evil"},
		"Dpop":                {"evil"},
		"Proxy-Authorization": {"Basic evil"},
		"X-Copy":              {"fine", a.agent},
		"Cookie":              {"theme=dark; token_vault_form=evil"},
	}
}

// checkTrailers demands that the credentials among the trailers are gone, and
// that the sum is still there if the client announced it.
func (a *attack) checkTrailers(t *testing.T, to route, wantSum bool) {
	t.Helper()
	got := a.Upstream.last(t)
	for name := range got.Trailer {
		folded := http.CanonicalHeaderKey(strings.NewReplacer("_", "-", ".", "-").Replace(name))
		if folded == to.header || folded == "Authorization" || folded == "Dpop" || folded == "Proxy-Authorization" {
			t.Errorf("trailer %s: %q", name, got.Trailer[name])
		}
	}
	if text := dump(got); strings.Contains(text, a.agent) || strings.Contains(text, "token_vault_form") {
		t.Errorf("upstream got %s", text)
	}
	if sent := got.Header[to.header]; !slices.Equal(sent, []string{to.value(a)}) {
		t.Errorf("%s %q", to.header, sent)
	}
	if wantSum && got.Trailer.Get("X-Sum") != "fine" {
		t.Errorf("trailers %v", got.Trailer)
	}
}

func TestCredentialsInTrailersNeverReachTheUpstream(t *testing.T) {
	a := startAttackedSite(t)
	trailers := a.smuggledTrailers()
	var tail []string
	for name, values := range trailers {
		for _, value := range values {
			tail = append(tail, name+": "+value)
		}
	}
	for _, to := range routes {
		for _, announced := range []string{
			"Trailer: X-Sum", "Trailer: X-Sum, authorization, X_Api_Key, x.token, x-copy", "Trailer: Authorization", "X-No-Trailer: announced",
		} {
			t.Run(to.path+" "+announced, func(t *testing.T) {
				a.Upstream.forget()
				request := slices.Concat([]string{
					"POST " + to.path + " HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}",
					"Transfer-Encoding: chunked", announced, "", "5", "hello", "0",
				}, tail)
				if got := a.send(t, request...); got.Status != http.StatusOK {
					t.Fatalf("status %d, body %s", got.Status, got.Body)
				}
				a.checkTrailers(t, to, strings.HasPrefix(announced, "Trailer: X-Sum"))
			})
		}
	}
}

// lateTrailers adds trailers that the request did not announce, when the body
// ends.
type lateTrailers struct {
	io.Reader
	request *http.Request
	late    http.Header
}

func (l *lateTrailers) Read(p []byte) (int, error) {
	n, err := l.Reader.Read(p)
	if err == io.EOF {
		for name, values := range l.late {
			l.request.Trailer[name] = values
		}
	}
	return n, err
}

func TestCredentialsInHTTP2TrailersNeverReachTheUpstream(t *testing.T) {
	a := startAttackedSite(t)
	client := newH2C(t)
	for _, to := range routes {
		for _, announced := range [][]string{{"X-Sum"}, {"X-Sum", "X-Api-Key", "X_api_key", "X.token", "X-Token", "Dpop", "X-Copy", "Cookie"}, {"Dpop"}} {
			t.Run(to.path+" "+strings.Join(announced, ","), func(t *testing.T) {
				a.Upstream.forget()
				req, _ := http.NewRequest(http.MethodPost, a.URL+to.path, nil)
				req.Header.Set("Authorization", "Bearer "+a.agent)
				req.Trailer = make(http.Header)
				for _, name := range announced {
					req.Trailer[name] = nil
				}
				late := a.smuggledTrailers()
				delete(late, "Authorization") // Caddy's server ends the stream for these
				delete(late, "Proxy-Authorization")
				req.Body = io.NopCloser(&lateTrailers{strings.NewReader("hello"), req, late})
				req.ContentLength = -1
				resp, err := client.Do(req)
				if err != nil {
					t.Fatal(err)
				}
				resp.Body.Close()
				if resp.StatusCode != http.StatusOK || resp.ProtoMajor != 2 {
					t.Fatalf("status %d over %s", resp.StatusCode, resp.Proto)
				}
				a.checkTrailers(t, to, slices.Contains(announced, "X-Sum"))
			})
		}
	}
}

func TestHTTP2CredentialsAreCountedTheSame(t *testing.T) {
	a := startAttackedSite(t)
	client := newH2C(t)
	for _, c := range []struct {
		name   string
		header http.Header
		code   string
	}{
		{"one", http.Header{"Authorization": {"Bearer " + a.agent}}, ""},
		{"two", http.Header{"Authorization": {"Bearer " + a.agent, "Bearer evil"}}, "invalid_request"},
		{"copies", http.Header{"Authorization": {"Bearer " + a.agent}, "Cookie": {"a=" + a.agent}, "X_api_key": {"evil"}, "X-Api-Key": {"evil"}, "Dpop": {"evil"}}, ""},
	} {
		a.Upstream.forget()
		req, _ := http.NewRequest(http.MethodGet, a.URL+"/key", nil)
		req.Header = c.header
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Token-Vault-Error"); got != c.code {
			t.Errorf("%s: status %d, Token-Vault-Error %q", c.name, resp.StatusCode, got)
		}
		if c.code == "" {
			a.checkCredential(t, routes[2])
		} else if len(a.Upstream.requests()) > 0 {
			t.Errorf("%s: reached the upstream", c.name)
		}
	}
}

// The link pages' cookies hold sealed tokens; everything else in the header is
// not ours to touch.
func TestOnlyOurOwnCookiesAreTakenFromTheUpstream(t *testing.T) {
	a := startAttackedSite(t)
	const ours = "token_vault_flow_ABCDEFGHIJKLMNOPQRSTUVWXYZ=sealed"
	for _, c := range []struct{ sent, want string }{
		{"a=1; b=2", "a=1; b=2"},
		{`a=1;b=2;; c="x, y" ;d`, `a=1;b=2;; c="x, y" ;d`},
		{"a=1; " + ours + "; b=2", "a=1; b=2"},
		{ours + "; a=1", "a=1"},
		{"a=1; " + ours, "a=1"},
		{"a=1;" + ours + ";b=2", "a=1;b=2"},
		{`a="x;b" ; ` + ours + `;  c=token_vault_form`, `a="x;b" ;  c=token_vault_form`},
		{"a=1; =token_vault_form=x; b=2", "a=1; b=2"},
		{"token_vault_form=x", ""},
		{"__Host-token_vault_form=x; " + ours + "; __Host-" + ours, ""},
		{"__host-Token_Vault_Form = x;TOKEN_VAULT_FLOW_=;a=1", "a=1"},
		{"my_token_vault_form=1; token_vault=2; token_vault_formula=3", "my_token_vault_form=1; token_vault=2; token_vault_formula=3"},
	} {
		a.Upstream.forget()
		a.send(t, "GET /bearer HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}", "Cookie: "+c.sent)
		if got := strings.Join(a.Upstream.last(t).Header["Cookie"], "|"); got != c.want {
			t.Errorf("sent     %s\nthe upstream got %s\nwant     %s", c.sent, got, c.want)
		}
	}
}

func TestARefusalOfAnInnerHandlerStaysOurs(t *testing.T) {
	const vaultFor = "token_vault google-oauth2 {\n attach header X-Api-Key\n}\n"
	a := startAttack(t, "route {\n"+vaultFor+vaultFor+"token_vault github {\n scopes never:granted \n}\n reverse_proxy {upstream}\n}")
	got := a.get("/", a.agent)
	if got.Status != 401 || got.Header.Get("Token-Vault-Error") != "scope_required" {
		t.Errorf("status %d, header %v, body %s", got.Status, got.Header, got.Body)
	}
	if n := len(a.Upstream.requests()); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

func TestTraceIsNotAllowed(t *testing.T) {
	a := startAttackedSite(t)
	for _, to := range routes {
		got := a.send(t, "TRACE "+to.path+" HTTP/1.1", "Host: {host}", "Authorization: Bearer {token}")
		if got.Status != http.StatusMethodNotAllowed || got.Header.Get("Token-Vault-Error") == "" || strings.Contains(got.Header.Get("Allow"), "TRACE") {
			t.Errorf("%s: status %d, header %v", to.path, got.Status, got.Header)
		}
	}
	if n := len(a.Upstream.requests()); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

// Requests that some servers read differently than others: whatever Caddy makes
// of them, what arrives upstream has the right credential.
func TestOddRequestsCarryNoOtherCredential(t *testing.T) {
	a := startAttackedSite(t)
	for _, lines := range [][]string{
		{"GET http://{host}/bearer HTTP/1.1", "Host: {host}"},
		{"GET http://user:evil@{host}/bearer HTTP/1.1", "Host: {host}"},
		{"GET http://other.example/bearer HTTP/1.1", "Host: {host}"},
		{"GET /bearer HTTP/1.0", "Host: {host}"},
		{"GET /bearer HTTP/1.1", "Host: {host}", "Host: evil.example"},
		{"GET /bearer HTTP/1.1", "Host: user:evil@{host}"},
		{"GET //bearer HTTP/1.1", "Host: {host}"},
		{"GET /bearer/%2e%2e/bearer HTTP/1.1", "Host: {host}"},
		{"GET /nowhere/../bearer HTTP/1.1", "Host: {host}"},
		{"GET /bearer#access_token=evil HTTP/1.1", "Host: {host}"},
		{"OPTIONS * HTTP/1.1", "Host: {host}"},
		{"CONNECT {host} HTTP/1.1", "Host: {host}"},
		{"CONNECT /bearer HTTP/1.1", "Host: {host}"},
		{"PRI * HTTP/2.0", "Host: {host}"},
		{"GET /bearer HTTP/1.1", "Host: {host}", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAAP__"},
		{"GET /bearer HTTP/1.1", "Host: {host}", "Range: bytes=0-1"},
		{"GET /bearer HTTP/1.1", "Host: {host}", ":authority: evil"},
		{"POST /bearer HTTP/1.1", "Host: {host}", "Transfer-Encoding: chunked", "Content-Length: 5", "", "0", "", "GET /plain HTTP/1.1", "Host: {host}", "Authorization: evil"},
		{"POST /bearer HTTP/1.1", "Host: {host}", "Transfer-Encoding: xchunked", "Content-Length: 0"},
		{"POST /bearer HTTP/1.1", "Host: {host}", "Content-Length: 0", "Content-Length: 6", "", "evil=1"},
		{"POST /bearer HTTP/1.1", "Host: {host}", "Transfer-Encoding: chunked", "Transfer-Encoding: identity", "", "0"},
		{"POST /bearer HTTP/1.1", "Host: {host}", "X-HTTP-Method-Override: TRACE", "Content-Length: 0"},
	} {
		t.Run(strings.Join(lines, " "), func(t *testing.T) {
			a.Upstream.forget()
			request := slices.Insert(slices.Clone(lines), 2, "Authorization: Bearer {token}")
			a.send(t, request...)
			for _, r := range a.Upstream.requests() {
				if r.URL.Path != "/plain" && r.Header.Get("Authorization") != "Bearer "+a.google {
					t.Errorf("upstream got %s", dump(r))
				}
			}
		})
	}
}

func TestVeryManyHeadersHideNothing(t *testing.T) {
	a := startAttackedSite(t)
	var lines []string
	for i := range 300 {
		lines = append(lines, fmt.Sprintf("X-H%d: %s", i, strings.Repeat("v", 30)))
	}
	got := a.send(t, slices.Concat([]string{"GET /key HTTP/1.1", "Host: {host}", "X_Api_Key: evil"}, lines,
		[]string{"X.API.KEY: evil", "Authorization: Bearer {token}", "x-api-key: evil"})...)
	if got.Status != http.StatusOK {
		t.Fatalf("status %d", got.Status)
	}
	a.checkCredential(t, routes[2])
	if n := len(a.Upstream.last(t).Header); n < 300 {
		t.Errorf("%d headers arrived", n)
	}
}
