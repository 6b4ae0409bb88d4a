package caddymodule_test

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// Caddy logs with zap; whatever way a secret gets into a field, it stays one.

func TestZapPrintsNoSecret(t *testing.T) {
	const value = "a-secret-value-of-the-test"
	secret := vault.NewSecret(value)
	token := vaultToken(t)
	type holder struct {
		Public string
		Secret vault.Secret
		Token  *vault.Token
	}
	held := holder{"public", secret, token}
	for _, field := range []zap.Field{
		zap.Any("f", secret), zap.Any("f", &secret), zap.Any("f", token), zap.Any("f", *token), zap.Any("f", held), zap.Any("f", &held),
		zap.Any("f", []vault.Secret{secret}), zap.Any("f", map[string]any{"s": secret, "t": token}),
		zap.Reflect("f", secret), zap.Reflect("f", &secret), zap.Reflect("f", token), zap.Reflect("f", *token), zap.Reflect("f", held),
		zap.Stringer("f", secret), zap.Stringer("f", token), zap.Stringers("f", []vault.Secret{secret}),
		zap.Inline(zapcore.ObjectMarshalerFunc(func(e zapcore.ObjectEncoder) error { return e.AddReflected("f", held) })),
	} {
		for name, encoder := range map[string]zapcore.Encoder{
			"json": zapcore.NewJSONEncoder(zap.NewProductionEncoderConfig()), "console": zapcore.NewConsoleEncoder(zap.NewDevelopmentEncoderConfig()),
		} {
			line, err := encoder.EncodeEntry(zapcore.Entry{Message: "logged"}, []zap.Field{field})
			if err != nil {
				t.Fatal(err)
			}
			if text := line.String(); strings.Contains(text, value) || strings.Contains(text, token.Reveal()) {
				t.Errorf("%s, field type %v: %s", name, field.Type, text)
			}
		}
	}
}

// vaultToken is one as the vault gives it.
func vaultToken(t *testing.T) *vault.Token {
	t.Helper()
	seeds := auth0test.Seeds()
	tenant := auth0test.NewServer(seeds)
	t.Cleanup(tenant.Close)
	client, err := vault.New(vault.Config{
		Domain: tenant.URL, Audience: audience, ClientID: "vault-exchange", ClientSecret: vault.NewSecret(secretOf(t, seeds, "vault-exchange")),
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := tenant.Connect(alice, google, []string{calendar}, ""); err != nil {
		t.Fatal(err)
	}
	tokens, err := tenant.IssueToken(auth0test.TokenRequest{User: alice, ClientID: agentID})
	if err != nil {
		t.Fatal(err)
	}
	caller, err := client.Verify(t.Context(), tokens.AccessToken)
	if err != nil {
		t.Fatal(err)
	}
	token, err := client.Token(t.Context(), caller, vault.Request{Connection: google})
	if err != nil {
		t.Fatal(err)
	}
	return token
}
