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
	var scopes []any
	for _, permission := range n.Permissions {
		scopes = append(scopes, map[string]any{"value": permission})
	}
	if scopes != nil {
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
	return wrong(id, "no application may have users' tokens of "+rs.GetIdentifier()+" (deny_all)", "require_client_grant",
		dashboardOf(rs)+" > Settings > Application Access Policy > For User Access").
		mendedByHand(patchAPI(rs, map[string]any{"subject_type_authorization": map[string]any{"user": map[string]any{"policy": "require_client_grant"}}}))
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
		all = append(all, map[string]any{"value": scope.GetValue(), "description": scope.GetDescription()})
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

func checkMyAccount(n *Needs, o *observed) []Finding {
	if n.Link == nil {
		return nil
	}
	ids := []string{"my_account.active", "my_account.grant"}
	switch {
	case o.management != nil:
		if o.probes.authorize == badAPI {
			return []Finding{wrong("my_account.grant", "the link pages' application may have no tokens of "+n.myAccount(),
				"the My Account API active, and user access to it", "Applications > APIs > Auth0 My Account API")}
		}
		return unseenAll(o.management, ids...)
	case o.apis.err != nil:
		return unseenAll(o.apis.err, ids...)
	}
	rs := o.myAccount(n)
	if rs == nil {
		return []Finding{wrong("my_account.active", "the My Account API is not active", "active: accounts are connected through it",
			"Applications > APIs > Auth0 My Account API > Activate").mendedBy(Change{
			What: "the My Account API", Method: "POST", Path: []string{"resource-servers"},
			Body: map[string]any{"name": "Auth0 My Account API", "identifier": n.myAccount()},
		})}
	}
	return append([]Finding{fine("my_account.active", rs.GetIdentifier()), checkUserAccess("my_account.user_access", rs)},
		checkAccountGrant(n, o, rs)...)
}

func checkAccountGrant(n *Needs, o *observed, rs *management.ResourceServer) []Finding {
	if userPolicy(rs) != "require_client_grant" {
		return nil
	}
	if o.grants.err != nil {
		return unseenAll(o.grants.err, "my_account.grant")
	}
	client := o.clients.value[n.Link.Client.ID]
	if client == nil {
		return nil
	}
	return []Finding{checkGrant("my_account", n.Link.Client.ID, accountScopes, o, rs)}
}

// checkGrant checks that a client may have users' tokens of an API, with these
// scopes.
func checkGrant(group, clientID string, scopes []string, o *observed, rs *management.ResourceServer) Finding {
	name := o.nameOf(clientID)
	create := Change{What: "user access of " + name + " to " + rs.GetIdentifier(), Method: "POST", Path: []string{"client-grants"}, Body: map[string]any{
		"client_id": clientID, "audience": rs.GetIdentifier(), "scope": append([]string{}, scopes...), "subject_type": subjectUser,
	}}
	dashboard := dashboardOf(rs) + " > Application Access > User Access"
	expected := "user access with " + strings.Join(scopes, " ")
	if len(scopes) == 0 {
		expected = "user access"
	}
	grant := o.grant(clientID, rs.GetIdentifier(), true)
	switch {
	case grant == nil && o.grant(clientID, rs.GetIdentifier(), false) != nil:
		return wrong(group+".subject_type", "the grant of "+name+" was stored as client access, which no user's token comes from",
			expected, dashboard).mendedBy(create)
	case grant == nil:
		return wrong(group+".grant", name+" has no user access to "+rs.GetIdentifier(), expected, dashboard).mendedBy(create)
	case !grant.GetAllowAllScopes():
		var missing []string
		for _, scope := range scopes {
			if !slices.Contains(grant.GetScope(), scope) {
				missing = append(missing, scope)
			}
		}
		if missing != nil {
			return wrong(group+".scopes", "the user access of "+name+" lacks "+strings.Join(missing, " "), expected, dashboard).
				mendedBy(Change{What: create.What, Method: "PATCH", Path: []string{"client-grants", grant.GetID()},
					Body: map[string]any{"scope": append(slices.Clone(grant.GetScope()), missing...)}})
		}
	}
	return fine(group+".grant", name+" has user access to "+rs.GetIdentifier())
}
