package linkflow

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync/atomic"

	"github.com/auth0/go-auth0/management"
	josejson "github.com/go-jose/go-jose/v4/json"
	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// users speaks to Auth0's Management API about users and their identities, as
// one person or as the machine.
type users struct {
	api     *management.Management
	secrets []string // which no error may repeat
	machine *machine // whose token it is, or nil
}

// asPerson uses what a sign-in allowed a person to do to themselves: read:current_user
// and update:current_user_identities.
func (f *Flow) asPerson(token string) *users {
	return &users{api: newManagement(f.vault, management.WithStaticToken(token)), secrets: []string{token}}
}

// asMachine uses what the machine-to-machine application may do to all users. It
// is nil without one.
func (f *Flow) asMachine() *users {
	if f.machine == nil {
		return nil
	}
	return &users{api: f.machine.client(), secrets: []string{f.linking.ManagementSecret.Reveal()}, machine: f.machine}
}

// asPersonOrMachine makes a call by a person's own token, or as the machine where
// Auth0 does not take that.
func (f *Flow) asPersonOrMachine(token string, call func(*users) error) error {
	err := call(f.asPerson(token))
	if machine := f.asMachine(); forbidden(err) && machine != nil {
		return call(machine)
	}
	return err
}

// machine is the machine-to-machine application. Its token is kept for as long as
// Auth0 takes it, since tenants pay for them.
type machine struct {
	create  func() *management.Management
	current atomic.Pointer[management.Management]
}

func newMachine(cfg Config) *machine {
	l := cfg.Linking
	if l.ManagementID == "" {
		return nil
	}
	ctx := context.WithValue(context.Background(), oauth2.HTTPClient, &http.Client{Transport: asTransport(cfg.Vault.Call)})
	return &machine{create: func() *management.Management {
		return newManagement(cfg.Vault, management.WithClientCredentials(ctx, l.ManagementID, l.ManagementSecret.Reveal()))
	}}
}

func (m *machine) client() *management.Management {
	if api := m.current.Load(); api != nil {
		return api
	}
	m.current.CompareAndSwap(nil, m.create())
	return m.current.Load()
}

// forget drops the token that api has: it was revoked, or got too few scopes,
// which the operator may mend.
func (m *machine) forget(api *management.Management) { m.current.CompareAndSwap(api, nil) }

// newManagement returns a client that authenticates as credential says. Nothing
// is tried again: what was not idempotent may have happened.
func newManagement(client *vault.Client, credential management.Option) *management.Management {
	options := []management.Option{
		management.WithClient(&http.Client{Transport: refusing(client.Call)}),
		management.WithNoRetries(),
		management.WithNoAuth0ClientInfo(),
	}
	issuer := client.Issuer()
	if strings.HasPrefix(issuer, "http:") {
		options = append(options, management.WithInsecure()) // which brings a token of its own
	}
	api, err := management.New(strings.TrimSuffix(issuer, "/"), append(options, credential)...)
	if err != nil {
		panic("linkflow: the issuer was a URL a moment ago: " + err.Error())
	}
	return api
}

// asTransport carries the calls of a library as [vault.Client.Call] does: in time,
// within the tenant's budget, bounded, and following no redirect. The libraries
// would follow one, and send the token along.
type asTransport func(*http.Request) (*vault.Response, error)

// RoundTrip implements http.RoundTripper.
func (call asTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	got, err := call(req)
	if err != nil {
		return nil, err
	}
	return &http.Response{
		Status: http.StatusText(got.Status), StatusCode: got.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: got.Header, Body: io.NopCloser(bytes.NewReader(got.Body)), ContentLength: int64(len(got.Body)),
		Request: req,
	}, nil
}

// refusing is asTransport for the Management API, whose refusals it reads itself:
// go-auth0 takes the status from the body, and drops the errorCode.
type refusing func(*http.Request) (*vault.Response, error)

// RoundTrip implements http.RoundTripper.
func (call refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := asTransport(call).RoundTrip(req)
	if err != nil || resp.StatusCode < 400 {
		return resp, err
	}
	var e managementError
	if body, err := io.ReadAll(resp.Body); err != nil || josejson.Unmarshal(body, &e) != nil {
		e = managementError{}
	}
	e.Status = resp.StatusCode
	return nil, &e
}

// ask makes one call, and returns its errors without what must not be told.
// Where an answer has a member of another type than it knows, go-auth0 panics.
func (u *users) ask(call func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errSenseless
		}
	}()
	err = call()
	if err == nil {
		return nil
	}
	if e, ok := errors.AsType[*managementError](err); ok {
		if u.machine != nil && e.forbids() {
			u.machine.forget(u.api)
		}
		if vault.RepeatsSecret(e.Error(), u.secrets...) {
			return &managementError{Status: e.Status}
		}
		return e
	}
	if e, ok := errors.AsType[*vault.Error](err); ok {
		return e
	}
	if _, ok := errors.AsType[*oauth2.RetrieveError](err); ok || errors.Is(err, context.DeadlineExceeded) {
		return tokenError("management_token", err)
	}
	return errSenseless
}
