package linkflow

import (
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

func builtInPages(t *testing.T) *pageSet {
	t.Helper()
	pages, err := loadPages(nil)
	if err != nil {
		t.Fatal(err)
	}
	return pages
}

// usedTexts are the keys that templates ask for.
func usedTexts(t *testing.T) []string {
	t.Helper()
	var keys []string
	err := fs.WalkDir(embedded, ".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".html") {
			return err
		}
		data, err := embedded.ReadFile(path)
		for _, m := range regexp.MustCompile(`\.Text "([^"]+)"`).FindAllSubmatch(data, -1) {
			keys = append(keys, string(m[1]))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

var controlPattern = regexp.MustCompile(`(?s)<(button|input|a)\b[^>]*>`)

// The style keeps clicks from every <button>. So nothing else may send a form, and
// neither a URL with a #fragment nor a key of a foreign page's choosing may lead to one.
func TestNothingButAGuardedButtonSendsAForm(t *testing.T) {
	files, err := fs.Glob(embedded, "pages/*.html")
	if err != nil || len(files) == 0 {
		t.Fatal("there are no pages")
	}
	for _, file := range files {
		data, err := embedded.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range controlPattern.FindAllSubmatch(data, -1) {
			tag := string(m[0])
			switch string(m[1]) {
			case "input":
				if !strings.HasPrefix(tag, `<input type="hidden" `) {
					t.Errorf("%s: %s", file, tag)
				}
			case "button":
				if !strings.HasPrefix(tag, `<button type="submit"`) {
					t.Errorf("%s: %s", file, tag)
				}
			}
			for _, leads := range []string{" id=", " accesskey=", " autofocus"} {
				if strings.Contains(tag, leads) {
					t.Errorf("%s: %s has%s", file, tag, leads)
				}
			}
		}
	}
}

func TestEveryTextIsThereAndUsed(t *testing.T) {
	texts := builtInPages(t).texts
	used := append(usedTexts(t), "product", "agent", "agent.none", "accounts.disconnected", "identities.unlinked")
	for _, key := range used {
		if texts[key] == "" {
			t.Errorf("the pages lack the text %q", key)
		}
	}
	titles := []string{
		"link", "link_any", "link_confirm", "link_offered", "merge", "linked", "linked_already", "linked_unchecked", "link_account", "link_account_offered",
		"hint_refused", "perhaps_taken", "other_linked", "nothing_gained", "not_linked_by_action", "identities", "unlink",
		"not_fresh", "email_unverified", "factor_needed", "other_address", "nothing_to_link", "second_sign_in", "other_connection",
		"not_the_offered", "identity_taken", "changed", "not_linked", "unclear", "not_unlinked",
		"connect", "confirm", "done", "too_little", "declined", "onward", "accounts", "disconnect",
		"not_found", "not_allowed", "bad_link", "expired", "not_offered", "foreign", "no_cookie", "bad_request", "no_flow", "not_signed_in",
		"wrong_person", "not_connected", "auth0_fails", "broken", "no_account", "not_disconnected", "signed_out", "done_elsewhere",
	}
	for key := range texts {
		page, field, _ := strings.Cut(key, ".")
		if page == "provider" || page == "scope" || slices.Contains(used, key) || slices.Contains(titles, page) && (field == "title" || field == "text") {
			continue
		}
		t.Errorf("no page uses the text %q", key)
	}
	for _, page := range titles {
		if texts[page+".title"] == "" {
			t.Errorf("%s has no title", page)
		}
	}
}

func TestPagesSpeakTheOperatorsWords(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, func(c *Config) {
		c.Name = "Acme <Agents>"
		c.Templates = fstest.MapFS{
			"text.json": {Data: []byte(`{"lang": "de", "confirm.title": "{provider} verbinden?", "confirm.connect": "Verbinden",
				"provider.google-oauth2": "Google Workspace", "scope.` + calendarScope + `": "Ihre Kalender sehen"}`)},
			"style.css":   {Data: []byte("body { color: teal }")},
			"onward.html": {Data: []byte(`{{template "top" .}}<p>Weiter zu <a href="{{.Page.URL}}">{{.Page.URL}}</a></p>{{template "bottom" .}}`)},
		}
	})
	b := w.browser().toConfirm(w.link(w.alice(), calendar))
	for _, text := range []string{"Acme &lt;Agents&gt;", `lang="de"`, "Google Workspace verbinden?", "Verbinden</button>", "Ihre Kalender sehen", "Decline"} {
		b.want(200, text)
	}
	b.stopAt("/connected-accounts/connect", "ticket")
	b.press("action", "connect").want(200, "Weiter zu")
	if w := get(w.flow, "GET", "/auth/style.css"); w.Body.String() != "body { color: teal }" {
		t.Errorf("the style is %s", w.Body)
	}
}

func TestTemplatesThatCannotWorkAreFoundWhenTheyAreLoaded(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"a misspelt name":                {"conect.html", "", "no page uses a file of this name; expected one of accounts.html"},
		"a malformed template":           {"connect.html", "{{if}}", "connect.html"},
		"an unknown field":               {"connect.html", "{{.Page.Secret}}", "Secret"},
		"an unknown field of an account": {"accounts.html", "{{range .Page.Accounts}}{{.Conection}}{{end}}", "Conection"},
		"an empty text":                  {"text.json", `{"confirm.shared": null}`, "confirm.shared"},
		"a key twice":                    {"text.json", `{"lang": "de", "lang": "fr"}`, "lang"},
		"a direction":                    {"text.json", `{"dir": "links"}`, "ltr or rtl"},
		"an unsafe place":                {"connect.html", "<a href={{.Page.Provider", "connect.html"},
		"text that is no JSON":           {"text.json", "{", "text.json"},
		"a text there is not":            {"text.json", `{"confirm.titel": "x"}`, "confirm.titel"},
		"a name nobody fills in":         {"text.json", `{"confirm.title": "{person}"}`, "{person}"},
		"a value that is no text":        {"text.json", `{"confirm.title": 1}`, "text.json"},
	} {
		_, err := loadPages(fstest.MapFS{c.file: {Data: []byte(c.text)}})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := loadPages(fstest.MapFS{".DS_Store": {}, "..data/text.json": {}, "style.css": {}}); err != nil {
		t.Errorf("hidden files: %v", err)
	}
	if _, err := loadPages(fstest.MapFS{"folder/x": {}}); err == nil {
		t.Error("a folder is taken")
	}
}

func TestWhatIsFilledInIsNotFilledInAgain(t *testing.T) {
	got := texts{"a": "{provider} and {agent} {nothing}"}.say("a", variables{"provider": "{agent}", "agent": "{provider}"})
	if got != "{agent} and {provider} {nothing}" {
		t.Error(got)
	}
}

func TestScopesMeanWhatTheyMeanAtTheirProvider(t *testing.T) {
	texts := builtInPages(t).texts
	for _, c := range []struct{ connection, scope, want string }{
		{"github", "repo", "See and change all your repositories, also private ones"},
		{"my-own-oauth2", "repo", ""},
		{"slack", "chat:write", "Send messages as you"},
		{"windowslive", "Mail.Read", "Read your e-mail"},
		{"waad", "https://graph.microsoft.com/Mail.Read", "Read your e-mail"},
		{"google-oauth2", calendarScope, "See your calendars and their events"},
		{"company-google", calendarScope, "See your calendars and their events"},
		{"github", "something:else", ""},
		{"google-oauth2", "openid", "Know who you are there"},
	} {
		if got := texts.scopes(c.connection, []string{c.scope})[0]; got.Words != c.want || got.Name != c.scope {
			t.Errorf("%s at %s: %+v", c.scope, c.connection, got)
		}
	}
}

func TestATemplateThatFailsLaterIsToldToTheOperator(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, func(c *Config) {
		c.Templates = fstest.MapFS{"message.html": {Data: []byte(`{{if eq .Title "This link does not work"}}{{index .Title 1000}}{{end}}`)}}
	})
	b := w.browser().open(w.site.URL + "/auth/connect?ticket=x")
	if e := w.log.last(); b.status != 500 || e.Kind != Fault || e.Reason != "template" {
		t.Errorf("%d, told %+v", b.status, e)
	}
}
