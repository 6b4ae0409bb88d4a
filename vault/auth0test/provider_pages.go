package auth0test

import (
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
	if kind := q.Get("response_type"); kind != "code" && (p.openID || kind != "") {
		redirect(w, r, target, url.Values{"error": {"unsupported_response_type"}, "state": q["state"]})
		return
	}
	prompt := strings.Fields(q.Get("prompt"))
	if p.openID && slices.Contains(prompt, "none") { // choosing the account takes a page
		redirect(w, r, target, url.Values{"error": {"interaction_required"}, "state": q["state"]})
		return
	}
	request := &providerRequest{asked: q, scopes: noOffline(splitScopes(q.Get("scope"))), prompt: prompt}
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
	answer := url.Values{}
	if state := request.asked.Get("state"); state != "" {
		answer.Set("state", state)
	}
	if allow {
		answer.Set("code", p.newCode(request, account, intersect(r.PostForm["scope"], request.scopes)))
	} else {
		answer.Set("error", "access_denied")
	}
	redirect(w, r, request.asked.Get("redirect_uri"), answer)
}

func (p *provider) newCode(request *providerRequest, account string, scopes []string) string {
	code := "4/" + randomID(40)
	g := &providerGrant{
		consenter: consenter{account, request.asked.Get("client_id")}, scopes: p.spelling(account, scopes),
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	consented := p.consent(g, p.spelling(account, request.scopes)) || slices.Contains(request.prompt, "consent")
	g.offline = p.offline(p, request.asked, consented)
	p.codes[code] = &providerCode{
		grant: g, redirectURI: request.asked.Get("redirect_uri"), expires: time.Now().Add(10 * time.Minute),
	}
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
	g, minted := p.redeemAtProvider(form)
	if g == nil {
		p.refuse(w, http.StatusBadRequest, "invalid_grant", "Token has been expired or revoked.")
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	p.answer(w, r, g, minted)
}

// redeemAtProvider turns a code or a refresh token into an access token. Without a
// grant it is refused.
func (p *provider) redeemAtProvider(form params) (*providerGrant, mintedToken) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if form["grant_type"] == grantRefresh {
		g := p.refresh[form["refresh_token"]]
		if g == nil || g.revoked {
			return nil, mintedToken{}
		}
		return g, p.mint(g, form["refresh_token"])
	}
	code := p.codes[form["code"]]
	delete(p.codes, form["code"])
	if code == nil || time.Now().After(code.expires) ||
		form["client_id"] != code.grant.clientID || form["redirect_uri"] != code.redirectURI {
		return nil, mintedToken{}
	}
	return code.grant, p.mint(code.grant, "")
}

// answerToken is RFC 6749 §5.1, and refuseToken §5.2.
func answerToken(w http.ResponseWriter, _ *http.Request, _ *providerGrant, m mintedToken) {
	writeJSON(w, http.StatusOK, m)
}

func refuseToken(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, map[string]string{"error": code, "error_description": description})
}

// crossSite reports a request that a browser made for another site.
func crossSite(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "cross-site", "same-site":
		return true
	}
	return false
}
