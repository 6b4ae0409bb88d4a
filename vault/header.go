package vault

import (
	"encoding/base64"
	"errors"
	"fmt"
	"slices"

	josejson "github.com/go-jose/go-jose/v4/json"
)

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
