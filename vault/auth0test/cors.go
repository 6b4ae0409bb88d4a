package auth0test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// withCORS lets pages of other origins read answers, where Auth0 does: those of the
// public documents all, those of its APIs the origins of the tenant's clients.
func (t *Tenant) withCORS(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/.well-known/") {
			w.Header().Set("Access-Control-Allow-Origin", "*")
		} else if crossOrigin(r.URL.Path) {
			w.Header().Add("Vary", "Origin")
			if origin := r.Header.Get("Origin"); origin != "" && t.mayRead(r, origin) {
				w.Header().Set("Access-Control-Allow-Origin", origin)
				w.Header().Set("Access-Control-Expose-Headers", "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset")
			}
		}
		if isPreflight(r) && (crossOrigin(r.URL.Path) || strings.HasPrefix(r.URL.Path, "/.well-known/")) {
			answerPreflight(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// crossOrigin paths are those that browsers' applications call.
func crossOrigin(path string) bool {
	return slices.Contains([]string{"/oauth/token", "/oauth/revoke", "/userinfo"}, path) ||
		strings.HasPrefix(path, "/me/") || strings.HasPrefix(path, "/api/v2/")
}

// mayRead: the origin must be the named client's, or any client's where a request
// names none, as no preflight does.
func (t *Tenant) mayRead(r *http.Request, origin string) bool {
	if c := t.cfg().client(peekParams(r)["client_id"]); c != nil {
		return c.hasOrigin(origin)
	}
	return slices.ContainsFunc(t.cfg().Clients, func(c Client) bool { return c.hasOrigin(origin) })
}

// hasOrigin: Auth0 adds the origins of a client's callbacks to those it lists.
func (c *Client) hasOrigin(origin string) bool {
	for _, allowed := range slices.Concat(c.AllowedOrigins, c.WebOrigins, c.Callbacks) {
		if allowsOrigin(allowed, origin) {
			return true
		}
	}
	return false
}

// allowsOrigin compares an origin with a URL that a client lists, whose host may
// begin with "*." for any one label. Path and query do not count.
func allowsOrigin(allowed, origin string) bool {
	allowed = originOf(allowed)
	if allowed == "" {
		return false
	}
	scheme, host, wild := strings.Cut(allowed, "://*.")
	if !wild {
		return allowed == origin
	}
	label, ok := strings.CutPrefix(origin, scheme+"://")
	label, found := strings.CutSuffix(label, "."+host)
	return ok && found && label != "" && !strings.ContainsAny(label, "./:")
}

// originOf is a URL's origin as browsers write it; empty for one that has none, such as
// a native application's.
func originOf(text string) string {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return ""
	}
	base, err := normalize(u.Scheme + "://" + strings.ToLower(u.Host))
	if err != nil {
		return ""
	}
	return base
}

func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Origin") != "" && r.Header.Get("Access-Control-Request-Method") != ""
}

// answerPreflight allows what is asked for, as far as the origin is allowed anything.
func answerPreflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	if h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", r.Header.Get("Access-Control-Request-Method"))
		if names := r.Header.Get("Access-Control-Request-Headers"); names != "" {
			h.Set("Access-Control-Allow-Headers", names)
		}
	}
	w.WriteHeader(http.StatusNoContent)
}
