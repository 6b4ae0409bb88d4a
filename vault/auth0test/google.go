package auth0test

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"
)

const googleAPI = "https://www.googleapis.com/auth/"

// google issues refresh tokens with access_type=offline only, good many times;
// scopes are space-separated, the short names spelled out in answers.
var google = standIn{
	name: "Google", strategy: "google-oauth2", openID: true,
	authorizePath: "/o/oauth2/v2/auth", tokenPath: "/token",
	lifetime: 3599 * time.Second, accessPrefix: "ya29.", refreshPrefix: "1//0", separator: " ",
	seed: func() Connection {
		return Connection{ID: "con_googleoauth2seed", Name: "google-oauth2", Options: map[string]any{
			"email": true, "profile": true, "offline_access": true, "scope": []any{"openid", "email", "profile"},
		}}
	},
	complete:    completeGoogle,
	account:     func(_ string, sum [sha256.Size]byte) string { return digits(21, sum) },
	loginScopes: func(*Connection) []string { return []string{"openid", "email", "profile"} },
	askOffline:  func(q url.Values) { q.Set("access_type", "offline") },
	offline: func(p *provider, asked url.Values, consented bool) bool {
		return asked.Get("access_type") == "offline" &&
			(consented || p.tenant.cfg().Settings.GoogleRefreshToken != "consent")
	},
	spelling: googleSpelling,
	answer:   answerToken, refuse: refuseToken,
	api: googleMethods, deny: denyGoogleToken,
	readProfile: readGoogleProfile,
}

// completeGoogle fills in what Auth0 adds to a connection's options.
func completeGoogle(options map[string]any) map[string]any {
	sent := googleScopes(options, "profile", "calendar")
	options = withDefaults(options, map[string]any{"email": true, "profile": true})
	options["scope"] = sent
	options["scope"] = googleScopes(options, "email", "profile")
	return options
}

// googleScopes are the scopes that are there, and those that the switches among
// the options stand for.
func googleScopes(options map[string]any, switches ...string) []any {
	scopes, _ := options["scope"].([]any)
	for _, name := range switches {
		scope := any(name)
		if name == "calendar" {
			scope = "https://www.googleapis.com/auth/calendar"
		}
		if on, _ := options[name].(bool); on && !slices.Contains(scopes, scope) {
			scopes = append(scopes, scope)
		}
	}
	return scopes
}

func googleMethods(p *provider, mux *http.ServeMux) {
	c := &calendars{provider: p, events: map[string][]map[string]any{}}
	calendar := []string{googleAPI + "calendar", googleAPI + "calendar.readonly"}
	events := []string{googleAPI + "calendar.events", googleAPI + "calendar.events.readonly"}
	mux.HandleFunc("GET /calendar/v3/calendars/primary/events", p.method(c.listEvents, slices.Concat(calendar, events)...))
	mux.HandleFunc("POST /calendar/v3/calendars/primary/events", p.method(c.addEvent, googleAPI+"calendar", googleAPI+"calendar.events"))
	mux.HandleFunc("GET /calendar/v3/users/me/calendarList", p.method(c.list, calendar...))
	mux.HandleFunc("GET /oauth2/v3/userinfo", p.method(p.googleUserInfo, "openid", googleAPI+"userinfo.email", googleAPI+"userinfo.profile"))
	mux.HandleFunc("POST /revoke", p.serveGoogleRevoke)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		googleError(w, http.StatusNotFound, "NOT_FOUND", "notFound", "Not Found")
	})
}

// googleSpelling: Google answers the short names in full.
func googleSpelling(_ string, scopes []string) []string {
	out := make([]string, 0, len(scopes))
	for _, s := range scopes {
		if s == "email" || s == "profile" {
			s = googleAPI + "userinfo." + s
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func denyGoogleToken(w http.ResponseWriter, err error, _ *providerGrant, scopes []string) {
	const challenge = `Bearer realm="https://accounts.google.com/", error=`
	if errors.Is(err, errTokenScope) {
		w.Header().Set("WWW-Authenticate", challenge+`"insufficient_scope", scope="`+strings.Join(scopes, " ")+`"`)
		googleError(w, http.StatusForbidden, "PERMISSION_DENIED", "insufficientPermissions",
			"Request had insufficient authentication scopes.")
		return
	}
	w.Header().Set("WWW-Authenticate", challenge+`"invalid_token"`)
	googleError(w, http.StatusUnauthorized, "UNAUTHENTICATED", "authError",
		"Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "+
			"valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.")
}

// googleError is the error envelope of Google's APIs.
func googleError(w http.ResponseWriter, status int, name, reason, message string) {
	writeJSON(w, status, map[string]any{"error": map[string]any{
		"code": status, "message": message, "status": name,
		"errors": []map[string]string{{"message": message, "domain": "global", "reason": reason}},
	}})
}

// calendars hold the events that were added.
type calendars struct {
	*provider
	mu     sync.Mutex
	events map[string][]map[string]any // by account
}

func (c *calendars) listEvents(w http.ResponseWriter, _ *http.Request, grant *providerGrant) {
	c.mu.Lock()
	items := append([]map[string]any{{
		"kind": "calendar#event", "id": "welcome0000000000", "status": "confirmed", "summary": "Coffee with the team",
		"start": map[string]string{"date": "2030-01-02"}, "end": map[string]string{"date": "2030-01-03"},
	}}, c.events[grant.account]...)
	c.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{
		"kind": "calendar#events", "summary": c.email(grant.account), "timeZone": "UTC", "accessRole": "owner", "items": items,
	})
}

func (c *calendars) addEvent(w http.ResponseWriter, r *http.Request, grant *providerGrant) {
	var event map[string]any
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBody)).Decode(&event); err != nil || event == nil {
		googleError(w, http.StatusBadRequest, "INVALID_ARGUMENT", "parseError", "Parse Error")
		return
	}
	if event["start"] == nil || event["end"] == nil {
		googleError(w, http.StatusBadRequest, "INVALID_ARGUMENT", "required", "Missing start or end time.")
		return
	}
	event["kind"], event["id"], event["status"] = "calendar#event", strings.ToLower(randomAlnum(26)), "confirmed"
	c.mu.Lock()
	c.events[grant.account] = append(c.events[grant.account], event)
	c.mu.Unlock()
	writeJSON(w, http.StatusOK, event)
}

func (c *calendars) list(w http.ResponseWriter, _ *http.Request, grant *providerGrant) {
	email := c.email(grant.account)
	writeJSON(w, http.StatusOK, map[string]any{
		"kind": "calendar#calendarList",
		"items": []map[string]any{{
			"kind": "calendar#calendarListEntry", "id": email, "summary": email,
			"timeZone": "UTC", "accessRole": "owner", "primary": true,
		}},
	})
}

// googleUserInfo tells what the scopes allow; the subject is the provider user id.
func (p *provider) googleUserInfo(w http.ResponseWriter, _ *http.Request, grant *providerGrant) {
	person := p.personOf(grant.account)
	out := map[string]any{"sub": grant.account}
	if slices.Contains(grant.scopes, googleAPI+"userinfo.email") {
		out["email"], out["email_verified"] = person.Email, *person.EmailVerified
	}
	if slices.Contains(grant.scopes, googleAPI+"userinfo.profile") {
		out["name"], out["given_name"] = person.Name, person.Name
	}
	writeJSON(w, http.StatusOK, out)
}

func readGoogleProfile(ctx context.Context, p *provider, token string) (profile, error) {
	var info struct {
		Sub, Name, Email string
		EmailVerified    bool   `json:"email_verified"`
		GivenName        string `json:"given_name"`
	}
	err := p.getJSON(ctx, "/oauth2/v3/userinfo", token, &info)
	return profile{
		id: info.Sub, email: info.Email, emailVerified: info.EmailVerified,
		name: info.Name, nickname: localPart(info.Email), givenName: info.GivenName,
	}, err
}

func (p *provider) serveGoogleRevoke(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil || !p.revoke(r.Form.Get("token")) {
		refuseToken(w, http.StatusBadRequest, "invalid_token", "Token expired or revoked")
		return
	}
	writeJSON(w, http.StatusOK, struct{}{})
}
