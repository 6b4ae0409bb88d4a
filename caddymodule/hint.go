package caddymodule

import (
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// A hint is a `login_hint`, with the placeholders that are expanded on each request.
type hint []part

// parseHint expands the placeholders of the configuration.
func parseHint(text string) (hint, error) {
	parts, err := parseText(text)
	if err != nil {
		return nil, err
	}
	repl := caddy.NewReplacer()
	for i, part := range parts {
		if part.isConfigured() {
			if parts[i].text, err = part.configured(repl); err != nil {
				return nil, err
			}
			parts[i].placeholder = ""
		}
		if strings.ContainsFunc(parts[i].text, noHint) {
			return nil, fmt.Errorf("%q: an account's id is of printable ASCII, without spaces", parts[i].text)
		}
	}
	return parts, nil
}

// noHint tells whether r is in no hint. People are shown hints, and agents choose
// them: a word with letters in it that look like spaces reads as a sentence.
func noHint(r rune) bool { return r <= ' ' || r > '~' }

// maxLoginHint is what Auth0's My Account API takes.
const maxLoginHint = 255

// choose says in a request of the vault which account is wanted.
func (h hint) choose(request *vault.Request, r *http.Request) error {
	value, err := h.expand(r)
	if err != nil {
		return &refusal{code: string(vault.CodeMisconfigured), cause: err}
	}
	if len(value) > maxLoginHint || strings.ContainsFunc(value, noHint) {
		return &refusal{
			code:   string(vault.CodeInvalidRequest),
			detail: detailLoginHint,
			cause:  errors.New("the request has a login hint that no account can have"),
		}
	}
	request.LoginHint = value
	request.HideHint = !h.hasPlaceholders("http.request.") // the agent did not send it
	return nil
}

// expand returns the hint for a request: empty if one of its placeholders is, so
// that no part of an id is taken for the whole.
func (h hint) expand(r *http.Request) (string, error) {
	var value strings.Builder
	for _, part := range h {
		if part.placeholder == "" {
			value.WriteString(part.text)
			continue
		}
		found, known := replacer(r).GetString(part.placeholder)
		switch {
		case !known:
			return "", fmt.Errorf("login_hint: no placeholder {%s} is known for this request", part.placeholder)
		case found == "":
			return "", nil
		}
		value.WriteString(found)
	}
	return value.String(), nil
}

// hasPlaceholders tells whether requests have a say, with placeholders that begin
// like this.
func (h hint) hasPlaceholders(prefix string) bool {
	for _, part := range h {
		if part.placeholder != "" && strings.HasPrefix(part.placeholder, prefix) {
			return true
		}
	}
	return false
}
