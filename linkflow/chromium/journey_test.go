package chromium

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// The pages on the way, in order.
var logIn = where{"/u/login", headingLogIn}

func (s service) heading(format string) string { return fmt.Sprintf(format, s.name) }

func (s service) connectPage() where { return where{"/auth/connect", s.heading(headingConnect)} }
func (s service) confirmPage() where { return where{"/auth/confirm", s.heading(headingConfirm)} }
func (s service) donePage() where    { return where{"/auth/done", s.heading(headingDone)} }

var (
	declinedPage    = where{anyPath, headingDeclined}
	wrongPersonPage = where{anyPath, headingWrongPerson}
)

// signIn fills in Auth0's form.
func (b *tab) signIn(user string) *tab {
	b.Helper()
	b.see(logIn)
	return b.fill("username", user+"@example.com").fill("password", user+"-password").press(buttonLogIn)
}

// toConfirm goes from a link to the page where alice decides.
func (b *tab) toConfirm(s service, link string) *tab {
	b.Helper()
	b.open(link).see(s.connectPage())
	b.press(buttonContinue).signIn("alice").see(s.confirmPage())
	return b
}

// toConsent goes on to the provider.
func (b *tab) toConsent(s service, link string) *tab {
	b.Helper()
	b.toConfirm(s, link).press(buttonConnect).see(s.consent)
	return b
}

// forEach runs a test for each provider, in a world and with a browser of its
// own.
func forEach(t *testing.T, test func(w *world, b *tab, s service)) {
	t.Parallel()
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			test(newWorld(t), newTab(t), s)
		})
	}
}

func TestAPersonConnectsAnAccount(t *testing.T) {
	forEach(t, func(w *world, b *tab, s service) {
		link := w.link(s.request)
		b.open(link.URL).see(s.connectPage())
		b.press(buttonContinue).signIn("alice").says(s.confirmPage(), wordsSignedInAs, "alice@example.com", "Calendar Assistant")
		w.wantState(link, linkflow.Pending)
		b.press(buttonConnect).see(s.consent)
		b.press(buttonAllow).see(s.donePage())
		w.wantState(link, linkflow.Completed)
		w.wantCompleted(1)
	})
}

func TestDecliningAtOurPage(t *testing.T) {
	forEach(t, func(w *world, b *tab, s service) {
		link := w.link(s.request)
		b.toConfirm(s, link.URL).press(buttonDecline).see(declinedPage)
		w.wantState(link, linkflow.Declined)
		w.wantNothingBegun()
		b.reload().see(declinedPage)
	})
}

func TestDecliningAtTheProvider(t *testing.T) {
	forEach(t, func(w *world, b *tab, s service) {
		link := w.link(s.request)
		b.toConsent(s, link.URL).press(buttonCancel).see(declinedPage)
		w.wantState(link, linkflow.Declined)
		w.wantCompleted(0)
		b.reload().see(declinedPage)
	})
}

// The tenant lets nobody sign in to an organization who is no member of it.
func TestTheTenantDeclines(t *testing.T) {
	t.Parallel()
	for _, s := range services {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			w, b := newWorld(t, func(seeds *auth0test.Config, _ *linkflow.Config) {
				seeds.Settings.Organizations[0].Members = []string{"auth0|bob"}
			}), newTab(t)
			caller := w.callerWith(map[string]any{"org_id": "org_example"})
			link, err := w.flow.Link(t.Context(), caller, s.request)
			if err != nil {
				t.Fatal(err)
			}
			b.open(link.URL).see(s.connectPage())
			b.press(buttonContinue).signIn("alice").see(where{anyPath, headingNotSignedIn})
			w.wantNothingBegun()
			if got := w.events.kinds(); !slices.Equal(got, []linkflow.Kind{linkflow.Started, linkflow.Refused}) {
				t.Errorf("the operator was told %v", got)
			}
		})
	}
}

func TestTheWrongPersonSwitches(t *testing.T) {
	forEach(t, func(w *world, b *tab, s service) {
		link := w.link(s.request)
		b.open(link.URL).see(s.connectPage())
		v := b.press(buttonContinue).signIn("bob").see(wrongPersonPage)
		for _, name := range []string{"alice", "bob"} {
			if strings.Contains(v.Text, name) {
				w.Errorf("the page names %s:\n%s", name, v.Text)
			}
		}
		w.wantState(link, linkflow.Pending)
		b.press(buttonOther).signIn("alice").says(s.confirmPage(), "alice@example.com")
		b.press(buttonConnect).see(s.consent)
		b.press(buttonAllow).see(s.donePage())
		w.wantState(link, linkflow.Completed)
	})
}

// Whoever is signed in at Auth0 already can choose somebody else from the start,
// and once more before anything is connected.
func TestAPersonChoosesWhoSignsIn(t *testing.T) {
	forEach(t, func(w *world, b *tab, s service) {
		link := w.link(s.request)
		b.open(link.URL).see(s.connectPage())
		b.press(buttonContinue).signIn("bob").see(wrongPersonPage)
		b.open(link.URL).see(s.connectPage())
		b.press(buttonOther).signIn("alice").see(s.confirmPage())
		b.press(buttonNotYou).signIn("bob").see(wrongPersonPage)
		w.wantNothingBegun()
		w.wantState(link, linkflow.Pending)
	})
}

func TestAPersonGrantsLessAndTriesAgain(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t), newTab(t)
	link := w.link(github.request)
	b.toConsent(github, link.URL).grantLess().press(buttonAllow).see(where{anyPath, headingTooLittle})
	w.wantState(link, linkflow.Failed)
	b.press(linkGrantRest).see(github.connectPage())
	b.press(buttonContinue).see(github.confirmPage()) // they are signed in
	b.press(buttonConnect).see(github.consent)
	b.press(buttonAllow).see(github.donePage())
	w.wantState(link, linkflow.Completed)
}

func TestLinksThatDoNotWork(t *testing.T) {
	forEach(t, func(w *world, b *tab, s service) {
		b.open(w.oldLink(11*time.Minute, s.request).URL).see(where{"/auth/connect", headingExpired})
		b.open(w.link(s.request).URL + "x").see(where{"/auth/connect", headingBadLink})
		if n := len(w.events.kinds()); n != 0 {
			w.Errorf("looking at links told the operator %v", w.events)
		}
	})
}

// A link that ends while somebody reads the page cannot be used any more.
func TestALinkExpiresWhileItIsRead(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t), newTab(t)
	link := w.oldLink(10*time.Minute-3*time.Second, google.request)
	b.open(link.URL).see(google.connectPage())
	time.Sleep(3 * time.Second)
	b.press(buttonContinue).see(where{"/auth/connect", headingExpired})
	w.wantState(link, linkflow.Expired)
	if got := w.asked("GET", "/authorize"); got != 0 {
		t.Errorf("%d sign-ins were begun", got)
	}
}

func TestTwoTabsConnectTwoAccounts(t *testing.T) {
	t.Parallel()
	w, first := newWorld(t), newTab(t)
	links := []*linkflow.Link{w.link(google.request), w.link(github.request)}
	first.toConfirm(google, links[0].URL)
	second := first.another()
	second.open(links[1].URL).see(github.connectPage())
	second.press(buttonContinue).see(github.confirmPage()) // they are signed in

	first.press(buttonConnect).see(google.consent)
	second.press(buttonConnect).see(github.consent)
	first.press(buttonAllow).see(google.donePage())
	second.press(buttonAllow).see(github.donePage())
	for _, link := range links {
		w.wantState(link, linkflow.Completed)
	}
	w.wantCompleted(2)
}

// Alice leaves a page open that names her. In another tab bob says that he is not her,
// and signs in.
func TestAPageThatNamesAliceNeverActsForBob(t *testing.T) {
	for name, c := range map[string]struct {
		change []change
		page   where
		button string
	}{
		"connecting":                         {nil, google.confirmPage(), buttonConnect},
		"proving an identity":                {[]change{viaManagement}, google.addPage(), buttonProve},
		"having the Action join an identity": {[]change{viaLinkAccount}, google.addPage(), buttonProve},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, left := newWorld(t, c.change...), newTab(t)
			left.open(w.url("/auth/connect?connection=google-oauth2")).see(google.connectPage())
			left.press(buttonContinue).signIn("alice").says(c.page, "alice@example.com")
			other := left.another().open(w.url(w.seen.last("/auth/confirm?")))
			other.says(c.page, "alice@example.com")
			other.press(buttonNotYou).signIn("bob").says(c.page, "bob@example.com")

			asked := w.asked("GET", "/authorize")
			left.press(c.button).see(where{"/auth/confirm", headingChanged})
			w.wantNothingBegun()
			if n := w.asked("GET", "/authorize"); n != asked {
				w.Errorf("%d sign-ins were begun", n-asked)
			}
			left.press(linkGoOn).says(c.page, "bob@example.com")
		})
	}
}
