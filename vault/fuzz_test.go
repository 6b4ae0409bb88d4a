package vault

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
)

func FuzzExchangeAnswer(f *testing.F) {
	for _, seed := range []string{
		mustJSON(grant("token", nil)), `{"access_token":"a","token_type":"Bearer"}`, `{"access_token":"a\u0000","token_type":"bearer","expires_in":-1}`,
		`{"access_token":"a","token_type":"Bearer","expires_in":99999999999999999999,"scope":"a,b c"}`, `{"Access_Token":"a"}`, `null`, `[]`, ``, `{}x`,
		`{"access_token":"a","access_token":"b","token_type":"Bearer"}`, `{"access_token":{},"token_type":"Bearer","expires_in":1e30}`,
		`{"access_token":"a","token_type":"Bearer","expires_in":"3599"}`, `{"access_token":"a","token_type":"Bearer","expires_in":-0.5}`, `{"access_token":"a","token_type":"Bearer","expires_in":null}`,
	} {
		f.Add([]byte(seed))
	}
	asked := time.Unix(1_700_000_000, 0)
	f.Fuzz(func(t *testing.T, body []byte) {
		token, err := parseToken(body, asked)
		if err != nil {
			if token != nil || err.Code != CodeUnavailable {
				t.Errorf("got %v, %v", token, err)
			}
			return
		}
		if strings.ContainsFunc(token.Reveal(), func(r rune) bool { return r < ' ' || r > '~' }) || token.Reveal() == "" {
			t.Errorf("%q is no token", token.Reveal())
		}
		if !token.Expiry.IsZero() && token.Expiry.Sub(asked).Abs() > 3650*24*time.Hour {
			t.Errorf("Expiry is %v", token.Expiry)
		}
		for _, scope := range token.Scopes {
			if scope == "" || strings.ContainsAny(scope, " ,;\t\r\n") {
				t.Errorf("%q is no scope", scope)
			}
		}
	})
}

func FuzzErrorAnswer(f *testing.F) {
	for _, seed := range []string{
		oauth(notConnected), oauth("invalid_grant"), oauth("user_not_found"), `{"error":"x","description":"y"}`, `{"error":5}`, `{}`, ``, `<html>`,
		`{"error":"access_denied","error_description":"` + canary + `"}`, `{"error":"` + canary + `"}`, `{"error":"a","error":"b"}`,
	} {
		for _, status := range []int{400, 401, 403, 429} {
			f.Add(status, []byte(seed), true)
		}
	}
	f.Fuzz(func(t *testing.T, status int, body []byte, hinted bool) {
		e := classify(&Response{Status: status, Body: body}, hinted, canary)
		if e.Code == "" || !isReason(e.Reason) {
			t.Errorf("got %q, %q", e.Code, e.Reason)
		}
		text := e.Error()
		if len(text) > 600 || strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r > '~' }) {
			t.Errorf("not fit for a log: %q", text)
		}
		holds(t, "the error", text, canary)
		links := []string{notConnected, "tokenset_not_found", "federated_connection_refresh_token_flow_failed", "user_not_found"}
		if e.NeedsLink() && !slices.Contains(links, e.Reason) {
			t.Errorf("%s asks for a link", e.Reason)
		}
	})
}

func FuzzAccessToken(f *testing.F) {
	good := goodToken(object{"exp": 1 << 40})
	parts := strings.Split(good, ".")
	for _, seed := range []string{
		good, "", "..", "a.b.c", "a.b.c.d.e", parts[0] + "." + parts[1] + ".", "eyJhbGciOiJub25lIn0.e30.", good + "=", strings.Repeat(".", 100),
		sign(rsaKey(), `{"alg":"RS256","typ":"JWT","kid":"key-1","crit":["x"]}`, `{}`), sign(rsaKey(), mustJSON(goodHeader()), `{"exp":1e999}`),
		sign(nil, `{"alg":"HS256","jwk":{"kty":"oct","k":"AA"}}`, `{}`), sign(nil, `{"alg":"RS256","x5c":["AA"],"kid":"key-1"}`, `[]`),
		sign(rsaKey(), `{"alg":"RS256","typ":"JWT","kid":"key-1","x":[[{}]]}`, `{}`), sign(rsaKey(), `{"alg":"RS256","\u006aku":"https://a.example.com"}`, `{}`),
		b64(`{"alg":"RS256","x":`+strings.Repeat("[", 3000)) + ".e30.", b64(`null`) + ".e30.AA",
	} {
		f.Add(seed)
	}
	c := newTenant().client(f, Config{Algorithms: []string{"RS256", "PS256", "ES256"}})
	f.Fuzz(func(t *testing.T, raw string) {
		caller, err := c.Verify(t.Context(), raw)
		if err == nil {
			if raw != good || caller.Subject != "auth0|alice" {
				t.Errorf("accepted %q", raw)
			}
			return
		}
		var e *Error
		if !errors.As(err, &e) || (e.Code != CodeInvalidToken && e.Code != CodeInvalidRequest) || !isReason(e.Reason) {
			t.Errorf("got %v", err)
		}
	})
}

// FuzzClaims goes where a fuzzer without our key does not get.
func FuzzClaims(f *testing.F) {
	good := mustJSON(goodClaims())
	for _, seed := range []string{
		good, `{}`, `null`, `{"exp":-1e308,"nbf":1e308,"aud":[]}`, `{"aud":{"a":1}}`, `{"cnf":null}`, strings.Replace(good, "iss", "ISS", 1), good + good,
		payloadWith("sub", `"auth0|\ud800"`), payloadWith("sub", "\"auth0|\xff\""), payloadWith("azp", `"\u0000"`), payloadWith("aud", `["`+testAudience+`","\u009b"]`),
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		claims, err := parseClaims[claims](payload)
		if err != nil || claims.check(testIssuer, testAudience, time.Now()) != nil {
			return
		}
		token, err := claims.accessToken("raw")
		if err != nil {
			return
		}
		if token.Subject == "" || token.Expiry.Before(time.Now()) || len(claims.Confirmation) > 0 {
			t.Errorf("accepted %s", payload)
		}
		for _, name := range []string{token.Subject, token.ClientID, token.OrgID} {
			if strings.ContainsFunc(name, unicode.IsControl) || strings.ContainsRune(name, '\ufffd') {
				t.Errorf("%q identifies somebody", name)
			}
		}
	})
}

func FuzzKeySet(f *testing.F) {
	for _, seed := range []string{
		goodKeys(), keySetOf(jwk(ecKey().Public(), "ec", nil)), keySetOf(jwk(rsaKey(), "private", nil)), `{"keys":[]}`, `{"keys":null}`, `{"keys":[{}]}`, `[]`, ``,
		`{"keys":[{"kty":"RSA","kid":"a","n":"AQ","e":"AQAB"}]}`, `{"keys":[{"kty":"EC","kid":"a","crv":"P-256","x":"AA","y":"AA"}]}`, `{"keys":[{"kty":"oct","kid":"a","k":"AA"}]}`,
		`{"keys":[{"kty":"RSA","kid":"a","x5c":["AA"],"key_ops":["verify"]}]}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, document []byte) {
		keys, err := parseKeySet(document)
		if (err == nil) != (len(keys) > 0) || len(keys) > maxKeys {
			t.Errorf("%d keys, %v", len(keys), err)
		}
		for _, key := range keys {
			if key.KeyID == "" || !key.IsPublic() || !key.Valid() || !isSigningKey(key) {
				t.Errorf("%q is no key to verify with", key.KeyID)
			}
		}
	})
}

func FuzzRetryAfter(f *testing.F) {
	for _, seed := range []string{"", "1", "-1", "0", "1e9", "+3", "99999999999999999999", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 9999 07:28:00 GMT", "9223372036854775807", "-9223372036854775808"} {
		f.Add(seed, "")
		f.Add("", seed)
		f.Add(seed, seed)
	}
	f.Fuzz(func(t *testing.T, after, reset string) {
		wait := retryAfter(http.Header{"Retry-After": {after}, "X-Ratelimit-Reset": {reset}})
		if wait < time.Second || wait > maxRetryAfter {
			t.Errorf("got %v", wait)
		}
	})
}
