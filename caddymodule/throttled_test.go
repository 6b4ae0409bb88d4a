package caddymodule_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// What a 429 of Auth0 means for everybody.

const twoBlocksSite = `
	handle /second {
		token_vault google-oauth2 {
			tenant second
		}
		respond {http.auth.user.id}
	}
	handle {
		` + whoSite + `
	}`

func TestATenantThatSays429IsLeftAloneForAsLongAsItSays(t *testing.T) {
	for name, header := range map[string]func(until time.Time) (name, value string){
		"Retry-After": func(time.Time) (string, string) { return "Retry-After", "2" },
		"x-ratelimit-reset": func(until time.Time) (string, string) {
			return "X-RateLimit-Reset", strconv.FormatInt(until.Unix(), 10)
		},
	} {
		t.Run(name, func(t *testing.T) {
			const linked, fresh = 3, 8
			p := newProxy(t, crowd(linked+fresh), withSecondAPI)
			p.global = secondTenant(p, "second")
			p.loadQuietly(twoBlocksSite)
			known, strangers := p.people(0, linked), p.people(linked, linked+fresh)
			p.warm(known)
			served := p.begin(known, 2, "/")

			field, value := header(time.Now().Add(3 * time.Second))
			p.exchangeFault(auth0test.Fault{Status: new(429), Headers: map[string]string{field: value}, Times: new(1)})
			const probeTakes = 300 * time.Millisecond
			p.exchangeFault(auth0test.Fault{DelayMS: int(probeTakes.Milliseconds())})
			p.Tenant.ClearRequests()
			p.toldToWait("/", strangers[0].token)
			p.toldToWait("/second", p.secondToken(strangers[1].id))
			waiting := p.begin(strangers, 4, "/")
			other := p.beginWith(p.secondUsers(strangers), 2, "/second")
			p.eventually("all users to be served", func() bool { return waiting.all(strangers) && other.all(strangers) })
			for what, l := range map[string]*traffic{"waiting": waiting, "the other block": other} {
				l.end()
				l.only(t, what, 100, "200", "503 vault_throttled")
			}
			served.end()
			served.only(t, "users with a token", 100, "200")
			p.checkRest(field, value, probeTakes)
		})
	}
}

// toldToWait is a call that is refused until Auth0 may be asked again.
func (p *proxy) toldToWait(path, token string) {
	p.t.Helper()
	got := p.get(path, token)
	wait, err := strconv.Atoi(got.Header.Get("Retry-After"))
	if got.Status != 503 || got.code() != "vault_throttled" || err != nil || wait < 1 || wait > 4 {
		p.t.Errorf("%s: status %d, Retry-After %q, body %s", path, got.Status, got.Header.Get("Retry-After"), got.Body)
	}
}

// checkRest demands that after the 429 no exchange came before it was time, then
// one alone, and all the others only when that one was answered.
func (p *proxy) checkRest(field, value string, probeTakes time.Duration) {
	p.t.Helper()
	var asked []auth0test.Request
	for _, r := range p.Tenant.Requests() {
		if r.GrantType == vaultGrant {
			asked = append(asked, r)
		}
	}
	if len(asked) < 3 || asked[0].Status != 429 {
		p.t.Fatalf("exchanges: %v", asked)
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil {
		p.t.Fatal(err)
	}
	until := time.Unix(n, 0)
	if field == "Retry-After" {
		until = asked[0].At.Add(time.Duration(n) * time.Second)
	}
	probe := asked[1].At
	for _, r := range asked[1:] {
		if r.At.Before(until) {
			p.t.Errorf("asked %v before it was time", until.Sub(r.At))
		}
		if r.At.Before(probe) {
			probe = r.At
		}
	}
	for _, r := range asked[1:] {
		if after := r.At.Sub(probe); after > 0 && after < probeTakes {
			p.t.Errorf("asked %v after the probe, which took %v", after, probeTakes)
		}
	}
}

// secondToken is an access token for the second API.
func (p *proxy) secondToken(user string) string {
	p.t.Helper()
	return p.token(user, func(r *auth0test.TokenRequest) { r.Audience = "https://second.example.com/" })
}

func (p *proxy) secondUsers(users []user) func(n int) user {
	p.t.Helper()
	var same []user
	for _, u := range users {
		same = append(same, user{u.id, p.secondToken(u.id)})
	}
	return func(n int) user { return same[n%len(same)] }
}
