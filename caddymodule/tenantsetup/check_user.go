package tenantsetup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/auth0/go-auth0/management"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// errNoUser: the tenant has nobody of that name, or several.
var errNoUser = errors.New("no user")

// readUser looks a person up, by user id or e-mail address, with what they have
// connected.
func (a *api) readUser(ctx context.Context, name string) (*user, error) {
	id, err := a.userID(ctx, name)
	if err != nil {
		return nil, err
	}
	u := &user{id: id}
	options := []management.RequestOption{management.Take(pageSize)}
	for {
		page, err := a.User.ListConnectedAccounts(ctx, id, options...)
		if err != nil {
			return nil, a.explain(err)
		}
		u.accounts = append(u.accounts, page.ConnectedAccounts...)
		if page.Next == "" {
			return u, nil
		}
		options = []management.RequestOption{management.Take(pageSize), management.From(page.Next)}
	}
}

func (a *api) userID(ctx context.Context, name string) (string, error) {
	if strings.Contains(name, "|") {
		found, err := a.User.Read(ctx, name, management.IncludeFields("user_id"))
		if err = a.explain(err); statusOf(err) == http.StatusNotFound {
			return "", fmt.Errorf("%w %s", errNoUser, name)
		}
		return found.GetID(), err
	}
	found, err := a.User.ListByEmail(ctx, strings.ToLower(name), management.IncludeFields("user_id"))
	switch {
	case err != nil:
		return "", a.explain(err)
	case len(found) == 0:
		return "", fmt.Errorf("%w with the address %s", errNoUser, name)
	case len(found) > 1:
		return "", fmt.Errorf("%w: %d users have the address %s; name one by user id", errNoUser, len(found), name)
	}
	return found[0].GetID(), nil
}

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
		findings = append(findings, checkRoute(o.user.value, route).about(route.Connection))
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
