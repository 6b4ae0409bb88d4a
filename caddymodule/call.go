package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http/httpguts"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// call is one request on its way through a Handler. It is the context of the
// request that goes on: a second token_vault there goes on from what the first
// one, the outer, found out. One is made for each request, so all that a call
// needs is in it.
type call struct {
	context.Context // of the request that came

	handler    *Handler
	outer      *call
	caller     *vault.AccessToken // nil until verified
	credential string             // the agent's
	request    vault.Request
	late       bool // the body did not end in time, which looks like an agent that hung up
	repeatable bool // with another token
	replaced   bool // an inner token_vault sent another token

	// From when the request goes on:
	token  *vault.Token
	writer responseWriter
	room   room // for values of headers
	replay replay

	mu     sync.Mutex
	groups map[string]struct{} // see ownGroups
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	outer, _ := r.Context().Value(callKey{}).(*call)
	c := &call{Context: r.Context(), handler: h, outer: outer}
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
	c.repeatable = repeatable(r)
	return c.goOn(w, r, next, token) //nolint:contextcheck // the call is the context
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

// authenticate tells who calls. It takes every credential off the original
// request, which placeholders and error routes can see.
func (c *call) authenticate(r *http.Request) error {
	if c.outer != nil {
		if c.outer.handler.tenant != c.handler.tenant {
			return &refusal{code: string(vault.CodeMisconfigured), cause: errors.New("two token_vault handlers of different tenants on one request")}
		}
		c.caller, c.credential = c.outer.caller, c.outer.credential
		return nil
	}
	credential, err := bearerToken(r)
	stripper{names: credentialHeaders, credential: credential}.strip(r.Header)
	if r.Method == http.MethodTrace {
		return &refusal{code: codeMethodNotAllowed, allow: allowedMethods}
	}
	if err != nil {
		return err
	}
	c.credential = credential
	c.caller, err = c.handler.tenant.vault.Verify(r.Context(), credential)
	return err
}

// setRequest says which token the route wants.
func (c *call) setRequest(r *http.Request) error {
	h := c.handler
	c.request = vault.Request{Connection: h.Connection, Scopes: h.Scopes, MaxScopes: h.MaxScopes}
	if h.LoginHint == "" {
		return nil
	}
	hint := replacer(r).ReplaceAll(h.LoginHint, "")
	if len(hint) > maxLoginHint || strings.ContainsAny(hint, " \t") || !httpguts.ValidHeaderFieldValue(hint) {
		return &refusal{
			code:   string(vault.CodeInvalidRequest),
			detail: "The request names an account in a form that no account's id has.",
			cause:  errors.New("the request has a login hint that no account can have"),
		}
	}
	c.request.LoginHint = hint
	c.request.HideHint = !strings.Contains(h.LoginHint, "{http.request.") // the agent did not send it
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

// refuse answers the agent.
func (c *call) refuse(w http.ResponseWriter, r *http.Request, err error) error {
	if cause := context.Cause(r.Context()); cause != nil && !c.late {
		return caddyhttp.Error(statusClientClosedRequest, cause) // nobody is there to read an answer
	}
	h, refused := c.handler, refusalOf(err)
	for outer := c.outer; outer != nil; outer = outer.outer {
		outer.writer.ours = true
	}
	if c.caller != nil {
		replacer(r).Set("http.auth.candidate.id", c.caller.Subject)
	}
	if refused.needsLink() {
		return c.sendToLink(w, r, refused)
	}
	logRefusal(h.logger, r, refused, c.caller, h.Connection, nil)
	setRefusalHeaders(w.Header(), refused, h.tenant.vault.Audience(), "")
	writeProblem(w, newProblem(refused))
	return nil
}

// statusClientClosedRequest is nginx's word, and Caddy's, for a client that hung up.
const statusClientClosedRequest = 499

// newLink makes the link for the user, or nil if there is none to give.
func (c *call) newLink(ctx context.Context) *linkflow.Link {
	h := c.handler
	if h.tenant.flow == nil {
		return nil
	}
	link, err := h.tenant.flow.Link(ctx, c.caller, c.request)
	if err != nil {
		h.logger.Error("no link can be made", zap.Error(err))
		return nil
	}
	return link
}

// loginHints are the accounts that the agent may name instead, on a route where
// it can; nil on every other.
func (c *call) loginHints() []string {
	if c.handler.LoginHint == "" {
		return nil
	}
	return list(c.handler.tenant.vault.LoginHints(c.caller, c.handler.Connection))
}

// sendToLink answers that the user has to connect the account.
func (c *call) sendToLink(w http.ResponseWriter, r *http.Request, refused *refusal) error {
	h, link := c.handler, c.newLink(r.Context())
	logRefusal(h.logger, r, refused, c.caller, h.Connection, link)
	body := newLinkProblem(refused, h.Connection, h.Scopes, c.loginHints(), link, link != nil && h.mayHold(r.Method))
	setRefusalHeaders(w.Header(), refused, h.tenant.vault.Audience(), body.LinkURL)
	switch {
	case h.OnMissing == onMissingError:
		repl := replacer(r)
		repl.Set("http.token_vault.error", refused.code)
		repl.Set("http.token_vault.link_url", body.LinkURL)
		repl.Set("http.token_vault.connection", h.Connection)
		return caddyhttp.Error(body.Status, errors.New(refused.code))
	case h.OnMissing == onMissingRedirect && link != nil && r.Header.Get("Sec-Fetch-Mode") == "navigate":
		writeRedirect(w, link.URL)
		return nil
	}
	writeProblem(w, body)
	return nil
}
