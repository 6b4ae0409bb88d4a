package auth0test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
)

// RotateKeys makes the next signing key the current one. The previous key
// stays in the JWKS until it is revoked, which kills the tokens it signed.
func (t *Tenant) RotateKeys(revokePrevious bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.keys.rotate(revokePrevious)
}

// controls serve /_tenant: everything a test may do to the tenant.
func (t *Tenant) controls() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /_tenant/tokens", control(func(req *TokenRequest) (any, error) { return t.IssueToken(*req) }))
	mux.HandleFunc("POST /_tenant/connect", control(func(req *connectControl) (any, error) {
		if err := t.Connect(req.User, req.Connection, req.Scopes, req.Account); err != nil {
			return nil, err
		}
		return connectAnswer{t.ConnectWarnings(req.User, req.Connection)}, nil
	}))
	mux.HandleFunc("POST /_tenant/disconnect", control(func(req *accountControl) (any, error) {
		return done, t.Disconnect(req.User, req.Connection)
	}))
	mux.HandleFunc("POST /_tenant/revoke", control(func(req *accountControl) (any, error) {
		return done, t.Revoke(req.User, req.Connection)
	}))
	mux.HandleFunc("POST /_tenant/faults", control(func(req *Fault) (any, error) { return done, t.AddFault(*req) }))
	mux.HandleFunc("DELETE /_tenant/faults", func(w http.ResponseWriter, _ *http.Request) {
		t.ClearFaults()
		writeJSON(w, http.StatusOK, done)
	})
	mux.HandleFunc("POST /_tenant/rotate-keys", control(func(req *rotateControl) (any, error) {
		t.RotateKeys(req.RevokePrevious)
		return done, nil
	}))
	mux.HandleFunc("GET /_tenant/requests", func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, http.StatusOK, t.Requests())
	})
	mux.HandleFunc("DELETE /_tenant/requests", func(w http.ResponseWriter, _ *http.Request) {
		t.ClearRequests()
		writeJSON(w, http.StatusOK, done)
	})
	return localOnly(mux)
}

// done is the answer of controls that have nothing to tell.
var done = struct{}{}

type connectControl struct {
	User       string   `json:"user"`
	Connection string   `json:"connection"`
	Scopes     []string `json:"scopes"`
	Account    string   `json:"account"`
}

type connectAnswer struct {
	Warnings []string `json:"warnings,omitempty"`
}

type accountControl struct {
	User       string `json:"user"`
	Connection string `json:"connection"`
}

type rotateControl struct {
	RevokePrevious bool `json:"revoke_previous"`
}

// control reads a JSON request, strictly, and answers in JSON. No body counts
// as an empty object.
func control[T any](run func(*T) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		req := new(T)
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err == nil && len(body) > 0 {
			err = decodeStrict(body, req)
		}
		var answer any
		if err == nil {
			answer, err = run(req)
		}
		if err != nil {
			writeJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
			return
		}
		writeJSON(w, http.StatusOK, answer)
	}
}

// localOnly keeps web pages away from the controls, which mint tokens for
// anybody: the Host must be a loopback one (DNS rebinding), and the request no
// other site's.
func localOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := checkLocal(r); err != nil {
			writeJSON(w, http.StatusForbidden, map[string]string{"error": err.Error()})
			return
		}
		next.ServeHTTP(w, r)
	})
}

func checkLocal(r *http.Request) error {
	if !loopback(r.Host) {
		return errors.New("the controls answer on loopback names only")
	}
	if crossSite(r) {
		return errors.New("the controls answer no cross-site requests")
	}
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return errors.New("the controls answer no cross-origin requests")
		}
	}
	return nil
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
