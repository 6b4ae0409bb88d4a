package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// call is what an agent asks for, until it is clear whether it gets it. One is made for
// each request.
type call struct {
	handler    *Handler
	outer      *attached          // another token_vault, which let the request go on
	caller     *vault.AccessToken // nil until verified
	credential string             // the agent's
	request    vault.Request      // which of the provider's tokens is wanted
	late       bool               // the body did not end in time, which looks like an agent that hung up
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	outer, _ := caddyhttp.GetVar(r.Context(), attachedVariable).(*attached)
	if outer != nil {
		outer.notice(0) // of a proxy between the two
	}
	c := call{handler: h, outer: outer}
	token, err := c.obtain(r)
	if err != nil && h.mayHold(r.Method) {
		token, err = c.holdOn(w, r, err)
	}
	if err != nil {
		return c.refuse(w, r, err)
	}
	return c.goOn(w, r, next, token)
}

// obtain checks the call, in the order of the README's table, and gets the
// provider's token for it.
func (c *call) obtain(r *http.Request) (*vault.Token, error) {
	if err := c.takeCredential(r); err != nil {
		return nil, err
	}
	if err := c.admit(r.Context()); err != nil {
		return nil, err
	}
	c.request = c.handler.request
	if c.handler.LoginHint != "" {
		if err := c.handler.hint.choose(&c.request, r); err != nil {
			return nil, err
		}
	}
	return c.handler.tenant.vault.Token(r.Context(), c.caller, c.request)
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

// allowedMethods are all but TRACE, whose answer would repeat the credential.
var allowedMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"}

// admit tells who calls, and whether the route is open to them. It runs on every
// request, whatever is cached.
func (c *call) admit(ctx context.Context) (err error) {
	h := c.handler
	c.caller, err = h.tenant.vault.Verify(ctx, c.credential)
	switch {
	case err != nil:
		return err
	case c.caller.Machine():
		return &refusal{code: codeUserRequired}
	case !h.allows(c.caller.ClientID):
		return &refusal{code: codeClientNotAllowed}
	case !c.caller.Grants(h.RequireScopes):
		return &refusal{code: codeInsufficientScope, scopes: h.RequireScopes}
	}
	return nil
}

// anyClient in a list of allowed clients lets every agent through.
const anyClient = "*"

// allows tells whether the agent may use the route. A token that names no agent,
// or two different ones, passes only where any may.
func (h *Handler) allows(clientID string) bool {
	return slices.Contains(h.AllowClients, anyClient) ||
		clientID != "" && slices.Contains(h.AllowClients, clientID)
}

// mayHold tells whether the route holds requests with that method. What a safe
// one does is harmless also when the agent has forgotten about it.
func (h *Handler) mayHold(method string) bool {
	switch method {
	case http.MethodConnect: // its body is a tunnel
		return false
	case http.MethodGet, http.MethodHead, http.MethodOptions:
		return h.Hold > 0
	}
	return h.Hold > 0 && h.HoldAny
}

func replacer(r *http.Request) *caddy.Replacer {
	return r.Context().Value(caddy.ReplacerCtxKey).(*caddy.Replacer)
}
