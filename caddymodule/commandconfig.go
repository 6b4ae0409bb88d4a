package caddymodule

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig"

	"github.com/tokenvault/caddy-token-vault/caddymodule/tenantsetup"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// The environment variables of the README's table.
const (
	envClientID         = "AUTH0_CLIENT_ID"
	envClientSecret     = "AUTH0_CLIENT_SECRET" //nolint:gosec // a name
	envLinkClientID     = "AUTH0_LINK_CLIENT_ID"
	envLinkClientSecret = "AUTH0_LINK_CLIENT_SECRET" //nolint:gosec // a name
	envAgentID          = "AGENT_CLIENT_ID"
	envManagementID     = "AUTH0_MANAGEMENT_CLIENT_ID"
	envManagementSecret = "AUTH0_MANAGEMENT_CLIENT_SECRET"
)

// needs reads the configuration, and what it needs of its tenants. Before setup
// its clients may be missing.
func (f *commandFlags) needs(beforeSetup bool) ([]*tenantsetup.Needs, error) {
	if beforeSetup {
		defer setMissing(envClientID, envLinkClientID)()
	}
	config, err := readConfig(f.config, f.adapter)
	if err != nil {
		return nil, err
	}
	needs, err := needsOf(config, beforeSetup)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.config, err)
	}
	var names []string
	for _, n := range needs {
		names = append(names, n.Tenant)
	}
	if f.tenant != "" {
		needs = slices.DeleteFunc(needs, func(n *tenantsetup.Needs) bool { return n.Tenant != f.tenant })
	}
	if len(needs) == 0 {
		return nil, fmt.Errorf("%s: no such tenant; the app token_vault configures %s", f.config, cmp.Or(strings.Join(names, ", "), "none"))
	}
	for _, n := range needs {
		if err := f.addManagement(n); err != nil {
			return nil, err
		}
	}
	return needs, nil
}

// setMissing gives ids of clients that are yet to be made a value, so that a
// Caddyfile that takes them from the environment can be read.
func setMissing(names ...string) (restore func()) {
	var set []string
	for _, name := range names {
		if os.Getenv(name) == "" && os.Setenv(name, "not-created-yet") == nil {
			set = append(set, name)
		}
	}
	return func() {
		for _, name := range set {
			_ = os.Unsetenv(name)
		}
	}
}

// readConfig reads a configuration as `caddy adapt` does, without its log.
func readConfig(file, adapter string) ([]byte, error) {
	data, err := os.ReadFile(file) //nolint:gosec // the operator names it
	if err != nil {
		return nil, err
	}
	base := strings.ToLower(filepath.Base(file))
	if adapter == "" && filepath.Ext(base) != ".json" && (strings.HasPrefix(base, "caddyfile") || strings.HasSuffix(base, ".caddyfile")) {
		adapter = "caddyfile"
	}
	if adapter == "" {
		return data, nil
	}
	adapt := caddyconfig.GetAdapter(adapter)
	if adapt == nil {
		return nil, fmt.Errorf("there is no config adapter %q", adapter)
	}
	config, _, err := adapt.Adapt(data, map[string]any{"filename": file})
	return config, err
}

// addManagement takes the management client from flags and environment, where
// they name one.
func (f *commandFlags) addManagement(n *tenantsetup.Needs) error {
	if id := cmp.Or(f.managementID, os.Getenv(envManagementID)); id != "" {
		secret := os.Getenv(envManagementSecret)
		if secret == "" {
			return fmt.Errorf("%s: required with a management client id", envManagementSecret)
		}
		n.Management = tenantsetup.Client{ID: id, Secret: vault.NewSecret(secret)}
	}
	if configured := n.Management.SecretVariable != ""; configured && (n.Management.ID == "" || n.Management.Secret.Reveal() == "") {
		return fmt.Errorf("tenant %s: management: the id or the secret is missing or empty", n.Tenant)
	}
	if f.managementDomain == "" {
		return nil
	}
	issuer, err := vault.ParseDomain(f.managementDomain)
	if err != nil {
		return fmt.Errorf("management-domain: %w", err)
	}
	n.ManagementDomain = issuer
	return nil
}
