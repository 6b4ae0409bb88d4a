package linkflow

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// newBudgetWorld is newWorld with a tenant that may be asked so often a second. Pages
// and sign-ins have a quarter each, and ten seconds' worth of it at once.
func newBudgetWorld(t *testing.T, perSecond int) *world {
	t.Helper()
	return newWorld(t, auth0test.Settings{}, func(c *Config) {
		offering(c)
		var err error
		if c.Vault, err = vault.New(vault.Config{
			Domain: c.Vault.Issuer(), Audience: "https://agents.example.com/", TenantBudget: perSecond,
			ClientID: "vault-exchange", ClientSecret: vault.NewSecret("vault-exchange-secret"),
		}); err != nil {
			t.Fatal(err)
		}
	})
}

// from makes the browser one at another address.
func (b *browser) from(address string) *browser {
	b.client.Transport = &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}).DialContext}
	b.Cleanup(b.client.CloseIdleConnections)
	return b
}

// begin begins a flow, and returns with what it may come back.
func (b *browser) begin() (state string, cookie *http.Cookie) {
	b.Helper()
	b.open(b.site.URL + "/auth/connect?connection=google-oauth2")
	b.stopAt("/authorize", "state")
	b.press("", "")
	b.before = nil
	return b.held.URL.Query().Get("state"), b.flowCookies()[0]
}

// comeBack comes back from Auth0, where nobody was.
func (b *browser) comeBack(state string) *browser {
	b.Helper()
	return b.open(b.site.URL + "/auth/callback?" + url.Values{"state": {state}, "code": {"made up"}}.Encode())
}

// later makes it so much later that nothing is kept of what pages showed.
func (b *browser) later() *browser {
	clear(b.flow.kept.flows)
	return b
}

// othersSignIn has so many others sign in, and see the page that asks for more.
func (w *world) othersSignIn(n int) {
	w.Helper()
	for range n {
		w.browser().open(w.site.URL+"/auth/connect?connection=google-oauth2").press("", "").signIn("bob").want(200, "Signed in as")
	}
}

func TestNobodySpendsTheTenantsBudgetWithMadeUpCodes(t *testing.T) {
	w := newBudgetWorld(t, 4)
	b := w.browser()
	for range 40 {
		state, _ := b.begin()
		b.comeBack(state)
	}
	if n := w.called("/oauth/token"); n > 20 {
		t.Errorf("%d codes were redeemed", n)
	}
	b.want(502, "does not work")
}

func TestAStateThatIsReplayedWithMadeUpCodesCostsAuth0OneCall(t *testing.T) {
	w := newBudgetWorld(t, 16)
	b := w.browser()
	state, cookie := b.begin()
	for range 95 {
		b.setCookie(cookie)
		b.comeBack(state).want(400, titleOf(pageNoFlow)).want(400, "Try again")
	}
	if n := w.called("/oauth/token"); n != 1 {
		t.Errorf("%d codes were redeemed", n)
	}
	w.othersSignIn(8)
}

// The browser did not get the answer by which the account was connected.
func TestAnAnswerToALegThatGotLostIsNotMadeTwice(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	alice := w.alice()
	link := w.link(alice, calendar)
	b := w.browser().toConsent(link)
	b.stopAt("/auth/callback", "connect_code")
	b.consent("allow")
	callback, cookie := b.held.URL.String(), b.flowCookies()[0]
	b.goOn().want(200, "is connected")
	b.setCookie(cookie)
	b.open(callback).wantRefused(400, "state_spent")
	b.open(w.site.URL+goOnPattern.FindStringSubmatch(b.body)[1]).want(200, "Signed in as").want(200, "See your calendars")
	if n := w.called(completePath); n != 1 {
		t.Errorf("complete was called %d times", n)
	}
	w.wantState(alice, link, Completed)
}

func TestOneAddressThatBeginsFlowAfterFlowLeavesOthersTheirSignIns(t *testing.T) {
	w := newBudgetWorld(t, 16)
	b := w.browser().from("127.0.0.2")
	for range 100 {
		state, _ := b.begin()
		b.comeBack(state)
	}
	b.want(502, "does not work")
	w.othersSignIn(8)
}

// All are at one address here, as those in one office are.
func TestOnePersonWhoPressesAButtonAtFullSpeedLeavesOthersTheirPages(t *testing.T) {
	w := newBudgetWorld(t, 16)
	b := w.browser().toConfirm(w.link(w.alice(), calendar))
	action, fields := b.form()
	fields.Set("action", "connect")
	fields.Set("account", "cac_nobodys")
	for range 100 {
		b.send(b.post(action, fields, "same-origin", ""))
	}
	b.want(502, "does not work")
	w.othersSignIn(8)
}

// pagesOfAuth0 are the pages that show what only Auth0 can tell.
var pagesOfAuth0 = map[string]func(*testing.T) *browser{
	"confirm": func(t *testing.T) *browser {
		w := newWorld(t, auth0test.Settings{}, nil)
		return w.browser().toConfirm(w.link(w.alice(), calendar))
	},
	"accounts": func(t *testing.T) *browser {
		return newWorld(t, auth0test.Settings{}, nil).browser().toAccounts("alice")
	},
	"merge": func(t *testing.T) *browser {
		w := newLinkingWorld(t, nil)
		return w.browser().toMerge(w.link(w.alice(), calendar), "")
	},
	"identities": func(t *testing.T) *browser { return newLinkingWorld(t, nil, aliceTwice).toIdentities() },
	"unlink":     func(t *testing.T) *browser { return newLinkingWorld(t, nil, aliceTwice).toUnlink() },
}

func TestReloadingAPageCostsAuth0Nothing(t *testing.T) {
	for name, reach := range pagesOfAuth0 {
		t.Run(name, func(t *testing.T) {
			b := reach(t)
			body := b.body
			b.tenant.ClearRequests()
			for range 20 {
				b.open(b.at.String()).want(200, "</h1>")
			}
			if tokenless(b.body) != tokenless(body) {
				t.Errorf("it shows\n%s\nand did\n%s", b.body, body)
			}
			if n := len(b.tenant.Requests()); n > 0 {
				t.Errorf("it cost %d calls", n)
			}
		})
	}
}

// tokenless is a page without its form's token.
func tokenless(page string) string {
	for _, field := range hiddenPattern.FindAllStringSubmatch(page, -1) {
		if field[1] == "form" {
			page = strings.ReplaceAll(page, field[2], "")
		}
	}
	return page
}

func TestWhatIsKeptForOneFlowIsNotShownInAnother(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	link := w.link(w.alice(), calendar)
	b := w.browser().toConfirm(link)
	page := b.at.String()
	if err := w.tenant.Connect("auth0|alice", "google-oauth2", []string{mailScope}, ""); err != nil {
		t.Fatal(err)
	}
	w.browser().toConfirm(link).want(200, "Read all your e-mail")
	if b.open(page).want(200, "Signed in as"); strings.Contains(b.body, "Read all your e-mail") {
		t.Error("nothing was kept")
	}
	b.press("action", "connect").want(409, titleOf(pageChanged)) // since the form knew of none
	b.open(page).want(200, "Read all your e-mail")
}

func TestWhatIsKeptLastsFiveSecondsAndIsForOneToken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var k kept
		asked := 0
		look := func(flow, token string, want int) {
			t.Helper()
			if got, err := keptFor(&k, flow, token, func() (int, error) { asked++; return asked, nil }); got != want || err != nil {
				t.Errorf("%s with %s: answer %d, want %d", flow, token, got, want)
			}
		}
		look("one", "a", 1)
		look("two", "a", 2)
		look("one", "b", 3)
		time.Sleep(5*time.Second - 1)
		look("one", "a", 1)
		time.Sleep(1)
		look("one", "a", 4)
		k.drop("one")
		look("one", "a", 5)
		_, err := keptFor(&k, "three", "a", func() (int, error) { return 0, errors.New("Auth0 is down") })
		if look("three", "a", 6); err == nil {
			t.Error("no error")
		}
		// Something is decided while a page is being made.
		_, _ = keptFor(&k, "four", "a", func() (int, error) { k.drop("four"); return 0, nil })
		look("four", "a", 7)
	})
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	var k kept
	for i := range 3 * maxKept {
		_, _ = keptFor(&k, fmt.Sprint(i), "token", func() (int, error) { return i, nil })
	}
	if n := len(k.flows); n > maxKept {
		t.Errorf("%d flows", n)
	}
}

func TestAStateIsSpentForAsLongAsItsFlowLasts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s spent
		for round := range 3 {
			if !s.spend("state") || s.spend("state") {
				t.Errorf("round %d: not spent once", round)
			}
			time.Sleep(ticketLife / 2)
			s.spend("another")
			time.Sleep(ticketLife / 2)
			if s.spend("state") {
				t.Error("it may be spent again while the flow lasts")
			}
			time.Sleep(2 * ticketLife)
		}
		s.spend("last")
		if n := len(s.recent) + len(s.older); n != 1 {
			t.Errorf("%d states are remembered", n)
		}
	})
}

func TestSpentStatesAreBounded(t *testing.T) {
	var s spent
	for i := range 3 * maxSpent {
		s.spend(fmt.Sprint(i))
	}
	if n := len(s.recent) + len(s.older); n > maxSpent {
		t.Errorf("%d states are remembered", n)
	}
	if s.spend(fmt.Sprint(3*maxSpent - maxSpent/2)) {
		t.Error("one of the last may be spent again")
	}
}

func TestWhatCountsAsOneAddress(t *testing.T) {
	for _, same := range [][]string{
		{"203.0.113.7", "::ffff:203.0.113.7"},
		{"2001:db8:1:2::1", "2001:db8:1:2:ffff:ffff:ffff:ffff", "2001:DB8:1:2:0:0:0:9%eth0"},
		{"fe80::1%eth0", "fe80::2%eth1"},
		{"", "@", "unix", "203.0.113.7:80", strings.Repeat("9", 9999)},
	} {
		for _, address := range same {
			if got, want := addressShare(address), addressShare(same[0]); got != want {
				t.Errorf("%q has the share %q, %q has %q", address, got, same[0], want)
			}
		}
	}
	shares := make(map[string]string)
	for _, address := range []string{"203.0.113.7", "203.0.113.8", "2001:db8:1:2::1", "2001:db8:1:3::1", "::1", ""} {
		share := addressShare(address)
		if other, ok := shares[share]; ok {
			t.Errorf("%q and %q have one share", address, other)
		}
		shares[share] = address
	}
}

// sharesOf tells what each call to the tenant counts for: the context says it.
type sharesOf struct {
	mu     sync.Mutex
	shares map[string]string // by path
}

func (s *sharesOf) RoundTrip(r *http.Request) (*http.Response, error) {
	_, share, _ := strings.Cut(fmt.Sprint(r.Context()), "vault.shareKey, ")
	if i := strings.LastIndex(share, "vault.shareKey, "); i >= 0 { // the innermost one
		share = share[i+len("vault.shareKey, "):]
	}
	share, _, _ = strings.Cut(share, ")")
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shares[strings.TrimPrefix(r.URL.Path, "/")] = share
	return http.DefaultTransport.RoundTrip(r)
}

func TestWhatACallToAuth0CountsFor(t *testing.T) {
	s := &sharesOf{shares: make(map[string]string)}
	w := newLinkingWorld(t, func(c *Config) {
		var err error
		if c.Vault, err = vault.New(vault.Config{
			Domain: c.Vault.Issuer(), Audience: "https://agents.example.com/", Transport: s,
			ClientID: "vault-exchange", ClientSecret: vault.NewSecret("vault-exchange-secret"),
		}); err != nil {
			t.Fatal(err)
		}
	})
	want := func(path, share string) {
		t.Helper()
		s.mu.Lock()
		defer s.mu.Unlock()
		if got := s.shares[path]; got != share {
			t.Errorf("%s counts for %q, want %q, of %v", path, got, share, s.shares)
		}
		clear(s.shares)
	}
	link := w.link(w.alice(), calendar)
	b := w.browser().open(link.URL).press("", "").signIn("alice").want(200, "Signed in as")
	want("oauth/token", "address 127.0.0.1")
	b.press("action", "prove").consent("allow").want(200, "Make these one account?")
	want("oauth/token", "person auth0|alice") // who is known by then
	b.press("action", "merge").want(200, "is part of your account")
	want("api/v2/users/auth0|alice", "person auth0|alice")
	b.press("action", "connect").signIn("alice").want(200, "Signed in as")
	want("me/v1/connected-accounts/accounts", "person auth0|alice")
	b.press("action", "connect").consent("allow").want(200, "is connected")
	want("me/v1/connected-accounts/complete", "person auth0|alice")
	b.toAccounts("alice")
	want("me/v1/connected-accounts/accounts", "person auth0|alice")
}
