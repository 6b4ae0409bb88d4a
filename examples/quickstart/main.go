// Command quickstart is the whole story on one machine: a local Auth0 tenant,
// stand-ins for Google and GitHub, and Caddy with this module and the top-level
// Caddyfile. Run it from the root of the checkout.
//
//	go run ./examples/quickstart        # stands ready for a browser and curl
//	go run ./examples/quickstart -auto  # plays agent and person, and exits
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tokenvault/caddy-token-vault/caddymodule"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const (
	tenantAddress = "127.0.0.1:8484"
	googleAddress = "127.0.0.1:8485"
	githubAddress = "127.0.0.1:8486"
	proxyURL      = "http://localhost:8080"

	user     = "alice@example.com"
	password = "alice-password"
	agentID  = "demo-agent"
	audience = "https://agents.example.com/"
)

func main() {
	auto := flag.Bool("auto", false, "play agent and person instead of waiting for them")
	flag.Parse()
	if flag.NArg() > 0 {
		fmt.Fprintln(os.Stderr, "usage: quickstart [-auto]")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *auto); err != nil {
		fmt.Fprintln(os.Stderr, "quickstart:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, auto bool) error {
	tenant, err := auth0test.Listen(auth0test.Seeds(), tenantAddress, googleAddress, githubAddress)
	if err != nil {
		return err
	}
	defer tenant.Close()
	stopCaddy, err := startCaddy(auto)
	if err != nil {
		return err
	}
	defer stopCaddy()

	tokens, err := tenant.IssueToken(auth0test.TokenRequest{User: user, ClientID: agentID, Audience: audience})
	if err != nil {
		return err
	}
	if auto {
		return play(ctx, os.Stdout, tokens.AccessToken)
	}
	answer, err := askForLink(ctx, tokens.AccessToken)
	if err != nil {
		return err
	}
	explain(tenant, tokens.AccessToken, answer.LinkURL)
	<-ctx.Done()
	return nil
}

// startCaddy runs Caddy with the top-level Caddyfile, in this process and
// without touching the user's own Caddy: no admin endpoint, and what it stores
// goes to a directory that the returned function removes.
func startCaddy(quiet bool) (stop func(), err error) {
	caddyfile, err := os.ReadFile("Caddyfile")
	if err != nil {
		return nil, fmt.Errorf("run this from the root of the checkout: %w", err)
	}
	for name, value := range map[string]string{
		"AUTH0_CLIENT_SECRET":      seedSecret("vault-exchange"),
		"AUTH0_LINK_CLIENT_SECRET": seedSecret("link-pages"),
		"CADDY_ADMIN":              "off",
	} {
		if err := os.Setenv(name, value); err != nil {
			return nil, err
		}
	}
	dir, err := os.MkdirTemp("", "token-vault-quickstart-")
	if err != nil {
		return nil, err
	}
	caddy.DefaultStorage.Path = dir
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")

	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt(caddyfile, map[string]any{"filename": "Caddyfile"})
	if err == nil {
		config, err = withLog(config, quiet)
	}
	if err == nil {
		err = caddy.Load(config, true)
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, err
	}
	return func() {
		_ = caddy.Stop()
		_ = os.RemoveAll(dir)
	}, nil
}

// withLog makes Caddy log what this module has to say, or nothing but errors.
func withLog(config []byte, quiet bool) ([]byte, error) {
	var all map[string]any
	if err := json.Unmarshal(config, &all); err != nil {
		return nil, err
	}
	log := &caddy.CustomLog{Include: []string{"token_vault", "http.handlers.token_vault", "http.handlers.token_vault_link"}}
	if quiet {
		log = &caddy.CustomLog{BaseLog: caddy.BaseLog{Level: "ERROR"}}
	}
	all["logging"] = caddy.Logging{Logs: map[string]*caddy.CustomLog{"default": log}}
	return json.Marshal(all)
}

// seedSecret returns the secret of one of the local tenant's clients.
func seedSecret(clientID string) string {
	for _, client := range auth0test.Seeds().Clients {
		if client.ClientID == clientID {
			return client.ClientSecret
		}
	}
	return ""
}

// explain says what a person can do now.
func explain(tenant *auth0test.Server, token, link string) {
	fmt.Printf(`
Ready: Caddy on %s, the local Auth0 tenant on %s,
Google's stand-in on %s, GitHub's on %s.

1. Call Google Calendar as an agent would. This shell variable holds the agent's
   Auth0 access token; it holds nothing of Google's:

   TOKEN=%s
   curl -i -H "Authorization: Bearer $TOKEN" %s

2. The answer is a 401 with a link_url. Open it in a browser, or this one, which
   works for ten minutes:

   %s

   Press Continue, sign in as %s with the password
   %s, confirm, and grant access at the stand-in.

3. Repeat the curl command: now it shows the events.

For GitHub, let the example agent do its part. It shows you the link, waits until
you are done, and goes on by itself:

   go run ./examples/agent -token $TOKEN %s

Press Ctrl-C to stop.
`, proxyURL, tenant.URL, tenant.GoogleURL, tenant.GitHubURL,
		token, calls[0].url, link, user, password, calls[1].url)
}
