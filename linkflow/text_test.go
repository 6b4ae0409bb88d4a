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
		strings.Repeat("é", 200): strings.Repeat("é", maxShown) + "…",
	} {
		if got := clean(text, maxShown); got != want || !utf8.ValidString(got) {
			t.Errorf("%q became %q", text, got)
		}
	}
}
