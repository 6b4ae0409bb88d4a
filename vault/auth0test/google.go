package auth0test

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

const googleAPI = "https://www.googleapis.com/auth/"

// google is what the Google stand-in has besides accounts and tokens.
type google struct {
	*provider
	mu     sync.Mutex
	events map[string][]map[string]any // by account
}

// newGoogle builds the Google stand-in: refresh tokens only with
// access_type=offline, good many times; scopes space-separated, the short
// names spelled out in answers.
func newGoogle(t *Tenant, base string) *provider {
	g := &google{events: map[string][]map[string]any{}}
	g.provider = &provider{
		strategy: "google-oauth2", name: "Google", base: base,
		authorizePath: "/o/oauth2/v2/auth", tokenPath: "/token",
		lifetime: 3599 * time.Second, digits: 21,
		accessPrefix: "ya29.", refreshPrefix: "1//0", separator: " ",
		spelling: googleSpelling, refuse: refuseGoogleToken,
	}
	g.provider.readProfile = g.readProfile
	calendar := []string{googleAPI + "calendar", googleAPI + "calendar.readonly"}
	events := []string{googleAPI + "calendar.events", googleAPI + "calendar.events.readonly"}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /calendar/v3/calendars/primary/events", g.api(g.listEvents, slices.Concat(calendar, events)...))
	mux.HandleFunc("POST /calendar/v3/calendars/primary/events", g.api(g.addEvent, googleAPI+"calendar", googleAPI+"calendar.events"))
	mux.HandleFunc("GET /calendar/v3/users/me/calendarList", g.api(g.listCalendars, calendar...))
	mux.HandleFunc("GET /oauth2/v3/userinfo", g.api(g.userInfo, "openid", googleAPI+"userinfo.email", googleAPI+"userinfo.profile"))
	mux.HandleFunc("POST /revoke", g.serveRevoke)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		googleError(w, http.StatusNotFound, "NOT_FOUND", "notFound", "Not Found")
	})
	return g.start(t, mux)
}

// googleSpelling: Google answers the short names in full.
func googleSpelling(scopes []string) []string {
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

// api wraps an API method with the check for a token that has any of scopes.
func (g *google) api(serve func(http.ResponseWriter, *http.Request, *providerGrant), scopes ...string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		grant := g.check(bearer(r, "Bearer"))
		if grant == nil {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="invalid_token"`)
			googleError(w, http.StatusUnauthorized, "UNAUTHENTICATED", "authError",
				"Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or other "+
					"valid authentication credential. See https://developers.google.com/identity/sign-in/web/devconsole-project.")
			return
		}
		if len(intersect(scopes, grant.scopes)) == 0 {
			w.Header().Set("WWW-Authenticate", `Bearer realm="https://accounts.google.com/", error="insufficient_scope", scope="`+
				strings.Join(scopes, " ")+`"`)
			googleError(w, http.StatusForbidden, "PERMISSION_DENIED", "insufficientPermissions",
				"Request had insufficient authentication scopes.")
			return
		}
		serve(w, r, grant)
	}
}

// googleError is the error envelope of Google's APIs.
func googleError(w http.ResponseWriter, status int, name, reason, message string) {
	writeJSON(w, status, map[string]any{"error": map[string]any{
		"code": status, "message": message, "status": name,
		"errors": []map[string]string{{"message": message, "domain": "global", "reason": reason}},
	}})
}

func refuseGoogleToken(w http.ResponseWriter, status int, code, description string) {
	writeJSON(w, status, map[string]string{"error": code, "error_description": description})
}

func (g *google) listEvents(w http.ResponseWriter, _ *http.Request, grant *providerGrant) {
	g.mu.Lock()
	items := append([]map[string]any{{
		"kind": "calendar#event", "id": "welcome0000000000", "status": "confirmed", "summary": "Coffee with the team",
		"start": map[string]string{"date": "2030-01-02"}, "end": map[string]string{"date": "2030-01-03"},
	}}, g.events[grant.account]...)
	g.mu.Unlock()
	writeJSON(w, http.StatusOK, map[string]any{
		"kind": "calendar#events", "summary": g.email(grant.account), "timeZone": "UTC", "accessRole": "owner", "items": items,
	})
}

func (g *google) addEvent(w http.ResponseWriter, r *http.Request, grant *providerGrant) {
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
	g.mu.Lock()
	g.events[grant.account] = append(g.events[grant.account], event)
	g.mu.Unlock()
	writeJSON(w, http.StatusOK, event)
}

func (g *google) listCalendars(w http.ResponseWriter, _ *http.Request, grant *providerGrant) {
	email := g.email(grant.account)
	writeJSON(w, http.StatusOK, map[string]any{
		"kind": "calendar#calendarList",
		"items": []map[string]any{{
			"kind": "calendar#calendarListEntry", "id": email, "summary": email,
			"timeZone": "UTC", "accessRole": "owner", "primary": true,
		}},
	})
}

// userInfo tells what the scopes allow; the subject is the provider user id.
func (g *google) userInfo(w http.ResponseWriter, _ *http.Request, grant *providerGrant) {
	person := g.personOf(grant.account)
	out := map[string]any{"sub": grant.account}
	if slices.Contains(grant.scopes, googleAPI+"userinfo.email") {
		out["email"], out["email_verified"] = person.Email, *person.EmailVerified
	}
	if slices.Contains(grant.scopes, googleAPI+"userinfo.profile") {
		out["name"], out["given_name"] = person.Name, person.Name
	}
	writeJSON(w, http.StatusOK, out)
}

// readProfile is Auth0 asking who logged in.
func (g *google) readProfile(ctx context.Context, token string) (profile, error) {
	var info struct {
		Sub, Name, Email string
		EmailVerified    bool   `json:"email_verified"`
		GivenName        string `json:"given_name"`
	}
	err := g.getJSON(ctx, "/oauth2/v3/userinfo", token, &info)
	return profile{
		id: info.Sub, email: info.Email, emailVerified: info.EmailVerified,
		name: info.Name, nickname: localPart(info.Email), givenName: info.GivenName,
	}, err
}

func (g *google) serveRevoke(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil || !g.revoke(r.Form.Get("token")) {
		refuseGoogleToken(w, http.StatusBadRequest, "invalid_token", "Token expired or revoked")
		return
	}
	writeJSON(w, http.StatusOK, struct{}{})
}
