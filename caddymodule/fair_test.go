package caddymodule_test

import (
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test/browser"
)

// A sign-in counts for the address that Caddy's trusted_proxies tell, with or without
// pin_ip.
func TestEachAddressThatTrustedProxiesTellHasAShareOfTheSignIns(t *testing.T) {
	p := newProxy(t)
	config := strings.Replace(p.caddyfile(calendarSite, "budget {\n tenant 2\n }"), "protocols h1 h2c", "protocols h1 h2c\n trusted_proxies static 127.0.0.1/32", 1)
	if err := p.tryLoad(config); err != nil {
		t.Fatal(err)
	}
	link := p.refused("/", p.token(alice)).text(t, "link_url")
	from := &forwarder{RoundTripper: http.DefaultTransport, address: "192.0.2.1"}
	defer func() { http.DefaultTransport = from.RoundTripper }()

	http.DefaultTransport = codeMaker{from}
	for range 40 {
		stranger := &person{proxy: p, browser: browser.New()}
		stranger.open(link)
		stranger.submit(nil)
	}
	from.address, http.DefaultTransport = "192.0.2.2", from
	if page := p.signIn(link, "alice").page; page.Status != 200 {
		t.Errorf("status %d, page %s", page.Status, page.Body)
	}
}

// codeMaker makes codes up and asks Auth0 for none.
type codeMaker struct{ http.RoundTripper }

func (c codeMaker) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Path != "/authorize" {
		return c.RoundTripper.RoundTrip(r)
	}
	q := r.URL.Query()
	back := q.Get("redirect_uri") + "?" + url.Values{"code": {"made up"}, "state": q["state"]}.Encode()
	return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {back}}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
}
