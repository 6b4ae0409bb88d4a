package auth0test

import (
	"embed"
	"html/template"
	"net/http"
	"net/url"
)

//go:embed pages/*.html
var pageFiles embed.FS

var (
	loginPage   = parsePage("login.html")
	consentPage = parsePage("consent.html")
	factorPage  = parsePage("factor.html")
	logoutPage  = parsePage("logout.html")
	errorPage   = parsePage("error.html")

	formPostPage   = parsePage("form_post.html")
	webMessagePage = parsePage("web_message.html")
)

func parsePage(name string) *template.Template {
	return template.Must(template.ParseFS(pageFiles, "pages/layout.html", "pages/"+name)).Lookup(name)
}

type loginView struct {
	State, Client, Username, Error string

	Password    bool // a database is among the connections
	Connections []connectionView
}

type connectionView struct {
	Name, Label string
}

type consentView struct {
	Provider, Action, Request, Client string
	Accounts                          []accountView
	Scopes                            []string
	Prompt                            string // as it was asked for
}

type accountView struct {
	ID, Email string
}

type factorView struct {
	State, Error string
	Types        []string // whose code counts
	NewCode      string   // of the authenticator to enrol; empty at a challenge
}

type logoutView struct {
	Fields url.Values // the request, to be made again
}

// An answerView is an answer of /authorize that a script passes on.
type answerView struct {
	Target string // a URL, or the origin of the window that may hear it
	Answer map[string]string
	Nonce  string // of the script
}

type errorView struct {
	Title, Text string
}

// showError is Auth0's page for what must not go to a callback.
func showError(w http.ResponseWriter, status int, title, text string) {
	note(w, "%s", text)
	writePage(w, status, errorPage, errorView{Title: title, Text: text})
}
