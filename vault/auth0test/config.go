package auth0test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Config is a tenant: what an operator would create through Auth0's
// Management API, in that API's own shapes. In any string "{tenant}" stands
// for the tenant's base URL, without a trailing slash.
type Config struct {
	// ResourceServers are the APIs. The My Account API, "{tenant}/me/", is
	// active when it is listed here or a client grant names it.
	ResourceServers []ResourceServer `json:"resource_servers"`
	// Clients are the applications.
	Clients []Client `json:"clients"`
	// ClientGrants allow clients to ask for an API's tokens.
	ClientGrants []ClientGrant `json:"client_grants"`
	// Connections are the identity providers. If no database is among them there is
	// the one that Auth0 makes, Username-Password-Authentication, enabled for all of
	// Clients.
	Connections []Connection `json:"connections"`
	// Users may log in with their e-mail address and password. Others become
	// users when they first log in through a provider.
	Users []User `json:"users"`
	// ProviderAccounts are what the stand-ins know of accounts; there is one for
	// each user's e-mail address besides.
	ProviderAccounts []ProviderAccount `json:"provider_accounts,omitempty"`
	// Actions run after logins, in this order.
	Actions []Action `json:"actions,omitempty"`
	// Tenant are the tenant's own settings.
	Tenant TenantSettings `json:"tenant_settings,omitzero"`
	// Settings are the switches of this package; the zero value is the default.
	Settings Settings `json:"settings"`
}

// ResourceServer is an API as Auth0's Management API shows it.
type ResourceServer struct {
	ID                 string  `json:"id,omitempty"`
	Name               string  `json:"name,omitempty"`
	Identifier         string  `json:"identifier"`
	Scopes             []Scope `json:"scopes,omitempty"`
	AllowOfflineAccess bool    `json:"allow_offline_access"`
	// SigningAlg is RS256 (default), PS256, ES256 or HS256.
	SigningAlg string `json:"signing_alg,omitempty"`
	// SigningSecret is the key of HS256.
	SigningSecret string `json:"signing_secret,omitempty"`
	// TokenLifetime is in seconds. Default: 86400; 600 for the My Account API.
	TokenLifetime int `json:"token_lifetime,omitempty"`
	// TokenLifetimeForWeb has no effect; this tenant has no implicit flow.
	// Default: 7200; 600 for the My Account API.
	TokenLifetimeForWeb int `json:"token_lifetime_for_web,omitempty"`
	// TokenDialect is access_token (default), access_token_authz,
	// rfc9068_profile or rfc9068_profile_authz.
	TokenDialect string `json:"token_dialect,omitempty"`
	// EnforcePolicies turns on RBAC: users get only the scopes among their
	// permissions.
	EnforcePolicies bool `json:"enforce_policies,omitempty"`
	// SkipConsent is accepted; this tenant asks for no consent of its own.
	SkipConsent bool `json:"skip_consent_for_verifiable_first_party_clients"`
	// SubjectTypeAuthorization says who needs a client grant. Default: allow_all
	// for users, require_client_grant for clients; for the My Account API
	// require_client_grant and deny_all.
	SubjectTypeAuthorization *SubjectTypeAuthorization `json:"subject_type_authorization,omitempty"`
	// ClientID is the linked Custom API client, as Auth0 shows it; it is read
	// from the client's resource_server_identifier, never from here.
	ClientID string `json:"client_id,omitempty"`
	// IsSystem marks Auth0's own APIs: the My Account API and the Management
	// API, which is always there.
	IsSystem bool `json:"is_system,omitempty"`
	// ProofOfPossession is accepted; this tenant binds no tokens.
	ProofOfPossession *ProofOfPossession `json:"proof_of_possession,omitempty"`
}

// ProofOfPossession says how an API's tokens are bound to who got them.
type ProofOfPossession struct {
	// Mechanism is dpop, mtls or none.
	Mechanism string `json:"mechanism"`
	Required  bool   `json:"required"`
}

// Scope is one permission of an API.
type Scope struct {
	Value       string `json:"value"`
	Description string `json:"description,omitempty"`
}

// SubjectTypeAuthorization holds an API's access policies.
type SubjectTypeAuthorization struct {
	User   *AccessPolicy `json:"user,omitempty"`
	Client *AccessPolicy `json:"client,omitempty"`
}

// AccessPolicy is allow_all, require_client_grant or deny_all.
type AccessPolicy struct {
	Policy string `json:"policy"`
}

// Client is an application as Auth0's Management API shows it.
type Client struct {
	ClientID     string `json:"client_id"`
	ClientSecret string `json:"client_secret,omitempty"`
	Name         string `json:"name,omitempty"`
	Description  string `json:"description,omitempty"`
	LogoURI      string `json:"logo_uri,omitempty"`
	// AppType is regular_web, native, spa, non_interactive or resource_server.
	AppType string `json:"app_type,omitempty"`
	// ResourceServerIdentifier is the one API a resource_server client serves.
	ResourceServerIdentifier string `json:"resource_server_identifier,omitempty"`
	// IsFirstParty defaults to true.
	IsFirstParty *bool `json:"is_first_party,omitempty"`
	// OIDCConformant defaults to false, except for resource_server clients.
	OIDCConformant *bool `json:"oidc_conformant,omitempty"`
	// TokenEndpointAuthMethod is client_secret_post (default),
	// client_secret_basic or none.
	TokenEndpointAuthMethod string `json:"token_endpoint_auth_method,omitempty"`
	// GrantTypes, when nil, are Auth0's defaults for a client created without
	// them: authorization_code, implicit, refresh_token, client_credentials, or
	// none at all for a resource_server client.
	GrantTypes        []string      `json:"grant_types"`
	Callbacks         []string      `json:"callbacks,omitempty"`
	AllowedLogoutURLs []string      `json:"allowed_logout_urls,omitempty"`
	AllowedOrigins    []string      `json:"allowed_origins,omitempty"`
	WebOrigins        []string      `json:"web_origins,omitempty"`
	RefreshToken      *RefreshToken `json:"refresh_token,omitempty"`
	JWTConfiguration  *JWTConfig    `json:"jwt_configuration,omitempty"`
	// RequirePushedAuthorizationRequests refuses /authorize without a request_uri.
	RequirePushedAuthorizationRequests bool `json:"require_pushed_authorization_requests,omitempty"`
	// OrganizationUsage is deny (default), allow or require.
	OrganizationUsage string `json:"organization_usage,omitempty"`
	// DefaultOrganization counts where a request names none.
	DefaultOrganization *DefaultOrganization `json:"default_organization,omitempty"`
	// ClientAuthenticationMethods take the secret's place.
	ClientAuthenticationMethods AuthenticationMethods `json:"client_authentication_methods,omitempty"`
	ClientMetadata              map[string]any        `json:"client_metadata,omitempty"`
	// The rest is accepted and shown, and has no effect here.
	OIDCLogout          map[string]any `json:"oidc_logout,omitempty"`
	Addons              map[string]any `json:"addons,omitempty"`
	TokenExchange       map[string]any `json:"token_exchange,omitempty"`
	TrustsIPHeader      bool           `json:"is_token_endpoint_ip_header_trusted"`
	SSODisabled         bool           `json:"sso_disabled"`
	CrossOriginAuth     bool           `json:"cross_origin_authentication"`
	CustomLoginPageOn   *bool          `json:"custom_login_page_on,omitempty"`
	SkipCallbackWarning *bool          `json:"skip_non_verifiable_callback_uri_confirmation_prompt,omitempty"`
}

// DefaultOrganization is whose member a client acts as in some flows.
type DefaultOrganization struct {
	OrganizationID string `json:"organization_id"`
	// Flows are those that it is for: Auth0 has client_credentials only.
	Flows []string `json:"flows"`
}

// RefreshToken is a client's refresh-token settings.
type RefreshToken struct {
	// RotationType is non-rotating (default) or rotating.
	RotationType string `json:"rotation_type"`
	// ExpirationType is non-expiring (default) or expiring.
	ExpirationType string `json:"expiration_type"`
	// Leeway is how many seconds a rotated token may be used again.
	Leeway int `json:"leeway"`
	// TokenLifetime, in seconds, counts when ExpirationType is "expiring" and
	// InfiniteTokenLifetime is not set. Default: 2592000.
	TokenLifetime         int  `json:"token_lifetime"`
	InfiniteTokenLifetime bool `json:"infinite_token_lifetime"`
	// IdleTokenLifetime is accepted; tokens do not idle out here. Default:
	// 1296000.
	IdleTokenLifetime         int  `json:"idle_token_lifetime"`
	InfiniteIdleTokenLifetime bool `json:"infinite_idle_token_lifetime"`
	// Policies are the multi-resource refresh token policies: the further APIs
	// a refresh may name.
	Policies []RefreshPolicy `json:"policies,omitempty"`
}

// RefreshPolicy is one API, with the scopes, that a refresh may ask for.
type RefreshPolicy struct {
	Audience string   `json:"audience"`
	Scope    []string `json:"scope"`
}

// JWTConfig is how a client's ID tokens are made. Without one Auth0 sets the
// lifetime only, and for a Custom API client the algorithm only.
type JWTConfig struct {
	// Alg is RS256 or HS256, which signs with the client's secret. Default: the
	// setting id_token_alg.
	Alg string `json:"alg,omitempty"`
	// LifetimeInSeconds defaults to 36000.
	LifetimeInSeconds int  `json:"lifetime_in_seconds,omitempty"`
	SecretEncoded     bool `json:"secret_encoded"`
}

// ClientGrant lets a client have an API's tokens.
type ClientGrant struct {
	ID       string   `json:"id,omitempty"`
	ClientID string   `json:"client_id"`
	Audience string   `json:"audience"`
	Scope    []string `json:"scope"`
	// SubjectType is client (default: client_credentials) or user.
	SubjectType string `json:"subject_type,omitempty"`
	// AllowAllScopes grants every scope of the API.
	AllowAllScopes bool `json:"allow_all_scopes,omitempty"`
	IsSystem       bool `json:"is_system,omitempty"`
	// The rest is accepted and shown, and has no effect here.
	OrganizationUsage         string   `json:"organization_usage,omitempty"`
	AllowAnyOrganization      *bool    `json:"allow_any_organization,omitempty"`
	AuthorizationDetailsTypes []string `json:"authorization_details_types,omitzero"`
}

// Connection is an identity provider.
type Connection struct {
	ID          string `json:"id,omitempty"`
	Name        string `json:"name"`
	DisplayName string `json:"display_name,omitempty"`
	// Strategy picks the stand-in: google-oauth2, github, windowslive for Microsoft,
	// oauth2 for Slack. Or it is auth0, for the database the users live in.
	Strategy string `json:"strategy"`
	// Options are the strategy's. Used here: client_id, client_secret, scope
	// (a list; a text for oauth2), offline_access.
	Options map[string]any `json:"options,omitempty"`
	// EnabledClients may use the connection.
	EnabledClients []string `json:"enabled_clients"`
	// ConnectedAccounts makes it usable with the My Account API and the vault.
	ConnectedAccounts *Active `json:"connected_accounts,omitempty"`
	// Authentication makes it usable for login. Default: active, as at Auth0.
	Authentication     *Active        `json:"authentication,omitempty"`
	IsDomainConnection bool           `json:"is_domain_connection"`
	Realms             []string       `json:"realms,omitempty"`
	Metadata           map[string]any `json:"metadata,omitempty"`
}

// Active is one of a connection's purposes, on or off.
type Active struct {
	Active bool `json:"active"`
}

// User is a person.
type User struct {
	// UserID is "provider|id". When absent it is "auth0|" and a hash of the
	// e-mail address.
	UserID        string           `json:"user_id,omitempty"`
	Email         string           `json:"email,omitempty"`
	EmailVerified bool             `json:"email_verified,omitempty"`
	Username      string           `json:"username,omitempty"`
	Name          string           `json:"name,omitempty"`
	Nickname      string           `json:"nickname,omitempty"`
	GivenName     string           `json:"given_name,omitempty"`
	FamilyName    string           `json:"family_name,omitempty"`
	Picture       string           `json:"picture,omitempty"`
	Password      string           `json:"password,omitempty"`
	UserMetadata  map[string]any   `json:"user_metadata,omitempty"`
	AppMetadata   map[string]any   `json:"app_metadata,omitempty"`
	Permissions   []UserPermission `json:"permissions,omitempty"`
	// Authenticators are the second factors that the user has enrolled.
	Authenticators []Authenticator `json:"authenticators,omitempty"`
	Blocked        *bool           `json:"blocked,omitempty"`
	// CreatedAt, UpdatedAt and LastPasswordReset are times as Auth0 writes them.
	// Default for the first two: the tenant's start.
	CreatedAt         string `json:"created_at,omitempty"`
	UpdatedAt         string `json:"updated_at,omitempty"`
	LastPasswordReset string `json:"last_password_reset,omitempty"`
	// Identities are login identities, the user's own first; that one is made
	// from the user id when it is missing. As at Auth0 they never feed the vault.
	Identities []Identity `json:"identities,omitempty"`
	// ConnectedAccounts are what the vault holds for the user from the start.
	ConnectedAccounts []UserAccount `json:"connected_accounts,omitempty"`
}

// UserPermission is an RBAC permission, used where an API enforces policies.
type UserPermission struct {
	PermissionName           string `json:"permission_name"`
	ResourceServerIdentifier string `json:"resource_server_identifier"`
}

// UserAccount is an account connected before the tenant starts.
type UserAccount struct {
	Connection string `json:"connection"`
	// Scopes, when nil, are the connection's own.
	Scopes []string `json:"scopes"`
	// Account is the provider's user id, which login_hint matches. Default: the
	// account the stand-in has for the user's e-mail address.
	Account string `json:"account,omitempty"`
}

// ParseConfig reads a tenant.json. A member it does not know is an error:
// a misspelt one would otherwise quietly leave its default in place.
func ParseConfig(data []byte) (Config, error) {
	var cfg Config
	if err := decodeStrict(data, &cfg); err != nil {
		return Config{}, fmt.Errorf("tenant config: %w", err)
	}
	return cfg, nil
}

// decodeStrict decodes exactly one JSON value and nothing it does not know.
func decodeStrict(data []byte, into any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(into); err != nil {
		return err
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return errors.New("data after the JSON value")
	}
	return nil
}

// expand returns a deep copy of cfg with the tenant's base URL and the
// defaults filled in.
func (cfg Config) expand(base string) (Config, error) {
	data, err := json.Marshal(cfg)
	if err != nil {
		return Config{}, err
	}
	quoted, _ := json.Marshal(base)
	text := strings.ReplaceAll(string(data), "{tenant}", string(quoted[1:len(quoted)-1]))
	out, err := ParseConfig([]byte(text))
	if err != nil {
		return Config{}, err
	}
	out.takeFunctions(cfg.Actions)
	out.addDatabase()
	out.fillDefaults(base)
	return out, nil
}
