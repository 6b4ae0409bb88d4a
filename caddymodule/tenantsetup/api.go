package tenantsetup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"

	"github.com/auth0/go-auth0/management"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// api is the tenant's Management API, with a token of the management client.
type api struct {
	*management.Management
	scopes  []string // what the token allows
	secrets []string // what no error may repeat
}

// errRefused: the tenant refuses the management client.
var errRefused = errors.New("Auth0 refuses the management client")

// connect gets a token for the Management API.
func connect(ctx context.Context, n *Needs, transport http.RoundTripper) (*api, error) {
	issuer := n.managementIssuer()
	token, scopes, err := managementToken(ctx, n, issuer, transport)
	if err != nil {
		return nil, err
	}
	options := []management.Option{
		management.WithClient(&http.Client{Transport: refusing{transport}}),
		management.WithNoRetries(), // the transport does, as long as Auth0 asks for
		management.WithNoAuth0ClientInfo(),
	}
	if strings.HasPrefix(issuer, "http:") { // loopback only, see vault.ParseDomain
		options = append(options, management.WithInsecure())
	}
	options = append(options, management.WithStaticToken(token))
	m, err := management.New(strings.TrimSuffix(issuer, "/"), options...) // makes no call
	if err != nil {
		return nil, err
	}
	return &api{Management: m, scopes: scopes, secrets: append(n.secrets(), token)}, nil
}

// managementToken is the client credentials grant (RFC 6749 §4.4).
func managementToken(ctx context.Context, n *Needs, issuer string, transport http.RoundTripper) (token string, scopes []string, err error) {
	form := url.Values{
		"grant_type":    {"client_credentials"},
		"client_id":     {n.Management.ID},
		"client_secret": {n.Management.Secret.Reveal()},
		"audience":      {issuer + "api/v2/"},
	}
	got, err := send(ctx, transport, http.MethodPost, issuer+"oauth/token", form)
	if err != nil {
		return "", nil, err
	}
	var answer struct {
		AccessToken string `json:"access_token"`
		Scope       string `json:"scope"`
		Error       string `json:"error"`
		Description string `json:"error_description"`
	}
	_ = json.Unmarshal(got.body, &answer) // an answer that is no JSON has none of it
	switch {
	case got.status == http.StatusOK && answer.AccessToken != "":
		return answer.AccessToken, strings.Fields(answer.Scope), nil
	case got.status >= 400 && got.status < 500 && got.status != http.StatusTooManyRequests:
		return "", nil, fmt.Errorf("%w: %d %s", errRefused, got.status, harmless(answer.Error+" "+answer.Description, n.secrets()...))
	}
	return "", nil, unexpected("the token endpoint", got.status)
}

// errSenseless is an answer that is not what was asked for.
var errSenseless = errors.New("the Management API's answer makes no sense")

// ask makes one call and reads its answer. Where that has a member of another type
// than it knows, go-auth0 panics; where it is empty, go-auth0 returns nothing, which
// is not to be taken for what the tenant has.
func (a *api) ask(call func() error) (err error) {
	defer func() {
		if recover() != nil {
			err = errSenseless
		}
	}()
	err = call()
	if refusal, ok := errors.AsType[*apiError](err); ok {
		return &apiError{refusal.status, harmless(refusal.text, a.secrets...)}
	}
	return err
}

// apiError is a refusal of the Management API.
type apiError struct {
	status int
	text   string // what it says
}

func (e *apiError) Error() string {
	return fmt.Sprintf("the Management API answers %d %s", e.status, e.text)
}

// statusOf is the HTTP status that an error tells of, or 0.
func statusOf(err error) int {
	if e, ok := errors.AsType[*apiError](err); ok {
		return e.status
	}
	return 0
}

// maxList bounds what is read of a page of objects.
const maxList = 16 << 20

// refusing passes on good answers only. It follows no redirect, which would carry
// the token to another host, and reads refusals itself: go-auth0 takes the status
// from the body.
type refusing struct{ base http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (r refusing) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := r.base.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 300 {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxList), resp.Body}
		return resp, nil
	}
	defer resp.Body.Close()
	var refusal struct {
		Message string `json:"message"`
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	_ = json.Unmarshal(body, &refusal) // what is no JSON has no message
	return nil, &apiError{resp.StatusCode, refusal.Message}
}

// lacks returns which of scopes the token does not have, as far as Auth0 said
// which it has.
func (a *api) lacks(scopes ...string) (missing []string) {
	if len(a.scopes) == 0 {
		return nil
	}
	for _, scope := range scopes {
		if !slices.Contains(a.scopes, scope) {
			missing = append(missing, scope)
		}
	}
	return missing
}

// harmless bounds a text of the tenant, and drops it if it repeats a secret.
func harmless(text string, secrets ...string) string {
	const most = 300
	text = printable(strings.TrimSpace(text))
	if vault.RepeatsSecret(text, secrets...) {
		return "(a text that repeats a secret)"
	}
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// printable keeps what a terminal shows as it is meant.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
