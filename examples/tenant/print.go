package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// printTenant says where everything is and who may log in. The secrets are the
// tenant's own, good nowhere else. cert is where its certificate was written, if it
// was.
func printTenant(out io.Writer, s *auth0test.Server, cert string) {
	cfg := s.Config()
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "Auth0 tenant\t%s\n", s.Issuer())
	for _, p := range [][2]string{
		{"Google", s.GoogleURL}, {"GitHub", s.GitHubURL}, {"Microsoft", s.MicrosoftURL}, {"Slack", s.SlackURL},
	} {
		if p[1] != "" { // it listens
			fmt.Fprintf(w, "%s stand-in\t%s\n", p[0], p[1])
		}
	}
	fmt.Fprintln(w, "\nUSER\tLOGIN\tPASSWORD")
	for _, u := range cfg.Users {
		fmt.Fprintf(w, "%s\t%s\t%s\n", u.UserID, login(u), u.Password)
	}
	fmt.Fprintln(w, "\nCLIENT\tSECRET\tGRANTS")
	for _, c := range cfg.Clients {
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.ClientID, c.ClientSecret, strings.Join(c.GrantTypes, " "))
	}
	_ = w.Flush()
	fmt.Fprintln(out, "\n# for the Caddyfile:")
	for _, e := range exports(s, cfg) {
		if e[1] != "" { // set and empty would hide a default
			fmt.Fprintf(out, "export %s=%s\n", e[0], quote(e[1]))
		}
	}
	curl := printTrust(out, s, cert)
	if len(cfg.Users) > 0 {
		fmt.Fprintf(out, `
# an agent's access token for the first user, as {"access_token": …}:
%s -H 'Content-Type: application/json' \
  -d "{\"user\":\"%s\",\"client_id\":\"$AGENT_CLIENT_ID\",\"audience\":\"$AUTH0_AUDIENCE\"}" \
  %s/_tenant/tokens
`, curl, cfg.Users[0].UserID, s.URL)
	}
}

// printTrust says how programs come to trust the tenant's certificate, if it has
// one. It returns how curl does.
func printTrust(out io.Writer, s *auth0test.Server, cert string) (curl string) {
	switch {
	case s.Certificate() == nil:
		return "curl -s"
	case cert == "":
		fmt.Fprintln(out, "\n# -cert writes the tenant's certificate to a file, for programs to trust")
		return "curl -sk"
	}
	fmt.Fprintf(out, `
# to trust the tenant's certificate: Node.js, beside its own
export NODE_EXTRA_CA_CERTS=%[1]s
# Caddy and other Go programs on Linux, OpenSSL: in place of the system's
export SSL_CERT_FILE=%[1]s
`, quote(cert))
	return "curl -s --cacert " + quote(cert)
}

// printRequest prints what was asked, by whom, and the rule that refused it.
func printRequest(out io.Writer, r auth0test.Request) {
	line := []string{r.At.Format(time.TimeOnly), r.Method, r.Path, strconv.Itoa(r.Status)}
	for _, more := range []string{r.GrantType, r.ClientID} {
		if more != "" {
			line = append(line, more)
		}
	}
	text := strings.Join(line, " ")
	if r.Reason != "" {
		text += ": " + r.Reason
	}
	fmt.Fprintln(out, text)
}

// printConfig prints the built-in configuration, to begin one's own with.
func printConfig(out io.Writer, cfg auth0test.Config) error {
	encoder := json.NewEncoder(out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	return encoder.Encode(cfg)
}

func login(u auth0test.User) string {
	if u.Email != "" {
		return u.Email
	}
	return u.Username
}

// exports are the variables of the top-level Caddyfile. In a config of your
// own each client is found by what it is: the exchange by its app_type, the
// link pages by their grant on the My Account API, the management client by its
// own on the Management API, the agent as the first of the others. The seeds' names
// are not special.
func exports(s *auth0test.Server, cfg auth0test.Config) [][2]string {
	var exchange, link, management, agent auth0test.Client
	for _, c := range cfg.Clients {
		switch {
		case c.AppType == "resource_server":
			if exchange.ClientID == "" {
				exchange = c
			}
		case hasGrant(cfg, c.ClientID, s.Issuer()+"me/"):
			if link.ClientID == "" {
				link = c
			}
		case hasGrant(cfg, c.ClientID, s.Issuer()+"api/v2/"):
			if management.ClientID == "" {
				management = c
			}
		case agent.ClientID == "":
			agent = c
		}
	}
	return [][2]string{
		{"AUTH0_DOMAIN", s.URL},
		{"AUTH0_AUDIENCE", exchange.ResourceServerIdentifier},
		{"AUTH0_CLIENT_ID", exchange.ClientID},
		{"AUTH0_CLIENT_SECRET", exchange.ClientSecret},
		{"AUTH0_LINK_CLIENT_ID", link.ClientID},
		{"AUTH0_LINK_CLIENT_SECRET", link.ClientSecret},
		{"AUTH0_MANAGEMENT_CLIENT_ID", management.ClientID},
		{"AUTH0_MANAGEMENT_CLIENT_SECRET", management.ClientSecret},
		{"AGENT_CLIENT_ID", agent.ClientID},
		{"LINK_ORIGIN", "http://localhost:8080"},
		{"GOOGLE_UPSTREAM", s.GoogleURL},
		{"GITHUB_UPSTREAM", s.GitHubURL},
		{"MICROSOFT_UPSTREAM", s.MicrosoftURL},
		{"SLACK_UPSTREAM", s.SlackURL},
	}
}

func hasGrant(cfg auth0test.Config, clientID, audience string) bool {
	for _, g := range cfg.ClientGrants {
		if g.ClientID == clientID && g.Audience == audience {
			return true
		}
	}
	return false
}

// quote keeps a shell from reading anything into a value.
func quote(s string) string {
	const plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:"
	if s != "" && strings.Trim(s, plain) == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
