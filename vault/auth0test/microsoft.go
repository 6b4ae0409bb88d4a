package auth0test

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// microsoft is Microsoft's sign-in for work and personal accounts, and Microsoft
// Graph. A refresh token takes the scope offline_access, which no answer has; each
// refresh brings a new one, and the old one stays good.
var microsoft = standIn{
	name: "Microsoft", strategy: "windowslive", extra: true, openID: true,
	authorizePath: "/common/oauth2/v2.0/authorize", tokenPath: "/common/oauth2/v2.0/token",
	lifetime: 3599 * time.Second, accessPrefix: "EwB", refreshPrefix: "M.C5", rotates: true, separator: " ",
	seed: func() Connection {
		return Connection{ID: "con_windowsliveseed0", Name: "windowslive", Options: map[string]any{
			"strategy_version": 2, "signin": true, "offline_access": true, "scope": []any{"User.Read"},
		}}
	},
	complete:    completeMicrosoft,
	account:     microsoftAccount,
	loginScopes: func(*Connection) []string { return []string{"openid", "email", "profile", "User.Read"} },
	askOffline:  func(q url.Values) { q.Set("scope", q.Get("scope")+" offline_access") },
	offline: func(_ *provider, asked url.Values, _ bool) bool {
		return slices.Contains(splitScopes(asked.Get("scope")), "offline_access")
	},
	spelling: microsoftSpelling,
	answer:   answerMicrosoftToken, refuse: refuseMicrosoftToken,
	api: graphMethods, deny: denyGraphToken,
	readProfile: readMicrosoftProfile,
}

// completeMicrosoft: the first version of the strategy asks for a scope of its own.
func completeMicrosoft(options map[string]any) map[string]any {
	scopes := []any{"wl.signin"}
	if options["strategy_version"] != nil {
		scopes = []any{}
	}
	return withDefaults(options, map[string]any{"signin": true, "scope": scopes})
}

// workAccount is the form of a work account's id; any other is a personal one's.
var workAccount = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

// microsoftAccount: Microsoft's own mail domains have personal accounts, all
// others are of organizations.
func microsoftAccount(email string, sum [sha256.Size]byte) string {
	_, domain, _ := strings.Cut(strings.ToLower(email), "@")
	id := hex.EncodeToString(sum[:16])
	if slices.Contains([]string{"outlook.com", "hotmail.com", "live.com", "msn.com"}, domain) {
		return id[:16]
	}
	return strings.Join([]string{id[:8], id[8:12], id[12:16], id[16:20], id[20:]}, "-")
}

const graphResource = "https://graph.microsoft.com/"

// graphScopes are scopes in Graph's own spelling; requests may use any case.
var graphScopes = []string{
	"User.Read", "User.ReadWrite", "User.ReadBasic.All", "Mail.Read", "Mail.ReadBasic", "Mail.ReadWrite", "Mail.Send",
	"Calendars.Read", "Calendars.ReadWrite", "Contacts.Read", "Contacts.ReadWrite", "Files.Read", "Files.ReadWrite",
	"Files.Read.All", "Files.ReadWrite.All", "Notes.Read", "Notes.Create", "Tasks.Read", "Tasks.ReadWrite",
}

// microsoftSpelling: whatever was asked, a work account's scopes of Graph are
// answered with Graph's address, a personal account's without.
func microsoftSpelling(account string, scopes []string) []string {
	out := make([]string, 0, len(scopes))
	for _, s := range scopes {
		bare := strings.TrimPrefix(s, graphResource)
		if i := slices.IndexFunc(graphScopes, func(g string) bool { return strings.EqualFold(g, bare) }); i >= 0 {
			bare = graphScopes[i]
		}
		if !strings.ContainsAny(bare, "/:") { // not another resource's
			s = bare
			if strings.Contains(bare, ".") && workAccount.MatchString(account) {
				s = graphResource + bare
			}
		}
		if !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

func answerMicrosoftToken(w http.ResponseWriter, _ *http.Request, _ *providerGrant, m mintedToken) {
	writeJSON(w, http.StatusOK, struct {
		mintedToken
		ExtExpiresIn int64 `json:"ext_expires_in"`
	}{m, m.ExpiresIn})
}

func refuseMicrosoftToken(w http.ResponseWriter, status int, code, description string) {
	number := map[string]int{"invalid_client": 7000215, "invalid_grant": 70000}[code]
	if number == 0 {
		number = 900144
	}
	writeJSON(w, status, map[string]any{
		"error": code, "error_description": "AADSTS" + strconv.Itoa(number) + ": " + description, "error_codes": []int{number},
		"timestamp": time.Now().UTC().Format("2006-01-02 15:04:05Z"), "trace_id": randomUUID(), "correlation_id": randomUUID(),
	})
}

func graphMethods(p *provider, mux *http.ServeMux) {
	mux.HandleFunc("GET /v1.0/me", p.method(p.graphMe, "User.Read", "User.ReadWrite"))
	mux.HandleFunc("GET /v1.0/me/messages", p.method(p.graphMessages, "Mail.Read", "Mail.ReadWrite", "Mail.ReadBasic"))
	mux.HandleFunc("POST /v1.0/me/sendMail", p.method(func(w http.ResponseWriter, _ *http.Request, _ *providerGrant) {
		w.WriteHeader(http.StatusAccepted) // and nobody gets it
	}, "Mail.Send"))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		segment := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
		graphError(w, http.StatusBadRequest, "BadRequest", "Resource not found for the segment '"+segment+"'.")
	})
}

// graphError is the error envelope of Microsoft Graph.
func graphError(w http.ResponseWriter, status int, code, message string) {
	id := randomUUID()
	w.Header().Set("Request-Id", id)
	w.Header().Set("Client-Request-Id", id)
	writeJSON(w, status, map[string]any{"error": map[string]any{
		"code": code, "message": message, "innerError": map[string]string{
			"date": time.Now().UTC().Format("2006-01-02T15:04:05"), "request-id": id, "client-request-id": id,
		},
	}})
}

func denyGraphToken(w http.ResponseWriter, err error, _ *providerGrant, scopes []string) {
	switch {
	case errors.Is(err, errTokenScope) && strings.HasPrefix(scopes[0], "Mail."):
		graphError(w, http.StatusForbidden, "ErrorAccessDenied", "Access is denied. Check credentials and try again.")
		return
	case errors.Is(err, errTokenScope):
		graphError(w, http.StatusForbidden, "Authorization_RequestDenied", "Insufficient privileges to complete the operation.")
		return
	}
	message := "Invalid authentication token."
	switch {
	case errors.Is(err, errTokenMissing):
		message = "Access token is empty."
	case errors.Is(err, errTokenExpired):
		message = "Lifetime validation failed, the token is expired."
	}
	w.Header().Set("WWW-Authenticate", `Bearer realm="", authorization_uri="https://login.microsoftonline.com/common/oauth2/authorize", `+
		`client_id="00000003-0000-0000-c000-000000000000"`)
	graphError(w, http.StatusUnauthorized, "InvalidAuthenticationToken", message)
}

func (p *provider) graphMe(w http.ResponseWriter, _ *http.Request, g *providerGrant) {
	person := p.personOf(g.account)
	given, family, _ := strings.Cut(person.Name, " ")
	writeJSON(w, http.StatusOK, map[string]any{
		"@odata.context": graphResource + "v1.0/$metadata#users/$entity", "id": g.account,
		"displayName": person.Name, "givenName": given, "surname": family, "mail": person.Email, "userPrincipalName": person.Email,
		"businessPhones": []string{}, "jobTitle": nil, "mobilePhone": nil, "officeLocation": nil, "preferredLanguage": nil,
	})
}

func (p *provider) graphMessages(w http.ResponseWriter, _ *http.Request, g *providerGrant) {
	writeJSON(w, http.StatusOK, map[string]any{
		"@odata.context": graphResource + "v1.0/$metadata#users('" + g.account + "')/messages",
		"value": []map[string]any{{
			"id": "AAMkAGUwelcome=", "subject": "Welcome", "isRead": false, "receivedDateTime": "2030-01-02T09:00:00Z",
			"bodyPreview":  "Coffee with the team?",
			"toRecipients": []any{map[string]any{"emailAddress": map[string]string{"address": p.email(g.account)}}},
		}},
	})
}

// readMicrosoftProfile: Graph does not tell whether an address is verified, so it
// is not.
func readMicrosoftProfile(ctx context.Context, p *provider, token string) (profile, error) {
	var me struct{ ID, DisplayName, GivenName, Surname, Mail string }
	err := p.getJSON(ctx, "/v1.0/me", token, &me)
	return profile{
		id: me.ID, email: me.Mail, name: me.DisplayName, nickname: localPart(me.Mail), givenName: me.GivenName, familyName: me.Surname,
	}, err
}
