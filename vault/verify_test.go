package vault

import (
	"context"
	"crypto"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// What Auth0 can issue, over HTTP from a tenant.
func TestVerifyAcceptsOnlyAccessTokensOfThisAPI(t *testing.T) {
	s, c := listen(t, nil, Config{})
	now := time.Now()
	tests := []struct {
		name           string
		claims, header object
		want           string
	}{
		{"the tenant's token for this API is accepted", nil, nil, "ok"},
		{"an issuer without its slash is another issuer", object{"iss": s.URL}, nil, "wrong_issuer"},
		{"an issuer on another host", object{"iss": "https://other.example.com/"}, nil, "wrong_issuer"},
		{"an issuer that only begins with ours", object{"iss": s.URL + "/evil/"}, nil, "wrong_issuer"},
		{"no issuer", object{"iss": nil}, nil, "wrong_issuer"},
		{"an issuer that is no string", object{"iss": 1}, nil, "malformed_claims"},
		{"this audience among several", object{"aud": []string{s.URL + "/userinfo", "https://agents.example.com/"}}, nil, "ok"},
		{"another audience", object{"aud": "https://other.example.com/"}, nil, "wrong_audience"},
		{"an audience of which ours is a part", object{"aud": "https://agents.example.com/admin"}, nil, "wrong_audience"},
		{"an audience that is part of ours", object{"aud": "https://agents.example.com"}, nil, "wrong_audience"},
		{"no audience", object{"aud": nil}, nil, "wrong_audience"},
		{"an empty list of audiences", object{"aud": []string{}}, nil, "wrong_audience"},
		{"an audience that is no string", object{"aud": 5}, nil, "malformed_claims"},
		{"an audience beside a number", object{"aud": []any{"https://agents.example.com/", 5}}, nil, "malformed_claims"},
		{"no expiry", object{"exp": nil}, nil, "no_expiry"},
		{"an expiry in the past", object{"exp": now.Unix() - 1}, nil, "expired"},
		{"an expiry with a fraction", object{"exp": float64(now.Unix()) + 100.5}, nil, "ok"},
		{"an expiry in a string", object{"exp": "4102444800"}, nil, "malformed_claims"},
		{"an expiry below zero", object{"exp": -1}, nil, "expired"},
		{"an expiry beyond all calendars", object{"exp": 1e300}, nil, "ok"},
		{"not before a minute from now", object{"nbf": now.Unix() + 60}, nil, "not_yet_valid"},
		{"not before a minute ago", object{"nbf": now.Unix() - 60}, nil, "ok"},
		{"issued a minute from now", object{"iat": now.Unix() + 60}, nil, "not_yet_valid"},
		{"no time of issue", object{"iat": nil}, nil, "ok"},
		{"type at+jwt", nil, object{"typ": "at+jwt"}, "ok"},
		{"type application/at+jwt, in any case", nil, object{"typ": "Application/AT+JWT"}, "ok"},
		{"type jwt", nil, object{"typ": "jwt"}, "ok"},
		{"no type", nil, object{"typ": nil}, "wrong_type"},
		{"an empty type", nil, object{"typ": ""}, "wrong_type"},
		{"a type that is no string", nil, object{"typ": 1}, "wrong_type"},
		{"a DPoP proof", nil, object{"typ": "dpop+jwt"}, "wrong_type"},
		{"a privileged worker's request", nil, object{"typ": "token-vault-req+jwt"}, "wrong_type"},
		{"a logout token", nil, object{"typ": "logout+jwt"}, "wrong_type"},
		{"no subject", object{"sub": nil}, nil, "no_subject"},
		{"an empty subject", object{"sub": ""}, nil, "no_subject"},
		{"a subject that is no string", object{"sub": 17}, nil, "malformed_claims"},
		{"a token bound to a key", object{"cnf": object{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}}, nil, "sender_constrained"},
		{"a token bound to an empty object", object{"cnf": object{}}, nil, "sender_constrained"},
		{"scopes in a list", object{"scope": []string{"a"}}, nil, "malformed_claims"},
		{"permissions in a string", object{"permissions": "a"}, nil, "malformed_claims"},
		{"an organization that is no string", object{"org_id": 5}, nil, "malformed_claims"},
		{"what is read in ID tokens only, of other types", object{"name": object{"given": "A"}, "email": 1, "nickname": []string{}, "nonce": 1, "amr": "pwd", "auth_time": "now"}, nil, "ok"},
		{"signed with a shared secret", nil, object{"alg": "HS256"}, "wrong_algorithm"},
		{"not signed", nil, object{"alg": "none"}, "wrong_algorithm"},
		{"an algorithm spelt in another case", nil, object{"alg": "rs256"}, "wrong_algorithm"},
		{"an algorithm of the header's own wish", nil, object{"alg": "PS256"}, "wrong_algorithm"},
		{"the elliptic key, which is not configured", nil, object{"alg": "ES256"}, "wrong_algorithm"},
		{"no key id", nil, object{"kid": nil}, "unknown_key"},
		{"a key id of nobody", nil, object{"kid": "nobody"}, "unknown_key"},
		{"a key id that is no string", nil, object{"kid": 5}, "malformed"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			raw := issueRaw(t, s, auth0test.TokenRequest{Claims: tt.claims, Header: tt.header}).AccessToken
			_, err := c.Verify(t.Context(), raw)
			checkInvalid(t, err, tt.want)
		})
	}
}

// checkInvalid wants CodeInvalidToken with that reason, or no error for "ok".
func checkInvalid(t *testing.T, err error, want string) {
	t.Helper()
	if want != "ok" {
		want = string(CodeInvalidToken) + "/" + want
	}
	if got := describe(err); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestVerifyTellsWhoCalls(t *testing.T) {
	s, c := listen(t, nil, Config{})
	tests := []struct {
		name string
		req  auth0test.TokenRequest
		want AccessToken
	}{
		{
			"a user, through the client in azp",
			auth0test.TokenRequest{User: "auth0|alice", ClientID: "demo-agent", Scope: "read:calendar read:repos"},
			AccessToken{Subject: "auth0|alice", ClientID: "demo-agent", Scopes: []string{"read:calendar", "read:repos"}},
		},
		{
			"a user, through the client in client_id",
			auth0test.TokenRequest{User: "auth0|alice", Claims: object{"client_id": "rfc9068"}},
			AccessToken{Subject: "auth0|alice", ClientID: "rfc9068"},
		},
		{
			"the same client in both",
			auth0test.TokenRequest{User: "auth0|alice", ClientID: "agent", Claims: object{"client_id": "agent"}},
			AccessToken{Subject: "auth0|alice", ClientID: "agent"},
		},
		{
			"two clients that differ are no client",
			auth0test.TokenRequest{User: "auth0|alice", ClientID: "agent", Claims: object{"client_id": "other"}},
			AccessToken{Subject: "auth0|alice"},
		},
		{
			"no client",
			auth0test.TokenRequest{User: "auth0|alice"},
			AccessToken{Subject: "auth0|alice"},
		},
		{
			"an organization, and permissions beside scopes",
			auth0test.TokenRequest{User: "auth0|bob", ClientID: "a", Claims: object{"org_id": "org_1", "permissions": []string{"write:all"}}},
			AccessToken{Subject: "auth0|bob", ClientID: "a", OrgID: "org_1", Permissions: []string{"write:all"}},
		},
		{
			"a client that speaks for itself",
			auth0test.TokenRequest{ClientID: "demo-agent"},
			AccessToken{Subject: "demo-agent@clients", ClientID: "demo-agent", machine: true},
		},
		{
			"a client that speaks for itself, known by its subject alone",
			auth0test.TokenRequest{ClientID: "demo-agent", Claims: object{"gty": nil}},
			AccessToken{Subject: "demo-agent@clients", ClientID: "demo-agent", machine: true},
		},
		{
			"an agent that is a principal of its own",
			auth0test.TokenRequest{ClientID: "a", Claims: object{"sub": "agt_1a2B3c4D5e6F7g8H9i0JkL", "gty": nil}},
			AccessToken{Subject: "agt_1a2B3c4D5e6F7g8H9i0JkL", ClientID: "a", machine: true},
		},
		{
			"an agent that is a principal under a name of its own",
			auth0test.TokenRequest{ClientID: "a", Claims: object{"sub": "Billing agent, Zürich", "gty": nil}},
			AccessToken{Subject: "Billing agent, Zürich", ClientID: "a", machine: true},
		},
		{
			"an agent, known by its profile alone",
			auth0test.TokenRequest{User: "auth0|alice", ClientID: "a", Claims: object{"sub_profile": "ai_agent"}},
			AccessToken{Subject: "auth0|alice", ClientID: "a", machine: true},
		},
		{
			"a profile that is no text is not a user's",
			auth0test.TokenRequest{User: "auth0|alice", ClientID: "a", Claims: object{"sub_profile": []string{"user"}}},
			AccessToken{Subject: "auth0|alice", ClientID: "a", machine: true},
		},
		{
			"a user, who is said to be one, through an agent that acts",
			auth0test.TokenRequest{User: "auth0|alice", ClientID: "a", Claims: object{"sub_profile": "user", "act": object{"sub": "agt_1", "sub_profile": "ai_agent"}}},
			AccessToken{Subject: "auth0|alice", ClientID: "a"},
		},
		{
			"a user of an enterprise connection",
			auth0test.TokenRequest{User: "samlp|corp|a|b", ClientID: "a"},
			AccessToken{Subject: "samlp|corp|a|b", ClientID: "a"},
		},
		{
			"a client that speaks for itself, known by the grant alone",
			auth0test.TokenRequest{User: "auth0|alice", ClientID: "a", Claims: object{"gty": "client-credentials"}},
			AccessToken{Subject: "auth0|alice", ClientID: "a", machine: true},
		},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := c.Verify(t.Context(), issueRaw(t, s, tt.req).AccessToken)
			if err != nil {
				t.Fatal(err)
			}
			if got.Machine() != tt.want.machine || time.Until(got.Expiry) < time.Minute {
				t.Errorf("Machine is %t, Expiry is %v", got.Machine(), got.Expiry)
			}
			shown := AccessToken{Subject: got.Subject, ClientID: got.ClientID, OrgID: got.OrgID, Permissions: got.Permissions, machine: got.machine}
			if len(got.Scopes) > 0 {
				shown.Scopes = got.Scopes
			}
			if !reflect.DeepEqual(shown, tt.want) {
				t.Errorf("got %+v, want %+v", shown, tt.want)
			}
		})
	}
}

func TestGrantsCountsScopesAndPermissions(t *testing.T) {
	token := &AccessToken{Scopes: []string{"a"}, Permissions: []string{"b"}}
	for _, tt := range []struct {
		scopes []string
		want   bool
	}{{nil, true}, {[]string{"a"}, true}, {[]string{"b", "a"}, true}, {[]string{"a", "c"}, false}, {[]string{"A"}, false}, {[]string{""}, false}} {
		if got := token.Grants(tt.scopes); got != tt.want {
			t.Errorf("Grants(%q) is %t", tt.scopes, got)
		}
	}
}

func TestVerifyToTheSecond(t *testing.T) {
	for _, tt := range []struct {
		name   string
		claims func(now time.Time) object
		want   string
	}{
		{"expiry in a second", func(now time.Time) object { return object{"exp": seconds(now) + 1} }, "ok"},
		{"expiry now: no leeway", func(now time.Time) object { return object{"exp": seconds(now)} }, "expired"},
		{"issued thirty seconds from now", func(now time.Time) object { return object{"iat": seconds(now) + 30} }, "ok"},
		{"issued 31 seconds from now", func(now time.Time) object { return object{"iat": seconds(now) + 31} }, "not_yet_valid"},
		{"not before thirty seconds from now", func(now time.Time) object { return object{"nbf": seconds(now) + 30} }, "ok"},
		{"not before 31 seconds from now", func(now time.Time) object { return object{"nbf": seconds(now) + 31} }, "not_yet_valid"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				_, err := newTenant().client(t, Config{}).Verify(t.Context(), goodToken(tt.claims(time.Now())))
				checkInvalid(t, err, tt.want)
			})
		})
	}
}

func TestVerifyReadsClaimsStrictly(t *testing.T) {
	c := newTenant().client(t, Config{})
	good := mustJSON(goodClaims())
	inside := strings.TrimSuffix(good, "}")
	without := func(name string) string {
		return strings.TrimSuffix(mustJSON(with(goodClaims(), object{name: nil})), "}")
	}
	for _, tt := range []struct{ name, payload, want string }{
		{"as it should be", good, "ok"},
		{"a claim twice", inside + `,"sub":"auth0|bob"}`, "malformed_claims"},
		{"an unknown claim twice", inside + `,"x":1,"x":2}`, "malformed_claims"},
		{"ISS is not iss", without("iss") + `,"ISS":"` + testIssuer + `"}`, "wrong_issuer"},
		{"Aud is not aud", without("aud") + `,"Aud":"` + testAudience + `"}`, "wrong_audience"},
		{"Exp is not exp", without("exp") + `,"Exp":4102444800}`, "no_expiry"},
		{"Sub is not sub", without("sub") + `,"Sub":"auth0|alice"}`, "no_subject"},
		{"an expiry of null", without("exp") + `,"exp":null}`, "no_expiry"},
		{"an audience of null", without("aud") + `,"aud":null}`, "wrong_audience"},
		{"bound to null", inside + `,"cnf":null}`, "sender_constrained"},
		{"data after the claims", good + `{}`, "malformed_claims"},
		{"a list", `[` + good + `]`, "malformed_claims"},
		{"null", `null`, "wrong_issuer"},
		{"nothing", ``, "malformed_claims"},
		{"an expiry no number can hold", without("exp") + `,"exp":1e999}`, "malformed_claims"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Verify(t.Context(), sign(rsaKey(), mustJSON(goodHeader()), tt.payload))
			checkInvalid(t, err, tt.want)
		})
	}
}

func TestVerifyReadsTheTokenStrictly(t *testing.T) {
	c := newTenant().client(t, Config{})
	good := goodToken(nil)
	parts := strings.Split(good, ".")
	// The last character of 256 bytes holds two bits; the four below it are stray.
	stray := good[:len(good)-1] + string(rune(good[len(good)-1])+1)
	for _, tt := range []struct{ name, raw, want string }{
		{"as it should be", good, "ok"},
		{"junk", "junk", "no_jwt"},
		{"two parts", parts[0] + "." + parts[1], "malformed"},
		{"four parts", good + ".", "malformed"},
		{"five parts: encrypted", good + ".AA.AA", "encrypted"},
		{"a line break inside", parts[0] + ".\n" + parts[1] + "." + parts[2], "malformed"},
		{"a line break at the end", good + "\n", "malformed"},
		{"a carriage return inside a part", good[:10] + "\r" + good[10:], "malformed"},
		{"a space in front", " " + good, "malformed"},
		{"padding", parts[0] + "." + parts[1] + "." + parts[2] + "==", "malformed"},
		{"stray bits at the end", stray, "malformed"},
		{"the other base64 alphabet", strings.NewReplacer("-", "+", "_", "/").Replace(good) + "+", "malformed"},
		{"a signature cut off", parts[0] + "." + parts[1] + ".", "bad_signature"},
		{"another payload", parts[0] + "." + b64(mustJSON(with(goodClaims(), object{"sub": "auth0|bob"}))) + "." + parts[2], "bad_signature"},
		{"the JSON form", `{"payload":"` + parts[1] + `","protected":"` + parts[0] + `","signature":"` + parts[2] + `"}`, "no_jwt"},
		{"a header that is no JSON", b64("{") + "." + parts[1] + "." + parts[2], "malformed"},
		{"a header that is null", b64("null") + "." + parts[1] + "." + parts[2], "malformed"},
		{"an empty header", "." + parts[1] + "." + parts[2], "malformed"},
		{"only dots", "..", "malformed"},
		{"bytes that are no text", "\xff\x00." + parts[1] + "." + parts[2], "malformed"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Verify(t.Context(), tt.raw)
			checkInvalid(t, err, tt.want)
		})
	}
}

func TestVerifyLooksAtNothingLongerThan8KiB(t *testing.T) {
	s := newTenant()
	c := s.client(t, Config{})
	_, err := c.Verify(t.Context(), tokenOfLength(t, 8192))
	checkInvalid(t, err, "ok")
	for _, raw := range []string{"", tokenOfLength(t, 8193), strings.Repeat("a", 1<<20)} {
		_, err := c.Verify(t.Context(), raw)
		if got := describe(err); got != "invalid_request/token_size" {
			t.Errorf("%d bytes: got %s", len(raw), got)
		}
	}
}

// tokenOfLength pads a good token with a claim.
func tokenOfLength(t *testing.T, n int) string {
	t.Helper()
	for pad := n / 2; pad < n; pad++ {
		claims := mustJSON(with(goodClaims(), object{"x": strings.Repeat("x", pad)}))
		length := len(b64(mustJSON(goodHeader()))) + 2 + base64.RawURLEncoding.EncodedLen(len(claims)) + base64.RawURLEncoding.EncodedLen(256)
		if length == n {
			return sign(rsaKey(), mustJSON(goodHeader()), claims)
		}
	}
	// Some lengths no payload gives: let the header be longer by one.
	header := mustJSON(with(goodHeader(), object{"x": ""}))
	for pad := n / 2; pad < n; pad++ {
		claims := mustJSON(with(goodClaims(), object{"x": strings.Repeat("x", pad)}))
		if raw := len(b64(header)) + 2 + base64.RawURLEncoding.EncodedLen(len(claims)) + base64.RawURLEncoding.EncodedLen(256); raw == n {
			return sign(rsaKey(), header, claims)
		}
	}
	t.Fatalf("no token of %d bytes", n)
	return ""
}

func TestVerifyTakesOnlyTheConfiguredAlgorithms(t *testing.T) {
	s := newTenant()
	s.serveKeys(answering(http.StatusOK, keySetOf(
		jwk(rsaKey().Public(), "any", nil), jwk(ecKey().Public(), "ec", object{"alg": "ES256"}),
	)))
	token := func(key any, alg, kid string) string {
		return sign(key, mustJSON(object{"alg": alg, "typ": "JWT", "kid": kid}), mustJSON(goodClaims()))
	}
	for _, tt := range []struct {
		configured []string
		key        any
		alg, kid   string
		want       string
	}{
		{nil, rsaKey(), "RS256", "any", "ok"},
		{nil, rsaKey(), "PS256", "any", "wrong_algorithm"},
		{nil, rsaKey(), "RS512", "any", "wrong_algorithm"},
		{nil, ecKey(), "ES256", "ec", "wrong_algorithm"},
		{[]string{"PS256"}, rsaKey(), "PS256", "any", "ok"},
		{[]string{"PS256"}, rsaKey(), "RS256", "any", "wrong_algorithm"},
		{[]string{"PS256"}, rsaKey(), "PS512", "any", "wrong_algorithm"},
		{[]string{"ES256"}, ecKey(), "ES256", "ec", "ok"},
		{[]string{"ES256"}, rsaKey(), "RS256", "any", "wrong_algorithm"},
		{[]string{"RS256", "ES256"}, ecKey(), "ES256", "ec", "ok"},
		{[]string{"RS256", "ES256"}, ecKey(), "ES256", "any", "unknown_key"},
		{[]string{"RS256", "ES256"}, rsaKey(), "RS256", "ec", "unknown_key"},
		{[]string{"RS256", "PS256"}, otherRSAKey(), "RS256", "any", "bad_signature"},
	} {
		t.Run(strings.Join(tt.configured, "+")+" meets "+tt.alg+" by "+tt.kid, func(t *testing.T) {
			c := s.client(t, Config{Algorithms: tt.configured})
			_, err := c.Verify(t.Context(), token(tt.key, tt.alg, tt.kid))
			checkInvalid(t, err, tt.want)
		})
	}
}

func TestVerifyRefusesPublicKeyAsSharedSecret(t *testing.T) {
	c := newTenant().client(t, Config{})
	input := b64(mustJSON(with(goodHeader(), object{"alg": "HS256"}))) + "." + b64(mustJSON(goodClaims()))
	for _, secret := range [][]byte{x509.MarshalPKCS1PublicKey(&rsaKey().PublicKey), rsaKey().N.Bytes(), nil} {
		mac := hmac.New(sha256.New, secret)
		mac.Write([]byte(input))
		_, err := c.Verify(t.Context(), input+"."+b64(string(mac.Sum(nil))))
		checkInvalid(t, err, "wrong_algorithm")
	}
}

// RFC 7518 §3.5: the salt is as long as the hash.
func TestVerifyDemandsThePSSSaltOfTheRFC(t *testing.T) {
	s := newTenant()
	s.serveKeys(answering(http.StatusOK, keySetOf(jwk(rsaKey().Public(), "key-1", object{"alg": "PS256"}))))
	c := s.client(t, Config{Algorithms: []string{"PS256"}})
	input := b64(mustJSON(with(goodHeader(), object{"alg": "PS256"}))) + "." + b64(mustJSON(goodClaims()))
	digest := sha256.Sum256([]byte(input))
	for salt, want := range map[int]string{32: "ok", 1: "bad_signature", 20: "bad_signature", 33: "bad_signature"} {
		signed, err := rsa.SignPSS(rand.Reader, rsaKey(), crypto.SHA256, digest[:], &rsa.PSSOptions{SaltLength: salt})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Verify(t.Context(), input+"."+b64(string(signed)))
		checkInvalid(t, err, want)
	}
}

func TestVerifyUsesNoKeyFromTheTokenItself(t *testing.T) {
	var asked atomic.Int64
	attacker := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(keySetOf(jwk(otherRSAKey().Public(), "key-1", nil))))
	}))
	defer attacker.Close()
	c := newTenant().client(t, Config{})
	own := jwk(otherRSAKey().Public(), "key-1", nil)
	for _, tt := range []struct {
		name   string
		header object
		want   string
	}{
		{"jwk", object{"jwk": own}, "malformed"},
		{"jwk and no kid", object{"jwk": own, "kid": nil}, "malformed"},
		{"jku", object{"jku": attacker.URL}, "malformed"},
		{"jku and another kid", object{"jku": attacker.URL, "kid": "mine"}, "malformed"},
		{"x5u", object{"x5u": attacker.URL}, "malformed"},
		{"x5c that is junk", object{"x5c": []string{"junk"}}, "malformed"},
		{"kid that is a URL", object{"kid": attacker.URL}, "unknown_key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			header := mustJSON(with(goodHeader(), tt.header))
			_, err := c.Verify(t.Context(), sign(otherRSAKey(), header, mustJSON(goodClaims())))
			checkInvalid(t, err, tt.want)
		})
	}
	if asked.Load() > 0 {
		t.Error("a URL in a token was fetched")
	}
}

func TestVerifyReadsTheHeaderStrictly(t *testing.T) {
	c := newTenant().client(t, Config{})
	inside := strings.TrimSuffix(mustJSON(goodHeader()), "}")
	for _, tt := range []struct{ name, header, want string }{
		{"as it should be", inside + `}`, "ok"},
		{"an unknown member", inside + `,"x":1}`, "ok"},
		{"an unknown critical extension", inside + `,"crit":["exp"],"exp":1}`, "malformed"},
		{"an empty list of critical extensions", inside + `,"crit":[]}`, "malformed"},
		{"critical extensions that are no list", inside + `,"crit":"exp"}`, "malformed"},
		{"an unencoded payload, which RFC 7797 forbids for tokens", inside + `,"crit":["b64"],"b64":false}`, "malformed"},
		{"an encoded payload, said as a critical extension", inside + `,"crit":["b64"],"b64":true}`, "malformed"},
		{"an unencoded payload that is not critical", inside + `,"b64":false}`, "malformed"},
		{"the algorithm twice", inside + `,"alg":"none"}`, "malformed"},
		{"ALG is not alg", `{"ALG":"RS256","typ":"JWT","kid":"key-1"}`, "wrong_algorithm"},
		{"TYP is not typ", `{"alg":"RS256","TYP":"JWT","kid":"key-1"}`, "wrong_type"},
		{"KID is not kid", `{"alg":"RS256","typ":"JWT","KID":"key-1"}`, "unknown_key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.Verify(t.Context(), sign(rsaKey(), tt.header, mustJSON(goodClaims())))
			checkInvalid(t, err, tt.want)
		})
	}
	// RFC 7797 §3: such a signature covers the payload as it is.
	header, payload := inside+`,"crit":["b64"],"b64":false}`, mustJSON(goodClaims())
	signed := signature(rsaKey(), "RS256", b64(header)+"."+payload)
	_, err := c.Verify(t.Context(), b64(header)+"."+b64(payload)+"."+b64(string(signed)))
	checkInvalid(t, err, "malformed")
}

func TestVerifyEndsWithItsContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveKeys(blackHole)
		c := s.client(t, Config{})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if _, err := c.Verify(ctx, goodToken(nil)); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(begun); took != time.Second {
			t.Errorf("took %v", took)
		}
	})
}

func TestVerifyRefusesAnIDTokenOfTheTenant(t *testing.T) {
	s, c := listen(t, nil, Config{})
	tokens := issueRaw(t, s, auth0test.TokenRequest{Scope: "openid profile email"})
	_, err := c.Verify(t.Context(), tokens.IDToken)
	checkInvalid(t, err, "wrong_audience")
}

func TestVerifyIDToken(t *testing.T) {
	c := newTenant().client(t, Config{})
	good := object{"aud": "web", "azp": nil, "nonce": "n-1", "scope": nil}
	changed := func(changes object) object {
		out := object{}
		for _, m := range []object{good, changes} {
			for k, v := range m {
				out[k] = v
			}
		}
		return out
	}
	for _, tt := range []struct {
		name    string
		changes object
		nonce   string
		want    string
	}{
		{"of this client and this login", nil, "n-1", "ok"},
		{"of another login", nil, "n-2", "wrong_nonce"},
		{"without a nonce", object{"nonce": nil}, "n-1", "wrong_nonce"},
		{"without a nonce, and none expected", object{"nonce": nil}, "", "wrong_nonce"},
		{"with an empty nonce, and none expected", object{"nonce": ""}, "", "wrong_nonce"},
		{"of another client", object{"aud": "other"}, "n-1", "wrong_audience"},
		{"for several, and this client is authorized", object{"aud": []string{"web", "other"}, "azp": "web"}, "n-1", "ok"},
		{"for several, and another client is authorized", object{"aud": []string{"web", "other"}, "azp": "other"}, "n-1", "wrong_client"},
		{"for several, and nobody is named", object{"aud": []string{"web", "other"}}, "n-1", "wrong_client"},
		{"for this client, and another is authorized", object{"azp": "other"}, "n-1", "wrong_client"},
		{"for this client, and nobody is authorized by an empty name", object{"azp": ""}, "n-1", "wrong_client"},
		{"expired", object{"exp": time.Now().Unix() - 1}, "n-1", "expired"},
		{"without expiry", object{"exp": nil}, "n-1", "no_expiry"},
		{"of another issuer", object{"iss": "https://other.example.com/"}, "n-1", "wrong_issuer"},
		{"without subject", object{"sub": nil}, "n-1", "no_subject"},
		{"an access token", object{"aud": testAudience, "azp": "web"}, "n-1", "wrong_audience"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := c.VerifyIDToken(t.Context(), goodToken(changed(tt.changes)), "web", tt.nonce)
			checkInvalid(t, err, tt.want)
		})
	}
	_, err := c.VerifyIDToken(t.Context(), sign(rsaKey(), mustJSON(goodHeader()), `[]`), "web", "n-1")
	checkInvalid(t, err, "malformed_claims")
	hmac := sign(nil, mustJSON(object{"alg": "HS256", "typ": "JWT"}), mustJSON(with(goodClaims(), object{"aud": "web", "nonce": "n-1"})))
	_, err = c.VerifyIDToken(t.Context(), hmac, "web", "n-1")
	checkInvalid(t, err, "wrong_algorithm")
}

func TestVerifyIDTokenTellsWhoLoggedIn(t *testing.T) {
	c := newTenant().client(t, Config{})
	for _, tt := range []struct {
		claims object
		want   IDToken
	}{
		{object{"email": "a@example.com", "nickname": "a", "name": "A"}, IDToken{Subject: "auth0|alice", Name: "a@example.com"}},
		{object{"nickname": "a", "name": "A", "org_id": "org_1"}, IDToken{Subject: "auth0|alice", OrgID: "org_1", Name: "a"}},
		{object{"name": "A"}, IDToken{Subject: "auth0|alice", Name: "A"}},
		{object{}, IDToken{Subject: "auth0|alice"}},
		{object{"amr": []string{"pwd", "mfa"}}, IDToken{Subject: "auth0|alice", MFA: true}},
		{object{"amr": []string{"pwd"}}, IDToken{Subject: "auth0|alice"}},
	} {
		raw := goodToken(with(tt.claims, object{"aud": "web", "azp": "web", "nonce": "n"}))
		got, err := c.VerifyIDToken(t.Context(), raw, "web", "n")
		if err != nil || *got != tt.want {
			t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
		}
	}
}

// OpenID Connect Core §2: a JSON number of seconds, and only there on request.
func TestVerifyIDTokenTellsWhenTheUserAuthenticated(t *testing.T) {
	c := newTenant().client(t, Config{})
	for _, tt := range []struct {
		claim string // auth_time as JSON
		want  string
		time  time.Time
	}{
		{`1700000000`, "ok", time.Unix(1700000000, 0)},
		{`1700000000.9`, "ok", time.Unix(1700000000, 0)},
		{`0`, "ok", time.Unix(0, 0)}, // said, and long ago: not the zero Time
		{`-1`, "ok", time.Unix(0, 0)},
		{`null`, "ok", time.Time{}},
		{`"1700000000"`, "malformed_claims", time.Time{}},
		{`""`, "malformed_claims", time.Time{}},
		{`true`, "malformed_claims", time.Time{}},
		{`[1700000000]`, "malformed_claims", time.Time{}},
		{`{}`, "malformed_claims", time.Time{}},
		{`1,"auth_time":2`, "malformed_claims", time.Time{}},
	} {
		t.Run(tt.claim, func(t *testing.T) {
			claims := strings.TrimSuffix(mustJSON(with(goodClaims(), object{"aud": "web", "azp": "web", "nonce": "n"})), "}")
			raw := sign(rsaKey(), mustJSON(goodHeader()), claims+`,"auth_time":`+tt.claim+`}`)
			got, err := c.VerifyIDToken(t.Context(), raw, "web", "n")
			checkInvalid(t, err, tt.want)
			if err == nil && !got.AuthTime.Equal(tt.time) {
				t.Errorf("got %v, want %v", got.AuthTime, tt.time)
			}
		})
	}
	got, err := c.VerifyIDToken(t.Context(), goodToken(object{"aud": "web", "azp": "web", "nonce": "n"}), "web", "n")
	if err != nil || !got.AuthTime.IsZero() {
		t.Errorf("without auth_time: got %v, %v", got, err)
	}
}
