package vault

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
	"unique"
)

// asked fails the test unless the vault was asked n times so far.
func (s *tenant) asked(t *testing.T, n int) {
	t.Helper()
	if got := s.exchanges(); got != n {
		t.Errorf("the vault was asked %d times, want %d", got, n)
	}
}

// gets fails the test unless Token says want, "ok" or "code/reason".
func gets(t *testing.T, c *Client, caller *AccessToken, req Request, want string) {
	t.Helper()
	_, err := c.Token(t.Context(), caller, req)
	if got := describe(err); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestManyFirstCallsShareOneExchange(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(after(time.Second, mint))
		c, caller := s.client(t, Config{}), alice(t, "raw")
		tokens := together(1000, func(int) *Token { return mustToken(t, c, caller, calendar) })
		for _, token := range tokens {
			if token != tokens[0] {
				t.Fatal("not the same token")
			}
		}
		s.asked(t, 1)
	})
}

func TestEveryUserHasAnExchangeOfTheirOwn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(after(time.Second, mint))
		c := s.client(t, Config{})
		together(1000, func(i int) any {
			raw := fmt.Sprint("user-", i%50)
			token := mustToken(t, c, callerWith(t, raw, object{"sub": raw}), calendar)
			if want := raw + "/google-oauth2/"; token.Reveal() != want {
				t.Errorf("got %s, want %s", token.Reveal(), want)
			}
			return nil
		})
		s.asked(t, 50)
	})
}

func TestWhoeverGivesUpDisturbsNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(after(5*time.Second, mint))
		c, caller := s.client(t, Config{}), alice(t, "raw")
		first, cancel := context.WithCancelCause(t.Context())
		errs := together(10, func(i int) error {
			ctx := t.Context()
			if i == 0 {
				ctx = first
				time.AfterFunc(time.Second, func() { cancel(errors.New("the agent hung up")) })
			} else {
				time.Sleep(time.Millisecond)
			}
			_, err := c.Token(ctx, caller, calendar)
			return err
		})
		if !errors.Is(errs[0], context.Canceled) {
			t.Errorf("the first got %v, want the context's error", errs[0])
		}
		if err := errors.Join(errs[1:]...); err != nil {
			t.Error(err)
		}
		s.asked(t, 1)
	})
}

func TestAnExchangeWhoseOnlyCallerLeftIsKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(after(5*time.Second, mint))
		c, caller := s.client(t, Config{}), alice(t, "raw")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := c.Token(ctx, caller, calendar); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		time.Sleep(5 * time.Second)
		gets(t, c, caller, calendar, "ok")
		s.asked(t, 1)
	})
}

// refusing refuses the subject tokens that begin with "bad" and answers others.
func refusing(status int, code string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(mintedFor(r), "bad") {
			refusal(status, code)(w, r)
			return
		}
		mint(w, r)
	}
}

func TestARefusedAccessTokenIsItsBearersAlone(t *testing.T) {
	for code, status := range map[string]int{"invalid_grant": 401, "mfa_required": 403, "access_denied": 403} {
		t.Run(code, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				s.serveVault(after(time.Second, refusing(status, code)))
				c := s.client(t, Config{})
				bad, good := alice(t, "bad"), alice(t, "good")
				errs := together(100, func(i int) error {
					caller := good
					if i%10 == 0 {
						caller = bad
					}
					if i > 0 {
						time.Sleep(time.Millisecond) // the refused one is first
					}
					_, err := c.Token(t.Context(), caller, calendar)
					return err
				})
				for i, err := range errs {
					if (err != nil) != (i%10 == 0) {
						t.Errorf("caller %d got %v", i, err)
					}
				}
				s.asked(t, 2) // one for the bad token, one for the good
			})
		})
	}
}

func TestARefusedAccessTokenIsNotRemembered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(refusing(401, "invalid_grant"))
		c := s.client(t, Config{})
		gets(t, c, alice(t, "bad"), calendar, "invalid_token/invalid_grant")
		gets(t, c, alice(t, "bad"), calendar, "invalid_token/invalid_grant")
		s.asked(t, 2)
		gets(t, c, alice(t, "good"), calendar, "ok")
		s.asked(t, 3)
	})
}

// As a follower sees it: many refused tokens, each asked for itself.
func TestEveryRefusedAccessTokenIsAskedForItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(after(time.Second, refusing(401, "invalid_grant")))
		c := s.client(t, Config{})
		for _, err := range together(30, func(i int) error {
			_, err := c.Token(t.Context(), alice(t, fmt.Sprint("bad-", i%10)), calendar)
			return err
		}) {
			refused(t, err, CodeInvalidToken)
		}
		s.asked(t, 10)
	})
}

// dimensions are what an answer depends on, each with values that are easily
// taken for one another.
var dimensions = map[string][]string{
	"domain":     {"https://tenant.example.com/", "https://tenant2.example.com/"},
	"client":     {"client", "client1"},
	"audience":   {"https://api.example.com/", "https://api.example.com/1"},
	"sub":        {"auth0|a", "auth0|a1", "1:a"},
	"org_id":     {"", "org_1"},
	"azp":        {"", "agent", "1"},
	"client_id":  {"", "agent", "1"},
	"connection": {"google-oauth2", "google", "1google"},
	"hint":       {"", "1", "a"},
}

// tuple is one choice of all dimensions.
type tuple map[string]string

func randomTuple() tuple {
	out := tuple{}
	for name, values := range dimensions {
		out[name] = values[rand.N(len(values))]
	}
	return out
}

// caller of the tuple; the raw token names all that Auth0 would read in it.
func (p tuple) caller(t testing.TB, serial int) *AccessToken {
	claims := object{"aud": p["audience"], "sub": p["sub"], "azp": nil}
	for _, name := range []string{"org_id", "azp", "client_id"} {
		if p[name] != "" {
			claims[name] = p[name]
		}
	}
	raw := mustJSON([]string{p["audience"], p["sub"], p["org_id"], p["azp"], p["client_id"]})
	return callerWith(t, b64(raw)+"."+fmt.Sprint(serial), claims)
}

// minted is the token that nobody but this tuple may see.
func (p tuple) minted() string {
	return b64(mustJSON([]string{p["domain"], p["client"], p["audience"], p["sub"], p["org_id"], p["azp"], p["client_id"], p["connection"], p["hint"]}))
}

// mintForTuple is a vault that reads the tuple back from the request.
func mintForTuple(w http.ResponseWriter, r *http.Request) {
	_ = r.ParseForm()
	raw, _, _ := strings.Cut(r.PostFormValue("subject_token"), ".")
	var read []string
	if err := decodeB64(raw, &read); err != nil {
		panic(err)
	}
	all := append([]string{"https://" + r.URL.Host + "/", r.PostFormValue("client_id")}, read...)
	all = append(all, r.PostFormValue("connection"), r.PostFormValue("login_hint"))
	life := []int{3600, 6, 0}[rand.N(3)]
	_, _ = w.Write([]byte(mustJSON(grant(b64(mustJSON(all)), object{"expires_in": life}))))
}

// A token reaches only the one it was made for, whatever else goes on.
func TestNobodyEverGetsSomebodyElsesToken(t *testing.T) {
	s := newTenant()
	s.serveVault(mintForTuple)
	cache := NewCache()
	clients := map[string]*Client{}
	for _, domain := range dimensions["domain"] {
		for _, id := range dimensions["client"] {
			for _, audience := range dimensions["audience"] {
				clients[domain+id+audience] = s.client(t, Config{
					Domain: domain, ClientID: id, Audience: audience, Cache: cache,
					UserBudget: 1e6, TenantBudget: 1e6, MaxEntries: 500,
				})
			}
		}
	}
	together(16, func(worker int) any {
		for i := range 300 {
			p := randomTuple()
			c := clients[p["domain"]+p["client"]+p["audience"]]
			req := Request{Connection: p["connection"], LoginHint: p["hint"]}
			token, err := c.Token(t.Context(), p.caller(t, worker*1000+i), req)
			if err != nil {
				t.Errorf("%v: %v", p, err)
				return nil
			}
			if token.Reveal() != p.minted() {
				t.Errorf("%v got another's token", p)
			}
			switch rand.N(20) {
			case 0:
				c.Forget(p["sub"], p["connection"])
			case 1:
				c.Reject(token)
			}
		}
		return nil
	})
}

// What one dimension changes is never answered from what another value left.
func TestEveryDimensionSeparates(t *testing.T) {
	base := tuple{
		"domain": testIssuer, "client": "client", "audience": testAudience, "sub": "auth0|a", "org_id": "org_1",
		"azp": "agent", "client_id": "agent", "connection": "google-oauth2", "hint": "1",
	}
	name := func(c *Client, caller *AccessToken, req Request) flightName {
		q, err := c.question(caller, req, time.Time{})
		if err != nil {
			t.Fatal(err)
		}
		return flightName{key: q.key}
	}
	key := func(p tuple) flightName {
		c := newTenant().client(t, Config{Domain: p["domain"], ClientID: p["client"], Audience: p["audience"]})
		return name(c, p.caller(t, 1), Request{Connection: p["connection"], LoginHint: p["hint"]})
	}
	seen := []flightName{key(base)}
	for name := range base {
		changed := tuple{}
		for k, v := range base {
			changed[k] = v
		}
		changed[name] = "https://another.example.com/"
		k := key(changed)
		if slices.Contains(seen, k) {
			t.Errorf("%s is not part of the key", name)
		}
		seen = append(seen, k)
	}
	again := newTenant().client(t, Config{ClientID: "client"})
	caller := base.caller(t, 2) // another token of the same user
	if name(again, caller, Request{Connection: "google-oauth2", LoginHint: "1", Scopes: []string{"x"}}) != seen[0] {
		t.Error("the same question has another key")
	}
}

func TestConflictingClientsShareNothingWithEither(t *testing.T) {
	agents := map[unique.Handle[agent]]bool{}
	for _, p := range []tuple{
		{"sub": "s", "azp": "a", "client_id": "b"},
		{"sub": "s", "azp": "b", "client_id": "a"},
		{"sub": "s", "azp": "a"},
		{"sub": "s", "client_id": "b"},
		{"sub": "s"},
		{"sub": "s", "azp": "ab"},
	} {
		agents[p.caller(t, 0).agent] = true
	}
	if len(agents) != 6 {
		t.Errorf("%d agents, want 6", len(agents))
	}
}

func TestJoinedKeysDifferWheneverTheirPartsDo(t *testing.T) {
	lists := [][]string{{}, {""}, {"", ""}, {"a"}, {"a", ""}, {"", "a"}, {"ab"}, {"a", "b"}, {"1:a"}, {"a1:b"}, {"a", "1:b"}, {"a1", "b"}, {"2:ab"}}
	seen := map[string]bool{}
	for _, parts := range lists {
		seen[joinKey(parts...)] = true
	}
	if len(seen) != len(lists) {
		t.Errorf("%d keys for %d lists", len(seen), len(lists))
	}
}

func TestARequestWithoutConnectionAsksNobody(t *testing.T) {
	s := newTenant()
	if _, err := s.client(t, Config{}).Token(t.Context(), alice(t, "raw"), Request{}); err == nil {
		t.Error("no error")
	}
	s.asked(t, 0)
}
