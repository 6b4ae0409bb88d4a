package caddymodule

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// Tenant is one Auth0 tenant, one API of it, and the clients that act for it.
//
// `domain`, `audience`, ids, secrets, `origin`, `templates` and `key` may hold placeholders
// such as `{env.AUTH0_CLIENT_SECRET}` or `{file./run/secrets/auth0}`. They are
// expanded once, when the configuration loads; one that is missing or empty
// fails the load.
type Tenant struct {
	// The tenant's or its custom domain's host, or an https URL of it. An http
	// URL is accepted for loopback hosts only. Required.
	Domain string `json:"domain,omitempty"`

	// The identifier of the API whose access tokens agents send. Required.
	Audience string `json:"audience,omitempty"`

	// The Custom API client that is linked to this API and has the Token Vault
	// grant: it does the exchange. Required.
	Client *Client `json:"client,omitempty"`

	// Client ids of the agents that routes without an `allow_clients` of their
	// own let through; `*` means any. Default: none.
	AllowClients []string `json:"allow_clients,omitempty"`

	// Signature algorithms that count: RS256, PS256, ES256. Default: RS256.
	Algorithms []string `json:"algorithms,omitempty"`

	// How long one call to Auth0 may take. Default: 10s.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// The pages on which people connect accounts. Default: none; answers to
	// agents then have no link.
	Link *Link `json:"link,omitempty"`

	// How much is kept in memory, and for how long.
	Cache *Cache `json:"cache,omitempty"`

	// How many calls to Auth0 may be made.
	Budget *Budget `json:"budget,omitempty"`

	name   string
	logger *zap.Logger
	vault  *vault.Client
	flow   *linkflow.Flow // nil without Link
	offers offers
	key    string // in pool; empty if nothing was taken from it
}

// Client is a client (application) of the Auth0 tenant.
type Client struct {
	// The client id. Required.
	ID string `json:"id,omitempty"`

	// The client secret. Required.
	Secret string `json:"secret,omitempty"`

	// How the client authenticates: `client_secret_post` or
	// `client_secret_basic`. Default: `client_secret_post`.
	AuthMethod string `json:"auth_method,omitempty"`
}

// Link configures the pages on which people connect accounts.
type Link struct {
	// Public origin of the pages, such as https://link.example.com. It is never
	// taken from a request. Required.
	Origin string `json:"origin,omitempty"`

	// Path of the pages. Default: /auth.
	Path string `json:"path,omitempty"`

	// The regular web application that runs the browser flow. `{origin}{path}/callback`
	// has to be among its Allowed Callback URLs. Required.
	Client *Client `json:"client,omitempty"`

	// How accounts are connected. Default, and so far the only way:
	// `connected_accounts`.
	Via string `json:"via,omitempty"`

	// Origins where a finished flow may send the browser. Default: none.
	ReturnTo []string `json:"return_to,omitempty"`

	// How agents are called on the pages, by client id. One that is not listed
	// is called by its id, marked as unverified.
	ClientName map[string]string `json:"client_name,omitempty"`

	// What the pages call what they belong to, such as your product's name. Plain
	// text: placeholders are not expanded. Default: Token Vault.
	Name string `json:"name,omitempty"`

	// Directory with files that take the place of those of the pages by the same
	// name: words (`text.json`), style sheet (`style.css`), icon (`icon.svg`),
	// templates. What is not there stays as it is; a file that no page uses fails
	// the load. They are read once, when the configuration loads. Default: none.
	Templates string `json:"templates,omitempty"`

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

// Cache bounds what is kept in memory.
type Cache struct {
	// How many answers of the vault are kept, and how many access tokens that were
	// verified and are still used. Default: 100000.
	MaxEntries int `json:"max_entries,omitempty"`

	// How long a provider's token is kept at most, and thus the longest that a
	// link revoked elsewhere lives on here. Default: 1h.
	MaxAge caddy.Duration `json:"max_age,omitempty"`
}

// Budget bounds the calls to Auth0, so that a looping agent does not spend the
// tenant's rate limit, and what waits for them, so that a slow tenant does not
// fill the memory.
type Budget struct {
	// Exchanges that one agent may cause for one user in a minute. Default: 300.
	User int `json:"user,omitempty"`

	// Calls a second that may go to the tenant, ten seconds' worth at once.
	// Default: 100.
	Tenant int `json:"tenant,omitempty"`

	// Exchanges under way at once. Further ones wait for half of `timeout` at most.
	// Default: 256.
	Exchanges int `json:"exchanges,omitempty"`

	// Requests that may wait for an exchange at once. Default: 20000.
	Waiting int `json:"waiting,omitempty"`
}

// promptConnection leaves the prompt to the connection's settings.
const promptConnection = "connection"

var promptWords = []string{"auto", promptConnection}

// storageTimeout bounds reading or making the sealing key in Caddy's storage.
const storageTimeout = 10 * time.Second

func (t *Tenant) provision(ctx caddy.Context, name string, logger *zap.Logger) error {
	t.name, t.logger = name, logger
	repl := caddy.NewReplacer()

	if t.Client == nil {
		return errors.New("client: required")
	}
	cfg := vault.Config{
		AuthMethod: t.Client.AuthMethod,
		Algorithms: t.Algorithms,
		Timeout:    time.Duration(t.Timeout),
	}
	var secret string
	if err := expandAll(repl, []expansion{
		{"domain", t.Domain, &cfg.Domain},
		{"audience", t.Audience, &cfg.Audience},
		{"client id", t.Client.ID, &cfg.ClientID},
		{"client secret", t.Client.Secret, &secret},
	}); err != nil {
		return err
	}
	cfg.ClientSecret = vault.NewSecret(secret)
	if t.Cache != nil {
		cfg.MaxEntries, cfg.MaxAge = t.Cache.MaxEntries, time.Duration(t.Cache.MaxAge)
	}
	if t.Budget != nil {
		cfg.UserBudget, cfg.TenantBudget = t.Budget.User, t.Budget.Tenant
		cfg.MaxExchanges, cfg.MaxWaiting = t.Budget.Exchanges, t.Budget.Waiting
	}
	linkCfg, err := t.linkConfig(ctx, repl)
	if err != nil {
		return fmt.Errorf("link: %w", err)
	}
	common, err := t.share(cfg.Domain)
	if err != nil {
		return err
	}
	cfg.Cache, linkCfg.Outcomes = common.cache, common.outcomes
	if t.vault, err = vault.New(cfg); err != nil {
		return err
	}
	if t.Link == nil {
		logger.Warn("without a link block, agents are told that an account is not connected, but get no link")
		return nil
	}
	linkCfg.Vault = t.vault
	if t.flow, err = linkflow.New(linkCfg); err != nil {
		return fmt.Errorf("link: %w", err)
	}
	return nil
}

// share takes from the pool what all who use this Auth0 tenant have in common.
func (t *Tenant) share(domain string) (*shared, error) {
	issuer, err := vault.ParseDomain(domain)
	if err != nil {
		return nil, fmt.Errorf("domain: %w", err)
	}
	value, _, err := pool.LoadOrNew(issuer, func() (caddy.Destructor, error) {
		return &shared{cache: vault.NewCache(), outcomes: linkflow.NewOutcomes()}, nil
	})
	if err != nil {
		return nil, err
	}
	t.key = issuer
	return value.(*shared), nil
}

func (t *Tenant) cleanup() {
	if t.key != "" {
		_, _ = pool.Delete(t.key) // a Destruct of ours does not fail
		t.key = ""
	}
}

// linkConfig resolves the link block; without one it returns a zero Config.
func (t *Tenant) linkConfig(ctx caddy.Context, repl *caddy.Replacer) (linkflow.Config, error) {
	var cfg linkflow.Config
	if t.Link == nil {
		return cfg, nil
	}
	if t.Link.Client == nil {
		return cfg, errors.New("client: required")
	}
	if t.Link.Via != "" && t.Link.Via != "connected_accounts" {
		return cfg, fmt.Errorf("via %q: expected connected_accounts", t.Link.Via)
	}
	if t.Link.Prompt != "" && !slices.Contains(promptWords, t.Link.Prompt) {
		return cfg, fmt.Errorf("prompt %q: expected one of %s", t.Link.Prompt, strings.Join(promptWords, ", "))
	}
	var secret string
	if err := expandAll(repl, []expansion{
		{"origin", t.Link.Origin, &cfg.Origin},
		{"client id", t.Link.Client.ID, &cfg.ClientID},
		{"client secret", t.Link.Client.Secret, &secret},
	}); err != nil {
		return cfg, err
	}
	keys, err := t.linkKeys(ctx, repl)
	if err != nil {
		return cfg, err
	}
	names := make(map[string]string, len(t.Link.ClientName))
	for text, name := range t.Link.ClientName {
		ids, err := expandList(repl, "client_name", []string{text})
		if err != nil {
			return cfg, err
		}
		names[ids[0]] = name
	}
	if cfg.Templates, err = templateFiles(repl, t.Link.Templates); err != nil {
		return cfg, fmt.Errorf("templates: %w", err)
	}
	cfg.Tenant = t.name
	cfg.Name = t.Link.Name
	cfg.KeepPrompt = t.Link.Prompt == promptConnection
	cfg.Offers = t.offers.find
	cfg.Path = t.Link.Path
	cfg.ClientSecret = vault.NewSecret(secret)
	cfg.AuthMethod = t.Link.Client.AuthMethod
	cfg.ReturnTo = t.Link.ReturnTo
	cfg.ClientNames = names
	cfg.Keys = keys
	cfg.Hook = t.logLinkEvent
	return cfg, nil
}

// templateFiles opens the directory that the text names; no text is no files.
func templateFiles(repl *caddy.Replacer, text string) (fs.FS, error) {
	if text == "" {
		return nil, nil
	}
	dir, err := repl.ReplaceOrErr(text, true, true)
	if err != nil {
		return nil, err
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

// linkKeys returns where the sealing keys come from.
func (t *Tenant) linkKeys(ctx caddy.Context, repl *caddy.Replacer) (func(context.Context) ([][]byte, error), error) {
	if len(t.Link.Key) == 0 {
		storage := ctx.Storage()
		return func(ctx context.Context) ([][]byte, error) {
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), storageTimeout)
			defer cancel()
			key, err := storedKey(ctx, storage, t.name)
			return [][]byte{key}, err
		}, nil
	}
	encoded, err := expandList(repl, "key", t.Link.Key)
	if err != nil {
		return nil, err
	}
	var keys [][]byte
	for i := range encoded {
		key, err := base64.StdEncoding.DecodeString(encoded[i])
		if err != nil || len(key) != keySize {
			return nil, fmt.Errorf("key %d: expected %d bytes in base64", i+1, keySize)
		}
		keys = append(keys, key)
	}
	return linkflow.StaticKeys(keys...), nil
}
