package caddymodule

import (
	"fmt"

	"github.com/caddyserver/caddy/v2"
)

// expansion is a configured text and where its value goes.
type expansion struct {
	name  string
	text  string
	value *string
}

// expandAll expands placeholders, once. The error names the field, never the
// value.
func expandAll(repl *caddy.Replacer, fields []expansion) error {
	for _, field := range fields {
		if field.text == "" {
			return fmt.Errorf("%s: required", field.name)
		}
		value, err := repl.ReplaceOrErr(field.text, true, true)
		if err != nil {
			return fmt.Errorf("%s: %w", field.name, err)
		}
		*field.value = value
	}
	return nil
}

// expandList expands placeholders in each of texts, once.
func expandList(repl *caddy.Replacer, name string, texts []string) ([]string, error) {
	values := make([]string, len(texts))
	for i, text := range texts {
		if err := expandAll(repl, []expansion{{name, text, &values[i]}}); err != nil {
			return nil, err
		}
	}
	return values, nil
}
