package vault

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"
)

// Anybody can send a header, and it is read before there is a key to tell who did.
func TestNoHeaderCostsMuchMoreThanASmallOne(t *testing.T) {
	c := newTenant().client(t, Config{})
	inside := strings.TrimSuffix(mustJSON(goodHeader()), "}")
	forged := sign(otherRSAKey(), inside+`}`, mustJSON(goodClaims()))
	verify(t, c, goodToken(nil)) // the keys are there
	small := fastest(func() { _, _ = c.Verify(t.Context(), forged) })
	for name, members := range map[string]string{
		"three thousand arrays in 8 KB":  `"x":` + strings.Repeat("[", 2900) + strings.Repeat("]", 2900),
		"as many arrays as fit in 1 KB":  `"x":` + strings.Repeat("[", 480) + strings.Repeat("]", 480),
		"as many objects as fit in 1 KB": `"x":` + strings.Repeat(`{"":`, 190) + "0" + strings.Repeat("}", 190),
		"a list of three thousand":       `"x":[` + strings.Repeat("0,", 2900) + "0]",
		"six hundred members":            numbered(600),
		"a certificate":                  `"x5c":["` + newCertificate(t) + `"]`,
		"a chain of certificates":        `"x5c":["` + strings.Repeat(newCertificate(t)+`","`, 5) + `"]`,
		"a key":                          `"jwk":` + mustJSON(jwk(otherRSAKey().Public(), "key-1", nil)),
	} {
		t.Run(name, func(t *testing.T) {
			raw := b64(inside+","+members+"}") + "." + b64("{}") + "." + b64("x")
			if len(raw) > MaxTokenSize {
				t.Fatalf("%d bytes are refused unread", len(raw))
			}
			_, err := c.Verify(t.Context(), raw)
			refused(t, err, CodeInvalidToken)
			took := fastest(func() { _, _ = c.Verify(t.Context(), raw) })
			if took > 2*small {
				t.Errorf("%v, and %v for a small one", took, small)
			}
		})
	}
}

// What is signed with a key of the tenant's own is refused as well: the header is
// looked at before the key.
func TestAHeaderThatSaysMoreThanAuth0sIsRefused(t *testing.T) {
	c := newTenant().client(t, Config{})
	inside := strings.TrimSuffix(mustJSON(goodHeader()), "}")
	fill := func(size int) string { // a member that makes the header of that size
		return `"x":"` + strings.Repeat("x", size-len(inside+`,"x":""}`)) + `"`
	}
	for _, tt := range []struct{ members, want string }{
		{`"x":"y"`, "ok"},
		{`"cty":"JWT"`, "ok"},
		{`"nonce":"y"`, "ok"},
		{`"JWK":"y"`, "ok"},
		{`"x":"[{"`, "ok"},
		{`"x":1.5e3,"y":true,"z":null`, "ok"},
		{fill(1024), "ok"},
		{fill(1025), "malformed"},
		{`"x":[]`, "malformed"},
		{`"x":{}`, "malformed"},
		{`"x": [ 1 ]`, "malformed"},
		{`"x":[[[]]]`, "malformed"},
		{`"jwk":` + mustJSON(jwk(rsaKey().Public(), "key-1", nil)), "malformed"},
		{`"jwk":"y"`, "malformed"},
		{`"\u006awk":null`, "malformed"},
		{`"jku":"https://tenant.example.com/.well-known/jwks.json"`, "malformed"},
		{`"x5c":["` + newCertificate(t) + `"]`, "malformed"},
		{`"x5c":"y"`, "malformed"},
		{`"x5u":"https://tenant.example.com/cert.pem"`, "malformed"},
		{`"x5t":"y"`, "malformed"},
		{`"x5t#S256":"y"`, "malformed"},
		{`"crit":"y"`, "malformed"},
		{`"b64":true`, "malformed"},
		{`"zip":"DEF"`, "malformed"},
	} {
		t.Run(fmt.Sprintf("%.40s", tt.members), func(t *testing.T) {
			header := inside + "," + tt.members + "}"
			_, err := c.Verify(t.Context(), sign(rsaKey(), header, mustJSON(goodClaims())))
			checkInvalid(t, err, tt.want)
			_, err = c.VerifyIDToken(t.Context(), sign(rsaKey(), header, mustJSON(with(goodClaims(), object{"aud": "web", "azp": "web", "nonce": "n"}))), "web", "n")
			checkInvalid(t, err, tt.want)
		})
	}
}

// The operator is told what is wrong, and nothing of the token.
func TestTheReasonNamesWhatTheHeaderHas(t *testing.T) {
	c := newTenant().client(t, Config{})
	for members, want := range map[string]string{
		`"jku":"https://canary.example.com/"`:         "its header has jku",
		`"x":["canary"]`:                              "its header is nested",
		`"x":"` + strings.Repeat("canary", 200) + `"`: "its header is over 1 KiB",
	} {
		_, err := c.Verify(t.Context(), sign(rsaKey(), strings.TrimSuffix(mustJSON(goodHeader()), "}")+","+members+"}", "{}"))
		if e := refused(t, err, CodeInvalidToken); e.Err == nil || e.Err.Error() != want {
			t.Errorf("got %v, want %s", e, want)
		}
	}
}

// fastest is how long f takes when nothing disturbs it.
func fastest(f func()) time.Duration {
	least := time.Hour
	for range 100 {
		begun := time.Now()
		f()
		least = min(least, time.Since(begun))
	}
	return least
}

func numbered(n int) string {
	var members []string
	for i := range n {
		members = append(members, fmt.Sprintf(`"%d":0`, i))
	}
	return strings.Join(members, ",")
}

// newCertificate is one in the form that x5c has.
func newCertificate(t *testing.T) string {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, rsaKey().Public(), rsaKey())
	if err != nil {
		t.Fatal(err)
	}
	return base64.StdEncoding.EncodeToString(der)
}
