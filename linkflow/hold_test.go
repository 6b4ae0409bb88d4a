package linkflow

import (
	"context"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvault/caddy-token-vault/linkflow/internal/outcome"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// A call is held while its user, who has signed in, decides; and for nobody and
// nothing else.

// holdFlow has a vault that nobody is to ask.
func holdFlow(t *testing.T) *Flow {
	t.Helper()
	return stubFlow(t, func(*http.Request) (int, string) {
		t.Error("the vault was asked")
		return 500, ""
	}, nil)
}

// wantHold holds a call and checks what comes of it, and when.
func wantHold(t *testing.T, f *Flow, d time.Duration, want bool, after time.Duration) {
	t.Helper()
	start := time.Now()
	if got := f.Hold(t.Context(), someone, calendar, d); got != want || time.Since(start) != after {
		t.Errorf("%v after %v, want %v after %v", got, time.Since(start), want, after)
	}
}

func TestACallIsHeldUntilTheFlowEnds(t *testing.T) {
	for _, end := range []outcome.State{outcome.Connected, outcome.Completed, outcome.Declined, outcome.Failed} {
		t.Run(string(end), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := holdFlow(t)
				tk, _ := stubTicket(t, f)
				wantHold(t, f, time.Minute, false, 0) // nobody has opened the link
				f.outcomes.Begin(tk.wished())
				time.AfterFunc(7*time.Second, func() { f.outcomes.Record(tk.wished(), end) })
				wantHold(t, f, time.Minute, true, 7*time.Second)
				wantHold(t, f, time.Minute, false, 0)
			})
		})
	}
}

func TestAHoldEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := holdFlow(t)
		tk, _ := stubTicket(t, f)
		f.outcomes.Begin(tk.wished())
		wantHold(t, f, 30*time.Second, false, 30*time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if start := time.Now(); f.Hold(ctx, someone, calendar, time.Minute) || time.Since(start) != time.Second {
			t.Errorf("the caller has hung up, and is held for %v", time.Since(start))
		}
		left := time.Until(time.Unix(tk.Expiry, 0))
		wantHold(t, f, time.Hour, true, left) // a link that ends is an end
		wantHold(t, f, time.Hour, false, 0)

		tk, _ = stubTicket(t, f)
		f.outcomes.Begin(tk.wished())
		time.AfterFunc(time.Second, f.Close)
		wantHold(t, f, time.Minute, false, time.Second)
	})
}

func TestOneCallIsHeldAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := holdFlow(t)
		tk, _ := stubTicket(t, f)
		f.outcomes.Begin(tk.wished())
		for range 3 { // the place becomes free again
			go f.Hold(t.Context(), someone, calendar, time.Second)
			synctest.Wait()
			wantHold(t, f, time.Minute, false, 0)
			if !f.Connecting(someone, calendar) {
				t.Error("nobody seems to be connecting")
			}
			time.Sleep(time.Minute)
		}
	})
}

func TestACallIsHeldForNobodyElse(t *testing.T) {
	f := holdFlow(t)
	tk, _ := stubTicket(t, f)
	f.outcomes.Begin(tk.wished())
	for name, c := range map[string]struct {
		caller vault.AccessToken
		req    vault.Request
		want   bool
	}{
		"the same":                       {*someone, calendar, true},
		"with other scopes":              {*someone, vault.Request{Connection: "google-oauth2"}, true},
		"of another user":                {vault.AccessToken{Subject: "auth0|bob", ClientID: "agent", OrgID: "org"}, calendar, false},
		"of another agent":               {vault.AccessToken{Subject: "auth0|alice", ClientID: "other", OrgID: "org"}, calendar, false},
		"without organization":           {vault.AccessToken{Subject: "auth0|alice", ClientID: "agent"}, calendar, false},
		"for another connection":         {*someone, vault.Request{Connection: "github"}, false},
		"for another account of several": {*someone, vault.Request{Connection: "google-oauth2", LoginHint: "work"}, false},
	} {
		if got := f.Connecting(&c.caller, c.req); got != c.want {
			t.Errorf("a call %s: %v", name, got)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_ = f.Hold(ctx, &c.caller, c.req, time.Minute)
	}
}

// The other agent's ticket is not the one that was opened, but the account is
// the same.
func TestACallGoesOnWhenTheAccountIsConnectedForAnotherAgent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := holdFlow(t)
		tk, _ := stubTicket(t, f)
		f.outcomes.Begin(tk.wished())
		other := tk
		other.ID, other.Agent = "another", "other"
		f.outcomes.Begin(other.wished())
		time.AfterFunc(time.Second, func() { f.outcomes.Record(other.wished(), outcome.Declined) })
		time.AfterFunc(2*time.Second, func() { f.outcomes.Record(other.wished(), outcome.Connected) })
		wantHold(t, f, time.Minute, true, 2*time.Second)
	})
}

// Linking may have been all. If it was not, the call may be held for the rest.
func TestACallLooksAgainWhenItsUserHasLinked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := holdFlow(t)
		tk, _ := stubTicket(t, f)
		f.outcomes.Begin(tk.wished())
		time.AfterFunc(time.Second, func() { f.outcomes.LookNow(tk.wished()) })
		wantHold(t, f, time.Minute, true, time.Second)
		if !f.Connecting(someone, calendar) {
			t.Error("the user's flow is over")
		}
		time.AfterFunc(time.Second, func() { f.outcomes.Record(tk.wished(), outcome.Connected) })
		wantHold(t, f, time.Minute, true, time.Second)
	})
}

func TestAHoldSurvivesAReload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		outcomes := NewOutcomes()
		share := func(c *Config) { c.Outcomes = outcomes }
		var asked atomic.Int32
		stub := func(*http.Request) (int, string) { asked.Add(1); return 401, notConnectedBody }
		before, after := stubFlow(t, stub, share), stubFlow(t, stub, share)
		tk, _ := stubTicket(t, before)
		before.outcomes.Begin(tk.wished())
		time.AfterFunc(time.Second, func() { after.outcomes.Record(tk.wished(), outcome.Declined) })
		wantHold(t, before, time.Minute, true, time.Second)
		if asked.Load() != 0 {
			t.Error("the vault was asked")
		}
	})
}

// A link for anyone is for whoever signed in last, and for the connection that was
// chosen last.
func TestACallLearnsOfALinkForAnyoneThatChangedHands(t *testing.T) {
	for name, change := range map[string]func(*ticket){
		"another person":     func(tk *ticket) { tk.Subject = "auth0|alice" },
		"another connection": func(tk *ticket) { tk.Connection = calendar.Connection },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := holdFlow(t)
				agents, _ := stubTicket(t, f)
				f.outcomes.Begin(agents.wished())
				own := f.openTicket()
				own.Subject, own.OrgID, own.Connection = someone.Subject, someone.OrgID, calendar.Connection
				if name == "another person" {
					own.Subject = "auth0|bob"
				} else {
					own.Connection = ""
				}
				f.outcomes.Begin(own.wished())
				change(&own)
				f.outcomes.Begin(own.wished())
				time.AfterFunc(time.Second, func() { f.outcomes.Record(own.wished(), outcome.Connected) })
				wantHold(t, f, time.Minute, true, time.Second)
			})
		})
	}
}
