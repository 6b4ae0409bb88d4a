package linkflow

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json"
)

// purpose is what something is sealed for. Each has a key of its own, and is
// part of what the seal authenticates.
type purpose string

const (
	forTicket  purpose = "ticket"
	forForm    purpose = "form"
	forSession purpose = "session" // who looks after their accounts
)

var purposes = append([]purpose{forTicket, forForm, forSession}, legs...)

const (
	keySize = 32

	// maxSealed bounds what is opened: nothing of ours is longer.
	maxSealed = maxParts * maxPart
)

// expiring is a content that can be sealed. It ends at a Unix time.
type expiring interface{ expires() int64 }

// sealer holds the keys once they are there.
type sealer struct {
	load      func(context.Context) ([][]byte, error)
	tenant    string
	origin    string
	loading   chan struct{} // holds one value while somebody loads
	byPurpose atomic.Pointer[map[purpose][]cipher.AEAD]
}

func newSealer(load func(context.Context) ([][]byte, error), tenant, origin string) *sealer {
	return &sealer{load: load, tenant: tenant, origin: origin, loading: make(chan struct{}, 1)}
}

// seal returns content sealed for a purpose, in base64url.
func seal(ctx context.Context, s *sealer, p purpose, content expiring) (string, error) {
	keys, err := s.keys(ctx, p)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(content)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(keys[0].Seal(nil, nil, text, s.context(p))), nil //nolint:gosec // the AEAD makes its own nonce
}

// open returns what was sealed for a purpose. With errExpired it returns the
// content too; errTampered stands for everything else that can be wrong with
// text. Any other error means that there are no keys.
func open[T expiring](ctx context.Context, s *sealer, p purpose, text string) (T, error) {
	var content T
	keys, err := s.keys(ctx, p)
	if err != nil {
		return content, err
	}
	if len(text) > maxSealed || strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return content, errTampered
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil {
		return content, errTampered
	}
	for _, key := range keys {
		opened, err := key.Open(nil, nil, sealed, s.context(p))
		if err != nil {
			continue
		}
		if err := josejson.Unmarshal(opened, &content); err != nil {
			return content, errTampered
		}
		if time.Now().Unix() >= content.expires() {
			return content, errExpired
		}
		return content, nil
	}
	return content, errTampered
}

// context is the additional data of every seal, without which it does not open.
func (s *sealer) context(p purpose) []byte {
	var data []byte
	for _, part := range []string{string(p), s.tenant, s.origin} {
		data = binary.BigEndian.AppendUint64(data, uint64(len(part)))
		data = append(data, part...)
	}
	return data
}

// keys returns the keys for a purpose, loading them if nobody has yet.
func (s *sealer) keys(ctx context.Context, p purpose) ([]cipher.AEAD, error) {
	if loaded := s.byPurpose.Load(); loaded != nil {
		return (*loaded)[p], nil
	}
	select {
	case s.loading <- struct{}{}:
		defer func() { <-s.loading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if loaded := s.byPurpose.Load(); loaded != nil {
		return (*loaded)[p], nil
	}
	roots, err := s.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("loading the keys that seal links: %w", err)
	}
	derived, err := deriveKeys(roots)
	if err != nil {
		return nil, err
	}
	s.byPurpose.Store(&derived)
	return derived[p], nil
}

// deriveKeys makes a key for each purpose from each root (RFC 5869).
func deriveKeys(roots [][]byte) (map[purpose][]cipher.AEAD, error) {
	if len(roots) == 0 {
		return nil, errors.New("there is no key to seal links with")
	}
	derived := make(map[purpose][]cipher.AEAD)
	for i, root := range roots {
		if len(root) != keySize {
			return nil, fmt.Errorf("key %d that seals links has %d bytes, want %d", i+1, len(root), keySize)
		}
		for _, p := range purposes {
			key, err := hkdf.Key(sha256.New, root, nil, "token vault link flow: "+string(p), keySize)
			if err != nil {
				return nil, err
			}
			block, err := aes.NewCipher(key)
			if err != nil {
				return nil, err
			}
			aead, err := cipher.NewGCMWithRandomNonce(block)
			if err != nil {
				return nil, err
			}
			derived[p] = append(derived[p], aead)
		}
	}
	return derived, nil
}
