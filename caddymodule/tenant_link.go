package caddymodule

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// Link configures the pages on which people connect accounts.
type Link struct {
	// Public origin of the pages, such as https://link.example.com. It is never
	// taken from a request. An http URL is accepted for loopback hosts only, to which
	// names below localhost count here, in `return_to` and `url`. Required.
	Origin string `json:"origin,omitempty"`

	// Path of the pages. Default: /auth.
	Path string `json:"path,omitempty"`

	// The regular web application that runs the browser flow. `{origin}{path}/callback`
	// has to be among its Allowed Callback URLs. Required, except with `via` set to
	// `url`: without it, all that is served then is the status for agents and a page
	// to end on.
	Client *Client `json:"client,omitempty"`

	// How accounts are connected:
	//
	// - `connected_accounts`: by Auth0's Connected Accounts, which fill Token Vault.
	// - `link_account`: the account becomes an identity of the user first, by the
	//   tenant's account-linking Action.
	// - `management`: likewise, by the Management API and without an Action.
	// - `url`: on a page of your own, see the field `url`.
	//
	// On today's tenants identities do not fill Token Vault, so after linking the
	// person goes on to Connected Accounts. Default: `connected_accounts`.
	Via string `json:"via,omitempty"`

	// The page of your own to which agents' users are sent, with `via` set to `url`
	// and only then: an https URL (http for loopback hosts) with these
	// placeholders, percent-encoded, anywhere behind the host:
	//
	// Placeholder | Description
	// ------------|---------------
	// `{connection}` | The connection that is wanted; required
	// `{scopes}` | The scopes that the route asks for, separated by spaces (`%20`)
	// `{return_to}` | Where the browser may go in the end: the first origin of `return_to`, or else a page of ours that sends people back to the agent
	// `{ticket}` | The ticket, for `{origin}{path}/connect?ticket={ticket}` should your page want to hand over to ours
	//
	// No other placeholders are known, and the page has to make sure itself that
	// whoever is signed in there is the user whom the agent acts for.
	URL string `json:"url,omitempty" literal:"has placeholders of its own"`

	// Whether somebody who has a second factor has to use it to link identities. With
	// `via` set to `link_account`, this and `require_verified_email` are about the
	// first sign-in; of the second, the tenant's Action decides. Needs a `via` that
	// links identities. Default: false.
	RequireMFA bool `json:"require_mfa,omitempty"`

	// Whether linking takes a verified e-mail address, on both sides. Needs a `via`
	// that links identities. Default: false.
	RequireVerifiedEmail bool `json:"require_verified_email,omitempty"`

	// Whether linking has to end at the IP address where it began, as Caddy's
	// `trusted_proxies` lets it be told. Where people's addresses change on the way,
	// as on phones, they have to begin again. Needs a `via` that links identities.
	// Default: false.
	PinIP bool `json:"pin_ip,omitempty"`

	// Connections whose e-mail addresses are believed where they say that they are
	// verified: a person's other users with the same address are offered for
	// linking. Needs a `via` that links identities, and the tenant's `management`
	// with `read:users`. Default: none are offered.
	TrustEmail []string `json:"trust_email,omitempty"`

	// Origins where a finished flow may send the browser. Default: none.
	ReturnTo []string `json:"return_to,omitempty"`

	// How agents are called on the pages, by client id. One that is not listed
	// is called by its id, marked as unverified.
	ClientName map[string]string `json:"client_name,omitempty" text:"is for people"`

	// What the pages call what they belong to, such as your product's name. Plain
	// text: placeholders are not expanded. Default: Token Vault.
	Name string `json:"name,omitempty" literal:"is plain text"`

	// Directory with files that take the place of those of the pages by the same
	// name: words (`text.json`), style sheet (`style.css`), icon (`icon.svg`),
	// templates. What is not there stays as it is; a file that no page uses fails
	// the load. They are read once, when the configuration loads. Default: none.
	Templates string `json:"templates,omitempty" text:"is a path"`

	// How a provider asks for consent. `auto`: who connects an account anew
	// chooses it at the provider (`prompt=select_account`), since Auth0 does not
	// name the one that it connected; who connects one again is asked for consent
	// (`prompt=consent`), without which Google gives no new refresh token.
	// `connection`: as the connection's own settings at Auth0 say. Default: `auto`.
	Prompt string `json:"prompt,omitempty"`

	// Keys that seal tickets and cookies, 32 bytes in base64 each. The first one
	// seals, all open. Default: a key made when first needed and kept in Caddy's
	// storage, which all nodes of a cluster share.
	Key []string `json:"key,omitempty"`
}

// promptConnection leaves the prompt to the connection's settings.
const promptConnection = "connection"

var promptWords = []string{"auto", promptConnection}

// linkConfig is what the pages of a tenant need to know, whose configuration t is with
// placeholders expanded; without pages it is a zero Config.
func (t *Tenant) linkConfig(ctx caddy.Context, of *Tenant) (linkflow.Config, error) {
	cfg := t.viaConfig()
	if t.Link == nil {
		return cfg, nil
	}
	if t.Link.Prompt != "" && !slices.Contains(promptWords, t.Link.Prompt) {
		return cfg, fmt.Errorf("prompt %q: expected one of %s", t.Link.Prompt, strings.Join(promptWords, ", "))
	}
	switch {
	case t.Link.Client != nil && t.Link.Client.ID == "":
		return cfg, errors.New("client id: required")
	case t.Link.Client != nil:
		cfg.ClientID, cfg.ClientSecret = t.Link.Client.ID, vault.NewSecret(t.Link.Client.Secret)
		cfg.AuthMethod = t.Link.Client.AuthMethod
	}
	var err error
	if cfg.Keys, err = t.Link.keys(ctx, of.name); err != nil {
		return cfg, err
	}
	if cfg.Templates, err = templateFiles(t.Link.Templates); err != nil {
		return cfg, fmt.Errorf("templates: %w", err)
	}
	cfg.Origin = t.Link.Origin
	cfg.ClientNames = t.Link.ClientName
	cfg.ClientIP = clientIP
	cfg.Tenant = of.name
	cfg.Name = t.Link.Name
	cfg.KeepPrompt = t.Link.Prompt == promptConnection
	cfg.Offers = of.offers.find
	cfg.Path = t.Link.Path
	cfg.ReturnTo = t.Link.ReturnTo
	cfg.Hook = of.logLinkEvent
	return cfg, nil
}

// viaConfig is what the pages need to know of the way to an account.
func (t *Tenant) viaConfig() (cfg linkflow.Config) {
	if t.Link == nil {
		return cfg
	}
	cfg.Via, cfg.URL = linkflow.Via(t.Link.Via), t.Link.URL
	cfg.Linking = linkflow.Linking{
		RequireMFA:           t.Link.RequireMFA,
		RequireVerifiedEmail: t.Link.RequireVerifiedEmail,
		PinIP:                t.Link.PinIP,
		TrustEmail:           t.Link.TrustEmail,
	}
	if t.Management != nil {
		cfg.Linking.ManagementID, cfg.Linking.ManagementSecret = t.Management.ID, vault.NewSecret(t.Management.Secret)
	}
	return cfg
}

// templateFiles opens a directory; none is no files.
func templateFiles(dir string) (fs.FS, error) {
	if dir == "" {
		return nil, nil
	}
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is no directory", dir)
	}
	return os.DirFS(dir), nil
}
