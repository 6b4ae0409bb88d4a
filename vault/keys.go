package vault

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"
	"golang.org/x/sync/singleflight"
)

const (
	// keysFresh is how long a fetched key set is taken for the tenant's own:
	// after that the next use asks again, and a key that is gone verifies no
	// more tokens. Auth0's SDKs use the same ten minutes.
	keysFresh = 10 * time.Minute

	// keysDue is when a request that finds its key has the set fetched again,
	// without waiting: so that nobody waits, and an endpoint that fails is known to
	// when that age is reached.
	keysDue = 9 * time.Minute

	// keysUsable is how long the last key set serves while the endpoint fails.
	keysUsable = time.Hour

	// keysCoolDown separates two fetches, whatever callers send: an unknown
	// `kid` costs nothing to make up.
	keysCoolDown = 10 * time.Second

	// keysPatience is how long a caller with a usable key waits for the
	// confirmation of a key set that is due.
	keysPatience = time.Second

	// maxKeys bounds a key set; Auth0 publishes three at most.
	maxKeys = 32

	minRSABits = 2048
)

// keySet is the JSON Web Key Set of one tenant (RFC 7517), fetched when needed.
type keySet struct {
	url     string
	flights singleflight.Group
	last    atomic.Pointer[answeredKeys] // nil before the first answer

	mu        sync.Mutex
	attempted time.Time // when the endpoint was last asked, and when that ended
	fetching  bool      // it is being asked
	failure   error     // of the last attempt, nil if it succeeded
}

// answeredKeys are the keys in the endpoint's last answer, and when that was.
type answeredKeys struct {
	keys      []jose.JSONWebKey
	confirmed time.Time
}

// pick returns the key and how old the answer is.
func (s *keySet) pick(kid string, alg jose.SignatureAlgorithm) (key any, age time.Duration) {
	last := s.last.Load()
	if last == nil {
		return nil, time.Since(time.Time{})
	}
	return pickKey(last.keys, kid, alg), time.Since(last.confirmed)
}

// errUnknownKey says that the tenant has no such key.
var errUnknownKey = errors.New("no key of the tenant has this id and algorithm")

// find returns the tenant's key of that id for that algorithm. It fails with
// errUnknownKey if the tenant has none, with CodeKeysUnavailable if that cannot
// be known now, and with the error of ctx.
func (s *keySet) find(ctx context.Context, c *Client, kid string, alg jose.SignatureAlgorithm) (any, error) {
	key, age := s.pick(kid, alg)
	if key != nil && age < keysFresh {
		if age >= keysDue && !s.cooling() {
			s.begin(c)
		}
		return key, nil
	}
	s.mu.Lock()
	cooling := time.Since(s.attempted) < keysCoolDown
	down, fetching := s.failure != nil, s.fetching
	s.mu.Unlock()

	switch {
	case key != nil && age < keysUsable:
		if cooling && down {
			return key, nil
		}
		return s.findAfterFetch(ctx, c, kid, alg, key, down)
	case cooling && down:
		return nil, s.unavailable()
	case cooling && age < keysFresh && !fetching:
		return nil, errUnknownKey
	}
	return s.findAfterFetch(ctx, c, kid, alg, nil, false)
}

// findAfterFetch asks the endpoint first. last is the key to fall back on when
// the endpoint fails, if there is one; it is not waited long for, and not at all
// if the endpoint failed before.
func (s *keySet) findAfterFetch(ctx context.Context, c *Client, kid string, alg jose.SignatureAlgorithm, last any, down bool) (any, error) {
	fetched := s.begin(c)
	var patience <-chan time.Time
	if last != nil {
		if down {
			return last, nil
		}
		timer := time.NewTimer(keysPatience)
		defer timer.Stop()
		patience = timer.C
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case <-patience:
		return last, nil
	case <-fetched:
	}
	s.mu.Lock()
	failure := s.failure
	s.mu.Unlock()
	key, _ := s.pick(kid, alg)
	switch {
	case failure == nil && key != nil:
		return key, nil
	case failure == nil:
		return nil, errUnknownKey
	case last != nil:
		return last, nil
	}
	return nil, s.unavailable()
}

func (s *keySet) cooling() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetching || time.Since(s.attempted) < keysCoolDown
}

// begin fetches the set, or joins those who do.
func (s *keySet) begin(c *Client) <-chan singleflight.Result {
	return s.flights.DoChan("", func() (any, error) { return nil, s.fetch(c) })
}

// fetch asks the endpoint once. It outlives the caller that began it, since
// others wait for the same answer.
func (s *keySet) fetch(c *Client) error {
	s.mu.Lock()
	if time.Since(s.attempted) < keysCoolDown { // another caller's fetch just ended
		defer s.mu.Unlock()
		return s.failure
	}
	begun := time.Now()
	s.attempted, s.fetching = begun, true
	s.mu.Unlock()

	keys, err := s.download(c)
	c.tell(Event{Kind: KeysFetched, Duration: time.Since(begun), Err: err})

	s.mu.Lock()
	defer s.mu.Unlock()
	s.attempted, s.fetching, s.failure = time.Now(), false, err
	if err == nil {
		s.last.Store(&answeredKeys{s.keepKnown(keys), time.Now()})
	}
	return err
}

// keepKnown puts the keys that are known already in place of their likes, so
// that a key that stays is the same one.
func (s *keySet) keepKnown(keys []jose.JSONWebKey) []jose.JSONWebKey {
	last := s.last.Load()
	if last == nil {
		return keys
	}
	for i, key := range keys {
		for _, known := range last.keys {
			if known.KeyID == key.KeyID && samePublicKey(known.Key, key.Key) {
				keys[i].Key = known.Key
			}
		}
	}
	return keys
}

func samePublicKey(a, b any) bool {
	public, ok := a.(interface{ Equal(x crypto.PublicKey) bool })
	return ok && public.Equal(b)
}

func (s *keySet) download(c *Client) ([]jose.JSONWebKey, error) {
	req, err := http.NewRequest(http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	answer, failure := c.fetch(req)
	if failure != nil {
		return nil, failure
	}
	if answer.Status != http.StatusOK {
		return nil, fmt.Errorf("%s answered %d", s.url, answer.Status)
	}
	return parseKeySet(answer.Body)
}

func (s *keySet) unavailable() *Error {
	s.mu.Lock()
	defer s.mu.Unlock()
	wait := max(keysCoolDown-time.Since(s.attempted), time.Second)
	return &Error{Code: CodeKeysUnavailable, Reason: "key_endpoint_failed", RetryAfter: wait, Err: s.failure}
}

// parseKeySet returns the public signing keys in a JWKS document. Keys of a
// kind that we do not use are passed over, as RFC 7517 §5 asks; a document
// without any is no answer.
func parseKeySet(document []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []josejson.RawMessage `json:"keys"`
	}
	if err := decode(document, &set); err != nil {
		return nil, errors.New("the key endpoint's answer is not a key set")
	}
	var keys []jose.JSONWebKey
	for _, raw := range set.Keys[:min(len(set.Keys), maxKeys)] {
		var key jose.JSONWebKey
		if key.UnmarshalJSON(raw) == nil && key.KeyID != "" && isSigningKey(key) && mayVerify(raw) {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the key endpoint's answer has no usable key")
	}
	return keys, nil
}

func isSigningKey(key jose.JSONWebKey) bool {
	if key.Use != "" && key.Use != "sig" {
		return false
	}
	switch public := key.Key.(type) {
	case *rsa.PublicKey:
		return public.N.BitLen() >= minRSABits
	case *ecdsa.PublicKey:
		return public.Curve == elliptic.P256()
	}
	return false
}

// mayVerify reads `key_ops` (RFC 7517 §4.3), which go-jose passes over.
func mayVerify(key []byte) bool {
	var ops struct {
		KeyOps []string `json:"key_ops"`
	}
	return decode(key, &ops) == nil && (ops.KeyOps == nil || slices.Contains(ops.KeyOps, "verify"))
}

// pickKey returns the key of that id whose type, and `alg` if it has one, fit.
func pickKey(keys []jose.JSONWebKey, kid string, alg jose.SignatureAlgorithm) any {
	for _, key := range keys {
		if key.KeyID != kid || (key.Algorithm != "" && key.Algorithm != string(alg)) {
			continue
		}
		switch public := key.Key.(type) {
		case *rsa.PublicKey:
			if alg == jose.RS256 || alg == jose.PS256 {
				return public
			}
		case *ecdsa.PublicKey:
			if alg == jose.ES256 {
				return public
			}
		}
	}
	return nil
}
