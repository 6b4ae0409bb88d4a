package vault

import "strings"

// What providers call their scopes. All who compare, merge or show scopes of
// providers go by this file. Auth0's own scopes and permissions are compared
// exactly, by [AccessToken.Grants].

const (
	// offlineAccess asks for a refresh token (OpenID Connect Core §11). Google knows no
	// such scope and Microsoft never tells it, and without it there is no token at all.
	offlineAccess = "offline_access"

	// graph is the resource of Microsoft's scopes that have none: some answers name
	// it and some do not, whatever was asked for.
	graph = "https://graph.microsoft.com/"
)

// googleNames are the short names that Google accepts in a request, and the ones
// that its tokens carry.
var googleNames = map[string]string{
	"email":   "https://www.googleapis.com/auth/userinfo.email",
	"profile": "https://www.googleapis.com/auth/userinfo.profile",
}

// githubIncludes are GitHub's scopes that include others (GitHub: "Scopes for OAuth
// apps"). GitHub leaves out of its answer what another scope there includes.
var githubIncludes = map[string][]string{
	"repo":                         {"repo:status", "repo_deployment", "public_repo", "repo:invite", "security_events"},
	"admin:repo_hook":              {"write:repo_hook", "read:repo_hook"},
	"write:repo_hook":              {"read:repo_hook"},
	"admin:org":                    {"write:org", "read:org", "manage_runners:org"},
	"write:org":                    {"read:org"},
	"admin:public_key":             {"write:public_key", "read:public_key"},
	"write:public_key":             {"read:public_key"},
	"admin:gpg_key":                {"write:gpg_key", "read:gpg_key"},
	"write:gpg_key":                {"read:gpg_key"},
	"admin:ssh_signing_key":        {"write:ssh_signing_key", "read:ssh_signing_key"},
	"write:ssh_signing_key":        {"read:ssh_signing_key"},
	"admin:enterprise":             {"manage_runners:enterprise", "manage_billing:enterprise", "read:enterprise"},
	"user":                         {"read:user", "user:email", "user:follow"},
	"project":                      {"read:project"},
	"write:packages":               {"read:packages"},
	"write:discussion":             {"read:discussion"},
	"codespace":                    {"codespace:secrets"},
	"copilot":                      {"manage_billing:copilot"},
	"audit_log":                    {"read:audit_log"},
	"write:network_configurations": {"read:network_configurations"},
}

// githubWider is the same by the scope that is included.
var githubWider = func() map[string][]string {
	wider := make(map[string][]string)
	for wide, scopes := range githubIncludes {
		for _, scope := range scopes {
			wider[scope] = append(wider[scope], wide)
		}
	}
	return wider
}()

// ScopeProvider names the provider whose scopes a connection has: "github",
// "google", "microsoft", "slack", or "" where that is not known. All that tells it
// is the connection's name: Auth0 calls the connections of these providers like
// their strategy (github; google-oauth2 and google-apps; windowslive and waad; slack
// and its variants), and those of Microsoft's directories mostly azure and
// something. One that is called otherwise is nobody's, and its scopes are what they
// are byte by byte.
func ScopeProvider(connection string) string {
	switch {
	case connection == "github":
		return "github"
	case connection == "google-oauth2", connection == "google-apps":
		return "google"
	case connection == "windowslive", connection == "waad", strings.HasPrefix(connection, "azure"):
		return "microsoft"
	case connection == "slack", connection == "slack-oauth-2", connection == "sign-in-with-slack":
		return "slack"
	}
	return ""
}

// ScopeName returns the same text for all names of one scope: Google's short and
// long ones; Microsoft's with the Graph in front and without, dotted ones in any case.
func ScopeName(scope string) string { return googleName(microsoftName(scope)) }

// askedName returns the same text for all names under which a connection's scope may
// be asked for. What another provider calls a scope is no name of it: asking by that
// would ask for what nobody means.
func askedName(connection string) (name func(scope string) string) {
	switch ScopeProvider(connection) {
	case "google":
		return googleName
	case "microsoft":
		return microsoftName
	}
	return func(scope string) string { return scope }
}

func googleName(scope string) string {
	if long, ok := googleNames[scope]; ok {
		return long
	}
	return scope
}

func microsoftName(scope string) string {
	bare := strings.TrimPrefix(scope, graph)
	switch {
	case bare == "" || strings.ContainsAny(bare, "/:"):
		return scope
	case strings.Contains(bare, "."):
		return lower(bare)
	}
	return bare
}

// isDefault tells whether scope is one of Microsoft's that stand for whatever the
// application is registered for: a resource's, or the Graph's without a resource.
// The answer names what that is.
func isDefault(scope string) bool {
	scope = lower(scope)
	return scope == ".default" || strings.HasSuffix(scope, "/.default")
}

// lower is strings.ToLower for ASCII: nothing else turns into it.
func lower(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}
