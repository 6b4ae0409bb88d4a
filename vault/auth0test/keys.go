package auth0test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"fmt"
	"math/big"
	"net/url"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// hostileSecret signs HS256 tokens that a test asks for and no API uses.
const hostileSecret = "auth0test-hs256-secret-that-nobody-uses"

// A keyPair is one generation of the tenant's signing keys. Auth0 signs with
// RSA; PS256 uses the same key under another kid, ES256 has its own. Keys are
// made at their first use: making them all would slow down every test.
type keyPair struct {
	kid   string
	rsa   func() *rsa.PrivateKey
	ecdsa func() *ecdsa.PrivateKey
	cert  func() *x509.Certificate
}

func newKeyPair(issuer string) *keyPair {
	k := &keyPair{kid: randomID(21)}
	k.rsa = sync.OnceValue(func() *rsa.PrivateKey {
		key, err := rsa.GenerateKey(rand.Reader, 2048)
		if err != nil {
			panic(err) // the system has no randomness
		}
		return key
	})
	k.ecdsa = sync.OnceValue(func() *ecdsa.PrivateKey {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		return key
	})
	k.cert = sync.OnceValue(func() *x509.Certificate { return selfSigned(issuer, k.rsa()) })
	return k
}

// selfSigned makes the certificate that Auth0 shows beside each key.
func selfSigned(issuer string, key *rsa.PrivateKey) *x509.Certificate {
	name := "tenant"
	if u, err := url.Parse(issuer); err == nil {
		name = u.Hostname()
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()),
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().AddDate(13, 0, 0),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	return cert
}

// kidFor is the key id a token signed with alg carries.
func (k *keyPair) kidFor(alg string) string {
	switch alg {
	case "PS256", "ES256":
		return k.kid + "-" + alg
	default:
		return k.kid
	}
}

// sign returns the signature over a token's first two parts.
func (k *keyPair) sign(alg, secret string, input []byte) ([]byte, error) {
	digest := sha256.Sum256(input)
	switch alg {
	case "none":
		return nil, nil
	case "HS256":
		setDefault(&secret, hostileSecret)
		mac := hmac.New(sha256.New, []byte(secret))
		mac.Write(input)
		return mac.Sum(nil), nil
	case "PS256":
		opts := &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash}
		return rsa.SignPSS(rand.Reader, k.rsa(), crypto.SHA256, digest[:], opts)
	case "ES256":
		r, s, err := ecdsa.Sign(rand.Reader, k.ecdsa(), digest[:])
		if err != nil {
			return nil, err
		}
		out := make([]byte, 64)
		r.FillBytes(out[:32])
		s.FillBytes(out[32:])
		return out, nil
	default: // RS256, and whatever else a hostile header claims
		return rsa.SignPKCS1v15(rand.Reader, k.rsa(), crypto.SHA256, digest[:])
	}
}

// public is the key as the JWKS shows it.
func (k *keyPair) public(alg string) jose.JSONWebKey {
	jwk := jose.JSONWebKey{KeyID: k.kidFor(alg), Use: "sig", Algorithm: alg}
	if alg == "ES256" {
		jwk.Key = k.ecdsa().Public()
		return jwk
	}
	cert := k.cert()
	sum := sha1.Sum(cert.Raw) // x5t is defined as SHA-1
	jwk.Key = k.rsa().Public()
	jwk.Certificates = []*x509.Certificate{cert}
	jwk.CertificateThumbprintSHA1 = sum[:]
	return jwk
}

// A keyRing holds the key that signs, the one that will, and those that did.
// It is guarded by the tenant's mutex.
type keyRing struct {
	issuer        string
	current, next *keyPair
	previous      []*keyPair
}

func newKeyRing(issuer string) *keyRing {
	return &keyRing{issuer: issuer, current: newKeyPair(issuer), next: newKeyPair(issuer)}
}

// rotate makes the next key sign. Auth0 keeps publishing the previous key
// until it is revoked, which also kills the tokens it signed.
func (r *keyRing) rotate(revokePrevious bool) {
	r.previous = append(r.previous, r.current)
	r.current, r.next = r.next, newKeyPair(r.issuer)
	if revokePrevious {
		r.previous = nil
	}
}

// all lists the published generations, the signing one first.
func (r *keyRing) all() []*keyPair {
	return append([]*keyPair{r.current, r.next}, r.previous...)
}

// jwks renders the keys for the given algorithms.
func jwks(pairs []*keyPair, algs []string) jose.JSONWebKeySet {
	var wg sync.WaitGroup
	for _, k := range pairs { // the first request makes two keys: side by side
		wg.Go(func() { k.rsa() })
	}
	wg.Wait()
	var set jose.JSONWebKeySet
	for _, k := range pairs {
		for _, alg := range algs {
			set.Keys = append(set.Keys, k.public(alg))
		}
	}
	return set
}

// randomID is a random text of n letters, digits, "-" and "_".
func randomID(n int) string {
	return base64.RawURLEncoding.EncodeToString(randomBytes((n*3 + 3) / 4))[:n]
}

// randomAlnum is a random text of n letters and digits.
func randomAlnum(n int) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	out := make([]byte, 0, n)
	for len(out) < n {
		for _, b := range randomBytes(n) {
			if int(b) < 4*len(alphabet) && len(out) < n { // no modulo bias
				out = append(out, alphabet[int(b)%len(alphabet)])
			}
		}
	}
	return string(out)
}

func randomBytes(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // crypto/rand.Read never fails
	return b
}

// randomUUID is how Auth0 writes a connect ticket.
func randomUUID() string {
	b := randomBytes(16)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
