package linkflow

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// DefaultPath is where the pages are unless [Config.Path] says otherwise. It is
// the path that Auth0's SDKs use.
const DefaultPath = "/auth"

// Config describes the link pages of one tenant.
type Config struct {
	// Vault verifies tokens of the tenant and exchanges them. Required.
	Vault *vault.Client

	// Tenant is what the configuration calls the tenant. What is sealed for one
	// name opens under no other. Default: the empty name.
	Tenant string

	// Origin is the public origin of the pages, such as
	// "https://link.example.com". It is never taken from a request. http is
	// accepted for loopback hosts only. Required.
	Origin string

	// Path is the path under which the pages are. Default: DefaultPath.
	Path string

	// ClientID and ClientSecret belong to the regular web application that
	// people sign in to. Required, except with ViaURL: without them nobody signs in
	// here, and all that is served is Status and the page on which flows end.
	ClientID     string
	ClientSecret vault.Secret

	// AuthMethod is how that application authenticates: "client_secret_post"
	// (default) or "client_secret_basic".
	AuthMethod string

	// ReturnTo lists the origins that a finished flow may send the browser to,
	// written as browsers write them. Default: none.
	ReturnTo []string

	// ClientNames maps an agent's client ID to what the pages call it. An agent
	// that is not listed is called by its ID, marked as unverified.
	ClientNames map[string]string

	// Via says what a link does. Default: ViaConnectedAccounts.
	Via Via

	// URL is the template of the application's page, for ViaURL, such as
	// "https://app.example.com/connect?connection={connection}&scopes={scopes}".
	// It is https, or http for loopback hosts. Anywhere behind the host it may have
	// {connection}, which it must have; {scopes}, separated by spaces; {return_to},
	// the first of ReturnTo or a page of ours to end on; and {ticket}. Values are
	// percent-encoded.
	URL string

	// Linking are the rules for linking identities, for ViaManagement and
	// ViaLinkAccount.
	Linking Linking

	// ClientIP returns the address that a request came from, which has a share of
	// what people may cost Auth0 before they sign in, and is for [Linking.PinIP].
	// Behind a proxy it is the proxy's word: if it is the proxy's own, all people have
	// one share. Default: the address of the connection.
	ClientIP func(*http.Request) string

	// KeepPrompt leaves it to the connection's own settings at Auth0 how the
	// provider asks. Default: who connects an account anew chooses it at the
	// provider (prompt=select_account), since Auth0 does not name the account
	// that it connected; who connects one again is asked for consent
	// (prompt=consent), without which Google gives no new refresh token.
	KeepPrompt bool

	// Name is the product name that the pages show. Default: "Token Vault".
	Name string

	// Templates has files that take the place of those in the folder pages, by
	// name: a text.json with some of the words, a style.css, an icon.svg, or
	// templates (html/template). They are read and tried once, by New. Default:
	// none.
	Templates fs.FS

	// Offers tells whether some route uses a connection, and which scopes the
	// routes ask of it. Links without a ticket may ask for these and no others.
	// Default: there are no links without a ticket.
	Offers func(connection string) (scopes []string, ok bool)

	// Keys returns the keys of 32 bytes each that seal tickets and cookies: the
	// first seals, all open. It is called when first needed, may do I/O, and is
	// called again after a failure; success is remembered. Required.
	Keys func(context.Context) ([][]byte, error)

	// Outcomes remembers what became of tickets. Share one among the Flows of
	// successive configurations. Default: a new one.
	Outcomes *Outcomes

	// Hook is told of everything an operator wants to know, once for every
	// request that did something. It must be safe for concurrent use and
	// should return soon. Default: nobody is told.
	Hook func(context.Context, Event)
}

// StaticKeys returns a [Config.Keys] for keys that are known already.
func StaticKeys(keys ...[]byte) func(context.Context) ([][]byte, error) {
	return func(context.Context) ([][]byte, error) { return keys, nil }
}

var pathPattern = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$`)

func (cfg *Config) check() error {
	switch {
	case cfg.Vault == nil:
		return errors.New("vault: required")
	case cfg.ClientID == "" && (cfg.Via != ViaURL || cfg.ClientSecret.Reveal() != ""):
		return errors.New("client id: required")
	case cfg.ClientID != "" && cfg.ClientSecret.Reveal() == "":
		return errors.New("client secret: required")
	case cfg.Keys == nil:
		return errors.New("keys: required")
	}
	if err := CheckPath(cfg.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if err := CheckOrigin(cfg.Origin); err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	for _, origin := range cfg.ReturnTo {
		if err := CheckOrigin(origin); err != nil {
			return fmt.Errorf("return to: %w", err)
		}
	}
	return cfg.CheckVia()
}

// CheckPath tells whether path is fit for [Config.Path].
func CheckPath(path string) error {
	if !pathPattern.MatchString(path) {
		return errors.New("not slashes and plain words in turn")
	}
	return nil
}

// isLoopback tells whether browsers take host for this machine: names below
// localhost too, which they look up nowhere (W3C Secure Contexts §3.1). What this
// program itself calls may be looked up, see [vault.IsLoopback].
func isLoopback(host string) bool {
	label, below := strings.CutSuffix(host, ".localhost")
	return vault.IsLoopback(host) || below && label != ""
}

// CheckOrigin tells whether origin is fit for [Config.Origin] and
// [Config.ReturnTo]. It accepts an origin only as browsers write it (RFC 6454
// §6.1), since it is compared byte by byte.
func CheckOrigin(origin string) error {
	if origin == "" {
		return errors.New("required")
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || strings.Contains(u.Host, "*") || u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin {
		return fmt.Errorf("%q is not an origin in lower case, such as https://link.example.com, with nothing after it", origin)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())) {
		return fmt.Errorf("%q must be https; http is for loopback hosts only", origin)
	}
	if port := u.Port(); strings.HasSuffix(u.Host, ":") || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return fmt.Errorf("%q: leave out the default port", origin)
	}
	return nil
}
