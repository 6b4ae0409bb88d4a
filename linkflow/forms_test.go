package linkflow

import (
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// tab is another tab of the same browser, on the same page.
func (b *browser) tab() *browser {
	return &browser{world: b.world, client: b.client, jar: b.jar, at: b.at, status: b.status, header: b.header, body: b.body}
}

// Alice leaves a page open that names her, or goes on from one. Bob comes, says in
// another tab that he is not her, and signs in.
func TestAPageThatNamesAliceNeverActsForBob(t *testing.T) {
	toBob := func(b *browser) { b.press("action", "switch").signIn("bob").want(200, "bob@example.com") }
	for name, c := range map[string]struct {
		world  func(*testing.T) *world
		before func(*browser) // what alice does before she leaves
		other  func(*browser) // what is done in the other tab
		button string
	}{
		"connecting": {
			func(t *testing.T) *world { return newWorld(t, auth0test.Settings{}, offering) }, func(*browser) {}, toBob, "connect",
		},
		"having the Action join an identity": {
			func(t *testing.T) *world { return actionWorld(t) }, func(*browser) {}, toBob, "prove",
		},
		"proving an identity": {
			func(t *testing.T) *world { return newLinkingWorld(t, nil) }, func(*browser) {}, toBob, "prove",
		},
		"connecting after merging": {
			func(t *testing.T) *world { return newLinkingWorld(t, nil) },
			func(b *browser) {
				b.press("action", "prove").consent("allow").press("action", "merge").want(200, "is part of your account")
			},
			func(b *browser) {
				b.press("action", "connect").signIn("alice")
				toBob(b)
			},
			"connect",
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := c.world(t)
			left := w.browser().open(w.site.URL+"/auth/connect?connection=google-oauth2").press("", "").signIn("alice").want(200, "alice@example.com")
			c.before(left)
			c.other(left.tab())
			asked := len(w.tenant.Requests())
			left.press("action", c.button).wantRefused(409, "changed_meanwhile")
			if n := len(w.tenant.Requests()); n != asked || strings.Contains(left.body, "@example.com") {
				t.Errorf("Auth0 was asked %d times:\n%s", n-asked, left.body)
			}
			left.open(w.site.URL+goOnPattern.FindStringSubmatch(left.body)[1]).want(200, "bob@example.com")
		})
	}
}
