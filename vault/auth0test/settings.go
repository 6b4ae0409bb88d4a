package auth0test

import (
	"fmt"
	"slices"
)

// Settings are the switches for what Auth0 leaves undocumented or where it has
// been seen to differ. The package comment lists them with their defaults; the
// zero value of each member is the default.
type Settings struct {
	// RefreshLeeway is how many seconds before its expiry a stored provider
	// token is refreshed instead of returned.
	RefreshLeeway int `json:"refresh_leeway,omitempty"`

	NotConnectedError      string `json:"not_connected_error,omitempty"`
	UnknownConnectionError string `json:"unknown_connection_error,omitempty"`
	UnknownUserError       string `json:"unknown_user_error,omitempty"`
	UserNotFoundMember     string `json:"user_not_found_member,omitempty"`
	InvalidSubjectError    string `json:"invalid_subject_error,omitempty"`
	WrongAudienceError     string `json:"wrong_audience_error,omitempty"`
	WrongAudienceStatus    int    `json:"wrong_audience_status,omitempty"`
	RotatingSubjectError   string `json:"rotating_subject_error,omitempty"`
	RefuseBoundSubject     bool   `json:"refuse_bound_subject,omitempty"`
	SeveralAccounts        string `json:"several_accounts,omitempty"`
	LoginHintEmail         bool   `json:"login_hint_email,omitempty"`
	VaultRequestScope      string `json:"vault_request_scope,omitempty"`

	OmitScope      bool   `json:"omit_scope,omitempty"`
	ScopeSeparator string `json:"scope_separator,omitempty"`
	OmitExpiresIn  bool   `json:"omit_expires_in,omitempty"`
	ExpiresIn      *int64 `json:"expires_in,omitempty"`

	MFAPolicy              string `json:"mfa_policy,omitempty"`
	MFARequiredStatus      int    `json:"mfa_required_status,omitempty"`
	WrongSecretError       string `json:"wrong_secret_error,omitempty"`
	UnsupportedGrantStatus int    `json:"unsupported_grant_status,omitempty"`
	ClockSkew              int    `json:"clock_skew,omitempty"`

	CompleteStatus      int    `json:"complete_status,omitempty"`
	ConnectURIPath      string `json:"connect_uri_path,omitempty"`
	ConnectURIQuery     string `json:"connect_uri_query,omitempty"`
	ConnectRedirectURI  string `json:"connect_redirect_uri,omitempty"`
	ConnectWrongBrowser string `json:"connect_wrong_browser,omitempty"`
	Reconnect           string `json:"reconnect,omitempty"`
	MaxAccounts         int    `json:"max_accounts,omitempty"`
	DeleteUnknownStatus int    `json:"delete_unknown_status,omitempty"`
	OmitWWWAuthenticate bool   `json:"omit_www_authenticate,omitempty"`

	RefusedConnectionError string `json:"refused_connection_error,omitempty"`
	IdentitiesFeedVault    bool   `json:"identities_feed_vault,omitempty"`

	SessionAfterContinue string `json:"session_after_continue,omitempty"`

	PushedAuthorizationRequestsSupported bool `json:"pushed_authorization_requests_supported,omitempty"`

	OfflineAccess      string `json:"offline_access,omitempty"`
	GoogleRefreshToken string `json:"google_refresh_token,omitempty"`
	GitHubOAuthApp     bool   `json:"github_oauth_app,omitempty"`

	IDTokenAlg string `json:"id_token_alg,omitempty"`

	ClientGrantSubjectType string   `json:"client_grant_subject_type,omitempty"`
	PatchEnabledClients    string   `json:"patch_enabled_clients,omitempty"`
	MyAccountAPI           string   `json:"my_account_api,omitempty"`
	TokensetMethods        bool     `json:"tokenset_methods,omitempty"`
	MFAFactors             []string `json:"mfa_factors,omitempty"`

	LinkSelfMessage           string `json:"link_self_message,omitempty"`
	LinkConflictMessage       string `json:"link_conflict_message,omitempty"`
	LinkAgain                 string `json:"link_again,omitempty"`
	LinkPrimaryWithIdentities string `json:"link_primary_with_identities,omitempty"`
	LinkConnectedAccounts     string `json:"link_connected_accounts,omitempty"`
	LinkUnknownPrimaryStatus  int    `json:"link_unknown_primary_status,omitempty"`
	UnlinkMainMessage         string `json:"unlink_main_message,omitempty"`
	UnlinkUnknownMessage      string `json:"unlink_unknown_message,omitempty"`
	UnownedMessage            string `json:"unowned_message,omitempty"`
	GitHubIdentityUserID      string `json:"github_identity_user_id,omitempty"`

	Organizations   []Organization `json:"organizations,omitempty"`
	AnyOrganization bool           `json:"any_organization,omitempty"`
}

// Organization is an Auth0 organization with its members' user ids.
type Organization struct {
	ID          string   `json:"id"`
	Name        string   `json:"name"`
	DisplayName string   `json:"display_name,omitempty"`
	Members     []string `json:"members,omitempty"`
}

func (s *Settings) fillDefaults() {
	setDefault(&s.NotConnectedError, "federated_connection_refresh_token_not_found")
	setDefault(&s.UnknownUserError, "user_not_found")
	setDefault(&s.UserNotFoundMember, "error_description")
	setDefault(&s.InvalidSubjectError, "invalid_grant")
	setDefault(&s.WrongAudienceError, "unauthorized_client")
	setDefault(&s.RotatingSubjectError, "unauthorized_client")
	setDefault(&s.SeveralAccounts, "first")
	setDefault(&s.VaultRequestScope, "ignored")
	setDefault(&s.ScopeSeparator, "provider")
	setDefault(&s.MFAPolicy, "never")
	setDefault(&s.WrongSecretError, "access_denied")
	setDefault(&s.ConnectURIPath, "/connected-accounts/connect")
	setDefault(&s.ConnectRedirectURI, "registered")
	setDefault(&s.ConnectWrongBrowser, "callback")
	setDefault(&s.Reconnect, "update")
	setDefault(&s.RefusedConnectionError, "invalid_request")
	setDefault(&s.SessionAfterContinue, "transaction")
	setDefault(&s.OfflineAccess, "connection")
	setDefault(&s.GoogleRefreshToken, "always")
	for status, value := range map[*int]int{
		&s.WrongAudienceStatus: 403, &s.MFARequiredStatus: 403, &s.UnsupportedGrantStatus: 403,
		&s.CompleteStatus: 201, &s.DeleteUnknownStatus: 204, &s.LinkUnknownPrimaryStatus: 404,
	} {
		setDefaultNumber(status, value)
	}
	s.fillManagementDefaults()
}

// A settingChoice is a setting that has few values.
type settingChoice struct {
	name, value string
	allowed     []string
}

func (s *Settings) choices() []settingChoice {
	return []settingChoice{
		{"user_not_found_member", s.UserNotFoundMember, []string{"error_description", "description"}},
		{"several_accounts", s.SeveralAccounts, []string{"first", "newest", "error"}},
		{"vault_request_scope", s.VaultRequestScope, []string{"ignored", "rejected", "honoured"}},
		{"scope_separator", s.ScopeSeparator, []string{"provider", "space", "comma"}},
		{"mfa_policy", s.MFAPolicy, []string{"never", "always", "adaptive"}},
		{"wrong_secret_error", s.WrongSecretError, []string{"access_denied", "invalid_client"}},
		{"connect_uri_path", s.ConnectURIPath, []string{"/connected-accounts/connect", "/connect"}},
		{"connect_redirect_uri", s.ConnectRedirectURI, []string{"registered", "any"}},
		{"connect_wrong_browser", s.ConnectWrongBrowser, []string{"callback", "page"}},
		{"reconnect", s.Reconnect, []string{"update", "add"}},
		{"session_after_continue", s.SessionAfterContinue, []string{"transaction", "latest"}},
		{"offline_access", s.OfflineAccess, []string{"connection", "always"}},
		{"google_refresh_token", s.GoogleRefreshToken, []string{"always", "consent"}},
	}
}

// validate checks settings whose defaults are filled in.
func (s *Settings) validate() error {
	for _, c := range slices.Concat(s.choices(), s.managementChoices()) {
		if err := oneOf("settings: "+c.name, c.value, c.allowed...); err != nil {
			return err
		}
	}
	numbers := []struct {
		name    string
		value   int
		allowed []int
	}{
		{"wrong_audience_status", s.WrongAudienceStatus, []int{401, 403}},
		{"mfa_required_status", s.MFARequiredStatus, []int{401, 403}},
		{"unsupported_grant_status", s.UnsupportedGrantStatus, []int{400, 403}},
		{"complete_status", s.CompleteStatus, []int{200, 201}},
		{"delete_unknown_status", s.DeleteUnknownStatus, []int{204, 404}},
		{"link_unknown_primary_status", s.LinkUnknownPrimaryStatus, []int{400, 404}},
	}
	for _, n := range numbers {
		if !slices.Contains(n.allowed, n.value) {
			return fmt.Errorf("settings: %s is %d, expected one of %v", n.name, n.value, n.allowed)
		}
	}
	return s.checkFactors()
}

// organization finds an organization by id; with AnyOrganization every id
// exists and everybody is a member.
func (s *Settings) organization(id string) *Organization {
	if o := find(s.Organizations, func(o Organization) bool { return o.ID == id }); o != nil {
		return o
	}
	if s.AnyOrganization {
		return &Organization{ID: id, Name: id}
	}
	return nil
}

func (s *Settings) member(o *Organization, userID string) bool {
	return s.AnyOrganization || slices.Contains(o.Members, userID)
}
