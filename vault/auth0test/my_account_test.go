package auth0test_test

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

const mePath = "/me/v1/connected-accounts/"

// connectBody is a good POST …/connect; change makes it another.
func connectBody(change map[string]any) map[string]any {
	body := map[string]any{
		"connection": "google-oauth2", "redirect_uri": callback, "state": "s1",
		"code_challenge": challenge, "code_challenge_method": "S256", "scopes": []string{"openid", "profile", readonly},
	}
	for name, value := range change {
		if value == nil {
			delete(body, name)
		} else {
			body[name] = value
		}
	}
	return body
}

// A link is one attempt to connect an account.
type link struct {
	t                    *testing.T
	s                    *auth0test.Server
	token, session, open string
}

// startLink is POST …/connect as alice.
func startLink(t *testing.T, s *auth0test.Server, change map[string]any) link {
	t.Helper()
	token := meToken(t, s, "auth0|alice")
	a := postJSON(t, s.URL+mePath+"connect", token, connectBody(change))
	if a.Status != 201 || a.JSON["expires_in"] != 300.0 || len(a.JSON["auth_session"].(string)) > 64 {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	u, _ := url.Parse(a.JSON["connect_uri"].(string))
	q := u.Query()
	q.Set("ticket", a.JSON["connect_params"].(map[string]any)["ticket"].(string))
	u.RawQuery = q.Encode()
	return link{t, s, token, a.JSON["auth_session"].(string), u.String()}
}

// consent opens the ticket and answers the provider's page.
func (l link) consent(b *browser, fields url.Values) url.Values {
	l.t.Helper()
	page, at := b.open(l.open, callback)
	if page.Status == http.StatusOK {
		page, at = b.follow(b.submit(page, at, fields), at, callback)
	}
	if !strings.HasPrefix(at, callback) {
		l.t.Fatalf("ended at %s: %d %s", at, page.Status, page.Body)
	}
	u, _ := url.Parse(at)
	return u.Query()
}

func (l link) complete(code string, change map[string]any) answer {
	l.t.Helper()
	body := map[string]any{"auth_session": l.session, "connect_code": code, "redirect_uri": callback, "code_verifier": verifier}
	maps.Copy(body, change)
	return postJSON(l.t, l.s.URL+mePath+"complete", l.token, body)
}

func allow(account string, scopes ...string) url.Values {
	return url.Values{"account": {account}, "scope": scopes, "action": {"allow"}}
}

func aliceBrowser(t *testing.T, s *auth0test.Server) *browser {
	t.Helper()
	b := newBrowser(t)
	b.login(s, "alice")
	return b
}

func TestConnectingAnAccount(t *testing.T) {
	s := tenant(t)
	l := startLink(t, s, nil)
	if !strings.HasPrefix(l.open, s.URL+"/connected-accounts/connect?ticket=") {
		t.Errorf("connect_uri %s", l.open)
	}
	q := l.consent(aliceBrowser(t, s), allow("g-1", "openid", "profile", readonly))
	code := q.Get("connect_code")
	if q.Get("state") != "s1" || code == "" || len(code) > 46 || q.Has("code") {
		t.Fatalf("callback got %v", q)
	}
	if a := exchange(t, s, accessToken(t, s)); a.Status != 401 {
		t.Error("the account is connected before it is completed")
	}
	a := l.complete(code, nil)
	if a.Status != 201 || !strings.HasPrefix(a.JSON["id"].(string), "cac_") || a.JSON["connection"] != "google-oauth2" ||
		a.JSON["access_type"] != "offline" || a.JSON["created_at"] == nil {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if got := exchange(t, s, accessToken(t, s), "login_hint", "g-1"); got.Status != 200 || !strings.Contains(got.JSON["scope"].(string), "userinfo.profile "+readonly) {
		t.Errorf("%d %s", got.Status, got.Body)
	}
	if again := l.complete(code, nil); again.Status != 404 || again.JSON["detail"] != "Invalid or expired session" {
		t.Errorf("a connect_code works twice: %d %s", again.Status, again.Body)
	}
}

func TestTicketServesOnlyItsUserOnce(t *testing.T) {
	s := tenant(t)
	bob := newBrowser(t)
	bob.login(s, "bob")
	for name, b := range map[string]*browser{"bob's browser": bob, "a browser without a session": newBrowser(t)} {
		l := startLink(t, s, nil)
		q := l.consent(b, nil)
		if q.Get("error") != "access_denied" || q.Get("error_description") == "" || q.Get("state") != "s1" || q.Has("connect_code") {
			t.Errorf("%s: %v", name, q)
		}
		if a := aliceBrowser(t, s).get(l.open); a.Status != 400 {
			t.Errorf("%s did not spend the ticket: %d", name, a.Status)
		}
	}
	l := startLink(t, s, nil)
	b := aliceBrowser(t, s)
	page, at := b.open(l.open)
	if again := b.get(l.open); again.Status != 400 {
		t.Errorf("a ticket opens twice: %d", again.Status)
	}
	// The provider's answer counts only in the browser that left.
	end := b.submit(page, at, allow("g-1", "openid"))
	if a := bob.get(end.location(t).String()); a.Status != 400 {
		t.Errorf("another browser can bring the provider's answer: %d", a.Status)
	}
	if a := b.get(s.URL + "/connected-accounts/connect?ticket="); a.Status != 400 {
		t.Errorf("an empty ticket: %d", a.Status)
	}
}

func TestPromptAndLoginHintReachTheProvider(t *testing.T) {
	s := tenant(t)
	b := aliceBrowser(t, s)
	for _, connection := range []string{"google-oauth2", "github"} {
		for _, prompt := range []string{"", "login", "consent", "select_account", "none"} {
			params := map[string]any{"login_hint": "a-77"}
			if prompt != "" {
				params["prompt"] = prompt
			}
			l := startLink(t, s, map[string]any{"connection": connection, "scopes": nil, "authorization_params": params})
			page, at := b.open(l.open, callback)
			if connection == "google-oauth2" && prompt == "none" {
				u, _ := url.Parse(at)
				if q := u.Query(); !strings.HasPrefix(at, callback) || q.Get("error") != "interaction_required" || q.Get("state") != "s1" || q.Has("connect_code") {
					t.Errorf("%s, none: ended at %s", connection, at)
				}
				continue
			}
			u, _ := url.Parse(at)
			if q := u.Query(); page.Status != 200 || q.Get("prompt") != prompt || q.Get("login_hint") != "a-77" {
				t.Errorf("%s, %q: %d at %s", connection, prompt, page.Status, at)
			}
			if !strings.Contains(page.Body, `<option value="a-77">`) || strings.Contains(page.Body, "prompt: "+prompt) != (prompt != "") {
				t.Errorf("%s, %q: the page does not show it: %s", connection, prompt, page.Body)
			}
		}
	}
}

func TestDeclinedConsentComesBackAsAnError(t *testing.T) {
	s := tenant(t)
	for connection, change := range map[string]map[string]any{"google": nil, "github": {"connection": "github", "scopes": nil}} {
		q := startLink(t, s, change).consent(aliceBrowser(t, s), url.Values{"action": {"deny"}})
		if q.Get("error") != "access_denied" || q.Get("state") != "s1" || q.Has("connect_code") {
			t.Errorf("%s: %v", connection, q)
		}
	}
}

func TestUntickedScopesAreNotGranted(t *testing.T) {
	s := tenant(t)
	l := startLink(t, s, nil)
	q := l.consent(aliceBrowser(t, s), allow("g-1", "openid", "https://www.googleapis.com/auth/calendar"))
	l.complete(q.Get("connect_code"), nil)
	if a := exchange(t, s, accessToken(t, s)); a.JSON["scope"] != "openid" {
		t.Errorf("%s", a.Body)
	}
}

func TestCompleteChecksEverything(t *testing.T) {
	s := tenant(t)
	b := aliceBrowser(t, s)
	linked := func() (link, string) {
		l := startLink(t, s, nil)
		return l, l.consent(b, allow("g-1", "openid")).Get("connect_code")
	}
	for name, change := range map[string]map[string]any{
		"wrong verifier":     {"code_verifier": strings.Repeat("x", 43)},
		"other redirect_uri": {"redirect_uri": "http://127.0.0.1:8080/auth/callback"},
	} {
		l, code := linked()
		if a := l.complete(code, change); a.Status != 400 || !strings.HasSuffix(a.JSON["type"].(string), "A0E-400-0003") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		if a := l.complete(code, nil); a.Status != 404 {
			t.Errorf("%s: the code lives on: %d", name, a.Status)
		}
	}
	l, code := linked()
	if a := l.complete("x", nil); a.Status != 400 {
		t.Errorf("wrong code: %d %s", a.Status, a.Body)
	}
	bobs := l
	bobs.token = meToken(t, s, "auth0|bob")
	if a := bobs.complete(code, nil); a.Status != 404 {
		t.Errorf("bob completes alice's session: %d %s", a.Status, a.Body)
	}
	if a := l.complete(code, map[string]any{"auth_session": "unknown"}); a.Status != 404 || a.JSON["title"] != "Not Found" {
		t.Errorf("unknown session: %d %s", a.Status, a.Body)
	}
	early := startLink(t, s, nil)
	if a := early.complete("x", nil); a.Status != 400 {
		t.Errorf("before the browser step: %d %s", a.Status, a.Body)
	}
	if a := l.complete(code, nil); a.Status != 201 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestReconnectingUpdatesAndAnotherAccountAdds(t *testing.T) {
	s := tenant(t)
	b := aliceBrowser(t, s)
	var ids []string
	for _, account := range []string{"g-1", "g-1", "g-2"} {
		l := startLink(t, s, nil)
		a := l.complete(l.consent(b, allow(account, "openid")).Get("connect_code"), nil)
		ids = append(ids, a.JSON["id"].(string))
	}
	if ids[0] != ids[1] || ids[1] == ids[2] {
		t.Errorf("ids %v", ids)
	}
}

func TestGoogleGivesNoRefreshTokenUnlessOffline(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) { delete(cfg.Connections[0].Options, "offline_access") })
	connectOnce := func(change map[string]any) answer {
		l := startLink(t, s, change)
		l.complete(l.consent(aliceBrowser(t, s), allow("g-1", "openid")).Get("connect_code"), nil)
		return exchange(t, s, accessToken(t, s))
	}
	if a := connectOnce(nil); a.code() != "federated_connection_refresh_token_not_found" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := connectOnce(map[string]any{"scopes": []string{"openid", "offline_access"}}); a.Status != 200 {
		t.Errorf("offline_access asked for at run time: %d %s", a.Status, a.Body)
	}
}

func TestConnectRefusesWhatTheSchemaDoesNotAllow(t *testing.T) {
	s := tenant(t)
	many := make([]string, 101)
	for i := range many {
		many[i] = strings.Repeat("s", i+1)
	}
	tests := map[string]struct {
		change map[string]any
		detail string
	}{
		"no connection":      {map[string]any{"connection": nil}, "data must have required property 'connection'"},
		"empty connection":   {map[string]any{"connection": ""}, "data/connection must NOT have fewer than 1 characters"},
		"connection type":    {map[string]any{"connection": 1}, "data/connection must be string"},
		"unknown connection": {map[string]any{"connection": "x"}, "connection is not available"},
		"no redirect_uri":    {map[string]any{"redirect_uri": nil}, "data must have required property 'redirect_uri'"},
		"relative":           {map[string]any{"redirect_uri": "/x"}, `data/redirect_uri must match format "uri"`},
		"not a callback":     {map[string]any{"redirect_uri": "https://evil.example/"}, "redirect_uri is not an allowed callback URL"},
		"empty scopes":       {map[string]any{"scopes": []string{}}, "data/scopes must NOT have fewer than 1 items"},
		"too many scopes":    {map[string]any{"scopes": many}, "data/scopes must NOT have more than 100 items"},
		"a scope twice":      {map[string]any{"scopes": []string{"a", "a"}}, "data/scopes must NOT have duplicate items"},
		"an empty scope":     {map[string]any{"scopes": []string{""}}, "data/scopes/0 must NOT have fewer than 1 characters"},
		"scopes as text":     {map[string]any{"scopes": "a b"}, "data/scopes must be array"},
		"no method":          {map[string]any{"code_challenge_method": nil}, "data must have property code_challenge_method when property code_challenge is present"},
		"method plain":       {map[string]any{"code_challenge_method": "plain"}, "data/code_challenge_method must be equal to constant"},
		"short challenge":    {map[string]any{"code_challenge": "x"}, "data/code_challenge must NOT have fewer than 43 characters"},
		"empty state":        {map[string]any{"state": ""}, "data/state must NOT have fewer than 1 characters"},
		"unknown member":     {map[string]any{"scope": "a"}, "data must NOT have additional properties"},
		"unknown parameter":  {map[string]any{"authorization_params": map[string]any{"access_type": "offline"}}, "data/authorization_params must NOT have additional properties"},
		"bad parameter":      {map[string]any{"authorization_params": map[string]any{"max_age": "1"}}, "data/authorization_params/max_age must be integer"},
		"bad prompt":         {map[string]any{"authorization_params": map[string]any{"prompt": "x"}}, "data/authorization_params/prompt must be equal to one of the allowed values"},
	}
	token := meToken(t, s, "auth0|alice")
	for name, tt := range tests {
		a := postJSON(t, s.URL+mePath+"connect", token, connectBody(tt.change))
		if a.Status != 400 || a.JSON["type"] != "https://auth0.com/api-errors/A0E-400-0003" || a.JSON["title"] != "Validation Error" {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
			continue
		}
		errs := a.JSON["validation_errors"].([]any)
		if got := errs[0].(map[string]any)["detail"]; got != tt.detail || len(errs) != 1 {
			t.Errorf("%s: %s", name, a.Body)
		}
	}
	if a := postJSON(t, s.URL+mePath+"connect", token, []int{1}); a.Status != 400 {
		t.Errorf("no object: %d", a.Status)
	}
	if a := postJSON(t, s.URL+mePath+"complete", token, map[string]any{"auth_session": strings.Repeat("x", 65)}); len(a.JSON["validation_errors"].([]any)) != 3 {
		t.Errorf("complete: %s", a.Body)
	}
}

func TestMyAccountChecksTheToken(t *testing.T) {
	s := tenant(t)
	change := func(f func(*auth0test.TokenRequest)) string {
		return accessToken(t, s, func(r *auth0test.TokenRequest) {
			r.ClientID, r.Audience, r.Scope = "link-pages", s.Issuer()+"me/", meScopes
			f(r)
		})
	}
	for name, tt := range map[string]struct {
		token  string
		status int
		kind   string
	}{
		"no token":     {"", 401, "A0E-401-0002"},
		"garbage":      {"x", 401, "A0E-401-0003"},
		"expired":      {change(func(r *auth0test.TokenRequest) { r.ExpiresIn = new(0) }), 401, "A0E-401-0003"},
		"another API":  {accessToken(t, s), 401, "A0E-401-0003"},
		"a machine":    {change(func(r *auth0test.TokenRequest) { r.User = "" }), 401, "A0E-401-0003"},
		"other scopes": {change(func(r *auth0test.TokenRequest) { r.Scope = "read:me:connected_accounts" }), 403, "A0E-403-0002"},
	} {
		a := postJSON(t, s.URL+mePath+"connect", tt.token, connectBody(nil))
		if a.Status != tt.status || a.JSON["type"] != "https://auth0.com/api-errors/"+tt.kind || a.JSON["status"] != float64(tt.status) ||
			!strings.HasPrefix(a.Header.Get("Content-Type"), "application/json") {
			t.Errorf("%s: %d %s", name, a.Status, a.Body)
		}
		if (a.Header.Get("WWW-Authenticate") != "") != (tt.status == 401) {
			t.Errorf("%s: challenge %q", name, a.Header.Get("WWW-Authenticate"))
		}
	}
	req := request(t, http.MethodPost, s.URL+mePath+"connect", "application/x-www-form-urlencoded", "connection=x")
	req.Header.Set("Authorization", "Bearer "+meToken(t, s, "auth0|alice"))
	if a := do(t, http.DefaultClient, req); a.Status != 415 {
		t.Errorf("a form: %d %s", a.Status, a.Body)
	}
}

func TestMyAccountIsNotFoundUntilActivated(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) {
		cfg.ResourceServers, cfg.ClientGrants = cfg.ResourceServers[:1], cfg.ClientGrants[1:]
	})
	if a := get(t, s.URL+mePath+"accounts", meToken(t, s, "auth0|alice")); a.Status != 404 || a.JSON["type"] != "https://auth0.com/api-errors/A0E-404-0001" {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

func TestAccountsCanBeListedAndDeleted(t *testing.T) {
	s := tenant(t)
	alice, bob := meToken(t, s, "auth0|alice"), meToken(t, s, "auth0|bob")
	if a := get(t, s.URL+mePath+"accounts", alice); a.Body != `{"accounts":[]}` {
		t.Errorf("nothing yet: %s", a.Body)
	}
	for _, account := range []string{"1", "2", "3"} {
		connect(t, s, "auth0|alice", "google-oauth2", []string{"openid", "email"}, account)
	}
	connect(t, s, "auth0|alice", "github", nil, "")
	list := func(query string) []any {
		t.Helper()
		a := get(t, s.URL+mePath+"accounts"+query, alice)
		if a.Status != 200 {
			t.Fatalf("%s: %d %s", query, a.Status, a.Body)
		}
		return a.JSON["accounts"].([]any)
	}
	all := list("")
	first := all[0].(map[string]any)
	if len(all) != 4 || first["connection"] != "google-oauth2" || first["access_type"] != "offline" || len(first["scopes"].([]any)) != 2 {
		t.Errorf("%v", all)
	}
	if len(list("?connection=github")) != 1 || len(list("?connection=github&connection=google-oauth2")) != 4 || len(list("?connection=x")) != 0 {
		t.Error("the filter does not filter")
	}
	page := get(t, s.URL+mePath+"accounts?take=3", alice)
	if next, _ := page.JSON["next"].(string); len(page.JSON["accounts"].([]any)) != 3 || len(list("?take=3&from="+next)) != 1 {
		t.Errorf("pages: %s", page.Body)
	}
	for _, query := range []string{"?take=0", "?take=21", "?take=x", "?next=1", "?from=a&from=b"} {
		if a := get(t, s.URL+mePath+"accounts"+query, alice); a.Status != 400 {
			t.Errorf("%s: %d", query, a.Status)
		}
	}

	remove := func(token, id string) answer {
		req := request(t, http.MethodDelete, s.URL+mePath+"accounts/"+id, "", "")
		req.Header.Set("Authorization", "Bearer "+token)
		return do(t, http.DefaultClient, req)
	}
	id := first["id"].(string)
	readOnly := accessToken(t, s, func(r *auth0test.TokenRequest) {
		r.ClientID, r.Audience, r.Scope = "link-pages", s.Issuer()+"me/", "create:me:connected_accounts read:me:connected_accounts"
	})
	if a := remove(readOnly, id); a.Status != 403 || a.JSON["type"] != "https://auth0.com/api-errors/A0E-403-0002" || len(list("")) != 4 {
		t.Errorf("without the scope to delete: %d %s", a.Status, a.Body)
	}
	if a := remove(bob, id); a.Status != 204 || len(list("")) != 4 {
		t.Errorf("bob deletes alice's account: %d", a.Status)
	}
	if a := remove(alice, id); a.Status != 204 || a.Body != "" || len(list("")) != 3 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
	if a := exchange(t, s, accessToken(t, s), "login_hint", "1"); a.code() != "user_not_found" {
		t.Errorf("the vault still has it: %s", a.Body)
	}
}

func TestConnectionsListsWhatTheClientMayConnect(t *testing.T) {
	s := tenant(t, func(cfg *auth0test.Config) { cfg.Connections[1].EnabledClients = []string{"demo-agent"} })
	a := get(t, s.URL+mePath+"connections", meToken(t, s, "auth0|alice"))
	if a.Body != `{"connections":[{"name":"google-oauth2","strategy":"google-oauth2","scopes":["openid","email","profile"]}]}` {
		t.Errorf("%s", a.Body)
	}
}

func TestTicketsAndSessionsExpireAfter300Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tn, err := auth0test.New(auth0test.Seeds(), auth0test.URLs{Issuer: "http://t.test", Google: "http://g.test", GitHub: "http://h.test"})
		if err != nil {
			t.Fatal(err)
		}
		start := directly(t, tn, mePath+"connect", connectBody(nil))
		time.Sleep(301 * time.Second)
		body := map[string]any{"auth_session": start.JSON["auth_session"], "connect_code": "x", "redirect_uri": callback, "code_verifier": verifier}
		if a := directly(t, tn, mePath+"complete", body); a.Status != 404 {
			t.Errorf("%d %s", a.Status, a.Body)
		}
	})
}
