package auth0test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"slices"
	"time"
)

// NewTLSServer is [NewServer] over https, for clients that insist on that, as
// Auth0's SDKs do. The stand-ins speak https too.
func NewTLSServer(cfg Config) *Server { return mustListen(ListenTLS, cfg) }

// ListenTLS is [Listen] over https. The certificate is made for this server and
// signed by itself: it is good for 127.0.0.1, ::1, localhost and the hosts of the
// given addresses, for a year. Its key never leaves the process.
func ListenTLS(cfg Config, tenantAddr string, standInAddrs ...string) (*Server, error) {
	hosts := []string{"127.0.0.1", "::1", "localhost", listenHost(tenantAddr)} //nolint:prealloc // a few, once
	for _, addr := range standInAddrs {
		hosts = append(hosts, listenHost(addr))
	}
	certificate, err := newCertificate(hosts...)
	if err != nil {
		return nil, fmt.Errorf("auth0test: no certificate: %w", err)
	}
	return listen(cfg, certificate, tenantAddr, standInAddrs)
}

// Certificate returns what clients of this server have to trust; nil if it speaks
// plain http.
func (s *Server) Certificate() *x509.Certificate { return s.certificate }

// Client returns an http.Client that trusts the server's certificate and no other.
// Of a server that speaks plain http it is like any.
func (s *Server) Client() *http.Client { return s.client }

// trust makes the server's client.
func (s *Server) trust(certificate *tls.Certificate) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, ForceAttemptHTTP2: true}
	if certificate != nil {
		s.certificate = certificate.Leaf
		pool := x509.NewCertPool()
		pool.AddCert(s.certificate)
		transport.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	s.client = &http.Client{Transport: transport}
}

// newCertificate makes a certificate for names and addresses, signed by itself. It is no authority:
// who trusts it trusts nothing that others could sign with it.
func newCertificate(hosts ...string) (*tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "local Auth0 tenant"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(1, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},

		BasicConstraintsValid: true,
	}
	slices.Sort(hosts)
	for _, host := range slices.Compact(hosts) {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, err
}
