package tenantsetup

import (
	"cmp"
	"context"
	"errors"
	"net/http"

	"github.com/auth0/go-auth0/management"
)

// clientFields are what is read of clients: not their secrets.
var clientFields = []string{
	"client_id", "name", "app_type", "resource_server_identifier", "is_first_party", "oidc_conformant",
	"token_endpoint_auth_method", "client_authentication_methods", "grant_types", "callbacks", "allowed_logout_urls",
	"jwt_configuration",
}

func (a *api) readClients(ctx context.Context) (map[string]*management.Client, error) {
	clients := make(map[string]*management.Client)
	err := a.pages(func(page management.RequestOption) (bool, error) {
		list, err := a.Client.List(ctx, page, management.PerPage(pageSize), management.IncludeFields(clientFields...))
		if err != nil || list.Clients == nil {
			return false, cmp.Or(err, errSenseless)
		}
		for _, client := range list.Clients {
			client.ClientSecret = nil
			clients[client.GetClientID()] = client
		}
		return list.HasNext(), nil
	})
	return clients, err
}

func (a *api) readAPIs(ctx context.Context) (map[string]*management.ResourceServer, error) {
	apis := make(map[string]*management.ResourceServer)
	err := a.pages(func(page management.RequestOption) (bool, error) {
		list, err := a.ResourceServer.List(ctx, page, management.PerPage(pageSize))
		if err != nil || list.ResourceServers == nil {
			return false, cmp.Or(err, errSenseless)
		}
		for _, rs := range list.ResourceServers {
			apis[rs.GetIdentifier()] = rs
		}
		return list.HasNext(), nil
	})
	return apis, err
}

func (a *api) readGrants(ctx context.Context) (grants []*management.ClientGrant, err error) {
	err = a.pages(func(page management.RequestOption) (bool, error) {
		list, err := a.ClientGrant.List(ctx, page, management.PerPage(pageSize))
		if err != nil || list.ClientGrants == nil {
			return false, cmp.Or(err, errSenseless)
		}
		grants = append(grants, list.ClientGrants...)
		return list.HasNext(), nil
	})
	return grants, err
}

func (a *api) readMFA(ctx context.Context) (policies management.MultiFactorPolicies, err error) {
	err = a.ask(func() error {
		found, err := a.Guardian.MultiFactor.Policy(ctx)
		if err == nil {
			policies = *found
		}
		return err
	})
	return policies, err
}

func (a *api) readRegistration(ctx context.Context) (on bool, err error) {
	err = a.ask(func() error {
		settings, err := a.Tenant.Read(ctx, management.IncludeFields("flags"))
		if err != nil || settings.Flags == nil {
			return cmp.Or(err, errSenseless)
		}
		on = settings.Flags.GetEnableDynamicClientRegistration()
		return nil
	})
	return on, err
}

// readConnection returns nil if there is none of that name.
func (a *api) readConnection(ctx context.Context, name string) (*connection, error) {
	var list struct {
		Connections []*connection `json:"connections"`
	}
	options := []management.RequestOption{management.Parameter("name", name), management.IncludeTotals(true)}
	err := a.ask(func() error { return a.Request(ctx, http.MethodGet, a.URI("connections"), &list, options...) })
	if err != nil || list.Connections == nil {
		return nil, cmp.Or(err, errSenseless)
	}
	for _, c := range list.Connections {
		if c.Name == name {
			a.secrets = append(a.secrets, c.secrets()...)
			c.enabled = look(a.readEnabled(ctx, c.ID))
			return c, nil
		}
	}
	return nil, nil
}

// readEnabled returns the clients that a connection is enabled for.
func (a *api) readEnabled(ctx context.Context, id string) (map[string]bool, error) {
	enabled := make(map[string]bool)
	options := []management.RequestOption{management.Take(pageSize)}
	for range maxPages {
		next := ""
		err := a.ask(func() error {
			list, err := a.Connection.ReadEnabledClients(ctx, id, options...)
			if err != nil {
				return err
			}
			for _, client := range *list.Clients {
				enabled[client.GetClientID()] = true
			}
			next = list.Next
			return nil
		})
		if err != nil || next == "" {
			return enabled, err
		}
		options = []management.RequestOption{management.Take(pageSize), management.From(next)}
	}
	return enabled, errTooMany
}

// pageSize is how many objects are asked for at once, and maxPages how often.
const (
	pageSize = 100
	maxPages = 100
)

// pages reads page after page.
func (a *api) pages(read func(management.RequestOption) (more bool, err error)) error {
	for page := range maxPages {
		var more bool
		err := a.ask(func() (err error) {
			more, err = read(management.Page(page))
			return err
		})
		if err != nil || !more {
			return err
		}
	}
	return errTooMany
}

var errTooMany = errors.New("the tenant has more of them than are looked at")
