package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// call is one request on its way through a Handler. One is made for each request,
// so all that a call needs is in it.
type call struct {
	handler    *Handler
	outer      *call              // which let the request go on before
	caller     *vault.AccessToken // nil until verified
	credential string             // the agent's
	request    vault.Request
	late       bool // the body did not end in time, which looks like an agent that hung up
	replaced   bool // an inner token_vault sent another token

	// From when the request goes on:
	token    *vault.Token
	replacer *caddy.Replacer
	writer   responseWriter
	room     room // for values of headers
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

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	outer, _ := caddyhttp.GetVar(r.Context(), callVariable).(*call)
	if outer != nil {
		outer.notice(0) // of a proxy between the two
	}
	c := &call{handler: h, outer: outer}
	token, err := c.obtain(r)
	if err != nil {
		token, err = c.holdOn(w, r, err)
	}
	if err != nil {
		return c.refuse(w, r, err)
	}
	setUser(r, c.caller)
	if entry := h.logger.Check(zapcore.DebugLevel, "attaching the provider's token"); entry != nil {
		entry.Write(zap.String("connection", h.Connection), zap.String("user_id", c.caller.Subject))
	}
	return c.goOn(w, r, next, token)
}

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

// obtain checks the call, in the order of the README's table, and gets the
// provider's token for it.
func (c *call) obtain(r *http.Request) (*vault.Token, error) {
	if err := c.authenticate(r); err != nil {
		return nil, err
	}
	if err := c.handler.checkPolicy(c.caller); err != nil {
		return nil, err
	}
	if err := c.setRequest(r); err != nil {
		return nil, err
	}
	return c.handler.tenant.vault.Token(r.Context(), c.caller, c.request)
}

// authenticate tells who calls.
func (c *call) authenticate(r *http.Request) (err error) {
	if err = c.takeCredential(r); err != nil {
		return err
	}
	c.caller, err = c.handler.tenant.vault.Verify(r.Context(), c.credential)
	return err
}

// takeCredential finds the agent's credential. It takes every one off the original
// request, which placeholders and error routes can see.
func (c *call) takeCredential(r *http.Request) (err error) {
	if c.outer != nil {
		if c.outer.handler.tenant != c.handler.tenant {
			return &refusal{code: string(vault.CodeMisconfigured), cause: errors.New("two token_vault handlers of different tenants on one request")}
		}
		c.credential = c.outer.credential
		return nil
	}
	c.credential, err = takeToken(r)
	if r.Method == http.MethodTrace {
		return &refusal{code: codeMethodNotAllowed, allow: allowedMethods}
	}
	return err
}

// setRequest says which token the route wants.
func (c *call) setRequest(r *http.Request) error {
	h := c.handler
	c.request = h.request
	if h.LoginHint == "" {
		return nil
	}
	hint, err := h.hint.expand(r)
	if err != nil {
		return &refusal{code: string(vault.CodeMisconfigured), cause: err}
	}
	if len(hint) > maxLoginHint || strings.ContainsFunc(hint, noHint) {
		return &refusal{
			code:   string(vault.CodeInvalidRequest),
			detail: detailLoginHint,
			cause:  errors.New("the request has a login hint that no account can have"),
		}
	}
	c.request.LoginHint = hint
	c.request.HideHint = !h.hint.hasPlaceholders("http.request.") // the agent did not send it
	return nil
}

// maxLoginHint is what Auth0's My Account API takes.
const maxLoginHint = 255

func replacer(r *http.Request) *caddy.Replacer {
	return r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
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
