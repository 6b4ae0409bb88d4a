package auth0test

import (
	"crypto/subtle"
	"net/http"
	"net/url"
	"slices"
)

// authenticate finds out which client a request comes from, and whether it
// proved that. Auth0 takes client_secret_post and client_secret_basic alike;
// its Python SDK sends both Basic and a client_id in the body.
func (t *Tenant) authenticate(r *http.Request, p params) (*Client, *oauthError) {
	id, secret := p["client_id"], p["client_secret"]
	if name, password, ok := r.BasicAuth(); ok {
		name, password = unescape(name), unescape(password)
		if (id != "" && id != name) || secret != "" {
			return nil, refuse(http.StatusBadRequest, "invalid_request", "Multiple client authentication methods are not allowed")
		}
		id, secret = name, password
	}
	if id == "" {
		return nil, missing("client_id")
	}
	client := t.cfg().client(id)
	if client == nil {
		return nil, t.unauthorized().because("there is no client %q", id)
	}
	if client.public() {
		return client, nil
	}
	if len(client.ClientAuthenticationMethods) > 0 {
		return nil, t.unauthorized().because("%s authenticates by a key, which this tenant does not serve", id)
	}
	if subtle.ConstantTimeCompare([]byte(secret), []byte(client.ClientSecret)) != 1 {
		return nil, t.unauthorized().because("the secret is not that of %s", id)
	}
	return client, nil
}

// unescape undoes the form encoding that RFC 6749 §2.3.1 puts around the
// halves of a Basic credential.
func unescape(s string) string {
	if out, err := url.QueryUnescape(s); err == nil {
		return out
	}
	return s
}

// unauthorized is Auth0's answer to an unknown client or a wrong secret.
func (t *Tenant) unauthorized() *oauthError {
	return refuse(http.StatusUnauthorized, t.cfg().Settings.WrongSecretError, "Unauthorized")
}

// public clients have no secret.
func (c *Client) public() bool { return c.TokenEndpointAuthMethod == "none" }

// mayUse refuses a grant the client does not have.
func (c *Client) mayUse(grant string) *oauthError {
	if slices.Contains(c.GrantTypes, grant) {
		return nil
	}
	return grantNotAllowed(grant)
}

func grantNotAllowed(grant string) *oauthError {
	return refuse(http.StatusForbidden, "unauthorized_client", "Grant type '%s' not allowed for the client.", grant)
}
