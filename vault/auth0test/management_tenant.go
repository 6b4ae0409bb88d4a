package auth0test

import "net/http"

// TenantSettings are a tenant's own settings, as far as Auth0's Management API
// has them and whoever checks a tenant reads them. Those about logouts count here.
type TenantSettings struct {
	FriendlyName   string   `json:"friendly_name,omitempty"`
	EnabledLocales []string `json:"enabled_locales,omitzero"`
	// SessionLifetime and IdleSessionLifetime are in hours. Default: 168 and 72.
	SessionLifetime     int         `json:"session_lifetime,omitempty"`
	IdleSessionLifetime int         `json:"idle_session_lifetime,omitempty"`
	Flags               TenantFlags `json:"flags"`
	// ResourceParameterProfile is audience (default) or compatibility.
	ResourceParameterProfile string `json:"resource_parameter_profile,omitempty"`
	// ClientIDMetadataDocumentSupported lets clients come with a URL for an id.
	ClientIDMetadataDocumentSupported bool `json:"client_id_metadata_document_supported"`
	// AllowedLogoutURLs are for logouts that name no client.
	AllowedLogoutURLs []string `json:"allowed_logout_urls,omitempty"`
	// OIDCLogout says whether discovery names /oidc/logout. Default: it does, as at
	// tenants made since November 2023. Auth0's SDKs use /v2/logout otherwise.
	OIDCLogout *OIDCLogoutSettings `json:"oidc_logout,omitempty"`
	// Sessions says whether people are asked before a logout that shows no sign of
	// being their own wish. Default: they are.
	Sessions *SessionSettings `json:"sessions,omitempty"`
}

// OIDCLogoutSettings are a tenant's for RP-initiated logout.
type OIDCLogoutSettings struct {
	EndSessionEndpointDiscovery bool `json:"rp_logout_end_session_endpoint_discovery"`
}

// SessionSettings are a tenant's for its sessions.
type SessionSettings struct {
	OIDCLogoutPromptEnabled *bool `json:"oidc_logout_prompt_enabled,omitempty"`
}

func (s *TenantSettings) asksBeforeLogout() bool {
	return s.Sessions == nil || s.Sessions.OIDCLogoutPromptEnabled == nil || *s.Sessions.OIDCLogoutPromptEnabled
}

// TenantFlags are switches of a tenant.
type TenantFlags struct {
	// EnableDynamicClientRegistration lets anybody register a client.
	EnableDynamicClientRegistration bool `json:"enable_dynamic_client_registration,omitempty"`
}

func (s *TenantSettings) fillDefaults() {
	setDefault(&s.ResourceParameterProfile, "audience")
	setDefaultNumber(&s.SessionLifetime, 168)
	setDefaultNumber(&s.IdleSessionLifetime, 72)
	if s.OIDCLogout == nil {
		s.OIDCLogout = &OIDCLogoutSettings{EndSessionEndpointDiscovery: true}
	}
	if s.EnabledLocales == nil {
		s.EnabledLocales = []string{"en"}
	}
}

// getTenantSettings is GET …/tenants/settings.
func (t *Tenant) getTenantSettings(r *managementRequest) (reply, error) {
	return reply{http.StatusOK, selectFields(objectOf(t.cfg().Tenant), r)}, nil
}

// patchTenantSettings is PATCH …/tenants/settings. Flags are merged.
func (t *Tenant) patchTenantSettings(r *managementRequest) (reply, error) {
	err := t.change(func(cfg *Config) error {
		flags := cfg.Tenant.Flags
		given, err := readPatch(r, &cfg.Tenant)
		if err != nil {
			return err
		}
		if changes, ok := given["flags"]; ok {
			cfg.Tenant.Flags = flags
			return decodeMembers(changes, &cfg.Tenant.Flags)
		}
		return nil
	})
	return reply{http.StatusOK, t.cfg().Tenant}, err
}
