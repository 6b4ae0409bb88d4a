package auth0test

import (
	"fmt"
	"net/http"
	"slices"
)

// Auth0 gives one answer for many reasons, and keeps them to itself. So does this
// tenant's wire; its owner reads the rule that refused a request in the request log.

// note tells the request log why a request is refused. Of several reasons the first,
// which is nearest to the rule, stays.
func note(w http.ResponseWriter, format string, args ...any) {
	if log, ok := w.(*statusWriter); ok && log.reason == "" {
		log.reason = fmt.Sprintf(format, args...)
	}
}

// because adds the reason that the answer does not tell.
func (e *oauthError) because(format string, args ...any) *oauthError {
	explained := *e
	explained.reason = fmt.Sprintf(format, args...)
	return &explained
}

func (e *oauthError) why() string {
	if e.reason != "" {
		return e.reason
	}
	return e.Description
}

// because adds the reason that the answer does not tell.
func (p *problem) because(format string, args ...any) *problem {
	p.reason = fmt.Sprintf(format, args...)
	return p
}

func (p *problem) why() string {
	switch {
	case p.reason != "":
		return p.reason
	case len(p.ValidationErrors) > 0:
		return p.ValidationErrors[0].Detail
	}
	return p.Detail
}

// because adds the reason that the answer does not tell.
func (e *managementError) because(format string, args ...any) *managementError {
	e.reason = fmt.Sprintf(format, args...)
	return e
}

func (e *managementError) why() string {
	if e.reason != "" {
		return e.reason
	}
	return e.Message
}

// whyNoVault is why a client has nothing of the vault through a connection; empty when
// the two go together.
func (cfg *Config) whyNoVault(connection, clientID string) string {
	c := cfg.connection(connection)
	switch {
	case c == nil:
		return fmt.Sprintf("there is no connection %q", connection)
	case !c.active():
		return fmt.Sprintf("the connection %s is not active for connected accounts", c.Name)
	case !c.enabledFor(clientID):
		return fmt.Sprintf("the connection %s is not enabled for %s", c.Name, clientID)
	}
	return ""
}

// whyNoExchange is why the vault serves a client nothing at all; empty when it does.
func (c *Client) whyNoExchange() string {
	switch {
	case c.public():
		return fmt.Sprintf("the vault serves no public client, as %s is one", c.ClientID)
	case !*c.IsFirstParty:
		return fmt.Sprintf("the vault serves first-party clients only, and %s is a third party's", c.ClientID)
	case !*c.OIDCConformant:
		return fmt.Sprintf("the vault serves OIDC-conformant clients only, and %s is not", c.ClientID)
	}
	return ""
}

// ConnectWarnings tells why exchanges will not find the accounts that a user has on a
// connection, as far as the configuration decides it; none when all is well.
func (t *Tenant) ConnectWarnings(user, connection string) []string {
	cfg := t.cfg()
	var out []string
	exchanging := false
	for _, c := range cfg.Clients {
		if !slices.Contains(c.GrantTypes, grantVault) {
			continue
		}
		exchanging = true
		for _, why := range []string{c.whyNoExchange(), cfg.whyNoVault(connection, c.ClientID)} {
			if why != "" && !slices.Contains(out, why) {
				out = append(out, why)
			}
		}
	}
	if !exchanging {
		out = append(out, "no client has the vault's grant type")
	}
	u, err := t.findUser(user)
	if err != nil {
		return out
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, a := range t.accountsOf(u.UserID, connection) {
		if a.tokens.refresh == "" {
			out = append(out, a.whyNoRefreshToken())
		}
	}
	return out
}

func (a *account) whyNoRefreshToken() string {
	return fmt.Sprintf("the provider gave no refresh token for the account %s on %s: no offline access was asked for, or it has none to give",
		a.providerUserID, a.connection)
}
