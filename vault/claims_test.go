package vault

import (
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
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

// Clocks that differ are nothing that an agent can mend: the operator has to know.
func TestTheReasonNamesTheClocks(t *testing.T) {
	for claims, want := range map[*object]string{
		{"iat": 90}: "iat is 1m30s ahead of this machine's clock: one of the two clocks is wrong",
		{"nbf": 31}: "nbf is 31s ahead of this machine's clock: one of the two clocks is wrong",
		{"exp": -2}: "it ended 2s ago by this machine's clock",
	} {
		bubble(t, func(t *testing.T) {
			c := newTenant().client(t, Config{})
			from := object{}
			for name, after := range *claims {
				from[name] = seconds(time.Now()) + int64(after.(int))
			}
			_, err := c.Verify(t.Context(), goodToken(from))
			if e := refused(t, err, CodeInvalidToken); e.Err == nil || e.Err.Error() != want {
				t.Errorf("got %v, want %s", e, want)
			}
		})
	}
}

func TestATenantWhoseClockIsAHalfMinuteAheadIsBelieved(t *testing.T) {
	s, c := listen(t, func(cfg *auth0test.Config) { cfg.Settings.ClockSkew = 28 }, Config{})
	_ = issue(t, s, c)
}

func TestATokenThatEndsWhileItIsKeptSaysSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newTenant().client(t, Config{})
		raw := goodToken(object{"exp": seconds(time.Now()) + 60})
		verify(t, c, raw)
		time.Sleep(61 * time.Second)
		_, err := c.Verify(t.Context(), raw)
		if e := refused(t, err, CodeInvalidToken); e.Err == nil || e.Err.Error() != "it ended 1s ago by this machine's clock" {
			t.Errorf("got %v", e)
		}
	})
}

// The commonest mistake with Auth0: without an audience it gives a token for nobody
// but itself.
func TestATokenForNoAudienceIsNamedAsSuch(t *testing.T) {
	c := newTenant().client(t, Config{})
	for raw, reason := range map[string]string{
		b64(`{"alg":"dir","enc":"A256GCM","iss":"https://tenant.example.com/"}`) + "..Zm9v.YmFy.YmF6": "encrypted",
		b64(`{"alg":"RSA-OAEP-256","enc":"A256GCM"}`) + ".AA.AA.AA.AA":                                "encrypted",
		"h480djs93hd8": "no_jwt",
	} {
		_, err := c.Verify(t.Context(), raw)
		if e := refused(t, err, CodeInvalidToken); e.Reason != reason || e.Err == nil || !strings.Contains(e.Err.Error(), "asked Auth0 for no audience") {
			t.Errorf("got %v", e)
		}
	}
}
