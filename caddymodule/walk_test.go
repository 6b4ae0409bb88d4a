package caddymodule_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
)

const (
	warnsOfOrigin = "token_vault and token_vault_link share a site"
	warnsOfPages  = "no site here serves the link pages"
	warnsOfErrors = "the errors of a subroute behind token_vault"
)

// warnings loads a configuration, whose sites are these, and returns what it is
// warned of.
func warnings(t *testing.T, sites string) (warned []string) {
	t.Helper()
	p := newProxy(t)
	whole := p.caddyfile("")
	sites = strings.ReplaceAll(sites, "{port}", p.URL[strings.LastIndex(p.URL, ":"):])
	if err := p.tryLoad(whole[:strings.Index(whole, "\n}\n")+3] + p.expand(sites)); err != nil {
		t.Fatal(err)
	}
	return p.warned()
}

// warned returns what the load that has just ended warned of.
func (p *proxy) warned() (warned []string) {
	p.logLine("autosaved config")
	for _, warning := range []string{warnsOfOrigin, warnsOfPages, warnsOfErrors} {
		if strings.Contains(p.Log.String(), warning) {
			warned = append(warned, warning)
		}
	}
	return warned
}

func TestWarningsSeeEveryPlaceOfTheConfiguration(t *testing.T) {
	const (
		agents = "token_vault github\n respond ok\n"
		pages  = "token_vault_link\n"
	)
	shared, unserved := []string{warnsOfOrigin}, []string{warnsOfPages}
	for name, c := range map[string]struct {
		sites string
		want  []string
	}{
		"one site":           {"{site} {\n " + pages + " handle /g/* {\n " + agents + " }\n}", shared},
		"a path of one host": {"{site}/auth/* {\n " + pages + "}\n{site} {\n " + agents + "}", shared},
		"any host":           {"http://{port} {\n " + pages + " handle /g/* {\n " + agents + " }\n}", shared},
		"two hosts":          {"{site} {\n " + pages + "}\nhttp://localhost{port} {\n " + agents + "}", nil},
		"no pages":           {"{site} {\n " + agents + "}", unserved},

		"pages in a named route":     {"&(pages) {\n " + pages + "}\n{site} {\n invoke pages\n}\nhttp://localhost{port} {\n " + agents + "}", nil},
		"both in named routes":       {"&(pages) {\n " + pages + "}\n&(agents) {\n route {\n " + agents + " }\n}\n{site} {\n invoke /auth/* pages\n invoke agents\n}", shared},
		"a named route nobody uses":  {"&(pages) {\n " + pages + "}\n{site} {\n " + agents + "}", unserved},
		"agents in a fallback":       {"{site} {\n " + pages + " respond ok\n handle_errors {\n " + agents + " }\n}", shared},
		"agents in intercept":        {"{site} {\n " + pages + " intercept {\n @gone status 404\n handle_response @gone {\n " + agents + " }\n }\n respond ok 404\n}", shared},
		"agents in handle_response":  {"{site} {\n " + pages + " reverse_proxy {upstream} {\n handle_response {\n " + agents + " }\n }\n}", shared},
		"pages in handle_errors":     {"{site} {\n error 404\n handle_errors {\n " + pages + " }\n}", nil},
		"a site of their own beside": {"http://link.localhost{port} {\n " + pages + "}\nhttp://*.localhost{port} {\n " + agents + "}", nil},

		"hosts in a wildcard site": {`http://*.localhost{port} {
			@link host link.localhost
			handle @link {
				token_vault_link
			}
			@agents host agents.localhost
			handle @agents {
				token_vault github
				respond ok
			}
		}`, nil},
		"all other hosts of a wildcard site": {`http://*.localhost{port} {
			@link host link.localhost
			handle @link {
				token_vault_link
			}
			handle {
				token_vault github
				respond ok
			}
		}`, nil},
		"another path of the pages' host": {`http://*.localhost{port} {
			@link {
				host link.localhost
				path /auth/*
			}
			handle @link {
				token_vault_link
			}
			handle {
				token_vault github
				respond ok
			}
		}`, shared},
		"the same host in a wildcard site": {`http://*.localhost{port} {
			@link host Link.localhost
			route @link {
				token_vault_link
			}
			@agents host agents.localhost link.localhost
			route @agents {
				token_vault github
				respond ok
			}
		}`, shared},
	} {
		t.Run(name, func(t *testing.T) {
			if got := warnings(t, c.sites); !slices.Equal(got, c.want) {
				t.Errorf("warned of %q, want %q", got, c.want)
			}
		})
	}
}

// A server of JSON, since a Caddyfile has no errors of a subroute.
const errorRoutes = `{"routes": [{"handle": [{"handler": "reverse_proxy", "upstreams": [{"dial": "127.0.0.1:1"}]}]}]}`

func TestErrorsOfASubrouteBehindTokenVaultWarn(t *testing.T) {
	const (
		agents    = `{"handler": "token_vault", "connection": "github"}`
		dying     = `{"handler": "error", "status_code": 502}`
		subroute  = `{"handler": "subroute", "routes": [{"handle": [` + dying + `]}], "errors": ` + errorRoutes + `}`
		outermost = `{"handler": "subroute", "routes": [{"handle": [` + agents + `, ` + dying + `]}], "errors": ` + errorRoutes + `}`
		plain     = `{"handler": "subroute", "routes": [{"handle": [` + dying + `]}]}`
		answer    = `{"handler": "static_response"}`
		proxy     = `{"handler": "reverse_proxy", "upstreams": [{"dial": "127.0.0.1:1"}]}`
		// which goes on to what follows, as forward_auth does
		handling = `{"handler": "reverse_proxy", "upstreams": [{"dial": "127.0.0.1:1"}], "handle_response": [`
	)
	for name, c := range map[string]struct {
		routes string
		warns  bool
	}{
		"behind it":                   {`{"handle": [` + agents + `, ` + subroute + `]}`, true},
		"in a later route":            {`{"handle": [` + agents + `]}, {"handle": [` + subroute + `]}`, true},
		"behind a group":              {`{"group": "a", "handle": [` + agents + `]}, {"group": "a", "handle": [` + answer + `]}, {"handle": [` + subroute + `]}`, true},
		"deep behind":                 {`{"handle": [{"handler": "subroute", "routes": [{"handle": [` + agents + `]}]}]}, {"handle": [{"handler": "subroute", "routes": [{"handle": [` + subroute + `]}]}]}`, true},
		"in what is invoked":          {`{"handle": [` + agents + `, {"handler": "invoke", "name": "named"}]}`, true},
		"after handled responses":     {`{"handle": [` + agents + `, ` + handling + `{"routes": [{"handle": [{"handler": "headers"}]}]}]}, ` + subroute + `]}`, true},
		"after responses of no route": {`{"handle": [` + agents + `, ` + handling + `{}]}, ` + subroute + `]}`, true},
		"behind it within another":    {`{"handle": [` + handling + `{"routes": [{"handle": [` + agents + `]}]}]}, ` + subroute + `]}`, true},
		"within handled responses":    {`{"handle": [` + agents + `, ` + handling + `{"routes": [{"handle": [` + subroute + `]}]}]}]}`, true},
		"after an upstream":           {`{"handle": [` + agents + `, ` + proxy + `]}, {"handle": [` + subroute + `]}`, false},
		"around it":                   {`{"handle": [` + outermost + `]}`, false},
		"before it":                   {`{"handle": [` + subroute + `]}, {"handle": [` + agents + `, ` + answer + `]}`, false},
		"another of the group":        {`{"group": "a", "handle": [` + agents + `]}, {"group": "a", "handle": [` + subroute + `]}`, false},
		"after what answers":          {`{"handle": [` + agents + `, ` + answer + `]}, {"handle": [` + subroute + `]}`, false},
		"after a route that ends all": {`{"terminal": true, "handle": [` + agents + `]}, {"handle": [` + subroute + `]}`, false},
		"without errors":              {`{"handle": [` + agents + `, ` + plain + `]}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t)
			var config map[string]any
			if err := json.Unmarshal([]byte(adapted(p.caddyfile(calendarSite))), &config); err != nil {
				t.Fatal(err)
			}
			server := appsOf(config)["http"].(map[string]any)["servers"].(map[string]any)["srv0"].(map[string]any)
			server["routes"] = json.RawMessage("[" + c.routes + "]")
			server["named_routes"] = json.RawMessage(`{"named": {"handle": [` + subroute + `, {"handler": "invoke", "name": "named"}]}}`)
			text, err := json.Marshal(config)
			if err != nil {
				t.Fatal(err)
			}
			if err := caddy.Load(text, true); err != nil {
				t.Fatal(err)
			}
			if got := slices.Contains(p.warned(), warnsOfErrors); got != c.warns {
				t.Errorf("warned: %v, log %s", got, p.Log)
			}
		})
	}
}
