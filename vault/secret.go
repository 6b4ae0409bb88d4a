package vault

import (
	"fmt"
	"io"
	"log/slog"
	"strings"
)

// redacted stands wherever a secret would have been printed.
const redacted = "[redacted]"

// Secret is a string that no formatter, encoder or logger prints: a client
// secret, a token. The zero value is empty. Use [Secret.Reveal] where the value
// has to leave the process.
type Secret struct {
	// A pointer, because fmt prints unexported fields of structs without
	// asking their methods, but never follows a pointer inside a struct.
	value *string
}

// NewSecret wraps s.
func NewSecret(s string) Secret { return Secret{value: &s} }

// Reveal returns the string itself.
func (s Secret) Reveal() string {
	if s.value == nil {
		return ""
	}
	return *s.value
}

// Format implements fmt.Formatter for every verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// String implements fmt.Stringer, for callers that do not go through fmt.
func (Secret) String() string { return redacted }

// MarshalText redacts in JSON, XML and every encoder built on them.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue redacts in log/slog.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// RepeatsSecret tells whether text holds twelve characters in a row of one of
// secrets, or a shorter one whole: then it must be neither logged nor shown.
func RepeatsSecret(text string, secrets ...string) bool {
	const window = 12
	for _, secret := range secrets {
		if secret != "" && len(secret) < window && strings.Contains(text, secret) {
			return true
		}
		for i := 0; i+window <= len(text); i++ {
			if strings.Contains(secret, text[i:i+window]) {
				return true
			}
		}
	}
	return false
}
