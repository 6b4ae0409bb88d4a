package auth0test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// linkBody is the body of POST …/identities: a user named by provider and id,
// or the ID token of one.
type linkBody struct {
	Provider     string `json:"provider"`
	UserID       any    `json:"user_id"` // some SDKs send a number
	ConnectionID string `json:"connection_id"`
	LinkWith     string `json:"link_with"`
}

// postIdentity is POST …/users/{id}/identities.
func (t *Tenant) postIdentity(r *managementRequest) (reply, error) {
	var body linkBody
	given, err := r.readObject(&body)
	if err != nil {
		return reply{}, err
	}
	provider, userID, err := t.linkTarget(r, body, len(given))
	if err != nil {
		return reply{}, err
	}
	if err := t.linkIdentity(r.PathValue("id"), provider, userID); err != nil {
		return reply{}, err
	}
	return t.identitiesReply(http.StatusCreated, r)
}

// linkTarget finds out whom a body means. A person's own token proves the
// second account by its ID token, never by its name.
func (t *Tenant) linkTarget(r *managementRequest, body linkBody, members int) (provider, userID string, err error) {
	if body.LinkWith != "" {
		if members > 1 {
			return "", "", invalidBody("link_with excludes the other properties")
		}
		sub, err := t.linkWith(body.LinkWith, r.client)
		if err != nil {
			return "", "", err
		}
		provider, userID := splitUserID(sub)
		return provider, userID, nil
	}
	if r.own {
		return "", "", invalidBody("Missing required property: link_with")
	}
	if body.Provider == "" {
		return "", "", invalidBody("Missing required property: provider")
	}
	switch id := body.UserID.(type) {
	case string:
		userID = id
	case float64:
		userID = strconv.FormatInt(int64(id), 10)
	}
	if userID == "" {
		return "", "", invalidBody("Missing required property: user_id")
	}
	userID = strings.TrimPrefix(userID, body.Provider+"|")
	return body.Provider, userID, t.cfg().checkConnectionID(body.ConnectionID, body.Provider, userID)
}

// checkConnectionID: it tells the databases of a tenant apart.
func (cfg *Config) checkConnectionID(id, provider, userID string) error {
	if id == "" {
		return nil
	}
	c := find(cfg.Connections, func(c Connection) bool { return c.ID == id })
	if c == nil {
		return badRequest("inexistent_connection", "The connection does not exist.")
	}
	u := cfg.userByIdentity(provider, userID)
	if u == nil || u.Identities[u.identity(provider, userID)].Connection != c.Name {
		return errNoIdentity
	}
	return nil
}

// linkWith verifies the second account's ID token: RS256, of this tenant, not
// expired, and made for the client that the caller's token was made for.
func (t *Tenant) linkWith(token, client string) (string, error) {
	if _, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.RS256}); err != nil {
		return "", badToken("Invalid token").because("link_with is no JWT that RS256 signed")
	}
	v, err := t.verifyToken(token)
	if err != nil {
		return "", badToken("Invalid token").because("link_with is %v", err)
	}
	// An access token names its API in aud, never a client.
	if client == "" || !slices.Equal(v.Audience, []string{client}) {
		return "", badToken("Invalid token").because("link_with is for %s, and the access token %s's", v.Audience, client)
	}
	return v.Subject, nil
}

// deleteIdentity is DELETE …/users/{id}/identities/{provider}/{user_id}.
func (t *Tenant) deleteIdentity(r *managementRequest) (reply, error) {
	if err := t.unlinkIdentity(r.PathValue("id"), r.PathValue("provider"), r.PathValue("user_id")); err != nil {
		return reply{}, err
	}
	return t.identitiesReply(http.StatusOK, r)
}

func (t *Tenant) identitiesReply(status int, r *managementRequest) (reply, error) {
	user := t.cfg().user(r.PathValue("id"))
	if user == nil { // deleted meanwhile
		return reply{}, errNoUser
	}
	return reply{status, t.identityViews(user, r)}, nil
}

// identityViews are a user's identities as the API shows them.
func (t *Tenant) identityViews(u *User, r *managementRequest) []map[string]any {
	out := make([]map[string]any, 0, len(u.Identities))
	for _, i := range u.Identities {
		i.Password = ""
		if !r.has("read:user_idp_tokens") {
			i.AccessToken, i.RefreshToken = "", ""
		}
		view := objectOf(i)
		if n, err := strconv.ParseInt(i.UserID, 10, 64); err == nil && i.Provider == "github" &&
			t.cfg().Settings.GitHubIdentityUserID == "number" {
			view["user_id"] = n
		}
		out = append(out, view)
	}
	return out
}
