package linkflow

import (
	"io/fs"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"path"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"golang.org/x/net/html"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// tab is another tab of the same browser, on the same page.
func (b *browser) tab() *browser {
	return &browser{world: b.world, client: b.client, jar: b.jar, at: b.at, status: b.status, header: b.header, body: b.body}
}

// Alice leaves a page open that names her, or goes on from one. Bob comes, says in
// another tab that he is not her, and signs in.
func TestAPageThatNamesAliceNeverActsForBob(t *testing.T) {
	toBob := func(b *browser) { b.press("action", "switch").signIn("bob").want(200, "bob@example.com") }
	for name, c := range map[string]struct {
		world  func(*testing.T) *world
		before func(*browser) // what alice does before she leaves
		other  func(*browser) // what is done in the other tab
		button string
	}{
		"connecting": {
			func(t *testing.T) *world { return newWorld(t, auth0test.Settings{}, offering) }, func(*browser) {}, toBob, "connect",
		},
		"having the Action join an identity": {
			func(t *testing.T) *world { return actionWorld(t) }, func(*browser) {}, toBob, "prove",
		},
		"proving an identity": {
			func(t *testing.T) *world { return newLinkingWorld(t, nil) }, func(*browser) {}, toBob, "prove",
		},
		"connecting after merging": {
			func(t *testing.T) *world { return newLinkingWorld(t, nil) },
			func(b *browser) {
				b.press("action", "prove").consent("allow").press("action", "merge").want(200, "is part of your account")
			},
			func(b *browser) {
				b.press("action", "connect").signIn("alice")
				toBob(b)
			},
			"connect",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := c.world(t)
			left := w.browser().open(w.site.URL+"/auth/connect?connection=google-oauth2").press("", "").signIn("alice").want(200, "alice@example.com")
			c.before(left)
			c.other(left.tab())
			asked := len(w.tenant.Requests())
			left.press("action", c.button).wantRefused(409, "changed_meanwhile")
			if n := len(w.tenant.Requests()); n != asked || strings.Contains(left.body, "@example.com") {
				t.Errorf("Auth0 was asked %d times:\n%s", n-asked, left.body)
			}
			left.open(w.site.URL+goOnPattern.FindStringSubmatch(left.body)[1]).want(200, "bob@example.com")
		})
	}
}

// What other tabs cannot change of what a person decides on: what no page tells of a
// flow or a session, and what the next sign-in of the same person changes. Whatever else
// there is, or will be, a form has to be bound to.
var undecided = []string{
	"ID", // of another flow, which is found by it
	"State", "Verifier", "Nonce", "AccessToken", "AuthSession", "IDToken", "Expiry",
	"Linking.AuthTime", "Linking.MFA", "Linking.Before", "Linking.Tried",
	"Linking.Second.MFA", "Linking.Second.IDToken", "Linking.Second.AccessToken",
	"Unlinking.Goes.Connection", "Unlinking.Goes.Subject", "Unlinking.Gone",
	"AuthTime", "Disconnected", // of a session
}

// A property of all forms there are: whatever is changed in another tab of what its page
// was about, the form is refused, and Auth0 is asked nothing. New routes, pages and
// fields are in it by themselves.
func TestEveryFormIsRefusedWhenWhatItsPageWasAboutHasChanged(t *testing.T) {
	attacked := map[string]bool{}
	for _, via := range []Via{ViaConnectedAccounts, ViaManagement, ViaLinkAccount} {
		t.Run(string(via), func(t *testing.T) {
			w := newTenantWorld(t, func(c *auth0test.Config) {
				aliceTwice(c)
				c.AddAccountLinking()
				unseen(c)
			}, func(c *Config) {
				c.Via, c.Offers, c.Templates, c.ReturnTo = via, offers, marked(t), []string{"http://127.0.0.1:1"}
			})
			if err := w.tenant.Connect("auth0|alice", "google-oauth2", []string{calendarScope}, ""); err != nil {
				t.Fatal(err)
			}
			v := &visitor{world: w, met: map[string]bool{}, attacked: attacked, posted: map[string]bool{}}
			v.everywhere()
			for route := range routes {
				if methods := w.flow.handlers(route); methods["POST"] != nil && !v.posted[w.site.URL+"/auth/"+route] {
					t.Errorf("no form of %s was found", route)
				}
			}
		})
	}
	for name, file := range marked(t) {
		if strings.Contains(string(file.Data), "<form") && !attacked[name] {
			t.Errorf("the form of %s was never met", name)
		}
	}
}

// unseen puts letters that nobody sees into all names that Auth0 tells, which no page
// shows.
func unseen(c *auth0test.Config) {
	const letters = "\u2800\u3164\u202e\U000e0041"
	for i := range c.Users {
		u := &c.Users[i]
		u.Name, u.UserMetadata = u.Email+letters, map[string]any{"co" + letters + "lour": "teal"}
	}
	second := &c.Users[0].Identities[1]
	second.UserID += letters
	second.ProfileData.Email += letters
}

// visitor goes to all pages that can be reached, and presses every button there.
type visitor struct {
	*world
	met      map[string]bool // pages, as a person tells them apart
	attacked map[string]bool // templates whose forms were attacked
	posted   map[string]bool // where these forms go
}

// marked are the templates of all pages, each with its own name on it.
func marked(t *testing.T) fstest.MapFS {
	t.Helper()
	own := fstest.MapFS{}
	for name := range samplePages {
		data, err := fs.ReadFile(embedded, path.Join("pages", name))
		if err != nil {
			t.Fatal(err)
		}
		own[name] = &fstest.MapFile{Data: append(data, "<p>["+name+"]</p>"...)}
	}
	return own
}

var markPattern = regexp.MustCompile(`<p>\[([a-z_]+\.html)\]</p>`)

func (v *visitor) everywhere() {
	v.look(v.browser().open(v.link(v.alice(), calendar).URL + "&returnTo=http://127.0.0.1:1/back"))
	for _, route := range slices.Sorted(maps.Keys(routes)) {
		if v.flow.handlers(route)["POST"] == nil {
			continue
		}
		for _, query := range []string{"", "?connection=github&returnTo=http://127.0.0.1:1/back", "?connection=google-oauth2&scopes=" + calendarScope} {
			v.look(v.browser().open(v.site.URL + "/auth/" + route + query))
		}
	}
}

var (
	personPattern = regexp.MustCompile(`(alice|bob)@`)
	linkPattern   = regexp.MustCompile(`<a [^>]*href="(/auth/[^"]*)"`)
)

// look attacks the forms of the page where b is, and goes on from there.
func (v *visitor) look(b *browser) {
	v.Helper()
	if b.held == nil && strings.Contains(b.body, `name="request"`) { // the provider's
		b.consent("allow")
	}
	mark := markPattern.FindStringSubmatch(b.body)
	if b.held != nil || mark == nil {
		return
	}
	forms := b.pressedForms()
	page := mark[1] + titlePattern.FindString(b.body) + personPattern.FindString(b.body)
	for _, f := range forms {
		page += " " + f.fields.Get("action")
	}
	if v.met[page] {
		return
	}
	v.met[page] = true
	for _, f := range forms {
		v.attack(b, f)
		v.attacked[mark[1]], v.posted[f.target] = true, true
		for _, user := range []string{"alice", "bob"} {
			next := b.elsewhere()
			next.send(next.post(f.target, f.fields, "same-origin", b.site.URL))
			if reason := v.log.last().Reason; next.status >= 400 && (reason == "form_token" || reason == "changed_meanwhile") {
				v.Errorf("%s on %s is refused as it is: %s", f.fields["action"], page, reason)
			}
			choice := strings.Contains(next.body, `name="password"`)
			if v.look(next.signIn(user)); !choice {
				break
			}
		}
	}
	for _, m := range linkPattern.FindAllStringSubmatch(b.body, -1) {
		v.look(b.elsewhere().open(v.site.URL + html.UnescapeString(m[1])))
	}
}

// elsewhere is a browser with the same cookies and page, and a life of its own.
func (b *browser) elsewhere() *browser {
	other := b.world.browser()
	for _, site := range []string{b.site.URL, b.tenant.URL, b.at.String()} {
		at, err := url.Parse(site)
		if err != nil {
			b.Fatal(err)
		}
		for _, c := range b.jar.Cookies(at) {
			other.setCookie(c)
		}
	}
	other.at, other.status, other.header, other.body = b.at, b.status, b.header, b.body
	other.before = func(r *http.Request) bool { return r.URL.Host != "127.0.0.1:1" && r.URL.Path != "/v2/logout" }
	return other
}

// pressedForm is a form with one of its buttons pressed.
type pressedForm struct {
	target string
	fields url.Values
	hidden []string // the fields that no person fills in
}

// pressedForms are those of the page, once for each button. Of choices the last is taken.
func (b *browser) pressedForms() (all []pressedForm) {
	b.Helper()
	for _, part := range strings.Split(b.body, `<form method="post" `)[1:] {
		part, _, _ = strings.Cut(part, "</form>")
		form := &browser{world: b.world, at: b.at, body: `<form method="post" ` + part}
		target, fields := form.form()
		hidden := slices.Sorted(maps.Keys(fields))
		if choice := regexp.MustCompile(`<select[^>]* name="([^"]*)"`).FindStringSubmatch(part); choice != nil {
			options := optionPattern.FindAllStringSubmatch(part, -1)
			fields.Set(choice[1], options[len(options)-1][1])
		}
		for _, button := range regexp.MustCompile(`<button [^>]*>`).FindAllString(part, -1) {
			pressed := copied(fields)
			if m := regexp.MustCompile(`name="([^"]*)" value="([^"]*)"`).FindStringSubmatch(button); m != nil {
				pressed.Set(m[1], m[2])
			}
			all = append(all, pressedForm{target, pressed, hidden})
		}
	}
	return all
}

// attack sends a form when something is not as its page said.
func (v *visitor) attack(b *browser, f pressedForm) {
	v.Helper()
	try := func(what string, change func(*browser, url.Values)) {
		v.Helper()
		other, fields := b.elsewhere(), copied(f.fields)
		change(other, fields)
		asked := len(v.tenant.Requests())
		other.get(other.post(f.target, fields, "same-origin", b.site.URL))
		if n := len(v.tenant.Requests()) - asked; other.status < 400 || other.status >= 500 || n != 0 {
			v.Errorf("%s of the form of %s has changed, and %s answers %d, after %d questions to Auth0", what, b.at.Path, f.fields["action"], other.status, n)
		}
	}
	try("the browser", func(other *browser, _ url.Values) {
		other.jar, _ = cookiejar.New(nil)
		other.client = &http.Client{Jar: other.jar}
	})
	try("the token", func(_ *browser, fields url.Values) { fields.Del("form") })
	for _, name := range f.hidden {
		value := f.fields.Get(name)
		switch name {
		case "form":
		case "ticket":
			asked := mustOpen[ticket](v.world, forTicket, value)
			eachChange(&asked, func(what string) {
				try("ticket."+what, func(_ *browser, fields url.Values) { fields.Set("ticket", v.sealed(forTicket, asked)) })
			})
		default:
			try("the field "+name, func(_ *browser, fields url.Values) { fields.Set(name, value+"x") })
		}
	}
	r := b.post(b.site.URL, nil, "", "")
	for _, c := range b.jar.Cookies(r.URL) {
		r.AddCookie(c)
	}
	if s, leg, err := v.flow.flowOf(r, f.fields.Get("flow"), legs...); err == nil {
		eachChange(s, func(what string) {
			cookies, err := v.flow.keep(r, leg, s)
			if err != nil {
				v.Fatal(err)
			}
			try(what, func(other *browser, _ url.Values) { other.jar.SetCookies(r.URL, cookies) })
		})
	} else if s, err := v.flow.session(r); err == nil && personPattern.MatchString(b.body) {
		eachChange(s, func(what string) {
			cookies, err := v.flow.keepSession(r, s)
			if err != nil {
				v.Fatal(err)
			}
			try(what, func(other *browser, _ url.Values) { other.jar.SetCookies(r.URL, cookies) })
		})
	}
}

// eachChange changes all that a structure holds, one after the other, and back.
func eachChange(content any, try func(what string)) {
	change(reflect.ValueOf(content).Elem(), "", try)
}

func change(v reflect.Value, name string, try func(string)) {
	if slices.Contains(undecided, name) {
		return
	}
	before := reflect.New(v.Type()).Elem()
	before.Set(v)
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			change(v.Field(i), strings.TrimPrefix(name+"."+v.Type().Field(i).Name, "."), try)
		}
		return
	case reflect.Pointer:
		if !v.IsNil() {
			change(v.Elem(), name, try)
		}
		return
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Slice:
		v.Set(reflect.Append(v, reflect.New(v.Type().Elem()).Elem()))
	default:
		panic(name + " is of a kind that nobody knows how to change")
	}
	try(name)
	v.Set(before)
}

// What Auth0 has changes too: a page that showed no account, or other ones, is no yes to
// what connecting asks for now.
func TestAPageThatShowedOtherAccountsConnectsNothing(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	for _, c := range []struct{ scope, account string }{{mailScope, ""}, {driveScope, "1234"}, {calendarScope, "1234"}} {
		left := w.browser().toConfirm(w.link(w.alice(), calendar))
		if err := w.tenant.Connect("auth0|alice", "google-oauth2", []string{c.scope}, c.account); err != nil {
			t.Fatal(err)
		}
		left.press("action", "connect").wantRefused(409, "changed_meanwhile")
		left.open(w.site.URL+goOnPattern.FindStringSubmatch(left.body)[1]).press("action", "connect").want(200, c.scope)
	}
	if n := w.called(connectPath); n != 3 {
		t.Errorf("connecting was begun %d times", n)
	}
}
