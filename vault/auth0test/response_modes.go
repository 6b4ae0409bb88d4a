package auth0test

import (
	"net/http"
	"net/url"
	"slices"
)

// How an answer gets from /authorize to the application.
const (
	modeQuery      = "query"
	modeFormPost   = "form_post"   // posted by the browser
	modeWebMessage = "web_message" // told to the window that opened this one, or frames it
)

// mayTell: Auth0 tells a window something only if its origin is among the client's
// allowed web origins.
func (c *Client) mayTell(origin string) bool {
	return slices.ContainsFunc(c.WebOrigins, func(allowed string) bool { return allowsOrigin(allowed, origin) })
}

// answer sends the application its answer, with the state.
func (tx *transaction) answer(w http.ResponseWriter, r *http.Request, q url.Values) {
	if tx.state != "" {
		q.Set("state", tx.state)
	}
	switch tx.mode {
	case modeFormPost:
		writeScriptPage(w, formPostPage, answerView{Target: tx.redirectURI, Answer: flat(q)}, "")
	case modeWebMessage:
		origin := originOf(tx.redirectURI)
		writeScriptPage(w, webMessagePage, answerView{Target: origin, Answer: flat(q)}, origin)
	default:
		redirect(w, r, tx.redirectURI, q)
	}
}

func flat(q url.Values) map[string]string {
	out := map[string]string{}
	for name := range q {
		out[name] = q.Get(name)
	}
	return out
}
