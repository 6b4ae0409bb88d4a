package linkflow

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	josejson "github.com/go-jose/go-jose/v4/json"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// texts are all words of the pages, by key; pages/text.json has them. Names in
// braces stand for what a page puts there. A translation has the same keys.
type texts map[string]string

// variables are what a page puts in place of names in braces.
type variables map[string]string

var variablePattern = regexp.MustCompile(`\{[a-z]+\}`)

// parseTexts returns base with what data, a file like text.json, says instead.
// Providers and scopes may be added; another key that base lacks is an error,
// as is a name in braces that a page would not fill in.
func parseTexts(base texts, data []byte) (texts, error) {
	var own texts
	if err := josejson.Unmarshal(data, &own); err != nil { // which takes no key twice
		return nil, fmt.Errorf("expected an object of texts in JSON: %w", err)
	}
	if dir := own["dir"]; dir != "" && dir != "ltr" && dir != "rtl" {
		return nil, fmt.Errorf("dir %q: expected ltr or rtl", dir)
	}
	all := make(texts, len(base))
	maps.Copy(all, base)
	for _, key := range slices.Sorted(maps.Keys(own)) {
		text := own[key]
		if text == "" {
			return nil, fmt.Errorf("%q: expected a text", key)
		}
		key = textKey(key)
		known, ok := base[key]
		if !ok && base != nil && !strings.HasPrefix(key, "provider.") && !strings.HasPrefix(key, "scope.") {
			return nil, fmt.Errorf("%q: there is no such text", key)
		}
		if base != nil {
			names := variablePattern.FindAllString(known, -1)
			for _, name := range variablePattern.FindAllString(text, -1) {
				if !slices.Contains(names, name) {
					return nil, fmt.Errorf("%q: %s stands for nothing there", key, name)
				}
			}
		}
		all[key] = text
	}
	return all, nil
}

// say returns a text with its variables filled in, in one pass: what is filled
// in is not looked at again.
func (t texts) say(key string, vars variables) string {
	return variablePattern.ReplaceAllStringFunc(t[key], func(name string) string {
		if value, ok := vars[name[1:len(name)-1]]; ok {
			return value
		}
		return name
	})
}

// provider is what people call a connection.
func (t texts) provider(connection string) string {
	return clean(cmp.Or(t["provider."+connection], connection), maxShown)
}

// scopeProviders are those whose scopes have words of their own, since they mean
// something else elsewhere.
var scopeProviders = []string{"github", "google", "microsoft", "slack"}

// textKey is where a text is kept: a scope's goes by all of its names.
func textKey(key string) string {
	scope, ok := strings.CutPrefix(key, "scope.")
	if !ok {
		return key
	}
	if provider, rest, _ := strings.Cut(scope, "."); slices.Contains(scopeProviders, provider) {
		return "scope." + provider + "." + vault.ScopeName(rest)
	}
	return "scope." + vault.ScopeName(scope)
}

// scopeText is a scope in words, or by its name where there are none.
type scopeText struct{ Words, Name string }

func (t texts) scopes(connection string, scopes []string) []scopeText {
	provider := vault.ScopeProvider(connection)
	out := make([]scopeText, 0, len(scopes))
	for _, scope := range scopes {
		name := vault.ScopeName(scope)
		words := cmp.Or(t["scope."+provider+"."+name], t["scope."+name])
		out = append(out, scopeText{words, clean(scope, maxShown)})
	}
	return out
}

// How much of a text from outside is shown on a page, and told to the operator,
// in characters.
const (
	maxShown = 120
	maxTold  = 400
)

// clean makes text from outside fit to be shown or logged: without control
// characters, without those that turn the direction of writing or look like
// nothing, and not too long. With blanks that count as letters, one word could be a
// sentence. Templates escape it on top of that.
func clean(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if !isVisible(r) && r != ' ' {
			continue
		}
		if n++; n > most {
			return strings.TrimSpace(b.String()) + "…"
		}
		b.WriteRune(r)
	}
	return strings.TrimSpace(b.String())
}

// isVisible tells whether r is a glyph that people see.
func isVisible(r rune) bool {
	return unicode.IsGraphic(r) && !unicode.Is(unicode.Z, r) && !unicode.In(r, blanks...)
}

// blanks are the graphic characters that are not seen, besides spaces.
var blanks = []*unicode.RangeTable{
	unicode.Other_Default_Ignorable_Code_Point, // fillers of Hangul, the joiner of graphemes, and their like
	unicode.Variation_Selector,
	{
		R16: []unicode.Range16{
			{Lo: 0x2800, Hi: 0x2800, Stride: 1}, // a Braille pattern without dots
			{Lo: 0xfffc, Hi: 0xfffd, Stride: 1}, // stand for what is not there
		},
		R32: []unicode.Range32{
			{Lo: 0x13441, Hi: 0x13442, Stride: 1}, // blanks among hieroglyphs
			{Lo: 0x16fe4, Hi: 0x16fe4, Stride: 1}, // a filler of Khitan
			{Lo: 0x1bc9d, Hi: 0x1bc9d, Stride: 1}, // a selector of Duployan
			{Lo: 0x1d159, Hi: 0x1d159, Stride: 1}, // a note without a head
		},
	},
}
