package auth0test

import "net/http"

// serveDiscovery answers both of Auth0's metadata documents with members that
// Auth0's have. It names nothing that this tenant does not serve.
func (t *Tenant) serveDiscovery(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "public, max-age=15, stale-while-revalidate=15, stale-if-error=86400")
	metadata := map[string]any{
		"issuer":                                t.Issuer(),
		"authorization_endpoint":                t.base + "/authorize",
		"token_endpoint":                        t.base + "/oauth/token",
		"userinfo_endpoint":                     t.base + "/userinfo",
		"jwks_uri":                              t.base + "/.well-known/jwks.json",
		"revocation_endpoint":                   t.base + "/oauth/revoke",
		"scopes_supported":                      oidcScopes,
		"response_types_supported":              []string{"code"},
		"code_challenge_methods_supported":      []string{"S256", "plain"},
		"response_modes_supported":              []string{modeQuery, modeFormPost}, // Auth0 has web_message, and does not say so,
		"subject_types_supported":               []string{"public"},
		"id_token_signing_alg_values_supported": []string{"HS256", "RS256"},
		"token_endpoint_auth_methods_supported": []string{"client_secret_basic", "client_secret_post"},
		"claims_supported": []string{
			"aud", "auth_time", "email", "email_verified", "exp", "family_name", "given_name",
			"iat", "iss", "name", "nickname", "picture", "sub",
		},
		"request_uri_parameter_supported": false,
		"request_parameter_supported":     false,
		"grant_types_supported":           supportedGrants(),
	}
	if t.cfg().Tenant.OIDCLogout.EndSessionEndpointDiscovery {
		metadata["end_session_endpoint"] = t.base + "/oidc/logout"
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
