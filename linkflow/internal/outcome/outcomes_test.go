package outcome

import (
	"fmt"
	"strconv"
	"testing"
	"testing/synctest"
	"time"
)

func wishOf(subject, agent string) Wish {
	return Wish{Account: Account{User{"https://tenant.example.com/", subject}, "github"}, Agent: agent}
}

// ticketOf is one of a wish that lasts for ten minutes from now.
func ticketOf(id string, w Wish, scopes ...string) Ticket {
	return Ticket{ID: id, Wish: w, Scopes: scopes, Made: time.Now(), Expiry: time.Now().Add(10 * time.Minute)}
}

func TestOutcomesAreBoundedAndEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New()
		made := 0
		add := func(n int) {
			for range n {
				made++
				b.Record(ticketOf("1", wishOf(strconv.Itoa(made), "agent")), Declined)
			}
		}
		check := func(most int) {
			t.Helper()
			if n := len(b.people); n > most {
				t.Errorf("%d people are remembered", n)
			}
		}
		waited := ticketOf("1", wishOf("patient", "agent"))
		leave := b.Wait(waited)
		add(1500)
		time.Sleep(20*time.Minute + time.Second)
		add(2000)
		check(2000 + 1)
		b.sweepAt = maxPeople
		add(maxPeople + 10)
		check(maxPeople)
		if b.people[waited.User] == nil {
			t.Error("somebody is forgotten for whom an agent waits")
		}
		leave()
		time.Sleep(20*time.Minute + time.Second)
		b.sweep()
		check(0)
	})
}

// What an agent makes us remember of one user is bounded, and what it pushes out is its
// own.
func TestAnAgentPushesOutItsOwnTicketsFirst(t *testing.T) {
	b := New()
	kept := ticketOf("kept", wishOf("alice", "other"))
	b.Record(kept, Declined)
	_, finish := b.Turn(kept, time.Minute)
	for i := range 10 * maxEntries {
		w := wishOf("alice", "many")
		w.LoginHint = strconv.Itoa(i)
		tk := ticketOf(strconv.Itoa(i), w)
		b.Record(tk, Declined)
		b.Turn(tk, time.Minute)
	}
	finish()
	p := b.people[kept.User]
	if state, _ := b.Known(kept); state != Declined || len(p.tickets) > maxEntries || len(p.questions) > maxEntries {
		t.Errorf("another agent's ticket is %q, %d are kept, and %d questions", state, len(p.tickets), len(p.questions))
	}
	if _, again := b.Turn(kept, time.Minute); again != nil {
		t.Error("another agent's question was forgotten")
	}
}

func TestTicketsForTheSameShareTheirQuestion(t *testing.T) {
	b := New()
	tk := ticketOf("1", wishOf("alice", "agent"), "a")
	asking, finish := b.Turn(tk, time.Minute)
	if finish == nil {
		t.Fatal("nobody may ask")
	}
	for name, change := range map[string]func(*Ticket){
		"same":          func(*Ticket) {},
		"another agent": func(tk *Ticket) { tk.Agent = "other" },
		"other scopes":  func(tk *Ticket) { tk.Scopes = []string{"b"} },
		"another user":  func(tk *Ticket) { tk.Subject = "bob" },
	} {
		next := tk
		next.ID = name
		change(&next)
		if shared, _ := b.Turn(next, time.Minute); (shared == asking) != (name == "same") {
			t.Errorf("%s: shared %v", name, shared == asking)
		}
	}
}

// The vault's yes answers tickets that were made before it, as far as they want no more.
func TestOneAnswerServesAWish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New()
		w := wishOf("alice", "agent")
		asked := ticketOf("asked", w, "a", "b")
		want := func(tk Ticket, want State) {
			t.Helper()
			if state, _ := b.Known(tk); state != want {
				t.Errorf("%s is %q, want %q", tk.ID, state, want)
			}
		}
		fewer, more, others := ticketOf("fewer", w, "a"), ticketOf("more", w, "a", "b", "c"), ticketOf("others", wishOf("alice", "other"), "a")
		time.Sleep(time.Second)
		b.Record(asked, Completed)
		want(asked, Completed)
		want(fewer, Completed)
		want(more, "")
		want(others, "")
		want(ticketOf("later", w, "a"), "") // nobody would have made it, had the account sufficed
		b.Record(fewer, Declined)           // a second opening of the link
		want(fewer, Completed)
		b.Disconnected(w.Account)
		want(asked, "")
		want(fewer, "")
	})
}

func TestTheEndOfAHoldIsForgotten(t *testing.T) {
	b := New()
	tk := ticketOf("1", wishOf("alice", "agent"))
	b.Begin(tk)
	for range 3 { // the place becomes free again
		_, _, leave := b.Hold(tk.Wish)
		if leave == nil {
			t.Fatal("the call is not held")
		}
		leave()
	}
	if n := len(b.people[tk.User].held); n != 0 {
		t.Errorf("%d calls are remembered", n)
	}
}

// However many others ask, a user who has just finished is not kept waiting.
func TestTheEndOfAFlowIsLookedAtThoughTheBudgetIsSpent(t *testing.T) {
	b := New()
	tk := ticketOf("1", wishOf("alice", "agent"))
	b.budget.AllowN(time.Now(), askRate)
	if _, finish := b.Turn(tk, time.Minute); finish != nil {
		t.Error("a routine question goes over the budget")
	}
	b.Record(tk, Connected)
	if _, finish := b.Turn(tk, time.Minute); finish == nil {
		t.Error("the end of a flow is not looked at")
	}
}

func TestPlacesToWaitAreCounted(t *testing.T) {
	b := New()
	var leaves []func()
	wait := func(user, id string, want bool) {
		t.Helper()
		leave := b.Wait(ticketOf(id, wishOf(user, "agent")))
		if (leave != nil) != want {
			t.Errorf("user %s, ticket %s: waits %v", user, id, leave != nil)
		}
		if leave != nil {
			leaves = append(leaves, leave)
		}
	}
	wait("0", "0", true)
	wait("0", "0", true)
	wait("0", "0", false)
	for i := range userWaits - 2 {
		wait("0", strconv.Itoa(i+1), true)
	}
	wait("0", "more", false)
	for i := range maxWaits - userWaits {
		wait(fmt.Sprint("user", i/userWaits), strconv.Itoa(i), true)
	}
	wait("late", "1", false)
	for _, leave := range leaves {
		leave()
	}
	leaves = nil
	wait("late", "1", true)
	wait("0", "more", true)
	if n := b.waiting.Load(); n != 2 {
		t.Errorf("%d are counted", n)
	}
}

// However long the work takes that one user's links make, nobody else waits for it.
func TestNobodyWaitsForSomebodyElsesLock(t *testing.T) {
	b := New()
	busy, other := ticketOf("1", wishOf("alice", "agent")), ticketOf("2", wishOf("bob", "agent"))
	p := b.lock(busy.User)
	defer p.mu.Unlock()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, state := range []State{Begun, Connected, Completed} {
			b.Record(other, state)
		}
		b.Wait(other)()
		b.Turn(other, time.Minute)
		b.Connecting(other.Wish)
	}()
	select {
	case <-done:
	case <-time.After(10 * time.Second):
		t.Error("they do")
	}
}

// A call waits for its own account, whichever of the user's wishes changes.
func TestAHeldCallIsWokenByItsOwnAccount(t *testing.T) {
	b := New()
	tk := ticketOf("1", wishOf("alice", "agent"))
	b.Begin(tk)
	ended, _, _ := b.Hold(tk.Wish)
	elsewhere := tk
	elsewhere.ID, elsewhere.Connection = "2", "google-oauth2"
	b.Record(elsewhere, Connected)
	isClosed := func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}
	if isClosed() {
		t.Error("another account ends the wait")
	}
	another := tk
	another.ID, another.Wish = "3", wishOf("alice", "other")
	b.Record(another, Connected)
	if !isClosed() {
		t.Error("the account was connected, and the call is held")
	}
	if state, _ := b.Known(tk); state != Begun {
		t.Errorf("another agent's flow made this one %q", state)
	}
}
