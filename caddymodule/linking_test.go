package caddymodule_test

import (
	"net/url"
	"strings"
	"testing"
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
