package auth0test

import "net/http"

// TenantSettings are what the Management API's tenant settings hold, as far as
// it matters here.
type TenantSettings struct {
	FriendlyName      string   `json:"friendly_name,omitempty"`
	SupportEmail      string   `json:"support_email,omitempty"`
	SupportURL        string   `json:"support_url,omitempty"`
	DefaultAudience   string   `json:"default_audience,omitempty"`
	AllowedLogoutURLs []string `json:"allowed_logout_urls,omitzero"`
	EnabledLocales    []string `json:"enabled_locales,omitzero"`
	// SessionLifetime and IdleSessionLifetime are in hours. They have no effect.
	SessionLifetime     int         `json:"session_lifetime,omitempty"`
	IdleSessionLifetime int         `json:"idle_session_lifetime,omitempty"`
	Flags               TenantFlags `json:"flags"`
	// ResourceParameterProfile is audience (default) or compatibility. It has no
	// effect.
	ResourceParameterProfile string `json:"resource_parameter_profile,omitempty"`
	// ClientIDMetadataDocumentSupported lets clients come with a URL for an id.
	// It has no effect.
	ClientIDMetadataDocumentSupported bool `json:"client_id_metadata_document_supported"`
}

// TenantFlags are switches of a tenant.
type TenantFlags struct {
	// EnableDynamicClientRegistration lets anybody register a client. It has no
	// effect.
	EnableDynamicClientRegistration bool `json:"enable_dynamic_client_registration,omitempty"`
	UniversalLogin                  bool `json:"universal_login"`
	RevokeRefreshTokenGrant         bool `json:"revoke_refresh_token_grant"`
	EnableSSO                       bool `json:"enable_sso"`
}

func (s *TenantSettings) fillDefaults() {
	setDefault(&s.ResourceParameterProfile, "audience")
	setDefaultNumber(&s.SessionLifetime, 168)
	setDefaultNumber(&s.IdleSessionLifetime, 72)
	if s.EnabledLocales == nil {
		s.EnabledLocales = []string{"en"}
	}
	s.Flags.EnableSSO, s.Flags.UniversalLogin = true, true // as of every new tenant
}

// getTenantSettings is GET …/tenants/settings.
func (t *Tenant) getTenantSettings(r *managementRequest) (reply, error) {
	return reply{http.StatusOK, selectFields(objectOf(t.cfg().Tenant), r)}, nil
}

// patchTenantSettings is PATCH …/tenants/settings. Flags are merged.
func (t *Tenant) patchTenantSettings(r *managementRequest) (reply, error) {
	err := t.change(func(cfg *Config) error {
		flags := cfg.Tenant.Flags
		given, err := r.readPatch(&cfg.Tenant)
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
