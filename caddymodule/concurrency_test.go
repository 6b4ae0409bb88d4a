package caddymodule_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"sync"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// Many calls at once, over real connections.

// together makes n calls at the same moment and returns what they were answered.
func (p *proxy) together(n int, token func(int) string, path string) []*reply {
	p.t.Helper()
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: n}}
	defer client.CloseIdleConnections()
	replies, errs := make([]*reply, n), make([]error, n)
	begin := make(chan struct{})
	var calls sync.WaitGroup
	for i := range n {
		bearer := token(i)
		calls.Go(func() {
			<-begin
			replies[i], errs[i] = call(client, p.URL+path, bearer)
		})
	}
	close(begin)
	calls.Wait()
	for _, err := range errs {
		if err != nil {
			p.t.Fatal(err)
		}
	}
	return replies
}

func call(client *http.Client, url, bearer string) (*reply, error) {
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	resp, err := client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return &reply{resp.StatusCode, resp.Header, string(body)}, err
}

func TestAThousandFirstCallsAreOneExchange(t *testing.T) {
	p := startProxy(t, "token_vault google-oauth2\nrespond {http.auth.user.id}")
	p.connect(alice, google, calendar)
	p.fault(auth0test.Fault{Path: "/oauth/token", DelayMS: 500})
	token := p.token(alice)
	for i, got := range p.together(1000, func(int) string { return token }, "/") {
		if got.Status != 200 || got.Body != alice {
			t.Fatalf("call %d: status %d, body %s", i, got.Status, got.Body)
		}
	}
	if n := p.exchanges(); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}

// The refusal is shared too, and each gets a ticket of its own.
func TestAThousandRefusalsAreOneExchange(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.fault(auth0test.Fault{Path: "/oauth/token", DelayMS: 500})
	token, tickets := p.token(alice), map[any]bool{}
	for i, got := range p.together(1000, func(int) string { return token }, "/") {
		if got.Status != 401 || got.code() != "link_required" {
			t.Fatalf("call %d: status %d, body %s", i, got.Status, got.Body)
		}
		tickets[got.problem(t)["link_url"]] = true
	}
	if n := p.exchanges(); n != 1 || len(tickets) != 1000 {
		t.Errorf("%d exchanges, %d tickets", n, len(tickets))
	}
}

// crowd adds users to the tenant.
func crowd(n int) func(*auth0test.Config) {
	return func(c *auth0test.Config) {
		for i := range n {
			name := fmt.Sprintf("user%d", i)
			c.Users = append(c.Users, auth0test.User{UserID: "auth0|" + name, Email: name + "@example.com", EmailVerified: true, Password: name + "-password"})
		}
	}
}

// The provider itself says whose token it got.
func TestFiftyUsersAtOnceEachGetTheirOwnToken(t *testing.T) {
	const users, callsEach = 50, 8
	p := newProxy(t, crowd(users))
	p.load(`token_vault google-oauth2 {
		scopes openid email
	}
	reverse_proxy {google} {
		header_down X-User {http.auth.user.id}
	}`)
	tokens := make([]string, users)
	for i := range users {
		user := fmt.Sprintf("auth0|user%d", i)
		p.connect(user, google, "openid", "email", "profile")
		tokens[i] = p.token(user)
	}
	for i, got := range p.together(users*callsEach, func(i int) string { return tokens[i%users] }, "/oauth2/v3/userinfo") {
		name := fmt.Sprintf("user%d", i%users)
		var person struct{ Email string }
		if err := json.Unmarshal([]byte(got.Body), &person); err != nil || got.Status != 200 {
			t.Fatalf("status %d, body %s", got.Status, got.Body)
		}
		if person.Email != name+"@example.com" || got.Header.Get("X-User") != "auth0|"+name {
			t.Errorf("%s got the token of %s as %s", name, person.Email, got.Header.Get("X-User"))
		}
	}
	if n := p.exchanges(); n != users {
		t.Errorf("%d exchanges, want %d", n, users)
	}
}

func TestAgentsOrganizationsAndHintsShareNoEntry(t *testing.T) {
	p := startProxy(t, `token_vault google-oauth2 {
		allow_clients *
		login_hint {http.request.uri.query.account}
	}
	respond ok`)
	for _, account := range []string{"1111", "2222"} {
		if err := p.Tenant.Connect(alice, google, []string{calendar}, account); err != nil {
			t.Fatal(err)
		}
	}
	other := func(r *auth0test.TokenRequest) { r.ClientID = "other-agent" }
	calls := []struct{ path, token string }{
		{"/", p.token(alice)},
		{"/", p.token(alice, other)},
		{"/", p.token(alice, claim("org_id", "org_example"))},
		{"/", p.token(alice, claim("client_id", "another"))}, // no agent, or another one
		{"/", p.token(alice, claim("azp", nil))},
		{"/?account=1111", p.token(alice)},
		{"/?account=2222", p.token(alice)},
	}
	for range 2 {
		for i, c := range calls {
			if got := p.get(c.path, c.token); got.Status != 200 {
				t.Errorf("call %d: status %d, body %s", i, got.Status, got.Body)
			}
		}
	}
	if n := p.exchanges(); n != len(calls) {
		t.Errorf("%d exchanges, want %d", n, len(calls))
	}
}

// A new token of the same user and agent finds what the last one left.
func TestANewAccessTokenFindsTheKeptAnswer(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.connect(alice, google, calendar)
	for i := range 3 {
		token := p.token(alice, claim("jti", i))
		if got := p.get("/", token); got.Status != 200 {
			t.Fatalf("status %d, body %s", got.Status, got.Body)
		}
	}
	if n := p.exchanges(); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}

// One agent that gives up disturbs nobody who waits for the same answer.
func TestACallThatGivesUpDisturbsNobody(t *testing.T) {
	p := startProxy(t, calendarSite)
	p.connect(alice, google, calendar)
	p.fault(auth0test.Fault{Path: "/oauth/token", DelayMS: 600})
	token := p.token(alice)
	gone := http.Client{Timeout: 200e6}
	_, err := call(&gone, p.URL, token)
	if err == nil {
		t.Fatal("the first call did not give up")
	}
	if got := p.get("/", token); got.Status != 200 {
		t.Errorf("status %d, body %s", got.Status, got.Body)
	}
	if n := p.exchanges(); n != 1 {
		t.Errorf("%d exchanges", n)
	}
}
