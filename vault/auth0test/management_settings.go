package auth0test

import "fmt"

func (s *Settings) fillManagementDefaults() {
	setDefault(&s.IDTokenAlg, "RS256")
	setDefault(&s.ClientGrantSubjectType, "kept")
	setDefault(&s.PatchEnabledClients, "refused")
	setDefault(&s.MyAccountAPI, "creatable")
	setDefault(&s.LinkSelfMessage, "The main identity cannot be linked to itself.")
	setDefault(&s.LinkConflictMessage, "The identity is already linked to a user.")
	setDefault(&s.LinkAgain, "refused")
	setDefault(&s.LinkPrimaryWithIdentities, "refused")
	setDefault(&s.LinkConnectedAccounts, "gone")
	setDefault(&s.UnlinkMainMessage, "The main identity cannot be unlinked.")
	setDefault(&s.UnlinkUnknownMessage, "The user does not have this identity.")
	setDefault(&s.UnownedMessage, "User to be acted on does not match subject in bearer token.")
	setDefault(&s.GitHubIdentityUserID, "number")
}

func (s *Settings) managementChoices() []settingChoice {
	return []settingChoice{
		{"id_token_alg", s.IDTokenAlg, []string{"RS256", "HS256"}},
		{"client_grant_subject_type", s.ClientGrantSubjectType, []string{"kept", "client"}},
		{"patch_enabled_clients", s.PatchEnabledClients, []string{"refused", "accepted"}},
		{"my_account_api", s.MyAccountAPI, []string{"creatable", "dashboard"}},
		{"link_again", s.LinkAgain, []string{"refused", "accepted"}},
		{"link_primary_with_identities", s.LinkPrimaryWithIdentities, []string{"refused", "accepted"}},
		{"link_connected_accounts", s.LinkConnectedAccounts, []string{"gone", "moved"}},
		{"github_identity_user_id", s.GitHubIdentityUserID, []string{"number", "string"}},
	}
}

func (s *Settings) checkFactors() error {
	for _, name := range s.MFAFactors {
		if find(factors, func(f factor) bool { return f.name == name }) == nil {
			return fmt.Errorf("settings: mfa_factors: there is no factor %q", name)
		}
	}
	return nil
}
