package tenantsetup

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/auth0/go-auth0/management"
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
	for range maxPages {
		next := ""
		err := a.ask(func() error {
			page, err := a.User.ListConnectedAccounts(ctx, id, options...)
			if err != nil || page.ConnectedAccounts == nil {
				return cmp.Or(err, errSenseless)
			}
			u.accounts, next = append(u.accounts, page.ConnectedAccounts...), page.Next
			return nil
		})
		if err != nil {
			return nil, err
		}
		if next == "" {
			return u, nil
		}
		options = []management.RequestOption{management.Take(pageSize), management.From(next)}
	}
	return nil, errTooMany
}

func (a *api) userID(ctx context.Context, name string) (string, error) {
	only := management.IncludeFields("user_id")
	var found []*management.User
	err := a.ask(func() (err error) {
		if strings.Contains(name, "|") {
			found = make([]*management.User, 1)
			found[0], err = a.User.Read(ctx, name, only)
			if err == nil && found[0].GetID() == "" {
				err = errSenseless
			}
			return err
		}
		found, err = a.User.ListByEmail(ctx, strings.ToLower(name), only)
		if err == nil && found == nil {
			err = errSenseless
		}
		return err
	})
	switch {
	case statusOf(err) == http.StatusNotFound, err == nil && len(found) == 0:
		return "", fmt.Errorf("%w %s", errNoUser, name)
	case err != nil:
		return "", err
	case len(found) > 1:
		return "", fmt.Errorf("%w %s: %d users have this address; name one by user id", errNoUser, name, len(found))
	}
	return found[0].GetID(), nil
}
