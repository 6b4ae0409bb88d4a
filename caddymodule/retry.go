package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// A provider that answers 401 refuses the token, and the vault may have another
// by now. A request that can be repeated then goes on once more, and the agent
// sees the second answer only. It is decided when the status of the first is
// known and nothing of it has gone out, so nothing is ever kept back.

const (
	// askPatience is how long the provider's 401 is held back while the vault is
	// asked.
	askPatience = 2 * time.Second

	// maxDiscarded is how much of a refused answer's body is taken, so that the
	// connection to the provider can be used again.
	maxDiscarded = 64 << 10

	// discardPatience is how long it may go on coming. A provider that sends nothing
	// holds a call up here as it can anywhere.
	discardPatience = 2 * time.Second
)

// errDiscarded ends a body that is longer. Caddy logs it.
var errDiscarded = errors.New("the provider's 401 is discarded: the request goes on with another token")

// replay is what a call needs to go on twice: what those who follow may change
// although we gave them a copy of the request.
type replay struct {
	url     url.URL // they rewrite the original's
	header  []field // of the answer, before they set theirs
	fields  [4]field
	out     *http.Request
	again   *call // the second one, when that is decided
	decided time.Time
}

// field is one name of a header, and its values.
type field struct {
	name   string
	values []string
}

// repeatable tells whether doing the request twice does no harm and needs nothing
// that was kept.
func repeatable(r *http.Request) bool {
	return isSafe(r.Method) && r.ContentLength == 0 && r.Trailer == nil
}

func isSafe(method string) bool {
	return method == http.MethodGet || method == http.MethodHead || method == http.MethodOptions
}

// goOn sends the request to the handlers that follow, with the provider's token,
// and once more if that is refused and the vault has another.
func (c *call) goOn(w http.ResponseWriter, r *http.Request, next caddyhttp.Handler, token *vault.Token) error {
	c.token, c.writer.ResponseWriter, c.writer.call = token, w, c
	for outer := c.outer; outer != nil; outer = outer.outer {
		outer.replaced = true
	}
	if c.repeatable {
		c.remember(w.Header(), r.URL)
	}
	c.replay.out = c.outgoing(r)
	err := c.run(next, c.replay.out)
	if again := c.replay.again; again != nil {
		c.restore(w.Header(), r.URL)
		return again.goOn(w, r, next, again.token)
	}
	c.writer.scrub() // the trailers
	return err
}

// run calls those who follow. However they end with an answer that is discarded
// is their own matter: reverse_proxy panics when it cannot write a body.
func (c *call) run(next caddyhttp.Handler, out *http.Request) (err error) {
	defer func() {
		if c.replay.again == nil {
			return
		}
		if p := recover(); p != nil && p != http.ErrAbortHandler { //nolint:errorlint // a panic's value, as net/http compares it
			panic(p)
		}
		err = nil
	}()
	return next.ServeHTTP(&c.writer, out)
}

// remember takes down what restore puts back.
func (c *call) remember(header http.Header, u *url.URL) {
	c.replay.url = *u
	c.replay.header = c.replay.fields[:0]
	for name, values := range header {
		c.replay.header = append(c.replay.header, field{name, c.room.copy(values)})
	}
}

func (c *call) restore(header http.Header, u *url.URL) {
	*u = c.replay.url
	clear(header)
	for _, f := range c.replay.header {
		header[f.name] = f.values
	}
}

// unauthorized is told of an answer with status 401, before anything of it goes
// out. It reports whether the answer is to be discarded, since the request goes on
// again.
func (c *call) unauthorized() bool {
	h := c.handler
	if c.writer.ours || c.writer.hijacked || c.replaced || !h.tenant.vault.Reject(c.token) {
		return false
	}
	if !c.repeatable || !isSafe(c.replay.out.Method) { // it may have been rewritten
		c.logRejection("the provider refuses its own token; the next request goes on with what the vault has then", nil)
		return false
	}
	again := &call{Context: c.Context, handler: h, outer: c.outer, credential: c.credential, request: c.request}
	ctx, cancel := context.WithTimeout(c.Context, askPatience)
	defer cancel()
	token, err := again.obtainAgain(ctx)
	if err != nil || token.Reveal() == c.token.Reveal() {
		c.logRejection("the provider refuses its own token, and the vault has no other", err)
		return false
	}
	c.logRejection("the provider refuses its own token; the request goes on with the one that the vault has now", nil)
	again.token, c.replay.again, c.replay.decided = token, again, time.Now()
	return true
}

func (c *call) logRejection(message string, cause error) {
	fields := []zap.Field{zap.String("connection", c.handler.Connection), zap.String("user_id", c.caller.Subject)}
	if cause != nil {
		fields = append(fields, zap.NamedError("cause", cause))
	}
	c.handler.logger.Info(message, fields...)
}

// discard takes n bytes more of the answer's body for nothing.
func (w *responseWriter) discard(n int) (int, error) {
	if w.discarded += n; w.discarded > maxDiscarded || time.Since(w.call.replay.decided) > discardPatience {
		return 0, errDiscarded
	}
	return n, nil
}

// discards tells whether the answer is not for the agent.
func (w *responseWriter) discards() bool { return w.call.replay.again != nil }
