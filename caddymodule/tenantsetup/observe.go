package tenantsetup

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/auth0/go-auth0/management"
)

// seen is something of the tenant, or why it could not be seen.
type seen[T any] struct {
	value T
	err   error
}

// observed is what a tenant has.
type observed struct {
	public public
	probes probes

	management   error                                       // why the Management API could not be asked; nil if it could
	lacks        func(scopes ...string) []string             // those that its token does not have
	clients      seen[map[string]*management.Client]         // by id
	apis         seen[map[string]*management.ResourceServer] // by identifier
	grants       seen[[]*management.ClientGrant]
	connections  map[string]seen[*connection] // by name
	mfa          seen[management.MultiFactorPolicies]
	registration seen[bool] // whether clients may register themselves
	user         seen[*user]
}

// connection is a connection of the tenant. Its options stay as they came, since
// whoever sends them back has to send all of them.
type connection struct {
	ID                string                        `json:"id"`
	Name              string                        `json:"name"`
	Strategy          string                        `json:"strategy"`
	Options           map[string]json.RawMessage    `json:"options"`
	ConnectedAccounts *management.ConnectedAccounts `json:"connected_accounts"`
	Authentication    *management.Authentication    `json:"authentication"`

	enabled seen[map[string]bool] // by client id
}

// secrets are those of a client at the provider.
func (c *connection) secrets() (secrets []string) {
	for name := range c.Options {
		if strings.Contains(name, "secret") || strings.Contains(name, "key") || strings.Contains(name, "password") {
			secrets = append(secrets, c.option(name))
		}
	}
	return secrets
}

// user is the person that doctor was asked about.
type user struct {
	id       string
	accounts []*management.UserConnectedAccount
}

// errNoCredentials: nobody said how to ask the Management API.
var errNoCredentials = errors.New("needs Management credentials")

// readScopes are what seeing the tenant's settings takes.
var readScopes = []string{
	"read:clients", "read:client_grants", "read:resource_servers", "read:connections",
	"read:mfa_policies", "read:tenant_settings",
}

// readScopes are what answering all that is asked takes.
func (n *Needs) readScopes() []string {
	if n.User == "" {
		return readScopes
	}
	return append(slices.Clone(readScopes), "read:users")
}

// observe looks at the tenant, and changes nothing.
func observe(ctx context.Context, n *Needs, a *api, progress func(string), transport http.RoundTripper) (*observed, error) {
	o := &observed{}
	progress("reading the public documents")
	o.public = readPublic(ctx, n, transport)
	if a == nil {
		o.management = errNoCredentials
	} else {
		o.lacks = a.lacks
		if err := o.read(ctx, n, a, progress); err != nil {
			return nil, err
		}
	}
	progress("trying the clients")
	o.probes = probe(ctx, n, a == nil || o.clients.err != nil, transport)
	return o, ctx.Err()
}

// read asks the Management API. An error means that it fails; what it refuses is
// only not seen.
func (o *observed) read(ctx context.Context, n *Needs, a *api, progress func(string)) error {
	o.connections = make(map[string]seen[*connection])
	steps := []struct {
		what string
		read func() error
	}{
		{"clients", func() error { o.clients = look(a.readClients(ctx)); return o.clients.err }},
		{"APIs", func() error { o.apis = look(a.readAPIs(ctx)); return o.apis.err }},
		{"client grants", func() error { o.grants = look(a.readGrants(ctx)); return o.grants.err }},
		{"the MFA policy", func() error { o.mfa = look(a.readMFA(ctx)); return o.mfa.err }},
		{"the tenant's settings", func() error { o.registration = look(a.readRegistration(ctx)); return o.registration.err }},
	}
	for _, step := range steps {
		progress("reading " + step.what)
		if err := failure(step.read()); err != nil {
			return fmt.Errorf("reading %s: %w", step.what, err)
		}
	}
	for _, name := range n.connections() {
		progress("reading the connection " + name)
		found, err := a.readConnection(ctx, name)
		if failure(err) == nil && found != nil {
			err = failure(found.enabled.err)
		}
		if failure(err) != nil {
			return fmt.Errorf("reading the connection %s: %w", name, err)
		}
		o.connections[name] = look(found, err)
	}
	if n.User == "" {
		return nil
	}
	progress("reading the user")
	o.user = look(a.readUser(ctx, n.User))
	if err := failure(o.user.err); err != nil && !errors.Is(err, errNoUser) {
		return fmt.Errorf("reading the user: %w", err)
	}
	return nil
}

// failure returns err unless it is a refusal: those are about what the token may
// see, and everything else is about the API.
func failure(err error) error {
	status := statusOf(err)
	if status < 400 || status >= 500 || status == http.StatusTooManyRequests || status == http.StatusUnauthorized {
		return err
	}
	return nil
}

func look[T any](value T, err error) seen[T] { return seen[T]{value, err} }

func deref[T any](p *T) (value T) {
	if p != nil {
		value = *p
	}
	return value
}

// myAccount is the My Account API, under whichever domain the tenant lists it.
func (o *observed) myAccount(n *Needs) *management.ResourceServer {
	return cmp.Or(o.apis.value[n.Issuer+"me/"], o.apis.value[n.myAccount()])
}

// grant finds a client's grant on an API, for users or for the client itself.
func (o *observed) grant(clientID, audience string, forUsers bool) *management.ClientGrant {
	for _, g := range o.grants.value {
		if g.GetClientID() == clientID && g.GetAudience() == audience && (g.GetSubjectType() == subjectUser) == forUsers {
			return g
		}
	}
	return nil
}

// nameOf is what people call a client.
func (o *observed) nameOf(id string) string { return cmp.Or(o.clients.value[id].GetName(), id) }
