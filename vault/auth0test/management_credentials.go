package auth0test

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"maps"
	"net/http"
	"time"

	"github.com/go-jose/go-jose/v4"
)

// AuthenticationMethods are a client's ways to authenticate without a secret, by
// name: private_key_jwt, tls_client_auth, self_signed_tls_client_auth. This tenant
// keeps and shows them and serves none: such a client cannot authenticate here.
type AuthenticationMethods map[string]AuthenticationCredentials

// AuthenticationCredentials are what one of the methods accepts.
type AuthenticationCredentials struct {
	Credentials []map[string]any `json:"credentials"`
}

// complete gives new credentials what Auth0 gives them, and forgets their keys.
func (m AuthenticationMethods) complete() {
	for _, method := range m {
		for _, c := range method.Credentials {
			if c["id"] != nil { // there already
				continue
			}
			now := timestamp(time.Now())
			maps.Copy(c, map[string]any{"id": "cred_" + randomAlnum(22), "created_at": now, "updated_at": now})
			if text, ok := c["pem"].(string); ok {
				delete(c, "pem")
				describeKey(c, text)
			}
		}
	}
}

// describeKey adds what Auth0 says of a public key: its RFC 7638 thumbprint.
func describeKey(credential map[string]any, text string) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return
	}
	key, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		return
	}
	jwk := jose.JSONWebKey{Key: key}
	if sum, err := jwk.Thumbprint(crypto.SHA256); err == nil {
		credential["kid"] = base64.RawURLEncoding.EncodeToString(sum)
		credential["alg"] = "RS256"
	}
}

// view are the methods as the API shows them: all only to who has just created the
// client, and otherwise the ids.
func (m AuthenticationMethods) view(r *managementRequest) AuthenticationMethods {
	if r.Method == http.MethodPost {
		return m
	}
	out := AuthenticationMethods{}
	for name, method := range m {
		ids := []map[string]any{}
		for _, c := range method.Credentials {
			ids = append(ids, map[string]any{"id": c["id"]})
		}
		out[name] = AuthenticationCredentials{Credentials: ids}
	}
	return out
}
