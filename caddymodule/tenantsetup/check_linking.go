package tenantsetup

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/tokenvault/caddy-token-vault/linkflow"
)

// checkLinking is about pages that link identities.
func checkLinking(n *Needs, o *observed) (findings []Finding) {
	if !n.Link.identities() {
		return nil
	}
	if n.Link.Via == linkflow.ViaLinkAccount {
		findings = append(findings, unseen("link.action", errors.New("whether the account-linking Action is there, and lets this application link")))
		if o.public.pushed {
			findings = append(findings, fine("link.par", "ID tokens stay out of URLs: authorization requests can be pushed"))
		} else {
			findings = append(findings, unseen("link.par", errors.New("authorization requests cannot be pushed, so ID tokens travel in URLs")))
		}
	}
	return append(append(findings, checkUsersAPI(n, o)...), checkLinker(n, o)...)
}

// checkLinker is about the machine that links where the person's own token may not.
func checkLinker(n *Needs, o *observed) []Finding {
	const id = "management.linking"
	switch {
	case n.Linker == "":
		return nil
	case n.Linker != n.Management.ID:
		return []Finding{unseen(id, fmt.Errorf("whether %s, the configuration's management, may link identities: %s looks in its place", n.Linker, n.Management.ID))}
	case o.management != nil:
		return nil // management.credentials says so
	}
	missing := o.lacks("read:users", "update:users")
	if missing == nil {
		return []Finding{fine(id, n.Linker+" may link identities")}
	}
	f := wrong(id, n.Linker+" lacks "+strings.Join(missing, " "), "read:users update:users, to link identities", managementWhere)
	if grant := o.grant(n.Linker, n.managementIssuer()+"api/v2/", false); grant != nil {
		f = f.mendedByHand(widenGrant(grant, missing))
	}
	return []Finding{f}
}

// checkUsersAPI: who links identities signs in for a token of the Management API,
// which is good for their own user. Whether Auth0 shows who may have such tokens,
// and lets a program change it, is not known, so setup leaves it to people.
func checkUsersAPI(n *Needs, o *observed) []Finding {
	const id = "management_api.user_access"
	if err := cmp.Or(o.management, o.apis.err); err != nil {
		return unseenAll(err, id)
	}
	rs := cmp.Or(o.apis.value[n.Issuer+"api/v2/"], o.apis.value[n.managementIssuer()+"api/v2/"])
	if rs.GetSubjectTypeAuthorization().GetUser().GetPolicy() == "" {
		return unseenAll(errors.New("whether people get their own tokens of the Management API, which linking takes; Auth0 gives them by default, and who links an account sees it"), id)
	}
	findings := []Finding{checkUserAccess(id, rs)}
	switch {
	case userPolicy(rs) != "require_client_grant" || !o.isOurs(n, n.Link.Client.ID):
		return findings
	case o.grants.err != nil:
		return append(findings, unseen("management_api.grant", o.grants.err))
	}
	scopes := []string{"read:current_user"}
	if n.Link.Via == linkflow.ViaManagement { // with link_account the Action links
		scopes = append(scopes, "update:current_user_identities")
	}
	grant := checkGrant("management_api", n.Link.Client.ID, scopes, o, rs)
	grant.byHand = true
	return append(findings, grant)
}

// checkLogin: who links an identity signs in through the connection.
func checkLogin(n *Needs, c *connection) []Finding {
	const id = "connection.login"
	switch {
	case !n.Link.identities():
		return nil
	case c.Authentication == nil || c.Authentication.GetActive():
		return []Finding{fine(id, "people may sign in through it")}
	}
	return []Finding{wrong(id, "people may not sign in through it, so they cannot link it", "a purpose with Authentication", pageOf(c)+" > Settings > Purpose").
		mendedBy(patchConnection(c, map[string]any{"authentication": map[string]any{"active": true}}))}
}
