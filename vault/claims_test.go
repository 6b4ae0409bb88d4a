package vault

import (
	"strings"
	"testing"
)

// payloadWith is goodClaims with one claim more, written as it stands.
func payloadWith(name, value string) string {
	return strings.TrimSuffix(mustJSON(with(goodClaims(), object{name: nil})), "}") + `,"` + name + `":` + value + "}"
}

// A decoder makes the same character of all that is no Unicode: who signs in
// with such ids must not become each other.
func TestNobodyBecomesSomebodyElseByUnicode(t *testing.T) {
	c := newTenant().client(t, Config{})
	get := func(sub string) (string, error) {
		caller, err := c.Verify(t.Context(), sign(rsaKey(), mustJSON(goodHeader()), payloadWith("sub", sub)))
		if err != nil {
			return "", err
		}
		return mustToken(t, c, caller, calendar).Reveal(), nil
	}
	for _, subs := range [][2]string{
		{`"auth0|\ud800"`, `"auth0|\ud801"`},
		{"\"auth0|\xff\"", "\"auth0|\xfe\""},
		{`"auth0|\udc00\ud800"`, `"auth0|` + "\ufffd\ufffd" + `"`},
		{"\"auth0|\xed\xa0\x80\"", "\"auth0|\xed\xa0\x81\""}, // UTF-8 of surrogates
		{"\"auth0|\xc0\xaf\"", "\"auth0|\xc1\xaf\""},         // overlong
	} {
		first, err := get(subs[0])
		checkInvalid(t, err, "malformed_claims")
		second, err := get(subs[1])
		checkInvalid(t, err, "malformed_claims")
		if first != "" && first == second {
			t.Errorf("%q got the token of %q", subs[1], subs[0])
		}
	}
}

func TestWhatIdentifiesSomebodyIsReadableText(t *testing.T) {
	c := newTenant().client(t, Config{})
	for _, tt := range []struct{ name, value, want string }{
		{"sub", `"auth0|ünï\ud83d\ude00"`, "ok"},
		{"sub", `"auth0|\u0000"`, "malformed_claims"},
		{"sub", `"auth0|a\n"`, "malformed_claims"},
		{"sub", `"auth0|\u007f"`, "malformed_claims"},
		{"sub", `"auth0|\u0085"`, "malformed_claims"},
		{"sub", `"auth0|\ufffd"`, "malformed_claims"},
		{"azp", `"agent\udfff"`, "malformed_claims"},
		{"azp", `"agent\t"`, "malformed_claims"},
		{"client_id", `"agent\ud800"`, "malformed_claims"},
		{"org_id", `"org_\ud800"`, "malformed_claims"},
		{"org_id", `"\u0000"`, "malformed_claims"},
		{"iss", `"https://\ud800.example.com/"`, "malformed_claims"},
		{"aud", `"https://api.example.com/\ud800"`, "malformed_claims"},
		{"aud", `["https://api.example.com/","\u001b"]`, "malformed_claims"},
		{"x", "\"\xff\"", "malformed_claims"},
		{"x", `"\ud800\u0000"`, "ok"},
		{"name", `"\ufffd"`, "ok"},
	} {
		t.Run(tt.name+" "+tt.value, func(t *testing.T) {
			_, err := c.Verify(t.Context(), sign(rsaKey(), mustJSON(goodHeader()), payloadWith(tt.name, tt.value)))
			checkInvalid(t, err, tt.want)
		})
	}
}

func TestAnIDTokenIdentifiesSomebodyByReadableText(t *testing.T) {
	c := newTenant().client(t, Config{})
	for _, tt := range []struct{ members, want string }{
		{`"sub":"auth0|alice"`, "ok"},
		{`"sub":"auth0|\ud800"`, "malformed_claims"},
		{"\"sub\":\"auth0|\xff\"", "malformed_claims"},
		{`"sub":"auth0|alice","org_id":"\ud800"`, "malformed_claims"},
		{"\"sub\":\"auth0|alice\",\"name\":\"\xff\"", "malformed_claims"},
	} {
		payload := strings.TrimSuffix(mustJSON(with(goodClaims(), object{"sub": nil, "aud": "web", "azp": "web", "nonce": "n"})), "}") + "," + tt.members + "}"
		_, err := c.VerifyIDToken(t.Context(), sign(rsaKey(), mustJSON(goodHeader()), payload), "web", "n")
		if got := describe(err); got != tt.want && got != "invalid_token/"+tt.want {
			t.Errorf("%q: got %s, want %s", tt.members, got, tt.want)
		}
	}
}
