package caddymodule

import (
	"encoding/hex"
	"errors"
	"net/http"
	"net/textproto"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// takeToken takes every credential off the request and returns the agent's token. A
// header that names another method than the one that the route let through is refused.
func takeToken(r *http.Request) (string, error) {
	token, err := bearerToken(r)
	s, overridden := stripper{names: credentialHeaders, credential: token}, false
	for name, values := range r.Header {
		overridden = overridden || foldsToOneOf(name, methodOverrides)
		if s.takes(name, values) {
			delete(r.Header, name)
		}
	}
	s.stripLists(r.Header)
	if err == nil && overridden {
		return "", &refusal{
			code:   string(vault.CodeInvalidRequest),
			detail: detailMethodOverride,
			cause:  errors.New("the request has a header that names another method"),
		}
	}
	return token, err
}

// methodOverrides are the headers, folded, that some servers obey instead of the
// method. Without them a GET that stands for a DELETE would be a GET: they are no
// more removed than passed on.
var methodOverrides = []string{"x-http-method-override", "x-http-method", "x-method-override"}

// bearerToken returns the one access token that the request carries in its
// Authorization header (RFC 6750 §2.1). The other places that RFC 6750 knows end
// up in logs, and two credentials leave open which one counts: both are refused.
func bearerToken(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	switch {
	case hasTokenParameter(r.URL.RawQuery):
		return "", malformed("an access token in the query")
	case len(values) == 0:
		return "", &refusal{code: codeNoCredentials}
	case len(values) > 1:
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
	case isInTarget(r, token):
		return "", malformed("its access token in the URL as well")
	}
	return token, nil
}

// hasTokenParameter tells whether the query has a parameter access_token
// (RFC 6750 §2.3), whichever way it is written.
func hasTokenParameter(query string) bool {
	if !strings.Contains(query, "access_token") && !strings.Contains(query, "%") {
		return false
	}
	for pair := range strings.FieldsFuncSeq(query, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if unescaped, err := url.QueryUnescape(name); err == nil && unescaped == "access_token" {
			return true
		}
	}
	return false
}

// isInTarget tells whether the URL, as it is and as it came, or the host, which
// the upstream gets, hold a token that could be a JWT.
func isInTarget(r *http.Request, token string) bool {
	places := [...]string{r.URL.Path, r.URL.RawQuery, r.Host, ""}
	if original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request); ok {
		places[3] = original.RequestURI
	}
	return slices.ContainsFunc(places[:], func(place string) bool {
		return len(place) >= len(token) && strings.Count(token, ".") >= 2 && holdsEscaped(place, token)
	})
}

// holdsEscaped tells whether text holds the token when it is percent-decoded not at
// all, once or twice.
func holdsEscaped(text, token string) bool {
	for range 2 {
		if strings.Contains(text, token) {
			return true
		}
		text = unescape(text)
	}
	return strings.Contains(text, token)
}

// unescape decodes what is percent-encoded and leaves alone what is not.
func unescape(text string) string {
	var b strings.Builder
	for {
		before, after, found := strings.Cut(text, "%")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		char, err := hex.DecodeString(after[:min(2, len(after))])
		if err != nil || len(char) == 0 {
			char, text = []byte{'%'}, after
		} else {
			text = after[2:]
		}
		b.Write(char)
	}
}

func malformed(what string) error {
	return &refusal{code: string(vault.CodeInvalidRequest), cause: errors.New("the request has " + what)}
}
