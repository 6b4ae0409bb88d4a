package caddymodule

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
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

// callVariable is the request's variable that holds the call that went on last. A
// second token_vault on the request goes on from what that found out, behind it or,
// where its upstream failed, in handle_errors.
const callVariable = "token_vault"

// Format implements fmt.Formatter: {http.vars.token_vault} prints a call, as does
// whoever prints a context, and it holds credentials.
func (c *call) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }

// String implements fmt.Stringer, which logs ask.
func (*call) String() string { return callVariable }

// upstreamStatus is where reverse_proxy leaves what the upstream said, whatever
// the route then makes of it.
const upstreamStatus = "http.reverse_proxy.status_code"

// goOn sends the request to the handlers that follow, with the provider's token.
func (c *call) goOn(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, token *vault.Token) (err error) {
	c.token, c.replacer, c.writer.ResponseWriter, c.writer.call = token, replacer(r), w, c
	for outer := c.outer; outer != nil; outer = outer.outer {
		outer.replaced = true
	}
	caddyhttp.SetVar(r.Context(), callVariable, c)
	c.replacer.Delete(upstreamStatus) // of a proxy before this
	defer func() {                    // reverse_proxy panics where a body breaks off
		returned, _ := errors.AsType[caddyhttp.HandlerError](err)
		c.notice(returned.StatusCode)
	}()
	err = next.ServeHTTP(&c.writer, c.outgoing(r))
	c.writer.scrub() // the trailers
	return err
}

// notice drops the token if the provider refused it: if that is the status of the
// answer, or was before the route made something else of it.
func (c *call) notice(status int) {
	if proxied, _ := c.replacer.Get(upstreamStatus); status != http.StatusUnauthorized && proxied != http.StatusUnauthorized {
		return
	}
	if c.replaced || c.writer.ours || !c.handler.tenant.vault.Reject(c.token) {
		return
	}
	c.handler.logger.Info("the provider refuses its own token; the next request goes on with what the vault has then",
		zap.String("connection", c.handler.Connection), zap.String("user_id", c.caller.Subject))
}

// responseWriter passes the upstream's answer on, less what only we may say:
// Token-Vault-Error, and the link pages' cookies. It buffers nothing.
type responseWriter struct {
	caddyhttp.ResponseWriterWrapper
	call  *call
	begun bool // the final answer
	ours  bool // an inner token_vault is answering through it
}

// WriteHeader implements http.ResponseWriter.
func (w *responseWriter) WriteHeader(status int) {
	if !w.begun && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.begun = true
		w.call.notice(status) // before the agent can have called again
	}
	w.scrub()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *responseWriter) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

// ReadFrom keeps the fast path of a large body.
func (w *responseWriter) ReadFrom(r io.Reader) (int64, error) {
	w.begin()
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError is what http.ResponseController calls; a flush sends the header.
func (w *responseWriter) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// begin is WriteHeader for answers that begin without.
func (w *responseWriter) begin() {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
}

// scrub runs before each header goes out, and once more when the answer is
// complete: then the header map holds the trailers.
func (w *responseWriter) scrub() {
	if w.ours {
		return
	}
	header := w.Header()
	delete(header, errorHeader)
	delete(header, http.TrailerPrefix+errorHeader)
	for _, name := range []string{"Set-Cookie", http.TrailerPrefix + "Set-Cookie"} {
		if values := header[name]; len(values) > 0 {
			setList(header, name, foreignCookies(values))
		}
	}
	if values := header["Trailer"]; len(values) > 0 {
		s := stripper{names: []string{fold(errorHeader)}}
		setList(header, "Trailer", s.stripTokens(values))
	}
}

// foreignCookies returns the Set-Cookie values that do not set one of ours.
func foreignCookies(values []string) []string {
	var kept []string
	for _, value := range values {
		if pair, _, _ := strings.Cut(value, ";"); !isOwnCookie(pair) {
			kept = append(kept, value)
		}
	}
	return kept
}

// setUser sets the placeholders of the authenticated user. The id is set and not
// mapped, since it has to win over another authenticator's. What is not known is
// empty: header_up would send the name of an unknown placeholder.
func setUser(r *http.Request, caller *vault.AccessToken) {
	repl := replacer(r)
	repl.Set("http.auth.user.id", caller.Subject)
	repl.Map(func(key string) (any, bool) {
		field, ok := strings.CutPrefix(key, "http.auth.user.")
		if !ok {
			return nil, false
		}
		switch field {
		case "client_id":
			return caller.ClientID, true
		case "scope":
			return strings.Join(caller.Scopes, " "), true
		case "org_id":
			return caller.OrgID, true
		}
		return nil, false
	})
}
