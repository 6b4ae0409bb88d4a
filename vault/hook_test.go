package vault

import (
	"fmt"
	"net/http"
	"testing"
	"time"
)

func TestTheHookIsToldWhatHappened(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var told []string
		s := newTenant()
		c := s.client(t, Config{Hook: func(e Event) {
			text := fmt.Sprint(e.Kind, " ", e.Connection, e.API)
			if e.Err != nil {
				text += " " + e.Err.Error()
			}
			told = append(told, text)
		}})
		expect := func(what string, want ...string) {
			t.Helper()
			if fmt.Sprint(told) != fmt.Sprint(want) {
				t.Errorf("%s: %q, want %q", what, told, want)
			}
			told = nil
		}
		caller := verify(t, c, goodToken(nil))
		expect("a new token", fmt.Sprint(KeysFetched, " "))

		s.serveVault(minting(object{"access_token": "one", "expires_in": 3600}))
		mustToken(t, c, caller, calendar)
		expect("a first call", fmt.Sprint(Missed, " ", calendar.Connection), fmt.Sprint(Exchanged, " ", calendar.Connection))
		mustToken(t, c, caller, calendar)
		expect("a second one", fmt.Sprint(Remembered, " ", calendar.Connection))

		s.serveVault(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
		})
		c.Forget(caller.Subject, calendar.Connection)
		if _, err := c.Token(t.Context(), caller, calendar); err == nil {
			t.Fatal("a throttled tenant gave a token")
		}
		const throttled = " vault_throttled: too_many_requests (Auth0 answered 429)"
		expect("a 429", fmt.Sprint(Missed, " ", calendar.Connection), fmt.Sprint(Throttled, " authentication", throttled),
			fmt.Sprint(Exchanged, " ", calendar.Connection, throttled))
	})
}

func TestAnExchangesTimeIsTold(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var took time.Duration
		s := newTenant()
		c := s.client(t, Config{Hook: func(e Event) {
			if e.Kind == Exchanged {
				took = e.Duration
			}
		}})
		mint := minting(object{"access_token": "one", "expires_in": 3600})
		s.serveVault(func(w http.ResponseWriter, r *http.Request) {
			time.Sleep(3 * time.Second)
			mint(w, r)
		})
		mustToken(t, c, verify(t, c, goodToken(nil)), calendar)
		if took != 3*time.Second {
			t.Errorf("it took %v", took)
		}
	})
}
