package linkflow

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

var returnToCases = map[string]bool{
	"https://app.example.com":                                     true,
	"https://app.example.com/":                                    true,
	"https://app.example.com/a/b?c=d#e":                           true,
	"https://app.example.com?x":                                   true,
	"https://app.example.com#x":                                   true,
	"http://localhost:3000/back":                                  true,
	"":                                                            false,
	"/relative":                                                   false,
	"//app.example.com/":                                          false,
	"https:app.example.com":                                       false,
	"https:/app.example.com":                                      false,
	"https:///app.example.com":                                    false,
	"http://app.example.com/":                                     false,
	"https://app.example.com:443/":                                false,
	"https://app.example.com:8443/":                               false,
	"https://app.example.com.evil.com/":                           false,
	"https://app.example.com@evil.com/":                           false,
	"https://app.example.com:x@evil.com/":                         false,
	"https://evil.com/https://app.example.com":                    false,
	"https://evil.com\\@app.example.com/":                         false,
	"https://app.example.com\\@evil.com/":                         false,
	"https://app.example.com\\.evil.com/":                         false,
	"https://app.example.com/\\evil":                              false,
	"https://APP.example.com/":                                    false,
	"HTTPS://app.example.com/":                                    false,
	"https://app.example.com/ x":                                  false,
	" https://app.example.com/":                                   false,
	"https://app.example.com/\r\nSet-Cookie:x":                    false,
	"https://app.example.com/\x00":                                false,
	"https://app.example.com/é":                                   false,
	"https://app.example.com/%zz":                                 false,
	"javascript://app.example.com/%0aalert(1)":                    false,
	"data:text/html,x":                                            false,
	"http://localhost:30001/":                                     false,
	"http://localhost/":                                           false,
	"https://app.example.com/" + strings.Repeat("x", maxReturnTo): false,
}

func returnFlow() *Flow {
	return &Flow{returnTo: []string{"https://app.example.com", "http://localhost:3000"}}
}

func TestReturnToIsOneOfTheConfiguredOrigins(t *testing.T) {
	for target, want := range returnToCases {
		if got := returnFlow().mayReturnTo(target); got != want {
			t.Errorf("%q: %v", target, got)
		}
	}
}

// The page leads to our own end then, and the operator is told once it is used.
func TestAReturnToThatMayNotBeUsedIsDropped(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, func(c *Config) { offering(c); c.ReturnTo = []string{"https://app.example.com"} })
	for name, target := range map[string]string{
		"another origin":                       "https://evil.example.com/x?y",
		"a path":                               "/evil", // as Auth0's UI components send it, of an origin that is not configured
		"a script":                             "javascript:evil()",
		"what is said of one that was dropped": droppedReturnTo,
		"one that is too long":                 "https://app.example.com/evil" + strings.Repeat("x", maxReturnTo),
	} {
		for _, link := range []string{"ticket=" + ticketOf(w.link(w.alice(), calendar)), "connection=google-oauth2&scopes=" + calendarScope} {
			t.Run(name+", "+link[:6], func(t *testing.T) {
				w := w.in(t)
				b := w.browser().open(w.site.URL + "/auth/connect?" + link + "&returnTo=" + url.QueryEscape(target))
				b.want(200, "See your calendars")
				if strings.Contains(b.body, "evil") {
					t.Errorf("the page shows it:\n%s", b.body)
				}
				told := len(w.log.kinds())
				b.press("", "").signIn("alice")
				w.log.mu.Lock()
				e := w.log.events[told]
				w.log.mu.Unlock()
				if e.Kind != Started || e.Reason != "return_to" {
					t.Errorf("the operator is told %+v", e)
				}
				b.press("action", "connect").consent("allow").want(200, "is connected")
				if b.at.Path != "/auth/done" || strings.Contains(b.body, "evil") || strings.Contains(b.body, "app.example.com") {
					t.Errorf("the flow ended at %s:\n%s", b.at, b.body)
				}
			})
		}
	}
	w.in(t)
}

func TestAReturnToThatMayBeUsedIsNotToldOf(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, func(c *Config) { c.ReturnTo = []string{"https://app.example.com"} })
	for _, query := range []string{"", "&returnTo=", "&returnTo=https://app.example.com/x"} {
		w.browser().open(w.link(w.alice(), calendar).URL+query).press("", "")
		if e := w.log.last(); e.Kind != Started || e.Reason != "" {
			t.Errorf("%q: told %+v", query, e)
		}
	}
}

func TestAReturnToThatIsRepeatedIsRefused(t *testing.T) {
	w := newTenantWorld(t, func(*auth0test.Config) {}, func(c *Config) { offering(c); c.Via = ViaManagement })
	for _, link := range []string{"/auth/connect?ticket=" + ticketOf(w.link(w.alice(), calendar)), "/auth/connect?connection=github", "/auth/link?connection=github"} {
		for _, twice := range []string{"&returnTo=&returnTo=", "&returnTo=/x&returnTo=/x"} {
			w.browser().open(w.site.URL+link+twice).want(400, titleOf(pageBadLink))
		}
	}
}

func FuzzReturnTo(f *testing.F) {
	for target := range returnToCases {
		f.Add(target)
	}
	flow := returnFlow()
	f.Fuzz(func(t *testing.T, target string) {
		if !flow.mayReturnTo(target) {
			return
		}
		u, err := url.Parse(target)
		if err != nil || !slices.Contains(flow.returnTo, u.Scheme+"://"+u.Host) || u.User != nil || strings.ContainsAny(target, "\\\r\n\t ") {
			t.Errorf("%q is taken", target)
		}
	})
}
