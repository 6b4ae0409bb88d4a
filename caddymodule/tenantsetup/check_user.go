package tenantsetup

import (
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// checkUser compares what a person has connected with what each route needs.
func checkUser(n *Needs, o *observed) (findings []Finding) {
	switch {
	case n.User == "":
		return nil
	case o.management != nil:
		return unseenAll(o.management, "user.connected")
	case errors.Is(o.user.err, errNoUser):
		return []Finding{wrong("user.exists", o.user.err.Error(), "a user id or the e-mail address of one user", "User Management > Users")}
	case o.user.err != nil:
		return unseenAll(o.user.err, "user.connected")
	}
	findings = append(findings, fine("user.exists", o.user.value.id))
	for _, route := range n.Routes {
		f := checkRoute(o.user.value, route).about(route.Connection)
		if !slices.Contains(findings, f) { // routes that need different scopes may fare alike
			findings = append(findings, f)
		}
	}
	return findings
}

// checkRoute is about one route: some account of its connection has to have all
// its scopes.
func checkRoute(u *user, route Route) Finding {
	const where = "User Management > Users > (the user) > Connected Accounts"
	found := wrong("user.connected", "not connected", "connected: the user opens the link that the agent gets", where)
	for _, account := range u.accounts {
		if account.GetConnection() != route.Connection {
			continue
		}
		granted := account.GetScopes()
		missing := vault.MissingScopes(granted, route.Scopes)
		switch {
		case !account.GetExpiresAt().IsZero() && account.GetExpiresAt().Before(time.Now()):
			found = wrong("user.connected", "connected, and expired", "connected again, by the link that the agent gets", where)
		case len(granted) > 0 && missing != nil:
			found = wrong("user.scopes", "connected with "+list(granted)+", without "+strings.Join(missing, " "), "connected with "+list(route.Scopes), where)
		default:
			return fine("user.connected", "connected with "+list(granted))
		}
	}
	return found
}
