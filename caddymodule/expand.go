package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"unicode"

	"github.com/caddyserver/caddy/v2"
)

// expanded returns a configuration in whose texts the placeholders {env.*} and {file.*}
// have their values, once; config keeps them. One that is missing or empty is an error,
// and so is any other brace; `\{` and `\}` are braces. An error names the field, never a
// value.
//
// A new field takes part by being there, and is one word: white space in it is an error
// too. One that may hold any text has the tag `text`, and one that has to stay as it is
// written the tag `literal`, with the reason.
func expanded[T any](config *T) (*T, error) {
	e := new(T)
	return e, expandValue(caddy.NewReplacer(), reflect.ValueOf(config).Elem(), reflect.ValueOf(e).Elem(), "", oneWord)
}

// form is what a text may be.
type form int

const (
	oneWord  form = iota
	listWord      // an item of a list or a key
	anyText
)

// expandValue sets e to what v becomes.
func expandValue(repl *caddy.Replacer, v, e reflect.Value, name string, f form) error {
	switch v.Kind() {
	case reflect.String:
		text, err := expandText(repl, v.String())
		if err := cmp.Or(err, f.check(v.String(), text)); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		e.SetString(text)
	case reflect.Pointer:
		if !v.IsNil() {
			e.Set(reflect.New(v.Type().Elem()))
			return expandValue(repl, v.Elem(), e.Elem(), name, f)
		}
	case reflect.Struct:
		return expandFields(repl, v, e, name)
	case reflect.Slice:
		if !v.IsNil() {
			e.Set(reflect.MakeSlice(v.Type(), 0, v.Len()))
		}
		for _, item := range v.Seq2() {
			one := reflect.New(item.Type()).Elem()
			if err := expandValue(repl, item, one, name, listWord); err != nil {
				return err
			}
			e.Set(reflect.Append(e, one))
		}
	case reflect.Map:
		return expandMap(repl, v, e, name, f)
	default:
		e.Set(v)
	}
	return nil
}

func expandFields(repl *caddy.Replacer, v, e reflect.Value, name string) error {
	for field, value := range v.Fields() {
		if !field.IsExported() {
			continue
		}
		into := e.FieldByIndex(field.Index)
		if _, literal := field.Tag.Lookup("literal"); literal {
			into.Set(value)
			continue
		}
		inner, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name != "" {
			inner = name + ": " + inner
		}
		f := oneWord
		if _, text := field.Tag.Lookup("text"); text {
			f = anyText
		}
		if err := expandValue(repl, value, into, inner, f); err != nil {
			return err
		}
	}
	return nil
}

func expandMap(repl *caddy.Replacer, v, e reflect.Value, name string, f form) error {
	if !v.IsNil() {
		e.Set(reflect.MakeMap(v.Type()))
	}
	for key, value := range v.Seq2() {
		k, one := reflect.New(key.Type()).Elem(), reflect.New(value.Type()).Elem()
		if err := cmp.Or(expandValue(repl, key, k, name, listWord), expandValue(repl, value, one, name, f)); err != nil {
			return err
		}
		if e.MapIndex(k).IsValid() {
			return fmt.Errorf("%s: two placeholders become the same name", name)
		}
		e.SetMapIndex(k, one)
	}
	return nil
}

func expandText(repl *caddy.Replacer, text string) (string, error) {
	parts, err := parseText(text)
	if err != nil {
		return "", err
	}
	var value strings.Builder
	for _, part := range parts {
		if part.placeholder == "" {
			value.WriteString(part.text)
			continue
		}
		known, err := part.configured(repl)
		if err != nil {
			return "", err
		}
		value.WriteString(known)
	}
	return value.String(), nil
}

// check tells what is wrong with what a text has become.
func (f form) check(written, text string) error {
	switch {
	case f == anyText || !strings.ContainsFunc(text, unicode.IsSpace):
		return nil
	case f == listWord:
		return fmt.Errorf("a word of a list has white space in it; the Caddyfile splits {$%s}, and nothing else, into words", variableIn(written))
	}
	return errors.New("white space in what has to be one word")
}

// variableIn is the environment variable that a text has, or else what variables
// are called.
func variableIn(text string) string {
	parts, _ := parseText(text)
	for _, part := range parts {
		if variable, ok := strings.CutPrefix(part.placeholder, "env."); ok {
			return variable
		}
	}
	return "VAR"
}

// part is a part of a text: what is between the braces of a placeholder, or else
// text that stands for itself.
type part struct{ placeholder, text string }

// errBrace does not repeat the brace's text, which may be a secret's.
var errBrace = errors.New(`a brace that belongs to neither {env.*} nor {file.*}; \{ and \} are braces`)

// parseText finds a text's placeholders.
func parseText(text string) (parts []part, err error) {
	var plain []byte
	for i := 0; i < len(text); i++ {
		switch c := text[i]; c {
		case '\\':
			if next := text[i+1:]; strings.HasPrefix(next, "{") || strings.HasPrefix(next, "}") {
				i++
			}
			plain = append(plain, text[i])
		case '{':
			name, _, closed := strings.Cut(text[i+1:], "}")
			if !closed || name == "" || strings.Contains(name, "{") {
				return nil, errBrace
			}
			parts = append(parts, part{text: string(plain)}, part{placeholder: name})
			plain = plain[:0]
			i += len(name) + 1
		case '}':
			return nil, errBrace
		default:
			plain = append(plain, c)
		}
	}
	return append(parts, part{text: string(plain)}), nil
}

// isConfigured tells whether a placeholder is one of the configuration.
func (p part) isConfigured() bool {
	return strings.HasPrefix(p.placeholder, "env.") || strings.HasPrefix(p.placeholder, "file.")
}

// configured is the value of a placeholder of the configuration.
func (p part) configured(repl *caddy.Replacer) (string, error) {
	if !p.isConfigured() {
		return "", errBrace
	}
	value, _ := repl.GetString(p.placeholder)
	if value == "" {
		return "", fmt.Errorf("{%s} is missing or empty", p.placeholder)
	}
	return value, nil
}

// hasPlaceholder tells whether a word of the Caddyfile can be judged only when it
// has been expanded.
func hasPlaceholder(text string) bool { return strings.ContainsAny(text, "{}") }
