package auth0test

import "net/http"

// serveDiscovery answers both of Auth0's metadata documents with the members
// Auth0's have, naming only endpoints that Auth0 has.
func (t *Tenant) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400")
	metadata := map[string]any{
		"issuer":                                t.Issuer(),
		"authorization_endpoint":                t.base + "/authorize",
		"token_endpoint":                        t.base + "/oauth/token",
		"device_authorization_endpoint":         t.base + "/oauth/device/code",
		"userinfo_endpoint":                     t.base + "/userinfo",
		"mfa_challenge_endpoint":                t.base + "/mfa/challenge",
		"jwks_uri":                              t.base + "/.well-known/jwks.json",
		"registration_endpoint":                 t.base + "/oidc/register",
		"revocation_endpoint":                   t.base + "/oauth/revoke",
		"end_session_endpoint":                  t.base + "/oidc/logout",
		"scopes_supported":                      oidcScopes,
		"response_types_supported":              []string{"code"},
		"code_challenge_methods_supported":      []string{"S256", "plain"},
		"response_modes_supported":              []string{"query"},
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"HS256", "RS256"},
		"token_endpoint_auth_methods_supported": []string{
			"client_secret_basic", "client_secret_post", "private_key_jwt", "tls_client_auth", "self_signed_tls_client_auth",
		},
		"claims_supported": []string{
			"aud", "auth_time", "created_at", "email", "email_verified", "exp", "family_name", "given_name",
			"iat", "identities", "iss", "name", "nickname", "phone_number", "picture", "sub",
		},
		"request_uri_parameter_supported":                  false,
		"request_parameter_supported":                      false,
		"token_endpoint_auth_signing_alg_values_supported": []string{"RS256", "RS384", "PS256"},
		"backchannel_logout_supported":                     true,
		"backchannel_logout_session_supported":             true,
		"dpop_signing_alg_values_supported":                []string{"ES256"},
		"mtls_endpoint_aliases":                            map[string]string{"token_endpoint": t.base + "/oauth/token"},
		"grant_types_supported":                            supportedGrants(),
	}
	if t.cfg().Settings.PushedAuthorizationRequestsSupported {
		metadata["pushed_authorization_request_endpoint"] = t.base + "/oauth/par"
	}
	writeJSON(w, http.StatusOK, metadata)
}

// serveJWKS publishes the current, the next and the previous keys.
func (t *Tenant) serveJWKS(w http.ResponseWriter, _ *http.Request) {
	t.mu.Lock()
	pairs := t.keys.all()
	t.mu.Unlock()
	w.Header().Set("Cache-Control", "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400")
	writeJSON(w, http.StatusOK, jwks(pairs, t.cfg().signingAlgs()))
}
