package caddymodule

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// Whatever comes from outside: credentials, header lists, Caddyfiles.

func FuzzBearerToken(f *testing.F) {
	for _, header := range []string{
		"", " ", "Bearer", "Bearer ", "Bearer a.b.c", "bearer  a.b.c ", "BEARER a", "Basic YTpi", "DPoP a", "Bearer a b",
		"Bearer a,b", "Bearer a\tb", "Bearer\ta", "Bearer a, Bearer b", "Bearer " + strings.Repeat("a", vault.MaxTokenSize+1),
	} {
		f.Add(header, "", "", "", false)
	}
	f.Add("Bearer a", "", "access_token=b", "", false)
	f.Add("Bearer a", "", "a=b;access%5ftoken", "", false)
	f.Add("Bearer a", "", "", "", true)
	f.Add("Bearer a.b.c", "/x/a.b.c", "", "", false)
	f.Add("Bearer a.b.c", "", "x=a%2Eb.%63", "", false)
	f.Add("Bearer a.b.c", "/%%2", "x=%2561.b%252ec%", "", false)
	for _, name := range []string{"X-Http-Method-Override", "X_HTTP_Method", "x.method.override", "X-Method"} {
		f.Add("Bearer a", "", "", name, false)
	}
	f.Fuzz(func(t *testing.T, header, path, query, name string, twice bool) {
		r := &http.Request{Header: http.Header{name: {"DELETE"}, "Authorization": {header}}, URL: &url.URL{Path: path, RawQuery: query}}
		if twice {
			r.Header.Add("Authorization", header)
		}
		token, err := takeToken(r)
		if r.Header["Authorization"] != nil {
			t.Error("the credential is left on the request")
		}
		if err != nil {
			checkCredentialRefusal(t, token, header, err)
			return
		}
		scheme, rest, _ := strings.Cut(textproto.TrimString(header), " ")
		if twice || !strings.EqualFold(scheme, "Bearer") || strings.TrimLeft(rest, " ") != token {
			t.Errorf("%q taken from %q", token, header)
		}
		if token == "" || len(token) > vault.MaxTokenSize || strings.ContainsAny(token, " \t,") || r.URL.Query().Has("access_token") {
			t.Errorf("%q is no token", token)
		}
		if strings.Count(token, ".") >= 2 && (strings.Contains(path+" "+query, token) || strings.Contains(string(unescape(unescape([]byte(query)))), token)) {
			t.Errorf("%q is in the URL as well: %q, %q", token, path, query)
		}
		if slices.Contains(methodOverrides, fold(name)) {
			t.Errorf("%q is passed on", name)
		}
	})
}

func FuzzUnescape(f *testing.F) {
	for _, seed := range []string{"", "%", "%%", "%4", "%41", "a%41%", "%zz%41", "%%34%31", "%2541"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if want, err := url.PathUnescape(text); err == nil && string(unescape([]byte(text))) != want {
			t.Errorf("%q: %q, want %q", text, unescape([]byte(text)), want)
		}
		if string(unescape([]byte(url.PathEscape(text)))) != text {
			t.Errorf("%q is lost", text)
		}
	})
}

func checkCredentialRefusal(t *testing.T, token, header string, err error) {
	t.Helper()
	var refused *refusal
	if token != "" || !errors.As(err, &refused) || refused.code != codeNoCredentials && refused.code != string(vault.CodeInvalidRequest) {
		t.Errorf("%q, %v", token, err)
	}
	if len(header) > 60 && strings.Contains(err.Error(), header) {
		t.Errorf("the error repeats the header: %v", err)
	}
}

func FuzzParseWait(f *testing.F) {
	for _, seed := range []string{"", "0", "1", "55", "56", "-1", "+1", "1.5", "1e3", "0x1", " 1", "1s", "2147483647", "2147483648", "99999999999999999999", "１"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		wait, err := parseWait(text)
		digits := strings.Trim(text, "0123456789") == ""
		if wait < 0 || wait > linkflow.MaxWait || wait%time.Second != 0 {
			t.Errorf("%q: %v", text, wait)
		}
		if err == nil && !digits || err != nil && (wait != 0 || digits && len(text) < 10) {
			t.Errorf("%q: %v, %v", text, wait, err)
		}
	})
}

func FuzzStripTokens(f *testing.F) {
	for _, seed := range []string{"", ",", "close", "keep-alive, Upgrade", "Authorization", "x, authorization ,y", "X_Api.Key, x-api-key", "a,,b", "\tAuthorization\t"} {
		f.Add(seed)
	}
	s := stripper{names: []string{"authorization", "x-api-key"}}
	f.Fuzz(func(t *testing.T, value string) {
		kept := s.stripTokens([]string{value})
		if again := s.stripTokens(kept); !slices.Equal(again, kept) {
			t.Errorf("%q: stripped again %q", kept, again)
		}
		var want []string
		for token := range strings.SplitSeq(value, ",") {
			if token = textproto.TrimString(token); token != "" && !s.strips(token) {
				want = append(want, token)
			}
		}
		if got := strings.Join(kept, ", "); got != strings.Join(want, ", ") {
			t.Errorf("%q of %q, want %q", got, value, want)
		}
		for token := range strings.SplitSeq(strings.Join(kept, ","), ",") {
			if folded := fold(textproto.TrimString(token)); folded == "authorization" || folded == "x-api-key" {
				t.Errorf("%q is left of %q", token, value)
			}
		}
	})
}

func FuzzStripCookies(f *testing.F) {
	const own = "token_vault_form"
	for _, seed := range []string{"", ";", "a=b", "a=b; c=d", own + "=x", "a=b; " + own + "=x; c=d", "=" + own + "=x", " " + own + " =x", strings.ToUpper(own) + "=x", own, "__Host-" + own + "=x", "token_vault_flow_ABC=x", "a=\"b; " + own + "=x\""} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		kept := stripCookies([]string{value})
		if again := stripCookies(kept); !slices.Equal(again, kept) {
			t.Errorf("%q: stripped again %q", kept, again)
		}
		header := http.Header{"Cookie": kept}
		for _, cookie := range (&http.Request{Header: header}).Cookies() {
			if linkflow.IsCookie(cookie.Name) {
				t.Errorf("%q is left of %q", cookie.Name, value)
			}
		}
		if !strings.Contains(strings.ToLower(value), "token_vault_f") && strings.Join(kept, "") != value {
			t.Errorf("%q of %q", kept, value)
		}
	})
}

// sentBack is what browsers send for a Set-Cookie line (RFC 6265bis §5.6, §5.8.3).
// Those that do not refuse control characters end the line at NUL, CR or LF.
func sentBack(line string) string {
	line, _, _ = strings.Cut(line, ";")
	if end := strings.IndexAny(line, "\x00\r\n"); end >= 0 {
		line = line[:end]
	}
	name, value, named := strings.Cut(line, "=")
	if !named {
		name, value = "", name
	}
	name, value = strings.Trim(name, " \t"), strings.Trim(value, " \t")
	if name == "" {
		return value
	}
	return name + "=" + value
}

func FuzzForeignCookies(f *testing.F) {
	const own = "token_vault_form"
	for _, seed := range []string{
		"", ";", "a=b; Path=/", "a; " + own + "=1", own, own + "=1", own + "; Path=/", "=" + own + "=1", "==" + own + ";", " \t" + own + " \t;",
		own + "\x00=1", own + "\r; a", own + "\n=1", "\r" + own + "=1", "\x0b" + own + "\x7f=1", "=\x00" + own, "__hOST-" + own + "; Secure", "TOKEN_VAULT_SESSION_2;",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		kept := foreignCookies([]string{line})
		if len(kept) > 0 {
			written := strings.NewReplacer("\r", " ", "\n", " ").Replace(line) // as net/http does
			sent := http.Header{"Cookie": {sentBack(line), sentBack(written)}}
			for _, cookie := range (&http.Request{Header: sent}).Cookies() {
				if linkflow.IsCookie(cookie.Name) {
					t.Errorf("%q makes a browser send %q", line, cookie.Name)
				}
			}
		}
		if len(kept) == 0 && !strings.Contains(strings.ToLower(line), "token_vault_") {
			t.Errorf("%q does not pass", line)
		}
	})
}

var namesALine = regexp.MustCompile(`Fuzz:\d+`)

// parse tokenizes text behind a directive's name, or returns nil.
func parse(directive, text string) *caddyfile.Dispenser {
	tokens, err := caddyfile.Tokenize([]byte(directive+" "+text), "Fuzz")
	if err != nil || len(tokens) == 0 {
		return nil
	}
	return caddyfile.NewDispenser(tokens)
}

func FuzzRouteCaddyfile(f *testing.F) {
	for _, seed := range []string{
		"", "google-oauth2", "google-oauth2 {\n}", "google-oauth2 {\n scopes a b\n scopes c\n}", "google-oauth2 {\n attach header X-Api-Key Token\n}",
		"google-oauth2 {\n attach basic\n}", "google-oauth2 {\n on_missing redirect\n tenant x\n login_hint {a}\n}", "a b", "a {", "a {\n {\n }\n}", "a {\n scopes\n}", `a { scopes "" }`,
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := parse("token_vault", text)
		if d == nil {
			return
		}
		var handler, again Handler
		if err := handler.UnmarshalCaddyfile(d); err != nil {
			if !namesALine.MatchString(err.Error()) {
				t.Errorf("no line in %v", err)
			}
			return
		}
		encoded, err := json.Marshal(handler)
		if err != nil || caddy.StrictUnmarshalJSON(encoded, &again) != nil || handler.Connection == "" || handler.Attach.validate() != nil {
			t.Errorf("%v from %s", err, encoded)
		}
	})
}

func FuzzTenantCaddyfile(f *testing.F) {
	const least = "{\n domain a.auth0.com\n audience b\n client c d\n"
	for _, seed := range []string{
		"", "x", "x y", "{\n}", least + "}", least + " timeout 5s\n algorithms PS256\n}", least + " link {\n origin https://a.example.com\n client a b\n key {env.X}\n}\n}",
		least + " cache {\n max_age 1h\n}\n budget {\n user 1\n}\n}", least + " link {\n client_name a b c\n return_to https://a.example.com\n}\n}", least + " domain {", "{\n client a b c d\n}",
		least + " management a b\n link {\n origin https://a.example.com\n client a b\n via management\n require_mfa\n require_verified_email\n pin_ip\n trust_email c\n}\n}",
		least + " link {\n origin https://a.example.com\n via url https://b.example.com/{connection}?s={scopes}\n}\n}", least + " management a\n}",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d := parse("token_vault", text)
		if d == nil {
			return
		}
		parsed, err := parseTenantOption(d, nil)
		if err != nil {
			if !namesALine.MatchString(err.Error()) {
				t.Errorf("no line in %v", err)
			}
			return
		}
		var app App
		option := parsed.(httpcaddyfile.App)
		if err := caddy.StrictUnmarshalJSON(option.Value, &app); err != nil || len(app.Tenants) != 1 {
			t.Errorf("%v from %s", err, option.Value)
		}
		for _, tenant := range app.Tenants {
			cfg := tenant.viaConfig()
			if tenant.Domain == "" || tenant.Audience == "" || tenant.Client == nil || cfg.CheckVia() != nil {
				t.Errorf("from %q: %s", text, option.Value)
			}
		}
	})
}

// A text becomes what it says, with its variables in the place of their names and
// no second look at them; or it is refused.
func FuzzExpandText(f *testing.F) {
	f.Setenv("CANARY", "{env.CANARY}")
	for _, seed := range []string{"", "a", "{env.CANARY}", "a{env.CANARY}b{env.CANARY}", `\{env.CANARY\}`, `\\{env.CANARY}`, "{", "}", "{}", "{{env.CANARY}}", "{env.", "{env.NOT_SET}", "{http.request.host}", `a\`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "{file.") || strings.ContainsAny(text, "\x00\x01\x02") {
			return
		}
		got, err := expandText(caddy.NewReplacer(), text)
		literal := strings.NewReplacer(`\{`, "\x00", `\}`, "\x01", "{env.CANARY}", "\x02").Replace(text)
		if braces := strings.ContainsAny(literal, "{}"); braces {
			if err == nil && !strings.Contains(literal, "{env.") {
				t.Errorf("%q becomes %q", text, got)
			}
			return
		}
		if want := strings.NewReplacer("\x00", "{", "\x01", "}", "\x02", "{env.CANARY}").Replace(literal); err != nil || got != want {
			t.Errorf("%q becomes %q, %v, want %q", text, got, err, want)
		}
	})
}
