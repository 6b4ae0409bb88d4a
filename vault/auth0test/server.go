package auth0test

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Server is a [Tenant] that listens, on one port for itself and one for each
// stand-in.
type Server struct {
	*Tenant
	// URL and the others are base URLs without a slash at the end. That of a
	// stand-in that does not listen is empty.
	URL, GoogleURL, GitHubURL, MicrosoftURL, SlackURL string

	servers     []*http.Server
	certificate *x509.Certificate
	client      *http.Client
}

// NewServer starts a tenant and all stand-ins on free loopback ports. Like
// httptest.NewServer it panics when it cannot; the caller closes it.
func NewServer(cfg Config) *Server { return mustListen(Listen, cfg) }

// Listen starts a tenant on the given address. The issuer is "http://", that
// address as it was bound, without the port that the scheme implies, and "/". The
// other addresses are those of the stand-ins for Google, GitHub, Microsoft and Slack,
// in this order; without one, a stand-in does not listen.
func Listen(cfg Config, tenantAddr string, standInAddrs ...string) (*Server, error) {
	return listen(cfg, nil, tenantAddr, standInAddrs)
}

func mustListen(listen func(cfg Config, tenantAddr string, standInAddrs ...string) (*Server, error), cfg Config) *Server {
	const free = "127.0.0.1:0"
	s, err := listen(cfg, free, slices.Repeat([]string{free}, len(standIns))...)
	if err != nil {
		panic(err)
	}
	return s
}

// listen speaks TLS if there is a certificate.
func listen(cfg Config, certificate *tls.Certificate, tenantAddr string, standInAddrs []string) (*Server, error) {
	listeners := make([]net.Listener, 1+len(standIns)) // the tenant's first
	closeAll := func() {
		for _, l := range listeners {
			if l != nil {
				_ = l.Close()
			}
		}
	}
	if len(standInAddrs) > len(standIns) {
		return nil, fmt.Errorf("auth0test: %d addresses for %d stand-ins", len(standInAddrs), len(standIns))
	}
	var urls URLs
	at := append([]*string{&urls.Issuer}, urls.standIns()...)
	for i, addr := range append([]string{tenantAddr}, standInAddrs...) {
		if addr == "" && i > 0 {
			continue
		}
		l, err := net.Listen("tcp", addr)
		if err != nil {
			closeAll()
			what := "tenant"
			if i > 0 {
				what = standIns[i-1].name + " stand-in"
			}
			return nil, fmt.Errorf("auth0test: the %s cannot listen: %w", what, err)
		}
		listeners[i], *at[i] = l, listenURL(addr, l, certificate != nil)
	}
	t, err := New(cfg, urls)
	if err != nil {
		closeAll()
		return nil, err
	}
	s := &Server{
		Tenant: t, URL: urls.Issuer,
		GoogleURL: urls.Google, GitHubURL: urls.GitHub, MicrosoftURL: urls.Microsoft, SlackURL: urls.Slack,
	}
	s.trust(certificate)
	s.serve(listeners[0], t.Handler(), certificate)
	for i, p := range standIns {
		if l := listeners[i+1]; l != nil {
			s.serve(l, t.providers[p.strategy].handler, certificate)
		}
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
