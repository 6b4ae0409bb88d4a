package linkflow

import (
	"fmt"
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
