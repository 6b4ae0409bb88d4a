package vault

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// hinted is calendar for one of several accounts.
func hinted(hint string) Request { return Request{Connection: "google-oauth2", LoginHint: hint} }

// hints fails the test unless LoginHints says want.
func hints(t *testing.T, c *Client, caller *AccessToken, want ...string) {
	t.Helper()
	if got := c.LoginHints(caller, "google-oauth2"); !slices.Equal(got, want) {
		t.Errorf("the hints are %q, want %q", got, want)
	}
}

const noSuchAccount = "link_required/user_not_found"

// knowing is a vault that has accounts under the hints that known says yes to.
func knowing(known func(hint string) bool) http.HandlerFunc {
	no := refusal(http.StatusUnauthorized, "user_not_found")
	return func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		if known(r.PostFormValue("login_hint")) {
			mint(w, r)
		} else {
			no(w, r)
		}
	}
}

func TestLoginHintsAreThoseThatTheVaultServed(t *testing.T) {
	s, c := listen(t, nil, Config{})
	caller := issue(t, s, c)
	hints(t, c, caller)
	for _, account := range []string{"work", "home"} {
		if err := s.Connect("auth0|alice", "google-oauth2", nil, account); err != nil {
			t.Fatal(err)
		}
	}
	gets(t, c, caller, hinted("work"), "ok")
	gets(t, c, caller, hinted("made up"), noSuchAccount)
	gets(t, c, caller, hinted("home"), "ok")
	gets(t, c, caller, hinted(""), "ok")
	hints(t, c, caller, "home", "work")
	gets(t, c, caller, hinted("work"), "ok") // from memory
	hints(t, c, caller, "work", "home")

	if err := s.Disconnect("auth0|alice", "google-oauth2"); err != nil {
		t.Fatal(err)
	}
	c.Forget("auth0|alice", "google-oauth2")
	hints(t, c, caller)
	gets(t, c, caller, hinted("work"), linkRequired)
	hints(t, c, caller)
}

// The link pages of one agent must not name accounts that another one uses.
func TestLoginHintsCrossNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c := s.client(t, Config{})
		gets(t, c, alice(t, "raw"), hinted("mine"), "ok")
		gets(t, c, alice(t, "another raw"), hinted("too"), "ok")
		hints(t, c, alice(t, "yet another raw"), "too", "mine")
		for name, claims := range map[string]object{
			"another user": {"sub": "auth0|bob"}, "another agent": {"azp": "other"}, "no agent": {"azp": nil},
			"an ambiguous agent": {"client_id": "other"}, "an organization": {"org_id": "org_1"},
		} {
			other := callerWith(t, name, claims)
			if got := c.LoginHints(other, "google-oauth2"); got != nil {
				t.Errorf("%s sees %q", name, got)
			}
			gets(t, c, other, hinted(name), "ok")
			hints(t, c, other, name)
		}
		for name, cfg := range map[string]Config{
			"another API": {Audience: "https://other.example.com/"}, "another exchange client": {ClientID: "other"},
			"another tenant": {Domain: "other.example.com"},
		} {
			cfg.Cache = c.cache
			hints(t, s.client(t, cfg), alice(t, name))
		}
		hints(t, s.client(t, Config{Cache: c.cache}), alice(t, "after a reload"), "too", "mine")
		if got := c.LoginHints(alice(t, "raw"), "github"); got != nil {
			t.Errorf("another connection has %q", got)
		}
		hints(t, c, alice(t, "raw"), "too", "mine")
	})
}

// A hint is a byte string of the agent's choice.
func TestLoginHintsComeBackAsTheyWere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(minting(object{"access_token": "token"}))
		c, caller := s.client(t, Config{}), alice(t, "raw")
		var want []string
		for _, hint := range []string{"0:", "1:a", "a@example.com", "ä\x00\n", ":", " "} {
			gets(t, c, caller, hinted(hint), "ok")
			want = slices.Insert(want, 0, hint)
		}
		hints(t, c, caller, want...)
	})
}

func TestLoginHintsOutliveTheirTokens(t *testing.T) {
	for name, tt := range map[string]struct {
		then http.HandlerFunc // what the vault says the second time
		get  string
		want []string
	}{
		"nothing more is asked":             {nil, "", []string{"work"}},
		"the vault fails":                   {answering(500, ""), "vault_unavailable/server_error", []string{"work"}},
		"another access token is refused":   {refusal(401, "invalid_grant"), "invalid_token/invalid_grant", []string{"work"}},
		"the new token is to be used once":  {minting(object{"expires_in": 0}), "ok", []string{"work"}},
		"the account is gone":               {refusal(401, "user_not_found"), noSuchAccount, nil},
		"the provider refuses the account":  {refusal(401, "federated_connection_refresh_token_flow_failed"), "relink_required/federated_connection_refresh_token_flow_failed", nil},
		"no account is left at the vault":   {notLinked(), linkRequired, nil},
		"the vault by its older name of it": {refusal(401, "tokenset_not_found"), "link_required/tokenset_not_found", nil},
	} {
		t.Run(name, func(t *testing.T) {
			for _, end := range []string{"expired", "rejected"} {
				bubble(t, func(t *testing.T) {
					s := newTenant()
					c, caller := s.client(t, Config{}), alice(t, "raw")
					token := mustToken(t, c, caller, hinted("work"))
					if end == "rejected" {
						rejects(t, c, token, true)
					} else {
						time.Sleep(2 * time.Hour)
					}
					hints(t, c, caller, "work")
					if tt.then != nil {
						s.serveVault(tt.then)
						want := tt.get
						if end == "rejected" && name == "the vault fails" {
							want = "ok" // with what there was
						}
						gets(t, c, caller, hinted("work"), want)
					}
					time.Sleep(time.Hour)
					hints(t, c, caller, tt.want...)
				})
			}
		})
	}
}

func TestAHintThatWasRefusedCountsOnceItIsServed(t *testing.T) {
	for name, served := range map[string]http.HandlerFunc{"kept": mint, "to be used once": minting(object{"expires_in": 0})} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				s.serveVault(refusal(401, "user_not_found"))
				c, caller := s.client(t, Config{}), alice(t, "raw")
				gets(t, c, caller, hinted("work"), noSuchAccount)
				hints(t, c, caller)
				s.serveVault(served)
				time.Sleep(linkMaxAge)
				gets(t, c, caller, hinted("work"), "ok")
				hints(t, c, caller, "work")
			})
		})
	}
}

// What began before Forget may have been served by an account that is gone.
func TestAForgottenFlightLeavesNoLoginHint(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(after(time.Second, mint))
		c, caller := s.client(t, Config{}), alice(t, "raw")
		go func() { _, _ = c.Token(t.Context(), caller, hinted("work")) }()
		synctest.Wait()
		c.Forget("auth0|alice", "google-oauth2")
		time.Sleep(2 * time.Second)
		hints(t, c, caller)
	})
}

func TestTheNinthHintPushesOutTheOneUsedLeastRecently(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, caller := s.client(t, Config{}), alice(t, "raw")
		for i := range MaxLoginHints {
			gets(t, c, caller, hinted(fmt.Sprint(i)), "ok")
		}
		gets(t, c, caller, hinted("0"), "ok") // used again
		gets(t, c, caller, calendar, "ok")    // without a hint it is none of the eight
		s.asked(t, MaxLoginHints+1)
		gets(t, c, caller, hinted("8"), "ok") // 1 has to go
		hints(t, c, caller, "8", "0", "7", "6", "5", "4", "3", "2")
		s.asked(t, MaxLoginHints+2)
		gets(t, c, caller, hinted("0"), "ok")
		gets(t, c, caller, calendar, "ok")
		s.asked(t, MaxLoginHints+2)
		gets(t, c, caller, hinted("1"), "ok")
		s.asked(t, MaxLoginHints+3)
	})
}

func TestHintsThatAreMadeUpFillNoCache(t *testing.T) {
	for name, known := range map[string]bool{"and served": true, "and refused": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				c := s.client(t, Config{TenantBudget: 1e6, UserBudget: 1e6, MaxEntries: 20})
				good, bob, evil := alice(t, "good"), callerWith(t, "bob", object{"sub": "auth0|bob"}), callerWith(t, "evil", object{"azp": "evil"})
				for _, caller := range []*AccessToken{good, bob} {
					gets(t, c, caller, hinted("work"), "ok")
					gets(t, c, caller, calendar, "ok")
				}
				s.serveVault(knowing(func(string) bool { return known }))
				for i := range 1000 {
					_, _ = c.Token(t.Context(), evil, hinted(fmt.Sprint("made up ", i)))
				}
				if n, _, _ := kept(c.cache); n != 4+MaxLoginHints {
					t.Errorf("%d entries", n)
				}
				asked := s.exchanges()
				for _, caller := range []*AccessToken{good, bob} {
					gets(t, c, caller, hinted("work"), "ok")
					gets(t, c, caller, calendar, "ok")
					hints(t, c, caller, "work")
				}
				s.asked(t, asked)
			})
		})
	}
}

// Whatever happens in whatever order: nothing that the vault said no to is in
// the list, nothing is there twice, and the last used comes first.
func TestLoginHintsNeverListWhatTheVaultRefused(t *testing.T) {
	const steps, names = 3000, 12
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				dice := rand.New(rand.NewPCG(seed, 0))
				s := newTenant()
				c, caller := s.client(t, Config{TenantBudget: 1e6, UserBudget: 1e6}), alice(t, "raw")
				connected := map[string]bool{} // at the vault
				s.serveVault(knowing(func(hint string) bool { return hint == "" || connected[hint] }))
				var served []string        // the last used first
				said := map[string]error{} // what was heard last
				for range steps {
					hint := fmt.Sprint("account ", dice.IntN(names))
					switch dice.IntN(12) {
					case 0:
						connected[hint] = !connected[hint]
					case 1:
						time.Sleep(time.Duration(dice.Int64N(int64(90 * time.Minute))))
					case 2:
						if dice.IntN(20) == 0 {
							c.Forget("auth0|alice", "google-oauth2")
							served, said = nil, map[string]error{}
						}
					case 3:
						gets(t, c, caller, calendar, "ok")
					default:
						token, err := c.Token(t.Context(), caller, hinted(hint))
						said[hint] = err
						served = slices.DeleteFunc(served, func(h string) bool { return h == hint })
						if err == nil {
							served = slices.Insert(served, 0, hint)
							if dice.IntN(8) == 0 {
								c.Reject(token)
							}
						}
					}
					got := c.LoginHints(caller, "google-oauth2")
					if len(got) > MaxLoginHints || len(got) > len(served) || !slices.Equal(got, served[:len(got)]) {
						t.Fatalf("listed %q, served %q", got, served)
					}
					for _, hint := range got {
						if said[hint] != nil {
							t.Fatalf("%q is listed, and the vault said %v", hint, said[hint])
						}
					}
					if n, _, _ := kept(c.cache); n > MaxLoginHints+1 {
						t.Fatalf("%d entries", n)
					}
				}
			})
		})
	}
}

func TestLoginHintsAreTheCallersToChange(t *testing.T) {
	s, c := listen(t, func(cfg *auth0test.Config) {
		cfg.Users[0].ConnectedAccounts = []auth0test.UserAccount{{Connection: "google-oauth2", Account: "work"}}
	}, Config{})
	caller := issue(t, s, c)
	together(20, func(int) any {
		gets(t, c, caller, hinted("work"), "ok")
		if got := c.LoginHints(caller, "google-oauth2"); !reflect.DeepEqual(got, []string{"work"}) {
			t.Errorf("got %q", got)
		} else {
			got[0] = "spoiled"
		}
		return nil
	})
}
