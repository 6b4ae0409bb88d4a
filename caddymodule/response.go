package caddymodule

import (
	"io"
	"net/http"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// responseWriter passes the upstream's answer on, less what only we may say:
// Token-Vault-Error, and the link pages' cookies. It buffers nothing.
type responseWriter struct {
	caddyhttp.ResponseWriterWrapper
	call  *call
	begun bool // the final answer
	ours  bool // an inner token_vault is answering through it
}

// WriteHeader implements http.ResponseWriter.
func (w *responseWriter) WriteHeader(status int) {
	if !w.begun && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.begun = true
		w.call.notice(status) // before the agent can have called again
	}
	w.scrub()
	w.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (w *responseWriter) Write(p []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(p)
}

// ReadFrom keeps the fast path of a large body.
func (w *responseWriter) ReadFrom(r io.Reader) (int64, error) {
	w.begin()
	return w.ResponseWriterWrapper.ReadFrom(r)
}

// FlushError is what http.ResponseController calls; a flush sends the header.
func (w *responseWriter) FlushError() error {
	w.begin()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

// begin is WriteHeader for answers that begin without.
func (w *responseWriter) begin() {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
}

// scrub runs before each header goes out, and once more when the answer is
// complete: then the header map holds the trailers.
func (w *responseWriter) scrub() {
	if w.ours {
		return
	}
	header := w.Header()
	delete(header, errorHeader)
	delete(header, http.TrailerPrefix+errorHeader)
	for _, name := range []string{"Set-Cookie", http.TrailerPrefix + "Set-Cookie"} {
		if values := header[name]; len(values) > 0 {
			setList(header, name, foreignCookies(values))
		}
	}
	if values := header["Trailer"]; len(values) > 0 {
		s := stripper{names: []string{fold(errorHeader)}}
		setList(header, "Trailer", s.stripTokens(values))
	}
}

// foreignCookies returns the Set-Cookie values that do not set one of ours.
func foreignCookies(values []string) []string {
	var kept []string
	for _, value := range values {
		if pair, _, _ := strings.Cut(value, ";"); !isOwnCookie(pair) {
			kept = append(kept, value)
		}
	}
	return kept
}
