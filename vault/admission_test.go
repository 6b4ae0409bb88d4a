package vault

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// spending asks n times for what is not kept, and returns how many were let
// through and what the first refusal said.
func spending(t *testing.T, c *Client, caller *AccessToken, n int) (passed int, first *Error) {
	t.Helper()
	for range n {
		_, err := c.Token(t.Context(), caller, calendar)
		if err == nil {
			passed++
		} else if e := refused(t, err, CodeThrottled); first == nil {
			first = e
		}
	}
	return passed, first
}

func TestAnAgentMaySpendItsBudgetForAUserAndNoMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(minting(object{"expires_in": 0}))
		c, caller := s.client(t, Config{UserBudget: 6}), alice(t, "raw")
		passed, e := spending(t, c, caller, 20)
		if passed != 6 || e.Reason != "user_budget" || e.RetryAfter != 10*time.Second || e.Status != 0 {
			t.Errorf("%d passed, then %v after %v", passed, e, e.RetryAfter)
		}
		s.asked(t, 6)
		for name, other := range map[string]object{
			"another user":  {"sub": "auth0|bob"},
			"another agent": {"azp": "other"},
		} {
			if passed, _ := spending(t, c, callerWith(t, "raw", other), 6); passed != 6 {
				t.Errorf("%s: %d passed", name, passed)
			}
		}
		time.Sleep(e.RetryAfter - time.Nanosecond)
		if passed, _ := spending(t, c, caller, 3); passed != 0 {
			t.Error("the budget was whole too early")
		}
		time.Sleep(time.Nanosecond)
		if passed, _ := spending(t, c, caller, 3); passed != 1 {
			t.Errorf("%d passed when RetryAfter was over", passed)
		}
		time.Sleep(time.Hour)
		if passed, _ := spending(t, c, caller, 20); passed != 6 {
			t.Errorf("%d passed after an hour", passed)
		}
	})
}

func TestAnswersFromMemoryCostNoBudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newTenant().client(t, Config{UserBudget: 1, TenantBudget: 1})
		if passed, _ := spending(t, c, alice(t, "raw"), 1000); passed != 1000 {
			t.Errorf("%d passed", passed)
		}
	})
}

func TestAllCallersTogetherMaySpendTheTenantsBudgetAndNoMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		cache := NewCache()
		c := s.client(t, Config{TenantBudget: 2, Cache: cache})
		passed := 0
		var last *Error
		for i := range 50 {
			sub := fmt.Sprint("user-", i)
			n, e := spending(t, c, callerWith(t, sub, object{"sub": sub}), 1)
			passed += n
			last = e
		}
		if passed != 20 || last.Reason != "tenant_budget" || last.RetryAfter != time.Second/2 {
			t.Errorf("%d passed, then %v after %v", passed, last, last.RetryAfter)
		}
		s.asked(t, 20)
		other := s.client(t, Config{TenantBudget: 2, Cache: cache, Domain: "other.example.com"})
		if passed, _ := spending(t, other, alice(t, "raw"), 1); passed != 1 {
			t.Error("another tenant paid for it")
		}
		verifies(t, c, goodToken(nil), "ok") // keys are asked for so rarely that they cost nothing
		time.Sleep(time.Second)
		if passed, _ := spending(t, c, alice(t, "raw"), 1); passed != 1 {
			t.Error("a second later nothing passed")
		}
	})
}

// Who reloads a page, or sends made-up codes to one, leaves agents their exchanges,
// and the others their pages.
func TestPagesSpendAQuarterOfTheTenantsBudgetAndSignInsAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c := s.client(t, Config{TenantBudget: 8, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			if r.URL.Path == "/oauth/token" {
				return s.RoundTrip(r)
			}
			return handled(answering(200, "{}"), r)
		})})
		for name, ask := range map[string]func() error{
			"pages":    func() error { _, err := c.Call(request(t, testIssuer+"me/v1/connected-accounts/accounts")); return err },
			"sign-ins": func() error { return closed(c.HTTPClient().Do(request(t, testIssuer+"userinfo"))) },
		} {
			passed := 0
			for range 100 {
				if err := ask(); err == nil {
					passed++
				} else if e := refused(t, err, CodeThrottled); e.Reason != "tenant_budget" || e.RetryAfter != time.Second/2 {
					t.Errorf("%s: %v after %v", name, e, e.RetryAfter)
				}
			}
			if passed != 20 {
				t.Errorf("%d %s passed", passed, name)
			}
		}
		for _, caller := range others(t, 40) {
			gets(t, c, caller, calendar, "ok")
		}
	})
}

// passing counts how many of the calls that one address makes at this rate, for that
// time, are let through.
func passing(t *testing.T, c *Client, address string, perSecond int, d time.Duration) (passed, refused int) {
	t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); time.Sleep(time.Second / time.Duration(perSecond)) {
		req := request(t, testIssuer+"userinfo")
		if closed(c.HTTPClient().Do(req.WithContext(WithShare(req.Context(), address)))) == nil {
			passed++
		} else {
			refused++
		}
	}
	return passed, refused
}

func TestOneAddressTakesAllWhileItIsAloneAndKeepsNobodyOut(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newTenant().client(t, Config{TenantBudget: 80, Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			return handled(answering(200, "{}"), r)
		})})
		passing(t, c, "hostile", 95, time.Minute) // until nothing is saved up
		if passed, _ := passing(t, c, "hostile", 95, time.Minute); passed < 19*60 || passed > 21*60 {
			t.Errorf("alone it got %d through in a minute, of 20 a second", passed)
		}
		var hostile int
		var everybody sync.WaitGroup
		everybody.Go(func() { hostile, _ = passing(t, c, "hostile", 95, time.Minute) })
		for i := range 14 {
			everybody.Go(func() {
				if _, refused := passing(t, c, fmt.Sprint("person ", i), 1, time.Minute); refused > 0 {
					t.Errorf("one of the others was refused %d times", refused)
				}
			})
		}
		everybody.Wait()
		if hostile < 5*60 || hostile > 7*60 {
			t.Errorf("beside the others it got %d through in a minute", hostile)
		}
	})
}

func TestWhoeverIsNotNamedHasNoShare(t *testing.T) {
	if name := shareOf(t.Context()); name != "" {
		t.Error(name)
	}
	if name := shareOf(WithShare(t.Context(), "203.0.113.7")); name != "203.0.113.7" {
		t.Error(name)
	}
}

func TestDefaultBudgets(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(minting(object{"expires_in": 0}))
		if passed, _ := spending(t, s.client(t, Config{}), alice(t, "raw"), 400); passed != DefaultUserBudget {
			t.Errorf("%d passed", passed)
		}
	})
}

func TestRememberedBudgetsAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var b budgets
		for i := range maxBudgets {
			b.spend(spender{name: fmt.Sprint("one-time-", i)}, 1, 10)
		}
		b.spend(spender{name: "looping"}, 1, 10)
		if n := len(b.buckets); n != maxBudgets { // one made room
			t.Errorf("%d budgets while all are being spent", n)
		}
		for range 9 {
			b.spend(spender{name: "looping"}, 1, 10)
		}
		time.Sleep(time.Second) // all are whole again, but for one
		b.spend(spender{name: "new"}, 1, 10)
		if n := len(b.buckets); n > 3 {
			t.Errorf("%d budgets, of which two are not whole", n)
		}
		if b.spend(spender{name: "looping"}, 1, 10) != 0 || b.spend(spender{name: "looping"}, 1, 10) == 0 {
			t.Error("a budget that is not whole was forgotten")
		}
	})
}

func TestBudgetsOfUsersWhoDoNotComeBackAreForgotten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var b budgets
		for i := range 20 * minSweep {
			b.spend(spender{name: fmt.Sprint("one-time-", i)}, 1, 10)
			time.Sleep(time.Second)
		}
		if n := len(b.buckets); n > minSweep {
			t.Errorf("%d budgets", n)
		}
	})
}
