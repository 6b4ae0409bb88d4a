package tenantsetup

import (
	"slices"
	"strings"

	"github.com/auth0/go-auth0/management"
)

// apiName is what setup calls an API that it makes.
const apiName = "Agents"

func checkAPI(n *Needs, o *observed) []Finding {
	ids := []string{"api.exists", "api.signing_alg", "api.user_access"}
	switch {
	case o.management != nil:
		return unseenAll(o.management, ids...)
	case o.apis.err != nil:
		return unseenAll(o.apis.err, ids...)
	}
	rs := o.apis.value[n.Audience]
	if rs == nil {
		return []Finding{missingAPI(n)}
	}
	return append([]Finding{fine("api.exists", "API "+n.Audience), checkSigningAlg(n, rs), checkUserAccess("api.user_access", rs)},
		checkPermissions(n, rs)...)
}

func missingAPI(n *Needs) Finding {
	body := map[string]any{
		"name": apiName, "identifier": n.Audience, "signing_alg": n.Algorithms[0],
		// Agents act while their users are away, so they need refresh tokens.
		"allow_offline_access":                            true,
		"skip_consent_for_verifiable_first_party_clients": true,
	}
	scopes := make([]any, 0, len(n.Permissions))
	for _, permission := range n.Permissions {
		scopes = append(scopes, map[string]any{"value": permission})
	}
	if len(scopes) > 0 {
		body["scopes"] = scopes
	}
	return wrong("api.exists", "no API "+n.Audience, "an API with this identifier, the audience of agents' tokens",
		"Applications > APIs > Create API").
		mendedBy(Change{What: "API " + n.Audience, Method: "POST", Path: []string{"resource-servers"}, Body: body})
}

func dashboardOf(rs *management.ResourceServer) string {
	return "Applications > APIs > " + rs.GetName()
}

func patchAPI(rs *management.ResourceServer, members map[string]any) Change {
	return Change{What: "API " + rs.GetIdentifier(), Method: "PATCH", Path: []string{"resource-servers", rs.GetID()}, Body: members}
}

func checkSigningAlg(n *Needs, rs *management.ResourceServer) Finding {
	const id = "api.signing_alg"
	alg := rs.GetSigningAlgorithm()
	if slices.Contains(n.Algorithms, alg) {
		return fine(id, "its tokens are signed with "+alg)
	}
	return wrong(id, "its tokens are signed with "+alg, strings.Join(n.Algorithms, ", ")+"; or algorithms in the configuration, if that has to stay",
		dashboardOf(rs)+" > Settings > Signing Algorithm").mendedByHand(patchAPI(rs, map[string]any{"signing_alg": n.Algorithms[0]}))
}

// userPolicy is who may have users' tokens of an API; Auth0's default is anybody.
func userPolicy(rs *management.ResourceServer) string {
	if policy := rs.GetSubjectTypeAuthorization().GetUser().GetPolicy(); policy != "" {
		return policy
	}
	return "allow_all"
}

func checkUserAccess(id string, rs *management.ResourceServer) Finding {
	policy := userPolicy(rs)
	if policy != "deny_all" {
		return fine(id, "users' tokens: "+policy)
	}
	policies := map[string]any{"user": map[string]any{"policy": "require_client_grant"}}
	if machines := rs.GetSubjectTypeAuthorization().GetClient(); machines != nil { // whether PATCH keeps it is not known
		policies["client"] = machines
	}
	return wrong(id, "no application may have users' tokens of "+rs.GetIdentifier()+" (deny_all)", "require_client_grant",
		dashboardOf(rs)+" > Settings > Application Access Policy > For User Access").
		mendedByHand(patchAPI(rs, map[string]any{"subject_type_authorization": policies}))
}

// checkPermissions: what routes require of agents has to be something that they
// can have.
func checkPermissions(n *Needs, rs *management.ResourceServer) []Finding {
	const id = "api.permissions"
	if len(n.Permissions) == 0 {
		return nil
	}
	scopes := deref(rs.Scopes)
	all := make([]map[string]any, 0, len(scopes))
	for _, scope := range scopes {
		one := map[string]any{"value": scope.GetValue()}
		if scope.Description != nil {
			one["description"] = scope.GetDescription()
		}
		all = append(all, one)
	}
	var missing []string
	for _, permission := range n.Permissions {
		if !slices.ContainsFunc(scopes, func(s management.ResourceServerScope) bool { return s.GetValue() == permission }) {
			missing = append(missing, permission)
			all = append(all, map[string]any{"value": permission})
		}
	}
	if missing == nil {
		return []Finding{fine(id, "it has what require_scopes names")}
	}
	return []Finding{wrong(id, "no permission "+strings.Join(missing, ", "), "all that require_scopes names", dashboardOf(rs)+" > Permissions").
		mendedBy(patchAPI(rs, map[string]any{"scopes": all}))}
}
