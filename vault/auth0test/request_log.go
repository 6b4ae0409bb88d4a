package auth0test

import (
	"net/http"
	"slices"
	"sync"
	"time"
)

// Request is one request the tenant got. It holds nothing secret: no query, no
// header, no body.
type Request struct {
	Method string `json:"method"`
	Path   string `json:"path"`
	// Status of the answer; 0 when the connection was dropped.
	Status    int    `json:"status"`
	GrantType string `json:"grant_type,omitempty"`
	ClientID  string `json:"client_id,omitempty"`
	// Reason is the rule that refused the request, in a sentence, also where the answer
	// does not tell it; empty when it was not refused.
	Reason string    `json:"reason,omitempty"`
	At     time.Time `json:"at"`
}

// Requests lists what the tenant was asked since it started or since
// ClearRequests, in the order of the answers. The controls and the stand-ins
// are not in it.
func (t *Tenant) Requests() []Request { return t.requests.list() }

// OnRequest has f called with each of them, before the answer goes out. The last f
// counts; nil means none.
func (t *Tenant) OnRequest(f func(Request)) {
	t.requests.mu.Lock()
	defer t.requests.mu.Unlock()
	t.requests.observer = f
}

// ClearRequests empties the list.
func (t *Tenant) ClearRequests() { t.requests.clear() }

// maxRequests bounds the list; the oldest go first.
const maxRequests = 10000

type requestLog struct {
	mu       sync.Mutex
	entries  []Request
	observer func(Request)
}

func (l *requestLog) list() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Request{}, l.entries...)
}

func (l *requestLog) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.entries = nil
}

func (l *requestLog) add(entry Request) {
	l.mu.Lock()
	if len(l.entries) >= maxRequests {
		l.entries = slices.Clone(l.entries[maxRequests/10:])
	}
	l.entries = append(l.entries, entry)
	observer := l.observer
	l.mu.Unlock()
	if observer != nil {
		observer(entry)
	}
}

// watch records what passes through to next, dropped connections included.
func (l *requestLog) watch(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		entry := Request{Method: r.Method, Path: r.URL.Path, At: time.Now()}
		entry.GrantType, entry.ClientID = askedBy(r)
		status := &statusWriter{ResponseWriter: w}
		// Even when next drops the connection by a panic. The entry must be there
		// before the client has its answer, hence the writer's help.
		status.done = sync.OnceFunc(func() {
			entry.Status, entry.Reason = status.code, status.reason
			l.add(entry)
		})
		defer status.done()
		next.ServeHTTP(status, r)
		if status.code == 0 {
			status.WriteHeader(http.StatusOK)
		}
	})
}

// askedBy reads the grant and the client a request names, as far as they are
// names: what is too long for one is left out.
func askedBy(r *http.Request) (grant, client string) {
	p := peekParams(r)
	grant, client = p["grant_type"], p["client_id"]
	if name, _, ok := r.BasicAuth(); ok && client == "" {
		client = name
	}
	if client == "" {
		client = r.URL.Query().Get("client_id")
	}
	if len(grant) > 128 {
		grant = ""
	}
	if len(client) > 128 {
		client = ""
	}
	return grant, client
}

// statusWriter notes the status and reports it before it goes out.
type statusWriter struct {
	http.ResponseWriter
	code   int
	reason string // see note
	done   func()
}

// WriteHeader implements http.ResponseWriter.
func (w *statusWriter) WriteHeader(code int) {
	if w.code == 0 {
		w.code = code
		w.done()
	}
	w.ResponseWriter.WriteHeader(code)
}

// Write implements http.ResponseWriter.
func (w *statusWriter) Write(p []byte) (int, error) {
	if w.code == 0 {
		w.WriteHeader(http.StatusOK)
	}
	return w.ResponseWriter.Write(p)
}

// Unwrap serves http.ResponseController.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
