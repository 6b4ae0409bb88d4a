package auth0test

import (
	"slices"
	"strings"
	"time"
)

// Identity is one way for a user to log in. The first one of a user is the
// primary: the user's own id. Those that were linked follow.
type Identity struct {
	Connection string `json:"connection"`
	Provider   string `json:"provider"`
	// UserID is the provider's id, without the provider's name in front.
	UserID   string `json:"user_id"`
	IsSocial bool   `json:"isSocial"`
	// ProfileData is there once the user has had several identities. The
	// primary's is made from the user's own profile.
	ProfileData *ProfileData `json:"profileData,omitempty"`
	// AccessToken and RefreshToken are the provider's. The Management API shows
	// them to tokens with read:user_idp_tokens only.
	AccessToken  string `json:"access_token,omitempty"`
	RefreshToken string `json:"refresh_token,omitempty"`
	// Password is a linked database user's, who still logs in with it. No answer
	// has it.
	Password string `json:"password,omitempty"`
}

// ProfileData is what an identity's provider said about the person.
type ProfileData struct {
	Email         string `json:"email,omitempty"`
	EmailVerified *bool  `json:"email_verified,omitempty"`
	Username      string `json:"username,omitempty"`
	Name          string `json:"name,omitempty"`
	Nickname      string `json:"nickname,omitempty"`
	GivenName     string `json:"given_name,omitempty"`
	FamilyName    string `json:"family_name,omitempty"`
	Picture       string `json:"picture,omitempty"`
}

// databaseProvider is the provider of users with a password.
const databaseProvider = "auth0"

// splitUserID cuts at the first bar: what follows may have more of them.
func splitUserID(id string) (provider, userID string) {
	provider, userID, _ = strings.Cut(id, "|")
	return provider, userID
}

// fillIdentities puts the primary identity first, made from the user's id
// where it is missing.
func (u *User) fillIdentities(cfg *Config) {
	provider, id := splitUserID(u.UserID)
	if len(u.Identities) == 0 || !u.Identities[0].is(provider, id) {
		primary := Identity{
			Connection: cfg.connectionOf(provider), Provider: provider, UserID: id,
			IsSocial: provider != databaseProvider,
		}
		u.Identities = append([]Identity{primary}, u.Identities...)
	}
	if primary := &u.Identities[0]; len(u.Identities) > 1 || primary.ProfileData != nil {
		primary.ProfileData = u.profile()
	}
}

// connectionOf is the connection that a provider's users come through.
func (cfg *Config) connectionOf(provider string) string {
	if c := find(cfg.Connections, func(c Connection) bool { return c.Strategy == provider }); c != nil {
		return c.Name
	}
	return provider
}

func (i *Identity) is(provider, userID string) bool {
	return i.Provider == provider && i.UserID == userID
}

// identity finds a user's identity, -1 when the user has it not.
func (u *User) identity(provider, userID string) int {
	return slices.IndexFunc(u.Identities, func(i Identity) bool { return i.is(provider, userID) })
}

// userByIdentity finds whose identity it is.
func (cfg *Config) userByIdentity(provider, userID string) *User {
	return find(cfg.Users, func(u User) bool { return u.identity(provider, userID) >= 0 })
}

// profile is what an identity tells of the user; a name that is the e-mail
// address in place of one is no name.
func (u *User) profile() *ProfileData {
	p := &ProfileData{
		Email: u.Email, EmailVerified: new(u.EmailVerified), Username: u.Username, Name: u.Name,
		Nickname: u.Nickname, GivenName: u.GivenName, FamilyName: u.FamilyName, Picture: u.Picture,
	}
	if p.Name == u.Email {
		p.Name = ""
	}
	return p
}

// password is what proves a login name: the user's own, or that of a database
// user who was linked. Empty means that nothing does.
func (u *User) password(login string) string {
	if u.called(login) {
		return u.Password
	}
	for _, i := range u.Identities {
		if i.Password != "" {
			if other := i.standalone(); other.called(login) {
				return other.Password
			}
		}
	}
	return ""
}

// linkIdentity makes the user that an identity belongs to an identity of the
// primary user: the secondary user's record is gone with its metadata, its
// sessions and its refresh tokens. The error is a *managementError.
func (t *Tenant) linkIdentity(primary, provider, userID string) error {
	gone := ""
	err := t.change(func(cfg *Config) error {
		user := cfg.user(primary)
		if user == nil {
			return cfg.Settings.unknownPrimary()
		}
		other := cfg.userByIdentity(provider, userID)
		if err := cfg.Settings.mayLink(user, other, provider, userID); err != nil {
			return err
		}
		if other == user { // linked before
			return nil
		}
		linked := slices.Clone(other.Identities)
		linked[0].ProfileData, linked[0].Password = other.profile(), other.Password
		user.Identities = append(user.Identities, linked...)
		user.UpdatedAt = timestamp(time.Now())
		gone = other.UserID
		cfg.removeUser(gone)
		return nil
	})
	if err == nil && gone != "" {
		t.forgetUser(gone, primary)
	}
	return err
}

// mayLink is Auth0's refusals. The caller found the identity's owner.
func (s *Settings) mayLink(user, owner *User, provider, userID string) error {
	switch {
	case owner == nil:
		return errNoIdentity
	case user.Identities[0].is(provider, userID):
		return badRequest("", "%s", s.LinkSelfMessage)
	case owner == user && s.LinkAgain == "accepted":
		return nil
	case owner == user, !owner.Identities[0].is(provider, userID):
		return conflict("", "%s", s.LinkConflictMessage)
	case len(owner.Identities) > 1 && s.LinkPrimaryWithIdentities == "refused":
		return conflict("", "%s", s.LinkConflictMessage)
	}
	return nil
}

// unlinkIdentity makes an identity a user of its own again, with a fresh
// profile and no metadata. The primary identity stays. The error is a
// *managementError.
func (t *Tenant) unlinkIdentity(primary, provider, userID string) error {
	return t.change(func(cfg *Config) error {
		user := cfg.user(primary)
		if user == nil {
			return cfg.Settings.unknownPrimary()
		}
		at := user.identity(provider, userID)
		switch {
		case at == 0:
			return badRequest("", "%s", cfg.Settings.UnlinkMainMessage)
		case at < 0:
			return badRequest("", "%s", cfg.Settings.UnlinkUnknownMessage)
		}
		now := timestamp(time.Now())
		fresh := user.Identities[at].standalone()
		fresh.CreatedAt, fresh.UpdatedAt, user.UpdatedAt = now, now, now
		user.Identities = slices.Delete(user.Identities, at, at+1)
		cfg.Users = append(cfg.Users, fresh)
		return nil
	})
}

// standalone is the user that an identity becomes when it is unlinked.
func (i Identity) standalone() User {
	u := User{UserID: i.Provider + "|" + i.UserID, Password: i.Password}
	if p := i.ProfileData; p != nil {
		u.Email, u.Username, u.Name, u.Nickname = p.Email, p.Username, p.Name, p.Nickname
		u.GivenName, u.FamilyName, u.Picture = p.GivenName, p.FamilyName, p.Picture
		u.EmailVerified = p.EmailVerified != nil && *p.EmailVerified
	}
	i.ProfileData, i.Password = nil, ""
	u.Identities = []Identity{i}
	return u
}
