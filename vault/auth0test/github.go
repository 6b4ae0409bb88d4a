package auth0test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

const githubDocs = "https://docs.github.com/rest"

// github is a GitHub App with expiring user tokens, so every grant has a refresh
// token, good once; scopes are comma-separated. With the setting github_oauth_app
// it is a classic OAuth App without refresh tokens.
var github = standIn{
	name: "GitHub", strategy: "github",
	authorizePath: "/login/oauth/authorize", tokenPath: "/login/oauth/access_token", schemes: []string{"token"},
	lifetime: 8 * time.Hour, accessPrefix: "ghu_", refreshPrefix: "ghr_",
	rotates: true, once: true, separator: ",", scopeHeaders: ", ",
	seed: func() Connection {
		return Connection{ID: "con_githubseed000000", Name: "github", Options: map[string]any{
			"email": true, "scope": []any{"read:user"},
		}}
	},
	account: func(_ string, sum [sha256.Size]byte) string { return digits(8, sum) },
	loginScopes: func(c *Connection) []string {
		if on, _ := c.Options["email"].(bool); on {
			return []string{"user:email"}
		}
		return nil
	},
	offline:  func(p *provider, _ url.Values, _ bool) bool { return !p.tenant.cfg().Settings.GitHubOAuthApp },
	spelling: asSpelled,
	answer:   answerGitHubToken, refuse: refuseGitHubToken,
	api: githubMethods, deny: denyGitHubToken,
	readProfile: readGitHubProfile,
}

func githubMethods(p *provider, mux *http.ServeMux) {
	mux.HandleFunc("GET /user", p.method(p.githubUser))
	mux.HandleFunc("GET /user/emails", p.method(p.githubEmails, githubEmailScopes...))
	mux.HandleFunc("GET /user/repos", p.method(p.githubRepos, "repo", "public_repo"))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { githubError(w, http.StatusNotFound, "Not Found") })
}

func denyGitHubToken(w http.ResponseWriter, err error, _ *providerGrant, _ []string) {
	switch {
	case errors.Is(err, errTokenMissing):
		githubError(w, http.StatusUnauthorized, "Requires authentication")
	case errors.Is(err, errTokenScope):
		githubError(w, http.StatusForbidden, "Resource not accessible by integration")
	default:
		githubError(w, http.StatusUnauthorized, "Bad credentials")
	}
}

func githubError(w http.ResponseWriter, status int, message string) {
	writeJSON(w, status, map[string]string{
		"message": message, "documentation_url": githubDocs, "status": strconv.Itoa(status),
	})
}

// answerGitHubToken: a form unless the client asks for JSON.
func answerGitHubToken(w http.ResponseWriter, r *http.Request, _ *providerGrant, m mintedToken) {
	m.TokenType = "bearer"
	if strings.Contains(r.Header.Get("Accept"), "json") {
		writeJSON(w, http.StatusOK, m)
		return
	}
	form := url.Values{"access_token": {m.AccessToken}, "scope": {m.Scope}, "token_type": {m.TokenType}}
	if m.RefreshToken != "" {
		form.Set("refresh_token", m.RefreshToken)
	}
	form.Set("expires_in", strconv.FormatInt(m.ExpiresIn, 10))
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	_, _ = w.Write([]byte(form.Encode()))
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

func (p *provider) githubUser(w http.ResponseWriter, _ *http.Request, grant *providerGrant) {
	out := p.githubOwner(grant)
	out["type"], out["name"], out["email"] = "User", p.personOf(grant.account).Name, nil
	if len(intersect(githubEmailScopes, grant.scopes)) > 0 {
		out["email"] = p.email(grant.account)
	}
	writeJSON(w, http.StatusOK, out)
}

// githubEmails: only this method tells whether an address is verified.
func (p *provider) githubEmails(w http.ResponseWriter, _ *http.Request, grant *providerGrant) {
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
func readGitHubProfile(ctx context.Context, p *provider, token string) (profile, error) {
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

func (p *provider) githubRepos(w http.ResponseWriter, r *http.Request, grant *providerGrant) {
	owner := p.githubOwner(grant)
	out := []map[string]any{}
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
	writeJSON(w, http.StatusOK, p.githubPage(w, r, out))
}

// githubPage picks the page that a request is about, 30 items if it does not say how
// many. The header Link names the others, by GitHub's own address.
func (p *provider) githubPage(w http.ResponseWriter, r *http.Request, all []map[string]any) []map[string]any {
	q := r.URL.Query()
	number := func(name string, otherwise int) int {
		if n, err := strconv.Atoi(q.Get(name)); err == nil && n > 0 {
			return n
		}
		return otherwise
	}
	size, page := min(number("per_page", 30), 100), number("page", 1)
	pages := max(1, (len(all)+size-1)/size)
	var links []string
	link := func(to int, rel string) {
		q.Set("page", strconv.Itoa(to))
		links = append(links, "<"+p.base+r.URL.Path+"?"+q.Encode()+`>; rel="`+rel+`"`)
	}
	if page > 1 {
		link(min(page-1, pages), "prev")
	}
	if page < pages {
		link(page+1, "next")
		link(pages, "last")
	}
	if page > 1 {
		link(1, "first")
	}
	if len(links) > 0 {
		w.Header().Set("Link", strings.Join(links, ", "))
	}
	if page > pages {
		return []map[string]any{}
	}
	return all[(page-1)*size : min(page*size, len(all))]
}
