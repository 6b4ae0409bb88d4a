package caddymodule

import (
	"context"
	"net/http"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

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
