package auth0test_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

func part(t *testing.T, token string, i int) map[string]any {
	t.Helper()
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		t.Fatalf("no JWT: %q", token)
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[i])
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

func keySet(t *testing.T, s *auth0test.Server) jose.JSONWebKeySet {
	t.Helper()
	a := get(t, s.URL+"/.well-known/jwks.json", "")
	var set jose.JSONWebKeySet
	if err := json.Unmarshal([]byte(a.Body), &set); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(a.Header.Get("Cache-Control"), "max-age") {
		t.Error("the JWKS may not be cached")
	}
	return set
}

// verifies reports whether a published key made the token's signature.
func verifies(t *testing.T, s *auth0test.Server, token string) bool {
	t.Helper()
	jws, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256, jose.PS256, jose.ES256})
	if err != nil {
		t.Fatal(err)
	}
	set := keySet(t, s)
	for _, k := range set.Key(jws.Signatures[0].Header.KeyID) {
		if _, err := jws.Verify(k); err == nil && k.Algorithm == jws.Signatures[0].Header.Algorithm {
			return true
		}
	}
	return false
}

func TestJWKSHasCurrentNextAndUnrevokedKeys(t *testing.T) {
	s := tenant(t)
	old := accessToken(t, s)
	before := keySet(t, s)
	if len(before.Keys) != 2 || !verifies(t, s, old) {
		t.Fatalf("%d keys at the start", len(before.Keys))
	}
	if k := before.Keys[0]; k.Use != "sig" || k.Algorithm != "RS256" || len(k.Certificates) != 1 || len(k.CertificateThumbprintSHA1) == 0 {
		t.Errorf("not a key as Auth0 shows it: %+v", k)
	}

	s.RotateKeys(false)
	after := keySet(t, s)
	if len(after.Keys) != 3 || after.Keys[0].KeyID != before.Keys[1].KeyID {
		t.Error("the next key did not become the current one, with the previous one kept")
	}
	if !verifies(t, s, old) || !verifies(t, s, accessToken(t, s)) {
		t.Error("a token from before or after the rotation does not verify")
	}

	s.RotateKeys(true)
	if len(keySet(t, s).Keys) != 2 || verifies(t, s, old) {
		t.Error("revoked keys are still published")
	}
	if a := exchange(t, s, old); a.Status != http.StatusUnauthorized || a.code() != "invalid_grant" {
		t.Errorf("a token of a revoked key is still a subject: %d %s", a.Status, a.Body)
	}
}

func TestAPIsSignWithTheirOwnAlgorithm(t *testing.T) {
	for _, alg := range []string{"RS256", "PS256", "ES256"} {
		s := tenant(t, func(cfg *auth0test.Config) { cfg.ResourceServers[0].SigningAlg = alg })
		token := accessToken(t, s)
		if part(t, token, 0)["alg"] != alg || !verifies(t, s, token) {
			t.Errorf("%s: not signed so that a published key verifies it", alg)
		}
		if a := exchange(t, s, token); a.code() != "federated_connection_refresh_token_not_found" {
			t.Errorf("%s: the tenant does not take its own token: %s", alg, a.Body)
		}
	}
}

func TestDialectsDecideHeaderAndClaims(t *testing.T) {
	tests := map[string]struct {
		typ        string
		has, lacks []string
	}{
		"access_token":          {"JWT", []string{"azp"}, []string{"client_id", "jti", "permissions"}},
		"access_token_authz":    {"JWT", []string{"azp", "permissions"}, []string{"client_id", "jti"}},
		"rfc9068_profile":       {"at+jwt", []string{"client_id", "jti"}, []string{"azp", "gty", "permissions"}},
		"rfc9068_profile_authz": {"at+jwt", []string{"client_id", "jti", "permissions"}, []string{"azp", "gty"}},
	}
	for dialect, tt := range tests {
		s := tenant(t, func(cfg *auth0test.Config) {
			cfg.ResourceServers[0].TokenDialect, cfg.ResourceServers[0].EnforcePolicies = dialect, true
		})
		token := accessToken(t, s)
		c := claims(t, token)
		if typ := part(t, token, 0)["typ"]; typ != tt.typ {
			t.Errorf("%s: typ %v", dialect, typ)
		}
		for _, name := range tt.has {
			if _, ok := c[name]; !ok {
				t.Errorf("%s: no %s", dialect, name)
			}
		}
		for _, name := range tt.lacks {
			if _, ok := c[name]; ok {
				t.Errorf("%s: %s is there", dialect, name)
			}
		}
	}
}

func TestIssuedTokens(t *testing.T) {
	s := tenant(t)
	c := claims(t, accessToken(t, s))
	if c["iss"] != s.Issuer() || c["sub"] != "auth0|alice" || c["azp"] != "demo-agent" || c["scope"] != "openid read:calendar" {
		t.Errorf("claims %v", c)
	}
	if aud, ok := c["aud"].([]any); !ok || !slices.Equal(aud, []any{audience, s.Issuer() + "userinfo"}) {
		t.Errorf("with openid the audience is %v", c["aud"])
	}
	c = claims(t, accessToken(t, s, func(r *auth0test.TokenRequest) { r.Scope, r.User = "", "alice@example.com" }))
	if c["aud"] != audience || c["scope"] != nil || c["sub"] != "auth0|alice" || c["exp"].(float64)-c["iat"].(float64) != 86400 {
		t.Errorf("without scopes: %v", c)
	}

	machine, err := s.IssueToken(auth0test.TokenRequest{ClientID: "demo-agent"})
	if err != nil || machine.IDToken != "" {
		t.Fatalf("machine: %v, ID token %q", err, machine.IDToken)
	}
	if c := claims(t, machine.AccessToken); c["sub"] != "demo-agent@clients" || c["gty"] != "client-credentials" {
		t.Errorf("machine token %v", c)
	}
	if _, err := s.IssueToken(auth0test.TokenRequest{}); err == nil {
		t.Error("a token for nobody")
	}

	user, _ := s.IssueToken(auth0test.TokenRequest{User: "auth0|bob", ClientID: "demo-agent", Scope: "openid email"})
	if user.RefreshToken != "" {
		t.Error("a refresh token without offline_access")
	}
	if c := claims(t, user.IDToken); c["aud"] != "demo-agent" || c["email"] != "bob@example.com" || c["name"] != nil {
		t.Errorf("ID token %v", c)
	}
}

func TestHostileTokensCanBeMade(t *testing.T) {
	s := tenant(t)
	issue := func(header, over map[string]any) string {
		return accessToken(t, s, func(r *auth0test.TokenRequest) { r.Header, r.Claims, r.ExpiresIn = header, over, new(-5) })
	}
	token := issue(map[string]any{"alg": "none", "typ": nil, "x": 1}, map[string]any{"azp": nil, "sub": "x|y", "n": []int{1}})
	if h := part(t, token, 0); h["alg"] != "none" || h["typ"] != nil || h["x"] != 1.0 || !strings.HasSuffix(token, ".") {
		t.Errorf("header %v", h)
	}
	if c := claims(t, token); c["azp"] != nil || c["sub"] != "x|y" || c["n"] == nil || c["exp"].(float64) <= c["iat"].(float64) {
		t.Errorf("claims %v", c)
	}
	token = issue(map[string]any{"alg": "HS256", "kid": "mine"}, nil)
	key := jose.JSONWebKey{Key: []byte("auth0test-hs256-secret-that-nobody-uses")}
	jws, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{jose.HS256})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := jws.Verify(key); err != nil || jws.Signatures[0].Header.KeyID != "mine" {
		t.Errorf("HS256: %v", err)
	}
	for _, alg := range []string{"none", "HS256", "PS256", "ES256", "RS512"} {
		token := accessToken(t, s, func(r *auth0test.TokenRequest) { r.Header = map[string]any{"alg": alg} })
		if a := exchange(t, s, token); a.code() != "invalid_grant" {
			t.Errorf("the tenant takes a %s token: %s", alg, a.Body)
		}
	}
}

func TestDiscovery(t *testing.T) {
	s := tenant(t)
	for _, path := range []string{"/.well-known/openid-configuration", "/.well-known/oauth-authorization-server"} {
		req := request(t, http.MethodGet, s.URL+path, "", "")
		req.Host = "evil.example"
		a := do(t, http.DefaultClient, req)
		if a.Status != 200 || a.JSON["issuer"] != s.Issuer() || a.JSON["token_endpoint"] != s.URL+"/oauth/token" ||
			a.JSON["jwks_uri"] != s.URL+"/.well-known/jwks.json" {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

// A client that finds an endpoint, or a way to authenticate, in the discovery document
// uses it.
func TestDiscoveryAnnouncesNothingThatIsNotServed(t *testing.T) {
	s := tenant(t, settings(func(s *auth0test.Settings) { s.PushedAuthorizationRequestsSupported = true }))
	metadata := get(t, s.URL+"/.well-known/openid-configuration", "").JSON
	for name, value := range metadata {
		at, ok := value.(string)
		if !ok || name == "issuer" {
			continue
		}
		asked, posted := get(t, at, ""), postForm(t, at, url.Values{})
		if asked.Body == "Not Found" && posted.Body == "Not Found" {
			t.Errorf("%s: %s is not there", name, at)
		}
	}
	for name, want := range map[string]any{
		"token_endpoint_auth_methods_supported": []any{"client_secret_basic", "client_secret_post"},
		"grant_types_supported":                 []any{"authorization_code", "refresh_token", "client_credentials", vaultGrant},
		"device_authorization_endpoint":         nil, "registration_endpoint": nil, "mfa_challenge_endpoint": nil,
		"mtls_endpoint_aliases": nil, "dpop_signing_alg_values_supported": nil, "backchannel_logout_supported": nil,
		"backchannel_logout_session_supported": nil, "token_endpoint_auth_signing_alg_values_supported": nil,
	} {
		if !reflect.DeepEqual(metadata[name], want) {
			t.Errorf("%s is %v", name, metadata[name])
		}
	}
}

func TestUnbuiltEndpointsAreNotFound(t *testing.T) {
	s := tenant(t)
	for path, want := range map[string]string{
		"/nothing": "Not Found", "/oauth/token": "Not Found",
		"/api/v2/roles":             `{"statusCode":404,"error":"Not Found","message":"Not Found"}`,
		"/me/v1/organizations":      "A0E-404-0001",
		"/_tenantx":                 "Not Found",
		"/me/v1/connected-accounts": "A0E-404-0001",
	} {
		a := get(t, s.URL+path, "")
		if a.Status != 404 || !strings.Contains(a.Body, want) {
			t.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
	}
}

func TestTheChallengeConstantFits(t *testing.T) {
	sum := sha256.Sum256([]byte(verifier))
	if got := base64.RawURLEncoding.EncodeToString(sum[:]); got != challenge {
		t.Fatalf("challenge is %s", got)
	}
}
