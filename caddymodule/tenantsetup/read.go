package tenantsetup

import (
	"context"
	"errors"
	"net/http"

	"github.com/auth0/go-auth0/management"
)

// clientFields are what is read of clients: not their secrets.
var clientFields = []string{
	"client_id", "name", "app_type", "resource_server_identifier", "is_first_party", "oidc_conformant",
	"token_endpoint_auth_method", "grant_types", "callbacks", "allowed_logout_urls", "refresh_token",
}

func (a *api) readClients(ctx context.Context) (map[string]*management.Client, error) {
	clients := make(map[string]*management.Client)
	err := a.pages(func(page management.RequestOption) (bool, error) {
		list, err := a.Client.List(ctx, page, management.PerPage(pageSize), management.IncludeFields(clientFields...))
		if err != nil {
			return false, err
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
		if err != nil {
			return false, err
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
		if err != nil {
			return false, err
		}
		grants = append(grants, list.ClientGrants...)
		return list.HasNext(), nil
	})
	return grants, err
}

// readConnection returns nil if there is none of that name.
func (a *api) readConnection(ctx context.Context, name string) (*connection, error) {
	var list struct {
		Connections []*connection `json:"connections"`
	}
	options := []management.RequestOption{management.Parameter("name", name), management.IncludeTotals(true)}
	if err := a.Request(ctx, http.MethodGet, a.URI("connections"), &list, options...); err != nil {
		return nil, a.explain(err)
	}
	for _, c := range list.Connections {
		if c.Name == name {
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
	for {
		list, err := a.Connection.ReadEnabledClients(ctx, id, options...)
		if err != nil {
			return enabled, a.explain(err)
		}
		for _, client := range deref(list.Clients) {
			enabled[client.GetClientID()] = true
		}
		if list.Next == "" {
			return enabled, nil
		}
		options = []management.RequestOption{management.Take(pageSize), management.From(list.Next)}
	}
}

// pageSize is how many objects are asked for at once, and maxPages how often.
const (
	pageSize = 100
	maxPages = 100
)

// pages reads page after page.
func (a *api) pages(read func(management.RequestOption) (more bool, err error)) error {
	for page := range maxPages {
		more, err := read(management.Page(page))
		if err != nil {
			return a.explain(err)
		}
		if !more {
			return nil
		}
	}
	return errors.New("the tenant has more of them than are looked at")
}
