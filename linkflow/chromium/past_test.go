package chromium

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
		_, flow := w.newFlow()
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
