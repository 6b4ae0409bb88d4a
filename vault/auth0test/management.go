package auth0test

import (
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// currentUserScopes are all that a user's token can have of the Management
// API; a token with one of them is good for that user's own record only.
var currentUserScopes = []string{
	"read:current_user", "update:current_user_identities",
	"create:current_user_metadata", "update:current_user_metadata",
	"create:current_user_device_credentials", "delete:current_user_device_credentials",
}

// A managementRequest is a request to the Management API that was let in.
type managementRequest struct {
	*http.Request
	body []byte
	// subject is who the token speaks for, client whom it was issued to.
	subject, client string
	scopes          []string
	// own means that the token is good for the subject's own record only.
	own bool
}

func (r *managementRequest) has(scope string) bool { return slices.Contains(r.scopes, scope) }

// A reply is what a method of the Management API answers; nil is no body.
type reply struct {
	status int
	body   any
}

// A managementMethod is one method of the API: its errors are
// *managementErrors.
type managementMethod func(*managementRequest) (reply, error)

// A managementRoute is a method with the scopes of which a token needs any.
type managementRoute struct {
	pattern, scopes string
	serve           managementMethod
}

// managementRoutes are all methods of the API.
func (t *Tenant) managementRoutes() map[string]http.HandlerFunc {
	out := map[string]http.HandlerFunc{}
	for _, m := range slices.Concat(t.userRoutes(), t.tenantRoutes(),
		collectionRoutes(t.clients(), "clients", "read:clients read:client_keys"),
		collectionRoutes(t.clientGrants(), "client-grants", "read:client_grants"),
		collectionRoutes(t.connections(), "connections", "read:connections"),
		collectionRoutes(t.resourceServers(), "resource-servers", "read:resource_servers"),
	) {
		method, path, _ := strings.Cut(m.pattern, " ")
		out[method+" /api/v2/"+path] = t.management(strings.Fields(m.scopes), m.serve)
	}
	return out
}

func (t *Tenant) userRoutes() []managementRoute {
	const linking = "update:users update:current_user_identities"
	routes := []managementRoute{
		{"GET users", "read:users", t.listUsers},
		{"POST users", "create:users", t.createUser},
		{"GET users-by-email", "read:users", t.usersByEmail},
		{"GET users/{id}", "read:users read:current_user", t.getUser},
		{"PATCH users/{id}", "update:users update:users_app_metadata create:current_user_metadata update:current_user_metadata", t.patchUser},
		{"DELETE users/{id}", "delete:users", t.deleteUser},
		{"POST users/{id}/identities", linking, t.postIdentity},
		{"DELETE users/{id}/identities/{provider}/{user_id}", linking, t.deleteIdentity},
		{"GET users/{id}/connected-accounts", "read:users", t.listConnectedAccounts},
		{"GET users/{id}/authentication-methods", "read:authentication_methods", t.listAuthenticationMethods},
		{"GET users/{id}/enrollments", "read:users read:current_user", t.listEnrollments},
	}
	if t.cfg().Settings.TokensetMethods { // Auth0 removed them in July 2026
		routes = append(routes,
			managementRoute{"GET users/{id}/federated-connections-tokensets", "read:users", t.listTokensets},
			managementRoute{"DELETE users/{id}/federated-connections-tokensets/{tokenset}", "update:users", t.deleteTokenset},
		)
	}
	return routes
}

func (t *Tenant) tenantRoutes() []managementRoute {
	return []managementRoute{
		{"GET connections/{id}/clients", "read:connections", t.listEnabledClients},
		{"PATCH connections/{id}/clients", "update:connections", t.patchEnabledClients},
		{"GET tenants/settings", "read:tenant_settings", t.getTenantSettings},
		{"PATCH tenants/settings", "update:tenant_settings", t.patchTenantSettings},
		{"GET guardian/factors", "read:guardian_factors", t.listFactors},
		{"GET guardian/policies", "read:mfa_policies", t.getMFAPolicies},
		{"PUT guardian/policies", "update:mfa_policies", t.putMFAPolicies},
	}
}

// collectionRoutes are the methods on a collection, by the scopes that read it.
func collectionRoutes[T any](c *collection[T], path, read string) []managementRoute {
	of := strings.ReplaceAll(path, "-", "_")
	return []managementRoute{
		{"GET " + path, read, c.list},
		{"POST " + path, "create:" + of, c.create},
		{"GET " + path + "/{id}", read, c.get},
		{"PATCH " + path + "/{id}", "update:" + of, c.patch},
		{"DELETE " + path + "/{id}", "delete:" + of, c.delete},
	}
}

// management wraps a method with what all share: a token with one of the
// scopes, JSON in and out.
func (t *Tenant) management(scopes []string, serve managementMethod) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		answer, err := t.callManagement(r, scopes, serve)
		var refused *managementError
		switch {
		case errors.As(err, &refused):
			refused.write(w)
			return
		case err != nil:
			newManagementError(http.StatusInternalServerError, "", "%v", err).write(w)
			return
		}
		if answer.body == nil {
			w.Header().Set("Content-Type", "application/json; charset=utf-8")
			w.WriteHeader(answer.status)
			return
		}
		writeJSON(w, answer.status, answer.body)
	}
}

func (t *Tenant) callManagement(r *http.Request, scopes []string, serve managementMethod) (reply, error) {
	call, err := t.admit(r, scopes)
	if err != nil {
		return reply{}, err
	}
	if r.Method == http.MethodPost || r.Method == http.MethodPatch || r.Method == http.MethodPut {
		if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
			return reply{}, newManagementError(http.StatusUnsupportedMediaType, "", "Unsupported Media Type")
		}
		if call.body, err = io.ReadAll(io.LimitReader(r.Body, maxBody)); err != nil || !json.Valid(call.body) {
			return reply{}, badRequest("", "Invalid request payload JSON format")
		}
	}
	return serve(call)
}

// admit checks the bearer token and its scopes.
func (t *Tenant) admit(r *http.Request, scopes []string) (*managementRequest, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, newManagementError(http.StatusUnauthorized, "", "Missing authentication")
	}
	token := bearer(r, "Bearer")
	if strings.Count(token, ".") != 2 || strings.Contains(token, " ") {
		return nil, badRequest("Bearer", "Bad HTTP authentication header format")
	}
	v, err := t.verifyToken(token)
	switch {
	case errors.Is(err, errExpiredToken):
		return nil, badToken("Expired token received for JSON Web Token validation")
	case err != nil:
		return nil, badToken("Invalid token").because("the access token is %v", err)
	case !slices.Contains(v.Audience, t.managementAudience()):
		return nil, badToken("Bad audience: " + strings.Join(v.Audience, ","))
	}
	call := &managementRequest{Request: r, subject: v.Subject, client: v.client(), scopes: strings.Fields(v.Scope)}
	matched := intersect(scopes, call.scopes)
	if len(matched) == 0 {
		return nil, newManagementError(http.StatusForbidden, "insufficient_scope",
			"Insufficient scope, expected any of: %s", strings.Join(scopes, ","))
	}
	call.own = len(intersect(matched, currentUserScopes)) == len(matched)
	if call.own && r.PathValue("id") != v.Subject {
		return nil, newManagementError(http.StatusForbidden, "unowned_resource", "%s", t.cfg().Settings.UnownedMessage)
	}
	return call, nil
}

// managementScopes are the Management API's, as far as this tenant has methods
// for them, and the current user's.
func managementScopes() []Scope {
	var out []Scope //nolint:prealloc // once, at the start
	for _, of := range []string{
		"users", "users_app_metadata", "clients", "client_keys", "client_grants", "connections", "resource_servers",
	} {
		for _, verb := range []string{"read", "create", "update", "delete"} {
			out = append(out, Scope{Value: verb + ":" + of})
		}
	}
	for _, scope := range append([]string{
		"read:user_idp_tokens", "read:authentication_methods", "read:tenant_settings", "update:tenant_settings",
		"read:mfa_policies", "update:mfa_policies", "read:guardian_factors",
	}, currentUserScopes...) {
		out = append(out, Scope{Value: scope})
	}
	return out
}
