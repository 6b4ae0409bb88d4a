package tenantsetup

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/auth0/go-auth0/management"

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
		if !slices.Contains(findings, f) { // several routes may fare alike
			findings = append(findings, f)
		}
	}
	return findings
}

// checkRoute is about one route: an account of its connection has to have all its
// scopes, and no others than it lets through.
func checkRoute(u *user, route Route) Finding {
	var good, bad []Finding
	for _, account := range u.accounts {
		if account.GetConnection() != route.Connection {
			continue
		}
		if f := checkAccount(account, route); f.Status == StatusOK {
			good = append(good, f)
		} else {
			bad = append(bad, f)
		}
	}
	switch {
	case len(good)+len(bad) == 0:
		return wrong("user.connected", "not connected", "connected: the user opens the link that the agent gets", accountsWhere)
	case len(good) == 0:
		return bad[len(bad)-1]
	case route.OneAccount:
		return unseen("user.connected", errors.New("whether the connected account is the one that login_hint names"))
	case len(bad) > 0:
		return unseen("user.connected", fmt.Errorf("which of %d accounts Auth0 chooses without login_hint: %d would do", len(good)+len(bad), len(good)))
	}
	return good[len(good)-1]
}

const accountsWhere = "User Management > Users > (the user) > Connected Accounts"

// checkAccount compares one account's scopes as package vault does for each call.
func checkAccount(account *management.UserConnectedAccount, route Route) Finding {
	if !account.GetExpiresAt().IsZero() && account.GetExpiresAt().Before(time.Now()) {
		return wrong("user.connected", "connected, and expired", "connected again, by the link that the agent gets", accountsWhere)
	}
	granted := vault.GrantedScopes(account.GetScopes()...)
	err := vault.Request{Connection: route.Connection, Scopes: route.Scopes, MaxScopes: route.MaxScopes}.CheckScopes(granted)
	refusal, refused := errors.AsType[*vault.Error](err)
	switch {
	case !refused:
		return fine("user.connected", "connected with "+either(len(granted) == 0, "scopes that are not told or too many", list(granted)))
	case refusal.Code == vault.CodeScopeRequired:
		return wrong("user.scopes", "connected with "+list(granted)+", without "+strings.Join(refusal.Missing, " "), "connected with "+list(route.Scopes), accountsWhere)
	case len(granted) == 0:
		return wrong("user.scope_excess", "connected with scopes that are not told or too many to compare, which max_scopes refuses", "an account whose scopes Auth0 tells, or a route without max_scopes", accountsWhere)
	}
	return wrong("user.scope_excess", "connected with "+list(granted)+", more than max_scopes", "connected with at most "+list(route.MaxScopes)+", or more in max_scopes", accountsWhere)
}
