package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"golang.org/x/net/http/httpguts"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

func init() {
	caddy.RegisterModule(Handler{})
}

// Handler lets agents call a provider's API without ever holding the provider's
// token. It validates the Auth0 access token that the agent sends, exchanges it
// at Auth0 Token Vault for the user's token at the provider, and attaches that to
// the request for the handlers that follow, usually `reverse_proxy`. The agent's
// token goes no further.
//
// Where the user has not connected the account, the agent gets a 401 with a
// link. Every answer that comes from here and not from the provider carries the
// header `Token-Vault-Error`.
//
// When the request goes on, these placeholders are set:
//
// Placeholder | Description
// ------------|---------------
// `{http.auth.user.id}` | The user: `sub` of the agent's access token
// `{http.auth.user.client_id}` | The agent: its Auth0 client id
// `{http.auth.user.scope}` | What the agent's token grants, separated by spaces
// `{http.auth.user.org_id}` | The Auth0 Organization, if the user logged in to one
//
// With `on_missing` set to `error`, `handle_errors` has these:
//
// Placeholder | Description
// ------------|---------------
// `{http.token_vault.error}` | Why: `link_required`, `relink_required` or `scope_required`
// `{http.token_vault.link_url}` | The link for the user
// `{http.token_vault.connection}` | The connection that it is about
type Handler struct {
	// Name of the tenant in the `token_vault` app. Default: default.
	Tenant string `json:"tenant,omitempty"`

	// Name of the Auth0 connection whose token is wanted, such as
	// `google-oauth2` or `github`. Required.
	Connection string `json:"connection,omitempty"`

	// The least that the provider's token must carry; an account with less gets
	// `scope_required`. Also what the user is asked to grant. Default: anything.
	Scopes []string `json:"scopes,omitempty"`

	// The most that the provider's token may carry: an account with more, or
	// with unknown scopes, is refused. Default: anything.
	MaxScopes []string `json:"max_scopes,omitempty"`

	// Which account, where a user has connected several: the user's id at the
	// provider. Placeholders are expanded on every request. Default: Auth0 chooses.
	LoginHint string `json:"login_hint,omitempty"`

	// Auth0 scopes or permissions that the agent's access token must grant.
	// Default: none.
	RequireScopes []string `json:"require_scopes,omitempty"`

	// Client ids of the agents that may use this route; `*` means any. Required
	// here or on the tenant.
	AllowClients []string `json:"allow_clients,omitempty"`

	// How the provider's token is attached. Default: as a bearer token.
	Attach Attach `json:"attach,omitzero"`

	// What an agent gets while the user has to connect the account: `problem`, a
	// 401 with problem details; `redirect`, a redirect to the link for a browser
	// that navigates and the problem for everything else; `error`, whatever
	// `handle_errors` makes of it. Default: `problem`.
	OnMissing string `json:"on_missing,omitempty"`

	tenant       *Tenant
	allowClients []string
	logger       *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.token_vault", New: func() caddy.Module { return new(Handler) }}
}

// Provision finds the tenant.
func (h *Handler) Provision(ctx caddy.Context) (err error) {
	h.logger = ctx.Logger()
	if h.tenant, err = findTenant(ctx, h.Tenant); err != nil {
		return err
	}
	allowed := h.AllowClients
	if len(allowed) == 0 {
		allowed = h.tenant.AllowClients
	}
	if h.allowClients, err = expandList(caddy.NewReplacer(), "allow_clients", allowed); err != nil {
		return err
	}
	if h.Attach.header() != "Authorization" {
		h.logger.Warn("Caddy's DEBUG log prints this header, and with it the provider's token, when it proxies a request",
			zap.String("header", h.Attach.header()), zap.String("connection", h.Connection))
	}
	return nil
}

// Validate checks what needs no tenant.
func (h *Handler) Validate() error {
	if h.Connection == "" || !httpguts.ValidHeaderFieldValue(h.Connection) {
		return errors.New("connection: expected the name of an Auth0 connection")
	}
	if len(h.allowClients) == 0 {
		return fmt.Errorf("token_vault %s: allow_clients: name the agents that may use this route, here or on the tenant; * means any", h.Connection)
	}
	if excess := vault.MissingScopes(h.MaxScopes, h.Scopes); h.MaxScopes != nil && excess != nil {
		return fmt.Errorf("max_scopes: has to include all of scopes; %s is not", strings.Join(excess, ", "))
	}
	if !slices.Contains(onMissingWords, h.OnMissing) && h.OnMissing != "" {
		return fmt.Errorf("on_missing %q: expected one of %s", h.OnMissing, strings.Join(onMissingWords, ", "))
	}
	if h.OnMissing == onMissingRedirect && h.tenant.flow == nil {
		return errors.New("on_missing redirect: the tenant has no link block to redirect to")
	}
	if err := h.Attach.validate(); err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	return nil
}

const (
	onMissingProblem  = "problem"
	onMissingRedirect = "redirect"
	onMissingError    = "error"
)

var onMissingWords = []string{onMissingProblem, onMissingRedirect, onMissingError}

// allowedMethods are all but TRACE, whose answer would repeat the credential.
var allowedMethods = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT"}

// call is one request on its way through a Handler. It travels on with the
// request: a second token_vault on the same request goes on from what the first
// one, the outer, found out.
type call struct {
	handler    *Handler
	outer      *call
	caller     *vault.AccessToken // nil until verified
	credential string             // the agent's
	request    vault.Request
	writer     *responseWriter // nil until the request goes on
}

type callKey struct{}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	outer, _ := r.Context().Value(callKey{}).(*call)
	c := &call{handler: h, outer: outer}
	token, err := c.obtain(r)
	if err != nil {
		return c.refuse(w, r, err)
	}
	setUser(r, c.caller)
	if entry := h.logger.Check(zapcore.DebugLevel, "attaching the provider's token"); entry != nil {
		entry.Write(zap.String("connection", h.Connection), zap.String("user", c.caller.Subject))
	}

	c.writer = newResponseWriter(w)
	err = next.ServeHTTP(c.writer, c.outgoing(r, token))
	c.writer.scrub() // the trailers
	if c.writer.status == http.StatusUnauthorized && !c.writer.ours && h.tenant.vault.Reject(token) {
		h.logger.Info("the provider refuses its own token; the next request asks the vault again",
			zap.String("connection", h.Connection), zap.String("user", c.caller.Subject))
	}
	return err
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

// authenticate tells who calls. It takes the credential off the original
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
	delete(r.Header, "Authorization")
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
	if len(hint) > maxLoginHint || !httpguts.ValidHeaderFieldValue(hint) {
		return malformed("a login hint that no account can have")
	}
	c.request.LoginHint = hint
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
	if cause := context.Cause(r.Context()); cause != nil {
		return caddyhttp.Error(statusClientClosedRequest, cause) // nobody is there to read an answer
	}
	h, refused := c.handler, refusalOf(err)
	logRefusal(h.logger, r, refused, c.caller, h.Connection)
	for outer := c.outer; outer != nil; outer = outer.outer {
		outer.writer.ours = true
	}
	if c.caller != nil {
		replacer(r).Set("http.auth.candidate.id", c.caller.Subject)
	}
	if refused.needsLink() {
		return h.sendToLink(w, r, refused, c.newLink(r.Context()))
	}
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

// sendToLink answers that the user has to connect the account.
func (h *Handler) sendToLink(w http.ResponseWriter, r *http.Request, refused *refusal, link *linkflow.Link) error {
	body := newLinkProblem(refused, h.Connection, h.Scopes, link)
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

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
