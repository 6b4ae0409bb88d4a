package caddymodule_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
)

// What a Caddyfile becomes, in testdata/adapt: a file has cases, divided by
// lines of equal signs; a case is a Caddyfile, a line of dashes, and the JSON, or
// the error, that comes of it.

var update = flag.Bool("update", false, "rewrite testdata/adapt")

const (
	betweenCases = "==========\n"
	betweenHalfs = "----------\n"
)

func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var rewritten []string
		for golden := range strings.SplitSeq(string(data), betweenCases) {
			input, want, _ := strings.Cut(golden, betweenHalfs)
			title, _, _ := strings.Cut(strings.TrimPrefix(input, "# "), "\n")
			got := adapted(input)
			rewritten = append(rewritten, input+betweenHalfs+got)
			t.Run(filepath.Base(file)+"/"+title, func(t *testing.T) {
				if got != want && !*update {
					t.Errorf("got\n%s\nwant\n%s", got, want)
				}
				checkAdaptError(t, file, got)
			})
		}
		if *update {
			if err := os.WriteFile(file, []byte(strings.Join(rewritten, betweenCases)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// adapted is the JSON of a Caddyfile, or the error.
func adapted(caddyfile string) string {
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err.Error() + "\n"
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, config, "", "\t"); err != nil {
		return err.Error() + "\n"
	}
	return pretty.String() + "\n"
}

var fileAndLine = regexp.MustCompile(`Caddyfile:\d+`)

// checkAdaptError: files named errors have errors only, and those name a line and
// hold no secret.
func checkAdaptError(t *testing.T, file, got string) {
	t.Helper()
	failed := !strings.HasPrefix(got, "{")
	if failed != strings.HasPrefix(filepath.Base(file), "errors") {
		t.Errorf("adapted to\n%s", got)
	}
	if failed && (!fileAndLine.MatchString(got) || strings.Contains(got, "topsecret")) {
		t.Errorf("the error names no file and line, or a secret: %s", got)
	}
}

// provision loads a config without starting it, as `caddy validate` does.
func provision(t *testing.T, config string) error {
	t.Helper()
	var cfg caddy.Config
	if err := json.Unmarshal([]byte(config), &cfg); err != nil {
		t.Fatal(err)
	}
	return caddy.Validate(&cfg)
}

// everyWord are the parts of a tenant and a route that say everything.
const everyTenant = `
		algorithms RS256 ES256
		timeout 5s
		cache {
			max_entries 5000
			max_age 10m
		}
		budget {
			user 60
			tenant 25
		}`

const everyRoute = `
	token_vault google-oauth2 {
		scopes openid email
		max_scopes openid email profile
		login_hint {http.request.header.X-Account}
		require_scopes read:calendar
		allow_clients agent
		attach header X-Api-Key Token
		on_missing redirect
		hold 30s any
	}`

const everyJSON = `{"apps": {
	"http": {"servers": {"srv0": {"listen": ["127.0.0.1:0"], "routes": [{"handle": [{
		"handler": "token_vault", "connection": "google-oauth2",
		"scopes": ["openid", "email"], "max_scopes": ["openid", "email", "profile"],
		"login_hint": "{http.request.header.X-Account}", "require_scopes": ["read:calendar"],
		"allow_clients": ["agent"], "on_missing": "redirect", "hold": "30s", "hold_any": true,
		"attach": {"scheme": "header", "name": "X-Api-Key", "prefix": "Token"}
	}]}]}}},
	"token_vault": {"tenants": {"default": {
		"domain": "{tenant}", "audience": "https://agents.example.com/",
		"client": {"id": "vault-exchange", "secret": "{env.AUTH0_CLIENT_SECRET}"},
		"allow_clients": ["demo-agent"], "algorithms": ["RS256", "ES256"], "timeout": 5000000000,
		"link": {"origin": "{site}", "client": {"id": "link-pages", "secret": "{env.AUTH0_LINK_CLIENT_SECRET}"}},
		"cache": {"max_entries": 5000, "max_age": 600000000000},
		"budget": {"user": 60, "tenant": 25}
	}}}
}}`

func TestJSONSaysTheSame(t *testing.T) {
	p := newProxy(t)
	config := adapted(p.caddyfile(everyRoute, everyTenant))
	var fromCaddyfile, fromJSON map[string]any
	for text, into := range map[string]*map[string]any{config: &fromCaddyfile, p.expand(everyJSON): &fromJSON} {
		if err := json.Unmarshal([]byte(text), into); err != nil {
			t.Fatal(err, text)
		}
		if err := provision(t, text); err != nil {
			t.Error(err)
		}
	}
	if a, b := appsOf(fromCaddyfile)["token_vault"], appsOf(fromJSON)["token_vault"]; fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("from the Caddyfile\n%v, from JSON\n%v", a, b)
	}
	ourHandler(fromJSON)["hold"] = float64(30 * time.Second) // which is what the Caddyfile becomes
	if a, b := ourHandler(fromCaddyfile), ourHandler(fromJSON); a == nil || fmt.Sprint(a) != fmt.Sprint(b) {
		t.Errorf("from the Caddyfile\n%v, from JSON\n%v", a, b)
	}
}

func appsOf(config map[string]any) map[string]any { return config["apps"].(map[string]any) }

// ourHandler finds the token_vault handler, wherever it is.
func ourHandler(node any) map[string]any {
	switch node := node.(type) {
	case map[string]any:
		if node["handler"] == "token_vault" {
			return node
		}
		for _, child := range node {
			if found := ourHandler(child); found != nil {
				return found
			}
		}
	case []any:
		for _, child := range node {
			if found := ourHandler(child); found != nil {
				return found
			}
		}
	}
	return nil
}

// Values that only JSON can hold: a Caddyfile that says so does not adapt.
func TestJSONIsCheckedLikeTheCaddyfile(t *testing.T) {
	p := newProxy(t)
	good := p.expand(everyJSON)
	if err := provision(t, good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ old, new, want string }{
		{`"domain": "` + p.Tenant.URL + `"`, `"domain": "http://tenant.eu.auth0.com"`, "domain"},
		{`"domain": "` + p.Tenant.URL + `", `, ``, "domain"},
		{`"audience": "https://agents.example.com/",`, ``, "audience"},
		{`"id": "vault-exchange", `, ``, "client id"},
		{`, "secret": "{env.AUTH0_CLIENT_SECRET}"`, ``, "client secret"},
		{`"client": {"id": "vault-exchange", "secret": "{env.AUTH0_CLIENT_SECRET}"},`, ``, "client"},
		{`"algorithms": ["RS256", "ES256"]`, `"algorithms": ["HS256"]`, "HS256"},
		{`"timeout": 5000000000`, `"timeout": -1`, "timeout"},
		{`"max_entries": 5000`, `"max_entries": -1`, "max entries"},
		{`"origin": "` + p.URL + `"`, `"origin": "` + p.URL + `/auth"`, "origin"},
		{`"origin": "` + p.URL + `", `, ``, "origin"},
		{`"origin": `, `"path": "auth", "origin": `, "path"},
		{`"origin": `, `"via": "saml", "origin": `, "via"},
		{`"origin": `, `"via": "url", "origin": `, "via url"},
		{`"origin": `, `"url": "https://app.example.com/{connection}", "origin": `, "url"},
		{`"origin": `, `"via": "url", "url": "https://app.example.com/", "origin": `, "{connection}"},
		{`"origin": `, `"via": "url", "url": "https://app.example.com/{connection}/{env.SECRET}", "origin": `, "{env.SECRET}"},
		{`"origin": `, `"require_mfa": true, "origin": `, "require_mfa"},
		{`"origin": `, `"via": "management", "trust_email": ["github"], "origin": `, "trust_email"},
		{`"origin": `, `"return_to": ["https://app.example.com/x"], "origin": `, "return"},
		{`"origin": `, `"key": ["c2VjcmV0"], "origin": `, "key"},
		{`"connection": "google-oauth2",`, ``, "connection"},
		{`"connection": "google-oauth2"`, `"connection": "google\noauth2"`, "connection"},
		{`"on_missing": "redirect"`, `"on_missing": "mcp"`, "on_missing"},
		{`"scheme": "header"`, `"scheme": "cookie"`, "attach"},
		{`"name": "X-Api-Key"`, `"name": "X Api Key"`, "attach"},
		{`"name": "X-Api-Key"`, `"name": "Transfer-Encoding"`, "attach"},
		{`"handler": "token_vault"`, `"handler": "token_vault", "tenant": "other"`, `tenant "other"`},
		{`"hold": "30s"`, `"hold": -1`, "hold"},
		{`"hold": "30s"`, `"hold": "601s"`, "hold"},
		{`"hold": "30s", `, ``, "hold_any"},
		{`"hold": "30s"`, `"hold": "soon"`, "soon"},
		{`"domain": `, `"management": {}, "domain": `, "management: id"},
		{`"domain": `, `"management": {"id": "machine"}, "domain": `, "management: secret"},
		{`"domain": `, `"management": {"id": "machine", "secret": "{env.NOT_SET}"}, "domain": `, "management: secret"},
		{`"origin": `, `"templates": "/does/not/exist", "origin": `, "link: templates"},
		{`"origin": `, `"templates": "caddyfile_test.go", "origin": `, "no directory"},
		{`"origin": `, `"templates": "testdata", "origin": `, "link: templates"},
		{`"origin": `, `"prompt": "none", "origin": `, "link: prompt"},
		{`"origin": `, `"templates": "{env.NOT_SET}", "origin": `, "link: templates"},
		{`"link": {"origin": "` + p.URL + `", "client": {"id": "link-pages", "secret": "{env.AUTH0_LINK_CLIENT_SECRET}"}},`, ``, "link block"},
		{`"tenants": {"default": {`, `"tenants": {}, "x": {"default": {`, "x"},
	} {
		bad := strings.Replace(good, c.old, c.new, 1)
		if err := provision(t, bad); bad == good || err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s for %s: error %v", c.new, c.old, err)
		}
	}
}

func TestPlaceholdersStayInTheConfig(t *testing.T) {
	p := newProxy(t)
	t.Setenv("AUTH0_AUDIENCE", audience)
	admin := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	config := strings.Replace(p.caddyfile(calendarSite), "admin off", "admin "+admin, 1)
	config = strings.Replace(config, "audience "+audience, "audience {env.AUTH0_AUDIENCE}", 1)
	if err := p.tryLoad(config); err != nil {
		t.Fatal(err)
	}
	p.connect(alice, google, calendar)
	if got := p.get("/", p.token(alice)); got.Status != 200 {
		t.Fatalf("status %d, body %s", got.Status, got.Body)
	}
	saved, err := os.ReadFile(caddy.ConfigAutosavePath)
	if err != nil {
		t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+admin+"/config/", nil)
	if err != nil {
		t.Fatal(err)
	}
	for where, text := range map[string]string{"adapted": adapted(config), "served": p.do(req).Body, "autosaved": string(saved)} {
		for _, want := range []string{"{env.AUTH0_CLIENT_SECRET}", "{env.AUTH0_LINK_CLIENT_SECRET}", "{env.AUTH0_AUDIENCE}"} {
			if !strings.Contains(text, want) {
				t.Errorf("%s: no %s", where, want)
			}
		}
		if strings.Contains(text, "-secret\"") || strings.Contains(text, audience) {
			t.Errorf("%s: holds a value", where)
		}
	}
}

func TestAMissingOrEmptyValueFailsTheLoad(t *testing.T) {
	p := newProxy(t)
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("EMPTY", "")
	good := p.caddyfile(calendarSite)
	for field, old := range map[string]string{
		"domain": p.Tenant.URL, "audience": audience, "client: id": "vault-exchange", "client: secret": "{env.AUTH0_CLIENT_SECRET}",
		"link: origin": "origin " + p.URL, "link: client: id": "link-pages", "link: client: secret": "{env.AUTH0_LINK_CLIENT_SECRET}",
		"allow_clients": "allow_clients " + agentID, "link: key": "client link-pages",
	} {
		for _, placeholder := range []string{"{env.EMPTY}", "{env.NOT_SET}", "{file." + empty + "}", "{file./does/not/exist}", "{nonsense}"} {
			with := placeholder
			if word, _, ok := strings.Cut(old, " "); ok && field != "link: key" {
				with = word + " " + placeholder
			} else if field == "link: key" {
				with = "key " + placeholder + "\n client link-pages"
			}
			err := p.tryLoad(strings.Replace(good, old, with, 1))
			if err == nil || !strings.Contains(err.Error(), field+":") {
				t.Errorf("%s %s: error %v", field, placeholder, err)
			}
		}
	}
}

func TestValuesComeFromFilesToo(t *testing.T) {
	p := newProxy(t)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(os.Getenv("AUTH0_CLIENT_SECRET")), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := p.tryLoad(strings.Replace(p.caddyfile(calendarSite), "{env.AUTH0_CLIENT_SECRET}", "{file."+file+"}", 1)); err != nil {
		t.Fatal(err)
	}
	p.connect(alice, google, calendar)
	if got := p.get("/", p.token(alice)); got.Status != 200 {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
}

// A value that looks like a placeholder is a value.
func TestValuesAreExpandedOnce(t *testing.T) {
	p := newProxy(t)
	t.Setenv("CANARY", "seven")
	t.Setenv("AUTH0_AUDIENCE", "https://agents.example.com/{env.CANARY}")
	if err := p.tryLoad(strings.Replace(p.caddyfile(calendarSite), "audience "+audience, "audience {env.AUTH0_AUDIENCE}", 1)); err != nil {
		t.Fatal(err)
	}
	if v := p.get("/", "").Header.Get("WWW-Authenticate"); !strings.Contains(v, "{env.CANARY}") {
		t.Errorf("realm in %s", v)
	}
}

// Browsers look up no name below localhost; Go may ask DNS, and would send the
// secrets there in clear.
func TestNamesBelowLocalhostAreThisMachineToBrowsersOnly(t *testing.T) {
	p := newProxy(t)
	good := p.caddyfile(calendarSite)
	for old, words := range map[string]string{
		"origin " + p.URL: "origin http://link.localhost:8080",
		"link {":          "link {\n return_to http://app.localhost:3000 http://a.b.localhost",
		"link {\n":        "link {\n via url http://app.localhost:3000/connect?connection={connection}\n",
	} {
		if err := p.tryLoad(strings.Replace(good, old, words, 1)); err != nil {
			t.Errorf("%s: %v", words, err)
		}
	}
	for old, words := range map[string]string{
		"domain   " + p.Tenant.URL: "domain http://tenant.localhost:8484",
		"origin " + p.URL:          "origin http://link.localhost.example.com",
		"link {":                   "link {\n return_to http://notlocalhost http://.localhost",
	} {
		if err := p.tryLoad(strings.Replace(good, old, words, 1)); err == nil || !strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: error %v", words, err)
		}
	}
	t.Setenv("DOMAIN", "http://tenant.localhost:8484")
	if err := p.tryLoad(strings.Replace(good, "domain   "+p.Tenant.URL, "domain {env.DOMAIN}", 1)); err == nil || !strings.Contains(err.Error(), "domain") {
		t.Errorf("error %v", err)
	}
}

func TestARouteThatNobodyMayUseDoesNotLoad(t *testing.T) {
	p := newProxy(t)
	config := strings.Replace(p.caddyfile(calendarSite), "allow_clients "+agentID, "", 1)
	if err := p.tryLoad(config); err == nil || !strings.Contains(err.Error(), "allow_clients") {
		t.Errorf("error %v", err)
	}
	for _, word := range []string{agentID, "*"} {
		if err := p.tryLoad(strings.Replace(config, "scopes", "allow_clients "+word+"\n scopes", 1)); err != nil {
			t.Error(err)
		}
	}
}

func TestThePagesNeedALinkBlock(t *testing.T) {
	p := newProxy(t)
	p.link = ""
	if err := p.tryLoad(p.caddyfile("token_vault_link")); err == nil || !strings.Contains(err.Error(), "link") {
		t.Errorf("error %v", err)
	}
}

func TestHandlersNeedTheApp(t *testing.T) {
	for _, name := range []string{"token_vault", "token_vault_link"} {
		err := provision(t, `{"apps": {"http": {"servers": {"srv0": {"routes": [{"handle": [{"handler": "`+name+`"}]}]}}}}}`)
		if err == nil || !strings.Contains(err.Error(), "token_vault app has to be configured") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// Validating works offline: it calls nobody and writes nothing, with Auth0 and
// without.
func TestValidatingTouchesNothing(t *testing.T) {
	p := newProxy(t)
	dir := t.TempDir()
	p.global = "storage file_system " + dir
	calls := countConnections(t)
	config := strings.ReplaceAll(p.caddyfile(everyRoute+"\ntoken_vault_link\nrespond ok", everyTenant), p.Tenant.URL, calls.url)
	if err := provision(t, adapted(config)); err != nil {
		t.Fatal(err)
	}
	if err := p.tryLoad(config); err != nil { // and so does loading
		t.Fatal(err)
	}
	if n := calls.n.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
	if files := filesIn(t, dir, "token_vault"); len(files) != 0 {
		t.Errorf("stored %v", files)
	}
	if _ = p.get("/", p.token(alice)); calls.n.Load() == 0 {
		t.Error("the listener counts nothing")
	}
}

// connections counts who connects to a server that says nothing.
type connections struct {
	url string
	n   atomic.Int32
}

func countConnections(t *testing.T) *connections {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	c := &connections{url: "http://" + listener.Addr().String()}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			c.n.Add(1)
			_ = conn.Close()
		}
	}()
	return c
}
