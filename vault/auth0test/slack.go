package auth0test

import (
	"context"
	"crypto/sha256"
	"encoding/base32"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// slack is a Slack app with token rotation, whose users authorize it for
// themselves: every grant has a refresh token, good once; scopes are
// comma-separated. An error, a revoked token included, has the status 200.
//
// Auth0 has no strategy of Slack's own: "Sign in with Slack" is a ready-made custom
// social connection, with the strategy oauth2. It calls an account by team and user.
var slack = standIn{
	name: "Slack", strategy: "oauth2", extra: true,
	authorizePath: "/oauth/v2_user/authorize", tokenPath: "/api/oauth.v2.user.access",
	lifetime: 12 * time.Hour, accessPrefix: "xoxe.xoxp-1-", refreshPrefix: "xoxe-1-",
	rotates: true, once: true, separator: ",", scopeHeaders: ",",
	seed: func() Connection {
		return Connection{ID: "con_signinwithslack0", Name: "sign-in-with-slack", Options: map[string]any{
			"scope": "openid email profile",
		}}
	},
	account: func(_ string, sum [sha256.Size]byte) string {
		return slackTeam + "-U" + base32.StdEncoding.EncodeToString(sum[:])[:10]
	},
	loginScopes: func(*Connection) []string { return []string{"openid", "email", "profile"} },
	offline:     func(*provider, url.Values, bool) bool { return true },
	spelling:    asSpelled,
	answer:      answerSlackToken, refuse: refuseSlackToken,
	api: slackMethods, deny: denySlackToken,
	readProfile: readSlackProfile,
}

// slackTeam is the workspace of accounts that the config does not list.
const slackTeam = "T0EXAMPLE00"

// slackUser splits an account.
func slackUser(account string) (team, user string) {
	team, user, ok := strings.Cut(account, "-")
	if !ok {
		return slackTeam, account
	}
	return team, user
}

func answerSlackToken(w http.ResponseWriter, _ *http.Request, g *providerGrant, m mintedToken) {
	team, user := slackUser(g.account)
	m.TokenType = "user"
	writeJSON(w, http.StatusOK, struct {
		OK bool `json:"ok"`
		mintedToken
		Team       map[string]string `json:"team"`
		AuthedUser map[string]string `json:"authed_user"`
	}{true, m, map[string]string{"id": team, "name": "Example"}, map[string]string{"id": user}})
}

// refuseSlackToken: Slack has words of its own, and the status 200.
func refuseSlackToken(w http.ResponseWriter, _ int, code, _ string) {
	word := map[string]string{"invalid_client": "bad_client_secret", "invalid_grant": "invalid_refresh_token"}[code]
	setDefault(&word, "invalid_arguments")
	slackError(w, word, nil)
}

// slackError is how Slack refuses whatever it refuses.
func slackError(w http.ResponseWriter, code string, more map[string]any) {
	body := map[string]any{"ok": false, "error": code}
	maps.Copy(body, more)
	writeJSON(w, http.StatusOK, body)
}

func denySlackToken(w http.ResponseWriter, err error, g *providerGrant, scopes []string) {
	switch {
	case errors.Is(err, errTokenMissing):
		slackError(w, "not_authed", nil)
	case errors.Is(err, errTokenExpired):
		slackError(w, "token_expired", nil)
	case errors.Is(err, errTokenRevoked):
		slackError(w, "token_revoked", nil)
	case errors.Is(err, errTokenScope):
		slackError(w, "missing_scope", map[string]any{"needed": strings.Join(scopes, ","), "provided": strings.Join(g.scopes, ",")})
	default:
		slackError(w, "invalid_auth", nil)
	}
}

// slackMethods: Slack takes any of its methods by GET and by POST.
func slackMethods(p *provider, mux *http.ServeMux) {
	mux.HandleFunc("/api/auth.test", p.method(p.slackAuthTest))
	mux.HandleFunc("/api/conversations.list", p.method(p.slackConversations, "channels:read", "groups:read", "im:read", "mpim:read"))
	mux.HandleFunc("/api/chat.postMessage", p.method(p.slackPostMessage, "chat:write"))
	mux.HandleFunc("/api/openid.connect.userInfo", p.method(p.slackUserInfo, "openid"))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		slackError(w, "unknown_method", map[string]any{"req_method": strings.TrimPrefix(r.URL.Path, "/api/")})
	})
}

func (p *provider) slackAuthTest(w http.ResponseWriter, _ *http.Request, g *providerGrant) {
	team, user := slackUser(g.account)
	writeJSON(w, http.StatusOK, map[string]any{
		"ok": true, "url": "https://example.slack.com/", "team": "Example", "user": localPart(p.email(g.account)),
		"team_id": team, "user_id": user, "is_enterprise_install": false,
	})
}

// slackChannel is the one there is.
const slackChannel = "C0EXAMPLE00"

func (p *provider) slackConversations(w http.ResponseWriter, _ *http.Request, _ *providerGrant) {
	writeJSON(w, http.StatusOK, map[string]any{
		"ok": true, "response_metadata": map[string]string{"next_cursor": ""},
		"channels": []map[string]any{{
			"id": slackChannel, "name": "general", "is_channel": true, "is_general": true, "is_private": false, "is_member": true,
		}},
	})
}

func (p *provider) slackPostMessage(w http.ResponseWriter, r *http.Request, g *providerGrant) {
	var message struct{ Channel, Text string }
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if json.NewDecoder(r.Body).Decode(&message) != nil {
			slackError(w, "invalid_json", nil)
			return
		}
	} else {
		message.Channel, message.Text = r.FormValue("channel"), r.FormValue("text")
	}
	switch {
	case message.Channel != slackChannel && message.Channel != "#general":
		slackError(w, "channel_not_found", nil)
	case message.Text == "":
		slackError(w, "no_text", nil)
	default:
		_, user := slackUser(g.account)
		ts := strconv.FormatFloat(float64(time.Now().UnixMicro())/1e6, 'f', 6, 64)
		writeJSON(w, http.StatusOK, map[string]any{
			"ok": true, "channel": slackChannel, "ts": ts,
			"message": map[string]string{"type": "message", "user": user, "text": message.Text, "ts": ts},
		})
	}
}

func (p *provider) slackUserInfo(w http.ResponseWriter, _ *http.Request, g *providerGrant) {
	team, user := slackUser(g.account)
	out := map[string]any{"ok": true, "sub": user, "https://slack.com/user_id": user, "https://slack.com/team_id": team}
	person := p.personOf(g.account)
	if len(intersect([]string{"email"}, g.scopes)) > 0 {
		out["email"], out["email_verified"] = person.Email, *person.EmailVerified
	}
	if len(intersect([]string{"profile"}, g.scopes)) > 0 {
		out["name"] = person.Name
	}
	writeJSON(w, http.StatusOK, out)
}

func readSlackProfile(ctx context.Context, p *provider, token string) (profile, error) {
	var info struct {
		Email, Name   string
		EmailVerified bool   `json:"email_verified"`
		User          string `json:"https://slack.com/user_id"`
		Team          string `json:"https://slack.com/team_id"`
	}
	err := p.getJSON(ctx, "/api/openid.connect.userInfo", token, &info)
	if err == nil && info.User == "" { // an error of Slack's has the status 200
		err = errors.New("slack does not tell who that is")
	}
	return profile{
		id: info.Team + "-" + info.User, email: info.Email, emailVerified: info.EmailVerified,
		name: info.Name, nickname: localPart(info.Email),
	}, err
}
