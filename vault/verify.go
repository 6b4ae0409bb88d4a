package vault

import (
	"context"
	"crypto"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/go-jose/go-jose/v4"
	josejson "github.com/go-jose/go-jose/v4/json"
)

const (
	// MaxTokenSize is the longest access token that is looked at, in bytes.
	// Auth0's are about one kilobyte.
	MaxTokenSize = 8 << 10

	// clockSkew is how far the tenant's clock may run ahead of ours. Expiry
	// gets no leeway.
	clockSkew = 30 * time.Second
)

// AccessToken is an Auth0 access token that [Client.Verify] accepted: who
// calls, through which agent, allowed to do what. Not to be changed: later calls
// with the same token get the same AccessToken.
type AccessToken struct {
	// Subject is the user's id, such as "auth0|64f0…", or "<client>@clients"
	// in a token that a client got for itself.
	Subject string

	// ClientID is the agent: the `azp` claim, or `client_id` in a token of the
	// RFC 9068 profile. Empty if the token names none, or two that differ.
	ClientID string

	// OrgID is the Auth0 Organization that the user logged in to, or empty.
	OrgID string

	// Scopes and Permissions are what the token grants: `scope` split, and the
	// `permissions` that Auth0 adds for APIs with RBAC.
	Scopes      []string
	Permissions []string

	// Expiry is the token's `exp`.
	Expiry time.Time

	raw     Secret
	agent   unique.Handle[agent]
	machine bool
}

// Machine reports whether there is no user who could have connected an account: a
// client got the token for itself, or an agent is the principal (Auth0: "Agents as
// Principal"). Users' ids have a "|".
func (t *AccessToken) Machine() bool { return t.machine }

// Grants reports whether the token grants every one of scopes, as scope or as
// permission.
func (t *AccessToken) Grants(scopes []string) bool {
	for _, s := range scopes {
		if !slices.Contains(t.Scopes, s) && !slices.Contains(t.Permissions, s) {
			return false
		}
	}
	return true
}

// Verify checks that raw is an access token that Auth0 issued for this API and
// returns what it says. It follows RFC 8725 and Auth0's "Validate Access
// Tokens": algorithm as configured, a key of the tenant that is meant for it,
// exact issuer, audience, expiry, type, and a subject. A token that is bound to
// a key (`cnf`, RFC 9449 and RFC 8705) is refused, since a bearer cannot prove
// that the key is its own. A token that was verified before is not verified
// again while its key is one of the tenant's.
//
// Errors are CodeInvalidRequest, CodeInvalidToken, CodeKeysUnavailable, the error of
// ctx, or with [Config.RefreshTokens] that there is no API.
func (c *Client) Verify(ctx context.Context, raw string) (*AccessToken, error) {
	id := c.cache.verified.id(raw, c.rules)
	if known, ok := c.cache.verified.get(id, raw, c.maxEntries); ok && c.stillGood(ctx, known) {
		if now := time.Now(); !now.Before(known.token.Expiry) {
			c.cache.verified.drop(id)
			return nil, expired(known.token.Expiry, now)
		}
		return known.token, nil
	}
	if c.audience == "" {
		return nil, errors.New("vault: a Client with Config.RefreshTokens has no API to verify tokens for")
	}
	if err := forNoAPI(raw); err != nil {
		return nil, err
	}
	jws, err := c.verifySignature(ctx, raw, c.algorithms)
	if err != nil {
		return nil, err
	}
	if jws.typ != "jwt" && jws.typ != "at+jwt" {
		return nil, invalidToken("wrong_type")
	}
	claims, err := parseClaims[claims](jws.payload)
	if err != nil {
		return nil, err
	}
	if err := claims.check(c.issuer, c.audience, time.Now()); err != nil {
		return nil, err
	}
	token, err := claims.accessToken(raw)
	if err != nil {
		return nil, err
	}
	c.cache.verified.put(id, verifiedToken{token, unique.Make(jws.signer)}, c.maxEntries)
	return token, nil
}

// signed is what a compact JWS (RFC 7515) holds, and whose it is.
type signed struct {
	payload []byte
	typ     string // in lower case, without "application/"
	signer
}

// verifySignature returns what raw holds if it was signed with one of
// algorithms by a key of the tenant.
func (c *Client) verifySignature(ctx context.Context, raw string, algorithms []jose.SignatureAlgorithm) (*signed, error) {
	if raw == "" || len(raw) > MaxTokenSize {
		return nil, &Error{Code: CodeInvalidRequest, Reason: "token_size"}
	}
	if !isCanonicalJWS(raw) {
		return nil, invalidToken("malformed")
	}
	part, _, _ := strings.Cut(raw, ".")
	if err := checkHeader(part); err != nil {
		return nil, invalidTokenf("malformed", "%w", err)
	}
	jws, err := jose.ParseSignedCompact(raw, algorithms)
	if err != nil {
		if _, ok := errors.AsType[*jose.ErrUnexpectedSignatureAlgorithm](err); ok {
			return nil, invalidToken("wrong_algorithm")
		}
		return nil, invalidToken("malformed")
	}
	header := jws.Signatures[0].Protected
	s := &signed{signer: signer{kid: header.KeyID, alg: jose.SignatureAlgorithm(header.Algorithm)}}
	s.key, err = c.keys.find(ctx, c, s.kid, s.alg)
	if errors.Is(err, errUnknownKey) {
		return nil, invalidToken("unknown_key")
	}
	if err != nil {
		return nil, err
	}
	if s.payload, err = verifyWith(jws, s.key); err != nil {
		return nil, invalidToken("bad_signature")
	}
	typ, _ := header.ExtraHeaders[jose.HeaderType].(string)
	s.typ = strings.TrimPrefix(strings.ToLower(typ), "application/")
	return s, nil
}

// verifyWith returns the payload if key signed it.
func verifyWith(jws *jose.JSONWebSignature, key any) ([]byte, error) {
	if public, ok := key.(*rsa.PublicKey); ok && jws.Signatures[0].Protected.Algorithm == string(jose.PS256) {
		return jws.Verify(pssVerifier{public})
	}
	return jws.Verify(key)
}

// pssVerifier verifies PS256 with the salt length that RFC 7518 §3.5 demands;
// go-jose accepts any.
type pssVerifier struct{ public *rsa.PublicKey }

func (v pssVerifier) VerifyPayload(payload, signature []byte, alg jose.SignatureAlgorithm) error {
	if alg != jose.PS256 {
		return errors.New("not PS256")
	}
	digest := sha256.Sum256(payload)
	return rsa.VerifyPSS(v.public, crypto.SHA256, digest[:], signature, &rsa.PSSOptions{SaltLength: rsa.PSSSaltLengthEqualsHash})
}

// isCanonicalJWS tells whether raw is three base64url parts in the one way
// there is to write them: the decoder passes over line breaks and stray bits.
func isCanonicalJWS(raw string) bool {
	for range 2 {
		part, rest, found := strings.Cut(raw, ".")
		if !found || !isCanonicalBase64URL(part) {
			return false
		}
		raw = rest
	}
	return isCanonicalBase64URL(raw)
}

func isCanonicalBase64URL(part string) bool {
	last := byte(0)
	for i := range len(part) {
		if last = sextets[part[i]]; last == noSextet {
			return false
		}
	}
	switch len(part) % 4 { // and how many bits of the last sextet are of no byte
	case 2:
		return last&0b1111 == 0
	case 3:
		return last&0b11 == 0
	}
	return len(part)%4 == 0
}

// sextets are the values of the characters of base64url (RFC 4648 §5).
var sextets = func() (table [256]byte) {
	for i := range table {
		table[i] = noSextet
	}
	for value, char := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_") {
		table[char] = byte(value)
	}
	return table
}()

const noSextet = 0xff

// forNoAPI refuses the two other forms of access token that Auth0 has: those that
// no API is named in.
func forNoAPI(raw string) *Error {
	const noAudience = "the agent probably asked Auth0 for no audience"
	switch dots := strings.Count(raw, "."); {
	case raw == "" || len(raw) > MaxTokenSize:
		return nil // refused for that
	case dots == 0:
		return invalidTokenf("no_jwt", "it is no JWT: %s", noAudience)
	case dots == 4:
		return invalidTokenf("encrypted", "it is encrypted: %s", noAudience)
	}
	return nil
}

func expired(ended, now time.Time) *Error {
	return invalidTokenf("expired", "it ended %v ago by this machine's clock", now.Sub(ended).Round(time.Second))
}

func invalidToken(reason string) *Error { return &Error{Code: CodeInvalidToken, Reason: reason} }

func invalidTokenf(reason, format string, args ...any) *Error {
	return &Error{Code: CodeInvalidToken, Reason: reason, Err: fmt.Errorf(format, args...)}
}

// maxHeader is the longest header of a token that is looked at, in bytes. Auth0's
// have about a hundred.
const maxHeader = 1 << 10

// refusedMembers are in no header of Auth0's. They bring the token's own key, or name
// it otherwise than `kid` does (RFC 7515 §4.1.2 to §4.1.8), or change what the other
// parts mean (RFC 7515 §4.1.11, RFC 7516 §4.1.3, RFC 7797).
var refusedMembers = []string{"jwk", "jku", "x5c", "x5u", "x5t", "x5t#S256", "crit", "b64", "zip"}

// checkHeader looks at the first part of a token, whose base64url is canonical.
// Anybody may send one, so nothing in it may cost much: what it holds besides scalars
// is not read.
func checkHeader(part string) error {
	if base64.RawURLEncoding.DecodedLen(len(part)) > maxHeader {
		return errors.New("its header is over 1 KiB")
	}
	header, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return err
	}
	var members map[string]josejson.RawMessage
	if decode(header, &members) != nil || members == nil {
		return errors.New("its header is no JSON object")
	}
	for name, value := range members {
		if slices.Contains(refusedMembers, name) {
			return fmt.Errorf("its header has %s", name)
		}
		if value[0] == '{' || value[0] == '[' {
			return errors.New("its header is nested")
		}
	}
	return nil
}
