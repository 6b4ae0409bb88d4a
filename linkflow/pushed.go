package linkflow

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json"
	"golang.org/x/oauth2"
)

// discoveryLife is how long we go by what the tenant's discovery said.
const discoveryLife = 10 * time.Minute

// discovery is what the tenant offers (OpenID Connect Discovery §3), as far as we
// go by it.
type discovery struct {
	Issuer string `json:"issuer"`

	// Pushed is where authorization requests may be sent beforehand (RFC 9126 §5).
	Pushed string `json:"pushed_authorization_request_endpoint"`
}

// discovered remembers the tenant's discovery for a while.
type discovered struct {
	mu    sync.Mutex
	known discovery
	until time.Time
}

func (d *discovered) get() (discovery, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.known, time.Now().Before(d.until)
}

func (d *discovered) set(known discovery) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.known, d.until = known, time.Now().Add(discoveryLife)
}

// discover asks for it, if it is not known.
func (f *Flow) discover(ctx context.Context) (discovery, error) {
	if known, ok := f.discovered.get(); ok {
		return known, nil
	}
	issuer := f.vault.Issuer()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, issuer+".well-known/openid-configuration", nil)
	if err != nil {
		return discovery{}, withoutURL(err)
	}
	got, err := f.vault.Call(req)
	if err != nil {
		return discovery{}, err
	}
	var found discovery
	if got.Status != http.StatusOK || josejson.Unmarshal(got.Body, &found) != nil || found.Issuer != issuer {
		return discovery{}, errors.New("the tenant's discovery makes no sense")
	}
	if found.Pushed != "" && !strings.HasPrefix(found.Pushed, issuer) { // it gets our secret
		return discovery{}, errors.New("the tenant's discovery has the endpoint for pushed authorization requests elsewhere")
	}
	f.discovered.set(found)
	return found, nil
}

// authorizeURL is where an authorization request with these parameters begins. They
// are sent beforehand where the tenant offers that, so that no URL has them.
func (f *Flow) authorizeURL(ctx context.Context, params url.Values) (string, error) {
	found, err := f.discover(ctx)
	if err != nil {
		return "", err
	}
	if found.Pushed != "" {
		request, err := f.push(ctx, found.Pushed, params)
		if err != nil {
			return "", err
		}
		params = url.Values{"client_id": {f.oauth.ClientID}, "request_uri": {request}}
	}
	return f.oauth.Endpoint.AuthURL + "?" + params.Encode(), nil
}

// push sends an authorization request beforehand, and returns what stands for it
// (RFC 9126 §2). Auth0 drops what it does not know, unless its name begins with
// ext-: an Action has to look for it there.
func (f *Flow) push(ctx context.Context, endpoint string, params url.Values) (string, error) {
	form := maps.Clone(params)
	for name, values := range params {
		if strings.HasPrefix(name, "requested_") {
			form["ext-"+name] = values
		}
	}
	basic := f.oauth.Endpoint.AuthStyle == oauth2.AuthStyleInHeader
	if !basic {
		form.Set("client_secret", f.oauth.ClientSecret)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, strings.NewReader(form.Encode()))
	if err != nil {
		return "", withoutURL(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if basic { // RFC 6749 §2.3.1
		req.SetBasicAuth(url.QueryEscape(f.oauth.ClientID), url.QueryEscape(f.oauth.ClientSecret))
	}
	got, err := f.vault.Call(req)
	if err != nil {
		return "", err
	}
	var answer struct {
		RequestURI string `json:"request_uri"`
		Error      string `json:"error"`
	}
	malformed := josejson.Unmarshal(got.Body, &answer)
	if got.Status != http.StatusCreated {
		return "", newOAuthError("pushed_authorization_request", got.Status, answer.Error)
	}
	if malformed != nil || answer.RequestURI == "" {
		return "", errors.New("the answer to a pushed authorization request has no request_uri")
	}
	return answer.RequestURI, nil
}
