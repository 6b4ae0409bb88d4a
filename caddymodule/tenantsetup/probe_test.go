package tenantsetup

import (
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// Without Management credentials, requests that have to fail tell what is wrong.
func TestProbesNameTheOneSettingThatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*auth0test.Config){
		"client.secret": func(cfg *auth0test.Config) { client(cfg, "vault-exchange").ClientSecret = "another" },
		"client.grant":  func(cfg *auth0test.Config) { client(cfg, "vault-exchange").GrantTypes = []string{} },
		"link.secret":   func(cfg *auth0test.Config) { client(cfg, "link-pages").ClientSecret = "another" },
		"link.grant":    func(cfg *auth0test.Config) { client(cfg, "link-pages").GrantTypes = []string{"refresh_token"} },
		"link.callback": func(cfg *auth0test.Config) {
			client(cfg, "link-pages").Callbacks = []string{"https://elsewhere.example.com/"}
		},
		"link.logout_url": func(cfg *auth0test.Config) { slices.Reverse(client(cfg, "link-pages").AllowedLogoutURLs) },
		"my_account.grant": func(cfg *auth0test.Config) {
			cfg.ClientGrants = slices.DeleteFunc(cfg.ClientGrants, func(g auth0test.ClientGrant) bool { return g.ClientID == "link-pages" })
		},
		"": func(*auth0test.Config) {},
	} {
		t.Run(want, func(t *testing.T) {
			tenant := start(t, change)
			got := allWrong(t, demo(tenant))
			if len(got) != len(strings.Fields(want)) || len(got) == 1 && got[0].Check != want {
				t.Fatalf("wrong: %+v, want %q", got, want)
			}
			for _, f := range got {
				switch line := "auth0 apps open " + either(strings.HasPrefix(want, "link."), "link-pages", "vault-exchange"); {
				case strings.HasSuffix(want, ".secret") && f.CLI == "":
				case want == "my_account.grant":
					runLine(t, tenant, f.CLI)
				case f.CLI != line: // lists that nobody has seen are not replaced
					t.Errorf("%s has the line %q", want, f.CLI)
				}
			}
		})
	}
}

func TestProbesChangeNothing(t *testing.T) {
	tenant := start(t, nil)
	before := tenant.Config()
	if got := wrongs(t, demo(tenant)); len(got) > 0 {
		t.Fatalf("wrong: %q", got)
	}
	for _, r := range tenant.Requests() {
		if r.Method == "POST" && (r.Path != "/oauth/token" || r.Status < 400) {
			t.Errorf("%s %s was answered %d", r.Method, r.Path, r.Status)
		}
	}
	if compact(before) != compact(tenant.Config()) {
		t.Error("the tenant has changed")
	}
}

// Whoever stands between may answer in the tenant's place. What is no answer of
// Auth0's to a client whom it knows proves nothing, of right and of wrong.
func TestProbesTakeNothingForAnAnswerThatIsNone(t *testing.T) {
	n := demo(start(t, nil))
	token := func(rt http.RoundTripper) verdict { return probe(t.Context(), n, false, rt).exchange }
	code := func(rt http.RoundTripper) verdict { return probe(t.Context(), n, false, rt).login }
	authorize := func(rt http.RoundTripper) verdict { return authorizeVerdict(t.Context(), n, rt) }
	logout := func(rt http.RoundTripper) verdict { return logoutVerdict(t.Context(), n, rt) }
	back := n.Link.Callback + "?"
	for _, test := range []struct {
		probe    func(http.RoundTripper) verdict
		status   int
		location string
		body     string
		want     verdict
	}{
		{token, 401, "", `{"error":"access_denied","error_description":"Unauthorized"}`, badClient},
		{token, 401, "", `{"error":"invalid_client"}`, badClient},
		{token, 403, "", `{"error":"unauthorized_client"}`, badGrant},
		{token, 401, "", `{"error":"invalid_grant"}`, accepted},
		{token, 401, "", `{"error":"invalid_token"}`, accepted},
		{token, 400, "", `{"error":"invalid_request"}`, accepted},
		{token, 403, "", `{"error":"mfa_required"}`, accepted},
		{token, 401, "", `{"error":"federated_connection_refresh_token_not_found"}`, accepted},
		{code, 403, "", `{"error":"invalid_grant"}`, accepted},
		{code, 401, "", `{"error":"access_denied"}`, badClient},
		{token, 403, "", `{"error":"Forbidden","message":"Request blocked by policy"}`, unclear},
		{token, 407, "", `{"error":"proxy authentication required"}`, unclear},
		{token, 200, "", `{"error":"invalid_grant"}`, unclear},
		{token, 429, "", `{"error":"too_many_requests"}`, unclear},
		{token, 429, "", `{"error":"invalid_client"}`, unclear},
		{token, 500, "", `{"error":"invalid_client"}`, unclear},
		{token, 503, "", "<html>", unclear},
		{token, 200, "", "<html>", unclear},
		{token, 403, "", `{"error":7}`, unclear},
		{token, 403, "", `{"message":"no"}`, unclear},
		{token, 307, "https://elsewhere.example.com/", "", unclear},

		{authorize, 302, back + "error=login_required&state=doctor", "", accepted},
		{authorize, 302, back + "error=unauthorized_client", "", badGrant},
		{authorize, 302, back + "error=invalid_request&error_description=not+authorized+to+access+" + n.Issuer + "me/", "", badAPI},
		{authorize, 403, "", "<h1>Callback URL mismatch.</h1>", badCallback},
		{authorize, 403, "", "Unknown client: abc", badClient},
		{authorize, 302, back + "error=server_error", "", unclear},
		{authorize, 302, n.Link.Callback + ".evil.example.com/?error=login_required", "", unclear},
		{authorize, 302, "https://elsewhere.example.com/?error=login_required", "", unclear},
		{authorize, 200, "", "Callback URL mismatch", unclear},
		{authorize, 403, "", "<html>blocked</html>", unclear},
		{authorize, 503, "", "<html>", unclear},

		{logout, 302, n.Link.Accounts, "", accepted},
		{logout, 302, n.Link.Accounts + "/elsewhere", "", badCallback},
		{logout, 200, "", "OK", badCallback},
		{logout, 403, "", "<html>blocked</html>", unclear},
		{logout, 404, "", "", unclear},
		{logout, 429, "", "", unclear},
		{logout, 503, "", "<html>", unclear},
	} {
		got := test.probe(roundTrip(func(*http.Request) (*http.Response, error) {
			resp := &http.Response{StatusCode: test.status, Header: make(http.Header), Body: io.NopCloser(strings.NewReader(test.body))}
			if test.location != "" {
				resp.Header.Set("Location", test.location)
			}
			return resp, nil
		}))
		if got != test.want {
			t.Errorf("%d %s %s means %d, want %d", test.status, test.location, test.body, got, test.want)
		}
	}
	for i, try := range []func(http.RoundTripper) verdict{token, code, authorize, logout} {
		if got := try(roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF })); got != unclear {
			t.Errorf("no answer to probe %d means %d", i, got)
		}
	}
}

// Without Management credentials every request may fail in every way: of what is right
// nothing is said to be wrong, but for the documents themselves.
func TestWithoutCredentialsAFailureIsNotFoundWrong(t *testing.T) {
	tenant := quick(t, nil)
	for _, path := range []string{"/oauth/token", "/authorize", "/v2/logout", "/.well-known/openid-configuration", "/.well-known/jwks.json"} {
		for _, failure := range failures {
			if failure.fault.DelayMS > 0 || path == "/v2/logout" && *failure.fault.Status == 200 {
				continue // a page is what Auth0 shows where there is nowhere to go
			}
			tenant.ClearFaults()
			failure.fault.Path, failure.fault.Times = path, new(0)
			fault(t, tenant, failure.fault)
			keysAtOnce(t, tenant)
			of := map[string]string{"/.well-known/openid-configuration": "discovery", "/.well-known/jwks.json": "keys"}[path]
			for _, check := range wrongs(t, demo(tenant)) {
				if check != of {
					t.Errorf("%s, %s: %s is wrong", path, failure.name, check)
				}
			}
			if _, err := Prepare(t.Context(), managed(tenant), silent); (err == nil) == (of == "discovery" || strings.HasPrefix(path, "/oauth")) {
				t.Errorf("%s, %s: planning ends with %v", path, failure.name, err)
			}
		}
	}
	if calls := writes(tenant); calls != nil {
		t.Errorf("calls that change something: %q", calls)
	}
}

// What a tenant says of its clock is compared with ours, whichever is ahead, and
// however old a cache's answer is.
func TestDoctorComparesClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &Needs{Issuer: "https://tenant.example.com/", Algorithms: []string{"RS256"}}
		for _, test := range []struct {
			ahead time.Duration // the tenant's clock
			age   int           // of a cache's answer
			want  string
		}{
			{0, 0, "ok"}, {4 * time.Second, 0, "ok"}, {-4 * time.Second, 0, "ok"},
			{time.Minute, 0, "this machine's clock is 1m"}, {time.Minute, 0, "behind the tenant's"},
			{-time.Minute, 0, "ahead of the tenant's"}, {-time.Minute, 60, "ok"}, {0, 3600, "behind the tenant's"},
		} {
			o := &observed{public: readPublic(t.Context(), n, roundTrip(func(*http.Request) (*http.Response, error) {
				header := http.Header{"Date": {time.Now().Add(test.ahead).UTC().Format(http.TimeFormat)}}
				if test.age > 0 {
					header.Set("Age", strconv.Itoa(test.age))
				}
				return &http.Response{StatusCode: 200, Header: header, Body: io.NopCloser(strings.NewReader("{}"))}, nil
			}))}
			f := checkClock(n, o)[0]
			if f.Status == StatusOK != (test.want == "ok") || f.Status == StatusWrong && !strings.Contains(f.Found, test.want) {
				t.Errorf("%s ahead, %d s old: %+v", test.ahead, test.age, f)
			}
		}
		o := &observed{public: readPublic(t.Context(), n, roundTrip(func(*http.Request) (*http.Response, error) { return nil, io.ErrUnexpectedEOF }))}
		if f := checkClock(n, o); f != nil {
			t.Errorf("without a date: %+v", f)
		}
	})
}

// A key without an algorithm is good for those of its type (RFC 7517 §4.4).
func TestDoctorKnowsWhatAKeyIsGoodFor(t *testing.T) {
	for _, test := range []struct {
		keys, wanted string
		want         Status
	}{
		{`[{"kty":"RSA","alg":"RS256"}]`, "RS256", StatusOK},
		{`[{"kty":"RSA","alg":"RS256"}]`, "PS256", StatusWrong},
		{`[{"kty":"RSA"}]`, "PS256", StatusOK},
		{`[{"kty":"RSA"}]`, "ES256", StatusWrong},
		{`[{"kty":"EC"},{"kty":"oct"}]`, "ES256", StatusOK},
		{`[{"kty":"oct"}]`, "RS256", StatusWrong},
		{`[]`, "RS256", StatusWrong},
		{`7`, "RS256", StatusWrong},
	} {
		n := &Needs{Issuer: "https://tenant.example.com/", Algorithms: []string{test.wanted}}
		o := &observed{public: readPublic(t.Context(), n, roundTrip(func(req *http.Request) (*http.Response, error) {
			body := either(strings.HasSuffix(req.URL.Path, "jwks.json"), `{"keys":`+test.keys+`}`, "{}")
			return &http.Response{StatusCode: 200, Header: make(http.Header), Body: io.NopCloser(strings.NewReader(body))}, nil
		}))}
		if f := checkKeys(n, o)[0]; f.Check != "keys" || f.Status != test.want {
			t.Errorf("%s for %s: %+v", test.keys, test.wanted, f)
		}
	}
}
