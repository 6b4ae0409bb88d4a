package auth0test

import (
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Server is a [Tenant] that listens, on one port for itself and one for each
// stand-in.
type Server struct {
	*Tenant
	// URL, GoogleURL and GitHubURL are base URLs without a slash at the end.
	URL, GoogleURL, GitHubURL string

	servers []*http.Server
}

// NewServer starts a tenant on three free loopback ports. Like
// httptest.NewServer it panics when it cannot; the caller closes it.
func NewServer(cfg Config) *Server {
	const free = "127.0.0.1:0"
	s, err := Listen(cfg, free, free, free)
	if err != nil {
		panic(err)
	}
	return s
}

// Listen starts a tenant on the given addresses. The issuer is "http://", the
// tenant's address as it was bound, and "/".
func Listen(cfg Config, tenantAddr, googleAddr, githubAddr string) (*Server, error) {
	var listeners []net.Listener
	closeAll := func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}
	for i, addr := range []string{tenantAddr, googleAddr, githubAddr} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			closeAll()
			what := []string{"tenant", "Google stand-in", "GitHub stand-in"}[i]
			return nil, fmt.Errorf("auth0test: the %s cannot listen: %w", what, err)
		}
		listeners = append(listeners, l)
	}
	s := &Server{
		URL:       listenURL(tenantAddr, listeners[0]),
		GoogleURL: listenURL(googleAddr, listeners[1]),
		GitHubURL: listenURL(githubAddr, listeners[2]),
	}
	t, err := New(cfg, URLs{Issuer: s.URL, Google: s.GoogleURL, GitHub: s.GitHubURL})
	if err != nil {
		closeAll()
		return nil, err
	}
	s.Tenant = t
	for i, h := range []http.Handler{t.Handler(), t.Google(), t.GitHub()} {
		server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
		s.servers = append(s.servers, server)
		go func() { _ = server.Serve(listeners[i]) }()
	}
	return s, nil
}

// listenURL keeps the host's spelling (localhost stays localhost) and takes
// the port that was bound. All interfaces are called by the loopback one.
func listenURL(addr string, l net.Listener) string {
	host, _, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		host = "127.0.0.1"
	}
	port := l.Addr().(*net.TCPAddr).Port
	return "http://" + net.JoinHostPort(host, strconv.Itoa(port))
}

// Close stops listening and drops open connections.
func (s *Server) Close() {
	for _, server := range s.servers {
		_ = server.Close()
	}
}
