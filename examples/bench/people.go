package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test/browser"
)

// person is somebody with a browser, until something goes wrong.
type person struct {
	browser *browser.Browser
	page    *browser.Page
	err     error
}

func newPerson() *person { return &person{browser: browser.New()} }

func (p *person) open(ctx context.Context, link string) *person {
	if p.err == nil {
		p.page, p.err = p.browser.Open(ctx, link)
	}
	return p.check()
}

func (p *person) submit(ctx context.Context, values url.Values) *person {
	if p.err == nil {
		p.page, p.err = p.browser.Submit(ctx, p.page, values)
	}
	return p.check()
}

func (p *person) check() *person {
	if p.err == nil && p.page.Status != http.StatusOK {
		p.err = fmt.Errorf("%s answered %d", p.page.URL.Path, p.page.Status)
	}
	return p
}

// signIn opens a link and signs in as user n.
func (p *person) signIn(ctx context.Context, link string, n int) *person {
	name := strings.TrimPrefix(user(n), "auth0|")
	return p.open(ctx, link).submit(ctx, nil).submit(ctx, url.Values{"username": {name + "@example.com"}, "password": {name}})
}

// origin is where the requests of a context come from. It is one person's.
type origin struct {
	address  string
	makesUp  bool          // codes, and asks Auth0 for none
	cameBack *http.Request // last, with such a code
}

type originKey struct{}

func from(ctx context.Context, o *origin) context.Context {
	return context.WithValue(ctx, originKey{}, o)
}

// byOrigin is a transport through a proxy in front of ours, which tells the address.
type byOrigin struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b byOrigin) RoundTrip(r *http.Request) (*http.Response, error) {
	o, ok := r.Context().Value(originKey{}).(*origin)
	if !ok {
		return b.RoundTripper.RoundTrip(r)
	}
	if o.makesUp && r.URL.Path == "/authorize" {
		q := r.URL.Query()
		back := q.Get("redirect_uri") + "?" + url.Values{"code": {"made up"}, "state": q["state"]}.Encode()
		return &http.Response{StatusCode: http.StatusFound, Header: http.Header{"Location": {back}}, Body: io.NopCloser(strings.NewReader("")), Request: r}, nil
	}
	if o.makesUp && r.URL.Query().Has("code") {
		o.cameBack = r
	}
	r.Header.Set("X-Forwarded-For", o.address)
	return b.RoundTripper.RoundTrip(r)
}
