package linkflow

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvault/caddy-token-vault/linkflow/internal/outcome"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// vaultStub answers for Auth0 without a network, as tests of time need.
type vaultStub func(*http.Request) (int, string)

func (s vaultStub) RoundTrip(r *http.Request) (*http.Response, error) {
	status, body := s(r)
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body)), Request: r}, nil
}

const (
	notConnectedBody = `{"error":"federated_connection_refresh_token_not_found"}`
	tokenBody        = `{"access_token":"provider-token","token_type":"Bearer","scope":"` + calendarScope + `"}`
)

func stubFlow(t *testing.T, stub vaultStub, change func(*Config)) *Flow {
	t.Helper()
	client, err := vault.New(vault.Config{
		Domain: "tenant.example.com", Audience: "https://api.example.com/",
		ClientID: "id", ClientSecret: vault.NewSecret("secret"), Transport: stub,
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Vault: client, Origin: "https://link.example.com", ClientID: "app",
		ClientSecret: vault.NewSecret("secret"), Keys: StaticKeys(testKey),
	}
	if change != nil {
		change(&cfg)
	}
	flow, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return flow
}

var someone = &vault.AccessToken{Subject: "auth0|alice", ClientID: "agent", OrgID: "org"}

func stubTicket(t *testing.T, f *Flow) (ticket, string) {
	t.Helper()
	link, err := f.Link(t.Context(), someone, calendar)
	if err != nil {
		t.Fatal(err)
	}
	tk, err := open[ticket](t.Context(), f.sealer, forTicket, ticketOf(link))
	if err != nil {
		t.Fatal(err)
	}
	return tk, ticketOf(link)
}

// ticketFor is the text of a ticket of caller.
func ticketFor(t *testing.T, f *Flow, caller *vault.AccessToken, req vault.Request) string {
	t.Helper()
	link, err := f.Link(t.Context(), caller, req)
	if err != nil {
		t.Fatal(err)
	}
	return ticketOf(link)
}

func TestStatusIsToldToNobodyElse(t *testing.T) {
	f := stubFlow(t, func(*http.Request) (int, string) { return 401, notConnectedBody }, nil)
	_, text := stubTicket(t, f)
	for name, caller := range map[string]*vault.AccessToken{
		"another user":    {Subject: "auth0|bob", ClientID: "agent", OrgID: "org"},
		"another agent":   {Subject: "auth0|alice", ClientID: "other", OrgID: "org"},
		"no organization": {Subject: "auth0|alice", ClientID: "agent"},
	} {
		if _, err := f.Status(t.Context(), caller, text, MaxWait); err != ErrNoTicket {
			t.Errorf("%s: %v", name, err)
		}
	}
	other := stubFlow(t, nil, func(c *Config) { c.Tenant = "other" })
	if _, err := other.Status(t.Context(), someone, text, 0); err != ErrNoTicket {
		t.Errorf("another tenant: %v", err)
	}
}

func TestStatusWaitsAsLongAsItShould(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		f := stubFlow(t, func(*http.Request) (int, string) { asked.Add(1); return 401, notConnectedBody }, nil)
		_, text := stubTicket(t, f)
		for _, c := range []struct{ wait, want time.Duration }{
			{0, 0}, {-time.Second, 0}, {time.Second, time.Second}, {9 * time.Second, 9 * time.Second}, {time.Hour, MaxWait},
		} {
			time.Sleep(time.Minute)
			asked.Store(0)
			start := time.Now()
			status, err := f.Status(t.Context(), someone, text, c.wait)
			if err != nil || status != (Status{State: Pending, Connection: "google-oauth2"}) {
				t.Errorf("wait %v: %+v, %v", c.wait, status, err)
			}
			if got := time.Since(start); got != c.want {
				t.Errorf("wait %v took %v", c.wait, got)
			}
			if most := int32(c.want/askInterval) + 1; asked.Load() < 1 || asked.Load() > most {
				t.Errorf("wait %v asked %d times, want at most %d", c.wait, asked.Load(), most)
			}
		}
		time.Sleep(ticketLife)
		if status, _ := f.Status(t.Context(), someone, text, MaxWait); status.State != Expired {
			t.Errorf("after its life it is %v", status.State)
		}
		time.Sleep(2 * ticketLife)
		asked.Store(0)
		if status, _ := f.Status(t.Context(), someone, text, MaxWait); status.State != Expired || asked.Load() != 0 {
			t.Errorf("long after its life it is %v and asked for %d times", status.State, asked.Load())
		}
	})
}

func TestWaitersShareTheQuestionAndWakeAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		f := stubFlow(t, func(*http.Request) (int, string) {
			asked.Add(1)
			time.Sleep(100 * time.Millisecond)
			return 401, notConnectedBody
		}, nil)
		tk, text := stubTicket(t, f)
		results := make(chan Status)
		start := time.Now()
		for range waiters {
			go func() {
				status, _ := f.Status(t.Context(), someone, text, MaxWait)
				results <- status
			}()
		}
		time.Sleep(11 * time.Second)
		if n := asked.Load(); n > 6 {
			t.Errorf("the vault was asked %d times in 11 s", n)
		}
		f.outcomes.Record(tk.wished(), outcome.Declined)
		for range waiters {
			if status := <-results; status.State != Declined {
				t.Errorf("woke with %v", status.State)
			}
		}
		if d := time.Since(start); d != 11*time.Second {
			t.Errorf("woke after %v", d)
		}
	})
}

func TestAThirdWaiterIsToldWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		f := stubFlow(t, func(*http.Request) (int, string) { asked.Add(1); return 401, notConnectedBody }, nil)
		_, text := stubTicket(t, f)
		for round := range 2 { // places become free again
			for range waiters {
				go func() { _, _ = f.Status(t.Context(), someone, text, 5*time.Second) }()
			}
			synctest.Wait()
			start, before := time.Now(), asked.Load()
			status, err := f.Status(t.Context(), someone, text, MaxWait)
			if err != nil || status.State != Pending || status.RetryAfter <= 0 || time.Since(start) != 0 || asked.Load() != before {
				t.Errorf("round %d: %+v, %v after %v", round, status, err, time.Since(start))
			}
			time.Sleep(time.Minute)
		}
	})
}

// waiters is how many may wait for one ticket, askRate how many questions a second go
// to the vault.
const (
	waiters = 2
	askRate = 10
)

// One agent holds three thousand links, which cost one exchange, and waits for each of
// them twice. What that costs is bounded, and nobody else notices.
func TestOneAgentsWaitsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := stubFlow(t, func(*http.Request) (int, string) { return 401, notConnectedBody }, nil)
		texts := make([]string, manyLinks)
		for i := range texts {
			texts[i] = ticketFor(t, f, someone, calendar)
		}
		for range 2 * len(texts) { // goroutines that have ended are kept for the next ones
			go func() { time.Sleep(time.Second) }()
		}
		time.Sleep(time.Minute)
		start, before := time.Now(), allocated()
		var waiting, turnedAway atomic.Int32
		for _, text := range slices.Concat(texts, texts) {
			waiting.Add(1)
			go func() {
				defer waiting.Add(-1)
				status, err := f.Status(t.Context(), someone, text, MaxWait)
				if err != nil || status.State != Pending {
					t.Errorf("%+v, %v", status, err)
				}
				if time.Since(start) == 0 {
					turnedAway.Add(1)
					if status.RetryAfter <= 0 {
						t.Error("nobody tells when to ask again")
					}
				}
			}()
		}
		synctest.Wait()
		if n := waiting.Load(); n != 32 || int(turnedAway.Load()) != 2*len(texts)-32 {
			t.Errorf("%d wait, %d were turned away", n, turnedAway.Load())
		}
		if grown := int64(allocated()) - int64(before); grown > 1<<20 {
			t.Errorf("that takes %d KiB", grown>>10)
		}

		// Whom there was no room for is told all the same, when they ask again.
		tk, text := stubTicket(t, f)
		f.outcomes.Record(tk.wished(), outcome.Declined)
		if status, _ := f.Status(t.Context(), someone, text, MaxWait); status != (Status{State: Declined, Connection: calendar.Connection}) {
			t.Errorf("told %+v", status)
		}

		other := &vault.AccessToken{Subject: "auth0|bob", ClientID: "agent"}
		status, err := f.Status(t.Context(), other, ticketFor(t, f, other, calendar), 10*time.Second)
		if err != nil || status != (Status{State: Pending, Connection: calendar.Connection}) || time.Since(start) != 10*time.Second {
			t.Errorf("another user is told %+v, %v after %v", status, err, time.Since(start))
		}
		f.Close()
		synctest.Wait()
		if status, err = f.Status(t.Context(), someone, texts[0], 0); err != nil || status.RetryAfter != 0 {
			t.Errorf("the places do not become free again: %+v, %v", status, err)
		}
	})
}

func allocated() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// crowdSize is how many wait when it is about the budget: each of them would ask
// every other second.
const crowdSize = 200

func TestACrowdAsksTenTimesASecondTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked atomic.Int32
		f := stubFlow(t, func(*http.Request) (int, string) { asked.Add(1); return 401, notConnectedBody }, nil)
		users := make([]*vault.AccessToken, crowdSize)
		for i := range users {
			users[i] = &vault.AccessToken{Subject: fmt.Sprint("auth0|", i), ClientID: "agent"}
			text := ticketFor(t, f, users[i], calendar)
			go func() { _, _ = f.Status(t.Context(), users[i], text, 50*time.Second) }()
		}
		time.Sleep(20 * time.Second)
		if n := asked.Load(); n < 180 || n > 10+20*askRate {
			t.Errorf("asked %d times in 20 s", n)
		}
		time.Sleep(time.Minute)
	})
}

// However many others wait, a user who has just finished is not kept waiting.
func TestTheEndOfAFlowIsLookedAtAtOnce(t *testing.T) {
	for name, same := range map[string]bool{"the ticket that was opened": true, "a newer one of the same agent": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var linked atomic.Bool
				f := stubFlow(t, func(*http.Request) (int, string) {
					if linked.Load() {
						return 200, tokenBody
					}
					return 401, notConnectedBody
				}, nil)
				for i := range crowdSize {
					other := &vault.AccessToken{Subject: fmt.Sprint("auth0|", i), ClientID: "agent"}
					text := ticketFor(t, f, other, calendar)
					go func() { _, _ = f.Status(t.Context(), other, text, MaxWait) }()
				}
				opened, text := stubTicket(t, f)
				if !same {
					_, text = stubTicket(t, f)
				}
				time.Sleep(time.Second)
				told := make(chan Status, 1)
				go func() {
					status, _ := f.Status(t.Context(), someone, text, MaxWait)
					told <- status
				}()
				time.Sleep(7 * time.Second)
				linked.Store(true)
				f.vault.Forget(someone.Subject, "google-oauth2")
				f.outcomes.Record(opened.wished(), outcome.Connected)
				finished := time.Now()
				if status := <-told; status.State != Completed || time.Since(finished) != 0 {
					t.Errorf("told %v after %v", status.State, time.Since(finished))
				}
				f.Close()
			})
		})
	}
}

func TestOtherAgentsLookAgainTooAndAskForWhatTheyNeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var linked atomic.Bool
		f := stubFlow(t, func(*http.Request) (int, string) {
			if linked.Load() {
				return 200, tokenBody
			}
			return 401, notConnectedBody
		}, nil)
		opened, _ := stubTicket(t, f)
		other := &vault.AccessToken{Subject: someone.Subject, ClientID: "other"}
		more := vault.Request{Connection: calendar.Connection, Scopes: []string{calendarScope, "more"}}
		stranger := &vault.AccessToken{Subject: "auth0|bob", ClientID: "agent", OrgID: "org"}
		results := map[string]chan State{}
		for name, c := range map[string]struct {
			caller *vault.AccessToken
			req    vault.Request
		}{"another agent": {other, calendar}, "more scopes": {someone, more}, "another user": {stranger, calendar}} {
			result := make(chan State, 1)
			results[name] = result
			text := ticketFor(t, f, c.caller, c.req)
			go func() {
				status, _ := f.Status(t.Context(), c.caller, text, 5500*time.Millisecond)
				result <- status.State
			}()
		}
		time.Sleep(5 * time.Second) // a second after their last question
		linked.Store(true)
		f.vault.Forget(someone.Subject, "google-oauth2")
		f.outcomes.Record(opened.wished(), outcome.Connected)
		synctest.Wait()
		select {
		case state := <-results["another agent"]:
			if state != Completed {
				t.Errorf("the other agent is told %v", state)
			}
		default:
			t.Error("the other agent waits")
		}
		for _, name := range []string{"more scopes", "another user"} {
			if state := <-results[name]; state != Pending {
				t.Errorf("%s: told %v", name, state)
			}
		}
	})
}

func TestSigningInIsNoEndAndChangesNothingThatIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := stubFlow(t, func(*http.Request) (int, string) { return 401, notConnectedBody }, nil)
		tk, text := stubTicket(t, f)
		want := func(want State) {
			t.Helper()
			if status, _ := f.Status(t.Context(), someone, text, 0); status.State != want {
				t.Errorf("told %v, want %v", status.State, want)
			}
		}
		f.outcomes.Begin(tk.wished())
		want(Pending)
		f.outcomes.Record(tk.wished(), outcome.Declined)
		want(Declined)
		f.outcomes.Begin(tk.wished()) // the link was opened again
		want(Pending)
		time.Sleep(ticketLife)
		want(Expired)
		f.outcomes.Record(tk.wished(), outcome.Completed)
		f.outcomes.Begin(tk.wished())
		want(Completed)
	})
}

func TestTheVaultsWordEndsTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		f := stubFlow(t, func(*http.Request) (int, string) {
			if time.Since(start) < 5*time.Second {
				return 401, notConnectedBody
			}
			return 200, tokenBody
		}, nil)
		tk, text := stubTicket(t, f)
		f.outcomes.Record(tk.wished(), outcome.Declined)
		if status, _ := f.Status(t.Context(), someone, text, MaxWait); status.State != Declined || time.Since(start) != 0 {
			t.Errorf("declined: %v after %v", status.State, time.Since(start))
		}
		f.outcomes = outcome.New() // as on another node
		status, _ := f.Status(t.Context(), someone, text, MaxWait)
		if d := time.Since(start); status.State != Completed || d < 5*time.Second || d > 7*time.Second {
			t.Errorf("%v after %v", status.State, d)
		}
		f.outcomes.Record(tk.wished(), outcome.Failed) // a later attempt does not unsay it
		if status, _ := f.Status(t.Context(), someone, text, 0); status.State != Completed {
			t.Errorf("then %v", status.State)
		}
	})
}

func TestCloseAndTheCallersEndEndTheWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := stubFlow(t, func(*http.Request) (int, string) { time.Sleep(3 * time.Second); return 401, notConnectedBody }, nil)
		_, text := stubTicket(t, f)
		for _, when := range []time.Duration{time.Second, 4 * time.Second} { // while the vault is asked, and between
			ctx, cancel := context.WithTimeout(t.Context(), when)
			start := time.Now()
			status, err := f.Status(ctx, someone, text, MaxWait)
			if err != nil || status.State != Pending || time.Since(start) != when {
				t.Errorf("%+v, %v after %v", status, err, time.Since(start))
			}
			cancel()
			time.Sleep(time.Minute)
		}
		start := time.Now()
		time.AfterFunc(7*time.Second, f.Close)
		status, err := f.Status(t.Context(), someone, text, MaxWait)
		if err != nil || status.State != Pending || time.Since(start) != 7*time.Second {
			t.Errorf("%+v, %v after %v", status, err, time.Since(start))
		}
		f.Close() // again, harmlessly
		time.Sleep(time.Minute)
	})
}

func TestAFailingVaultIsPendingAndAMisconfiguredOneIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for body, kinds := range map[string]int{
			`{"error":"unauthorized_client"}`: 1, `{"error":"invalid_grant"}`: 0, `<html>`: 0,
		} {
			l := &log{}
			f := stubFlow(t, func(*http.Request) (int, string) { return 403, body }, func(c *Config) { c.Hook = l.hook })
			_, text := stubTicket(t, f)
			status, err := f.Status(t.Context(), someone, text, 0)
			synctest.Wait()
			if err != nil || status.State != Pending || len(l.kinds()) != kinds {
				t.Errorf("%s: %+v, %v, told %v", body, status, err, l.kinds())
			}
			l.check(t)
		}
	})
}
