package linkflow

import (
	"cmp"
	"net/http"
	"strings"
	"unicode"
)

// product is what the pages call us.
const product = "Token Vault"

// message is a page that only says something.
type message struct {
	status      int
	Title, Text string
}

// The messages, in the order in which a person may meet them.
var (
	pageNotFound = message{
		http.StatusNotFound, "Page not found",
		"There is nothing at this address.",
	}
	pageNotAllowed = message{
		http.StatusMethodNotAllowed, "This does not work here",
		"This address cannot be used in this way.",
	}
	pageBadLink = message{
		http.StatusBadRequest, "This link does not work",
		"It may be incomplete. Copy the whole link, or ask the agent for a new one.",
	}
	pageExpired = message{
		http.StatusGone, "This link has expired",
		"Links work for ten minutes. Ask the agent for a new one.",
	}
	pageBadReturn = message{
		http.StatusBadRequest, "This link does not work",
		"The address to return to is not one that this service may send you to. Nothing was changed.",
	}
	pageForeign = message{
		http.StatusForbidden, "Please open the link again",
		"This request did not come from a page that we gave to this browser, so nothing was done. If cookies are blocked, allow them for this site.",
	}
	pageBadRequest = message{
		http.StatusBadRequest, "This request makes no sense",
		"Nothing was changed. Open the link again.",
	}
	pageNoFlow = message{
		http.StatusBadRequest, "Please open the link again",
		"This browser has finished this step already, did not begin it, or took too long. If you were just told that the account is connected, all is well, and you can close this page.",
	}
	pageNotSignedIn = message{
		http.StatusForbidden, "You are not signed in",
		"The sign-in ended before it was complete. Nothing was changed. You can open the link again.",
	}
	pageWrongPerson = message{
		http.StatusForbidden, "This link is for somebody else",
		"You signed in with another account than the one this link was made for. Nothing was connected. If the link is yours, open it again and choose to sign in with another account.",
	}
	pageDeclined = message{
		http.StatusOK, "Nothing was connected",
		"You declined. The agent will be told so when it asks. You can close this page.",
	}
	pageDone = message{
		http.StatusOK, "The account is connected",
		"The agent can go on now. You can close this page.",
	}
	pageTooLittle = message{
		http.StatusOK, "Some permissions are missing",
		"The account is connected, but with less than the agent needs. It can ask you again with a new link.",
	}
	pageNotConnected = message{
		http.StatusBadGateway, "The account was not connected",
		"The connection could not be completed. You can open the link again.",
	}
	pageAuth0Fails = message{
		http.StatusBadGateway, "The sign-in service does not work",
		"It refused or failed to do what was needed. Nothing was changed. Try again, and if it goes on, tell the operator of this service.",
	}
	pageBroken = message{
		http.StatusInternalServerError, "Something is wrong on our side",
		"Nothing was changed. Please tell the operator of this service.",
	}
)

// providers are connections as people call them: the names that Auth0 gives
// them by default.
var providers = map[string]string{
	"google-oauth2": "Google",
	"github":        "GitHub",
	"windowslive":   "Microsoft",
	"slack":         "Slack",
	"box":           "Box",
	"dropbox":       "Dropbox",
	"salesforce":    "Salesforce",
}

const googleScope = "https://www.googleapis.com/auth/"

// scopeWords are scopes in words, for those that many agents ask for.
var scopeWords = map[string]string{
	"openid":                          "Know who you are there",
	"profile":                         "See your name and picture",
	"email":                           "See your e-mail address",
	"offline_access":                  "Keep access until you withdraw it",
	googleScope + "userinfo.email":    "See your e-mail address",
	googleScope + "userinfo.profile":  "See your name and picture",
	googleScope + "calendar":          "See, change, share and delete your calendars",
	googleScope + "calendar.readonly": "See your calendars and their events",
	googleScope + "calendar.events":   "See and change events in your calendars",
	googleScope + "calendar.freebusy": "See when you are free or busy",
	googleScope + "gmail.readonly":    "Read your e-mail",
	googleScope + "gmail.send":        "Send e-mail as you",
	googleScope + "gmail.modify":      "Read, write and sort your e-mail",
	googleScope + "drive":             "See, change and delete all your files in Drive",
	googleScope + "drive.readonly":    "See all your files in Drive",
	googleScope + "drive.file":        "See and change the files in Drive that you use with it",
	googleScope + "contacts.readonly": "See your contacts",
	"read:user":                       "See your profile",
	"user:email":                      "See your e-mail addresses",
	"repo":                            "See and change all your repositories, also private ones",
	"public_repo":                     "See and change your public repositories",
	"read:org":                        "See your organizations",
	"gist":                            "Write gists",
	"workflow":                        "Change GitHub Actions workflows",
}

// How much of a text from outside is shown on a page, and told to the operator,
// in characters.
const (
	maxShown = 120
	maxTold  = 400
)

// clean makes text from outside fit to be shown or logged: without control
// characters, without invisible ones and those that turn the direction of
// writing, and not too long. Templates escape it on top of that.
func clean(s string, most int) string {
	var b strings.Builder
	n := 0
	for _, r := range s {
		if !unicode.IsPrint(r) || r == unicode.ReplacementChar {
			continue
		}
		if n++; n > most {
			return b.String() + "…"
		}
		b.WriteRune(r)
	}
	return b.String()
}

// requestText is what a ticket asks for, in words.
type requestText struct {
	Provider   string
	Connection string
	Account    string // empty if any will do
	Agent      string
	Verified   bool // the operator vouches for the agent's name
	Scopes     []scopeText
}

// scopeText is a scope in words, or by its name where there are none.
type scopeText struct{ Words, Name string }

func (f *Flow) request(t ticket) requestText {
	name, verified := f.clientNames[t.Agent]
	text := requestText{
		Provider:   clean(cmp.Or(providers[t.Connection], t.Connection), maxShown),
		Connection: clean(t.Connection, maxShown),
		Account:    clean(t.LoginHint, maxShown),
		Agent:      clean(cmp.Or(name, t.Agent, "an agent without a name"), maxShown),
		Verified:   verified,
	}
	for _, s := range t.Scopes {
		text.Scopes = append(text.Scopes, scopeText{scopeWords[s], clean(s, maxShown)})
	}
	return text
}
