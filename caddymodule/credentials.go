package caddymodule

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenvault/caddy-token-vault/linkflow"
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
	overridden = overridden || queryHas(r, func(name string) bool { return slices.Contains(overridingParameters, name) })
	if err == nil && overridden {
		return "", &refusal{
			code:   string(vault.CodeInvalidRequest),
			detail: detailMethodOverride,
			cause:  errors.New("the request has a header, or a parameter, that names another method or more headers"),
		}
	}
	return token, err
}

// methodOverrides are the headers, folded, that some servers obey instead of the
// method. Without them a GET that stands for a DELETE would be a GET: they are no
// more removed than passed on.
var methodOverrides = []string{"x-http-method-override", "x-http-method", "x-method-override"}

// overridingParameters are those by which Google's APIs take the same, and headers,
// from the query.
var overridingParameters = []string{"$httpMethod", "$httpHeaders"}

// bearerToken returns the one access token that the request carries in its
// Authorization header (RFC 6750 §2.1). The other places that RFC 6750 knows end
// up in logs, and two credentials leave open which one counts: both are refused.
func bearerToken(r *http.Request) (string, error) {
	values := r.Header["Authorization"]
	switch {
	case queryHas(r, func(name string) bool { return name == "access_token" }):
		return "", inURL(r, "an access token in the query")
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
		return "", inURL(r, "its access token in the URL as well")
	}
	return token, nil
}

// inURL refuses a request whose URL has a token. The access log would print that; who
// asked is in our own line.
func inURL(r *http.Request, what string) error {
	caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
	return malformed(what)
}

// queryHas tells whether the query has a parameter of such a name, whichever way it is
// written (RFC 6750 §2.3).
func queryHas(r *http.Request, is func(name string) bool) bool {
	for pair := range strings.FieldsFuncSeq(r.URL.RawQuery, func(r rune) bool { return r == '&' || r == ';' }) {
		name, _, _ := strings.Cut(pair, "=")
		if strings.Contains(name, "%") {
			name = string(unescape([]byte(name)))
		}
		if is(name) {
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
// all, once or twice. Anybody may send such a text, so it costs one copy of it.
func holdsEscaped(text, token string) bool {
	if strings.Contains(text, token) {
		return true
	}
	decoded := []byte(text)
	for range 2 {
		if decoded = unescape(decoded); bytes.Contains(decoded, []byte(token)) {
			return true
		}
	}
	return false
}

// unescape decodes, in place, what is percent-encoded and leaves alone what is not.
func unescape(text []byte) []byte {
	decoded := text[:0]
	for i := 0; i < len(text); i++ {
		if text[i] == '%' && i+2 < len(text) {
			high, first := hexDigit(text[i+1])
			low, second := hexDigit(text[i+2])
			if first && second {
				decoded = append(decoded, high<<4|low)
				i += 2
				continue
			}
		}
		decoded = append(decoded, text[i])
	}
	return decoded
}

// hexDigit is the value of a hexadecimal digit, if char is one.
func hexDigit(char byte) (value byte, ok bool) {
	switch {
	case '0' <= char && char <= '9':
		return char - '0', true
	case 'a' <= char|0x20 && char|0x20 <= 'f':
		return char | 0x20 - 'a' + 10, true
	}
	return 0, false
}

func malformed(what string) error {
	return &refusal{code: string(vault.CodeInvalidRequest), cause: errors.New("the request has " + what)}
}

// credentialHeaders are where a client's own credentials are, folded.
var credentialHeaders = []string{"authorization", "dpop", "proxy-authorization"}

// stripper removes from a header what the upstream must not get.
type stripper struct {
	names      []string // folded
	credential string   // the agent's own, wherever it stands
}

// fold maps the names that some servers take for the same header to one: CGI
// and its heirs make one variable of X-Api-Key, X_Api_Key and x.api.key, the
// most thorough of them whatever stands between the letters and digits.
func fold(name string) string { return strings.Map(foldRune, name) }

func foldRune(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z' || '0' <= r && r <= '9':
		return r
	case 'A' <= r && r <= 'Z':
		return r + ('a' - 'A')
	}
	return '-'
}

// foldsTo tells whether fold(name) is folded, without making it.
func foldsTo(name, folded string) bool {
	i := 0
	for _, r := range name {
		if i == len(folded) || foldRune(r) != rune(folded[i]) {
			return false
		}
		i++
	}
	return i == len(folded)
}

func foldsToOneOf(name string, folded []string) bool {
	for _, f := range folded {
		if len(name) >= len(f) && foldsTo(name, f) {
			return true
		}
	}
	return false
}

func (s stripper) strips(name string) bool { return foldsToOneOf(name, s.names) }

func (s stripper) strip(header http.Header) {
	for name, values := range header {
		if s.takes(name, values) {
			delete(header, name)
		}
	}
	s.stripLists(header)
}

// takes tells whether a header has to go as a whole.
func (s stripper) takes(name string, values []string) bool {
	return s.strips(name) || s.holdsCredential(values)
}

func (s stripper) holdsCredential(values []string) bool {
	return s.credential != "" && slices.ContainsFunc(values, func(v string) bool { return strings.Contains(v, s.credential) })
}

// stripLists removes parts of headers.
func (s stripper) stripLists(header http.Header) {
	for _, name := range []string{"Connection", "Trailer"} {
		if values := header[name]; slices.ContainsFunc(values, s.lists) {
			setList(header, name, s.stripTokens(values))
		}
	}
	if values := header["Cookie"]; len(values) > 0 {
		setList(header, "Cookie", stripCookies(values))
	}
}

// lists tells whether a list of names has one of our headers.
func (s stripper) lists(value string) bool {
	for token := range strings.SplitSeq(value, ",") {
		if s.strips(textproto.TrimString(token)) {
			return true
		}
	}
	return false
}

// stripTokens removes what names one of our headers from lists of names: a
// Connection header that lists Authorization would have it removed on the way.
func (s stripper) stripTokens(values []string) []string {
	var kept []string
	for _, value := range values {
		var tokens []string
		for token := range strings.SplitSeq(value, ",") {
			if token = textproto.TrimString(token); token != "" && !s.strips(token) {
				tokens = append(tokens, token)
			}
		}
		if len(tokens) > 0 {
			kept = append(kept, strings.Join(tokens, ", "))
		}
	}
	return kept
}

// stripCookies removes the link pages' own cookies, which hold sealed tokens,
// and leaves the others as they are written.
func stripCookies(values []string) []string {
	var kept []string
	for _, value := range values {
		pairs := strings.Split(value, ";")
		foreign := slices.DeleteFunc(slices.Clone(pairs), isOwnCookie)
		switch {
		case len(foreign) == len(pairs):
			kept = append(kept, value)
		case len(foreign) > 0:
			kept = append(kept, textproto.TrimString(strings.Join(foreign, ";")))
		}
	}
	return kept
}

// isOwnCookie tells whether what begins a Set-Cookie, or is between two semicolons
// of a Cookie, makes one of the link pages' cookies. What a browser sends back for
// "=name=value" is name=value, and some end a line at a control character.
func isOwnCookie(pair string) bool {
	name := strings.TrimLeftFunc(pair, func(r rune) bool { return r == '=' || r <= ' ' })
	if end := strings.IndexFunc(name, func(r rune) bool { return r == '=' || r < ' ' && r != '\t' }); end >= 0 {
		name = name[:end]
	}
	return linkflow.IsCookie(textproto.TrimString(name))
}

// setList replaces the values; a header without any goes.
func setList(header http.Header, name string, values []string) {
	if len(values) == 0 {
		delete(header, name)
		return
	}
	header[name] = values
}

// trailerStripper strips the trailers at the moment at which they are there.
type trailerStripper struct {
	io.ReadCloser
	trailer  http.Header
	stripper stripper
}

func (t *trailerStripper) Read(p []byte) (int, error) {
	n, err := t.ReadCloser.Read(p)
	if err == io.EOF {
		t.stripper.strip(t.trailer)
	}
	return n, err
}
