package vault

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// A stored is an account at the vault as Auth0 keeps it: a token is given, with
// what is left of its life in whole seconds, until it ends or is about to by
// leeway; only then there is another one.
type stored struct {
	life, leeway time.Duration
	takes        time.Duration // to answer

	mu     sync.Mutex
	issued int
	ends   time.Time
}

func (s *stored) handle(w http.ResponseWriter, r *http.Request) {
	time.Sleep(s.takes)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !time.Now().Add(s.leeway).Before(s.ends) {
		s.issued++
		s.ends = time.Now().Add(s.life)
	}
	left := int64(time.Until(s.ends) / time.Second)
	minting(object{"access_token": fmt.Sprint("token ", s.issued), "expires_in": left})(w, r)
}

// traffic is a call every 100 ms for that long.
type traffic struct {
	waits   []time.Duration // of those that waited
	ended   int             // calls that got a token after its end
	failed  int
	longest time.Duration
}

func (s *stored) traffic(t *testing.T, c *Client, caller *AccessToken, d time.Duration) (seen traffic) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		began := time.Now()
		token, err := c.Token(t.Context(), caller, calendar)
		if err != nil {
			seen.failed++
			continue
		}
		if wait := time.Since(began); wait > 0 {
			seen.waits = append(seen.waits, wait)
			seen.longest = max(seen.longest, wait)
		}
		s.mu.Lock()
		if token.Reveal() != fmt.Sprint("token ", s.issued) || !time.Now().Before(s.ends) {
			seen.ended++
		}
		s.mu.Unlock()
	}
	return seen
}

// Auth0 has no newer token before the one it has stored ends. That is found out
// once; from then on an end costs what it has to.
func TestTenExpiriesWhereTheVaultRenewsAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const life, exchange = time.Hour, 50 * time.Millisecond
		s, account := newTenant(), &stored{life: life, takes: exchange}
		s.serveVault(account.handle)
		c, caller := s.client(t, Config{MaxAge: 2 * life}), callerWith(t, "raw", object{"exp": seconds(time.Now()) + 1e6})
		seen := account.traffic(t, c, caller, 10*life+10*time.Second)
		if seen.failed+seen.ended > 0 {
			t.Errorf("%d failed, %d tokens were over", seen.failed, seen.ended)
		}
		// One asks at the end in whole seconds, which is up to a second early, and
		// others twice within that second.
		if seen.longest > lastSecond+exchange {
			t.Errorf("somebody waited for %v", seen.longest)
		}
		if n := s.exchanges(); n > 1+1+3*10 {
			t.Errorf("%d exchanges", n)
		}
	})
}

func TestTenExpiriesWhereTheVaultRenewsEarlier(t *testing.T) {
	bubble(t, func(t *testing.T) {
		const life = time.Hour
		s, account := newTenant(), &stored{life: life, leeway: time.Minute, takes: 50 * time.Millisecond}
		s.serveVault(account.handle)
		c, caller := s.client(t, Config{MaxAge: 2 * life}), callerWith(t, "raw", object{"exp": seconds(time.Now()) + 1e6})
		seen := account.traffic(t, c, caller, 10*life)
		if seen.failed+seen.ended > 0 {
			t.Errorf("%d failed, %d tokens were over", seen.failed, seen.ended)
		}
		if len(seen.waits) != 1 {
			t.Errorf("waits: %v, want one, for the first token", seen.waits)
		}
		s.asked(t, 11)
	})
}

// endless gives tokens whose end the vault does not tell.
var endless = minting(object{"expires_in": nil})

// A token without end is confirmed before max_age is over.
func TestNobodyWaitsForMaxAge(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(after(time.Second, endless))
		c, caller := s.client(t, Config{MaxAge: time.Hour}), alice(t, "raw")
		waited := 0
		for range 10 * 60 * 6 {
			began := time.Now()
			mustToken(t, c, caller, calendar)
			if time.Since(began) > 0 {
				waited++
			}
			time.Sleep(10 * time.Second)
		}
		if n := s.exchanges(); waited != 1 || n < 10 || n > 12 {
			t.Errorf("%d waited, %d exchanges", waited, n)
		}
	})
}

func TestWhoRenewsUsesItsOwnAccessToken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(endless)
		c := s.client(t, Config{})
		first := mustToken(t, c, alice(t, "first"), calendar)
		time.Sleep(DefaultMaxAge - time.Second)
		if mustToken(t, c, alice(t, "second"), calendar) != first {
			t.Error("the second had to wait")
		}
		time.Sleep(time.Second)
		if got := mustToken(t, c, alice(t, "third"), calendar).Reveal(); got != "second/google-oauth2/" {
			t.Errorf("renewed by %s", got)
		}
		s.asked(t, 2)
	})
}

func TestManyWhoMayRenewAskOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(endless)
		c := s.client(t, Config{})
		mustToken(t, c, alice(t, "raw"), calendar)
		s.serveVault(after(time.Second, mint))
		time.Sleep(DefaultMaxAge - time.Second)
		together(1000, func(int) any { return mustToken(t, c, alice(t, "raw"), calendar) })
		s.asked(t, 2)
	})
}

func TestARenewalThatFailsCostsNobodyTheirToken(t *testing.T) {
	for name, failure := range map[string]http.HandlerFunc{
		"server error": answering(500, ""), "throttled": answering(429, ""), "misconfigured": refusal(403, "unauthorized_client"),
		"subject refused": refusal(401, "invalid_grant"), "step up": refusal(403, "mfa_required"), "denied": refusal(403, "access_denied"),
		"senseless": answering(200, "{}"), "timeout": blackHole,
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				s.serveVault(endless)
				c, caller := s.client(t, Config{MaxAge: time.Hour, Timeout: 2 * time.Second}), alice(t, "raw")
				mustToken(t, c, caller, calendar)
				s.serveVault(failure)
				for range 59 * 60 {
					time.Sleep(time.Second)
					gets(t, c, caller, calendar, "ok")
				}
				if n := s.exchanges(); n < 2 || n > 30 {
					t.Errorf("%d exchanges", n)
				}
				time.Sleep(time.Minute) // it does not live longer for it
				if _, err := c.Token(t.Context(), caller, calendar); err == nil {
					t.Error("a token lives on beyond max_age")
				}
			})
		})
	}
}

func TestARenewalThatFindsNothingConnectedEndsTheToken(t *testing.T) {
	for code, want := range map[string]string{notConnected: "link_required", "federated_connection_refresh_token_flow_failed": "relink_required"} {
		bubble(t, func(t *testing.T) {
			s := newTenant()
			s.serveVault(endless)
			c, caller := s.client(t, Config{}), alice(t, "raw")
			mustToken(t, c, caller, calendar)
			s.serveVault(refusal(401, code))
			time.Sleep(DefaultMaxAge - time.Second)
			gets(t, c, caller, calendar, "ok") // and asks
			time.Sleep(time.Millisecond)
			gets(t, c, caller, calendar, want+"/"+code)
		})
	}
}

func TestARenewalIsNotKeptOnceTheAccountIsForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(endless)
		c, caller := s.client(t, Config{}), alice(t, "raw")
		mustToken(t, c, caller, calendar)
		s.serveVault(after(time.Second, mint))
		time.Sleep(DefaultMaxAge - 2*time.Second)
		mustToken(t, c, caller, calendar) // and asks
		c.Forget("auth0|alice", "google-oauth2")
		time.Sleep(time.Second + time.Millisecond)
		s.serveVault(refusal(401, notConnected))
		gets(t, c, caller, calendar, "link_required/"+notConnected)
	})
}

// Ten thousand users who all began in the same second do not come back in one.
func TestRenewalsAreSpreadOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(endless)
		c := s.client(t, Config{TenantBudget: 1e6})
		var mu sync.Mutex
		seconds := map[time.Duration]int{}
		began := time.Now()
		callers := make([]*AccessToken, 1000)
		for i := range callers {
			callers[i] = callerWith(t, "raw", object{"sub": fmt.Sprint("user ", i)})
			mustToken(t, c, callers[i], calendar)
		}
		s.serveVault(func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			seconds[time.Since(began).Round(10*time.Second)]++
			mu.Unlock()
			endless(w, r)
		})
		time.Sleep(50 * time.Minute)
		for range 10 * 60 {
			time.Sleep(time.Second)
			for _, caller := range callers {
				mustToken(t, c, caller, calendar)
			}
		}
		mu.Lock()
		defer mu.Unlock()
		for at, n := range seconds {
			if n > 150 {
				t.Errorf("%d renewals in ten seconds at %v", n, at)
			}
		}
		s.asked(t, 2000)
	})
}

// What a renewal says when it fails must not hold up those who need a token.
func TestARenewalThatFailsAfterARejectHoldsUpNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(endless)
		c, caller := s.client(t, Config{}), alice(t, "raw")
		token := mustToken(t, c, caller, calendar)
		time.Sleep(DefaultMaxAge * 19 / 20)
		s.serveVault(after(time.Second, answering(500, "")))
		mustToken(t, c, caller, calendar) // and asks
		rejects(t, c, token, true)
		time.Sleep(2 * time.Second)
		s.serveVault(mint)
		began := time.Now()
		gets(t, c, caller, calendar, "ok")
		if wait := time.Since(began); wait > 0 {
			t.Errorf("it took %v", wait)
		}
	})
}
