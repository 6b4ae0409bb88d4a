package linkflow

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestOutcomesAreBoundedAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := NewOutcomes()
		made := 0
		add := func(n int) {
			for range n {
				made++
				o.record(ticket{ID: fmt.Sprint(made), Subject: fmt.Sprint(made % 7), Expiry: time.Now().Add(ticketLife).Unix()}, Declined)
			}
		}
		check := func(most int) {
			t.Helper()
			indexed := 0
			for _, siblings := range o.accounts {
				indexed += len(siblings)
			}
			if n := len(o.tickets); n > most || indexed != n {
				t.Errorf("%d outcomes are remembered, %d by account", n, indexed)
			}
		}
		add(1500)
		time.Sleep(ticketLife + lateLife + time.Second)
		add(2000)
		check(2000)
		o.sweepAt = maxOutcomes
		add(maxOutcomes + 10)
		check(maxOutcomes)
		time.Sleep(ticketLife + lateLife + time.Second)
		o.sweep()
		if len(o.accounts) != 0 {
			t.Errorf("%d accounts are remembered after everything ended", len(o.accounts))
		}
	})
}

func TestTicketsForTheSameShareTheirQuestion(t *testing.T) {
	o := NewOutcomes()
	tk := ticket{ID: "1", Subject: "auth0|alice", Agent: "agent", Connection: "github", Scopes: []string{"a"}, Expiry: time.Now().Add(time.Minute).Unix()}
	asking, finish := o.turn(tk, time.Minute)
	if finish == nil {
		t.Fatal("nobody may ask")
	}
	for name, change := range map[string]func(*ticket){
		"same":          func(*ticket) {},
		"another agent": func(tk *ticket) { tk.Agent = "other" },
		"other scopes":  func(tk *ticket) { tk.Scopes = []string{"b"} },
		"another user":  func(tk *ticket) { tk.Subject = "auth0|bob" },
	} {
		next := tk
		next.ID = name
		change(&next)
		if shared, _ := o.turn(next, time.Minute); (shared == asking) != (name == "same") {
			t.Errorf("%s: shared %v", name, shared == asking)
		}
	}
}

func TestAnAgentPushesOutItsOwnTicketsFirst(t *testing.T) {
	o := NewOutcomes()
	tk := ticket{ID: "kept", Subject: "auth0|alice", Agent: "other", Connection: "github", Expiry: time.Now().Add(time.Minute).Unix()}
	o.record(tk, Declined)
	for i := range 2 * maxSiblings {
		o.record(ticket{ID: strconv.Itoa(i), Subject: "auth0|alice", Agent: "many", Connection: "github", Expiry: tk.Expiry + int64(i)}, Declined)
	}
	if state, _ := o.known(tk); state != Declined || len(o.tickets) > maxSiblings {
		t.Errorf("another agent's ticket is %q, %d are kept", state, len(o.tickets))
	}
}
