package caddymodule

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http/httpguts"

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
	Prefix string `json:"prefix,omitempty" text:"is part of a header"`

	// User name, for `basic`. May be empty.
	Username string `json:"username,omitempty" text:"may have spaces (RFC 7617)"`
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

// attached is a call that goes on, with the provider's token.
type attached struct {
	call
	token    *vault.Token
	replacer *caddy.Replacer
	writer   responseWriter // of the answer
	values   headerValues
	replaced bool // an inner token_vault sent another token
}

// attachedVariable is the request's variable that holds the call that went on last. A
// second token_vault on the request goes on from what that found out, behind it or,
// where its upstream failed, in handle_errors.
const attachedVariable = "token_vault"

// Format implements fmt.Formatter: {http.vars.token_vault} prints a call, as does
// whoever prints a context, and it holds credentials.
func (a *attached) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, a.String()) }

// String implements fmt.Stringer, which logs ask.
func (*attached) String() string { return attachedVariable }

// upstreamStatus is where reverse_proxy leaves what the upstream said, whatever
// the route then makes of it.
const upstreamStatus = "http.reverse_proxy.status_code"

// goOn sends the request to the handlers that follow, with the provider's token.
func (c *call) goOn(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, token *vault.Token) (err error) {
	if entry := c.handler.logger.Check(zapcore.DebugLevel, "attaching the provider's token"); entry != nil {
		entry.Write(zap.String("connection", c.handler.Connection), zap.String("user_id", c.caller.Subject))
	}
	setUser(r, c.caller)
	a := &attached{call: *c, token: token, replacer: replacer(r)}
	a.writer.ResponseWriter, a.writer.attached = w, a
	for outer := a.outer; outer != nil; outer = outer.outer {
		outer.replaced = true
	}
	caddyhttp.SetVar(r.Context(), attachedVariable, a)
	a.replacer.Delete(upstreamStatus) // of a proxy before this
	defer func() {                    // reverse_proxy panics where a body breaks off
		returned, _ := errors.AsType[caddyhttp.HandlerError](err)
		a.notice(returned.StatusCode)
	}()
	err = next.ServeHTTP(&a.writer, a.outgoing(r))
	a.writer.scrub() // the trailers
	return err
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

// outgoing is a copy of r with the provider's token and without any other
// credential. It is a copy because Caddy runs handle_errors on the original: an
// error page's backend must not get the token.
func (a *attached) outgoing(r *http.Request) *http.Request {
	s := stripper{names: a.handler.stripped, credential: a.credential}
	if a.outer != nil {
		s.names = append(slices.Clone(s.names), a.outer.handler.stripped...)
	}
	out := r.WithContext(r.Context())
	out.Header = make(http.Header, len(r.Header)+1)
	for name, values := range r.Header {
		if !s.takes(name, values) {
			out.Header[name] = a.values.copy(values)
		}
	}
	s.stripLists(out.Header)
	out.Header[a.handler.tokenHeader] = a.values.copy([]string{a.handler.Attach.value(a.token)})

	if r.Trailer != nil {
		// The server fills this map when the body has been read to its end, with
		// more than was announced, and reverse_proxy copies it right then.
		s.names = append(slices.Clone(s.names), methodOverrides...)
		s.strip(r.Trailer)
		out.Body = &trailerStripper{ReadCloser: r.Body, trailer: r.Trailer, stripper: s}
	}
	return out
}

// headerValues is for copies of header values, which others edit in place. It has enough
// for an agent's usual request; what is more costs an allocation for each name.
type headerValues struct {
	room [10]string
	used int
}

func (v *headerValues) copy(values []string) []string {
	if values == nil {
		return nil // which reverse_proxy tells from empty
	}
	if len(values) > len(v.room)-v.used {
		return slices.Clone(values)
	}
	first := v.used
	v.used += copy(v.room[first:], values)
	return v.room[first:v.used:v.used]
}

// notice drops the token if the provider refused it: if that is the status of the
// answer, or was before the route made something else of it.
func (a *attached) notice(status int) {
	if proxied, _ := a.replacer.Get(upstreamStatus); status != http.StatusUnauthorized && proxied != http.StatusUnauthorized {
		return
	}
	if a.replaced || a.writer.ours || !a.handler.tenant.vault.Reject(a.token) {
		return
	}
	a.handler.logger.Info("the provider refuses its own token; the next request goes on with what the vault has then",
		zap.String("connection", a.handler.Connection), zap.String("user_id", a.caller.Subject))
}

// responseWriter passes the upstream's answer on, less what only we may say:
// Token-Vault-Error, and the link pages' cookies. It buffers nothing.
type responseWriter struct {
	caddyhttp.ResponseWriterWrapper
	attached *attached
	begun    bool // the final answer
	ours     bool // an inner token_vault is answering through it
}

// WriteHeader implements http.ResponseWriter.
func (w *responseWriter) WriteHeader(status int) {
	if !w.begun && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.begun = true
		w.attached.notice(status) // before the agent can have called again
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
