package auth0test_test

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/auth0/go-auth0/management"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// sdk is go-auth0's own client, with the machine's credentials or a token.
func sdk(t *testing.T, s *auth0test.Server, options ...management.Option) *management.Management {
	t.Helper()
	api, err := management.New(strings.TrimPrefix(s.URL, "http://"), append([]management.Option{management.WithInsecure()}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return api
}

// Auth0's own Go client sets a tenant up: an API with its Custom API client, a
// grant, a connection's purpose.
func TestAuth0sClientSetsATenantUp(t *testing.T) {
	s := tenant(t)
	ctx := t.Context()
	api := sdk(t, s, management.WithClientCredentials(ctx, "tenant-management", "tenant-management-secret"))
	rs := &management.ResourceServer{Name: new("Other"), Identifier: new("https://other.example.com/")}
	if err := api.ResourceServer.Create(ctx, rs); err != nil || rs.GetID() == "" || rs.GetSigningAlgorithm() != "RS256" {
		t.Fatalf("%v %v", err, rs)
	}
	client := &management.Client{Name: new("Exchange"), AppType: new("resource_server"), ResourceServerIdentifier: rs.Identifier}
	if err := api.Client.Create(ctx, client); err != nil || client.GetClientSecret() == "" || !client.GetOIDCConformant() || len(client.GetGrantTypes()) != 0 {
		t.Fatalf("%v %v", err, client)
	}
	if err := api.Client.Update(ctx, client.GetClientID(), &management.Client{GrantTypes: &[]string{vaultGrant}}); err != nil {
		t.Fatal(err)
	}
	if got, err := api.ResourceServer.Read(ctx, rs.GetID()); err != nil || got.GetClientID() != client.GetClientID() {
		t.Errorf("%v %v", err, got)
	}
	grant := &management.ClientGrant{ClientID: new("demo-agent"), Audience: rs.Identifier, Scope: &[]string{}, SubjectType: new("user")}
	if err := api.ClientGrant.Create(ctx, grant); err != nil || grant.GetSubjectType() != "user" {
		t.Errorf("%v %v", err, grant)
	}
	connection, err := api.Connection.ReadByName(ctx, "github")
	if err != nil {
		t.Fatal(err)
	}
	change := &management.Connection{ConnectedAccounts: &management.ConnectedAccounts{Active: new(true)}}
	if err := api.Connection.Update(ctx, connection.GetID(), change); err != nil || !change.ConnectedAccounts.GetActive() || change.GetName() != "github" {
		t.Errorf("%v %v", err, change)
	}
	enable := []management.ConnectionEnabledClient{{ClientID: client.ClientID, Status: new(true)}}
	if err := api.Connection.UpdateEnabledClients(ctx, connection.GetID(), enable); err != nil {
		t.Error(err)
	}
	if settings, err := api.Tenant.Read(ctx); err != nil || settings.GetResourceParameterProfile() != "audience" {
		t.Errorf("%v %v", err, settings)
	}
	if policies, err := api.Guardian.MultiFactor.Policy(ctx); err != nil || len(*policies) != 0 {
		t.Errorf("%v %v", err, policies)
	}
}

// Auth0's own Go client links and unlinks, as a machine and as a person.
func TestAuth0sClientLinksIdentities(t *testing.T) {
	s := tenant(t, withGoogleUser)
	ctx := t.Context()
	machine := sdk(t, s, management.WithClientCredentials(ctx, "tenant-management", "tenant-management-secret"))
	found, err := machine.User.ListByEmail(ctx, "alice@example.com")
	if err != nil || len(found) != 2 {
		t.Fatalf("%v %v", err, found)
	}
	person := sdk(t, s, management.WithStaticToken(scopedToken(t, s, "auth0|alice", currentUser)))
	second := idTokenOf(t, s, googleUser, "link-pages")
	identities, err := person.User.Link(ctx, "auth0|alice", &management.UserIdentityLink{LinkWith: &second})
	if err != nil || len(identities) != 2 || identities[1].GetUserID() != "1042" || identities[1].GetProvider() != "google-oauth2" {
		t.Fatalf("%v %v", err, identities)
	}
	if _, err := machine.User.Read(ctx, googleUser); !hasStatus(err, http.StatusNotFound) {
		t.Errorf("the secondary is still there: %v", err)
	}
	left, err := person.User.Unlink(ctx, "auth0|alice", "google-oauth2", "1042")
	if err != nil || len(left) != 1 {
		t.Errorf("%v %v", err, left)
	}
	if _, err := person.User.Link(ctx, "auth0|bob", &management.UserIdentityLink{LinkWith: &second}); !hasStatus(err, http.StatusForbidden) {
		t.Errorf("somebody else was linked: %v", err)
	}
	if _, err := machine.User.Link(ctx, "auth0|alice", &management.UserIdentityLink{Provider: new("auth0"), UserID: new("alice")}); !hasStatus(err, http.StatusBadRequest) {
		t.Errorf("linked to itself: %v", err)
	}
	connect(t, s, "auth0|alice", "google-oauth2", nil, "")
	accounts, err := machine.User.ListConnectedAccounts(ctx, "auth0|alice")
	if err != nil || len(accounts.ConnectedAccounts) != 1 || accounts.ConnectedAccounts[0].GetConnection() != "google-oauth2" {
		t.Errorf("%v %v", err, accounts)
	}
}

func hasStatus(err error, status int) bool {
	e, ok := errors.AsType[management.Error](err)
	return ok && e.Status() == status
}
