package outcome

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func TestOutcomesAreBoundedAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := New()
		made := 0
		add := func(n int) {
			for range n {
				made++
				o.Record(Ticket{ID: fmt.Sprint(made), Wish: Wish{Account: Account{Subject: fmt.Sprint(made % 7)}}, Expiry: time.Now().Add(LateLife)}, Declined)
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
		time.Sleep(LateLife + LateLife + time.Second)
		add(2000)
		check(2000)
		o.sweepAt = maxOutcomes
		add(maxOutcomes + 10)
		check(maxOutcomes)
		time.Sleep(LateLife + LateLife + time.Second)
		o.sweep()
		if len(o.accounts) != 0 {
			t.Errorf("%d accounts are remembered after everything ended", len(o.accounts))
		}
	})
}

func TestTicketsForTheSameShareTheirQuestion(t *testing.T) {
	o := New()
	tk := Ticket{ID: "1", Wish: Wish{Account: Account{Subject: "auth0|alice", Connection: "github"}, Agent: "agent"}, Scopes: []string{"a"}, Expiry: time.Now().Add(time.Minute)}
	asking, finish := o.Turn(tk, time.Minute)
	if finish == nil {
		t.Fatal("nobody may ask")
	}
	for name, change := range map[string]func(*Ticket){
		"same":          func(*Ticket) {},
		"another agent": func(tk *Ticket) { tk.Agent = "other" },
		"other scopes":  func(tk *Ticket) { tk.Scopes = []string{"b"} },
		"another user":  func(tk *Ticket) { tk.Subject = "auth0|bob" },
	} {
		next := tk
		next.ID = name
		change(&next)
		if shared, _ := o.Turn(next, time.Minute); (shared == asking) != (name == "same") {
			t.Errorf("%s: shared %v", name, shared == asking)
		}
	}
}

func TestAnAgentPushesOutItsOwnTicketsFirst(t *testing.T) {
	o := New()
	tk := Ticket{ID: "kept", Wish: Wish{Account: Account{Subject: "auth0|alice", Connection: "github"}, Agent: "other"}, Expiry: time.Now().Add(time.Minute)}
	o.Record(tk, Declined)
	for i := range 2 * maxSiblings {
		o.Record(Ticket{ID: strconv.Itoa(i), Wish: Wish{Account: Account{Subject: "auth0|alice", Connection: "github"}, Agent: "many"}, Expiry: tk.Expiry.Add(time.Duration(i) * time.Second)}, Declined)
	}
	if state, _ := o.Known(tk); state != Declined || len(o.tickets) > maxSiblings {
		t.Errorf("another agent's ticket is %q, %d are kept", state, len(o.tickets))
	}
}

func TestTheEndOfAHoldIsForgotten(t *testing.T) {
	o := New()
	tk := Ticket{ID: "1", Wish: Wish{Agent: "agent"}, Expiry: time.Now().Add(time.Minute)}
	o.Begin(tk)
	for range 3 { // the place becomes free again
		_, _, leave := o.Hold(tk.Wish)
		if leave == nil {
			t.Fatal("the call is not held")
		}
		leave()
	}
	if n := len(o.held); n != 0 {
		t.Errorf("%d calls are remembered", n)
	}
}

// However many others ask, a user who has just finished is not kept waiting.
func TestTheEndOfAFlowIsLookedAtThoughTheBudgetIsSpent(t *testing.T) {
	o := New()
	tk := Ticket{ID: "1", Wish: Wish{Agent: "agent"}, Expiry: time.Now().Add(time.Minute)}
	o.budget.AllowN(time.Now(), askRate)
	if _, finish := o.Turn(tk, time.Minute); finish != nil {
		t.Error("a routine question goes over the budget")
	}
	o.Record(tk, Connected)
	if _, finish := o.Turn(tk, time.Minute); finish == nil {
		t.Error("the end of a flow is not looked at")
	}
}
