package vault

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// others are callers of as many users.
func others(t *testing.T, n int) []*AccessToken {
	t.Helper()
	callers := make([]*AccessToken, n)
	for i := range callers {
		callers[i] = callerWith(t, fmt.Sprint("raw ", i), object{"sub": fmt.Sprint("auth0|user ", i)})
	}
	return callers
}

func TestATenantThatSays429IsLeftAloneByAll(t *testing.T) {
	for name, headers := range map[string]func() map[string]string{
		"Retry-After": func() map[string]string { return map[string]string{"Retry-After": "7", "X-Ratelimit-Reset": "1"} },
		"x-ratelimit-reset": func() map[string]string {
			return map[string]string{"X-Ratelimit-Reset": fmt.Sprint(time.Now().Unix() + 7)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, cache := newTenant(), NewCache()
				c := s.client(t, Config{Cache: cache})
				warm := alice(t, "raw")
				mustToken(t, c, warm, calendar)
				throttled := func(w http.ResponseWriter, _ *http.Request) {
					for name, value := range headers() {
						w.Header().Set(name, value)
					}
					w.WriteHeader(429)
				}
				s.serveVault(throttled)
				everybody := others(t, 50)
				another := s.client(t, Config{Cache: cache, Audience: "https://other.example.com/", ClientID: "another"})
				_, err := c.Token(t.Context(), everybody[0], calendar)
				if got := refused(t, err, CodeThrottled).RetryAfter; got != 7*time.Second {
					t.Errorf("RetryAfter %v", got)
				}
				for range 6 {
					time.Sleep(time.Second)
					for _, caller := range everybody {
						_, err := another.Token(t.Context(), caller, calendar)
						refused(t, err, CodeThrottled)
					}
					_, err := another.Call(request(t, testIssuer+"oauth/par"))
					refused(t, err, CodeThrottled)
					gets(t, c, warm, calendar, "ok")
				}
				s.asked(t, 2)
				time.Sleep(2 * time.Second) // with the jitter
				s.serveVault(after(100*time.Millisecond, mint))
				passed := 0
				for _, err := range together(50, func(i int) error { _, err := c.Token(t.Context(), everybody[i], calendar); return err }) {
					if err == nil {
						passed++
					}
				}
				if passed != 1 {
					t.Errorf("%d asked at once when the time was over", passed)
				}
				for _, caller := range everybody {
					gets(t, c, caller, calendar, "ok")
				}
			})
		})
	}
}

func request(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func TestA429IsHeardWhoeverGetsIt(t *testing.T) {
	for name, ask := range map[string]func(t *testing.T, c *Client) error{
		"Call": func(t *testing.T, c *Client) error { _, err := c.Call(request(t, testIssuer+"oauth/par")); return err },
		"HTTPClient": func(t *testing.T, c *Client) error {
			resp, err := c.HTTPClient().Do(request(t, testIssuer+"userinfo"))
			return closed(resp, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				asked := 0
				c := newTenant().client(t, Config{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					asked++
					return handled(answering(429, ""), r)
				})})
				_ = ask(t, c)
				_, err := c.Token(t.Context(), alice(t, "raw"), calendar)
				refused(t, err, CodeThrottled)
				_ = ask(t, c)
				if asked != 1 {
					t.Errorf("the tenant was asked %d times", asked)
				}
			})
		})
	}
}

// Whoever looks at pages that ask these must not keep agents from their tokens. The
// Management API takes two calls a second on some plans.
func TestA429OfAnAPIWithItsOwnLimitIsAboutItAlone(t *testing.T) {
	for name, path := range map[string]string{
		"the Management API": "api/v2/users/auth0%7Calice", "the My Account API": "me/v1/connected-accounts/accounts",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s, asked := newTenant(), 0
				c := s.client(t, Config{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					if r.URL.Path == "/oauth/token" {
						return s.RoundTrip(r)
					}
					asked++
					return handled(answering(429, ""), r)
				})})
				ask := func() error { _, err := c.Call(request(t, testIssuer+path)); return err }
				refused(t, ask(), CodeThrottled)
				mustToken(t, c, alice(t, "raw"), calendar)
				refused(t, ask(), CodeThrottled)
				if asked != 1 {
					t.Errorf("it was asked %d times", asked)
				}
			})
		})
	}
}

func closed(resp *http.Response, err error) error {
	if err == nil {
		err = resp.Body.Close()
	}
	return err
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// While the tenant fails, new users are answered at once, those with a token are
// served, and a few calls a second notice when it is back.
func TestATenantThatFailsIsAskedByFew(t *testing.T) {
	for name, outage := range map[string]http.HandlerFunc{"it answers 503": answering(503, ""), "it never answers": blackHole} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				c := s.client(t, Config{Timeout: 2 * time.Second})
				warm := alice(t, "raw")
				mustToken(t, c, warm, calendar)
				s.serveVault(outage)
				everybody := others(t, 3000)
				began := s.exchanges()
				for second := range 30 {
					before := s.exchanges()
					for i := range 100 {
						go func() {
							start := time.Now()
							if _, err := c.Token(t.Context(), everybody[100*second+i], calendar); err == nil {
								t.Error("a token out of nothing")
							}
							if took := time.Since(start); took > 2*time.Second {
								t.Errorf("an answer took %v", took)
							}
						}()
						time.Sleep(10 * time.Millisecond)
					}
					gets(t, c, warm, calendar, "ok")
					// Nothing tells that calls hang before the first one has hung for long enough.
					if n := s.exchanges() - before; n > 10 && (name == "it answers 503" || second > 3) {
						t.Errorf("%d calls in second %d", n, second)
					}
				}
				if n := s.exchanges() - began; n < 30 {
					t.Errorf("%d calls in 30 seconds: who notices that it is back?", n)
				}
				s.serveVault(mint)
				back := time.Now()
				for ; ; time.Sleep(10 * time.Millisecond) {
					if _, err := c.Token(t.Context(), everybody[0], calendar); err == nil {
						break
					}
				}
				if took := time.Since(back); took > time.Second {
					t.Errorf("it took %v to notice that the tenant is back", took)
				}
			})
		})
	}
}

// A user whose account makes Auth0 fail harms nobody else.
func TestOneUsersFailuresAreTheirsAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(func(w http.ResponseWriter, r *http.Request) {
			if mintedFor(r) == "evil/google-oauth2/" {
				w.WriteHeader(500)
				return
			}
			mint(w, r)
		})
		c, evil := s.client(t, Config{}), callerWith(t, "evil", object{"sub": "auth0|evil"})
		for _, caller := range others(t, 100) {
			for range 10 {
				_, err := c.Token(t.Context(), evil, calendar)
				refused(t, err, CodeUnavailable)
				time.Sleep(10 * time.Millisecond)
			}
			gets(t, c, caller, calendar, "ok")
		}
		if n := s.exchanges() - 100; n > failuresBurst+10+1 {
			t.Errorf("the tenant was asked %d times for one who fails", n)
		}
	})
}

// An answer to a question from before the tenant was closed says nothing new.
func TestAnOldSuccessEndsNoRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, everybody := s.client(t, Config{}), others(t, 3)
		s.serveVault(after(2*time.Second, mint))
		go func() { _, _ = c.Token(t.Context(), everybody[0], calendar) }()
		time.Sleep(time.Second)
		s.serveVault(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "30"); w.WriteHeader(429) })
		_, err := c.Token(t.Context(), everybody[1], calendar)
		refused(t, err, CodeThrottled)
		time.Sleep(5 * time.Second)
		gets(t, c, everybody[0], calendar, "ok")
		_, err = c.Token(t.Context(), everybody[2], calendar)
		refused(t, err, CodeThrottled)
		s.asked(t, 2)
	})
}

// refusing connections is all that is tried again: what Auth0 may have begun with
// is not.
func TestOnlyWhatWasNeverSentIsTriedAgain(t *testing.T) {
	dial := &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	for name, tt := range map[string]struct {
		err   error
		tries int
	}{
		"no connection":                {dial, 2},
		"the connection broke":         {&net.OpError{Op: "read", Net: "tcp", Err: errors.New("connection reset by peer")}, 1},
		"an answer that is not HTTP":   {errors.New("malformed HTTP response"), 1},
		"a connection that ended idle": {errors.New("http: server closed idle connection"), 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var tries atomic.Int32
				s := newTenant()
				c := s.client(t, Config{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
					if tries.Add(1) == 1 {
						return nil, tt.err
					}
					return s.RoundTrip(r)
				})})
				began := time.Now()
				_, err := c.Token(t.Context(), alice(t, "raw"), calendar)
				if (err == nil) != (tt.tries == 2) || int(tries.Load()) != tt.tries {
					t.Errorf("%d tries, %v", tries.Load(), err)
				}
				if wait := time.Since(began); wait > retryPause {
					t.Errorf("it took %v", wait)
				}
			})
		})
	}
}

func TestExchangesUnderWayAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		var now, most atomic.Int32
		s.serveVault(func(w http.ResponseWriter, r *http.Request) {
			most.Store(max(most.Load(), now.Add(1)))
			time.Sleep(time.Second)
			now.Add(-1)
			mint(w, r)
		})
		c, everybody := s.client(t, Config{MaxExchanges: 4}), others(t, 40)
		passed := 0
		for i, err := range together(40, func(i int) error { _, err := c.Token(t.Context(), everybody[i], calendar); return err }) {
			if err == nil {
				passed++
			} else if e := refused(t, err, CodeThrottled); e.Reason != "too_many_exchanges" || e.RetryAfter == 0 {
				t.Errorf("%d: %v", i, e)
			}
		}
		if most.Load() != 4 || passed < 5*4 || passed > 6*4 { // in half of the timeout, 5 s
			t.Errorf("%d at once, %d passed", most.Load(), passed)
		}
	})
}

func TestWaitingCallersAreBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(after(time.Second, mint))
		c, everybody := s.client(t, Config{MaxWaiting: 10}), others(t, 20)
		var refusals atomic.Int32
		together(100, func(i int) any {
			time.Sleep(time.Duration(i))
			if _, err := c.Token(t.Context(), everybody[i%20], calendar); err != nil {
				if e := refused(t, err, CodeThrottled); e.Reason != "too_many_waiting" {
					t.Error(e)
				}
				refusals.Add(1)
			}
			return nil
		})
		if refusals.Load() != 90 {
			t.Errorf("%d were refused", refusals.Load())
		}
		gets(t, c, everybody[19], calendar, "ok")
	})
}

// One user with many calls, or many made up hints, leaves room for others.
func TestOneUserTakesUpAShare(t *testing.T) {
	for name, hint := range map[string]func(i int) string{
		"of the waiting": func(int) string { return "" }, "of the exchanges": func(i int) string { return fmt.Sprint("hint ", i) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				s.serveVault(func(w http.ResponseWriter, r *http.Request) {
					if mintedFor(r) != "bob/google-oauth2/" {
						time.Sleep(9 * time.Second)
					}
					mint(w, r)
				})
				c, bob := s.client(t, Config{MaxWaiting: 100, MaxExchanges: 8}), callerWith(t, "bob", object{"sub": "auth0|bob"})
				for i := range 1000 {
					go func() { _, _ = c.Token(t.Context(), alice(t, "raw"), hinted(hint(i))) }()
				}
				time.Sleep(time.Second)
				gets(t, c, bob, calendar, "ok")
			})
		})
	}
}

// What fails is told apart: by connection, agent and user.
func TestAFailingConnectionIsNotTheOthers(t *testing.T) {
	for name, failure := range map[string]http.HandlerFunc{"it answers 502": answering(502, ""), "it never answers": blackHole} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				s.serveVault(func(w http.ResponseWriter, r *http.Request) {
					if r.PostFormValue("connection") == "slack" {
						failure(w, r)
						return
					}
					mint(w, r)
				})
				c, everybody := s.client(t, Config{}), others(t, 300)
				var load sync.WaitGroup
				defer load.Wait()
				for _, caller := range everybody[:40] {
					load.Go(func() {
						for end := time.Now().Add(30 * time.Second); time.Now().Before(end); {
							_, _ = c.Token(t.Context(), caller, Request{Connection: "slack"})
							time.Sleep(300 * time.Millisecond)
						}
					})
				}
				for _, caller := range everybody {
					gets(t, c, caller, calendar, "ok")
					time.Sleep(100 * time.Millisecond)
				}
			})
		})
	}
}

// Three accounts of one person, whose exchanges fail as often as they like, do not
// keep a connection closed.
func TestThoseWhoFailAgainLetOthersTry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(func(w http.ResponseWriter, r *http.Request) {
			if strings.HasPrefix(mintedFor(r), "evil") {
				w.WriteHeader(500)
				return
			}
			mint(w, r)
		})
		c := s.client(t, Config{})
		var load sync.WaitGroup
		defer load.Wait()
		for i := range 5 {
			evil := callerWith(t, fmt.Sprint("evil ", i), object{"sub": fmt.Sprint("auth0|evil ", i)})
			load.Go(func() {
				for range 12_000 {
					_, _ = c.Token(t.Context(), evil, calendar)
					time.Sleep(5 * time.Millisecond)
				}
			})
		}
		refusals := 0
		for _, caller := range others(t, 300) {
			if _, err := c.Token(t.Context(), caller, calendar); err != nil {
				refusals++
			}
			time.Sleep(200 * time.Millisecond)
		}
		if refusals > 10 {
			t.Errorf("%d of 300 were refused", refusals)
		}
	})
}

func TestALateTimeoutIsNoNews(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var b breakers
		down := &Error{Code: CodeTimeout, Reason: "timeout"}
		hung := time.Now()
		time.Sleep(time.Second)
		asked := time.Now()
		time.Sleep(time.Second)
		b.report(asker{user: "well"}, asked, nil)
		for i := range 10 {
			b.report(asker{user: fmt.Sprint("hung ", i)}, hung, down)
		}
		if !b.closed(asker{}) {
			t.Error("the breaker opened for what was asked before it was well")
		}
	})
}

// A provider that says 401 while Auth0 is out of reach costs nobody their token.
func TestARejectedTokenServesOnWhileTheVaultFails(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, caller := s.client(t, Config{}), alice(t, "raw")
		token := mustToken(t, c, caller, calendar)
		s.serveVault(answering(503, ""))
		rejects(t, c, token, true)
		for range 10 {
			gets(t, c, caller, calendar, "ok")
		}
		s.asked(t, 2)
		time.Sleep(rejectInterval)
		rejects(t, c, token, true)
		s.serveVault(refusal(401, notConnected))
		gets(t, c, caller, calendar, "link_required/"+notConnected)
	})
}

func TestACallerWhoseTokenEndsWhileItWaitsGetsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(after(5*time.Second, mint))
		c := s.client(t, Config{})
		caller := callerWith(t, "raw", object{"exp": seconds(time.Now()) + 3})
		gets(t, c, caller, calendar, "invalid_token/expired")
		gets(t, c, alice(t, "another"), calendar, "ok")
		s.asked(t, 1)
	})
}

// What a caller began goes on without it, and counts as long as it does.
func TestCallersWhoGiveUpLeaveNoMoreExchangesThanMayWait(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(after(2*time.Second, mint))
		c := s.client(t, Config{MaxExchanges: 4, MaxWaiting: 10})
		for _, caller := range others(t, 200) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			_, _ = c.Token(ctx, caller, calendar)
			cancel()
		}
		if _, _, flights := kept(c.cache); flights > 10 {
			t.Errorf("%d exchanges wait or are under way", flights)
		}
	})
}

// What a closed gate refuses costs none of the tenant's budget: Auth0 was not asked.
func TestWhatIsNotSentCostsNoBudget(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c := s.client(t, Config{TenantBudget: 1, MaxExchanges: 1})
		s.serveVault(after(time.Second, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "1")
			w.WriteHeader(429)
		}))
		var wg sync.WaitGroup
		for _, caller := range others(t, 20) {
			wg.Go(func() { _, _ = c.Token(t.Context(), caller, calendar) })
		}
		wg.Wait()
		s.asked(t, 1)
		s.serveVault(mint)
		time.Sleep(1200 * time.Millisecond)
		for i := range 5 {
			sub := fmt.Sprint("auth0|late ", i)
			if _, err := c.Token(t.Context(), callerWith(t, sub, object{"sub": sub}), calendar); err != nil {
				t.Errorf("Auth0 was asked once of ten that the budget allows, and %s is refused: %v", sub, err)
			}
		}
	})
}
