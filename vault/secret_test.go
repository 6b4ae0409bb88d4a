package vault

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
)

const canary = "canary-S3cr3t-value-0123456789"

// holders puts the canary wherever a value can stand.
func holders() map[string]any {
	type exported struct {
		XMLName struct{} `xml:"holder" json:"-"`
		S       Secret
		T       *Token
		P       *Secret
	}
	type unexported struct {
		s Secret
		t *Token
		p *Secret
		v Token
	}
	secret := NewSecret(canary)
	token := &Token{Scopes: []string{"calendar"}, bearer: secret, entry: &entry{answer: &answer{token: &Token{bearer: secret}}}}
	caller := &AccessToken{Subject: "auth0|alice", raw: secret}
	return map[string]any{
		"a secret":                 secret,
		"a pointer to a secret":    &secret,
		"a token":                  token,
		"a token by value":         *token,
		"exported fields":          exported{S: secret, T: token, P: &secret},
		"a pointer to them":        &exported{S: secret, T: token, P: &secret},
		"unexported fields":        unexported{secret, token, &secret, *token},
		"a pointer to unexported":  &unexported{secret, token, &secret, *token},
		"a map":                    map[string]any{"s": secret, "t": token, "u": unexported{s: secret}},
		"a map's keys":             map[Secret]bool{secret: true},
		"a slice":                  []any{secret, token, &secret, []Secret{secret}},
		"an array":                 [1]Secret{secret},
		"an interface in a struct": struct{ V any }{secret},
		"an access token":          caller,
		"an access token by value": *caller,
		"a refresh token":          &RefreshToken{Subject: "auth0|alice", Token: secret},
		"a refresh token by value": RefreshToken{Subject: "auth0|alice", Token: secret},
		"a question":               question{subject: subject{token: secret}},
		"a config":                 Config{Domain: "d", ClientSecret: secret},
		"an error's details":       &Error{Code: CodeUnavailable, Err: fmt.Errorf("with %v and %v", secret, token)},
		"an anonymous error":       fmt.Errorf("%w: %s %d", errors.New("x"), secret, token),
	}
}

// shows fails if text holds the canary, in any usual spelling.
func shows(t *testing.T, how, text string) {
	t.Helper()
	for _, form := range []string{canary, fmt.Sprintf("%x", canary), fmt.Sprintf("%X", canary), fmt.Sprintf("% x", canary), fmt.Sprint([]byte(canary)), b64(canary)} {
		if strings.Contains(text, form) {
			t.Errorf("%s shows it: %s", how, text)
			return
		}
	}
}

func TestNoVerbShowsASecret(t *testing.T) {
	for name, v := range holders() {
		t.Run(name, func(t *testing.T) {
			for _, verb := range strings.Fields("%v %+v %#v %s %q %x %X %d %t %c %U %o %b %e %p %T %10.3s %#x %+q") {
				shows(t, verb, fmt.Sprintf(verb, v))
			}
			shows(t, "Print", fmt.Sprint(v)+fmt.Sprintln(v))
			var b strings.Builder
			log.New(&b, "", 0).Print(v)
			shows(t, "log", b.String())
		})
	}
}

func TestNoEncoderShowsASecret(t *testing.T) {
	for name, v := range holders() {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			_ = json.NewEncoder(&b).Encode(v) // an error is as good
			_ = xml.NewEncoder(&b).Encode(v)
			_ = gob.NewEncoder(&b).Encode(v)
			shows(t, "an encoder", b.String())
		})
	}
}

func TestNoLoggerShowsASecret(t *testing.T) {
	for name, v := range holders() {
		t.Run(name, func(t *testing.T) {
			var b bytes.Buffer
			for _, h := range []slog.Handler{slog.NewTextHandler(&b, nil), slog.NewJSONHandler(&b, nil)} {
				logger := slog.New(h)
				logger.Info("message", "value", v)
				logger.With("value", v).WithGroup("g").Info("message", slog.Any("value", v))
			}
			shows(t, "slog", b.String())
		})
	}
}

func TestAPlaceholderStandsForASecret(t *testing.T) {
	secret := NewSecret(canary)
	token := &Token{bearer: secret}
	data, err := json.Marshal(map[string]any{"s": secret, "t": token})
	if err != nil || string(data) != `{"s":"[redacted]","t":"[redacted]"}` {
		t.Errorf("JSON: %s, %v", data, err)
	}
	for _, got := range []string{secret.String(), token.String(), fmt.Sprint(secret), fmt.Sprintf("%d", token), secret.LogValue().String()} {
		if got != redacted {
			t.Errorf("got %q", got)
		}
	}
}

func TestRevealShowsIt(t *testing.T) {
	if got := NewSecret(canary).Reveal(); got != canary {
		t.Errorf("got %q", got)
	}
	token := &Token{bearer: NewSecret("Bearer " + canary)}
	if token.Reveal() != canary || token.Bearer() != "Bearer "+canary {
		t.Errorf("got %q and %q", token.Reveal(), token.Bearer())
	}
	if got := (Secret{}).Reveal(); got != "" {
		t.Errorf("the zero Secret reveals %q", got)
	}
}

// A Client and its Cache are printed by accident more easily than a token.
func TestAClientInUseShowsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(minting(object{"access_token": canary}))
		c := s.client(t, Config{ClientSecret: NewSecret(canary)})
		mustToken(t, c, alice(t, canary), calendar)
		synctest.Wait() // printing reads without locks
		for _, v := range []any{c, c.cache} {
			shows(t, "%+v", fmt.Sprintf("%+v", v))
			shows(t, "%#v", fmt.Sprintf("%#v", v))
		}
	})
}
