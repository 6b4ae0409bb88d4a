package linkflow

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/auth0/go-auth0/management"
)

// user is a user of the tenant.
type user struct {
	id         string
	email      string
	verified   bool       // the address is; one that Auth0 says nothing about is not
	identities []identity // the first one is the primary one, which gave the user its id
	metadata   []string   // the members of user_metadata and app_metadata, by their names
	factor     bool       // a second one is enrolled, says the profile; others may be too
}

// identity is one way of a user to sign in.
type identity struct {
	provider   string // with id, what the Management API calls it
	id         string
	connection string
	name       string // what people call it: an e-mail address, a nickname; may be empty
}

// sub is what the identity's user would be called if it were alone.
func (i identity) sub() string { return i.provider + "|" + i.id }

// splitSub takes a user's id apart. What follows the provider may have the same
// sign in it.
func splitSub(sub string) (provider, id string) {
	provider, id, _ = strings.Cut(sub, "|")
	return provider, id
}

// has tells whether the identity whose user was called sub is one of u's.
func (u *user) has(sub string) bool {
	return slices.ContainsFunc(u.identities, func(i identity) bool { return i.sub() == sub })
}

// read returns a user. One's own takes read:current_user, others read:users.
func (u *users) read(ctx context.Context, id string) (*user, error) {
	var got *management.User
	err := u.ask(func() (err error) {
		got, err = u.api.User.Read(ctx, id)
		return err
	})
	if err != nil {
		return nil, err
	}
	read, err := newUser(got)
	if err == nil && read.id != id {
		return nil, errSenseless
	}
	return read, err
}

// enrolled tells whether a user has a second factor, confirmed. It takes what read
// takes.
func (u *users) enrolled(ctx context.Context, id string) (bool, error) {
	var got []*management.UserEnrollment
	err := u.ask(func() (err error) {
		got, err = u.api.User.Enrollments(ctx, id)
		return err
	})
	return slices.ContainsFunc(got, func(e *management.UserEnrollment) bool { return e.GetStatus() != "pending" }), err
}

// byEmail returns the users with that very address. It takes read:users.
func (u *users) byEmail(ctx context.Context, email string) ([]*user, error) {
	var got []*management.User
	err := u.ask(func() (err error) {
		got, err = u.api.User.ListByEmail(ctx, email)
		return err
	})
	if err != nil {
		return nil, err
	}
	var found []*user
	for _, one := range got {
		read, err := newUser(one)
		if err != nil {
			return nil, err
		}
		if read.email == email {
			found = append(found, read)
		}
	}
	return found, nil
}

// linkWith makes the user whom idToken is about an identity of the user primary.
// Auth0 verifies both sides: it takes update:current_user_identities of the
// primary, and an ID token of the other one that the same application got.
func (u *users) linkWith(ctx context.Context, primary, idToken string) error {
	own := *u
	own.secrets = append(slices.Clone(u.secrets), idToken)
	return own.link(ctx, primary, &management.UserIdentityLink{LinkWith: &idToken})
}

// linkUser makes the user secondary an identity of the user primary, on our word
// alone. It takes update:users.
func (u *users) linkUser(ctx context.Context, primary, secondary string) error {
	provider, id := splitSub(secondary)
	return u.link(ctx, primary, &management.UserIdentityLink{Provider: &provider, UserID: &id})
}

func (u *users) link(ctx context.Context, primary string, what *management.UserIdentityLink) error {
	return u.ask(func() error {
		_, err := u.api.User.Link(ctx, primary, what)
		return err
	})
}

// unlink makes an identity a user of its own. It takes update:users, or of the
// user itself update:current_user_identities.
func (u *users) unlink(ctx context.Context, primary string, i identity) error {
	return u.ask(func() error {
		_, err := u.api.User.Unlink(ctx, primary, i.provider, i.id)
		return err
	})
}

// newUser takes from an answer what we go by. A user without identities, or an
// identity without a name of its own, makes no sense.
func newUser(got *management.User) (*user, error) {
	if got.GetID() == "" || len(got.Identities) == 0 {
		return nil, errSenseless
	}
	u := &user{id: got.GetID(), email: got.GetEmail(), verified: got.GetEmailVerified(), factor: len(got.GetMultifactor()) > 0}
	for i, from := range got.Identities {
		if from.GetProvider() == "" || from.GetUserID() == "" || from.GetConnection() == "" {
			return nil, errSenseless
		}
		name := nameOf(from.GetProfileData())
		if name == "" && i == 0 {
			name = got.GetEmail()
		}
		u.identities = append(u.identities, identity{from.GetProvider(), from.GetUserID(), from.GetConnection(), clean(name, maxShown)})
	}
	for kind, members := range map[string]map[string]any{"user_metadata": got.GetUserMetadata(), "app_metadata": got.GetAppMetadata()} {
		for member := range maps.Keys(members) {
			u.metadata = append(u.metadata, clean(kind+"."+member, maxShown))
		}
	}
	slices.Sort(u.metadata)
	return u, nil
}

// nameOf is what people call the profile of an identity.
func nameOf(profile map[string]any) string {
	for _, member := range []string{"email", "username", "nickname", "name"} {
		if name, _ := profile[member].(string); name != "" {
			return name
		}
	}
	return ""
}
