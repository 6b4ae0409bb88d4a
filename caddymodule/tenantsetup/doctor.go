package tenantsetup

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Report is what doctor has to say of one tenant.
type Report struct {
	Tenant string `json:"tenant"`
	Issuer string `json:"issuer"`
	// Managed is whether the Management API was asked.
	Managed  bool      `json:"managed"`
	Findings []Finding `json:"findings"`

	scopes []string // what seeing everything takes
}

// Examine checks a tenant against what a configuration needs of it. It changes
// nothing there. An error means that it could not: the tenant or its Management
// API does not answer, or ctx ended.
func Examine(ctx context.Context, n *Needs, progress Progress) (*Report, error) {
	o, a, err := examine(ctx, n, progress)
	if err != nil {
		return nil, err
	}
	return &Report{Tenant: n.Tenant, Issuer: n.Issuer, Managed: a != nil, Findings: check(n, o), scopes: n.readScopes()}, nil
}

// examine asks the tenant all that checks need. The api is nil without
// Management credentials that work.
func examine(ctx context.Context, n *Needs, progress Progress) (*observed, *api, error) {
	transport := newTransport(n.timeout(), func(wait time.Duration) {
		progress(fmt.Sprintf("waiting %s, as Auth0 asks", wait.Round(time.Second)))
	})
	a, refused, err := credentials(ctx, n, progress, transport)
	if err != nil {
		return nil, nil, err
	}
	o, err := observe(ctx, n, a, progress, transport)
	if err == nil && refused != nil {
		o.management = refused
	}
	return o, a, err
}

// credentials is connect, with a refusal of the credentials apart.
func credentials(ctx context.Context, n *Needs, progress Progress, transport http.RoundTripper) (a *api, refused, err error) {
	if n.Management.ID == "" {
		return nil, nil, nil
	}
	progress("asking for a Management API token")
	a, err = connect(ctx, n, transport)
	if errors.Is(err, errRefused) {
		return nil, err, nil
	}
	return a, nil, err
}
