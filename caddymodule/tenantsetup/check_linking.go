package tenantsetup

import (
	"errors"
	"strings"
)

// checkLinking is about pages that link identities.
func checkLinking(n *Needs, o *observed) (findings []Finding) {
	if !n.Link.identities() {
		return nil
	}
	if n.Link.Via == "link_account" {
		findings = append(findings, unseen("link.action", errors.New("whether the account-linking Action is there, and lets this application link")))
		if o.public.pushed {
			findings = append(findings, fine("link.par", "ID tokens stay out of URLs: authorization requests can be pushed"))
		} else {
			findings = append(findings, unseen("link.par", errors.New("authorization requests cannot be pushed, so ID tokens travel in URLs")))
		}
	}
	if !n.ManagementLinks || o.management != nil {
		return findings
	}
	if missing := o.lacks("read:users", "update:users"); missing != nil {
		return append(findings, wrong("management.linking", n.Management.ID+" lacks "+strings.Join(missing, " "),
			"read:users update:users, to link identities", managementWhere))
	}
	return append(findings, fine("management.linking", n.Management.ID+" may link identities"))
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
	return []Finding{wrong(id, "people may not sign in through it, so they cannot link it", "the purpose Authentication and Connected Accounts", pageOf(c)+" > Settings > Purpose").
		mendedBy(patchConnection(c, map[string]any{"authentication": map[string]any{"active": true}}))}
}
