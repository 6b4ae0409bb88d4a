package vault

import (
	"fmt"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

func TestATokenIsKeptUntilShortlyBeforeItsEnd(t *testing.T) {
	const day = 24 * time.Hour
	for _, tt := range []struct {
		name   string
		life   any
		maxAge time.Duration
		kept   time.Duration // 0: not at all
	}{
		{"its life less the margin", 60, 0, 55 * time.Second},
		{"the default maximum", 86400, 0, time.Hour},
		{"a configured maximum", 3600, time.Minute, time.Minute},
		{"a maximum that is longer than its life", 60, day, 55 * time.Second},
		{"no life said: the maximum", nil, 2 * time.Minute, 2 * time.Minute},
		{"a life of ages", 1e18, 0, time.Hour},
		{"a life within the margin", 5, 0, 0},
		{"a life of one more second", 6, 0, time.Second},
		{"no life", 0, 0, 0},
		{"a life that is over", -1, 0, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				life := tt.life
				if f, ok := life.(float64); ok {
					life = int64(f)
				}
				s.serveVault(minting(object{"expires_in": life}))
				c, caller := s.client(t, Config{MaxAge: tt.maxAge}), alice(t, "raw")
				gets(t, c, caller, calendar, "ok")
				if tt.kept > 0 {
					time.Sleep(tt.kept - time.Nanosecond)
					s.serveVault(after(time.Millisecond, minting(object{"expires_in": life})))
					began := time.Now()
					gets(t, c, caller, calendar, "ok") // and may ask for what comes next
					if time.Since(began) > 0 {
						t.Error("it was not kept")
					}
					time.Sleep(time.Nanosecond)
				}
				gets(t, c, caller, calendar, "ok")
				s.asked(t, 2)
			})
		})
	}
}

// A token's life counts from when it was asked for, not from when it came.
func TestASlowAnswerIsOldAlready(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(after(8*time.Second, minting(object{"expires_in": 12})))
		c, caller := s.client(t, Config{}), alice(t, "raw")
		gets(t, c, caller, calendar, "ok")
		gets(t, c, caller, calendar, "ok")
		s.asked(t, 2)
	})
}

func TestATokenToBeUsedOnceReplacesAKeptOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, caller := s.client(t, Config{}), alice(t, "raw")
		gets(t, c, caller, calendar, "ok")
		time.Sleep(linkMaxAge + 1)
		s.serveVault(minting(object{"expires_in": 0, "scope": "calendar mail"}))
		more := Request{Connection: "google-oauth2", Scopes: []string{"mail"}}
		gets(t, c, caller, more, "ok")
		s.asked(t, 2)
		gets(t, c, caller, calendar, "ok")
		s.asked(t, 3)
	})
}

func TestAFailureDoesNotCostAKeptAnswer(t *testing.T) {
	for name, failure := range map[string]http.HandlerFunc{
		"server error": answering(500, ""), "throttled": answering(429, ""), "misconfigured": refusal(403, "unauthorized_client"),
		"subject refused": refusal(401, "invalid_grant"), "senseless": answering(200, "{}"), "timeout": blackHole,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				c, caller := s.client(t, Config{}), alice(t, "raw")
				gets(t, c, caller, calendar, "ok")
				time.Sleep(linkMaxAge + 1)
				s.serveVault(failure)
				_, err := c.Token(t.Context(), caller, Request{Connection: "google-oauth2", Scopes: []string{"mail"}})
				if err == nil {
					t.Error("no error")
				}
				s.asked(t, 2)
				gets(t, c, caller, calendar, "ok")
				s.asked(t, 2)
			})
		})
	}
}

func TestFailuresAreNotRemembered(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(answering(500, ""))
		c, caller := s.client(t, Config{}), alice(t, "raw")
		gets(t, c, caller, calendar, "vault_unavailable/server_error")
		s.serveVault(mint)
		gets(t, c, caller, calendar, "ok")
	})
}

// holding answers one exchange only when it is let go.
func holding(release chan struct{}, h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) { <-release; h(w, r) }
}

func TestForgetDropsOneUsersAccountAndNothingElse(t *testing.T) {
	s := newTenant()
	c := s.client(t, Config{})
	same := []struct {
		claims object
		hint   string
	}{{nil, ""}, {object{"azp": "other"}, ""}, {object{"azp": nil, "client_id": "x"}, ""}, {object{"org_id": "org_1"}, ""}, {nil, "hint"}}
	others := []struct {
		claims     object
		connection string
	}{{object{"sub": "auth0|bob"}, "google-oauth2"}, {nil, "github"}, {object{"sub": "auth0|alice2"}, "google-oauth2"}}
	ask := func() {
		for _, e := range same {
			mustToken(t, c, callerWith(t, "raw", e.claims), Request{Connection: "google-oauth2", LoginHint: e.hint})
		}
		for _, e := range others {
			mustToken(t, c, callerWith(t, "raw", e.claims), Request{Connection: e.connection})
		}
	}
	ask()
	ask()
	s.asked(t, len(same)+len(others))
	c.Forget("auth0|alice", "google-oauth2")
	ask()
	s.asked(t, 2*len(same)+len(others))
	s.client(t, Config{Domain: "other.example.com", Cache: c.cache}).Forget("auth0|alice", "google-oauth2")
	ask()
	s.asked(t, 2*len(same)+len(others))
	s.client(t, Config{Audience: "x", ClientID: "x", Cache: c.cache}).Forget("auth0|alice", "google-oauth2")
	ask()
	s.asked(t, 3*len(same)+len(others))
}

func TestForgetUserDropsAllAccountsOfOneUserAndNothingElse(t *testing.T) {
	s := newTenant()
	c := s.client(t, Config{})
	other := s.client(t, Config{Domain: "other.example.com", Cache: c.cache})
	ask := func() {
		for _, connection := range []string{"google-oauth2", "github"} {
			mustToken(t, c, alice(t, "raw"), Request{Connection: connection})
			mustToken(t, c, callerWith(t, "raw", object{"org_id": "org_1", "azp": "x"}), Request{Connection: connection, LoginHint: "hint"})
			mustToken(t, c, callerWith(t, "raw", object{"sub": "auth0|bob"}), Request{Connection: connection})
			mustToken(t, other, alice(t, "raw"), Request{Connection: connection})
		}
	}
	ask()
	s.asked(t, 8)
	c.ForgetUser("auth0|alice")
	if entries, inOrder, _ := kept(c.cache); entries != 4 || inOrder != 4 || c.cache.answers.count != 4 {
		t.Errorf("%d entries are left, %d in order, %d counted", entries, inOrder, c.cache.answers.count)
	}
	ask()
	s.asked(t, 12)
	c.ForgetUser("auth0|nobody")
	ask()
	s.asked(t, 12)
}

func TestWhatAForgottenFlightBringsIsAnsweredButNotKept(t *testing.T) {
	for name, forget := range map[string]func(*Client){
		"the account": func(c *Client) { c.Forget("auth0|alice", "google-oauth2") },
		"the user":    func(c *Client) { c.ForgetUser("auth0|alice") },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) { forgetDuringAFlight(t, forget) })
		})
	}
}

func forgetDuringAFlight(t *testing.T, forget func(*Client)) {
	s := newTenant()
	release := make(chan struct{})
	s.serveVault(holding(release, minting(object{"access_token": "old"})))
	c, caller := s.client(t, Config{}), alice(t, "raw")
	old := make(chan string)
	go func() { old <- mustToken(t, c, caller, calendar).Reveal() }()
	synctest.Wait()
	forget(c)

	s.serveVault(minting(object{"access_token": "new"}))
	if got := mustToken(t, c, caller, calendar).Reveal(); got != "new" {
		t.Errorf("after it was forgotten: got the %s token: joined a flight from before", got)
	}
	close(release)
	if got := <-old; got != "old" {
		t.Errorf("the flight from before brought the %s token", got)
	}
	if got := mustToken(t, c, caller, calendar).Reveal(); got != "new" {
		t.Errorf("kept the %s token", got)
	}
	s.asked(t, 2)
}

func TestAForgottenFlightLeavesNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(after(time.Second, mint))
		c, caller := s.client(t, Config{}), alice(t, "raw")
		go func() { _, _ = c.Token(t.Context(), caller, calendar) }()
		synctest.Wait()
		c.Forget("auth0|alice", "google-oauth2")
		time.Sleep(2 * time.Second)
		gets(t, c, caller, calendar, "ok")
		s.asked(t, 2)
		if _, _, flights := kept(c.cache); flights != 0 {
			t.Errorf("%d flights are left", flights)
		}
	})
}

func TestRejectDropsATokenOnceAMinute(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, caller := s.client(t, Config{}), alice(t, "raw")
		first := mustToken(t, c, caller, calendar)
		bob := mustToken(t, c, callerWith(t, "bob", object{"sub": "auth0|bob"}), calendar)
		rejects(t, c, first, true)
		rejects(t, c, first, false) // it is gone already, and nobody has asked yet
		again := mustToken(t, c, caller, calendar)
		s.asked(t, 3)
		rejects(t, c, first, false) // the vault gave the same again
		rejects(t, c, again, false)
		time.Sleep(rejectInterval - 1)
		rejects(t, c, again, false)
		time.Sleep(1)
		rejects(t, c, again, true)
		rejects(t, c, bob, true) // another entry has a minute of its own
		mustToken(t, c, caller, calendar)
		s.asked(t, 4)
	})
}

func rejects(t *testing.T, c *Client, token *Token, want bool) {
	t.Helper()
	if got := c.Reject(token); got != want {
		t.Errorf("Reject says %t, want %t", got, want)
	}
}

func TestThatARejectedTokensAccountIsNotConnectedIsRememberedToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, caller := s.client(t, Config{}), alice(t, "raw")
		token := mustToken(t, c, caller, calendar)
		rejects(t, c, token, true)
		s.serveVault(refusal(401, notConnected))
		for range 10 {
			gets(t, c, caller, calendar, "link_required/"+notConnected)
			rejects(t, c, token, false) // that the account is not connected stays known
		}
		s.asked(t, 2)
		time.Sleep(linkMaxAge)
		gets(t, c, caller, calendar, "link_required/"+notConnected)
		s.asked(t, 3)
		s.serveVault(mint)
		time.Sleep(linkMaxAge)
		gets(t, c, caller, calendar, "ok")
		gets(t, c, caller, calendar, "ok")
		s.asked(t, 4)
	})
}

// Several requests may have been sent with a token that is no longer the one.
func TestATokenThatIsNoLongerTheOneIsNotDropped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, caller := s.client(t, Config{}), alice(t, "raw")
		first := mustToken(t, c, caller, calendar)
		rejects(t, c, first, true)
		s.serveVault(answering(200, mustJSON(grant("renewed", nil))))
		mustToken(t, c, caller, calendar)
		time.Sleep(rejectInterval)
		rejects(t, c, first, false)
		gets(t, c, caller, calendar, "ok")
		s.asked(t, 2)
	})
}

func TestATokenToBeUsedOnceIsRejectedOnceAMinuteToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(minting(object{"expires_in": 0}))
		c, caller := s.client(t, Config{}), alice(t, "raw")
		rejects(t, c, mustToken(t, c, caller, calendar), true)
		for range 100 {
			rejects(t, c, mustToken(t, c, caller, calendar), false)
		}
		rejects(t, c, &Token{}, false)
	})
}

func TestTheAnswerUsedLeastRecentlyGoesFirst(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c := s.client(t, Config{MaxEntries: 3})
		ask := func(sub string) {
			mustToken(t, c, callerWith(t, sub, object{"sub": sub}), calendar)
			time.Sleep(1)
		}
		ask("a")
		ask("b")
		ask("c")
		ask("a") // used again
		ask("d") // b has to go
		s.asked(t, 4)
		ask("a")
		ask("c")
		ask("d")
		s.asked(t, 4)
		ask("b")
		s.asked(t, 5)
	})
}

func TestMemoryIsBoundedByMaxEntries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c := s.client(t, Config{MaxEntries: 10, TenantBudget: 1e6})
		for i := range 500 {
			sub := fmt.Sprint("user-", i)
			token := mustToken(t, c, callerWith(t, sub, object{"sub": sub}), calendar)
			if i%3 == 0 {
				c.Reject(token)
			}
			if i%7 == 0 {
				c.Forget(sub, "google-oauth2")
			}
		}
		synctest.Wait() // room is made after the callers have their answer
		entries, inOrder, flights := kept(c.cache)
		if entries > 10 || inOrder != entries || c.cache.answers.count != entries || flights > 0 {
			t.Errorf("%d entries, %d in order, %d counted, %d flights", entries, inOrder, c.cache.answers.count, flights)
		}
	})
}

func TestClientsOverOneCacheKeepWhatTheyKnow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, cache := newTenant(), NewCache()
		gets(t, s.client(t, Config{Cache: cache}), alice(t, "raw"), calendar, "ok")
		after := s.client(t, Config{Cache: cache, ClientSecret: NewSecret("rotated")})
		gets(t, after, alice(t, "another raw"), calendar, "ok")
		s.asked(t, 1)
		cache.CloseIdleConnections()
	})
}

// Settings belong to the configuration that states them, whatever was kept under
// another.
func TestAShorterMaxAgeCountsForWhatIsKeptAlready(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s, cache := newTenant(), NewCache()
		before, caller := s.client(t, Config{Cache: cache}), alice(t, "raw")
		gets(t, before, caller, calendar, "ok")
		time.Sleep(10 * time.Minute)
		after := s.client(t, Config{Cache: cache, MaxAge: 5 * time.Minute})
		gets(t, before, caller, calendar, "ok")
		s.asked(t, 1)
		gets(t, after, caller, calendar, "ok")
		s.asked(t, 2)
	})
}

// An exchange that began before the provider said no may bring the very token that
// it said no to.
func TestWhatWasAskedBeforeARejectIsNotKept(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(endless)
		c, caller := s.client(t, Config{}), alice(t, "raw")
		token := mustToken(t, c, caller, calendar)
		time.Sleep(DefaultMaxAge * 19 / 20)
		s.serveVault(after(time.Second, endless))
		mustToken(t, c, caller, calendar) // and renews
		rejects(t, c, token, true)
		s.serveVault(answering(200, mustJSON(grant("another", nil))))
		if got := mustToken(t, c, caller, calendar).Reveal(); got != "another" {
			t.Errorf("got %s", got)
		}
		time.Sleep(2 * time.Second)
		if got := mustToken(t, c, caller, calendar).Reveal(); got != "another" {
			t.Errorf("got %s when the older exchange had ended", got)
		}
	})
}
