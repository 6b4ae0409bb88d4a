package auth0test_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/auth0/go-auth0/management"
	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

func tlsTenant(t *testing.T) *auth0test.Server {
	t.Helper()
	s := auth0test.NewTLSServer(auth0test.Seeds())
	t.Cleanup(s.Close)
	return s
}

func TestATenantWithTLSIsHTTPSThroughout(t *testing.T) {
	s := tlsTenant(t)
	for what, u := range map[string]string{"issuer": s.Issuer(), "tenant": s.URL, "Google": s.GoogleURL, "GitHub": s.GitHubURL} {
		if !strings.HasPrefix(u, "https://127.0.0.1:") {
			t.Errorf("%s is at %s", what, u)
		}
	}
	discovery := do(t, s.Client(), request(t, http.MethodGet, s.URL+"/.well-known/openid-configuration", "", ""))
	if discovery.JSON["issuer"] != s.Issuer() || strings.Contains(discovery.Body, "http://") {
		t.Errorf("discovery: %s", discovery.Body)
	}
	for _, u := range []string{s.GoogleURL + "/oauth2/v3/userinfo", s.GitHubURL + "/user"} {
		if a := do(t, s.Client(), request(t, http.MethodGet, u, "", "")); a.Status != http.StatusUnauthorized {
			t.Errorf("%s: %d", u, a.Status)
		}
	}
}

func TestTheCertificateIsTrustedByWhoeverIsToldToAndGoodForThisMachineOnly(t *testing.T) {
	s := tlsTenant(t)
	_, err := http.Get(s.URL + "/.well-known/jwks.json")
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); !ok {
		t.Errorf("a client that was told nothing: %v", err)
	}
	for _, host := range []string{"127.0.0.1", "::1", "localhost"} {
		if err := s.Certificate().VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	if err := s.Certificate().VerifyHostname("tenant.example.com"); err == nil {
		t.Error("it is good for any host")
	}
	if s.Certificate().IsCA {
		t.Error("it is an authority")
	}
	if tlsTenant(t).Certificate().Equal(s.Certificate()) {
		t.Error("two tenants have one certificate")
	}
}

func TestACertificateIsGoodForTheHostsThatWereAskedFor(t *testing.T) {
	s, err := auth0test.ListenTLS(auth0test.Seeds(), net.JoinHostPort(anotherAddress(t), "0"), "localhost:0", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, u := range []string{s.URL, s.GoogleURL, s.GitHubURL} {
		do(t, s.Client(), request(t, http.MethodGet, u, "", ""))
	}
}

// anotherAddress is one of this machine that is no loopback one, if it has any.
func anotherAddress(t *testing.T) string {
	t.Helper()
	addrs, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.IsGlobalUnicast() {
			return n.IP.String()
		}
	}
	return "127.0.0.1"
}

func TestCookiesAreSecureWhereTheTenantIs(t *testing.T) {
	for want, s := range map[bool]*auth0test.Server{true: tlsTenant(t), false: tenant(t)} {
		seen := &cookieWatch{base: s.Client().Transport}
		b := newBrowser(t)
		b.c.Transport = seen
		if b.login(s, "alice").Get("code") == "" {
			t.Error("no login")
		}
		for _, c := range seen.cookies {
			if c.Secure != want || !c.HttpOnly {
				t.Errorf("%s: cookie %v", s.URL, c)
			}
		}
		if len(seen.cookies) < 2 {
			t.Errorf("%s: cookies %v", s.URL, seen.cookies)
		}
	}
}

// cookieWatch keeps the cookies that are set.
type cookieWatch struct {
	base    http.RoundTripper
	cookies []*http.Cookie
}

// RoundTrip implements http.RoundTripper.
func (w *cookieWatch) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := w.base.RoundTrip(r)
	if err == nil {
		w.cookies = append(w.cookies, resp.Cookies()...)
	}
	return resp, err
}

func TestAServerWithoutTLSHasNoCertificate(t *testing.T) {
	s := tenant(t)
	if s.Certificate() != nil {
		t.Error("a certificate")
	}
	if a := do(t, s.Client(), request(t, http.MethodGet, s.URL+"/.well-known/jwks.json", "", "")); a.Status != http.StatusOK {
		t.Errorf("%d", a.Status)
	}
}

// Auth0's SDK for Go adds https:// to every domain.
func TestAuth0sSDKForGoTalksToATenantWithTLS(t *testing.T) {
	s := tlsTenant(t)
	ctx := context.WithValue(t.Context(), oauth2.HTTPClient, s.Client())
	api, err := management.New(strings.TrimPrefix(s.URL, "https://"),
		management.WithClient(s.Client()),
		management.WithClientCredentials(ctx, "tenant-management", "tenant-management-secret"))
	if err != nil {
		t.Fatal(err)
	}
	user, err := api.User.Read(t.Context(), "auth0|alice")
	if err != nil || user.GetEmail() != "alice@example.com" || !user.GetEmailVerified() {
		t.Errorf("got %v, %v", user, err)
	}
	users, err := api.User.ListByEmail(t.Context(), "bob@example.com")
	if err != nil || len(users) != 1 || users[0].GetID() != "auth0|bob" {
		t.Errorf("got %v, %v", users, err)
	}
	if _, err := api.User.Read(t.Context(), "auth0|nobody"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Errorf("a user that is not there: %v", err)
	}
}
