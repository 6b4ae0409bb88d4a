package tenantsetup

import (
	"slices"
	"strings"

	"github.com/auth0/go-auth0/management"
)

func checkMyAccount(n *Needs, o *observed) []Finding {
	if n.Link == nil {
		return nil
	}
	ids := []string{"my_account.active", "my_account.grant"}
	switch {
	case o.management != nil:
		if o.probes.authorize == badAPI {
			return []Finding{wrong("my_account.grant", "the link pages' application may have no tokens of "+n.myAccount(),
				"the My Account API active, and user access to it", "Applications > APIs > Auth0 My Account API").
				mendedByHand(newGrant("the link pages' application", n.Link.Client.ID, n.myAccount(), accountScopes))}
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
	if !o.isOurs(n, n.Link.Client.ID) {
		return nil
	}
	return []Finding{checkGrant("my_account", n.Link.Client.ID, accountScopes, o, rs)}
}

// checkGrant checks that a client may have users' tokens of an API, with these
// scopes.
func checkGrant(group, clientID string, scopes []string, o *observed, rs *management.ResourceServer) Finding {
	name := o.nameOf(clientID)
	create := newGrant(name, clientID, rs.GetIdentifier(), scopes)
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
				mendedBy(widenGrant(grant, missing))
		}
	}
	return fine(group+".grant", name+" has user access to "+rs.GetIdentifier())
}

// newGrant lets a client have users' tokens of an API.
func newGrant(name, clientID, audience string, scopes []string) Change {
	return Change{What: "user access of " + name + " to " + audience, Method: "POST", Path: []string{"client-grants"}, Body: map[string]any{
		"client_id": clientID, "audience": audience, "scope": append([]string{}, scopes...), "subject_type": subjectUser,
	}}
}

// widenGrant adds scopes to a grant; PATCH replaces the whole list.
func widenGrant(grant *management.ClientGrant, missing []string) Change {
	return Change{
		What: "the access of " + grant.GetClientID() + " to " + grant.GetAudience(), Method: "PATCH", Path: []string{"client-grants", grant.GetID()},
		Body: map[string]any{"scope": append(slices.Clone(grant.GetScope()), missing...)},
	}
}
