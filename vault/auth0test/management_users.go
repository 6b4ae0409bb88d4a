package auth0test

import (
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
)

// What is not there.
var (
	errNoUser     = inexistent("user", "The user does not exist.")
	errNoIdentity = badRequest("", "Linking an inexistent identity is not allowed.")
)

// unknownPrimary is the answer to linking to nobody.
func (s *Settings) unknownPrimary() error {
	if s.LinkUnknownPrimaryStatus == http.StatusBadRequest {
		return errNoIdentity
	}
	return errNoUser
}

// userView is a user as the API shows it.
func (t *Tenant) userView(u *User, r *managementRequest) map[string]any {
	view := objectOf(u)
	for _, private := range []string{"password", "permissions", "connected_accounts", "authenticators"} {
		delete(view, private)
	}
	view["email_verified"] = u.EmailVerified
	view["identities"] = t.identityViews(u, r)
	if u.Picture == "" {
		view["picture"] = t.base + "/avatars/default.png"
	}
	return view
}

// getUser is GET …/users/{id}.
func (t *Tenant) getUser(r *managementRequest) (reply, error) {
	u := t.cfg().user(r.PathValue("id"))
	if u == nil {
		return reply{}, errNoUser
	}
	return reply{http.StatusOK, selectFields(t.userView(u, r), r)}, nil
}

// usersByEmail is GET …/users-by-email: exact, as the address is stored.
func (t *Tenant) usersByEmail(r *managementRequest) (reply, error) {
	q, err := r.query("email", "fields", "include_fields")
	if err != nil {
		return reply{}, err
	}
	if q.Get("email") == "" {
		return reply{}, invalidQuery("Missing required property: email")
	}
	out := []any{}
	for _, u := range t.cfg().Users {
		if u.Email == q.Get("email") {
			out = append(out, selectFields(t.userView(&u, r), r))
		}
	}
	return reply{http.StatusOK, out}, nil
}

// listUsers is GET …/users.
func (t *Tenant) listUsers(r *managementRequest) (reply, error) {
	page, err := r.page(numbered, fields, "q", "search_engine")
	if err != nil {
		return reply{}, err
	}
	q := r.URL.Query()
	if engine := q.Get("search_engine"); engine != "" && engine != "v3" {
		return reply{}, invalidQuery("No enum match for: %s' on property 'search_engine", engine)
	}
	match, err := userQuery(q.Get("q"))
	if err != nil {
		return reply{}, err
	}
	list := []any{}
	for _, u := range t.cfg().Users {
		if match(u) {
			list = append(list, t.userView(&u, r))
		}
	}
	return page.reply("users", list, r), nil
}

// queryTerm is a term of the search syntax that this tenant understands.
var queryTerm = regexp.MustCompile(`^(email|username|user_id|identities\.user_id):"([^"]*)"$`)

// userQuery understands terms of the syntax of search engine v3 joined by AND.
func userQuery(q string) (func(User) bool, error) {
	match := func(User) bool { return true }
	if q == "" {
		return match, nil
	}
	for term := range strings.SplitSeq(q, " AND ") {
		m := queryTerm.FindStringSubmatch(strings.TrimSpace(term))
		if m == nil {
			return nil, badRequest("invalid_query_string", "Failed to parse query: %s", q)
		}
		before := match
		match = func(u User) bool { return before(u) && u.hasTerm(m[1], m[2]) }
	}
	return match, nil
}

func (u User) hasTerm(name, value string) bool {
	switch name {
	case "email":
		return strings.EqualFold(u.Email, value)
	case "username":
		return u.Username == value
	case "user_id":
		return u.UserID == value
	default:
		return slices.ContainsFunc(u.Identities, func(i Identity) bool { return i.UserID == value })
	}
}

// userBody is what POST and PATCH take.
type userBody struct {
	Connection    string         `json:"connection"`
	ClientID      string         `json:"client_id"` // for e-mails that this tenant does not send
	UserID        string         `json:"user_id"`
	Email         string         `json:"email"`
	EmailVerified bool           `json:"email_verified"`
	VerifyEmail   bool           `json:"verify_email"`
	Username      string         `json:"username"`
	Name          string         `json:"name"`
	Nickname      string         `json:"nickname"`
	GivenName     string         `json:"given_name"`
	FamilyName    string         `json:"family_name"`
	Picture       string         `json:"picture"`
	Password      string         `json:"password"`
	Blocked       *bool          `json:"blocked"`
	UserMetadata  map[string]any `json:"user_metadata"`
	AppMetadata   map[string]any `json:"app_metadata"`
}

// createUser is POST …/users: a user of a database.
func (t *Tenant) createUser(r *managementRequest) (reply, error) {
	var body userBody
	given, err := r.readObject(&body, "client_id")
	if err == nil {
		err = require(given, "connection")
	}
	if err != nil {
		return reply{}, err
	}
	var u User
	err = t.change(func(cfg *Config) error {
		if u, err = cfg.newUser(body); err != nil {
			return err
		}
		taken := cfg.userByLogin(u.Email)
		if cfg.user(u.UserID) != nil || (taken != nil && taken.password(u.Email) != "") {
			return conflict("auth0_idp_error", "The user already exists.")
		}
		cfg.Users = append(cfg.Users, u)
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusCreated, t.userView(t.cfg().user(u.UserID), r)}, nil
}

// newUser is the user that a body describes.
func (cfg *Config) newUser(body userBody) (User, error) {
	c := cfg.connection(body.Connection)
	switch {
	case c == nil:
		return User{}, badRequest("inexistent_connection", "The connection does not exist.")
	case c.Strategy != databaseProvider:
		return User{}, badRequest("operation_not_supported", "Users of this connection are created by their logins.")
	case body.Email == "" || body.Password == "":
		return User{}, invalidBody("Missing required property: email or password")
	}
	id := body.UserID
	if id == "" {
		id = hex.EncodeToString(randomBytes(12))
	}
	return User{
		UserID: databaseProvider + "|" + id, Email: strings.ToLower(body.Email), EmailVerified: body.EmailVerified,
		Username: body.Username, Name: body.Name, Nickname: body.Nickname, GivenName: body.GivenName,
		FamilyName: body.FamilyName, Picture: body.Picture, Password: body.Password, Blocked: body.Blocked,
		UserMetadata: body.UserMetadata, AppMetadata: body.AppMetadata,
		Identities: []Identity{{Connection: c.Name, Provider: databaseProvider, UserID: id}},
	}, nil
}

// patchUser is PATCH …/users/{id}. Metadata is merged, member by member.
func (t *Tenant) patchUser(r *managementRequest) (reply, error) {
	var body userBody
	given, err := r.readObject(&body, "user_id")
	if err != nil {
		return reply{}, err
	}
	for name := range given {
		if r.own && name != "user_metadata" {
			return reply{}, newManagementError(http.StatusForbidden, "insufficient_scope",
				"Insufficient scope, expected any of: update:users,update:users_app_metadata")
		}
	}
	var changed User
	err = t.change(func(cfg *Config) error {
		u := cfg.user(r.PathValue("id"))
		if u == nil {
			return errNoUser
		}
		u.apply(body, given)
		u.UpdatedAt = timestamp(time.Now())
		changed = *u
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return reply{http.StatusOK, t.userView(&changed, r)}, nil
}

// apply takes over the members that were given.
func (u *User) apply(body userBody, given map[string]json.RawMessage) {
	for name, set := range map[string]func(){
		"email":          func() { u.Email = body.Email },
		"email_verified": func() { u.EmailVerified = body.EmailVerified },
		"username":       func() { u.Username = body.Username },
		"name":           func() { u.Name = body.Name },
		"nickname":       func() { u.Nickname = body.Nickname },
		"given_name":     func() { u.GivenName = body.GivenName },
		"family_name":    func() { u.FamilyName = body.FamilyName },
		"picture":        func() { u.Picture = body.Picture },
		"blocked":        func() { u.Blocked = body.Blocked },
		"password":       func() { u.Password, u.LastPasswordReset = body.Password, timestamp(time.Now()) },
		"user_metadata":  func() { u.UserMetadata = merged(u.UserMetadata, body.UserMetadata) },
		"app_metadata":   func() { u.AppMetadata = merged(u.AppMetadata, body.AppMetadata) },
	} {
		if _, ok := given[name]; ok {
			set()
		}
	}
}

// merged is metadata with changes at its top level; null removes.
func merged(old, changes map[string]any) map[string]any {
	out := maps.Clone(old)
	if out == nil || len(changes) == 0 { // an empty object empties it
		out = map[string]any{}
	}
	override(out, changes)
	return out
}

// deleteUser is DELETE …/users/{id}: with all identities, and not an error
// when there is no such user.
func (t *Tenant) deleteUser(r *managementRequest) (reply, error) {
	id := r.PathValue("id")
	err := t.change(func(cfg *Config) error {
		cfg.removeUser(id)
		return nil
	})
	t.forgetUser(id, "")
	return reply{http.StatusNoContent, nil}, err
}
