package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

func init() {
	caddy.RegisterModule(LinkHandler{})
}

// LinkHandler serves the pages on which a person connects an account, and the
// status that the agent waits for. Requests outside of the pages' path, in whatever
// case, go on to the next handler.
//
// The pages belong on a host of their own, the tenant's `link.origin`.
type LinkHandler struct {
	// Name of the tenant in the `token_vault` app, as written there. Default: default.
	Tenant string `json:"tenant,omitempty" literal:"names a tenant of the app"`

	tenant *Tenant
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (LinkHandler) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "http.handlers.token_vault_link", New: func() caddy.Module { return new(LinkHandler) }}
}

// Provision finds the tenant.
func (h *LinkHandler) Provision(ctx caddy.Context) (err error) {
	h.logger = ctx.Logger()
	if h.tenant, err = findTenant(ctx, h.Tenant); err != nil {
		return err
	}
	if _, err := expanded(h); err != nil {
		return err
	}
	if h.tenant.flow == nil {
		return errors.New("the tenant has no link block: there are no pages to serve")
	}
	endWaitsOnExit(ctx, h.tenant.flow)
	return nil
}

// ServeHTTP implements caddyhttp.MiddlewareHandler.
func (h *LinkHandler) ServeHTTP(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler) error {
	asked := h.asked(r)
	route := h.tenant.flow.Route(asked.URL.Path)
	if carriesCodes(r, route) {
		// What happened is in our own log line.
		caddyhttp.SetVar(r.Context(), caddyhttp.LogSkipVar, true)
	}
	switch route {
	case linkflow.RouteNone:
		return next.ServeHTTP(w, r)
	case linkflow.RouteStatus:
		return h.serveStatus(w, asked)
	default:
		h.tenant.flow.ServeHTTP(w, asked)
		return nil
	}
}

// asked returns the request with the browser's own URL where that is a page's and
// the site has made another of it, as `handle_path /auth/*` does.
func (h *LinkHandler) asked(r *http.Request) *http.Request {
	original, ok := r.Context().Value(caddyhttp.OriginalRequestCtxKey).(http.Request)
	if !ok || h.tenant.flow.Route(r.URL.Path) != linkflow.RouteNone || h.tenant.flow.Route(original.URL.Path) == linkflow.RouteNone {
		return r
	}
	asked := r.WithContext(r.Context())
	asked.URL = original.URL
	return asked
}

// carriesCodes tells whether the access log's line would hold codes that belong
// to a flow: in the URL of a callback, or in the answer to a POST, which says where
// the browser goes on to.
func carriesCodes(r *http.Request, route linkflow.Route) bool {
	return route == linkflow.RouteCallback || route == linkflow.RouteForm && r.Method == http.MethodPost
}

// statusMethods are what the status endpoint answers.
var statusMethods = []string{http.MethodGet, http.MethodHead}

// serveStatus tells the agent that holds a ticket what became of it.
func (h *LinkHandler) serveStatus(w http.ResponseWriter, r *http.Request) error {
	status, caller, err := h.status(r)
	if err != nil {
		refused := refusalOf(err)
		logRefusal(h.logger, r, refused, caller, "", nil)
		return answerProblem(w, r, newReply(refused, h.tenant.vault.Audience()))
	}
	writeStatus(w, status)
	return nil
}

func (h *LinkHandler) status(r *http.Request) (linkflow.Status, *vault.AccessToken, error) {
	var none linkflow.Status
	if !slices.Contains(statusMethods, r.Method) {
		return none, nil, &refusal{code: codeMethodNotAllowed, allow: statusMethods}
	}
	credential, err := bearerToken(r)
	if err != nil {
		return none, nil, err
	}
	caller, err := h.tenant.vault.Verify(r.Context(), credential)
	if err != nil {
		return none, nil, err
	}
	wait, err := parseWait(r.URL.Query().Get("wait"))
	if err != nil {
		return none, caller, err
	}
	status, err := h.tenant.flow.Status(r.Context(), caller, r.URL.Query().Get("ticket"), wait)
	if errors.Is(err, linkflow.ErrNoTicket) {
		err = &refusal{code: codeTicketNotFound}
	}
	return status, caller, err
}

// parseWait reads how many seconds the agent is ready to wait.
func parseWait(s string) (time.Duration, error) {
	if s == "" {
		return 0, nil
	}
	seconds, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, &refusal{
			code:   string(vault.CodeInvalidRequest),
			detail: detailWait,
			cause:  errors.New("the request has a wait parameter that is no number of seconds"),
		}
	}
	return min(time.Duration(seconds)*time.Second, linkflow.MaxWait), nil
}

// Interface guards
var (
	_ caddy.Provisioner           = (*LinkHandler)(nil)
	_ caddyhttp.MiddlewareHandler = (*LinkHandler)(nil)
)

// logLinkEvent is the one line that a request for the link pages leaves, if it
// did something. The id is on the page that the person sees.
func (t *Tenant) logLinkEvent(_ context.Context, e linkflow.Event) {
	level := zapcore.InfoLevel
	if e.Kind == linkflow.Fault {
		level = zapcore.ErrorLevel
	}
	entry := t.logger.Check(level, "link "+string(e.Kind))
	if entry == nil {
		return
	}
	fields := []zap.Field{zap.String("id", e.ID)}
	for _, field := range []struct{ name, value string }{
		{"connection", e.Connection}, {"client_id", e.Agent}, {"user_id", e.Subject}, {"identity", e.Identity}, {"reason", e.Reason},
	} {
		if field.value != "" {
			fields = append(fields, zap.String(field.name, field.value))
		}
	}
	if e.Err != nil {
		fields = append(fields, zap.NamedError("cause", e.Err))
	}
	entry.Write(fields...)
}
