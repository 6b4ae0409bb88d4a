package tenantsetup

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrNoManagement says that setup works through the Management API and was given
// no client for it.
var ErrNoManagement = errors.New("setup needs the id and secret of a machine-to-machine application that may use the Management API, with " +
	strings.Join(slices.Concat(readScopes, writeScopes), " "))

// writeScopes are what making every change takes.
var writeScopes = []string{
	"create:resource_servers", "update:resource_servers", "create:clients", "update:clients",
	"create:client_grants", "update:client_grants", "update:connections",
}

// Prepare looks at a tenant and plans what a configuration needs of it. It
// changes nothing. An error means that there is no plan: the tenant or its
// Management API does not answer or refuses, or ctx ended.
func Prepare(ctx context.Context, n *Needs, progress Progress) (*Plan, error) {
	if n.Management.ID == "" {
		return nil, ErrNoManagement
	}
	o, a, err := examine(ctx, n, progress)
	if err != nil {
		return nil, err
	}
	plan, err := makePlan(n, o)
	if err != nil {
		return nil, err
	}
	plan.api = a
	return plan, a.allows(plan.Changes)
}

// allows finds out before the first change whether the token is enough for all.
func (a *api) allows(changes []Change) error {
	var needed []string
	for _, change := range changes {
		scope := either(change.creates(), "create:", "update:") + strings.ReplaceAll(change.Path[0], "-", "_")
		if !slices.Contains(needed, scope) {
			needed = append(needed, scope)
		}
	}
	if missing := a.lacks(needed...); missing != nil {
		return fmt.Errorf("the management client lacks %s: grant it in Applications > APIs > Auth0 Management API > Machine to Machine Applications; nothing was changed",
			strings.Join(missing, " "))
	}
	return nil
}
