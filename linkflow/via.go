package linkflow

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// Via says what a link does for the person who opens it.
type Via string

// The ways to an account. No other values are used.
const (
	// ViaConnectedAccounts connects the account (Auth0: "Connected Accounts for
	// Token Vault"). The default, and all that a tenant of today needs: Token
	// Vault serves connected accounts, and nothing else.
	ViaConnectedAccounts Via = "connected_accounts"

	// ViaLinkAccount first makes the person's identity there part of their user
	// at Auth0, through the tenant's account-linking Action (`scope=link_account`,
	// "Client-Initiated Account Linking"), and then connects the account.
	ViaLinkAccount Via = "link_account"

	// ViaManagement does the same without an Action: both identities are proved
	// here, and joined through the Management API.
	ViaManagement Via = "management"

	// ViaURL sends people to a page of the application, Config.URL.
	ViaURL Via = "url"
)

// CheckVia tells whether word is one of the ways.
func CheckVia(word string) error {
	if !slices.Contains([]Via{ViaConnectedAccounts, ViaLinkAccount, ViaManagement, ViaURL}, Via(word)) {
		return fmt.Errorf("via: %q: want connected_accounts, link_account, management or url", word)
	}
	return nil
}

// Merges tells whether v makes several identities one user.
func (v Via) Merges() bool { return v == ViaLinkAccount || v == ViaManagement }

// Linking says by which rules identities are linked, with ViaManagement and
// ViaLinkAccount; with the latter, the second sign-in is the Action's, and what it
// demands there the Action's to say. Linking is how an account could be taken over: whoever gets
// their own identity into somebody else's user is that user from then on. So both
// sides always sign in, in one browser, within minutes; these rules come on top.
type Linking struct {
	// ManagementID and ManagementSecret belong to a machine-to-machine
	// application with read:users and update:users of the Management API. People's
	// own tokens are used wherever Auth0 takes them, so it is needed only where
	// it does not, and for TrustEmail. Default: none.
	ManagementID     string
	ManagementSecret vault.Secret

	// RequireMFA demands that whoever has a second factor enrolled used it in
	// both sign-ins (`amr` has "mfa", RFC 8176 §2). The sign-ins ask for it with
	// acr_values, which takes an Action of the tenant that challenges then.
	// Default: false.
	RequireMFA bool

	// RequireVerifiedEmail demands a verified e-mail address of both sides. One
	// that Auth0 says nothing about is not verified. Default: false.
	RequireVerifiedEmail bool

	// PinIP demands that all steps come from one IP address, see
	// [Config.ClientIP]. It shuts out people on phones and in offices whose
	// address changes. Default: false, and then addresses may change.
	PinIP bool

	// TrustEmail lists the connections that Auth0 may be believed about whose
	// e-mail address is whose. Who links an identity without having said which is
	// offered other users with the same verified address there; before the
	// second sign-in they learn no more than at which connections. It takes the
	// machine-to-machine application. Default: nothing is offered.
	TrustEmail []string
}

// CheckVia tells whether Via, URL and Linking go together, as New does. Its errors call
// them what operators do, who read them.
func (cfg *Config) CheckVia() error {
	if cfg.Via != "" {
		if err := CheckVia(string(cfg.Via)); err != nil {
			return err
		}
	}
	switch {
	case cfg.Via == ViaURL && cfg.URL == "":
		return errors.New("via url: the template of the URL is missing")
	case cfg.Via != ViaURL && cfg.URL != "":
		return errors.New("url: only `via url` leads to a page of your own")
	case cfg.Via == ViaURL:
		if err := CheckURL(cfg.URL); err != nil {
			return fmt.Errorf("url %q: %w", cfg.URL, err)
		}
	}
	l := cfg.Linking
	for _, rule := range []struct {
		word  string
		given bool
	}{
		{"require_mfa", l.RequireMFA},
		{"require_verified_email", l.RequireVerifiedEmail},
		{"pin_ip", l.PinIP},
		{"trust_email", len(l.TrustEmail) > 0},
	} {
		if rule.given && !cfg.Via.Merges() {
			return fmt.Errorf("%s: only `via management` and `via link_account` link identities: choose one of them, or leave the word out", rule.word)
		}
	}
	switch {
	case (l.ManagementID == "") != (l.ManagementSecret.Reveal() == ""):
		return errors.New("management: both id and secret are required")
	case len(l.TrustEmail) > 0 && l.ManagementID == "":
		return errors.New("trust_email: finding users by their e-mail addresses needs the tenant's `management <id> <secret>`")
	}
	return nil
}

// remoteIP is the address that a request came from.
func remoteIP(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}
