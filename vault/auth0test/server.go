package auth0test

import (
	"crypto/tls"
	"crypto/x509"
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

	servers     []*http.Server
	certificate *x509.Certificate
	client      *http.Client
}

// NewServer starts a tenant on three free loopback ports. Like
// httptest.NewServer it panics when it cannot; the caller closes it.
func NewServer(cfg Config) *Server { return mustListen(Listen, cfg) }

// Listen starts a tenant on the given addresses. The issuer is "http://", the
// tenant's address as it was bound, without the port that the scheme implies, and "/".
func Listen(cfg Config, tenantAddr, googleAddr, githubAddr string) (*Server, error) {
	return listen(cfg, nil, tenantAddr, googleAddr, githubAddr)
}

func mustListen(listen func(cfg Config, tenantAddr, googleAddr, githubAddr string) (*Server, error), cfg Config) *Server {
	const free = "127.0.0.1:0"
	s, err := listen(cfg, free, free, free)
	if err != nil {
		panic(err)
	}
	return s
}

// listen speaks TLS if there is a certificate.
func listen(cfg Config, certificate *tls.Certificate, addrs ...string) (*Server, error) {
	var listeners []net.Listener
	closeAll := func() {
		for _, l := range listeners {
			_ = l.Close()
		}
	}
	var urls [3]string
	for i, addr := range addrs {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			closeAll()
			what := []string{"tenant", "Google stand-in", "GitHub stand-in"}[i]
			return nil, fmt.Errorf("auth0test: the %s cannot listen: %w", what, err)
		}
		listeners = append(listeners, l)
		urls[i] = listenURL(addr, l, certificate != nil)
	}
	s := &Server{URL: urls[0], GoogleURL: urls[1], GitHubURL: urls[2]}
	t, err := New(cfg, URLs{Issuer: s.URL, Google: s.GoogleURL, GitHub: s.GitHubURL})
	if err != nil {
		closeAll()
		return nil, err
	}
	s.Tenant = t
	s.trust(certificate)
	for i, h := range []http.Handler{t.Handler(), t.Google(), t.GitHub()} {
		s.serve(listeners[i], h, certificate)
	}
	return s, nil
}

func (s *Server) serve(l net.Listener, h http.Handler, certificate *tls.Certificate) {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	s.servers = append(s.servers, server)
	if certificate == nil {
		go func() { _ = server.Serve(l) }()
		return
	}
	server.TLSConfig = &tls.Config{Certificates: []tls.Certificate{*certificate}, MinVersion: tls.VersionTLS12}
	go func() { _ = server.ServeTLS(l, "", "") }()
}

// listenURL keeps the host's spelling (localhost stays localhost) and takes
// the port that was bound, unless the scheme implies it.
func listenURL(addr string, l net.Listener, secure bool) string {
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	port := l.Addr().(*net.TCPAddr).Port
	base, _ := normalize(scheme + net.JoinHostPort(listenHost(addr), strconv.Itoa(port)))
	return base
}

// listenHost is the host of an address. All interfaces are called by the loopback
// one.
func listenHost(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); host == "" || (ip != nil && ip.IsUnspecified()) {
		return "127.0.0.1"
	}
	return host
}

// Close stops listening and drops open connections.
func (s *Server) Close() {
	for _, server := range s.servers {
		_ = server.Close()
	}
	s.client.CloseIdleConnections()
}
