package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// The README's table of what an agent gets, row by row and in its order. Auth0's
// refusals are the tenant's own where it has them.

const (
	gmail     = "https://www.googleapis.com/auth/gmail.readonly"
	bare      = `Bearer realm="` + audience + `"`
	malformed = bare + `, error="invalid_request", error_description="Malformed request"`
	invalid   = bare + `, error="invalid_token", error_description="Access token not accepted"`
	multi     = `, acr_values="http://schemas.openid.net/pape/policies/2007/06/multi-factor"`
	stepUp    = `, error_description="Stronger authentication required"`
)

// answerCase is a call that is refused, and how.
type answerCase struct {
	name    string
	tenant  func(*auth0test.Config)       // what is wrong at Auth0
	lines   []string                      // of the tenant block
	arrange func(*proxy)                  // before the call
	token   func(*auth0test.TokenRequest) // what is wrong with the token
	request func(*http.Request)           // what is wrong with the request

	status     int
	code       string
	challenge  string
	retryAfter bool
}

// calendarRoute is calendarSite without the pages.
var calendarRoute = strings.Replace(calendarSite, "token_vault_link", "", 1)

// strictSite is a route with every demand there is.
const strictSite = `
	token_vault google-oauth2 {
		scopes         ` + calendar + `
		max_scopes     ` + calendar + `
		require_scopes read:calendar
	}
	reverse_proxy {upstream}
`

func TestEveryRefusalOfTheTable(t *testing.T) {
	for _, cases := range [][]answerCase{credentialCases, tokenCases, policyCases, vaultCases, weatherCases} {
		for _, c := range cases {
			t.Run(c.code+"/"+c.name, func(t *testing.T) {
				p, token := c.start(t)
				c.check(p, token, p.get("/calendar", token, c.change))
				if n := len(p.Upstream.requests()); n != 0 {
					t.Errorf("%d requests reached the upstream", n)
				}
			})
		}
	}
}

// start runs Caddy with what is wrong, and makes the agent's token.
func (c *answerCase) start(t *testing.T) (*proxy, string) {
	t.Helper()
	var changes []func(*auth0test.Config)
	if c.tenant != nil {
		changes = append(changes, c.tenant)
	}
	p := newProxy(t, changes...)
	token := p.token(alice, func(r *auth0test.TokenRequest) {
		r.Scope = "read:calendar"
		if c.token != nil {
			c.token(r)
		}
	})
	if c.arrange != nil {
		c.arrange(p)
	}
	p.load(strictSite, c.lines...)
	return p, token
}

func (c *answerCase) change(r *http.Request) {
	if c.request != nil {
		c.request(r)
	}
}

func (c *answerCase) check(p *proxy, token string, got *reply) {
	p.t.Helper()
	body := got.problem(p.t)
	if got.Status != c.status || got.Header.Get("Token-Vault-Error") != c.code {
		p.t.Fatalf("status %d, error %q, want %d %s; body %s", got.Status, got.Header.Get("Token-Vault-Error"), c.status, c.code, got.Body)
	}
	checkHeaders(p.t, got, c.challenge, c.retryAfter)
	checkMembers(p.t, body, c.status, c.code)
	for _, extra := range []string{"link_url", "status_url", "reason", "connection", "scopes", "name", "code"} {
		if _, there := body[extra]; there {
			p.t.Errorf("the body has %s: no link can mend this", extra)
		}
	}
	if strings.Contains(fmt.Sprint(got.Header)+got.Body, "ticket=") {
		p.t.Errorf("a link: %v %s", got.Header, got.Body)
	}
	checkNoSecrets(p.t, got, token)
}

func checkHeaders(t *testing.T, got *reply, challenge string, retryAfter bool) {
	t.Helper()
	if v := got.Header.Values("Cache-Control"); !slices.Equal(v, []string{"no-store"}) {
		t.Errorf("Cache-Control %q", v)
	}
	if v := strings.Join(got.Header.Values("WWW-Authenticate"), "|"); v != challenge {
		t.Errorf("WWW-Authenticate\n %s, want\n %s", v, challenge)
	}
	seconds, err := strconv.Atoi(got.Header.Get("Retry-After"))
	if got := err == nil && seconds >= 1 && seconds <= 60; got != retryAfter {
		t.Errorf("Retry-After %d (%v)", seconds, err)
	}
	if v := got.Header.Get("X-Should-Retry"); v != "" {
		t.Errorf("X-Should-Retry %q where no link is needed", v)
	}
}

func checkMembers(t *testing.T, body map[string]any, status int, code string) {
	t.Helper()
	for name, value := range body {
		if value == nil {
			t.Errorf("%s is null", name)
		}
	}
	if body["status"] != float64(status) || body["error"] != code {
		t.Errorf("status %v, error %v in the body, want %d %s", body["status"], body["error"], status, code)
	}
	kind, err := url.Parse(fmt.Sprint(body["type"]))
	if err != nil || kind.Scheme != "https" || !strings.HasSuffix(kind.String(), "/"+code) {
		t.Errorf("type %v", body["type"])
	}
	for _, name := range []string{"title", "detail"} {
		if text, _ := body[name].(string); text == "" {
			t.Errorf("no %s", name)
		}
	}
}

// checkNoSecrets looks for a token or a part of one, and for client secrets.
func checkNoSecrets(t *testing.T, got *reply, token string) {
	t.Helper()
	text := fmt.Sprint(got.Header) + got.Body
	secrets := []string{"vault-exchange-secret", "link-pages-secret", "wrong-secret"}
	for part := range strings.SplitSeq(token, ".") {
		if len(part) >= 24 {
			secrets = append(secrets, part[len(part)-24:])
		}
	}
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the answer holds %q:\n%s", secret, text)
		}
	}
}

func setHeader(values ...string) func(*http.Request) {
	return func(r *http.Request) { r.Header["Authorization"] = values }
}

func setQuery(query string) func(*http.Request) {
	return func(r *http.Request) { r.URL.RawQuery = query }
}

var credentialCases = []answerCase{
	{name: "none", request: func(r *http.Request) { r.Header.Del("Authorization") }, status: 401, code: "no_credentials", challenge: bare},
	{name: "Basic", request: setHeader("Basic YTpi"), status: 401, code: "no_credentials", challenge: bare},
	{name: "DPoP", request: setHeader("DPoP abc.def.ghi"), status: 401, code: "no_credentials", challenge: bare},
	{name: "none but a query parameter", request: func(r *http.Request) {
		r.Header.Del("Authorization")
		r.URL.RawQuery = "access_token=x"
	}, status: 400, code: "invalid_request", challenge: malformed},

	{name: "empty", request: setHeader(""), status: 400, code: "invalid_request", challenge: malformed},
	{name: "Bearer and nothing", request: setHeader("Bearer"), status: 400, code: "invalid_request", challenge: malformed},
	{name: "Bearer and a space", request: setHeader("Bearer "), status: 400, code: "invalid_request", challenge: malformed},
	{name: "several", request: setHeader("Bearer a", "Bearer b"), status: 400, code: "invalid_request", challenge: malformed},
	{name: "several in one", request: setHeader("Bearer a, Bearer b"), status: 400, code: "invalid_request", challenge: malformed},
	{name: "two words", request: setHeader("Bearer a b"), status: 400, code: "invalid_request", challenge: malformed},
	{name: "two joined by a comma", request: setHeader("Bearer a,b"), status: 400, code: "invalid_request", challenge: malformed},
	{name: "in the query too", request: setQuery("a=b&access_token=x"), status: 400, code: "invalid_request", challenge: malformed},
	{name: "in the query, escaped", request: setQuery("access%5Ftoken=x"), status: 400, code: "invalid_request", challenge: malformed},
	{name: "in the query, empty", request: setQuery("access_token"), status: 400, code: "invalid_request", challenge: malformed},
	{name: "in the path", request: func(r *http.Request) {
		r.URL.Path += strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	}, status: 400, code: "invalid_request", challenge: malformed},
	{name: "with another method in a header", request: func(r *http.Request) {
		r.Header.Set("X-HTTP-Method-Override", "DELETE")
	}, status: 400, code: "invalid_request", challenge: malformed},
	{name: "over 8 KiB", request: setHeader("Bearer " + strings.Repeat("a", 8<<10+1)), status: 400, code: "invalid_request", challenge: malformed},
}

func claim(name string, value any) func(*auth0test.TokenRequest) {
	return func(r *auth0test.TokenRequest) { r.Claims = map[string]any{name: value} }
}

func header(name string, value any) func(*auth0test.TokenRequest) {
	return func(r *auth0test.TokenRequest) { r.Header = map[string]any{name: value} }
}

func expired(r *auth0test.TokenRequest) { r.ExpiresIn = new(-1) }

var tokenCases = []answerCase{
	{name: "no JWT", request: setHeader("Bearer " + strings.Repeat("a", 8<<10)), status: 401, code: "invalid_token", challenge: invalid},
	{name: "signature", request: func(r *http.Request) {
		token := r.Header.Get("Authorization")
		head, signature := token[:strings.LastIndex(token, ".")+1], token[strings.LastIndex(token, ".")+1:]
		r.Header.Set("Authorization", head+strings.Map(func(c rune) rune {
			if c == 'A' {
				return 'B'
			}
			return c
		}, "AA"+signature[2:len(signature)-4])+signature[len(signature)-4:])
	}, status: 401, code: "invalid_token", challenge: invalid},
	{name: "issuer", token: claim("iss", "https://elsewhere.example.com/"), status: 401, code: "invalid_token", challenge: invalid},
	{name: "audience", token: func(r *auth0test.TokenRequest) { r.Audience = "https://another.example.com/" }, status: 401, code: "invalid_token", challenge: invalid},
	{name: "expired", token: expired, status: 401, code: "invalid_token", challenge: invalid},
	{name: "type", token: header("typ", "dpop+jwt"), status: 401, code: "invalid_token", challenge: invalid},
	{name: "bound to a key", token: claim("cnf", map[string]any{"jkt": "x"}), status: 401, code: "invalid_token", challenge: invalid},
	{name: "algorithm none", token: header("alg", "none"), status: 401, code: "invalid_token", challenge: invalid},
	{name: "algorithm HS256", token: header("alg", "HS256"), status: 401, code: "invalid_token", challenge: invalid},
	{name: "unknown key", token: header("kid", "nobody"), status: 401, code: "invalid_token", challenge: invalid},
	{name: "a key of its own", token: header("jku", "https://elsewhere.example.com/keys"), status: 401, code: "invalid_token", challenge: invalid},
	{name: "a nested header", token: header("x", [][]string{{}}), status: 401, code: "invalid_token", challenge: invalid},
	{name: "refused as a subject", arrange: exchangeAnswers(401, "invalid_grant"), status: 401, code: "invalid_token", challenge: invalid},
	{name: "user gone", token: func(r *auth0test.TokenRequest) { r.User = "auth0|gone" }, status: 401, code: "invalid_token", challenge: invalid},
	{
		name:   "user gone, in the other member",
		tenant: func(c *auth0test.Config) { c.Settings.UserNotFoundMember = "description" },
		token:  func(r *auth0test.TokenRequest) { r.User = "auth0|gone" }, status: 401, code: "invalid_token", challenge: invalid,
	},

	{name: "key endpoint fails", arrange: failing("/.well-known/jwks.json", 500), status: 503, code: "keys_unavailable", retryAfter: true},
	{name: "key endpoint drops", arrange: failing("/.well-known/jwks.json", 0), status: 503, code: "keys_unavailable", retryAfter: true},
	{name: "key endpoint without keys", arrange: func(p *proxy) {
		p.fault(auth0test.Fault{Path: "/.well-known/jwks.json", Status: new(200), Body: `{"keys":[]}`})
	}, status: 503, code: "keys_unavailable", retryAfter: true},
}

func machine(r *auth0test.TokenRequest) { r.User = "" }

func strange(r *auth0test.TokenRequest) { r.ClientID = "strange-agent" }

var policyCases = []answerCase{
	{name: "machine", token: machine, status: 403, code: "user_required"},
	{name: "an agent as principal", token: claim("sub", "agt_1a2B3c4D5e6F7g8H9i0JkL"), status: 403, code: "user_required"},
	{name: "an agent as principal, by a name of its own", token: claim("sub", "Billing agent, Zürich"), status: 403, code: "user_required"},
	{name: "an agent as principal, by its profile", token: claim("sub_profile", "ai_agent"), status: 403, code: "user_required"},
	{name: "strange agent", token: strange, status: 403, code: "client_not_allowed"},
	{name: "no agent", token: claim("azp", nil), status: 403, code: "client_not_allowed"},
	{name: "two agents", token: claim("client_id", "another"), status: 403, code: "client_not_allowed"},
	{
		name: "no scope", token: func(r *auth0test.TokenRequest) { r.Scope = "" }, status: 403, code: "insufficient_scope",
		challenge: bare + `, error="insufficient_scope", scope="read:calendar", error_description="Access token lacks scopes"`,
	},
}

// connected has the tenant know alice's account.
func connected(scopes ...string) func(*proxy) {
	return func(p *proxy) { p.connect(alice, google, scopes...) }
}

// exchangeAnswers has Auth0 refuse every exchange.
func exchangeAnswers(status int, code string) func(*proxy) {
	return func(p *proxy) {
		p.exchangeFault(auth0test.Fault{Status: &status, Body: map[string]string{"error": code, "error_description": "Because."}})
	}
}

func failing(path string, status int) func(*proxy) {
	return func(p *proxy) { p.fault(auth0test.Fault{Path: path, Status: &status}) }
}

var vaultCases = []answerCase{
	{
		name: "mfa_required", tenant: func(c *auth0test.Config) { c.Settings.MFAPolicy = "always" },
		status: 401, code: "insufficient_user_authentication", challenge: bare + `, error="insufficient_user_authentication"` + multi + stepUp,
	},
	{
		name: "mfa_required 401", tenant: func(c *auth0test.Config) { c.Settings.MFAPolicy, c.Settings.MFARequiredStatus = "always", 401 },
		status: 401, code: "insufficient_user_authentication", challenge: bare + `, error="insufficient_user_authentication"` + multi + stepUp,
	},
	{
		name: "unmet_authentication_requirements", arrange: exchangeAnswers(403, "unmet_authentication_requirements"),
		status: 401, code: "insufficient_user_authentication", challenge: bare + `, error="insufficient_user_authentication"` + stepUp,
	},
	{name: "more", arrange: connected(calendar, gmail), status: 403, code: "scope_excess"},
	{name: "unknown", tenant: func(c *auth0test.Config) { c.Settings.OmitScope = true }, arrange: connected(calendar), status: 403, code: "scope_excess"},
	{name: "Action", arrange: exchangeAnswers(403, "access_denied"), status: 403, code: "access_denied"},
	{name: "wrong secret", arrange: func(p *proxy) { p.t.Setenv("AUTH0_CLIENT_SECRET", "wrong-secret-of-ours") }, status: 502, code: "vault_misconfigured"},
	{
		name: "wrong secret, other word", tenant: func(c *auth0test.Config) { c.Settings.WrongSecretError = "invalid_client" },
		arrange: func(p *proxy) { p.t.Setenv("AUTH0_CLIENT_SECRET", "wrong-secret-of-ours") }, status: 502, code: "vault_misconfigured",
	},
	{name: "grant missing", tenant: func(c *auth0test.Config) { exchangeClient(c).GrantTypes = []string{} }, status: 502, code: "vault_misconfigured"},
	{name: "unknown connection", tenant: func(c *auth0test.Config) {
		c.Settings.UnknownConnectionError = "invalid_connection"
		c.Connections = slices.DeleteFunc(c.Connections, func(c auth0test.Connection) bool { return c.Name == google })
	}, status: 502, code: "vault_misconfigured"},
	{name: "unknown 400", arrange: exchangeAnswers(400, "something_new"), status: 502, code: "vault_misconfigured"},
	{name: "unknown 401", arrange: exchangeAnswers(401, "something_new"), status: 502, code: "vault_misconfigured"},
	{name: "invalid_request", arrange: exchangeAnswers(400, "invalid_request"), status: 502, code: "vault_misconfigured"},
	{name: "redirect", arrange: func(p *proxy) {
		p.exchangeFault(auth0test.Fault{Status: new(307), Headers: map[string]string{"Location": p.Upstream.URL}})
	}, status: 502, code: "vault_misconfigured"},
}

func exchangeClient(c *auth0test.Config) *auth0test.Client {
	i := slices.IndexFunc(c.Clients, func(c auth0test.Client) bool { return c.ClientID == "vault-exchange" })
	return &c.Clients[i]
}

// exchangeSays has Auth0 answer every exchange with this text.
func exchangeSays(status int, body string) func(*proxy) {
	return func(p *proxy) { p.exchangeFault(auth0test.Fault{Status: &status, Body: body}) }
}

var weatherCases = []answerCase{
	{name: "500", arrange: exchangeAnswers(500, "federated_connection_refresh_token_not_found"), status: 502, code: "vault_unavailable"},
	{name: "503", arrange: exchangeSays(503, "busy"), status: 502, code: "vault_unavailable"},
	{name: "HTML 403", arrange: exchangeSays(403, "<html>Attention Required!</html>"), status: 502, code: "vault_unavailable"},
	{name: "HTML 200", arrange: exchangeSays(200, "<html>"), status: 502, code: "vault_unavailable"},
	{name: "401 without a body", arrange: exchangeSays(401, ""), status: 502, code: "vault_unavailable"},
	{name: "no token", arrange: exchangeSays(200, `{"token_type":"Bearer"}`), status: 502, code: "vault_unavailable"},
	{name: "expires_in is no number", arrange: exchangeSays(200, `{"access_token":"a","token_type":"Bearer","expires_in":"soon"}`), status: 502, code: "vault_unavailable"},
	{name: "drop", arrange: failing("/oauth/token", 0), status: 502, code: "vault_unavailable"},
	{name: "slow", lines: []string{"timeout 1s"}, arrange: func(p *proxy) { p.exchangeFault(auth0test.Fault{DelayMS: 20_000}) }, status: 504, code: "vault_timeout"},
	{name: "429", arrange: func(p *proxy) {
		p.exchangeFault(auth0test.Fault{Status: new(429), Body: map[string]string{"error": "too_many_requests"}, Headers: map[string]string{"Retry-After": "7"}})
	}, status: 503, code: "vault_throttled", retryAfter: true},
	{name: "429 without a body", arrange: exchangeSays(429, ""), status: 503, code: "vault_throttled", retryAfter: true},
	{name: "429 in HTML", arrange: exchangeSays(429, "<html>"), status: 503, code: "vault_throttled", retryAfter: true},
}

func TestRetryAfterIsAuth0s(t *testing.T) {
	p := newProxy(t)
	p.exchangeFault(auth0test.Fault{Status: new(429), Headers: map[string]string{"Retry-After": "7"}})
	p.load(calendarSite)
	if got := p.get("/", p.token(alice)); got.Header.Get("Retry-After") != "7" {
		t.Errorf("Retry-After %q", got.Header.Get("Retry-After"))
	}
}

func TestOurOwnBudgetIsAnsweredLikeAuth0s(t *testing.T) {
	p := startProxy(t, calendarSite, "budget { \n user 1 \n }")
	p.exchangeFault(auth0test.Fault{Status: new(500)})
	_ = p.get("/", p.token(alice))
	c := answerCase{status: 503, code: "vault_throttled", retryAfter: true}
	token := p.token(alice)
	c.check(p, token, p.get("/", token))
	if n := p.exchanges(); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}

func TestABudgetIsForOneUserAndAgent(t *testing.T) {
	p := startProxy(t, strings.Replace(calendarSite, "{\n", "{\n allow_clients "+agentID+" other-agent\n", 1), "budget { \n user 1 \n }")
	p.exchangeFault(auth0test.Fault{Status: new(500)})
	other := func(r *auth0test.TokenRequest) { r.ClientID = "other-agent" }
	for i, token := range []string{p.token(alice), p.token(bob), p.token(alice, other)} {
		if got := p.get("/", token); got.Header.Get("Token-Vault-Error") != "vault_unavailable" {
			t.Errorf("call %d: %s", i, got.Body)
		}
	}
}

// Two things are wrong: the earlier row of the table answers.
func TestTheEarlierRowAnswers(t *testing.T) {
	keysDown := failing("/.well-known/jwks.json", 500)
	mfa := func(c *auth0test.Config) { c.Settings.MFAPolicy = "always" }
	scopeless := func(r *auth0test.TokenRequest) { r.Scope = "" }
	both := func(changes ...func(*auth0test.TokenRequest)) func(*auth0test.TokenRequest) {
		return func(r *auth0test.TokenRequest) {
			for _, c := range changes {
				c(r)
			}
		}
	}
	for _, c := range []answerCase{
		{name: "before invalid_request", code: "no_credentials", request: func(r *http.Request) {
			setHeader("Basic YTpi")(r)
			r.Header.Set("X-HTTP-Method-Override", "DELETE")
		}},
		{name: "before invalid_token", code: "invalid_request", token: expired, request: setQuery("access_token=x")},
		{name: "before keys_unavailable", code: "invalid_token", token: header("alg", "none"), arrange: keysDown},
		{name: "before user_required", code: "invalid_token", token: both(machine, expired)},
		{name: "before user_required", code: "keys_unavailable", token: machine, arrange: keysDown},
		{name: "before client_not_allowed", code: "user_required", token: both(machine, strange)},
		{name: "before insufficient_scope", code: "client_not_allowed", token: both(strange, scopeless)},
		{name: "before insufficient_user_authentication", code: "insufficient_scope", token: scopeless, tenant: mfa},
		{name: "before link_required", code: "insufficient_user_authentication", tenant: mfa},
		{name: "before scope_excess", code: "scope_required", arrange: connected(gmail)},
	} {
		t.Run(c.code+"/"+c.name, func(t *testing.T) {
			p, token := c.start(t)
			if got := p.get("/", token, c.change); got.Header.Get("Token-Vault-Error") != c.code {
				t.Errorf("status %d, body %s", got.Status, got.Body)
			}
		})
	}
}

func TestPolicyIsCheckedBeforeAuth0IsAsked(t *testing.T) {
	for _, c := range policyCases {
		t.Run(c.name, func(t *testing.T) {
			p, token := c.start(t)
			_ = p.get("/", token)
			if n := p.exchanges(); n != 0 {
				t.Errorf("%d exchanges", n)
			}
		})
	}
}

func TestTheOperatorsLogNamesAuth0sError(t *testing.T) {
	for name, c := range map[string]answerCase{
		"unauthorized_client": {tenant: func(c *auth0test.Config) { exchangeClient(c).GrantTypes = []string{} }},
		"something_new":       {arrange: exchangeAnswers(400, "something_new")},
	} {
		t.Run(name, func(t *testing.T) {
			p, token := c.start(t)
			got := p.get("/", token)
			if strings.Contains(got.Body, name) {
				t.Errorf("the agent is told: %s", got.Body)
			}
			line := p.logLine(`"msg":"refused"`)
			if line["level"] != "error" || line["reason"] != name || line["error"] != "vault_misconfigured" {
				t.Errorf("logged %v", line)
			}
		})
	}
}

func TestTheOperatorsLogSaysWhatIsWrongWithAToken(t *testing.T) {
	encrypted := "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..Zm9v.YmFy.YmF6"
	for cause, c := range map[string]answerCase{
		"iat is 4":                       {tenant: func(c *auth0test.Config) { c.Settings.ClockSkew = 45 }}, // or 44 s, by now
		"the two clocks":                 {tenant: func(c *auth0test.Config) { c.Settings.ClockSkew = 3600 }},
		"by this machine's clock":        {token: expired},
		"it is encrypted: the agent pro": {request: setHeader("Bearer " + encrypted)},
		"asked Auth0 for no audience":    {request: setHeader("Bearer h480djs93hd8")},
		"its header has jku":             {token: header("jku", "https://elsewhere.example.com/keys")},
	} {
		t.Run(cause, func(t *testing.T) {
			p, token := c.start(t)
			got := p.get("/", token, c.change)
			if got.Status != 401 || !strings.Contains(got.text(t, "detail"), "audience") {
				t.Errorf("status %d, body %s", got.Status, got.Body)
			}
			line := p.logLine(`"msg":"refused"`)
			if text, _ := line["cause"].(string); line["error"] != "invalid_token" || !strings.Contains(text, cause) {
				t.Errorf("logged %v", line)
			}
		})
	}
}

// linkCase is one of the ways of needing a link.
type linkCase struct {
	code, reason string
	tenant       func(*auth0test.Config)
	arrange      func(*proxy)
	site         string
	missing      []any
}

var hintSite = strings.Replace(calendarRoute, "{\n", "{\n login_hint 4711\n", 1)

var linkCases = []linkCase{
	{code: "link_required", reason: "federated_connection_refresh_token_not_found", missing: []any{calendar}},
	{
		code: "link_required", reason: "tokenset_not_found", missing: []any{calendar},
		tenant: func(c *auth0test.Config) { c.Settings.NotConnectedError = "tokenset_not_found" },
	},
	{code: "link_required", reason: "user_not_found", missing: []any{calendar}, arrange: connected(calendar), site: hintSite},
	{code: "relink_required", reason: "federated_connection_refresh_token_flow_failed", missing: []any{}, arrange: func(p *proxy) {
		p.connect(alice, google, calendar)
		if err := p.Tenant.Revoke(alice, google); err != nil {
			p.t.Fatal(err)
		}
	}},
	{code: "scope_required", reason: "scopes_missing", missing: []any{calendar}, arrange: connected(gmail)},
}

func TestEveryWayOfNeedingALink(t *testing.T) {
	for _, c := range linkCases {
		t.Run(c.code+"/"+c.reason, func(t *testing.T) {
			p := c.start(t, linkBlock)
			token := p.token(alice)
			got := p.get("/calendar", token)
			c.check(p, got)
			checkLink(p, got)
			checkNoSecrets(t, got, token)
			if n := len(p.Upstream.requests()); n != 0 {
				t.Errorf("%d requests reached the upstream", n)
			}
		})
	}
}

func TestWithoutALinkBlockTheAnswerHasNoURLs(t *testing.T) {
	for _, c := range linkCases {
		t.Run(c.code+"/"+c.reason, func(t *testing.T) {
			p := c.start(t, "")
			got := p.get("/calendar", p.token(alice))
			body := c.check(p, got)
			for _, name := range []string{"link_url", "status_url", "expires_in"} {
				if _, there := body[name]; there {
					t.Errorf("the body has %s", name)
				}
			}
			if v, want := got.Header.Get("WWW-Authenticate"), fmt.Sprintf(`%s, error=%q`, bare, c.code); v != want {
				t.Errorf("WWW-Authenticate %s, want %s", v, want)
			}
			if strings.Contains(fmt.Sprint(body["detail"]), "link_url") {
				t.Errorf("the detail speaks of a link_url: %s", body["detail"])
			}
			p.logLine("without a link block") // the load warns
		})
	}
}

func (c *linkCase) start(t *testing.T, link string) *proxy {
	t.Helper()
	if c.tenant == nil {
		c.tenant = func(*auth0test.Config) {}
	}
	p := newProxy(t, c.tenant)
	p.link = link
	pages := "token_vault_link"
	if link == "" {
		pages = ""
	}
	if c.arrange != nil {
		c.arrange(p)
	}
	if c.site == "" {
		c.site = calendarRoute
	}
	p.load(pages + c.site)
	return p
}

// linkMembers are all that a body has, with Auth0's JSON types.
var linkMembers = map[string]any{
	"type": "", "title": "", "status": 0.0, "detail": "", "error": "", "reason": "", "connection": "",
	"scopes": []any{}, "missing_scopes": []any{}, "link_url": "", "status_url": "", "expires_in": 0.0,
	"name": "", "code": "", "message": "", "requiredScopes": []any{}, "required_scopes": []any{},
	"authorizationParams": map[string]any{}, "behavior": "",
}

func (c *linkCase) check(p *proxy, got *reply) map[string]any {
	t := p.t
	t.Helper()
	body := got.problem(t)
	if got.Status != 401 || got.Header.Get("Token-Vault-Error") != c.code || got.Header.Get("Cache-Control") != "no-store" || got.Header.Get("X-Should-Retry") != "false" {
		t.Fatalf("status %d, header %v", got.Status, got.Header)
	}
	checkMembers(t, body, 401, c.code)
	for name, value := range body {
		if _, isList := value.([]any); name == "login_hints" && c.site == hintSite && isList {
			continue
		}
		if want, known := linkMembers[name]; !known || fmt.Sprintf("%T", value) != fmt.Sprintf("%T", want) {
			t.Errorf("member %s is %T %v", name, value, value)
		}
	}
	scopes := []any{calendar}
	for name, want := range map[string]any{
		"reason": c.reason, "connection": google, "scopes": scopes, "missing_scopes": c.missing,
		"requiredScopes": scopes, "required_scopes": scopes, "authorizationParams": map[string]any{},
		"name": "AUTH0_AI_INTERRUPT", "code": "TOKEN_VAULT_ERROR", "behavior": "resume",
	} {
		if fmt.Sprintf("%#v", body[name]) != fmt.Sprintf("%#v", want) {
			t.Errorf("%s is %#v, want %#v", name, body[name], want)
		}
	}
	if message, _ := body["message"].(string); !strings.Contains(message, google) {
		t.Errorf("message %q", message)
	}
	return body
}

func checkLink(p *proxy, got *reply) {
	p.t.Helper()
	body := got.problem(p.t)
	hinted := body["login_hints"] != nil // on some routes only
	if len(body) != len(linkMembers) && !(hinted && len(body) == len(linkMembers)+1) {
		p.t.Errorf("members %v", slices.Sorted(maps.Keys(body)))
	}
	link, status := fmt.Sprint(body["link_url"]), fmt.Sprint(body["status_url"])
	if !regexp.MustCompile(`^` + p.URL + `/auth/connect\?ticket=[A-Za-z0-9_.-]+$`).MatchString(link) {
		p.t.Errorf("link_url %s", link)
	}
	if status != strings.Replace(link, "/connect?", "/status?", 1) {
		p.t.Errorf("status_url %s", status)
	}
	if body["expires_in"] != 600.0 {
		p.t.Errorf("expires_in %v", body["expires_in"])
	}
	if v, want := got.Header.Get("WWW-Authenticate"), fmt.Sprintf(`%s, error="%s", link_uri="%s"`, bare, body["error"], link); v != want {
		p.t.Errorf("WWW-Authenticate\n %s, want\n %s", v, want)
	}
	if detail := fmt.Sprint(body["detail"]); !strings.Contains(detail, "link_url") || !strings.Contains(detail, "retry the same request") {
		p.t.Errorf("detail %q", detail)
	}
}

func TestARouteWithoutScopesAsksForNone(t *testing.T) {
	p := startProxy(t, "token_vault google-oauth2\n reverse_proxy {upstream}")
	got := p.get("/", p.token(alice))
	for _, name := range []string{"scopes", "missing_scopes", "requiredScopes", "required_scopes"} {
		if v, ok := got.problem(t)[name].([]any); !ok || len(v) != 0 {
			t.Errorf("%s is %v, want []", name, got.problem(t)[name])
		}
	}
}

func TestMissingScopesAreTheRoutesAndNotWhatOthersWereGranted(t *testing.T) {
	p := startProxy(t, `token_vault google-oauth2 {
		scopes `+calendar+` https://www.googleapis.com/auth/drive.readonly
	}`)
	p.connect(alice, google, calendar, gmail)
	got := p.get("/", p.token(alice))
	body := got.problem(t)
	if fmt.Sprint(body["missing_scopes"]) != "[https://www.googleapis.com/auth/drive.readonly]" {
		t.Errorf("missing_scopes %v", body["missing_scopes"])
	}
	if strings.Contains(got.Body, gmail) {
		t.Errorf("the agent learns of %s", gmail)
	}
}

func TestHEADIsAnsweredWithoutABody(t *testing.T) {
	p := startProxy(t, calendarSite)
	head := func(r *http.Request) { r.Method = http.MethodHead }
	for token, want := range map[string]string{p.token(alice): "link_required", "": "no_credentials"} {
		got, full := p.get("/", token, head), p.get("/", token)
		if got.Status != 401 || got.Header.Get("Token-Vault-Error") != want || got.Body != "" {
			t.Errorf("status %d, header %v, body %q", got.Status, got.Header, got.Body)
		}
		if got.Header.Get("Content-Type") != "application/problem+json" || full.Body == "" {
			t.Errorf("header %v", got.Header)
		}
	}
}

func TestTRACEIsNotAllowed(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.connect(alice, google, calendar)
	for _, token := range []string{p.token(alice), ""} {
		got := p.get("/", token, func(r *http.Request) { r.Method = http.MethodTrace })
		if got.Status != 405 || got.Header.Get("Allow") == "" || got.Header.Get("Token-Vault-Error") == "" || got.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("status %d, header %v", got.Status, got.Header)
		}
	}
	if n := len(p.Upstream.requests()); n != 0 {
		t.Errorf("%d requests reached the upstream", n)
	}
}

func TestOnlyOurAnswersAreMarked(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.connect(alice, google, calendar)
	for _, status := range []int{200, 401, 403, 500} {
		p.Upstream.respond(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Token-Vault-Error", "link_required")
			w.WriteHeader(status)
		})
		got := p.get("/", p.token(alice))
		if got.Status != status || got.Header["Token-Vault-Error"] != nil || got.Header.Get("Cache-Control") != "" {
			t.Errorf("status %d, header %v", got.Status, got.Header)
		}
	}
}

func TestTheAnswerIsStableJSON(t *testing.T) {
	p := startProxy(t, calendarSite)
	got := p.get("/", p.token(alice))
	if !json.Valid([]byte(got.Body)) || strings.Contains(got.Body, `\u00`) {
		t.Errorf("body %s", got.Body)
	}
	if !strings.HasPrefix(got.Body, `{"type":"https://`) {
		t.Errorf("the body does not begin with its type: %s", got.Body)
	}
}

// An agent that names an account which the user has not connected is told of
// those that it has used for this user, and of nobody else's.
func TestLoginHintsSayWhichAccountsServed(t *testing.T) {
	p := startProxy(t, `token_vault_link
	handle /plain {
		token_vault google-oauth2 {
			scopes `+calendar+`
		}
		reverse_proxy {upstream}
	}
	handle {
		token_vault google-oauth2 {
			allow_clients *
			login_hint {http.request.uri.query.account}
		}
		reverse_proxy {upstream}
	}`)
	for _, account := range []string{"1111", "2222"} {
		if err := p.Tenant.Connect(alice, google, []string{gmail}, account); err != nil {
			t.Fatal(err)
		}
	}
	token, strange := p.token(alice), p.token(alice, strange)
	hints := func(got *reply) []any {
		t.Helper()
		hints, ok := got.problem(t)["login_hints"].([]any)
		if !ok || got.code() != "link_required" {
			t.Errorf("body %s", got.Body)
		}
		return hints
	}

	none := p.get("/?account=3333", token)
	if got := hints(none); len(got) != 0 || strings.Contains(none.text(t, "detail"), "login_hints") {
		t.Errorf("at first %q, %s", got, none.text(t, "detail"))
	}
	for _, account := range []string{"1111", "2222"} {
		if got := p.get("/?account="+account, token); got.Status != 200 {
			t.Fatalf("status %d, body %s", got.Status, got.Body)
		}
	}
	some := p.get("/?account=3333", token)
	if got := hints(some); !slices.Equal(got, []any{"2222", "1111"}) {
		t.Errorf("%q", got)
	}
	if detail := some.text(t, "detail"); !strings.Contains(detail, "login_hints") || !strings.Contains(detail, "link_url") {
		t.Errorf("detail %q", detail)
	}
	for name, other := range map[string]string{"another agent": strange, "another user": p.token(bob)} {
		if got := hints(p.get("/?account=3333", other)); len(got) != 0 {
			t.Errorf("%s is told %q", name, got)
		}
	}
	if got := p.get("/plain", token); got.code() != "scope_required" || got.problem(t)["login_hints"] != nil {
		t.Errorf("a route without login_hint: body %s", got.Body)
	}
}

func TestHintsOfTheOperatorAreNotTold(t *testing.T) {
	p := startProxy(t, `token_vault_link
	handle /work {
		token_vault google-oauth2 {
			login_hint 998877
		}
		reverse_proxy {upstream}
	}
	handle /any {
		token_vault google-oauth2 {
			login_hint {http.request.header.X-Account}
		}
		reverse_proxy {upstream}
	}`)
	if err := p.Tenant.Connect(alice, google, []string{calendar}, "998877"); err != nil {
		t.Fatal(err)
	}
	token := p.token(alice)
	account := func(id string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("X-Account", id) }
	}
	if got := p.get("/work", token); got.Status != 200 {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	if hints := p.get("/any", token, account("1")).problem(t)["login_hints"].([]any); len(hints) != 0 {
		t.Errorf("the agent is told %v", hints)
	}
	if got := p.get("/any", token, account("998877")); got.Status != 200 {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	if hints := p.get("/any", token, account("1")).problem(t)["login_hints"].([]any); len(hints) != 1 {
		t.Errorf("the agent is told %v of what it said itself", hints)
	}
	if got := p.get("/any", token, account("1 (checked by your IT department)")); got.code() != "invalid_request" {
		t.Errorf("an account's id may be a sentence: %d %s", got.Status, got.Body)
	}
}
