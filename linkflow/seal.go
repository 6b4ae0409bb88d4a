package linkflow

import (
	"bytes"
	"compress/flate"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json"
)

// purpose is what something is sealed for. It is part of what makes the key, and of
// what the seal authenticates.
type purpose string

const (
	forTicket  purpose = "ticket"
	forForm    purpose = "form"
	forSession purpose = "session" // who looks after their accounts
	forMessage purpose = "message" // what a callback ended with
)

const (
	keySize = 32

	// sealVersion is the first byte of what is sealed, and saltSize how many random
	// ones follow: with them each message has a key of its own, so that no number of
	// random nonces wears one out. Whoever changes what a seal or a content means
	// raises the version: nodes of two versions side by side take nothing from each
	// other that they would misread.
	sealVersion = 2
	saltSize    = 12

	// maxSealed bounds what is opened: nothing of ours is longer.
	maxSealed = maxParts * maxPart
)

// expiring is a content that can be sealed. It ends at a Unix time.
type expiring interface{ expires() int64 }

// sealer holds the keys once they are there.
type sealer struct {
	load    func(context.Context) ([][]byte, error)
	tenant  string
	origin  string
	loading chan struct{} // holds one value while somebody loads
	loaded  atomic.Pointer[[][]byte]
}

func newSealer(load func(context.Context) ([][]byte, error), tenant, origin string) *sealer {
	return &sealer{load: load, tenant: tenant, origin: origin, loading: make(chan struct{}, 1)}
}

// seal returns content sealed for a purpose, in base64url.
func seal(ctx context.Context, s *sealer, p purpose, content expiring) (string, error) {
	keys, err := s.keys(ctx)
	if err != nil {
		return "", err
	}
	text, err := json.Marshal(content)
	if err != nil {
		return "", err
	}
	if p.packed() {
		text = pack(text)
	}
	head := make([]byte, 1+saltSize)
	head[0] = sealVersion
	_, _ = rand.Read(head[1:]) // which never fails
	aead, err := keyOf(keys[0], p, head)
	if err != nil {
		return "", err
	}
	return base64.RawURLEncoding.EncodeToString(aead.Seal(head, nil, text, s.context(p))), nil //nolint:gosec // the AEAD makes its own nonce
}

// packed tells whether what is sealed for p goes into cookies, where room is scarce.
func (p purpose) packed() bool { return p != forTicket && p != forForm && p != forMessage }

// pack takes back what the base64 of tokens costs (RFC 1951): a quarter of it. Nothing
// is looked for that repeats, so a length tells nobody what is in there twice.
func pack(text []byte) []byte {
	w := packers.Get().(*flate.Writer)
	defer packers.Put(w)
	var packed bytes.Buffer
	w.Reset(&packed)
	_, _ = w.Write(text) // a buffer takes all
	_ = w.Close()
	return packed.Bytes()
}

// packers are kept because they are large.
var packers = sync.Pool{New: func() any {
	w, _ := flate.NewWriter(nil, flate.HuffmanOnly) // a level that there is
	return w
}}

func unpack(packed []byte) ([]byte, error) {
	return io.ReadAll(flate.NewReader(bytes.NewReader(packed)))
}

// keyOf makes the key of one message (RFC 5869), which begins with head, from a key
// that is kept.
func keyOf(key []byte, p purpose, head []byte) (cipher.AEAD, error) {
	own, err := hkdf.Key(sha256.New, key, head, "token vault link flow: "+string(p), keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(own)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// open returns what was sealed for a purpose. With errExpired it returns the
// content too; errTampered stands for everything else that can be wrong with
// text. Any other error means that there are no keys.
func open[T expiring](ctx context.Context, s *sealer, p purpose, text string) (T, error) {
	var content T
	keys, err := s.keys(ctx)
	if err != nil {
		return content, err
	}
	if len(text) > maxSealed || strings.ContainsAny(text, "\r\n") { // which the decoder would skip
		return content, errTampered
	}
	sealed, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(sealed) < 1+saltSize || sealed[0] != sealVersion {
		return content, errTampered
	}
	head, sealed := sealed[:1+saltSize], sealed[1+saltSize:]
	for _, key := range keys {
		aead, err := keyOf(key, p, head)
		if err != nil {
			return content, err
		}
		opened, err := aead.Open(nil, nil, sealed, s.context(p))
		if err != nil {
			continue
		}
		if p.packed() {
			opened, err = unpack(opened)
		}
		if err != nil || josejson.Unmarshal(opened, &content) != nil {
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

// keys returns the keys that are kept, loading them if nobody has yet.
func (s *sealer) keys(ctx context.Context) ([][]byte, error) {
	if loaded := s.loaded.Load(); loaded != nil {
		return *loaded, nil
	}
	select {
	case s.loading <- struct{}{}:
		defer func() { <-s.loading }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if loaded := s.loaded.Load(); loaded != nil {
		return *loaded, nil
	}
	keys, err := s.load(ctx)
	if err != nil {
		return nil, fmt.Errorf("loading the keys that seal links: %w", err)
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key to seal links with")
	}
	for i, key := range keys {
		if len(key) != keySize {
			return nil, fmt.Errorf("key %d that seals links has %d bytes, want %d", i+1, len(key), keySize)
		}
	}
	s.loaded.Store(&keys)
	return keys, nil
}
