package linkflow

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// hostileTexts are what agents, people, providers and Auth0 might be called.
var hostileTexts = []string{
	`<script>alert(1)</script>`,
	`"><img src=x onerror=alert(1)>`,
	`' onmouseover='alert(1)`,
	`</title></dd></form><form action=//evil.example.com>`,
	`javascript:alert(1)`,
	`{{.Page.Form}} {agent} {provider}`,
	"\u202egnp.exe\u2066\x00\x1b[31m\u200b\ufeff",
	"Your\u2800administrator\u3164has\u115fapproved\u00adthis\U000e0020request\ufe0f",
	`&lt;script&gt;`,
	strings.Repeat("W", 5000),
}

// checkHarmless checks that a page has the elements that it always has, and
// nothing that was meant to become one.
func (b *browser) checkHarmless() {
	b.Helper()
	for _, bad := range []string{"\u202e", "\u2066", "\x00", "\x1b", "\u200b", "\ufeff", "<script", strings.Repeat("W", 200)} {
		if strings.Contains(b.body, bad) {
			b.Errorf("%q is on %s:\n%s", bad, b.at.Path, b.body)
		}
	}
	tokens := html.NewTokenizer(strings.NewReader(b.body))
	for kind := tokens.Next(); kind != html.ErrorToken; kind = tokens.Next() {
		token := tokens.Token()
		if token.Data == "script" || token.Data == "img" && !strings.HasSuffix(attribute(token, "src"), "/auth/icon.svg") {
			b.Errorf("%s has %s", b.at.Path, token)
		}
		for _, a := range token.Attr {
			if strings.HasPrefix(a.Key, "on") || strings.HasPrefix(strings.ToLower(a.Val), "javascript:") && a.Key != "value" || a.Key == "action" && !strings.HasPrefix(a.Val, "/auth/") {
				b.Errorf("%s has %s", b.at.Path, token)
			}
		}
	}
}

func attribute(token html.Token, name string) string {
	for _, a := range token.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

// hostileAccounts makes the My Account API list an account with that text
// wherever there is one.
func (w *world) hostileAccounts(text string) {
	body, err := json.Marshal(map[string]any{"accounts": []any{map[string]any{
		"id": "cac_1", "connection": "google-oauth2", "scopes": []string{text, calendarScope}, "created_at": text, "expires_at": text,
	}}})
	if err != nil {
		w.Fatal(err)
	}
	w.tenant.ClearFaults()
	if err := w.tenant.AddFault(auth0test.Fault{Path: accountsPath, Status: new(200), Body: string(body), Headers: map[string]string{"Content-Type": "application/json"}, Times: new(0)}); err != nil {
		w.Fatal(err)
	}
}

func TestHostileTextIsShownHarmlessly(t *testing.T) {
	for _, text := range hostileTexts {
		short := text[:min(len(text), 300)] // a link has no room for more
		w := newWorld(t, auth0test.Settings{}, func(c *Config) {
			offering(c)
			c.ClientNames = map[string]string{"named": text}
		})
		for _, agent := range []string{short, "named"} {
			link := w.site.URL + "/auth/connect?ticket=" + w.sealedTicket(func(tk *ticket) {
				tk.Agent, tk.Scopes, tk.LoginHint = agent, []string{short}, short
			})
			b := w.browser().open(link)
			b.checkHarmless()
			b.press("", "").signIn("alice").want(200, "Signed in as")
			w.hostileAccounts(text)
			b.name(text)
			b.checkHarmless()
			b.open(w.site.URL + "/auth/callback?" + url.Values{"error": {text}, "error_description": {text}, "state": {"x"}}.Encode())
			b.checkHarmless()
			for _, e := range []ending{{Declined: true}, {Granted: []string{short}}, {Missing: []string{short}}} {
				b.end(e)
				b.checkHarmless()
			}
			w.tenant.ClearFaults()
		}
		b := w.browser().toAccounts("alice")
		w.hostileAccounts(text)
		b.open(w.site.URL + "/auth/accounts")
		b.checkHarmless()
		b.open(w.site.URL + "/auth/accounts?" + url.Values{"disconnect": {text}}.Encode())
		b.checkHarmless()
		for _, page := range []string{"connect", "confirm", "done", "accounts", text} {
			for _, name := range []string{"connection", "scopes", "returnTo", "flow", "disconnect", "x"} {
				b.open(w.site.URL + "/auth/" + url.PathEscape(page) + "?" + url.Values{name: {text}}.Encode())
				b.checkHarmless()
			}
		}
		w.tenant.ClearFaults()
	}
	connection := newWorld(t, auth0test.Settings{}, nil)
	for _, text := range hostileTexts {
		b := connection.browser().open(connection.site.URL + "/auth/connect?ticket=" + connection.sealedTicket(func(tk *ticket) { tk.Connection = text[:min(len(text), 300)] }))
		b.checkHarmless()
	}
}

// state returns the flow that the browser has on the page where it is.
func (b *browser) state(legs ...purpose) *flowState {
	b.Helper()
	r := b.post(b.site.URL, nil, "", "")
	for _, c := range b.jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	s, _, err := b.flow.flowOf(r, b.at.Query().Get("flow"), legs...)
	if err != nil {
		b.Fatal(err)
	}
	return s
}

func (b *browser) keep(leg purpose, s *flowState) {
	b.Helper()
	r := b.post(b.site.URL, nil, "", "")
	cookies, err := b.flow.keep(r, leg, s)
	if err != nil {
		b.Fatal(err)
	}
	b.jar.SetCookies(r.URL, cookies)
}

// name has the one who signed in called something else, and shows the page again.
func (b *browser) name(text string) {
	b.Helper()
	s := b.state(forConfirm)
	s.Person = clean(text, maxShown) // as signedIn does
	b.keep(forConfirm, s)
	b.open(b.at.String()).want(200, "Signed in as")
	b.last = b.at
}

// end ends the flow in some way, and shows the page that says so.
func (b *browser) end(e ending) {
	b.Helper()
	b.at = b.last
	s := b.state(forConfirm, forEnd)
	s.Ended, s.Expiry = &e, time.Now().Add(time.Minute).Unix()
	b.keep(forEnd, s)
	b.open(b.last.String()).want(200, "</h1>")
	b.last, _ = b.at.Parse("/auth/done?flow=" + s.ID)
}
