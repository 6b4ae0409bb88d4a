package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"golang.org/x/net/http/httpguts"

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
// Where the upstream answers 401, the token is dropped, once in a minute for the
// same user, agent and account, and the 401 passes. The next request asks the vault.
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
//
// The texts may hold placeholders, as those of [Tenant] may.
type Handler struct {
	// Name of the tenant in the `token_vault` app, as written there. Default: default.
	Tenant string `json:"tenant,omitempty" literal:"names a tenant of the app"`

	// Name of the Auth0 connection whose token is wanted, such as
	// `google-oauth2` or `github`. Required.
	Connection string `json:"connection,omitempty"`

	// The least that the provider's token must carry; an account with less gets
	// `scope_required`. Also what the user is asked to grant. Names of Google's,
	// Microsoft's and GitHub's count as the README says. Default: anything.
	Scopes []string `json:"scopes,omitempty"`

	// The most that the provider's token may carry: an account with more, or
	// with unknown scopes (none told, over 256 or over 8 KiB), is refused. Has to
	// include Scopes. Default: anything.
	MaxScopes []string `json:"max_scopes,omitempty"`

	// Which account, where a user has connected several: the user's id at the
	// provider. Placeholders other than `{env.*}` and `{file.*}` are expanded on every
	// request, so that an agent can choose, such as by
	// `{http.request.header.X-Account}`; with one that is not known the request is
	// refused, with one that is empty Auth0 chooses. Where the account is
	// not connected, the answer lists in `login_hints` those that this agent has
	// used for this user. Default: Auth0 chooses.
	LoginHint string `json:"login_hint,omitempty" literal:"has placeholders of requests"`

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

	// How long an agent's request may wait, at most, while its user connects the
	// account; up to 10m. The first request is always answered at once, with the
	// link. One that comes when the user has opened that link and signed in, in
	// a cluster on the same node, waits and then goes through; if the user
	// declines or takes too long, it gets a new link. What waits is one request at
	// a time for each user, agent and account, with a body of at most 64 KiB;
	// others are answered at once. Agents' HTTP clients have to be as patient, and
	// so have the server's timeouts `read_body` and `write` where they are set.
	// Needs the tenant's `link` block. Default: no request waits.
	Hold caddy.Duration `json:"hold,omitempty"`

	// Whether requests wait whatever their method. Without it only GET, HEAD and
	// OPTIONS do: an agent that gave up waiting for a POST and sends it again
	// may have it done twice. Default: false.
	HoldAny bool `json:"hold_any,omitempty"`

	tenant      *Tenant
	request     vault.Request // of every call, but for the login hint
	hint        hint
	dialect     dialect  // in which agents are refused
	tokenHeader string   // the header that carries the provider's token
	stripped    []string // what nobody else may set, see stripper
	logger      *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (Handler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.token_vault", New: func() caddy.Module { return new(Handler) }}
}

// Provision finds the tenant, and tells it what this route is for.
func (h *Handler) Provision(ctx caddy.Context) (err error) {
	if err := h.expand(); err != nil {
		return fmt.Errorf("token_vault %s: %w", h.Connection, err)
	}
	h.logger = ctx.Logger()
	if h.tenant, err = findTenant(ctx, h.Tenant); err != nil {
		return err
	}
	if len(h.AllowClients) == 0 {
		h.AllowClients = h.tenant.allowClients
	}
	h.tenant.offers.add(h.Connection, h.Scopes)
	if h.Hold > 0 && h.tenant.flow != nil {
		h.provisionHold(ctx)
	}
	h.dialect = dialects[cmp.Or(h.OnMissing, onMissingProblem)]
	h.tokenHeader = h.Attach.header()
	h.stripped = slices.Clone(credentialHeaders)
	if folded := fold(h.tokenHeader); !slices.Contains(h.stripped, folded) {
		h.stripped = append(h.stripped, folded)
	}
	if h.tokenHeader != "Authorization" {
		h.logger.Warn("Caddy's DEBUG log prints this header, and with it the provider's token, when it proxies a request",
			zap.String("header", h.tokenHeader), zap.String("connection", h.Connection))
	}
	return nil
}

// expand puts values in place of the configuration's placeholders, and keeps those
// of requests. Nothing else may have been set before.
func (h *Handler) expand() error {
	e, err := expanded(h)
	if err != nil {
		return err
	}
	*h = *e
	if h.hint, err = parseHint(h.LoginHint); err != nil {
		return fmt.Errorf("login_hint: %w", err)
	}
	return nil
}

// Validate checks the resolved configuration.
func (h *Handler) Validate() error {
	if h.Connection == "" || !httpguts.ValidHeaderFieldValue(h.Connection) {
		return errors.New("connection: expected the name of an Auth0 connection")
	}
	if len(h.AllowClients) == 0 {
		return fmt.Errorf("token_vault %s: allow_clients: name the agents that may use this route, here or on the tenant; * means any", h.Connection)
	}
	if err := h.validateScopes(); err != nil {
		return err
	}
	if h.dialect == nil {
		return fmt.Errorf("on_missing %q: expected one of %s", h.OnMissing, strings.Join(onMissingWords, ", "))
	}
	if h.OnMissing == onMissingRedirect && h.tenant.flow == nil {
		return errors.New("on_missing redirect: the tenant has no link block to redirect to")
	}
	if err := h.Attach.validate(); err != nil {
		return fmt.Errorf("attach: %w", err)
	}
	return h.validateHold()
}

// maxScopes is how long the scopes of a route may be together, in characters: a
// link carries them.
const maxScopes = 1000

func (h *Handler) validateScopes() error {
	for _, list := range []struct {
		name   string
		scopes []string
	}{{"scopes", h.Scopes}, {"max_scopes", h.MaxScopes}, {"require_scopes", h.RequireScopes}} {
		if err := checkScopes(list.scopes); err != nil {
			return fmt.Errorf("%s: %w", list.name, err)
		}
	}
	if size := len(strings.Join(h.Scopes, " ")); size > maxScopes && h.tenant.flow != nil {
		return fmt.Errorf("scopes: together %d characters, a link has room for %d", size, maxScopes)
	}
	var err error
	h.request, err = vault.Request{Connection: h.Connection, Scopes: h.Scopes, MaxScopes: h.MaxScopes}.Prepare()
	if err != nil {
		return fmt.Errorf("max_scopes: %w", err)
	}
	return nil
}

// checkScopes tells whether each can be one scope of a list that is split.
func checkScopes(scopes []string) error {
	for _, scope := range scopes {
		if split := vault.SplitScopes(scope); len(split) != 1 || split[0] != scope {
			return fmt.Errorf("%q is not one scope", scope)
		}
	}
	return nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*Handler)(nil)
	_ caddy.Validator             = (*Handler)(nil)
	_ caddyhttp.MiddlewareHandler = (*Handler)(nil)
)
