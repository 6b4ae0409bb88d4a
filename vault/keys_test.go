package vault

import (
	"context"
	"crypto/elliptic"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// signedBy is a good token under another key and key id.
func signedBy(key any, kid string) string {
	return sign(key, mustJSON(with(goodHeader(), object{"kid": kid})), mustJSON(goodClaims()))
}

// longToken outlives every test.
func longToken() string { return goodToken(object{"exp": time.Now().Unix() + 1e6}) }

// verifies fails the test unless Verify says want, "ok" or "code/reason".
func verifies(t *testing.T, c *Client, raw, want string) {
	t.Helper()
	_, err := c.Verify(t.Context(), raw)
	if got := describe(err); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// fetched fails the test unless the key endpoint was asked n times so far.
func (s *tenant) fetched(t *testing.T, n int) {
	t.Helper()
	if got := s.keyFetches(); got != n {
		t.Errorf("the key endpoint was asked %d times, want %d", got, n)
	}
}

func TestKeysAreFetchedWhenFirstNeeded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c := s.client(t, Config{})
		s.fetched(t, 0)
		verifies(t, c, "junk", "invalid_token/no_jwt")
		s.fetched(t, 0)
		verifies(t, c, goodToken(nil), "ok")
		verifies(t, c, goodToken(nil), "ok")
		s.fetched(t, 1)
	})
}

func TestKeysAreFetchedOnceForManyAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveKeys(after(time.Second, answering(http.StatusOK, goodKeys())))
		c, raw := s.client(t, Config{}), goodToken(nil)
		for _, err := range together(100, func(int) error { _, err := c.Verify(t.Context(), raw); return err }) {
			if err != nil {
				t.Fatal(err)
			}
		}
		s.fetched(t, 1)
	})
}

func TestKeysAreSharedByClientsOfOneTenantThroughACache(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, cache := newTenant(), NewCache()
		verifies(t, s.client(t, Config{Cache: cache}), goodToken(nil), "ok")
		verifies(t, s.client(t, Config{Cache: cache, ClientID: "another"}), goodToken(nil), "ok")
		s.fetched(t, 1)
		other := s.client(t, Config{Cache: cache, Domain: "other.example.com"})
		verifies(t, other, goodToken(nil), "invalid_token/wrong_issuer")
		s.fetched(t, 2)
	})
}

func TestKeysInUseAreConfirmedEveryTenMinutes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, raw := s.client(t, Config{}), longToken()
		verifies(t, c, raw, "ok")
		time.Sleep(keysFresh - time.Second)
		verifies(t, c, raw, "ok")
		s.fetched(t, 1)
		time.Sleep(time.Second)
		verifies(t, c, raw, "ok")
		verifies(t, c, raw, "ok")
		s.fetched(t, 2)
	})
}

func TestAVanishedKeyVerifiesNothingOnceThatIsKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, raw := s.client(t, Config{}), longToken()
		verifies(t, c, raw, "ok")
		s.serveKeys(answering(http.StatusOK, keySetOf(jwk(otherRSAKey().Public(), "key-2", nil))))
		time.Sleep(keysFresh)
		verifies(t, c, raw, "invalid_token/unknown_key")
		verifies(t, c, signedBy(otherRSAKey(), "key-2"), "ok")
		s.fetched(t, 2)
	})
}

func TestAnUnknownKeyIDCostsOneFetchPerCoolDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, raw := s.client(t, Config{}), goodToken(nil)
		verifies(t, c, raw, "ok")
		_, rest, _ := strings.Cut(raw, ".")
		for round := range 3 {
			time.Sleep(keysCoolDown)
			for i := range 10_000 {
				kid := fmt.Sprintf("made-up-%d-%d", round, i)
				verifies(t, c, b64(mustJSON(with(goodHeader(), object{"kid": kid})))+"."+rest, "invalid_token/unknown_key")
			}
			verifies(t, c, raw, "ok")
			s.fetched(t, 2+round)
		}
	})
}

func TestAnUnknownKeyIDWithinTheCoolDownIsRefusedWithoutAFetch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c := s.client(t, Config{})
		verifies(t, c, goodToken(nil), "ok")
		s.serveKeys(answering(http.StatusOK, keySetOf(jwk(otherRSAKey().Public(), "key-2", nil))))
		time.Sleep(keysCoolDown - time.Nanosecond)
		verifies(t, c, signedBy(otherRSAKey(), "key-2"), "invalid_token/unknown_key")
		s.fetched(t, 1)
		time.Sleep(time.Nanosecond)
		verifies(t, c, signedBy(otherRSAKey(), "key-2"), "ok")
		s.fetched(t, 2)
	})
}

// A key that is new to everybody arrives with everybody's tokens at once.
func TestAllWhoBringANewKeyIDWaitForTheSameFetch(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c := s.client(t, Config{})
		verifies(t, c, goodToken(nil), "ok")
		both := keySetOf(jwk(rsaKey().Public(), "key-1", nil), jwk(otherRSAKey().Public(), "key-2", nil))
		s.serveKeys(after(time.Second, answering(http.StatusOK, both)))
		time.Sleep(keysCoolDown)
		raw := signedBy(otherRSAKey(), "key-2")
		for _, err := range together(50, func(i int) error {
			time.Sleep(time.Duration(i) * time.Millisecond)
			_, err := c.Verify(t.Context(), raw)
			return err
		}) {
			if err != nil {
				t.Fatalf("a good token met a fetch on its way: %v", err)
			}
		}
		s.fetched(t, 2)
	})
}

// badKeyAnswers are what a key endpoint may say instead of a key set.
func badKeyAnswers() map[string]http.HandlerFunc {
	huge := goodKeys()[:len(goodKeys())-2] + strings.Repeat(" ", maxAnswer) + "]}"
	return map[string]http.HandlerFunc{
		"more than is read":           answering(http.StatusOK, huge),
		"garbage":                     answering(http.StatusOK, "\x00\xff{"),
		"nothing":                     answering(http.StatusOK, ""),
		"no keys":                     answering(http.StatusOK, `{"keys":[]}`),
		"no member keys":              answering(http.StatusOK, `{}`),
		"member KEYS":                 answering(http.StatusOK, strings.Replace(goodKeys(), "keys", "KEYS", 1)),
		"member keys twice":           answering(http.StatusOK, strings.TrimSuffix(goodKeys(), "}")+`,"keys":[]}`),
		"a list":                      answering(http.StatusOK, `[]`),
		"keys that are no list":       answering(http.StatusOK, `{"keys":{}}`),
		"data after the key set":      answering(http.StatusOK, goodKeys()+"x"),
		"a page":                      answering(http.StatusOK, "<!DOCTYPE html><title>Auth0</title>"),
		"status 500":                  answering(http.StatusInternalServerError, goodKeys()),
		"status 429":                  answering(http.StatusTooManyRequests, goodKeys()),
		"status 404":                  answering(http.StatusNotFound, goodKeys()),
		"status 204":                  answering(http.StatusNoContent, ""),
		"a redirect to good keys":     http.RedirectHandler("https://elsewhere.example.com/.well-known/jwks.json", http.StatusFound).ServeHTTP,
		"an answer after the timeout": after(DefaultTimeout+time.Second, answering(http.StatusOK, goodKeys())),
		"nothing, ever":               blackHole,
		"only keys of other kinds": answering(http.StatusOK, keySetOf(
			jwk([]byte("0123456789abcdef0123456789abcdef"), "key-1", nil),
			jwk(newECKey(elliptic.P384()).Public(), "key-1", nil),
		)),
	}
}

func TestWithoutKeysNothingCanBeVerifiedForNow(t *testing.T) {
	for name, answer := range badKeyAnswers() {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				s.serveKeys(answer)
				c := s.client(t, Config{})
				_, err := c.Verify(t.Context(), goodToken(nil))
				e := refused(t, err, CodeKeysUnavailable)
				if e.RetryAfter < time.Second || e.RetryAfter > keysCoolDown {
					t.Errorf("RetryAfter is %v", e.RetryAfter)
				}
				verifies(t, c, goodToken(nil), "keys_unavailable/key_endpoint_failed")
				s.fetched(t, 1)

				s.serveKeys(answering(http.StatusOK, goodKeys()))
				time.Sleep(keysCoolDown)
				verifies(t, c, goodToken(nil), "ok")
			})
		})
	}
}

func TestTheLastKeysServeForAnHourWhileTheEndpointFails(t *testing.T) {
	for name, answer := range badKeyAnswers() {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				c, raw := s.client(t, Config{}), longToken()
				begun := time.Now()
				verifies(t, c, raw, "ok")
				s.serveKeys(answer)
				for time.Since(begun) < keysUsable-time.Minute {
					time.Sleep(time.Minute)
					verifies(t, c, raw, "ok")
				}
				time.Sleep(keysUsable - time.Since(begun) - time.Nanosecond)
				verifies(t, c, raw, "ok")
				time.Sleep(keysUsable - time.Since(begun))
				verifies(t, c, raw, "keys_unavailable/key_endpoint_failed")
			})
		})
	}
}

func TestABlackHoledEndpointCostsACallerWithAUsableKeyASecondAtMost(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, raw := s.client(t, Config{}), longToken()
		verifies(t, c, raw, "ok")
		s.serveKeys(blackHole)
		time.Sleep(keysFresh)
		begun := time.Now()
		verifies(t, c, raw, "ok")
		if took := time.Since(begun); took > time.Second {
			t.Errorf("the first call took %v", took)
		}
		time.Sleep(DefaultTimeout)
		for range 10 { // it is known now
			begun = time.Now()
			verifies(t, c, raw, "ok")
			if took := time.Since(begun); took > 0 {
				t.Errorf("a known outage was waited for, %v", took)
			}
			time.Sleep(keysCoolDown)
		}
	})
}

func TestAnUnknownKeyIDDuringAnOutageIsNotTheTokensFault(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c := s.client(t, Config{})
		verifies(t, c, goodToken(nil), "ok")
		s.serveKeys(answering(http.StatusBadGateway, ""))
		time.Sleep(keysCoolDown)
		raw := signedBy(otherRSAKey(), "key-2")
		verifies(t, c, raw, "keys_unavailable/key_endpoint_failed")
		verifies(t, c, raw, "keys_unavailable/key_endpoint_failed")
		verifies(t, c, goodToken(nil), "ok")
		s.fetched(t, 2)
	})
}

func TestACallerWhoGivesUpDoesNotFailThoseWhoWaitForTheSameKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveKeys(after(5*time.Second, answering(http.StatusOK, goodKeys())))
		c, raw := s.client(t, Config{}), goodToken(nil)
		first, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		errs := together(10, func(i int) error {
			ctx := t.Context()
			if i == 0 {
				ctx = first
			} else {
				time.Sleep(time.Millisecond)
			}
			_, err := c.Verify(ctx, raw)
			return err
		})
		if !errors.Is(errs[0], context.DeadlineExceeded) {
			t.Errorf("the first got %v", errs[0])
		}
		if err := errors.Join(errs[1:]...); err != nil {
			t.Error(err)
		}
		s.fetched(t, 1)
	})
}

func TestOnlyKeysMeantForItVerify(t *testing.T) {
	public := rsaKey().Public()
	for _, tt := range []struct{ name, document, want string }{
		{"a key that says nothing about itself", keySetOf(jwk(public, "key-1", nil)), "ok"},
		{"for verifying", keySetOf(jwk(public, "key-1", object{"key_ops": []string{"verify"}})), "ok"},
		{"for verifying and something of the future", keySetOf(jwk(public, "key-1", object{"key_ops": []string{"x", "verify"}})), "ok"},
		{"for PS256", keySetOf(jwk(public, "key-1", object{"alg": "PS256"})), "invalid_token/unknown_key"},
		{"for RS512", keySetOf(jwk(public, "key-1", object{"alg": "RS512"})), "invalid_token/unknown_key"},
		{"for encryption", keySetOf(jwk(public, "key-1", object{"use": "enc"})), "keys_unavailable/key_endpoint_failed"},
		{"for another operation", keySetOf(jwk(public, "key-1", object{"key_ops": []string{"encrypt"}})), "keys_unavailable/key_endpoint_failed"},
		{"for no operation", keySetOf(jwk(public, "key-1", object{"key_ops": []string{}})), "keys_unavailable/key_endpoint_failed"},
		{"for operations that are no list", keySetOf(jwk(public, "key-1", object{"key_ops": "verify"})), "keys_unavailable/key_endpoint_failed"},
		{"without an id", keySetOf(jwk(public, "", nil)), "keys_unavailable/key_endpoint_failed"},
		{"private", keySetOf(jwk(rsaKey(), "key-1", nil)), "keys_unavailable/key_endpoint_failed"},
		{"of another kind under the same id", keySetOf(jwk(ecKey().Public(), "key-1", nil)), "invalid_token/unknown_key"},
		{"second of that id, after one of another kind", keySetOf(jwk(ecKey().Public(), "key-1", nil), jwk(public, "key-1", nil)), "ok"},
		{"beside one of a kind of the future", keySetOf(object{"kty": "PQC", "kid": "key-1"}, jwk(public, "key-1", nil)), "ok"},
		{"beside junk", `{"keys":[null,5,"x",{},` + mustJSON(jwk(public, "key-1", nil)) + `]}`, "ok"},
		{"the last that is looked at", keySetOf(manyKeys(maxKeys-1, jwk(public, "key-1", nil))...), "ok"},
		{"one further", keySetOf(manyKeys(maxKeys, jwk(public, "key-1", nil))...), "invalid_token/unknown_key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := newTenant()
			s.serveKeys(answering(http.StatusOK, tt.document))
			verifies(t, s.client(t, Config{}), goodToken(nil), tt.want)
		})
	}
}

// manyKeys are n keys of others, and then last.
func manyKeys(n int, last object) []object {
	var keys []object
	for i := range n {
		keys = append(keys, jwk(ecKey().Public(), fmt.Sprint("other-", i), nil))
	}
	return append(keys, last)
}

func TestAShortRSAKeyVerifiesNothing(t *testing.T) {
	s := newTenant()
	s.serveKeys(answering(http.StatusOK, keySetOf(jwk(smallRSAKey().Public(), "key-1", nil))))
	verifies(t, s.client(t, Config{}), signedBy(smallRSAKey(), "key-1"), "keys_unavailable/key_endpoint_failed")
}

// Auth0 publishes the next key ahead of its use, and the previous one until it
// is revoked.
func TestRotationOfATenantsKeys(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, err := auth0test.New(auth0test.Seeds(), auth0test.URLs{Issuer: testIssuer, Google: "https://google.test", GitHub: "https://github.test"})
		if err != nil {
			t.Fatal(err)
		}
		c, err := New(Config{
			Domain: testIssuer, Audience: "https://agents.example.com/", ClientID: "vault-exchange", ClientSecret: NewSecret("x"),
			Transport: roundTripper(func(r *http.Request) (*http.Response, error) { return handled(s.Handler().ServeHTTP, r) }),
		})
		if err != nil {
			t.Fatal(err)
		}
		fresh := func() string {
			tokens, err := s.IssueToken(auth0test.TokenRequest{User: "auth0|alice", ClientID: "demo-agent"})
			if err != nil {
				t.Fatal(err)
			}
			return tokens.AccessToken
		}
		old := fresh()
		verifies(t, c, old, "ok")
		s.RotateKeys(false)
		verifies(t, c, fresh(), "ok") // by the key that was announced
		verifies(t, c, old, "ok")
		s.RotateKeys(true)
		verifies(t, c, fresh(), "invalid_token/unknown_key") // the cool-down is not over
		time.Sleep(keysCoolDown)
		verifies(t, c, fresh(), "ok")
		verifies(t, c, old, "invalid_token/unknown_key")
	})
}

// roundTripper makes a function an http.RoundTripper.
type roundTripper func(*http.Request) (*http.Response, error)

// RoundTrip implements http.RoundTripper.
func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// busy verifies a token every second for that long, and returns the longest that
// one call took.
func busy(t *testing.T, c *Client, raw string, d time.Duration) (longest time.Duration) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second) {
		began := time.Now()
		verifies(t, c, raw, "ok")
		longest = max(longest, time.Since(began))
	}
	return longest
}

func TestKeysInUseAreConfirmedWithoutAnybodyWaiting(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, raw := s.client(t, Config{}), longToken()
		verify(t, c, raw)
		s.serveKeys(after(5*time.Second, answering(http.StatusOK, goodKeys())))
		if longest := busy(t, c, raw, time.Hour); longest > 0 {
			t.Errorf("somebody waited for %v", longest)
		}
		if n := s.keyFetches(); n < 6 || n > 7 {
			t.Errorf("%d fetches in an hour", n)
		}
	})
}

func TestAnOutageOfTheKeyEndpointIsNotFelt(t *testing.T) {
	for name, outage := range map[string]http.HandlerFunc{"it fails": answering(503, ""), "it never answers": blackHole} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				c, raw := s.client(t, Config{}), longToken()
				verify(t, c, raw)
				s.serveKeys(outage)
				if longest := busy(t, c, raw, keysUsable-time.Second); longest > 0 {
					t.Errorf("somebody waited for %v", longest)
				}
				if n := s.keyFetches(); n > int((keysUsable-keysDue)/keysCoolDown)+1 {
					t.Errorf("%d fetches", n)
				}
				time.Sleep(time.Minute)
				_, err := c.Verify(t.Context(), raw)
				refused(t, err, CodeKeysUnavailable)
			})
		})
	}
}
