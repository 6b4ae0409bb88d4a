package auth0test_test

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// withActions adds Actions whose functions are given.
func withActions(actions ...auth0test.Action) func(*auth0test.Config) {
	return func(cfg *auth0test.Config) { cfg.Actions = append(cfg.Actions, actions...) }
}

type (
	event = *auth0test.PostLoginEvent
	api   = *auth0test.PostLoginAPI
)

func TestActionsSeeTheLogin(t *testing.T) {
	var seen []auth0test.PostLoginEvent
	look := func(e event, _ api) { seen = append(seen, *e) }
	s := tenant(t, withActions(auth0test.Action{
		Name: "look", Secrets: map[string]string{"KEY": "{tenant}"}, Configuration: map[string]string{"WORD": "w"}, OnExecutePostLogin: look,
	}), func(cfg *auth0test.Config) {
		cfg.Users[0].Authenticators = []auth0test.Authenticator{{}}
		cfg.Clients[2].ClientMetadata = map[string]any{"team": "x"}
	})
	b := newBrowser(t)
	q := b.login(s, "alice", "scope", "openid link_account read:calendar", "ui_locales", "de en", "acr_values", "a b", "ext-x", "1", "prompt", "login")
	if scope := redeem(t, s, q.Get("code")).JSON["scope"]; scope != "openid read:calendar" {
		t.Errorf("a scope of no API is in the token: %v", scope)
	}
	b.login(s, "nobody", "prompt", "none") // Actions run with a session too
	if len(seen) != 2 {
		t.Fatalf("the Action ran %d times", len(seen))
	}
	e := seen[0]
	for what, got := range map[string][2]any{
		"client":        {e.Client.ClientID + e.Client.Name + fmt.Sprint(e.Client.Metadata), "demo-agentDemo agentmap[team:x]"},
		"connection":    {e.Connection.Name + e.Connection.Strategy, "Username-Password-Authenticationauth0"},
		"methods":       {fmt.Sprint(len(e.Authentication.Methods)) + e.Authentication.Methods[0].Name, "1pwd"},
		"hostname":      {"http://" + e.Request.Hostname, s.URL},
		"IP":            {e.Request.IP, "127.0.0.1"},
		"query":         {e.Request.Query.Get("ext-x"), "1"},
		"protocol":      {e.Transaction.Protocol + fmt.Sprint(e.Transaction.ResponseType), "oidc-basic-profile[code]"},
		"scopes":        {fmt.Sprint(e.Transaction.RequestedScopes), "[openid link_account read:calendar]"},
		"redirect":      {e.Transaction.RedirectURI + e.Transaction.State, agentBack + "st"},
		"locale":        {e.Transaction.Locale + fmt.Sprint(e.Transaction.ACRValues, e.Transaction.Prompt), "de[a b] [login]"},
		"user":          {e.User.UserID + e.User.Email, "auth0|alicealice@example.com"},
		"factors":       {fmt.Sprint(e.User.EnrolledFactors), "[otp]"},
		"user's secret": {e.User.Password + fmt.Sprint(e.User.Authenticators), "[]"},
		"secrets":       {e.Secrets["KEY"] + e.Configuration["WORD"], s.URL + "w"},
	} {
		if got[0] != got[1] {
			t.Errorf("%s: %v, want %v", what, got[0], got[1])
		}
	}
	if e.Session.ID == "" || seen[1].Session.ID != e.Session.ID {
		t.Errorf("sessions %q, %q", e.Session.ID, seen[1].Session.ID)
	}
}

func TestADeniedLoginEndsAtTheCallback(t *testing.T) {
	ran := 0
	s := tenant(t, withActions(
		auth0test.Action{Name: "deny", OnExecutePostLogin: func(_ event, a api) { a.Deny("not on Sundays") }},
		auth0test.Action{Name: "after", OnExecutePostLogin: func(event, api) { ran++ }},
	))
	q := newBrowser(t).login(s, "alice")
	if q.Get("error") != "access_denied" || q.Get("error_description") != "not on Sundays" || q.Get("state") != "st" || q.Has("code") || ran != 0 {
		t.Errorf("%v, %d further Actions", q, ran)
	}
}

// away sends people to elsewhere, and notes what comes back.
func away(back *[]url.Values) auth0test.Action {
	return auth0test.Action{
		Name:                "away",
		OnExecutePostLogin:  func(_ event, a api) { a.SendUserTo("https://elsewhere.example/?a=1", url.Values{"b": {"2"}}) },
		OnContinuePostLogin: func(e event, _ api) { *back = append(*back, e.Request.Query, e.Request.Body) },
	}
}

func TestAnActionSendsAwayAndGoesOnAtContinue(t *testing.T) {
	var back []url.Values
	order := []string{}
	note := func(name string) auth0test.Action {
		return auth0test.Action{Name: name, OnExecutePostLogin: func(event, api) { order = append(order, name) }}
	}
	s := tenant(t, withActions(note("first"), away(&back), note("last")))
	b := newBrowser(t)
	q := values("response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack, "scope", "openid", "state", "st")
	leave := func() url.Values {
		page, at := b.open(s.URL + "/authorize?" + q.Encode() + "&prompt=login")
		_, at = b.follow(b.submit(page, at, values("username", "alice@example.com", "password", "alice-password")), at, "https://elsewhere.example/")
		u, err := url.Parse(at)
		if err != nil || u.Query().Get("a") != "1" || u.Query().Get("b") != "2" || u.Query().Get("state") == "" || u.Query().Get("state") == "st" {
			t.Fatalf("sent to %s", at)
		}
		return u.Query()
	}
	state := leave().Get("state")
	if !slices.Equal(order, []string{"first"}) {
		t.Errorf("ran before: %v", order)
	}
	for name, lost := range map[string]answer{
		"without the state": b.get(s.URL + "/continue"),
		"with another":      b.get(s.URL + "/continue?state=x"),
		"another browser":   newBrowser(t).get(s.URL + "/continue?state=" + state),
	} {
		if lost.Status != 400 || !strings.Contains(lost.Body, "invalid_request") {
			t.Errorf("%s: %d", name, lost.Status)
		}
	}
	_, end := b.open(s.URL+"/continue?c=3&state="+state, agentBack)
	if u, _ := url.Parse(end); u.Query().Get("code") == "" || u.Query().Get("state") != "st" || back[0].Get("c") != "3" {
		t.Errorf("%s, with %v", end, back)
	}
	if !slices.Equal(order, []string{"first", "last"}) {
		t.Errorf("ran in all: %v", order)
	}
	if a := b.get(s.URL + "/continue?state=" + state); a.Status != 400 {
		t.Errorf("a state works twice: %d", a.Status)
	}
	form := values("token", "t", "state", leave().Get("state"))
	posted := do(t, b.c, request(t, http.MethodPost, s.URL+"/continue", "application/x-www-form-urlencoded", form.Encode()))
	if !strings.HasPrefix(posted.Header.Get("Location"), agentBack+"?code=") || back[3].Get("token") != "t" {
		t.Errorf("POST: %d %s, with %v", posted.Status, posted.Header.Get("Location"), back)
	}
	if q := b.login(s, "nobody", "prompt", "none"); q.Get("error") != "interaction_required" {
		t.Errorf("silently: %v", q)
	}
}

func TestAUserWhoIsGoneMeanwhileIsNotLoggedIn(t *testing.T) {
	var back []url.Values
	s := tenant(t, withActions(away(&back)))
	b := newBrowser(t)
	q := values("response_type", "code", "client_id", "demo-agent", "redirect_uri", agentBack, "scope", "openid")
	page, at := b.open(s.URL + "/authorize?" + q.Encode())
	_, at = b.follow(b.submit(page, at, values("username", "alice@example.com", "password", "alice-password")), at, "https://elsewhere.example/")
	u, _ := url.Parse(at)
	if a := call(t, s, scopedToken(t, s, "", "delete:users"), http.MethodDelete, "/users/auth0%7Calice", ""); a.Status != 204 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	_, end := b.open(s.URL+"/continue?state="+u.Query().Get("state"), agentBack)
	if !strings.HasPrefix(end, agentBack+"?error=access_denied&") || len(back) > 0 {
		t.Errorf("%s; the Action went on: %v", end, back)
	}
}

func TestOnlyActionsThatExistAreTaken(t *testing.T) {
	for _, actions := range [][]auth0test.Action{{{Name: "x"}}, {{Name: "account-linking"}, {Name: "account-linking"}}, {{}}} {
		cfg := auth0test.Seeds()
		cfg.Actions = actions
		if _, err := auth0test.New(cfg, auth0test.URLs{Issuer: "http://t.test", Google: "http://g.test", GitHub: "http://h.test"}); err == nil {
			t.Errorf("accepted: %+v", actions)
		}
	}
}
