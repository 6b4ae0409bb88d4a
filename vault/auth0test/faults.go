package auth0test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"
)

// Fault is something to go wrong, at the tenant or at a stand-in.
type Fault struct {
	// Path of the requests it is for; with a "*" at the end, a prefix.
	Path string `json:"path"`
	// GrantType, when set, narrows it to token requests of that grant.
	GrantType string `json:"grant_type,omitempty"`
	// Status of the answer. 0 drops the connection; nil answers as always, so
	// that only the delay is left.
	Status *int `json:"status,omitempty"`
	// Body of the answer: a string goes out as it is, anything else as JSON.
	Body any `json:"body,omitempty"`
	// Headers of the answer.
	Headers map[string]string `json:"headers,omitempty"`
	// DelayMS is how many milliseconds to wait first.
	DelayMS int `json:"delay_ms,omitempty"`
	// Times is how many requests it is for. Nil means 1; 0 means all, until
	// ClearFaults.
	Times *int `json:"times,omitempty"`
}

// AddFault arms a fault. Of those armed, the first that matches a request
// applies.
func (t *Tenant) AddFault(f Fault) error {
	if err := f.validate(); err != nil {
		return fmt.Errorf("auth0test: fault: %w", err)
	}
	t.faults.add(f)
	return nil
}

// ClearFaults disarms all faults.
func (t *Tenant) ClearFaults() { t.faults.clear() }

func (f Fault) validate() error {
	if !strings.HasPrefix(f.Path, "/") {
		return errors.New("path must begin with a slash")
	}
	if strings.HasPrefix(f.Path, "/_tenant") {
		return errors.New("the controls have no faults")
	}
	if f.Status != nil && *f.Status != 0 && (*f.Status < 200 || *f.Status > 599) {
		return errors.New("status must be 0 or between 200 and 599")
	}
	if f.DelayMS < 0 || (f.Times != nil && *f.Times < 0) {
		return errors.New("delay_ms and times must not be negative")
	}
	return nil
}

// A faultList holds the armed faults, in order.
type faultList struct {
	mu    sync.Mutex
	armed []*armedFault
}

type armedFault struct {
	Fault
	left int // 0: no limit
}

func (l *faultList) add(f Fault) {
	armed := &armedFault{Fault: f, left: 1}
	if f.Times != nil {
		armed.left = *f.Times
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = append(l.armed, armed)
}

func (l *faultList) clear() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.armed = nil
}

// take finds the fault for a request and uses it up once.
func (l *faultList) take(r *http.Request) *Fault {
	l.mu.Lock()
	defer l.mu.Unlock()
	for i, f := range l.armed {
		if !f.matches(r) {
			continue
		}
		if f.left == 1 {
			l.armed = append(l.armed[:i:i], l.armed[i+1:]...)
		} else if f.left > 1 {
			f.left--
		}
		return &f.Fault
	}
	return nil
}

func (f *armedFault) matches(r *http.Request) bool {
	if prefix, ok := strings.CutSuffix(f.Path, "*"); ok {
		if !strings.HasPrefix(r.URL.Path, prefix) {
			return false
		}
	} else if f.Path != r.URL.Path {
		return false
	}
	return f.GrantType == "" || f.GrantType == peekParams(r)["grant_type"]
}

// inject puts the armed faults in front of a handler.
func (l *faultList) inject(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f := l.take(r)
		if f == nil {
			next.ServeHTTP(w, r)
			return
		}
		if !wait(r, time.Duration(f.DelayMS)*time.Millisecond) {
			panic(http.ErrAbortHandler) // the client has gone
		}
		switch {
		case f.Status == nil:
			next.ServeHTTP(w, r)
		case *f.Status == 0:
			note(w, "a fault was set for %s", f.Path)
			panic(http.ErrAbortHandler) // net/http drops the connection
		default:
			f.write(w)
		}
	})
}

// wait reports whether the client is still there after d.
func wait(r *http.Request, d time.Duration) bool {
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-r.Context().Done():
		return false
	}
}

func (f *Fault) write(w http.ResponseWriter) {
	var body []byte
	switch v := f.Body.(type) {
	case nil:
	case string:
		body = []byte(v)
	default:
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		body, _ = json.Marshal(v)
	}
	for name, value := range f.Headers {
		if lower := strings.ToLower(name); w.Header()[lower] != nil {
			w.Header()[lower] = []string{value} // the rate-limit headers, see withRateLimit
			continue
		}
		w.Header().Set(name, value)
	}
	note(w, "a fault was set for %s", f.Path)
	w.WriteHeader(*f.Status)
	_, _ = w.Write(body)
}

// peekParams reads a request's parameters and leaves the body as it was.
func peekParams(r *http.Request) params {
	if r.Method != http.MethodPost || r.Body == nil {
		return nil
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	r.Body = io.NopCloser(io.MultiReader(bytes.NewReader(body), r.Body))
	if err != nil {
		return nil
	}
	p, _ := parseParams(r.Header.Get("Content-Type"), body)
	return p
}
