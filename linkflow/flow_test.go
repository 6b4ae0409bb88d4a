package linkflow

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"

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
		"/auth": RoutePage, "/auth/": RoutePage, "/auth/done": RoutePage, "/auth/x/status": RoutePage,
		"/auth/connect": RouteForm, "/auth/confirm": RouteForm, "/auth/accounts": RouteForm,
		"/auth/callback": RouteCallback, "/auth/status": RouteStatus,
		// what matchers such as Caddy's take for the same
		"/AUTH": RoutePage, "/x/../auth/accounts": RoutePage, "//auth/connect": RoutePage, "/auth/Status": RoutePage,
		"/Auth/callback": RouteCallback, "/auth/Callback/": RouteCallback, "/auth//callback": RouteCallback, "/auth/x/../callback": RouteCallback,
		"/auth/../callback": RoutePage, "/AUTHX": RouteNone, "/x/../other/callback": RouteNone,
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
		{"PUT", "/auth/connect", "GET, HEAD, POST"},
		{"HEAD", "/auth/callback", "GET"},
		{"POST", "/auth/callback", "GET"},
		{"PUT", "/auth/confirm", "GET, POST"},
		{"POST", "/auth/style.css", "GET, HEAD"},
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
