package caddymodule

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// Attach says how the provider's token travels to the upstream.
type Attach struct {
	// `bearer`: in the Authorization header, as most APIs want it. `header`: in
	// the header `name`, after `prefix` and a space if there is one. `basic`: as
	// the password of `username`. Default: `bearer`.
	Scheme string `json:"scheme,omitempty"`

	// Name of the header, for `header`. Caddy's own DEBUG log prints the request
	// headers it sends upstream, and it redacts Authorization only.
	Name string `json:"name,omitempty"`

	// Word before the token, for `header`. Default: none.
	Prefix string `json:"prefix,omitempty"`

	// User name, for `basic`. May be empty.
	Username string `json:"username,omitempty"`
}

func (a *Attach) validate() error {
	switch a.Scheme {
	case "", "bearer":
	case "header":
		if !httpguts.ValidHeaderFieldName(a.Name) {
			return fmt.Errorf("header %q: expected the name of a header", a.Name)
		}
		if slices.Contains(transportHeaders, http.CanonicalHeaderKey(a.Name)) {
			return fmt.Errorf("header %q: belongs to the connection, it cannot carry a token", a.Name)
		}
		if !httpguts.ValidHeaderFieldValue(a.Prefix) {
			return errors.New("prefix: expected printable characters")
		}
	case "basic":
		if strings.Contains(a.Username, ":") || !httpguts.ValidHeaderFieldValue(a.Username) {
			return errors.New("username: expected printable characters without a colon (RFC 7617)")
		}
	default:
		return fmt.Errorf("%q: expected bearer, header or basic", a.Scheme)
	}
	return nil
}

// transportHeaders say how a message travels; reverse_proxy sets or removes them.
var transportHeaders = []string{
	"Connection", "Content-Length", "Cookie", "Expect", "Host", "Keep-Alive", "Proxy-Authenticate",
	"Proxy-Authorization", "Proxy-Connection", "Te", "Trailer", "Transfer-Encoding", "Upgrade",
	"Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto",
}

// header returns the header that carries the token, in canonical form.
func (a *Attach) header() string {
	if a.Scheme == "header" {
		return http.CanonicalHeaderKey(a.Name)
	}
	return "Authorization"
}

// value returns what that header says.
func (a *Attach) value(token *vault.Token) string {
	switch a.Scheme {
	case "header":
		if a.Prefix == "" {
			return token.Reveal()
		}
		return a.Prefix + " " + token.Reveal()
	case "basic":
		return "Basic " + base64.StdEncoding.EncodeToString([]byte(a.Username+":"+token.Reveal()))
	}
	return token.Bearer()
}

// outgoing returns a copy of r with the provider's token and without any other
// credential. It is a copy because Caddy runs handle_errors on the original: an
// error page's backend must not get the token.
func (c *call) outgoing(r *http.Request) *http.Request {
	s := stripper{names: c.handler.stripped, credential: c.credential}
	if c.outer != nil {
		s.names = append(slices.Clone(s.names), c.outer.handler.stripped...)
	}
	out := r.WithContext(r.Context())
	out.Header = make(http.Header, len(r.Header)+1)
	for name, values := range r.Header {
		if !s.takes(name, values) {
			out.Header[name] = c.room.copy(values)
		}
	}
	s.stripLists(out.Header)
	out.Header[c.handler.attached] = c.room.copy([]string{c.handler.Attach.value(c.token)})

	if r.Trailer != nil {
		// The server fills this map when the body has been read to its end, with
		// more than was announced, and reverse_proxy copies it right then.
		s.strip(r.Trailer)
		out.Body = &trailerStripper{ReadCloser: r.Body, trailer: r.Trailer, stripper: s}
	}
	return out
}

// room is for copies of header values, which others edit in place. It has enough
// for an agent's usual request; what is more costs an allocation for each name.
type room struct {
	values [10]string
	used   int
}

func (m *room) copy(values []string) []string {
	if values == nil {
		return nil // which reverse_proxy tells from empty
	}
	if len(values) > len(m.values)-m.used {
		return slices.Clone(values)
	}
	first := m.used
	m.used += copy(m.values[first:], values)
	return m.values[first:m.used:m.used]
}

// credentialHeaders are where a client's own credentials are, folded.
var credentialHeaders = []string{"authorization", "dpop", "proxy-authorization"}

// withCredentialHeaders returns them and the folded name of one header more.
func withCredentialHeaders(header string) []string {
	names := slices.Clone(credentialHeaders)
	if folded := fold(header); !slices.Contains(names, folded) {
		names = append(names, folded)
	}
	return names
}

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
