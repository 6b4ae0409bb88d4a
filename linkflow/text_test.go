package linkflow

import (
	"cmp"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/tokenvault/caddy-token-vault/vault"
)

func TestTextFromOutsideIsCleaned(t *testing.T) {
	for text, want := range map[string]string{
		"plain äöü 漢字":           "plain äöü 漢字",
		"a\u202eb\u2066c\u200bd": "abcd",
		"a\x00b\r\nc\x1b[0m":     "abc[0m",
		"bad\xffutf":             "badutf",
		"\u2028\ufeff":           "",
		" \u3164 ":               "",
		"Your\u2800administrator\u3164has\u115fapproved\u1160this\uffa0request":    "Youradministratorhasapprovedthisrequest",
		"a\u00adb\u034fc\ufe0fd\U000e0041e\U000e0100f\u180bg\u17b4h\u00a0i\u3000j": "abcdefghij",
		"a\ufffcb\ufffdc\U0001d159d\U00013441e\u2061f":                             "abcdef",
		strings.Repeat("é", 200):                                                   strings.Repeat("é", maxShown) + "…",
	} {
		if got := clean(text, maxShown); got != want || !utf8.ValidString(got) {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// TestPagesSayTheSameOfAllNamesOfAScope: providers call one scope by several.
func TestPagesSayTheSameOfAllNamesOfAScope(t *testing.T) {
	pages, err := loadPages(nil)
	if err != nil {
		t.Fatal(err)
	}
	const email, mail, all = "See your e-mail address", "Read your e-mail", "All that is registered for it at Microsoft"
	for _, tt := range []struct{ connection, scope, want string }{
		{"google-oauth2", "email", email}, {"google-oauth2", "https://www.googleapis.com/auth/userinfo.email", email},
		{"windowslive", "Mail.Read", mail}, {"windowslive", "mail.read", mail}, {"azure-ad", "https://graph.microsoft.com/Mail.Read", mail},
		{"windowslive", "https://graph.microsoft.com/email", email}, {"waad", "https://outlook.office.com/Mail.Read", ""},
		{"acme", "Mail.Read", ""},
		{"waad", ".default", all}, {"waad", "https://graph.microsoft.com/.Default", all}, {"acme", ".default", ""}, {"github", "user:email", "See your e-mail addresses"}, {"acme", "user:email", ""},
		{"slack-oauth-2", "team:read", "See the name and domain of the workspace"},
	} {
		if got := pages.texts.scopes(tt.connection, []string{tt.scope}); got[0].Words != tt.want || got[0].Name != tt.scope {
			t.Errorf("%s at %s: %q", tt.scope, tt.connection, got)
		}
	}
	own, err := parseTexts(pages.texts, []byte(`{"scope.microsoft.https://graph.microsoft.com/mail.read": "Lire", "scope.Acme.Read": "Own"}`))
	if err != nil || own.scopes("windowslive", []string{"Mail.Read"})[0].Words != "Lire" || own.scopes("acme", []string{"Acme.Read"})[0].Words != "Own" {
		t.Errorf("a translation says nothing: %v", err)
	}
	for _, provider := range scopeProviders {
		connection := map[string]string{"google": "google-oauth2", "microsoft": "windowslive"}[provider]
		if vault.ScopeProvider(cmp.Or(connection, provider)) != provider {
			t.Errorf("no connection is %s's", provider)
		}
	}
}
