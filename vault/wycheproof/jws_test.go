// Package wycheproof runs Project Wycheproof's JWS vectors through the verifier:
// each group's key is served as a tenant's key set, each vector arrives as an
// access token.
package wycheproof

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"

	"github.com/tokenvault/caddy-token-vault/vault"
)

type vectors struct {
	TestGroups []struct {
		Comment string          `json:"comment"`
		Public  json.RawMessage `json:"public"`
		Tests   []struct {
			ID      int      `json:"tcId"`
			Comment string   `json:"comment"`
			JWS     string   `json:"jws"`
			Result  string   `json:"result"`
			Flags   []string `json:"flags"`
		} `json:"tests"`
	} `json:"testGroups"`
}

// beforeClaims are the reasons for refusing a token whose signature does not
// count. Any other reason means that it did.
var beforeClaims = []string{"malformed", "no_jwt", "encrypted", "wrong_algorithm", "unknown_key", "bad_signature", "key_endpoint_failed", "token_size"}

var pinned = []string{"RS256", "PS256", "ES256"}

func TestJSONWebSignatureVectors(t *testing.T) {
	data, err := fs.ReadFile(wycheproof.TestVectors, "json_web_signature_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	accepted, refused := 0, 0
	for _, group := range v.TestGroups {
		var key struct {
			Alg string `json:"alg"`
		}
		_ = json.Unmarshal(group.Public, &key)
		client := clientWithKey(t, group.Public)
		for _, test := range group.Tests {
			ok := signatureCounts(t, client, test.JWS)
			switch {
			case ok && test.Result != "valid":
				t.Errorf("%d (%s: %s): accepted, but it is %s", test.ID, group.Comment, test.Comment, test.Result)
			case !ok && test.Result == "valid" && slices.Contains(pinned, key.Alg) && !misnamed(test.JWS, key.Alg):
				t.Errorf("%d (%s: %s): refused, but it is valid", test.ID, group.Comment, test.Comment)
			case ok:
				accepted++
			default:
				refused++
			}
		}
	}
	t.Logf("%d accepted, %d refused", accepted, refused)
	if accepted < 10 || refused < 300 {
		t.Errorf("accepted %d and refused %d: the vectors did not run", accepted, refused)
	}
}

// misnamed tells whether the vector's header names another algorithm than its
// key: Wycheproof calls some of those valid, the key's own `alg` has to agree here.
func misnamed(jws, alg string) bool {
	part, _, _ := strings.Cut(jws, ".")
	data, err := base64.RawURLEncoding.DecodeString(part)
	if err != nil {
		return false
	}
	var header struct {
		Alg string `json:"alg"`
	}
	return json.Unmarshal(data, &header) == nil && header.Alg != alg
}

func signatureCounts(t *testing.T, client *vault.Client, jws string) bool {
	t.Helper()
	_, err := client.Verify(context.Background(), jws)
	var refusal *vault.Error
	if !errors.As(err, &refusal) {
		t.Fatalf("Verify: %v: no vector is an access token of ours", err)
	}
	return !slices.Contains(beforeClaims, refusal.Reason)
}

// clientWithKey returns a client of a tenant whose only key is public.
func clientWithKey(t *testing.T, public json.RawMessage) *vault.Client {
	t.Helper()
	if public == nil {
		public = json.RawMessage(`{"kty":"oct"}`)
	}
	document, err := json.Marshal(map[string]any{"keys": []json.RawMessage{public}})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(document) }))
	t.Cleanup(server.Close)
	client, err := vault.New(vault.Config{
		Domain:       server.URL,
		Audience:     "https://api.example.com/",
		ClientID:     "client",
		ClientSecret: vault.NewSecret("secret"),
		Algorithms:   pinned,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}
