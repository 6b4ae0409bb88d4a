package auth0test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// serveConsentPage shows who is asked, by whom, for what. Choosing the account
// is the login: these accounts have no passwords.
func (p *provider) serveConsentPage(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	id, target := q.Get("client_id"), q.Get("redirect_uri")
	if !p.knows(id, "") || target != p.callback {
		writePage(w, http.StatusBadRequest, errorPage, errorView{
			Title: "Access blocked: invalid request", Text: "redirect_uri_mismatch or unknown client_id",
		})
		return
	}
	if kind := q.Get("response_type"); kind != "code" && (p.strategy != "github" || kind != "") {
		redirect(w, r, target, url.Values{"error": {"unsupported_response_type"}, "state": q["state"]})
		return
	}
	prompt := strings.Fields(q.Get("prompt"))
	if p.strategy != "github" && slices.Contains(prompt, "none") {
		// Choosing the account takes a page. GitHub does not know the word.
		redirect(w, r, target, url.Values{"error": {"interaction_required"}, "state": q["state"]})
		return
	}
	request := &providerRequest{
		clientID: id, redirectURI: target, state: q.Get("state"),
		scopes: splitScopes(q.Get("scope")), prompt: prompt,
		offline: p.alwaysOffline || q.Get("access_type") == "offline",
	}
	key := randomID(32)
	p.mu.Lock()
	p.pending[key] = request
	p.mu.Unlock()
	writePage(w, http.StatusOK, consentPage, consentView{
		Provider: p.name, Action: p.authorizePath, Request: key, Client: id,
		Accounts: p.knownAccounts(q.Get("login_hint")), Scopes: request.scopes, Prompt: strings.Join(prompt, " "),
	})
}

// serveConsent takes the decision: account, the scopes left ticked, and allow
// or deny.
func (p *provider) serveConsent(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil || crossSite(r) {
		writePage(w, http.StatusBadRequest, errorPage, errorView{Title: "Bad request", Text: "This form cannot be used."})
		return
	}
	p.mu.Lock()
	request := p.pending[r.PostForm.Get("request")]
	delete(p.pending, r.PostForm.Get("request"))
	p.mu.Unlock()
	account := r.PostForm.Get("account")
	allow := r.PostForm.Get("action") == "allow"
	if request == nil || (allow && account == "") {
		writePage(w, http.StatusBadRequest, errorPage, errorView{Title: "Bad request", Text: "This page has expired. Start again."})
		return
	}
	answer := url.Values{"state": {request.state}}
	if request.state == "" {
		answer = url.Values{}
	}
	if !allow {
		answer.Set("error", "access_denied")
		redirect(w, r, request.redirectURI, answer)
		return
	}
	scopes := intersect(r.PostForm["scope"], request.scopes)
	answer.Set("code", p.newCode(request, account, scopes))
	redirect(w, r, request.redirectURI, answer)
}

func (p *provider) newCode(request *providerRequest, account string, scopes []string) string {
	code := "4/" + randomID(40)
	g := &providerGrant{
		consenter: consenter{account, request.clientID},
		scopes:    p.spelling(scopes), offline: request.offline,
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	shown := p.consent(g, p.spelling(request.scopes)) || slices.Contains(request.prompt, "consent")
	if p.strategy != "github" && p.tenant.cfg().Settings.GoogleRefreshToken == "consent" && !shown {
		g.offline = false
	}
	p.codes[code] = &providerCode{grant: g, redirectURI: request.redirectURI, expires: time.Now().Add(10 * time.Minute)}
	return code
}

// serveToken is the provider's token endpoint.
func (p *provider) serveToken(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		p.refuse(w, http.StatusBadRequest, "invalid_request", "The body cannot be read.")
		return
	}
	form, oerr := parseParams(r.Header.Get("Content-Type"), body)
	if oerr != nil {
		p.refuse(w, http.StatusBadRequest, oerr.Code, oerr.Description)
		return
	}
	if form["client_secret"] == "" || !p.knows(form["client_id"], form["client_secret"]) {
		p.refuse(w, http.StatusUnauthorized, "invalid_client", "The OAuth client was not found.")
		return
	}
	minted, ok := p.redeemAtProvider(form)
	if !ok {
		p.refuse(w, http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked.")
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	if p.strategy == "github" && !strings.Contains(r.Header.Get("Accept"), "json") {
		writeForm(w, minted)
		return
	}
	if p.strategy != "github" {
		minted.TokenType = "Bearer"
	}
	writeJSON(w, http.StatusOK, minted)
}

// redeemAtProvider turns a code or a refresh token into an access token.
func (p *provider) redeemAtProvider(form params) (mintedToken, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if form["grant_type"] == grantRefresh {
		g := p.refresh[form["refresh_token"]]
		if g == nil || g.revoked {
			return mintedToken{}, false
		}
		return p.mint(g, form["refresh_token"]), true
	}
	code := p.codes[form["code"]]
	delete(p.codes, form["code"])
	if code == nil || time.Now().After(code.expires) ||
		form["client_id"] != code.grant.clientID || form["redirect_uri"] != code.redirectURI {
		return mintedToken{}, false
	}
	return p.mint(code.grant, ""), true
}

// writeForm is GitHub's answer to a client that does not ask for JSON.
func writeForm(w http.ResponseWriter, m mintedToken) {
	data, _ := json.Marshal(m)
	var members map[string]any
	dec := json.NewDecoder(strings.NewReader(string(data)))
	dec.UseNumber()
	_ = dec.Decode(&members)
	form := url.Values{}
	for name, value := range members {
		switch v := value.(type) {
		case string:
			form.Set(name, v)
		case json.Number:
			form.Set(name, v.String())
		}
	}
	w.Header().Set("Content-Type", "application/x-www-form-urlencoded; charset=utf-8")
	_, _ = w.Write([]byte(form.Encode()))
}

// crossSite reports a request that a browser made for another site.
func crossSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return true
	}
	return false
}
