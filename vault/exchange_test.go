package vault

import (
	"bufio"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// google is the request of the tests that talk to a listening tenant.
var google = Request{Connection: "google-oauth2"}

const calendarScope = "https://www.googleapis.com/auth/calendar.readonly"

func connect(t testing.TB, s *auth0test.Server, account string) {
	t.Helper()
	if err := s.Connect("auth0|alice", "google-oauth2", []string{calendarScope}, account); err != nil {
		t.Fatal(err)
	}
}

func TestExchangeSendsExactlyWhatAuth0Documents(t *testing.T) {
	s := auth0test.NewServer(auth0test.Seeds())
	defer s.Close()
	connect(t, s, "")
	connect(t, s, "108790000000000000001")
	form := func(raw string, more url.Values) url.Values {
		out := url.Values{
			"grant_type":           {"urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"},
			"subject_token":        {raw},
			"subject_token_type":   {"urn:ietf:params:oauth:token-type:access_token"},
			"requested_token_type": {"http://auth0.com/oauth/token-type/federated-connection-access-token"},
			"connection":           {"google-oauth2"},
		}
		for name, values := range more {
			out[name] = values
		}
		return out
	}
	inBody := url.Values{"client_id": {"vault-exchange"}, "client_secret": {"vault-exchange-secret"}}
	for _, tt := range []struct {
		name, method, hint, authorization string
		want                              url.Values
	}{
		{"the secret in the body", "", "", "", inBody},
		{"the secret in the body, asked for", "client_secret_post", "", "", inBody},
		{"the secret in the header", "client_secret_basic", "", "Basic dmF1bHQtZXhjaGFuZ2U6dmF1bHQtZXhjaGFuZ2Utc2VjcmV0", nil},
		{"with a login hint", "client_secret_basic", "108790000000000000001", "Basic dmF1bHQtZXhjaGFuZ2U6dmF1bHQtZXhjaGFuZ2Utc2VjcmV0", url.Values{"login_hint": {"108790000000000000001"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wire := &recorder{base: http.DefaultTransport}
			c := clientOf(t, s.URL, Config{AuthMethod: tt.method, Transport: wire})
			caller := issue(t, s, c)
			mustToken(t, c, caller, Request{Connection: "google-oauth2", LoginHint: tt.hint})
			if want := form(caller.raw.Reveal(), tt.want); !reflect.DeepEqual(wire.form, want) {
				t.Errorf("sent %v\nwant %v", wire.form, want)
			}
			if got := wire.header.Get("Authorization"); got != tt.authorization {
				t.Errorf("Authorization is %q", got)
			}
			if got := wire.header.Get("Content-Type"); got != "application/x-www-form-urlencoded" {
				t.Errorf("Content-Type is %q", got)
			}
			if got := wire.header.Get("Accept"); got != "application/json" {
				t.Errorf("Accept is %q", got)
			}
		})
	}
}

func TestATenantWithTLSIsTrustedByItsTransport(t *testing.T) {
	s := auth0test.NewTLSServer(auth0test.Seeds())
	defer s.Close()
	connect(t, s, "")
	c := clientOf(t, s.URL, Config{Transport: s.Client().Transport})
	caller := issue(t, s, c)
	api := &http.Client{Transport: &Transport{
		Client: c, Caller: caller, Request: google, Host: strings.TrimPrefix(s.GoogleURL, "https://"), Base: s.Client().Transport,
	}}
	get(t, api, s.GoogleURL+eventsPath, http.StatusOK)

	_, err := clientOf(t, s.URL, Config{}).Token(t.Context(), caller, google)
	if e := refused(t, err, CodeUnavailable); !strings.Contains(e.Error(), "certificate") {
		t.Errorf("who does not trust it is told %v", e)
	}
}

// RFC 6749 §2.3.1 and appendix B: both halves are form-encoded first.
func TestBasicCredentialsAreFormEncoded(t *testing.T) {
	s := newTenant()
	wire := &recorder{base: s}
	c := s.client(t, Config{AuthMethod: "client_secret_basic", ClientID: "id:1", ClientSecret: NewSecret("a+b c%/é"), Transport: wire})
	mustToken(t, c, alice(t, "raw"), calendar)
	want := "Basic " + base64.StdEncoding.EncodeToString([]byte("id%3A1:a%2Bb+c%25%2F%C3%A9"))
	if got := wire.header.Get("Authorization"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestExchangeReturnsTheAccountThatTheHintNames(t *testing.T) {
	s, c := listen(t, nil, Config{})
	connect(t, s, "")
	connect(t, s, "108790000000000000001")
	caller := issue(t, s, c)
	first := mustToken(t, c, caller, google)
	second := mustToken(t, c, caller, Request{Connection: "google-oauth2", LoginHint: "108790000000000000001"})
	if first.Reveal() == second.Reveal() || first.Reveal() == "" {
		t.Error("the same token for two accounts")
	}
	if !reflect.DeepEqual(first.Scopes, []string{calendarScope}) {
		t.Errorf("Scopes are %q", first.Scopes)
	}
	if life := time.Until(first.Expiry); life < 50*time.Minute || life > time.Hour {
		t.Errorf("the token lives for %v", life)
	}
}

func TestWhatTheTenantItselfRefuses(t *testing.T) {
	settings := func(f func(*auth0test.Settings)) func(*auth0test.Config) {
		return func(c *auth0test.Config) { f(&c.Settings) }
	}
	for _, tt := range []struct {
		name   string
		tenant func(*auth0test.Config)
		cfg    Config
		before func(*auth0test.Server)
		req    Request
		want   string
	}{
		{"never connected", nil, Config{}, func(s *auth0test.Server) { _ = s.Disconnect("auth0|alice", "google-oauth2") }, google, "link_required/" + notConnected},
		{"never connected, by its older name", settings(func(s *auth0test.Settings) { s.NotConnectedError = "tokenset_not_found" }), Config{}, nil, Request{Connection: "github"}, "link_required/tokenset_not_found"},
		{"a connection that does not exist", nil, Config{}, nil, Request{Connection: "nothing"}, "link_required/" + notConnected},
		{"a hint that names no account", nil, Config{}, nil, Request{Connection: "google-oauth2", LoginHint: "1"}, "link_required/user_not_found"},
		{"a hint that names no account, said in the other member", settings(func(s *auth0test.Settings) { s.UserNotFoundMember = "description" }), Config{}, nil, Request{Connection: "google-oauth2", LoginHint: "1"}, "link_required/user_not_found"},
		{"revoked at the provider", nil, Config{}, func(s *auth0test.Server) { _ = s.Revoke("auth0|alice", "google-oauth2") }, google, "relink_required/federated_connection_refresh_token_flow_failed"},
		{"our secret is wrong", nil, Config{ClientSecret: NewSecret("wrong")}, nil, google, "vault_misconfigured/access_denied"},
		{"our secret is wrong, said by the RFC", settings(func(s *auth0test.Settings) { s.WrongSecretError = "invalid_client" }), Config{ClientSecret: NewSecret("wrong")}, nil, google, "vault_misconfigured/invalid_client"},
		{"our client may not exchange", func(c *auth0test.Config) { c.Clients[0].GrantTypes = []string{} }, Config{}, nil, google, "vault_misconfigured/unauthorized_client"},
		{"MFA is always on", settings(func(s *auth0test.Settings) { s.MFAPolicy = "always" }), Config{}, nil, google, "insufficient_user_authentication/mfa_required"},
		{"the user is gone", func(c *auth0test.Config) { c.Users = c.Users[1:] }, Config{}, nil, google, "invalid_token/user_not_found"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, c := listen(t, tt.tenant, tt.cfg)
			_ = s.Connect("auth0|alice", "google-oauth2", nil, "")
			caller := issue(t, s, c)
			if tt.before != nil {
				tt.before(s)
			}
			_, err := c.Token(t.Context(), caller, tt.req)
			if got := describe(err); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

// oauth is the body of an OAuth error.
func oauth(code string) string { return mustJSON(object{"error": code, "error_description": "Text."}) }

// Every row of the documented and observed answers, and what is not among them.
func TestRefusalsAreToldApartByTheirCode(t *testing.T) {
	s, c := listen(t, nil, Config{UserBudget: 1000, TenantBudget: 1000})
	caller := issue(t, s, c)
	for _, tt := range []struct {
		status int
		body   string
		hint   string
		want   string
	}{
		{401, oauth(notConnected), "", "link_required/" + notConnected},
		{400, oauth(notConnected), "", "link_required/" + notConnected},
		{401, oauth("tokenset_not_found"), "", "link_required/tokenset_not_found"},
		{404, oauth("tokenset_not_found"), "", "link_required/tokenset_not_found"},
		{401, oauth("federated_connection_refresh_token_flow_failed"), "", "relink_required/federated_connection_refresh_token_flow_failed"},
		{401, oauth("user_not_found"), "", "invalid_token/user_not_found"},
		{401, oauth("user_not_found"), "someone", "link_required/user_not_found"},
		{401, `{"error":"user_not_found","description":"Identity User not found."}`, "someone", "link_required/user_not_found"},
		{403, oauth("invalid_grant"), "", "invalid_token/invalid_grant"},
		{401, oauth("invalid_grant"), "", "invalid_token/invalid_grant"},
		{401, oauth("invalid_token"), "", "invalid_token/invalid_token"},
		{401, oauth("expired_token"), "", "invalid_token/expired_token"},
		{403, oauth("mfa_required"), "", "insufficient_user_authentication/mfa_required"},
		{401, `{"error":"mfa_required","mfa_token":"Fe26.2*x"}`, "", "insufficient_user_authentication/mfa_required"},
		{401, oauth("unmet_authentication_requirements"), "", "insufficient_user_authentication/unmet_authentication_requirements"},
		{403, oauth("access_denied"), "", "access_denied/access_denied"},
		{401, oauth("access_denied"), "", "vault_misconfigured/access_denied"},
		{403, oauth("unauthorized_client"), "", "vault_misconfigured/unauthorized_client"},
		{401, oauth("invalid_client"), "", "vault_misconfigured/invalid_client"},
		{400, oauth("invalid_request"), "", "vault_misconfigured/invalid_request"},
		{401, oauth("invalid_request"), "", "vault_misconfigured/invalid_request"},
		{400, oauth("unsupported_grant_type"), "", "vault_misconfigured/unsupported_grant_type"},
		{400, oauth("use_dpop_nonce"), "", "vault_misconfigured/use_dpop_nonce"},
		{401, oauth("some_code_of_the_future"), "", "vault_misconfigured/some_code_of_the_future"},
		{429, oauth("too_many_requests"), "", "vault_throttled/too_many_requests"},
		{429, oauth(notConnected), "", "vault_throttled/too_many_requests"},
		{429, "<html>", "", "vault_throttled/too_many_requests"},
		{403, oauth("too_many_requests"), "", "vault_throttled/too_many_requests"},
		{500, oauth(notConnected), "", "vault_unavailable/server_error"},
		{502, "<html><h1>Bad gateway</h1>", "", "vault_unavailable/server_error"},
		{503, oauth("temporarily_unavailable"), "", "vault_unavailable/server_error"},
		{401, "<html><h1>Unauthorized</h1>", "", "vault_unavailable/no_oauth_error"},
		{401, "", "", "vault_unavailable/no_oauth_error"},
		{403, `{}`, "", "vault_unavailable/no_oauth_error"},
		{403, `{"error":""}`, "", "vault_unavailable/no_oauth_error"},
		{403, `{"error":{"code":"invalid_grant"}}`, "", "vault_unavailable/no_oauth_error"},
		{404, `{"statusCode":404,"error":"Not Found","message":"Not Found"}`, "", "vault_misconfigured/unnamed_error"},
		{401, `{"Error":"` + notConnected + `"}`, "", "vault_unavailable/no_oauth_error"},
		{401, `{"error":"` + notConnected + `","error":"invalid_grant"}`, "", "vault_unavailable/no_oauth_error"},
		{401, oauth(notConnected) + "x", "", "vault_unavailable/no_oauth_error"},
		{401, `[` + oauth(notConnected) + `]`, "", "vault_unavailable/no_oauth_error"},
		{401, oauth("link required"), "", "vault_misconfigured/unnamed_error"},
		{401, oauth("x\r\nSet-Cookie: a=b"), "", "vault_unavailable/no_oauth_error"},
		{401, oauth(strings.Repeat("a", 65)), "", "vault_misconfigured/unnamed_error"},
		{401, strings.Repeat(" ", maxAnswer) + oauth(notConnected), "", "vault_unavailable/answer_too_large"},
		{201, mustJSON(grant("t", nil)), "", "vault_unavailable/unexpected_status"},
		{204, "", "", "vault_unavailable/unexpected_status"},
		{302, "", "", "vault_misconfigured/redirect"},
		{304, "", "", "vault_misconfigured/redirect"},
	} {
		t.Run(fmt.Sprintf("%d %.50s %s", tt.status, strings.TrimSpace(tt.body), tt.hint), func(t *testing.T) {
			c := clientOf(t, s.URL, Config{}) // which has heard no 429 yet
			fault(t, s, tt.status, tt.body, nil)
			_, err := c.Token(t.Context(), caller, Request{Connection: "google-oauth2", LoginHint: tt.hint})
			if got := describe(err); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func fault(t testing.TB, s *auth0test.Server, status int, body any, headers map[string]string) {
	t.Helper()
	err := s.AddFault(auth0test.Fault{Path: "/oauth/token", Status: &status, Body: body, Headers: headers})
	if err != nil {
		t.Fatal(err)
	}
}

func TestOnlyWhatAConnectionMendsNeedsALink(t *testing.T) {
	for _, code := range []Code{
		CodeInvalidRequest, CodeInvalidToken, CodeStepUp, CodeScopeExcess, CodeAccessDenied, CodeLinkRequired,
		CodeRelinkRequired, CodeScopeRequired, CodeKeysUnavailable, CodeMisconfigured, CodeUnavailable, CodeTimeout, CodeThrottled,
	} {
		want := code == "link_required" || code == "relink_required" || code == "scope_required"
		if got := (&Error{Code: code}).NeedsLink(); got != want {
			t.Errorf("%s: NeedsLink is %t", code, got)
		}
	}
}

func TestARefusalSaysWhatAuth0Said(t *testing.T) {
	s, c := listen(t, nil, Config{})
	caller := issue(t, s, c)
	fault(t, s, 403, `{"error":"unauthorized_client","error_description":"Grant type \u0007 not allowed, naïve\n`+strings.Repeat("x", 400)+`"}`, nil)
	_, err := c.Token(t.Context(), caller, google)
	e := refused(t, err, CodeMisconfigured)
	want := "vault_misconfigured: unauthorized_client (Auth0 answered 403): Auth0: Grant type ? not allowed, na?ve?xxx"
	if !strings.HasPrefix(e.Error(), want) || len(e.Error()) > 400 || e.Status != 403 {
		t.Errorf("got %q", e.Error())
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var seen atomic.Int64
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen.Add(1) }))
	defer elsewhere.Close()
	s, c := listen(t, nil, Config{})
	caller := issue(t, s, c)
	for _, status := range []int{301, 302, 303, 307, 308} {
		fault(t, s, status, "", map[string]string{"Location": elsewhere.URL + "/oauth/token"})
		_, err := c.Token(t.Context(), caller, google)
		if got := describe(err); got != "vault_misconfigured/redirect" {
			t.Errorf("%d: got %s", status, got)
		}
	}
	if seen.Load() > 0 {
		t.Error("the secret and the subject token went to another host")
	}
}

func TestADroppedConnectionIsUnavailableAndNotTriedTwice(t *testing.T) {
	s, c := listen(t, nil, Config{})
	caller := issue(t, s, c)
	s.ClearRequests()
	fault(t, s, 0, nil, nil)
	_, err := c.Token(t.Context(), caller, google)
	if got := describe(err); got != "vault_unavailable/unreachable" {
		t.Errorf("got %s", got)
	}
	if n := len(s.Requests()); n != 1 {
		t.Errorf("the tenant got %d requests", n)
	}
	s.Close()
	_, err = c.Token(t.Context(), caller, google)
	if got := describe(err); got != "vault_unavailable/unreachable" {
		t.Errorf("nobody listens: got %s", got)
	}
}

func TestAnAnswerThatIsLateIsATimeout(t *testing.T) {
	for _, tt := range []struct {
		name    string
		timeout time.Duration
		answer  http.HandlerFunc
		want    string
		took    time.Duration
	}{
		{"just in time", 0, after(DefaultTimeout-time.Millisecond, mint), "ok", DefaultTimeout - time.Millisecond},
		{"too late", 0, after(DefaultTimeout+time.Millisecond, mint), "vault_timeout/timeout", DefaultTimeout},
		{"never", 3 * time.Second, blackHole, "vault_timeout/timeout", 3 * time.Second},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				s.serveVault(tt.answer)
				begun := time.Now()
				_, err := s.client(t, Config{Timeout: tt.timeout}).Token(t.Context(), alice(t, "raw"), calendar)
				if got := describe(err); got != tt.want {
					t.Errorf("got %s, want %s", got, tt.want)
				}
				if took := time.Since(begun); took != tt.took {
					t.Errorf("took %v", took)
				}
			})
		})
	}
}

func TestAnAnswerThatStopsHalfwayIsATimeout(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		half := roundTripper(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: stalled{r.Context().Done(), r.Context().Err}}, nil
		})
		_, err := s.client(t, Config{Transport: half}).Token(t.Context(), alice(t, "raw"), calendar)
		if got := describe(err); got != "vault_timeout/timeout" {
			t.Errorf("got %s", got)
		}
	})
}

// stalled is a body that never comes.
type stalled struct {
	done <-chan struct{}
	err  func() error
}

func (s stalled) Read([]byte) (int, error) { <-s.done; return 0, s.err() }
func (s stalled) Close() error             { return nil }

func TestHowLongToWaitAfter429(t *testing.T) {
	bubble(t, func(t *testing.T) {
		now := time.Now()
		for _, tt := range []struct {
			name   string
			header http.Header
			want   time.Duration
		}{
			{"nothing said", nil, defaultRetryAfter},
			{"seconds", http.Header{"Retry-After": {"7"}}, 7 * time.Second},
			{"no seconds", http.Header{"Retry-After": {"0"}}, time.Second},
			{"seconds below zero", http.Header{"Retry-After": {"-5"}}, time.Second},
			{"more seconds than anybody waits", http.Header{"Retry-After": {"86400"}}, maxRetryAfter},
			{"more seconds than a number holds", http.Header{"Retry-After": {"99999999999999999999"}}, maxRetryAfter},
			{"a date", http.Header{"Retry-After": {now.Add(9 * time.Second).UTC().Format(http.TimeFormat)}}, 9 * time.Second},
			{"a date in the past", http.Header{"Retry-After": {now.Add(-time.Hour).UTC().Format(http.TimeFormat)}}, time.Second},
			{"a date next year", http.Header{"Retry-After": {now.AddDate(1, 0, 0).UTC().Format(http.TimeFormat)}}, maxRetryAfter},
			{"neither", http.Header{"Retry-After": {"soon"}}, defaultRetryAfter},
			{"when the limit is reset", http.Header{"X-Ratelimit-Reset": {fmt.Sprint(now.Unix() + 11)}}, 11 * time.Second},
			{"reset in the past", http.Header{"X-Ratelimit-Reset": {fmt.Sprint(now.Unix() - 11)}}, time.Second},
			{"reset in an age", http.Header{"X-Ratelimit-Reset": {"99999999999"}}, maxRetryAfter},
			{"reset sometime", http.Header{"X-Ratelimit-Reset": {"sometime"}}, defaultRetryAfter},
			{"both", http.Header{"Retry-After": {"3"}, "X-Ratelimit-Reset": {fmt.Sprint(now.Unix() + 11)}}, 3 * time.Second},
		} {
			s := newTenant()
			s.serveVault(func(w http.ResponseWriter, _ *http.Request) {
				for name, values := range tt.header {
					w.Header()[name] = values
				}
				w.WriteHeader(http.StatusTooManyRequests)
			})
			_, err := s.client(t, Config{}).Token(t.Context(), alice(t, "raw"), calendar)
			if got := refused(t, err, CodeThrottled).RetryAfter; got != tt.want {
				t.Errorf("%s: got %v, want %v", tt.name, got, tt.want)
			}
		}
	})
}

// Everything a success answer can have wrong. A token that is not understood is
// not passed on.
func TestASuccessThatMakesNoSenseIsNone(t *testing.T) {
	s, c := listen(t, nil, Config{UserBudget: 1000, TenantBudget: 1000})
	caller := issue(t, s, c)
	good := mustJSON(grant("provider-token", nil))
	inside := strings.TrimSuffix(good, "}")
	changed := func(changes object) string { return mustJSON(grant("provider-token", changes)) }
	without := func(name string) string { return strings.TrimSuffix(changed(object{name: nil}), "}") }
	const senseless = "vault_unavailable/senseless_answer"
	for _, tt := range []struct{ name, body, want string }{
		{"as it should be", good, "ok"},
		{"with members nobody knows", inside + `,"x":{"y":[1]}}`, "ok"},
		{"token_type in another case", changed(object{"token_type": "bearer"}), "ok"},
		{"token_type MAC", changed(object{"token_type": "MAC"}), senseless},
		{"token_type DPoP", changed(object{"token_type": "DPoP"}), senseless},
		{"token_type missing", changed(object{"token_type": nil}), senseless},
		{"token_type null", without("token_type") + `,"token_type":null}`, senseless},
		{"Token_Type is not token_type", without("token_type") + `,"Token_Type":"Bearer"}`, senseless},
		{"token_type twice", inside + `,"token_type":"Bearer"}`, senseless},
		{"access_token missing", changed(object{"access_token": nil}), senseless},
		{"access_token empty", changed(object{"access_token": ""}), senseless},
		{"access_token null", without("access_token") + `,"access_token":null}`, senseless},
		{"access_token a number", changed(object{"access_token": 12345}), senseless},
		{"access_token a list", changed(object{"access_token": []string{"a"}}), senseless},
		{"access_token with a line break", changed(object{"access_token": "a\r\nX-Admin: 1"}), senseless},
		{"access_token with NUL", changed(object{"access_token": "a\x00b"}), senseless},
		{"access_token with DEL", changed(object{"access_token": "a\x7fb"}), senseless},
		{"access_token beyond ASCII", changed(object{"access_token": "tökén"}), senseless},
		{"access_token that begins with a space", changed(object{"access_token": " a"}), senseless},
		{"access_token twice", inside + `,"access_token":"another"}`, senseless},
		{"Access_Token is not access_token", without("access_token") + `,"Access_Token":"a"}`, senseless},
		{"Access_Token beside access_token", inside + `,"Access_Token":"another"}`, "ok"},
		{"expires_in a string", changed(object{"expires_in": "3600"}), "ok"},
		{"expires_in a fraction", inside[:strings.Index(inside, `"expires_in"`)] + `"expires_in":1.5,"token_type":"Bearer"}`, "ok"},
		{"expires_in an exponent", `{"access_token":"a","token_type":"Bearer","expires_in":1e30}`, senseless},
		{"expires_in a list", changed(object{"expires_in": []int{1}}), senseless},
		{"expires_in null", without("expires_in") + `,"expires_in":null}`, "ok"},
		{"expires_in true", changed(object{"expires_in": true}), senseless},
		{"expires_in twice", inside + `,"expires_in":1}`, senseless},
		{"expires_in 0", changed(object{"expires_in": 0}), "ok"},
		{"expires_in -1", changed(object{"expires_in": -1}), "ok"},
		{"expires_in more than a number holds", `{"access_token":"a","token_type":"Bearer","expires_in":99999999999999999999}`, "ok"},
		{"scope a list", changed(object{"scope": []string{"a"}}), senseless},
		{"scope a number", changed(object{"scope": 1}), senseless},
		{"data after it", good + "{}", senseless},
		{"a list", `[` + good + `]`, senseless},
		{"null", `null`, senseless},
		{"nothing", ``, senseless},
		{"a page", `<html>`, senseless},
		{"a form, as GitHub answers", `access_token=a&token_type=Bearer`, senseless},
		{"an error with status 200, as GitHub answers", oauth("bad_verification_code"), senseless},
		{"more than is read", inside + `,"x":"` + strings.Repeat("x", maxAnswer) + `"}`, "vault_unavailable/answer_too_large"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c.Forget("auth0|alice", "google-oauth2")
			fault(t, s, 200, tt.body, nil)
			_, err := c.Token(t.Context(), caller, google)
			if got := describe(err); got != tt.want {
				t.Errorf("got %s, want %s", got, tt.want)
			}
		})
	}
}

func TestWhatASuccessTells(t *testing.T) {
	asked := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		name, body string
		scopes     []string
		expiry     time.Time
	}{
		{"no scope is unknown", `{"access_token":"a","token_type":"Bearer"}`, nil, time.Time{}},
		{"an empty scope is unknown", `{"access_token":"a","token_type":"Bearer","scope":""}`, nil, time.Time{}},
		{"nothing but separators is unknown", `{"access_token":"a","token_type":"Bearer","scope":" , "}`, nil, time.Time{}},
		{"a scope of null is unknown", `{"access_token":"a","token_type":"Bearer","scope":null}`, nil, time.Time{}},
		{"spaces", `{"access_token":"a","token_type":"Bearer","scope":"x  y"}`, []string{"x", "y"}, time.Time{}},
		{"commas", `{"access_token":"a","token_type":"Bearer","scope":"x,y, z"}`, []string{"x", "y", "z"}, time.Time{}},
		{"a life", `{"access_token":"a","token_type":"Bearer","expires_in":90}`, nil, asked.Add(90 * time.Second)},
		{"no life", `{"access_token":"a","token_type":"Bearer","expires_in":0}`, nil, asked},
		{"a life cut to ten years", `{"access_token":"a","token_type":"Bearer","expires_in":9223372036854775807}`, nil, asked.Add(3650 * 24 * time.Hour)},
		{"less than a number holds", `{"access_token":"a","token_type":"Bearer","expires_in":-99999999999999999999}`, nil, asked.Add(-3650 * 24 * time.Hour)},
	} {
		token, err := parseToken([]byte(tt.body), asked)
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		if token.Reveal() != "a" || !reflect.DeepEqual(token.Scopes, tt.scopes) || !token.Expiry.Equal(tt.expiry) {
			t.Errorf("%s: got %q, %v", tt.name, token.Scopes, token.Expiry)
		}
	}
}

// Providers' ways of saying it reach us through Auth0: any other is not guessed at.
func TestALifeIsANumberOfSecondsHoweverItIsWritten(t *testing.T) {
	asked := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for life, want := range map[string]time.Duration{
		`3599`: 3599 * time.Second, `"3599"`: 3599 * time.Second, `3598.6`: 3598 * time.Second, `"3598.6"`: 3598 * time.Second, `"3599.0"`: 3599 * time.Second,
		`0.9`: 0, `"007"`: 7 * time.Second, `-0`: 0, `-1`: -time.Second, `-0.5`: -time.Second, `"-1.0"`: -time.Second, `-1.1`: -2 * time.Second,
		`99999999999999999999.5`: 3650 * 24 * time.Hour, `"-99999999999999999999.5"`: -3650 * 24 * time.Hour,
	} {
		token, err := parseToken([]byte(`{"access_token":"a","token_type":"Bearer","expires_in": `+life+` }`), asked)
		if err != nil || token.Expiry.Sub(asked) != want {
			t.Errorf("%s: got %v, %v, want %v", life, token, err, want)
		}
	}
	if token, err := parseToken([]byte(`{"access_token":"a","token_type":"Bearer","expires_in":null}`), asked); err != nil || !token.Expiry.IsZero() {
		t.Errorf("null: got %v, %v", token, err)
	}
	for _, life := range []string{
		`""`, `" 3599"`, `"3599 "`, `"+1"`, `"1."`, `".5"`, `"-"`, `"--1"`, `"1.-5"`, `"1.5.5"`, `1e3`, `1E3`, `1.5e3`, `"1e3"`, `"0x10"`, `"1_000"`, `"1,5"`, `"\u0031"`, `"Inf"`, `"NaN"`, `"null"`,
		`"\"1\""`, `"1h"`, `"２"`, `true`, `false`, `[]`, `[1]`, `{}`, `{"seconds":1}`,
	} {
		if token, err := parseToken([]byte(`{"access_token":"a","token_type":"Bearer","expires_in":`+life+`}`), asked); err == nil || err.Reason != "senseless_answer" {
			t.Errorf("%s: got %v, %v", life, token, err)
		}
	}
}

// echoes are ways in which an answer can repeat what it was sent.
var echoes = map[string]func(subject, secret, basic string) (status int, header, body string){
	"in the description": func(subject, secret, basic string) (int, string, string) {
		return 400, "", mustJSON(object{"error": "invalid_request", "error_description": "You sent " + subject + " " + secret})
	},
	"a part, in the description": func(subject, secret, basic string) (int, string, string) {
		return 401, "", mustJSON(object{"error": "invalid_grant", "error_description": "bad signature …" + subject[len(subject)-16:]})
	},
	"in the other description": func(subject, secret, basic string) (int, string, string) {
		return 401, "", mustJSON(object{"error": "invalid_client", "description": "not your secret: " + secret})
	},
	"the header, in the description": func(subject, secret, basic string) (int, string, string) {
		return 401, "", mustJSON(object{"error": "invalid_client", "error_description": "not valid: " + basic})
	},
	"escaped, in the description": func(subject, secret, basic string) (int, string, string) {
		return 401, "", mustJSON(object{"error": "invalid_client", "error_description": "not valid: " + url.QueryEscape(secret)})
	},
	"as the code": func(subject, secret, basic string) (int, string, string) {
		return 400, "", mustJSON(object{"error": strings.ToLower(secret)})
	},
	"as a page": func(subject, secret, basic string) (int, string, string) {
		return 400, "", "<p>" + subject + secret
	},
	"as a success": func(subject, secret, basic string) (int, string, string) {
		return 200, "", `{"access_token":["` + subject + `"],"token_type":"` + secret + `"}`
	},
	"as the life of a token": func(subject, secret, basic string) (int, string, string) {
		return 200, "", `{"access_token":"a","token_type":"Bearer","expires_in":"` + subject + secret + `"}`
	},
	"as a header that is none": func(subject, secret, basic string) (int, string, string) {
		return 200, subject + secret, ""
	},
	"as the length": func(subject, secret, basic string) (int, string, string) {
		return 200, "Content-Length: " + subject + secret, ""
	},
	"as the encoding": func(subject, secret, basic string) (int, string, string) {
		return 200, "Transfer-Encoding: " + basic + secret, ""
	},
	"as a redirect to nowhere": func(subject, secret, basic string) (int, string, string) {
		return 307, "Location: https://x/%zz" + subject + secret, ""
	},
}

func TestNoErrorRepeatsATokenOrASecret(t *testing.T) {
	// The one is fit for an error code, the other looks different when escaped.
	for _, secret := range []string{"9_very.secret-0123456789", "a+b/c=d e%f+g/h=i j%k+l/m=n"} {
		for _, method := range []string{"client_secret_post", "client_secret_basic"} {
			for name, echo := range echoes {
				t.Run(name+" after "+method, func(t *testing.T) { checkEcho(t, echo, secret, method) })
			}
		}
	}
}

func checkEcho(t *testing.T, echo func(subject, secret, basic string) (status int, header, body string), secret, method string) {
	t.Helper()
	subject, basic := goodToken(nil), "(not sent)"
	if method == "client_secret_basic" {
		basic = base64.StdEncoding.EncodeToString([]byte("vault-exchange:" + url.QueryEscape(secret)))
	}
	domain := rawServer(t, func() string {
		status, header, body := echo(subject, secret, basic)
		return fmt.Sprintf("HTTP/1.1 %d X\r\nConnection: close\r\n%s\r\n%s", status, strings.TrimPrefix(header+"\r\n", "\r\n"), body)
	})
	c := clientOf(t, domain, Config{ClientSecret: NewSecret(secret), AuthMethod: method})
	_, err := c.Token(t.Context(), alice(t, subject), google)
	if err == nil {
		t.Fatal("no error")
	}
	for _, text := range []string{err.Error(), fmt.Sprintf("%v %+v %#v %q", err, err, err, err)} {
		holds(t, "the error", text, subject, secret, basic, url.QueryEscape(secret))
	}
}

func TestNoErrorRepeatsAStatusLine(t *testing.T) {
	subject := goodToken(nil)
	c := clientOf(t, rawServer(t, func() string { return subject + testSecret + "\r\n\r\n" }), Config{})
	_, err := c.Token(t.Context(), alice(t, subject), google)
	if got := describe(err); got != "vault_unavailable/unreachable" {
		t.Errorf("got %s", got)
	}
	holds(t, "the error", err.Error(), subject, testSecret)
}

// rawServer answers every connection with the same bytes.
func rawServer(t *testing.T, answer func() string) (url string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				if _, err := http.ReadRequest(bufio.NewReader(conn)); err == nil {
					_, _ = conn.Write([]byte(answer()))
				}
			}()
		}
	}()
	return "http://" + l.Addr().String()
}

func TestShortSecretsAreKeptOutOfErrorsToo(t *testing.T) {
	for _, tt := range []struct {
		text   string
		secret string
		want   bool
	}{
		{"the secret is s3cret", "s3cret", true},
		{"nothing of it", "s3cret", false},
		{"no secret at all", "", false},
		{"abcdefghijkl", "0abcdefghijkl0", true},
		{"abcdefghijk", "0abcdefghijkl0", false},
	} {
		if got := RepeatsSecret(tt.text, tt.secret); got != tt.want {
			t.Errorf("%q, %q: %t", tt.text, tt.secret, got)
		}
	}
}
