package chromium

import (
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chromedp/cdproto/network"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// earlier runs f with a clock that is behind by so much.
func earlier(t *testing.T, by time.Duration, f func(t *testing.T)) {
	t.Helper()
	then := time.Now().Add(-by)
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(then)) // the bubble's clock begins in the year 2000
		f(t)
	})
}

// oldLink is a link that alice's agent got so long ago.
func (w *world) oldLink(age time.Duration, request vault.Request) *linkflow.Link {
	w.Helper()
	caller := w.caller()
	var link *linkflow.Link
	earlier(w.T, age, func(t *testing.T) {
		_, flow := w.newFlow(nil)
		var err error
		if link, err = flow.Link(t.Context(), caller, request); err != nil {
			t.Fatal(err)
		}
	})
	return link
}

// oldSession is the cookie of a browser in which alice signed in at Auth0 so
// long ago.
func (w *world) oldSession(age time.Duration) *http.Cookie {
	w.Helper()
	var session *http.Cookie
	earlier(w.T, age, func(t *testing.T) {
		query := url.Values{
			"client_id": {agent}, "redirect_uri": {"http://localhost:8090/callback"}, "response_type": {"code"}, "scope": {"openid"},
		}
		begun := w.askTenant(t, httptest.NewRequest(http.MethodGet, w.tenant.URL+"/authorize?"+query.Encode(), nil))
		form, err := url.Parse(begun.Header.Get("Location"))
		if err != nil {
			t.Fatal(err)
		}
		fields := url.Values{"state": form.Query()["state"], "username": {"alice@example.com"}, "password": {"alice-password"}}
		login := httptest.NewRequest(http.MethodPost, w.tenant.URL+"/u/login", strings.NewReader(fields.Encode()))
		login.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		for _, c := range begun.Cookies() {
			login.AddCookie(c)
		}
		for _, c := range w.askTenant(t, login).Cookies() {
			if c.Name == "auth0" {
				session = c
			}
		}
	})
	if session == nil {
		w.Fatal("alice could not sign in")
	}
	return session
}

// askTenant asks the tenant without a network, which has no place in a bubble.
func (w *world) askTenant(t *testing.T, r *http.Request) *http.Response {
	t.Helper()
	rec := httptest.NewRecorder()
	w.tenant.Handler().ServeHTTP(rec, r)
	if rec.Code != http.StatusFound {
		t.Fatalf("%s answered %d", r.URL.Path, rec.Code)
	}
	return rec.Result()
}

// handlers is a network in which nothing listens: what each host serves.
type handlers map[string]http.Handler

// RoundTrip implements http.RoundTripper.
func (h handlers) RoundTrip(r *http.Request) (*http.Response, error) {
	in := r.Clone(r.Context())
	in.RequestURI, in.Host = r.URL.RequestURI(), r.URL.Host
	if in.Body == nil {
		in.Body = http.NoBody
	}
	rec := httptest.NewRecorder()
	h[r.URL.Host].ServeHTTP(rec, in)
	resp := rec.Result()
	resp.Request = r
	return resp, nil
}

// leftOpen makes the browser one in which alice followed a link and signed in so
// long ago, and then went away. It shows the page that she was on.
func (b *tab) leftOpen(w *world, age time.Duration, request vault.Request) *tab {
	b.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.Fatal(err)
	}
	caller, at := w.caller(), ""
	earlier(b.T, age, func(t *testing.T) {
		site, tenant := strings.TrimPrefix(w.site.URL, "https://"), strings.TrimPrefix(w.tenant.URL, "http://")
		network := handlers{tenant: w.tenant.Handler()}
		_, flow := w.newFlow(network)
		defer flow.Close()
		network[site] = flow
		link, err := flow.Link(t.Context(), caller, request)
		if err != nil {
			t.Fatal(err)
		}
		client := &http.Client{Transport: network, Jar: jar}
		page := visit(t, client, link.URL, nil)
		page = visit(t, client, w.url("/auth/connect"), page.fields)
		page = visit(t, client, page.onward, nil)
		page.fields.Set("username", "alice@example.com")
		page.fields.Set("password", "alice-password")
		at = visit(t, client, w.tenant.URL+"/u/login", page.fields).url
	})
	site, err := url.Parse(w.site.URL)
	if err != nil {
		b.Fatal(err)
	}
	for _, c := range jar.Cookies(site) { // the tenant's as well: cookies know no ports
		params := network.SetCookieParams{Name: c.Name, Value: c.Value, URL: w.tenant.URL}
		if strings.HasPrefix(c.Name, "__Host-") {
			params.URL, params.Path, params.Secure = w.site.URL, "/", new(true)
		}
		command(b, network.SetCookie, params)
	}
	return b.open(at)
}

// arrived is where a client that is no browser arrived.
type arrived struct {
	url, onward string     // onward is where the page sends browsers on to
	fields      url.Values // that its form hides
}

var hiddenPattern = regexp.MustCompile(`<input type="hidden" name="([^"]*)" value="([^"]*)"`)

// visit goes to a page, or sends a form there.
func visit(t *testing.T, client *http.Client, target string, form url.Values) arrived {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, target, nil)
	if form != nil {
		req, err = http.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	}
	if err != nil {
		t.Fatal(err)
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Sec-Fetch-Site", "same-origin")
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s answered %d (%v): %s", target, resp.StatusCode, err, body)
	}
	page := arrived{url: resp.Request.URL.String(), fields: url.Values{}}
	_, page.onward, _ = strings.Cut(resp.Header.Get("Refresh"), "url=")
	for _, m := range hiddenPattern.FindAllStringSubmatch(string(body), -1) {
		page.fields.Set(m[1], html.UnescapeString(m[2]))
	}
	return page
}
