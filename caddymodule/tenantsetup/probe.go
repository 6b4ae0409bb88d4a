package tenantsetup

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// public is what everybody can see of a tenant.
type public struct {
	issuer     seen[string]
	algorithms seen[map[string]bool] // of the signing keys
	pushed     bool                  // authorization requests can be (RFC 9126)
	ahead      time.Duration         // the tenant's clock beside ours
	hasDate    bool
}

// readPublic reads the tenant's discovery document and its keys.
func readPublic(ctx context.Context, n *Needs, transport http.RoundTripper) (p public) {
	asked := time.Now()
	var discovery struct {
		Issuer string `json:"issuer"`
		Pushed string `json:"pushed_authorization_request_endpoint"`
	}
	header, err := getJSON(ctx, transport, n.Issuer+".well-known/openid-configuration", &discovery)
	p.issuer, p.pushed = look(discovery.Issuer, err), discovery.Pushed != ""
	if date, err := http.ParseTime(header.Get("Date")); err == nil {
		// The header has whole seconds: half of one is its mean. What a cache answers
		// has an age (RFC 9111 §5.1).
		age, _ := strconv.Atoi(header.Get("Age"))
		middle := asked.Add(time.Since(asked) / 2)
		p.ahead, p.hasDate = date.Add(time.Duration(age)*time.Second+time.Second/2).Sub(middle), true
	}
	var keys struct {
		Keys []struct {
			Alg string `json:"alg"`
			Kty string `json:"kty"`
			Use string `json:"use"`
		} `json:"keys"`
	}
	// Where the module looks for them, whatever discovery says.
	_, err = getJSON(ctx, transport, n.Issuer+".well-known/jwks.json", &keys)
	p.algorithms = look(make(map[string]bool), err)
	for _, key := range keys.Keys {
		for _, alg := range algorithmsOf(key.Alg, key.Kty) {
			p.algorithms.value[alg] = true
		}
	}
	return p
}

// algorithmsOf is what a key can verify: its alg, or without one what its type
// allows (RFC 7517 §4.4).
func algorithmsOf(alg, kty string) []string {
	switch {
	case alg != "":
		return []string{alg}
	case kty == "RSA":
		return []string{"RS256", "PS256"}
	case kty == "EC":
		return []string{"ES256"}
	}
	return nil
}

func getJSON(ctx context.Context, transport http.RoundTripper, target string, into any) (http.Header, error) {
	got, err := send(ctx, transport, http.MethodGet, target, nil)
	switch {
	case err != nil:
		return nil, err
	case got.status != http.StatusOK:
		return got.header, unexpected(target, got.status)
	case json.Unmarshal(got.body, into) != nil:
		return got.header, errors.New(target + " is no such document")
	}
	return got.header, nil
}

// verdict is what a probe's answer means.
type verdict int

const (
	unclear verdict = iota
	accepted
	badClient   // the client or its secret is refused
	badGrant    // the client may not use the grant
	badCallback // the URL is not among the allowed ones
	badAPI      // the client may not have tokens of the API
)

// probes are what answers to requests that have to fail tell. None of them
// changes anything: the subject and the code are no such thing, and nobody is
// logged in.
type probes struct {
	exchange, login, authorize, logout verdict
}

// probe tries the clients; all of what can be tried only where nothing else shows
// it.
func probe(ctx context.Context, n *Needs, all bool, transport http.RoundTripper) (p probes) {
	p.exchange = tokenVerdict(ctx, n, n.Exchange, transport, url.Values{
		"grant_type":           {grantVault},
		"subject_token":        {"no-token"},
		"subject_token_type":   {"urn:ietf:params:oauth:token-type:access_token"},
		"requested_token_type": {"http://auth0.com/oauth/token-type/federated-connection-access-token"},
		"connection":           {cmp.Or(strings.Join(n.connections()[:min(1, len(n.connections()))], ""), "none")},
	})
	if n.Link == nil {
		return p
	}
	p.login = tokenVerdict(ctx, n, n.Link.Client, transport, url.Values{
		"grant_type": {grantCode}, "code": {"no-code"}, "redirect_uri": {n.Link.Callback},
	})
	if all {
		p.authorize = authorizeVerdict(ctx, n, transport)
		p.logout = logoutVerdict(ctx, n, transport)
	}
	return p
}

// tokenVerdict sends a request to the token endpoint that cannot succeed. Auth0
// looks at the client first, then at its right to the grant, then at the rest.
func tokenVerdict(ctx context.Context, n *Needs, client Client, transport http.RoundTripper, form url.Values) verdict {
	form.Set("client_id", client.ID)
	form.Set("client_secret", client.Secret.Reveal())
	got, err := send(ctx, transport, http.MethodPost, n.Issuer+"oauth/token", form)
	if err != nil {
		return unclear
	}
	var refusal struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(got.body, &refusal) != nil || refusal.Error == "" {
		return unclear
	}
	switch code := refusal.Error; {
	case got.status < 400 || got.status == http.StatusTooManyRequests || got.status >= 500:
		return unclear
	case code == "invalid_client" || code == "access_denied" && got.status == http.StatusUnauthorized:
		return badClient
	case code == "unauthorized_client":
		return badGrant
	case slices.Contains(restRefused, code) || strings.HasPrefix(code, "federated_connection"):
		return accepted
	}
	return unclear // a proxy's on the way, say
}

// restRefused are Auth0's codes for what it looks at after the client and its grant.
var restRefused = []string{"invalid_grant", "invalid_token", "expired_token", "invalid_request", "mfa_required", "access_denied", "user_not_found", "tokenset_not_found"}

// authorizeVerdict begins a login that may show no page, and so ends at once:
// at the callback, if that is an allowed one (OpenID Connect Core §3.1.2.1,
// prompt=none).
func authorizeVerdict(ctx context.Context, n *Needs, transport http.RoundTripper) verdict {
	target := n.Issuer + "authorize?" + url.Values{
		"response_type": {"code"}, "client_id": {n.Link.Client.ID}, "redirect_uri": {n.Link.Callback},
		"scope": {"openid " + strings.Join(accountScopes, " ")}, "audience": {n.Issuer + "me/"},
		"prompt": {"none"}, "state": {"doctor"},
	}.Encode()
	got, err := send(ctx, transport, http.MethodGet, target, nil)
	if err != nil {
		return unclear
	}
	back, ok := strings.CutPrefix(got.header.Get("Location"), n.Link.Callback+"?")
	query, err := url.ParseQuery(back)
	switch {
	case ok && err == nil && query.Get("error") == "login_required":
		return accepted
	case ok && err == nil && query.Get("error") == "unauthorized_client":
		return badGrant
	case ok && err == nil && strings.Contains(query.Get("error_description"), n.Issuer+"me/"):
		return badAPI
	case got.status >= 400 && bytes.Contains(bytes.ToLower(got.body), []byte("callback url mismatch")):
		return badCallback
	case got.status >= 400 && bytes.Contains(bytes.ToLower(got.body), []byte("unknown client")):
		return badClient
	}
	return unclear
}

// logoutVerdict logs out nobody: the request has no session. Like the pages it
// names no address, so that Auth0 takes the first one that is allowed.
func logoutVerdict(ctx context.Context, n *Needs, transport http.RoundTripper) verdict {
	target := n.Issuer + "v2/logout?" + url.Values{"client_id": {n.Link.Client.ID}}.Encode()
	got, err := send(ctx, transport, http.MethodGet, target, nil)
	location := got.header.Get("Location")
	switch {
	case err != nil:
		return unclear
	case location == n.Link.Accounts:
		return accepted
	case location != "" || got.status == http.StatusOK: // a page, where none is allowed
		return badCallback
	}
	return unclear
}
