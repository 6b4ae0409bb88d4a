package auth0test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const githubDocs = "https://docs.github.com/rest"

// newGitHub builds the GitHub stand-in: a GitHub App with expiring user
// tokens, so every grant has a refresh token, good once; scopes are
// comma-separated. With the setting github_oauth_app it is a classic OAuth App
// without refresh tokens.
func newGitHub(t *Tenant, base string) *provider {
	p := &provider{
		strategy: "github", name: "GitHub", base: base,
		authorizePath: "/login/oauth/authorize", tokenPath: "/login/oauth/access_token",
		lifetime: 8 * time.Hour, digits: 8, rotates: true, alwaysOffline: true,
		accessPrefix: "ghu_", refreshPrefix: "ghr_", separator: ",",
		spelling: func(scopes []string) []string { return intersect(scopes, scopes) },
		refuse:   refuseGitHubToken,
	}
	p.readProfile = p.readGitHubProfile
	mux := http.NewServeMux()
	mux.HandleFunc("GET /user", p.githubAPI(p.githubUser))
	mux.HandleFunc("GET /user/emails", p.githubAPI(p.githubEmails, githubEmailScopes...))
	mux.HandleFunc("GET /user/repos", p.githubAPI(p.githubRepos, "repo", "public_repo"))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { githubError(w, http.StatusNotFound, "Not Found") })
	return p.start(t, mux)
}

// githubAPI wraps an API method with the check for a token that has any of
// scopes; without scopes any token will do.
func (p *provider) githubAPI(serve func(http.ResponseWriter, *providerGrant), scopes ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "" {
			githubError(w, http.StatusUnauthorized, "Requires authentication")
			return
		}
		grant := p.check(bearer(r, "Bearer", "token"))
		if grant == nil {
			githubError(w, http.StatusUnauthorized, "Bad credentials")
			return
		}
		w.Header().Set("X-Oauth-Scopes", strings.Join(grant.scopes, ", "))
		w.Header().Set("X-Accepted-Oauth-Scopes", strings.Join(scopes, ", "))
		if len(scopes) > 0 && len(intersect(scopes, grant.scopes)) == 0 {
			githubError(w, http.StatusForbidden, "Resource not accessible by integration")
			return
		}
		serve(w, grant)
	}
}

func githubError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{
		"message": message, "documentation_url": githubDocs, "status": strconv.Itoa(status),
	})
}

// refuseGitHubToken: GitHub's token endpoint answers errors with status 200.
func refuseGitHubToken(w http.ResponseWriter, _ int, code, description string) {
	switch code {
	case "invalid_client":
		code, description = "incorrect_client_credentials", "The client_id and/or client_secret passed are incorrect."
	case "invalid_grant":
		code, description = "bad_refresh_token", "The refresh token or code passed is incorrect or expired."
	}
	writeJSON(w, http.StatusOK, map[string]string{"error": code, "error_description": description})
}

func (p *provider) githubUser(w http.ResponseWriter, grant *providerGrant) {
	out := p.githubOwner(grant)
	out["type"], out["name"], out["email"] = "User", p.personOf(grant.account).Name, nil
	if len(intersect(githubEmailScopes, grant.scopes)) > 0 {
		out["email"] = p.email(grant.account)
	}
	writeJSON(w, http.StatusOK, out)
}

// githubEmails: only this method tells whether an address is verified.
func (p *provider) githubEmails(w http.ResponseWriter, grant *providerGrant) {
	person := p.personOf(grant.account)
	writeJSON(w, http.StatusOK, []githubEmail{{person.Email, true, *person.EmailVerified, "private"}})
}

type githubEmail struct {
	Email      string `json:"email"`
	Primary    bool   `json:"primary"`
	Verified   bool   `json:"verified"`
	Visibility string `json:"visibility"`
}

var githubEmailScopes = []string{"user:email", "user"}

// readGitHubProfile is Auth0 asking who logged in, and where it may for their
// addresses.
func (p *provider) readGitHubProfile(ctx context.Context, token string) (profile, error) {
	var user struct {
		ID          json.RawMessage
		Login, Name string
	}
	if err := p.getJSON(ctx, "/user", token, &user); err != nil {
		return profile{}, err
	}
	who := profile{id: strings.Trim(string(user.ID), `"`), nickname: user.Login, name: user.Name}
	var emails []githubEmail
	if p.getJSON(ctx, "/user/emails", token, &emails) == nil {
		if e := find(emails, func(e githubEmail) bool { return e.Primary }); e != nil {
			who.email, who.emailVerified = e.Email, e.Verified
		}
	}
	return who, nil
}

// githubOwner shows an account: its id as a number when it is one.
func (p *provider) githubOwner(grant *providerGrant) map[string]any {
	login, _, _ := strings.Cut(p.email(grant.account), "@")
	out := map[string]any{"login": login, "id": any(grant.account)}
	if n, err := strconv.ParseInt(grant.account, 10, 64); err == nil {
		out["id"] = n
	}
	return out
}

func (p *provider) githubRepos(w http.ResponseWriter, grant *providerGrant) {
	owner := p.githubOwner(grant)
	var out []map[string]any
	for i, name := range []string{"hello-world", "notes"} {
		private := i > 0
		if private && !slices.Contains(grant.scopes, "repo") {
			continue
		}
		out = append(out, map[string]any{
			"id": 1000 + i, "name": name, "full_name": owner["login"].(string) + "/" + name,
			"private": private, "owner": owner,
		})
	}
	writeJSON(w, http.StatusOK, out)
}
