package linkflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault"
)

func TestNewNamesTheFieldThatIsWrong(t *testing.T) {
	good := func() Config {
		f := stubFlow(t, nil, nil)
		return Config{Vault: f.vault, Origin: "https://link.example.com", ClientID: "app", ClientSecret: vault.NewSecret("s"), Keys: StaticKeys(testKey)}
	}
	for name, c := range map[string]struct {
		change func(*Config)
		want   string
	}{
		"no vault":         {func(c *Config) { c.Vault = nil }, "vault: required"},
		"no client":        {func(c *Config) { c.ClientID = "" }, "client id: required"},
		"no secret":        {func(c *Config) { c.ClientSecret = vault.Secret{} }, "client secret: required"},
		"no keys":          {func(c *Config) { c.Keys = nil }, "keys: required"},
		"odd method":       {func(c *Config) { c.AuthMethod = "private_key_jwt" }, "client authentication"},
		"no origin":        {func(c *Config) { c.Origin = "" }, "origin: required"},
		"origin with path": {func(c *Config) { c.Origin = "https://link.example.com/" }, "origin: "},
		"plain http":       {func(c *Config) { c.Origin = "http://link.example.com" }, "origin: "},
		"upper case":       {func(c *Config) { c.Origin = "https://Link.example.com" }, "origin: "},
		"default port":     {func(c *Config) { c.Origin = "https://link.example.com:443" }, "default port"},
		"userinfo":         {func(c *Config) { c.Origin = "https://u@link.example.com" }, "origin: "},
		"no scheme":        {func(c *Config) { c.Origin = "link.example.com" }, "origin: "},
		"path at the root": {func(c *Config) { c.Path = "/" }, "path: "},
		"path with slash":  {func(c *Config) { c.Path = "/auth/" }, "path: "},
		"path with dots":   {func(c *Config) { c.Path = "/../auth" }, "path: "},
		"return to a page": {func(c *Config) { c.ReturnTo = []string{"https://app.example.com/x"} }, "return to: "},
		"return to script": {func(c *Config) { c.ReturnTo = []string{"javascript://x"} }, "return to: "},
	} {
		cfg := good()
		c.change(&cfg)
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
	cfg := good()
	cfg.Origin, cfg.Path, cfg.AuthMethod = "http://localhost:8080", "/a/b-c", "client_secret_basic"
	if f, err := New(cfg); err != nil || f.oauth.Endpoint.AuthStyle != oauth2.AuthStyleInHeader {
		t.Errorf("a good configuration: %v", err)
	}
}

func TestRoutes(t *testing.T) {
	f := stubFlow(t, nil, nil)
	for path, want := range map[string]Route{
		"/": RouteNone, "/authx": RouteNone, "/other/connect": RouteNone,
		"/auth": RoutePage, "/auth/": RoutePage, "/auth/connect": RoutePage, "/auth/x/status": RoutePage,
		"/auth/callback": RouteCallback, "/auth/status": RouteStatus,
	} {
		if got := f.Route(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
}

func get(f *Flow, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

func TestUnknownPagesAre404AndOtherMethods405(t *testing.T) {
	f := stubFlow(t, nil, nil)
	for _, path := range []string{"/", "/auth", "/auth/", "/auth/status", "/auth/connect/", "/auth/Connect"} {
		if w := get(f, "GET", path); w.Code != 404 || w.Header().Get("Content-Security-Policy") != policy {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	for _, c := range []struct{ method, path, allow string }{
		{"PUT", "/auth/connect", "GET, HEAD, POST"}, {"HEAD", "/auth/callback", "GET"},
		{"POST", "/auth/callback", "GET"}, {"GET", "/auth/confirm", "POST"}, {"POST", "/auth/style.css", "GET, HEAD"},
	} {
		if w := get(f, c.method, c.path); w.Code != 405 || w.Header().Get("Allow") != c.allow {
			t.Errorf("%s %s: %d, Allow %q", c.method, c.path, w.Code, w.Header().Get("Allow"))
		}
	}
}

func TestTheStylesheetMayBeKept(t *testing.T) {
	w := get(stubFlow(t, nil, nil), "GET", "/auth/style.css")
	if w.Code != 200 || w.Header().Get("Content-Type") != "text/css; charset=utf-8" ||
		w.Header().Get("Cache-Control") != "public, max-age=3600" || !strings.Contains(w.Body.String(), "prefers-color-scheme") {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

func TestCookiesOnHTTPSAreKeptToTheHost(t *testing.T) {
	f := stubFlow(t, nil, nil)
	_, text := stubTicket(t, f)
	w := get(f, "GET", "/auth/connect?ticket="+text)
	cookies := w.Result().Cookies()
	if w.Code != 200 || len(cookies) != 1 {
		t.Fatalf("%d with %d cookies", w.Code, len(cookies))
	}
	c := cookies[0]
	if c.Name != "__Host-token_vault_form" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie is %+v", c)
	}
	s := &flowState{ID: strings.Repeat("A", 26), Expiry: time.Now().Add(time.Minute).Unix()}
	kept, err := f.keep(t.Context(), forLogin, s)
	if err != nil || kept.Name != "__Host-token_vault_flow_"+s.ID || kept.MaxAge < 58 || kept.MaxAge > 60 || !kept.Secure {
		t.Errorf("cookie is %+v, %v", kept, err)
	}
}

func TestOurCookiesAreKnownByName(t *testing.T) {
	for name, want := range map[string]bool{
		"token_vault_form": true, "__Host-token_vault_form": true, "token_vault_flow_ABC": true,
		"__Host-token_vault_flow_ABC": true, "__host-Token_Vault_Flow_x": true,
		"session": false, "token_vault": false, "x_token_vault_form": false, "__Host-session": false, "": false,
	} {
		if IsCookie(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestTheFormCookieIsUsedAgain(t *testing.T) {
	f := stubFlow(t, nil, nil)
	for value, kept := range map[string]bool{strings.Repeat("A", 26): true, "short": false, `<script>`: false} {
		r := httptest.NewRequest("GET", "/auth/connect", nil)
		r.Header.Set("Cookie", "__Host-token_vault_form="+value)
		_, c, err := f.formFor(r, "connect", "id", time.Now().Add(time.Minute).Unix())
		if err != nil || (c.Value == value) != kept {
			t.Errorf("%s: %s, %v", value, c.Value, err)
		}
	}
}

func TestSealedForOneThingOpensForNoOther(t *testing.T) {
	f := stubFlow(t, nil, nil)
	content := ticket{ID: "x", Expiry: time.Now().Add(time.Minute).Unix()}
	other := map[string]*sealer{
		"another tenant": newSealer(StaticKeys(testKey), "x", "https://link.example.com"),
		"another origin": newSealer(StaticKeys(testKey), "", "https://other.example.com"),
		"shifted":        newSealer(StaticKeys(testKey), "https", "://link.example.com"),
		"another key":    newSealer(StaticKeys(make([]byte, keySize)), "", "https://link.example.com"),
	}
	for _, p := range purposes {
		text, err := seal(t.Context(), f.sealer, p, content)
		if err != nil {
			t.Fatal(err)
		}
		for _, q := range purposes {
			if _, err := open[ticket](t.Context(), f.sealer, q, text); (err == nil) != (p == q) {
				t.Errorf("sealed for %s, opened for %s: %v", p, q, err)
			}
		}
		for name, s := range other {
			if _, err := open[ticket](t.Context(), s, p, text); err != errTampered {
				t.Errorf("%s: %v", name, err)
			}
		}
		for _, bad := range []string{"", text[1:], text + "\n", text + "=", strings.Repeat("A", maxSealed+1)} {
			if _, err := open[ticket](t.Context(), f.sealer, p, bad); err != errTampered {
				t.Errorf("%q: %v", bad, err)
			}
		}
	}
}

func TestTheFirstKeySealsAndAllOpen(t *testing.T) {
	old, fresh := testKey, bytes.Repeat([]byte{9}, keySize)
	content := ticket{ID: "x", Expiry: time.Now().Add(time.Minute).Unix()}
	text := func(keys ...[]byte) string {
		text, err := seal(t.Context(), newSealer(StaticKeys(keys...), "", ""), forTicket, content)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	both := newSealer(StaticKeys(fresh, old), "", "")
	for _, sealed := range []string{text(old), text(fresh), text(fresh, old)} {
		if _, err := open[ticket](t.Context(), both, forTicket, sealed); err != nil {
			t.Error(err)
		}
	}
	if _, err := open[ticket](t.Context(), newSealer(StaticKeys(old), "", ""), forTicket, text(fresh, old)); err == nil {
		t.Error("the second key sealed")
	}
}

func TestWhatIsSealedHasToBeUnderstood(t *testing.T) {
	s := newSealer(StaticKeys(testKey), "", "")
	if _, err := s.keys(t.Context(), forTicket); err != nil {
		t.Fatal(err)
	}
	text, err := seal(t.Context(), s, forTicket, raw(`{"id":"a","id":"b","exp":99999999999}`))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := open[ticket](t.Context(), s, forTicket, text); err != errTampered {
		t.Errorf("a member given twice: %v", err)
	}
}

type raw string

func (raw) expires() int64                 { return 0 }
func (r raw) MarshalJSON() ([]byte, error) { return []byte(r), nil }

func TestKeysAreLoadedOnceAndAgainAfterAFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		calls := 0
		s := newSealer(func(context.Context) ([][]byte, error) {
			time.Sleep(time.Second)
			if calls++; calls == 1 {
				return nil, errors.New("storage is away")
			}
			return [][]byte{testKey}, nil
		}, "", "")
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		failed := make(chan error, 1)
		go func() { _, err := s.keys(t.Context(), forForm); failed <- err }()
		synctest.Wait()
		if _, err := s.keys(ctx, forForm); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a caller that gives up: %v", err)
		}
		if err := <-failed; err == nil || !strings.Contains(err.Error(), "storage is away") {
			t.Errorf("the first call: %v", err)
		}
		var group sync.WaitGroup
		for range 10 {
			group.Go(func() {
				if _, err := s.keys(t.Context(), forForm); err != nil {
					t.Error(err)
				}
			})
		}
		group.Wait()
		if calls != 2 {
			t.Errorf("loaded %d times", calls)
		}
	})
}

func TestWithoutKeysThePagesSaySoAndNothingIsMade(t *testing.T) {
	for name, keys := range map[string]func(context.Context) ([][]byte, error){
		"none":    StaticKeys(),
		"short":   StaticKeys(testKey[1:]),
		"failing": func(context.Context) ([][]byte, error) { return nil, errors.New("storage is away") },
	} {
		l := &log{}
		f := stubFlow(t, nil, func(c *Config) { c.Keys, c.Hook = keys, l.hook })
		if _, err := f.Link(t.Context(), someone, calendar); err == nil {
			t.Errorf("%s: a link was made", name)
		}
		if _, err := f.Status(t.Context(), someone, "AAAA", 0); err == nil || errors.Is(err, ErrNoTicket) {
			t.Errorf("%s: %v", name, err)
		}
		w := get(f, "GET", "/auth/connect?ticket=AAAA")
		if w.Code != 500 || l.last().Kind != Fault || l.last().Reason != "keys" || !strings.Contains(w.Body.String(), l.last().ID) {
			t.Errorf("%s: %d, told %+v", name, w.Code, l.last())
		}
	}
}

var returnToCases = map[string]bool{
	"https://app.example.com":                                     true,
	"https://app.example.com/":                                    true,
	"https://app.example.com/a/b?c=d#e":                           true,
	"https://app.example.com?x":                                   true,
	"https://app.example.com#x":                                   true,
	"http://localhost:3000/back":                                  true,
	"":                                                            false,
	"/relative":                                                   false,
	"//app.example.com/":                                          false,
	"https:app.example.com":                                       false,
	"https:/app.example.com":                                      false,
	"https:///app.example.com":                                    false,
	"http://app.example.com/":                                     false,
	"https://app.example.com:443/":                                false,
	"https://app.example.com:8443/":                               false,
	"https://app.example.com.evil.com/":                           false,
	"https://app.example.com@evil.com/":                           false,
	"https://app.example.com:x@evil.com/":                         false,
	"https://evil.com/https://app.example.com":                    false,
	"https://evil.com\\@app.example.com/":                         false,
	"https://app.example.com\\@evil.com/":                         false,
	"https://app.example.com\\.evil.com/":                         false,
	"https://app.example.com/\\evil":                              false,
	"https://APP.example.com/":                                    false,
	"HTTPS://app.example.com/":                                    false,
	"https://app.example.com/ x":                                  false,
	" https://app.example.com/":                                   false,
	"https://app.example.com/\r\nSet-Cookie:x":                    false,
	"https://app.example.com/\x00":                                false,
	"https://app.example.com/é":                                   false,
	"https://app.example.com/%zz":                                 false,
	"javascript://app.example.com/%0aalert(1)":                    false,
	"data:text/html,x":                                            false,
	"http://localhost:30001/":                                     false,
	"http://localhost/":                                           false,
	"https://app.example.com/" + strings.Repeat("x", maxReturnTo): false,
}

func returnFlow() *Flow {
	return &Flow{returnTo: []string{"https://app.example.com", "http://localhost:3000"}}
}

func TestReturnToIsOneOfTheConfiguredOrigins(t *testing.T) {
	for target, want := range returnToCases {
		if got := returnFlow().mayReturnTo(target); got != want {
			t.Errorf("%q: %v", target, got)
		}
	}
	f := stubFlow(t, nil, nil)
	_, text := stubTicket(t, f)
	for _, query := range []string{"&returnTo=https://evil.example.com/", "&returnTo=", "&returnTo=&returnTo="} {
		want := 400
		if query == "&returnTo=" {
			want = 200
		}
		if w := get(f, "GET", "/auth/connect?ticket="+text+query); w.Code != want {
			t.Errorf("%s: %d", query, w.Code)
		}
	}
}

func FuzzReturnTo(f *testing.F) {
	for target := range returnToCases {
		f.Add(target)
	}
	flow := returnFlow()
	f.Fuzz(func(t *testing.T, target string) {
		if !flow.mayReturnTo(target) {
			return
		}
		u, err := url.Parse(target)
		if err != nil || !slices.Contains(flow.returnTo, u.Scheme+"://"+u.Host) || u.User != nil || strings.ContainsAny(target, "\\\r\n\t ") {
			t.Errorf("%q is taken", target)
		}
	})
}

var callbackQueries = map[string]bool{
	"code=a&state=s": true, "connect_code=a&state=s": true, "error=e&state=s&error_description=d": true,
	"code=a": true, "code=a&iss=i&other=1&other=2": true,
	"": false, "state=s": false, "code=": false, "code=&state=s": false, "code=a&code=a": false, "code=a&connect_code=b": false,
	"code=a&error=": false, "code=a&connect_code=": false, "error=a&error=b": false, "code=a&state=s&state=s": false,
	"code=a&iss=i&iss=i": false, "error=a&error_description=b&error_description=c": false, "code=a;state=s": false, "code=%zz": false,
}

func TestACallbackSaysOneThing(t *testing.T) {
	for query, want := range callbackQueries {
		if _, err := parseCallback(query); (err == nil) != want {
			t.Errorf("%q: %v", query, err)
		}
	}
}

func FuzzCallbackQuery(f *testing.F) {
	for query := range callbackQueries {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := parseCallback(query)
		if err != nil {
			return
		}
		set := 0
		for _, value := range []string{q.Code, q.ConnectCode, q.Error} {
			if value != "" {
				set++
			}
		}
		if set != 1 {
			t.Errorf("%q says %d things", query, set)
		}
	})
}

func FuzzTicket(f *testing.F) { fuzzOpen[ticket](f, forTicket) }

func FuzzFlowCookie(f *testing.F) { fuzzOpen[flowState](f, forConfirm) }

// fuzzOpen looks for a text that opens and is not what was sealed.
func fuzzOpen[T expiring](f *testing.F, p purpose) {
	s := newSealer(StaticKeys(testKey), "tenant", "https://link.example.com")
	expiry := time.Now().Add(time.Hour).Unix()
	good := map[string]bool{}
	for _, content := range []expiring{ticket{ID: "x", Expiry: expiry}, flowState{ID: "x", Expiry: expiry}} {
		for _, q := range purposes {
			text, err := seal(context.Background(), s, q, content)
			if err != nil {
				f.Fatal(err)
			}
			good[text] = q == p
			f.Add(text)
		}
	}
	f.Add("")
	f.Add("AAAA\n")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err := open[T](t.Context(), s, p, text); err == nil && !good[text] {
			t.Errorf("%q opens", text)
		}
	})
}

func TestTextFromOutsideIsCleaned(t *testing.T) {
	for text, want := range map[string]string{
		"plain äöü 漢字":           "plain äöü 漢字",
		"a\u202eb\u2066c\u200bd": "abcd",
		"a\x00b\r\nc\x1b[0m":     "abc[0m",
		"bad\xffutf":             "badutf",
		"\u2028\ufeff":           "",
		strings.Repeat("é", 200): strings.Repeat("é", maxText) + "…",
	} {
		if got := clean(text); got != want || !utf8.ValidString(got) {
			t.Errorf("%q became %q", text, got)
		}
	}
}

func TestConnectURIIsAPageOfTheTenant(t *testing.T) {
	const issuer = "https://tenant.example.com/"
	for uri, want := range map[string]string{
		"https://tenant.example.com/connect":           "https://tenant.example.com/connect?ticket=t%26x",
		"https://tenant.example.com/c?a=b":             "https://tenant.example.com/c?a=b&ticket=t%26x",
		"https://TENANT.example.com/c?ticket=old":      "https://TENANT.example.com/c?ticket=t%26x",
		"http://tenant.example.com/connect":            "",
		"https://evil.example.com/":                    "",
		"https://tenant.example.com:8443/":             "",
		"https://tenant.example.com@evil.example.com/": "",
		"https://u:p@tenant.example.com/":              "",
		"https://tenant.example.com/#x":                "",
		"https://tenant.example.com/?%zz":              "",
		"//tenant.example.com/":                        "",
		"/connect":                                     "",
		"javascript:alert(1)":                          "",
		"https://tenant.example.com/\x00":              "",
		"":                                             "",
	} {
		begun := &connectAnswer{ConnectURI: uri}
		begun.ConnectParams.Ticket = "t&x"
		got, err := connectURL(issuer, begun)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", uri, got, err)
		}
	}
}

// accountStub is a My Account API that answers what it is given, in turn.
func accountStub(requests *[]*http.Request, bodies *[]string, answers ...string) *myAccount {
	return &myAccount{base: "https://tenant.example.com/me/v1/connected-accounts/", token: "my-account-token", secrets: []string{"my-account-token"},
		call: func(r *http.Request) (*vault.Answer, error) {
			var body bytes.Buffer
			_, _ = body.ReadFrom(r.Body)
			*requests, *bodies = append(*requests, r), append(*bodies, body.String())
			i := min(len(*requests), len(answers)) - 1
			status, text, _ := strings.Cut(answers[i], " ")
			answer := &vault.Answer{Body: []byte(text)}
			_, err := fmt.Sscan(status, &answer.Status)
			return answer, err
		}}
}

func TestGrantedScopesAreThoseOfAllPages(t *testing.T) {
	var requests []*http.Request
	var bodies []string
	a := accountStub(&requests, &bodies,
		`200 {"accounts":[{"connection":"google-oauth2","scopes":["a"]},{"connection":"github","scopes":["no"]}],"next":"2/"}`,
		`200 {"accounts":[{"connection":"google-oauth2","org_id":"org","scopes":["b"]},{"connection":"google-oauth2","org_id":"other","scopes":["no"]}]}`)
	got, err := a.grantedScopes(t.Context(), "google-oauth2", "org")
	if err != nil || !slices.Equal(got, []string{"a", "b"}) {
		t.Errorf("%v, %v", got, err)
	}
	q := requests[1].URL.Query()
	if q.Get("from") != "2/" || q.Get("connection") != "google-oauth2" || requests[1].Header.Get("Authorization") != "Bearer my-account-token" {
		t.Errorf("asked for %v", requests[1].URL)
	}
	requests = nil
	a = accountStub(&requests, &bodies, `200 {"accounts":[],"next":"again"}`)
	if _, err := a.grantedScopes(t.Context(), "google-oauth2", ""); err == nil || len(requests) != maxPages {
		t.Errorf("an endless list: %v after %d requests", err, len(requests))
	}
}

func TestTheConnectRequestHasNoEmptyMembers(t *testing.T) {
	s := &flowState{Ticket: ticket{Connection: "c"}, State: "s", Verifier: "v"}
	members := func(scopes []string) []string {
		text, err := json.Marshal(newConnectRequest("https://link.example.com/auth/callback", s, scopes))
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]any
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		return slices.Sorted(maps.Keys(all))
	}
	least := []string{"code_challenge", "code_challenge_method", "connection", "redirect_uri", "state"}
	if got := members(nil); !reflect.DeepEqual(got, least) {
		t.Errorf("members are %v", got)
	}
	s.Ticket.LoginHint = "1234"
	if got := members([]string{"a"}); len(got) != len(least)+2 {
		t.Errorf("members are %v", got)
	}
}

func TestMyAccountErrorsSayWhatTheyMayAndNoMore(t *testing.T) {
	var requests []*http.Request
	var bodies []string
	for answer, want := range map[string]string{
		`400 {"type":"https://auth0.com/api-errors/A0E-400-0003","title":"Validation Error","detail":"Invalid","status":400,"validation_errors":[{"detail":"data must have it"}]}`: "A0E-400-0003: Validation Error: Invalid; data must have it",
		`403 {"type":"https://auth0.com/api-errors#A0E-403-0002","title":"Insufficient Scope","detail":"d"}`:                                                                       "activated",
		`400 {"type":"x","title":"Echo","detail":"got my-account-token"}`:                                                                                                          "answered 400",
		`418 <html>`: "answered 418",
	} {
		_, err := accountStub(&requests, &bodies, answer).complete(t.Context(), completeRequest{})
		var refused *accountError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "my-account-t") {
			t.Errorf("%s: %v", answer, err)
		}
	}
	for _, answer := range []string{"", "[]", `{"scopes":["a"],"scopes":["b"]}`, `{} {}`} {
		if _, err := accountStub(&requests, &bodies, "201 "+answer).complete(t.Context(), completeRequest{}); err == nil {
			t.Errorf("%q is taken", answer)
		}
	}
	got, err := accountStub(&requests, &bodies, `200 {"Scopes":["a"]}`).complete(t.Context(), completeRequest{})
	if err != nil || got != nil {
		t.Errorf("another case: %v, %v", got, err)
	}
}

func TestErrorsOfTheTokenEndpointArePlain(t *testing.T) {
	body := []byte("secret-body")
	for _, c := range []struct {
		err    error
		reason string
		status int
	}{
		{&oauth2.RetrieveError{Response: &http.Response{StatusCode: 403}, Body: body, ErrorCode: "invalid_grant", ErrorDescription: "secret-body"}, "invalid_grant", 400},
		{&oauth2.RetrieveError{Response: &http.Response{StatusCode: 500}, Body: body}, "token_endpoint", 502},
		{&oauth2.RetrieveError{Response: &http.Response{StatusCode: 401}, Body: body, ErrorCode: "secret-body"}, "token_endpoint", 502},
		{&url.Error{Op: "Post", URL: "https://secret-body", Err: context.DeadlineExceeded}, "timeout", 502},
		{&url.Error{Op: "Post", URL: "https://secret-body", Err: errors.New("refused")}, "no_token", 502},
	} {
		err := tokenError(c.err)
		no := loginRefusal(err)
		if no.reason != c.reason || no.page.status != c.status || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %+v", err, no)
		}
	}
	if no := loginRefusal(&vault.Error{Code: vault.CodeInvalidToken, Reason: "wrong_nonce"}); no.page.status != 400 {
		t.Errorf("another nonce: %+v", no)
	}
	if no := loginRefusal(context.Canceled); no.page.status != 502 {
		t.Errorf("a bare error: %+v", no)
	}
}

func TestReasonsOfMyAccountFailures(t *testing.T) {
	for err, want := range map[error]string{
		context.DeadlineExceeded:                          "timeout",
		errors.New("x"):                                   "senseless_answer",
		&vault.Error{Reason: "server_error"}:              "server_error",
		&accountError{Status: 409}:                        "my_account_409",
		error(fmt.Errorf("%w", &vault.Error{Reason: ""})): "",
	} {
		if no := accountRefusal(err, pageAuth0Fails); no.reason != want {
			t.Errorf("%v: %q", err, no.reason)
		}
	}
}

func TestEventsHoldNoURLs(t *testing.T) {
	l := &log{}
	f := stubFlow(t, nil, func(c *Config) { c.Hook = l.hook })
	inner := &url.Error{Op: "Get", URL: "https://tenant.example.com/?from=x", Err: errors.New("refused")}
	f.tell(t.Context(), Event{Kind: Fault, Err: inner})
	f.tell(t.Context(), Event{Kind: Fault, Err: &vault.Error{Code: vault.CodeUnavailable, Reason: "unreachable", Err: inner}})
	l.check(t)
	if e := l.last(); e.Err.Error() != "vault_unavailable: unreachable: refused" {
		t.Errorf("told %v", e.Err)
	}
	stubFlow(t, nil, nil).tell(t.Context(), Event{}) // without a hook
}
