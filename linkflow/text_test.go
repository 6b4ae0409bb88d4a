package linkflow

import (
	"strings"
	"testing"
	"unicode/utf8"
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
