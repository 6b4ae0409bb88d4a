package caddymodule_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// Pages show hints to the person who decides, beside words of our own.
func TestHintsFromOutsideArePrintableASCII(t *testing.T) {
	p := newProxy(t)
	p.load(`handle /header {
		token_vault google-oauth2 {
			login_hint {http.request.header.X-Account}
		}
		respond ok
	}
	handle /query {
		token_vault google-oauth2 {
			login_hint {http.request.uri.query.account}
		}
		respond ok
	}`)
	token := p.token(alice)
	for hint, code := range map[string]string{
		"4711": "link_required", "alice+work@example.com": "link_required", "|~!": "link_required",
		"Your\u2800administrator\u2800has\u2800approved\u2800this": "invalid_request",
		"Your\u3164administrator":                                  "invalid_request",
		"an account":                                               "invalid_request",
		"a\u00adb":                                                 "invalid_request",
		"jos\u00e9":                                                "invalid_request",
		"\U000e0041":                                               "invalid_request",
	} {
		header := p.get("/header", token, func(r *http.Request) { r.Header.Set("X-Account", hint) })
		query := p.get("/query?account="+url.QueryEscape(hint), token)
		for name, got := range map[string]*reply{"header": header, "query": query} {
			if got.code() != code {
				t.Errorf("%q in the %s: %d %s", hint, name, got.Status, got.Body)
			}
		}
	}
	own := p.caddyfile("token_vault google-oauth2 {\n login_hint Your\u2800administrator\n}\nrespond ok")
	if err := p.tryLoad(own); err == nil || !strings.Contains(err.Error(), "printable ASCII") {
		t.Errorf("an operator's own: %v", err)
	}
}
