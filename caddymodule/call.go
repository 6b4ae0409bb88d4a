package caddymodule

import (
	"errors"
	"net/http"
	"slices"

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

func replacer(r *http.Request) *caddy.Replacer {
	return r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
}

// anyClient in a list of allowed clients lets every agent through.
const anyClient = "*"

// checkPolicy tells whether the route is open to the caller. It runs on every
// request, whatever is cached.
func (h *Handler) checkPolicy(caller *vault.AccessToken) error {
	switch {
	case caller.Machine():
		return &refusal{code: codeUserRequired}
	case !h.allows(caller.ClientID):
		return &refusal{code: codeClientNotAllowed}
	case !caller.Grants(h.RequireScopes):
		return &refusal{code: codeInsufficientScope, scopes: h.RequireScopes}
	}
	return nil
}

// allows tells whether the agent may use the route. A token that names no agent,
// or two different ones, passes only where any may.
func (h *Handler) allows(clientID string) bool {
	return slices.Contains(h.AllowClients, anyClient) ||
		clientID != "" && slices.Contains(h.AllowClients, clientID)
}

// mayHold tells whether the route holds requests with that method. What a safe
// one does is harmless also when the agent has forgotten about it.
func (h *Handler) mayHold(method string) bool {
	if method == http.MethodConnect {
		return false // its body is a tunnel
	}
	return h.Hold > 0 && (isSafe(method) || h.HoldAny)
}

func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}
