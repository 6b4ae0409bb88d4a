package auth0test_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

func control(t *testing.T, s *auth0test.Server, method, path, body string) answer {
	t.Helper()
	return do(t, http.DefaultClient, request(t, method, s.URL+"/_tenant/"+path, "application/json", body))
}

func TestControls(t *testing.T) {
	s := tenant(t)
	a := control(t, s, "POST", "tokens", `{"user":"auth0|alice","client_id":"demo-agent","audience":"`+audience+`",
		"scope":"openid","expires_in":-1,"claims":{"azp":null,"x":1},"header":{"typ":"at+jwt"}}`)
	access, _ := a.JSON["access_token"].(string)
	if a.Status != 200 || a.JSON["id_token"] == "" {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	if c := claims(t, access); c["azp"] != nil || c["x"] != 1.0 || part(t, access, 0)["typ"] != "at+jwt" || int64(c["exp"].(float64)) >= time.Now().Unix() {
		t.Errorf("%v", c)
	}
	if a := control(t, s, "POST", "tokens", `{"client_id":"demo-agent"}`); claims(t, a.JSON["access_token"].(string))["sub"] != "demo-agent@clients" {
		t.Errorf("%s", a.Body)
	}

	subject := accessToken(t, s)
	steps := []struct{ path, body, code string }{
		{"connect", `{"user":"auth0|alice","connection":"google-oauth2","scopes":["openid"],"account":"g-9"}`, ""},
		{"revoke", `{"user":"alice@example.com","connection":"google-oauth2"}`, "federated_connection_refresh_token_flow_failed"},
		{"disconnect", `{"user":"auth0|alice","connection":"google-oauth2"}`, "federated_connection_refresh_token_not_found"},
		{"rotate-keys", `{"revoke_previous":true}`, "invalid_grant"},
	}
	for _, step := range steps {
		if a := control(t, s, "POST", step.path, step.body); a.Status != 200 {
			t.Fatalf("%s: %d %s", step.path, a.Status, a.Body)
		}
		if a := exchange(t, s, subject); a.code() != step.code {
			t.Errorf("after %s: %s", step.path, a.Body)
		}
	}
}

func TestControlsRefuseMistakes(t *testing.T) {
	s := tenant(t)
	for path, bodies := range map[string][]string{
		"tokens":      {`{}`, `{"users":"x"}`, `{"user":1}`, `[]`, `{"user":"a"} {}`},
		"connect":     {`{"user":"nobody","connection":"github"}`, `{"user":"auth0|alice","connection":"x"}`, `{"scope":[]}`},
		"disconnect":  {`{"user":"auth0|alice","connection":"x"}`, `{"user":"x","connection":"github"}`},
		"revoke":      {`{"user":"auth0|alice","connection":"x"}`, `{"user":"x","connection":"github"}`},
		"faults":      {`{}`, `{"path":"x"}`, `{"path":"/x","status":99}`, `{"path":"/x","times":-1}`, `{"path":"/_tenant/faults"}`, `{"path":"/x","delay":1}`},
		"rotate-keys": {`{"revoke":true}`},
	} {
		for _, body := range bodies {
			if a := control(t, s, "POST", path, body); a.Status != 400 || a.code() == "" {
				t.Errorf("%s %s: %d %s", path, body, a.Status, a.Body)
			}
		}
	}
}

func TestControlsAnswerLocalProgramsOnly(t *testing.T) {
	s := tenant(t)
	try := func(change func(*http.Request)) int {
		req := request(t, http.MethodGet, s.URL+"/_tenant/requests", "", "")
		change(req)
		return do(t, http.DefaultClient, req).Status
	}
	for name, tt := range map[string]struct {
		change func(*http.Request)
		want   int
	}{
		"a program":          {func(*http.Request) {}, 200},
		"by name":            {func(r *http.Request) { r.Host = "localhost:8484" }, 200},
		"IPv6":               {func(r *http.Request) { r.Host = "[::1]:8484" }, 200},
		"a typed address":    {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "none") }, 200},
		"a rebound name":     {func(r *http.Request) { r.Host = "evil.example" }, 403},
		"another site":       {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "cross-site") }, 403},
		"another port":       {func(r *http.Request) { r.Header.Set("Sec-Fetch-Site", "same-site") }, 403},
		"another origin":     {func(r *http.Request) { r.Header.Set("Origin", "https://evil.example") }, 403},
		"a page without one": {func(r *http.Request) { r.Header.Set("Origin", "null") }, 403},
	} {
		if got := try(tt.change); got != tt.want {
			t.Errorf("%s: %d", name, got)
		}
	}
}

func TestFaults(t *testing.T) {
	s := tenant(t)
	form := values("grant_type", "client_credentials", "client_id", "demo-agent", "client_secret", "demo-agent-secret", "audience", audience)
	token := func() answer { return postForm(t, s.URL+"/oauth/token", form) }
	fault := func(body string) {
		t.Helper()
		if a := control(t, s, "POST", "faults", body); a.Status != 200 {
			t.Fatal(a.Body)
		}
	}

	fault(`{"path":"/oauth/token","status":502,"body":"<html>oops","headers":{"Content-Type":"text/html","Retry-After":"7","X-RateLimit-Remaining":"0"}}`)
	a := token()
	if a.Status != 502 || a.Body != "<html>oops" || a.Header.Get("Retry-After") != "7" || a.Header.Get("Content-Type") != "text/html" {
		t.Errorf("%d %s %v", a.Status, a.Body, a.Header)
	}
	if got := a.Header.Values("X-RateLimit-Remaining"); len(got) != 1 || got[0] != "0" {
		t.Errorf("x-ratelimit-remaining %v", got)
	}
	if a := token(); a.Status != 200 {
		t.Errorf("times is not 1 by default: %d", a.Status)
	}

	fault(`{"path":"/oauth/token","grant_type":"x","status":500}`)
	fault(`{"path":"/oauth/token","grant_type":"client_credentials","status":429,"body":{"error":"too_many_requests"},"times":2}`)
	fault(`{"path":"/oauth/*","status":503,"times":0}`)
	for i, want := range []int{429, 429, 503, 503} {
		if a := token(); a.Status != want || (want == 429 && a.code() != "too_many_requests") {
			t.Errorf("request %d: %d %s", i, a.Status, a.Body)
		}
	}
	control(t, s, "DELETE", "faults", "")
	if a := token(); a.Status != 200 {
		t.Errorf("after DELETE: %d", a.Status)
	}

	fault(`{"path":"/oauth/token","delay_ms":30}`)
	if began := time.Now(); token().Status != 200 || time.Since(began) < 30*time.Millisecond {
		t.Error("a fault without a status only delays")
	}
	fault(`{"path":"/userinfo","status":0}`)
	if resp, err := http.Post(s.URL+"/userinfo", "", nil); err == nil {
		_ = resp.Body.Close()
		t.Error("status 0 does not drop the connection")
	}
	fault(`{"path":"/user","status":500,"body":"down"}`)
	if a := get(t, s.GitHubURL+"/user", ""); a.Status != 500 {
		t.Errorf("stand-ins have no faults: %d", a.Status)
	}
}

func TestRequestsAreRecordedWithoutSecrets(t *testing.T) {
	s := tenant(t)
	if err := s.AddFault(auth0test.Fault{Path: "/oauth/token", Status: new(500)}); err != nil {
		t.Fatal(err)
	}
	if err := s.AddFault(auth0test.Fault{Path: "/userinfo", Status: new(0)}); err != nil {
		t.Fatal(err)
	}
	exchange(t, s, "the-subject-token")
	exchange(t, s, "the-subject-token")
	if resp, err := http.Post(s.URL+"/userinfo?access_token=secret", "", nil); err == nil {
		_ = resp.Body.Close()
	}
	req := request(t, http.MethodPost, s.URL+"/oauth/token", "application/json", `{"grant_type":"client_credentials"}`)
	req.SetBasicAuth("demo-agent", "demo-agent-secret")
	do(t, http.DefaultClient, req)

	a := control(t, s, "GET", "requests", "")
	var got []map[string]any
	if err := json.Unmarshal([]byte(a.Body), &got); err != nil {
		t.Fatal(err)
	}
	want := []struct {
		path, grant, client string
		status              float64
	}{
		{"/oauth/token", vaultGrant, "vault-exchange", 500},
		{"/oauth/token", vaultGrant, "vault-exchange", 401},
		{"/userinfo", "", "", 0},
		{"/oauth/token", "client_credentials", "demo-agent", 403},
	}
	if len(got) != len(want) {
		t.Fatalf("%s", a.Body)
	}
	for i, w := range want {
		g := got[i]
		grant, _ := g["grant_type"].(string)
		client, _ := g["client_id"].(string)
		if g["path"] != w.path || g["status"] != w.status || grant != w.grant || client != w.client || g["method"] == "" || g["at"] == "" {
			t.Errorf("%d: %v", i, g)
		}
	}
	if strings.Contains(a.Body, "secret") || strings.Contains(a.Body, "the-subject-token") {
		t.Error("a secret is in the list")
	}
	control(t, s, "DELETE", "requests", "")
	if a := control(t, s, "GET", "requests", ""); a.Body != "[]" {
		t.Errorf("after DELETE: %s", a.Body)
	}
}

func TestRateLimitHeadersAreLowerCaseOnTheWire(t *testing.T) {
	tn, err := auth0test.New(auth0test.Seeds(), auth0test.URLs{Issuer: "http://t.test", Google: "http://g.test", GitHub: "http://h.test"})
	if err != nil {
		t.Fatal(err)
	}
	a := exchangeDirectly(t, tn, "github")
	for _, name := range []string{"x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"} {
		if len(a.Header[name]) != 1 {
			t.Errorf("no %s", name)
		}
	}
}
