package caddymodule

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

const (
	// maxHold is how long a link is good for: nothing that could be waited for
	// takes longer.
	maxHold      = 10 * time.Minute
	maxHoldShort = "10m" // as people write it

	// maxHeldBody is how much of a body is kept while its request waits.
	maxHeldBody = 64 << 10

	// bodyPatience is how long a body may take to arrive that is to be kept. An
	// agent that streams may never end it before it has an answer.
	bodyPatience = 2 * time.Second
)

// holdOn waits while the user is about to connect the account for want of which err
// refuses the call, and asks the vault again whenever that may help. It returns the provider's token, or why there is none in the end.
func (c *call) holdOn(w http.ResponseWriter, r *http.Request, err error) (*vault.Token, error) {
	h, flow := c.handler, c.handler.tenant.flow
	if !refusalOf(err).needsLink() || !flow.Connecting(c.caller, c.request) || !c.takeBody(w, r) {
		return nil, err
	}
	h.logger.Debug("holding the request while the user connects the account",
		zap.String("connection", h.Connection), zap.String("user_id", c.caller.Subject))
	for end := time.Now().Add(time.Duration(h.Hold)); ; {
		news := flow.Hold(r.Context(), c.caller, c.request, time.Until(end))
		connecting := flow.Connecting(c.caller, c.request) // before the vault is asked: no end goes unnoticed
		if !news && connecting {
			return nil, err
		}
		var token *vault.Token
		token, err = c.obtainAgain(r.Context())
		if err == nil || !connecting || !refusalOf(err).needsLink() {
			return token, err
		}
	}
}

// obtainAgain is obtain after a wait, in which the agent's token may have ended.
func (c *call) obtainAgain(ctx context.Context) (*vault.Token, error) {
	if err := c.admit(ctx); err != nil {
		return nil, err
	}
	return c.handler.tenant.vault.Token(ctx, c.caller, c.request)
}

// takeBody reads the body into memory: only when it has been read does the
// server notice that the agent hangs up. It returns false for one that is too
// long, or does not end in time, or at all; then the request is as it was. Its rest
// is for an error route, if one is to answer. Otherwise the server reads it for
// nothing before it sends the answer, and does so no longer than bodyPatience.
func (c *call) takeBody(w http.ResponseWriter, r *http.Request) bool {
	if r.Body == nil || r.ContentLength == 0 {
		return true
	}
	if r.ContentLength > maxHeldBody {
		return false
	}
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(bodyPatience)); err != nil {
		return false
	}
	taken, err := io.ReadAll(io.LimitReader(r.Body, maxHeldBody+1))
	c.late = errors.Is(err, os.ErrDeadlineExceeded)
	whole := err == nil && len(taken) <= maxHeldBody
	switch { // the deadline could be set
	case whole:
		_ = control.SetReadDeadline(time.Time{})
	case !c.late && c.handler.OnMissing == onMissingError:
		_ = control.SetReadDeadline(serverDeadline(r))
	}
	var body io.Reader = bytes.NewReader(taken)
	if !whole {
		body = io.MultiReader(body, r.Body)
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{body, r.Body}
	return whole
}

// serverDeadline is when the server ends a body that it begins to read now; zero
// if it has no say in that, or sees to it with each read.
func serverDeadline(r *http.Request) time.Time {
	server, ok := r.Context().Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok || server.ReadTimeout <= 0 {
		return time.Time{}
	}
	return time.Now().Add(time.Duration(server.ReadTimeout))
}

func (h *Handler) validateHold() error {
	switch {
	case h.Hold == 0 && h.HoldAny:
		return errors.New("hold_any: has no meaning without hold")
	case h.Hold < 0 || time.Duration(h.Hold) > maxHold:
		return fmt.Errorf("hold: expected a duration above zero and up to %s, for which a link is good", maxHoldShort)
	case h.Hold > 0 && h.tenant.flow == nil:
		return errors.New("hold: the tenant has no link block: there is nothing to wait for")
	case h.Hold > 0 && h.tenant.Link.Client == nil:
		return errors.New("hold: with `via url` and no client in the link block, nobody signs in here whom a request could wait for")
	}
	return nil
}

// provisionHold warns of what ends a held call early.
func (h *Handler) provisionHold(ctx caddy.Context) {
	endWaitsOnExit(ctx, h.tenant.flow)
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if ok && server.WriteTimeout > 0 && server.WriteTimeout <= h.Hold {
		h.logger.Warn("a call that is held so long gets no answer: the server's timeout write has to be longer than hold",
			zap.Duration("hold", time.Duration(h.Hold)), zap.Duration("write", time.Duration(server.WriteTimeout)))
	}
}

// endWaitsOnExit lets waiting agents go when the process exits, which they must
// not hold up. A reload also ends servers, but lets their requests finish.
func endWaitsOnExit(ctx caddy.Context, flow *linkflow.Flow) {
	server, ok := ctx.Value(caddyhttp.ServerCtxKey).(*caddyhttp.Server)
	if !ok {
		return
	}
	server.RegisterOnShutdown(func() {
		if caddy.Exiting() {
			flow.Close()
		}
	})
}
