package caddymodule

import (
	"context"
	"errors"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/tokenvault/caddy-token-vault/linkflow"
)

// How a call ends that does not go on. What the agent reads is in answers.go.

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
	writeRefusal(w, refused, h.tenant.vault.Audience())
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
