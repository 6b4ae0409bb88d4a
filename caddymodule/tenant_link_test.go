package caddymodule_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// Other ways to an account than Connected Accounts: a page of the application's
// own, and linking identities.

// via makes the link block say how accounts are connected.
func (p *proxy) via(words string) {
	p.link = strings.Replace(linkBlock, "{\n", "{\n via "+words+"\n", 1)
}

const ownPage = "https://app.example.com/connect?c={connection}&s={scopes}&r={return_to}&t={ticket}"

func TestAgentsAreSentToTheApplicationsOwnPage(t *testing.T) {
	p := newProxy(t)
	p.link = strings.Replace(linkBlock, "client link-pages {env.AUTH0_LINK_CLIENT_SECRET}", "via url "+ownPage, 1)
	p.load(calendarSite)
	token := p.token(alice)
	refused := p.refused("/", token)
	page, err := url.Parse(refused.text(t, "link_url"))
	if err != nil || page.Host != "app.example.com" {
		t.Fatalf("link_url %v, %v", page, err)
	}
	q := page.Query()
	if q.Get("c") != google || q.Get("s") != calendar || q.Get("r") != p.URL+"/auth/done" || q.Get("t") == "" {
		t.Errorf("link_url %s", page)
	}
	if challenge := refused.Header.Get("WWW-Authenticate"); !strings.Contains(challenge, `link_uri="`+page.String()+`"`) {
		t.Errorf("challenge %s", challenge)
	}
	if got := p.get("/auth/done", ""); got.Status != 200 {
		t.Errorf("the page to end on: status %d", got.Status)
	}
	if got := p.get("/auth/connect?ticket="+url.QueryEscape(q.Get("t")), ""); got.Status != 404 {
		t.Errorf("a page to sign in on: status %d", got.Status)
	}
	p.wantStatus(p.status(refused, token, ""), "pending")
	p.connect(alice, google, calendar)
	p.eventually("the account", func() bool {
		return strings.Contains(p.status(refused, token, "").Body, "completed")
	})
}

func TestNoRequestCanWaitForAPageOfTheApplicationsOwn(t *testing.T) {
	p := newProxy(t)
	p.link = strings.Replace(linkBlock, "client link-pages {env.AUTH0_LINK_CLIENT_SECRET}", "via url "+ownPage, 1)
	site := strings.Replace(calendarSite, "{\n", "{\n hold 30s\n", 1)
	if err := p.tryLoad(p.caddyfile(site)); err == nil || !strings.Contains(err.Error(), "hold") {
		t.Errorf("error %v", err)
	}
	p.link = strings.Replace(linkBlock, "{\n", "{\n via url "+ownPage+"\n", 1)
	p.load(site)
}

func TestAManagementSecretThatIsMissingFailsTheLoad(t *testing.T) {
	p := newProxy(t)
	p.via("management")
	t.Setenv("EMPTY", "")
	for _, placeholder := range []string{"{env.EMPTY}", "{env.NOT_SET}", "{file./does/not/exist}"} {
		for _, line := range []string{"management machine " + placeholder, "management " + placeholder + " topsecret"} {
			err := p.tryLoad(p.caddyfile(calendarSite, line))
			if err == nil || !strings.Contains(err.Error(), "management: ") || strings.Contains(err.Error(), "topsecret") {
				t.Errorf("%s: error %v", line, err)
			}
		}
	}
}

// How accounts are connected belongs to the configuration; what became of links
// does not.
func TestAReloadChangesTheWayToAnAccount(t *testing.T) {
	p := startProxy(t, calendarSite)
	token := p.token(alice)
	before := p.refused("/", token)
	p.via("url " + ownPage)
	p.load(calendarSite)
	if link := p.refused("/", token).text(t, "link_url"); !strings.HasPrefix(link, "https://app.example.com/") {
		t.Errorf("link_url %s", link)
	}
	_ = p.walk(before.text(t, "link_url"), "alice")
	p.wantStatus(p.status(before, token, ""), "completed")
}

// aliceAtGoogle is who alice's account at Google is at Auth0 as long as it is a user
// of its own.
const aliceAtGoogle = "google-oauth2|141023394344011416964"

func withLinking(cfg *auth0test.Config) {
	cfg.AddAccountLinking()
	cfg.Users = append(cfg.Users, auth0test.User{UserID: aliceAtGoogle, Email: "alice@example.com", EmailVerified: true})
}

// linkAsAlice goes from a link to where alice's account at Google is a part of her user.
// decide is what she presses after the second sign-in.
func (p *proxy) linkAsAlice(link string, decide ...string) *person {
	p.t.Helper()
	alice := p.signIn(link, "alice")
	alice.submit(url.Values{"action": {"prove"}})
	alice.submit(url.Values{"action": {"allow"}}) // at Google
	for _, action := range decide {
		alice.submit(url.Values{"action": {action}})
	}
	if !strings.Contains(alice.page.Body, "Google is part of your account") {
		p.t.Fatalf("status %d, page %s", alice.page.Status, alice.page.Body)
	}
	return alice
}

// unlink makes alice's account at Google a user of its own again.
func (p *person) unlink() {
	p.t.Helper()
	p.open(p.URL + "/auth/unlink")
	p.submit(url.Values{"action": {"sign_in"}})
	p.submit(url.Values{"username": {"alice@example.com"}, "password": {"alice-password"}})
	link := regexp.MustCompile(`href="([^"]*[?;&]identity=[^"]+)"`).FindStringSubmatch(p.page.Body)
	if link == nil {
		p.t.Fatalf("nothing to unlink: status %d, page %s", p.page.Status, p.page.Body)
	}
	p.open(p.URL + html.UnescapeString(link[1]))
	p.submit(url.Values{"action": {"unlink"}})
	if !strings.Contains(p.page.Body, "Google is an account of its own again") {
		p.t.Fatalf("status %d, page %s", p.page.Status, p.page.Body)
	}
}

// The agent of a user who has become a part of another holds a token that nobody
// can use any more, whatever is cached for it.
func TestAfterLinkingTheOtherUsersAgentHasToSignInAgain(t *testing.T) {
	for via, decide := range map[string][]string{"link_account": nil, "management": {"merge"}} {
		t.Run(via, func(t *testing.T) {
			p := newProxy(t, withLinking)
			p.via(via)
			p.load(calendarSite)
			p.connect(aliceAtGoogle, google, calendar)
			old, token := p.token(aliceAtGoogle), p.token(alice)
			if got := p.get("/", old); got.Status != 200 {
				t.Fatalf("before: status %d, body %s", got.Status, got.Body)
			}
			refused := p.refused("/", token)
			visitor := p.linkAsAlice(refused.text(t, "link_url"), decide...)
			got := p.get("/", old)
			if got.code() != "invalid_token" || !strings.Contains(got.text(t, "detail"), "sign in again") {
				t.Errorf("the other user's agent: status %d, body %s", got.Status, got.Body)
			}
			visitor.submit(url.Values{"action": {"connect"}})
			visitor.submit(url.Values{"username": {"alice@example.com"}, "password": {"alice-password"}})
			visitor.connect()
			if got := p.get("/", token); got.Status != 200 {
				t.Errorf("the agent: status %d, body %s; the page %s", got.Status, got.Body, visitor.page.Body)
			}
			p.wantStatus(p.status(refused, token, ""), "completed")
			if line := p.logLine(`"link merged"`); line["identity"] != aliceAtGoogle || line["user_id"] != alice {
				t.Errorf("log line %v", line)
			}
			p.wantNoHint()
		})
	}
}

// wantNoHint: an ID token is as little in the log as a code.
func (p *proxy) wantNoHint() {
	p.t.Helper()
	trace := regexp.MustCompile(`id_token_hint|\beyJ|link_account`) // a sealed ticket may have eyJ within it
	if text := p.Log.String(); trace.MatchString(text) {
		p.t.Errorf("the log holds %s", lineWith(text, trace.FindString(text)))
	}
}

// pin_ip goes by Caddy's word for where a request comes from.
func TestThePinnedAddressIsTheOneThatTrustedProxiesTell(t *testing.T) {
	p := newProxy(t, withLinking)
	p.via("management\n pin_ip")
	config := strings.Replace(p.caddyfile(calendarSite), "protocols h1 h2c", "protocols h1 h2c\n trusted_proxies static 127.0.0.1/32", 1)
	if err := p.tryLoad(config); err != nil {
		t.Fatal(err)
	}
	from := &forwarder{RoundTripper: http.DefaultTransport, address: "192.0.2.1"}
	http.DefaultTransport = from
	defer func() { http.DefaultTransport = from.RoundTripper }()
	link := p.refused("/", p.token(alice)).text(t, "link_url")
	_ = p.linkAsAlice(link, "merge")

	visitor := p.signIn(p.refused("/", p.token(bob)).text(t, "link_url"), "bob")
	from.address = "192.0.2.2"
	visitor.submit(url.Values{"action": {"prove"}})
	if visitor.page.Status != 403 || !strings.Contains(visitor.page.Body, "Your network has changed") {
		t.Errorf("status %d, page %s", visitor.page.Status, visitor.page.Body)
	}
}

// forwarder is a proxy in front of Caddy.
type forwarder struct {
	http.RoundTripper
	address string
}

func (f *forwarder) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set("X-Forwarded-For", f.address)
	return f.RoundTripper.RoundTrip(r)
}
