package caddymodule_test

import (
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/caddymodule"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// texts calls visit with every text below v, which it may set, and fills what is
// empty. It fails at what no text can be found in.
func texts(t *testing.T, v reflect.Value, name string, visit func(name, literal string, text reflect.Value)) {
	t.Helper()
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		texts(t, v.Elem(), name, visit)
	case reflect.Struct:
		for field, value := range v.Fields() {
			if !field.IsExported() {
				continue
			}
			if literal := field.Tag.Get("literal"); literal != "" {
				visit(name+"."+field.Name, literal, value)
				continue
			}
			texts(t, value, name+"."+field.Name, visit)
		}
	case reflect.Slice:
		if v.Len() == 0 {
			v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		}
		texts(t, v.Index(0), name, visit)
	case reflect.Map:
		if v.Len() == 0 {
			v.Set(reflect.MakeMap(v.Type()))
			v.SetMapIndex(reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem())
		}
		for key, value := range v.Seq2() {
			k, e := reflect.New(key.Type()).Elem(), reflect.New(value.Type()).Elem()
			k.Set(key)
			e.Set(value)
			v.SetMapIndex(key, reflect.Value{})
			texts(t, k, name, visit)
			texts(t, e, name, visit)
			v.SetMapIndex(k, e)
			return
		}
	case reflect.String:
		visit(name, "", v)
	case reflect.Bool, reflect.Int, reflect.Int64:
	default:
		t.Errorf("%s is a %s: nobody knows whether there are texts in it", name, v.Kind())
	}
}

// A field that is added to the configuration is expanded without being named
// anywhere; one that is not has to stand in the list here.
func TestEveryTextOfTheConfigurationIsExpandedOrSaysWhyNot(t *testing.T) {
	t.Setenv("CANARY", "seven")
	var literals []string
	check := func(name string, config any, expanded func() (any, error)) {
		texts(t, reflect.ValueOf(config), name, func(name, literal string, text reflect.Value) {
			if literal != "" {
				literals = append(literals, name)
			}
			text.SetString("a-{env.CANARY}")
		})
		e, err := expanded()
		if err != nil {
			t.Fatal(err)
		}
		texts(t, reflect.ValueOf(e), name, func(name, literal string, text reflect.Value) {
			if want := map[bool]string{true: "a-seven", false: "a-{env.CANARY}"}[literal == ""]; text.String() != want {
				t.Errorf("%s is %s", name, text)
			}
		})
	}
	tenant, handler, pages := new(caddymodule.Tenant), new(caddymodule.Handler), new(caddymodule.LinkHandler)
	check("Tenant", tenant, func() (any, error) { return caddymodule.Expanded(tenant) })
	check("Handler", handler, func() (any, error) { return caddymodule.Expanded(handler) })
	check("LinkHandler", pages, func() (any, error) { return caddymodule.Expanded(pages) })
	slices.Sort(literals)
	if want := []string{"Handler.LoginHint", "Handler.Tenant", "LinkHandler.Tenant", "Tenant.Link.Name", "Tenant.Link.URL"}; !slices.Equal(literals, want) {
		t.Errorf("not expanded are %v, want %v", literals, want)
	}
}

// everyRoutesWord is a route whose words are all somewhere else.
const everyRoutesWord = `token_vault {env.CONNECTION} {
		scopes {env.SCOPE} https://www.googleapis.com/auth/{env.GMAIL}
		max_scopes {env.SCOPE} https://www.googleapis.com/auth/{env.GMAIL}
		require_scopes {env.PERMISSION}
		allow_clients {file.{agents}}
		login_hint {env.ACCOUNT}
		attach header {env.HEADER} {env.PREFIX}
		on_missing {env.ON_MISSING}
	}
	reverse_proxy {upstream}`

func everyRoutesVariable(t *testing.T) (site string) {
	t.Helper()
	agents := filepath.Join(t.TempDir(), "agents")
	if err := os.WriteFile(agents, []byte(agentID+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"CONNECTION": google, "SCOPE": calendar, "GMAIL": "gmail.readonly", "PERMISSION": "read:calendar", "ACCOUNT": "google-alice",
		"HEADER": "X-Tok", "PREFIX": "Token", "ON_MISSING": "problem",
	} {
		t.Setenv(name, value)
	}
	return strings.ReplaceAll(everyRoutesWord, "{agents}", agents)
}

func TestTheWordsOfARouteComeFromTheEnvironmentAndFromFiles(t *testing.T) {
	p := startProxy(t, everyRoutesVariable(t)+"\ntoken_vault_link")
	if got := p.get("/", p.token(alice)); got.code() != "insufficient_scope" || !strings.Contains(got.Header.Get("WWW-Authenticate"), `scope="read:calendar"`) {
		t.Errorf("require_scopes: %s", got.Header.Get("WWW-Authenticate"))
	}
	permitted := func(r *auth0test.TokenRequest) { r.Scope = "read:calendar" }
	body := p.get("/", p.token(bob, permitted)).problem(t)
	if body["connection"] != google || !reflect.DeepEqual(body["scopes"], []any{calendar, gmail}) {
		t.Errorf("the answer without an account is %v", body)
	}
	p.wantOffer(true, google, calendar, gmail)
	if err := p.Tenant.Connect(alice, google, []string{calendar, gmail}, "google-alice"); err != nil {
		t.Fatal(err)
	}
	if got := p.get("/", p.token(alice, permitted)); got.Status != 200 || !strings.HasPrefix(p.Upstream.last(t).Header.Get("X-Tok"), "Token ") {
		t.Errorf("status %d, body %s, upstream got %v", got.Status, got.Body, p.Upstream.requests())
	}
}

func TestAMissingWordOfARouteFailsTheLoad(t *testing.T) {
	p := newProxy(t)
	site := everyRoutesVariable(t)
	t.Setenv("EMPTY", "")
	if err := p.tryLoad(p.caddyfile(site)); err != nil {
		t.Fatal(err)
	}
	for placeholder, field := range map[string]string{
		"{env.CONNECTION}": "connection", "scopes {env.SCOPE}": "scopes", "max_scopes {env.SCOPE}": "max_scopes", "{env.PERMISSION}": "require_scopes",
		"{env.ACCOUNT}": "login_hint", "{env.HEADER}": "attach: name", "{env.PREFIX}": "attach: prefix", "{env.ON_MISSING}": "on_missing",
	} {
		word, _, _ := strings.Cut(placeholder, "{")
		for _, missing := range []string{"{env.EMPTY}", "{env.NOT_SET}", "{file./does/not/exist}"} {
			err := p.tryLoad(p.caddyfile(strings.Replace(site, placeholder, word+missing, 1)))
			if err == nil || !strings.Contains(err.Error(), field+": "+missing+" is missing or empty") {
				t.Errorf("%s for %s: error %v", missing, placeholder, err)
			}
		}
		for _, brace := range []string{"{http.request.host}", "{time.now}", "a}b"} {
			if field == "login_hint" && brace != "a}b" {
				continue // which has placeholders of requests
			}
			err := p.tryLoad(p.caddyfile(strings.Replace(site, placeholder, word+brace, 1)))
			if err == nil || !strings.Contains(err.Error(), field+": a brace that") {
				t.Errorf("%s for %s: error %v", brace, placeholder, err)
			}
		}
	}
}

// Words that the Caddyfile judges by themselves are judged after expansion too.
func TestTheWordsOfATenantComeFromTheEnvironmentToo(t *testing.T) {
	p := newProxy(t)
	p.link = strings.Replace(linkBlock, "AUTH0_LINK_CLIENT_SECRET}", `AUTH0_LINK_CLIENT_SECRET} {env.AUTH_METHOD}
			via {env.VIA}
			path {env.PAGES}
			return_to {env.RETURN_TO}
			client_name {env.AGENT} "{env.AGENT_NAME} of ours"
			prompt {env.PROMPT}`, 1)
	good := map[string]string{
		"AUTH_METHOD": "client_secret_post", "VIA": "connected_accounts", "PAGES": "/pages", "RETURN_TO": "https://app.example.com",
		"AGENT": agentID, "AGENT_NAME": "Calendar helper", "PROMPT": "auto", "ALGORITHM": "RS256",
	}
	for name, value := range good {
		t.Setenv(name, value)
	}
	config := p.caddyfile("token_vault_link\n"+calendarSite, "algorithms {env.ALGORITHM}")
	if err := p.tryLoad(config); err != nil {
		t.Fatal(err)
	}
	link := p.refused("/", p.token(alice)).text(t, "link_url")
	if !strings.HasPrefix(link, p.URL+"/pages/connect?") {
		t.Errorf("link %s", link)
	}
	t.Setenv("PAGES", "/auth")
	if err := p.tryLoad(config); err != nil {
		t.Fatal(err)
	}
	link = p.refused("/", p.token(alice)).text(t, "link_url")
	if page := p.signIn(link, "alice").page; !strings.Contains(page.Body, "Calendar helper of ours") {
		t.Errorf("page %s", page.Body)
	}
	for _, name := range slices.Sorted(maps.Keys(good)) {
		t.Setenv(name, "two words")
		if name == "AGENT_NAME" {
			t.Setenv(name, "")
		}
		if err := p.tryLoad(config); err == nil {
			t.Errorf("%s: loads with another word", name)
		}
		t.Setenv(name, good[name])
	}
}

func TestAWordOfAListThatBecomesTwoFailsTheLoad(t *testing.T) {
	p := newProxy(t)
	good := p.caddyfile(calendarSite)
	for _, two := range []string{"one two", "one\ttwo", "one\ntwo", "one\u00a0two"} {
		t.Setenv("TWO", two)
		for old, word := range map[string]string{
			"allow_clients " + agentID: "allow_clients {env.TWO}", "scopes " + calendar: "scopes {env.TWO}", "origin ": "return_to {env.TWO}\n origin ",
			"link {": "link {\n key {env.TWO}",
		} {
			err := p.tryLoad(strings.Replace(good, old, word, 1))
			if err == nil || !strings.Contains(err.Error(), "{$TWO}") || strings.Contains(err.Error(), two) {
				t.Errorf("%s of %q: error %v", word, two, err)
			}
		}
	}
	t.Setenv("TWO", agentID+" other")
	if err := p.tryLoad(strings.Replace(good, "allow_clients "+agentID, "allow_clients {$TWO}", 1)); err != nil {
		t.Errorf("what the message recommends: %v", err)
	}
}

// What has to be one word is so wherever it comes from: a field that is added is one,
// or says why not and stands in the list here.
func TestATextThatBecomesNoWordFailsTheLoadAndNamesItsField(t *testing.T) {
	t.Setenv("SPACED", " google-oauth2 ")
	var free []string
	check := func(name string, fresh func() any, expanded func(config any) error) {
		var fields []string
		texts(t, reflect.ValueOf(fresh()), name, func(name, literal string, _ reflect.Value) {
			if literal == "" {
				fields = append(fields, name)
			}
		})
		for spaced, field := range fields {
			config, n := fresh(), 0
			texts(t, reflect.ValueOf(config), name, func(_, literal string, text reflect.Value) {
				if literal != "" {
					return
				}
				text.SetString(map[bool]string{true: "{env.SPACED}", false: "a"}[n == spaced])
				n++
			})
			err := expanded(config)
			if err == nil {
				free = append(free, field)
				continue
			}
			last := strings.ToLower(field[strings.LastIndex(field, ".")+1:])
			if text := err.Error(); !strings.Contains(strings.ReplaceAll(text, "_", ""), last+": ") || !strings.Contains(text, "white space") || strings.Contains(text, "google") {
				t.Errorf("%s: error %v", field, err)
			}
		}
	}
	check("Tenant", func() any { return new(caddymodule.Tenant) }, func(config any) error {
		_, err := caddymodule.Expanded(config.(*caddymodule.Tenant))
		return err
	})
	check("Handler", func() any { return new(caddymodule.Handler) }, func(config any) error {
		_, err := caddymodule.Expanded(config.(*caddymodule.Handler))
		return err
	})
	want := []string{
		"Handler.Attach.Prefix", "Handler.Attach.Username", "Tenant.Client.Secret", "Tenant.Link.Client.Secret",
		"Tenant.Link.ClientName", "Tenant.Link.Templates", "Tenant.Management.Secret",
	}
	if slices.Sort(free); !slices.Equal(free, want) {
		t.Errorf("of more words than one may be %v, want %v", free, want)
	}
}

func TestAConnectionIsOneWord(t *testing.T) {
	p := newProxy(t)
	for _, two := range []string{" " + google, google + " ", google + "\n", "google oauth2"} {
		t.Setenv("CONN", two)
		if err := p.tryLoad(p.caddyfile("token_vault {env.CONN}\nrespond ok")); err == nil || !strings.Contains(err.Error(), "connection: white space") {
			t.Errorf("%q: error %v", two, err)
		}
	}
}

// No scopes is not the same as any.
func TestAnEmptyListStaysOne(t *testing.T) {
	e, err := caddymodule.Expanded(&caddymodule.Handler{MaxScopes: []string{}})
	if handler := e.(*caddymodule.Handler); err != nil || handler.MaxScopes == nil || handler.Scopes != nil {
		t.Errorf("%+v, error %v", handler, err)
	}
}

func TestBracesWithABackslashAreBraces(t *testing.T) {
	p := newProxy(t)
	p.load(strings.Replace(calendarSite, "scopes ", `scopes a\{b\} `, 1))
	p.connect(alice, google)
	if got := p.get("/", p.token(alice)).problem(t); !reflect.DeepEqual(got["scopes"], []any{"a{b}", calendar}) {
		t.Errorf("scopes %v", got["scopes"])
	}
}

func TestALoginHintSaysWhichAccountOrNoneOrFails(t *testing.T) {
	p := newProxy(t)
	p.connect(alice, google, calendar)
	t.Setenv("ACCOUNT", "google-{http.request.header.X-Canary}")
	p.load(`handle /known {
		token_vault google-oauth2 {
			login_hint {http.request.header.X-Account}
		}
		respond ok
	}
	handle /part {
		token_vault google-oauth2 {
			login_hint google-{http.request.header.X-Account}
		}
		respond ok
	}
	handle /unknown {
		token_vault google-oauth2 {
			login_hint {http.request.header}
		}
		respond ok
	}
	handle /once {
		token_vault google-oauth2 {
			login_hint {env.ACCOUNT}
		}
		respond ok
	}`)
	token := p.token(alice)
	for path, want := range map[string]string{
		"/known": "", "/part": "", "/unknown": "vault_misconfigured", "/once": "link_required",
	} {
		if got := p.get(path, token); got.code() != want {
			t.Errorf("%s without the header: %d %s", path, got.Status, got.Body)
		}
	}
	if line := p.logLine("no placeholder {http.request.header} is known"); line["error"] == nil {
		t.Errorf("the operator is told %v", line)
	}
	for _, path := range []string{"/known", "/part"} {
		nobody := func(r *http.Request) { r.Header.Set("X-Account", "nobody") }
		if got := p.get(path, token, nobody); got.code() != "link_required" {
			t.Errorf("%s with another account: %d %s", path, got.Status, got.Body)
		}
	}
}
