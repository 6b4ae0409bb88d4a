package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// How a call ends that does not go on. What the agent reads of it is in answers.go.

// refusal is why a request goes no further.
type refusal struct {
	code       string
	reason     string        // Auth0's error, or vault's word for the cause
	scopes     []string      // that the agent's token lacks
	missing    []string      // scopes that the account lacks
	retryAfter time.Duration // 0: not said
	allow      []string      // methods, with codeMethodNotAllowed
	detail     string        // instead of the usual one
	cause      error         // for the log
}

func (r *refusal) Error() string {
	if r.cause != nil {
		return r.code + ": " + r.cause.Error()
	}
	return r.code
}

func (r *refusal) Unwrap() error { return r.cause }

// needsLink tells whether a link to the pages belongs into the answer.
func (r *refusal) needsLink() bool {
	return (&vault.Error{Code: vault.Code(r.code)}).NeedsLink()
}

// refusalOf turns any error of ours into a refusal.
func refusalOf(err error) *refusal {
	if r, ok := errors.AsType[*refusal](err); ok {
		return r
	}
	if e, ok := errors.AsType[*vault.Error](err); ok {
		return &refusal{code: string(e.Code), reason: e.Reason, missing: e.Missing, retryAfter: e.RetryAfter, cause: e}
	}
	return &refusal{code: string(vault.CodeUnavailable), reason: "internal", cause: err}
}

// refuse answers the agent, in the route's dialect.
func (c *call) refuse(w http.ResponseWriter, r *http.Request, err error) error {
	if cause := context.Cause(r.Context()); cause != nil && !c.late {
		return caddyhttp.Error(statusClientClosedRequest, cause) // nobody is there to read an answer
	}
	for outer := c.outer; outer != nil; outer = outer.outer {
		outer.writer.ours = true
	}
	if c.caller != nil {
		replacer(r).Set("http.auth.candidate.id", c.caller.Subject)
	}
	h, refused := c.handler, refusalOf(err)
	a := newReply(refused, h.tenant.vault.Audience())
	var link *linkflow.Link
	if refused.needsLink() {
		link = c.newLink(r.Context())
		a.addLink(h, c.loginHints(), link, h.mayHold(r.Method))
	}
	logRefusal(h.logger, r, refused, c.caller, h.Connection, link)
	return h.dialect(w, r, a)
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

// logRefusal tells the operator why an agent was refused. Errors are for the
// operator to mend, warnings pass by themselves, the rest is the agent's or the
// user's to mend. The link that was given has the id of all that happens to it.
func logRefusal(logger *zap.Logger, r *http.Request, refused *refusal, caller *vault.AccessToken, connection string, link *linkflow.Link) {
	level := zapcore.InfoLevel
	switch vault.Code(refused.code) {
	case vault.CodeMisconfigured:
		level = zapcore.ErrorLevel
	case vault.CodeUnavailable, vault.CodeTimeout, vault.CodeThrottled, vault.CodeKeysUnavailable:
		level = zapcore.WarnLevel
	}
	entry := logger.Check(level, "refused")
	if entry == nil {
		return
	}
	host := r.Host
	if len(host) > maxHost {
		host = ""
	}
	fields := []zap.Field{
		zap.String("error", refused.code),
		zap.String("connection", connection),
		zap.String("host", host),
		zap.String("client_ip", clientIP(r)),
	}
	if link != nil {
		fields = append(fields, zap.String("id", link.ID))
	}
	if refused.reason != "" {
		fields = append(fields, zap.String("reason", refused.reason))
	}
	if refused.cause != nil {
		fields = append(fields, zap.NamedError("cause", refused.cause))
	}
	if caller != nil {
		fields = append(fields, zap.String("user_id", caller.Subject), zap.String("client_id", caller.ClientID))
	}
	entry.Write(fields...)
}

// maxHost is the longest name (RFC 1035 §2.3.4) with a port; what is longer may be
// a token.
const maxHost = 253 + len(":65535")

// clientIP is the address of whoever sent a request, as Caddy's trusted_proxies
// lets it be told.
func clientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}
