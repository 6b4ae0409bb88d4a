package linkflow

import (
	"net/url"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const ownPage = "https://app.example.com/connect?c={connection}&s={scopes}&r={return_to}&t={ticket}"

// urlCases are templates, and a part of the error of those that are refused.
var urlCases = map[string]string{
	ownPage: "",
	"https://app.example.com/{connection}/connect#{ticket}":   "",
	"https://app.example.com:8443/{connection}":               "",
	"http://localhost:3000/connect?connection={connection}":   "",
	"https://app.example.com?{connection}":                    "",
	"":                                                        "{connection}",
	"https://app.example.com/":                                "{connection}",
	"https://app.example.com/{ticket}":                        "{connection}",
	"http://app.example.com/{connection}":                     "https",
	"ftp://app.example.com/{connection}":                      "https",
	"/connect/{connection}":                                   "host is written out",
	"//app.example.com/{connection}":                          "host is written out",
	"https:///{connection}":                                   "host is written out",
	"https://{connection}.example.com/":                       "host is written out",
	"https://app.example.com{connection}":                     "host is written out",
	"https://app.example.com:{connection}/":                   "host is written out",
	"{connection}://app.example.com/":                         "host is written out",
	"https://user@app.example.com/{connection}":               "host is written out",
	"https://app.example.com/{connection}/{env.SECRET}":       "{env.SECRET}",
	"https://app.example.com/{connection}/{http.request.uri}": "{http.request.uri}",
	"https://app.example.com/{connection}/{}":                 "{}",
	"https://app.example.com/{connection}/{ticket":            "brace",
	"https://app.example.com/{{connection}}":                  "brace",
	"https://app.example.com/{connection} x":                  "character",
	"https://app.example.com/{connection}\r\n":                "character",
	"https://app.example.com\\@evil.example/{connection}":     "character",
	"https://app.example.com/{connection}/é":                  "character",
}

func TestATemplateIsAnHTTPSURLOfAHostThatIsWrittenOut(t *testing.T) {
	for template, want := range urlCases {
		err := CheckURL(template)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", template, err, want)
		}
	}
}

func FuzzURL(f *testing.F) {
	for template := range urlCases {
		f.Add(template, "google-oauth2", "a b&c={ticket}")
	}
	f.Add(ownPage, "../../{ticket}", "%2f#?")
	f.Add("https://app.example.com?{connection}={scopes}&{return_to}", "../../{ticket}", "%\x00 #?")
	f.Fuzz(func(t *testing.T, template, connection, scope string) {
		if CheckURL(template) != nil {
			return
		}
		flow := &Flow{url: template, origin: "https://link.example.com", path: "/auth"}
		got, err := url.Parse(flow.ownURL(ticket{Connection: connection, Scopes: []string{scope}}, "sealed"))
		want, _ := url.Parse(strings.NewReplacer("{connection}", "x", "{scopes}", "x", "{return_to}", "x", "{ticket}", "x").Replace(template))
		if err != nil || got.Scheme != want.Scheme || got.Host != want.Host || got.User != nil ||
			strings.Count(got.EscapedPath(), "/") != strings.Count(want.EscapedPath(), "/") ||
			strings.Count(got.RawQuery, "&") != strings.Count(want.RawQuery, "&") || strings.Count(got.RawQuery, "=") != strings.Count(want.RawQuery, "=") {
			t.Errorf("%s leads %q and %q to %v (%v)", template, connection, scope, got, err)
		}
	})
}

func TestTheApplicationsOwnPageIsToldWhatIsWanted(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, func(c *Config) { c.Via, c.URL = ViaURL, ownPage })
	alice := w.alice()
	link := w.link(alice, vault.Request{Connection: "google-oauth2", Scopes: []string{calendarScope, "a&b=c{ticket}"}})
	prefix := "https://app.example.com/connect?c=google-oauth2&s=" +
		"https%3A%2F%2Fwww.googleapis.com%2Fauth%2Fcalendar.readonly%20a%26b%3Dc%7Bticket%7D&r="
	if !strings.HasPrefix(link.URL, prefix) {
		t.Errorf("the link is %s", link.URL)
	}
	u, err := url.Parse(link.URL)
	if err != nil {
		t.Fatal(err)
	}
	sealed := u.Query().Get("t")
	if status, _ := url.Parse(link.StatusURL); status.Query().Get("ticket") != sealed || sealed == "" {
		t.Errorf("the page has the ticket %q, the status is at %s", sealed, link.StatusURL)
	}
	status, err := w.flow.Status(t.Context(), alice, sealed, 0)
	if err != nil || status.State != Pending {
		t.Errorf("status is %+v (%v)", status, err)
	}
	// Without origins to return to, the page may end on one of ours.
	w.browser().open(u.Query().Get("r")).want(200, titleOf(pageDoneElsewhere))
}

func TestTheApplicationsOwnPageReturnsToTheFirstOriginThatMay(t *testing.T) {
	f := stubFlow(t, nil, func(c *Config) {
		c.Via, c.URL, c.ReturnTo = ViaURL, ownPage, []string{"https://app.example.com", "https://other.example.com"}
	})
	link, err := f.Link(t.Context(), someone, calendar)
	if err != nil || !strings.Contains(link.URL, "&r=https%3A%2F%2Fapp.example.com&t=") {
		t.Errorf("%+v, %v", link, err)
	}
}

func TestAnAccountThatTheApplicationConnectsCompletesTheTicket(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, func(c *Config) { c.Via, c.URL = ViaURL, ownPage })
	alice := w.alice()
	_, sealed, _ := strings.Cut(w.link(alice, calendar).StatusURL, "?ticket=")
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", calendar.Scopes, ""); err != nil {
		t.Fatal(err)
	}
	status, err := w.flow.Status(t.Context(), alice, sealed, 0)
	if err != nil || status.State != Completed {
		t.Errorf("status is %+v (%v)", status, err)
	}
}

// The application's page may hand over to ours, where there is a client to sign
// in to.
func TestOurPagesAreThereBesideTheApplicationsOwnIfPeopleCanSignIn(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, func(c *Config) { c.Via, c.URL = ViaURL, ownPage })
	alice := w.alice()
	link := w.link(alice, calendar)
	link.URL = strings.Replace(link.StatusURL, "/status?", "/connect?", 1)
	w.browser().toConsent(link).consent("allow").want(200, "is connected")
	if status, err := w.flow.Status(t.Context(), alice, ticketOf(link), 0); err != nil || status.State != Completed {
		t.Errorf("status is %+v (%v)", status, err)
	}
}

func TestWithoutAClientNobodySignsInHere(t *testing.T) {
	f := stubFlow(t, nil, func(c *Config) { c.Via, c.URL, c.ClientID, c.ClientSecret = ViaURL, ownPage, "", vault.Secret{} })
	for path, want := range map[string]int{
		"/auth/connect": 404, "/auth/confirm": 404, "/auth/callback": 404, "/auth/accounts": 404,
		"/auth/done": 200, "/auth/style.css": 200, "/auth/icon.svg": 200, "/auth/done?flow=x": 400,
	} {
		if got := get(f, "GET", path); got.Code != want {
			t.Errorf("%s: %d, want %d", path, got.Code, want)
		}
	}
	if got := f.Route("/auth/connect"); got != RoutePage {
		t.Errorf("a page that is not there has the route %v", got)
	}
}
