package caddymodule

import (
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// bearerToken returns the one access token that the request carries in its
// Authorization header (RFC 6750 §2.1). The other places that RFC 6750 knows end
// up in logs, and two credentials leave open which one counts: both are refused.
func bearerToken(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	if len(values) == 0 {
		return "", &refusal{code: codeNoCredentials}
	}
	if len(values) > 1 {
		return "", malformed("several Authorization headers")
	}
	scheme, token, _ := strings.Cut(textproto.TrimString(values[0]), " ")
	if scheme == "" {
		return "", malformed("an empty Authorization header")
	}
	if !strings.EqualFold(scheme, "Bearer") {
		return "", &refusal{code: codeNoCredentials}
	}
	token = strings.TrimLeft(token, " ")
	switch {
	case token == "":
		return "", malformed("no token after Bearer")
	case strings.Contains(token, " "), strings.Contains(token, "\t"), strings.Contains(token, ","):
		return "", malformed("more than one word after Bearer")
	case len(token) > vault.MaxTokenSize:
		return "", malformed("an access token over 8 KiB")
	case hasTokenParameter(r.URL.RawQuery):
		return "", malformed("an access token in the query as well")
	}
	return token, nil
}

// hasTokenParameter tells whether the query has a parameter access_token
// (RFC 6750 §2.3), whichever way it is written.
func hasTokenParameter(query string) bool {
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if unescaped, err := url.QueryUnescape(name); err == nil && unescaped == "access_token" {
			return true
		}
	}
	return false
}

func malformed(what string) error {
	return &refusal{code: string(vault.CodeInvalidRequest), cause: errors.New("the request has " + what)}
}
