package linkflow

import (
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// bothEnrolled gives alice, and the user that she also is, a second factor each.
func bothEnrolled(c *auth0test.Config) {
	aliceAtGoogle(true)(c)
	enrolled(c)
	c.Users[2].Authenticators = []auth0test.Authenticator{{Code: "654321"}}
}

// steppingUp has an Action that asks for a second factor where the application does.
func steppingUp(c *auth0test.Config) {
	c.Actions = append(c.Actions, auth0test.Action{Name: "step-up", OnExecutePostLogin: func(e *auth0test.PostLoginEvent, api *auth0test.PostLoginAPI) {
		if slices.Contains(e.Transaction.ACRValues, vault.MultiFactor) && len(e.User.EnrolledFactors) > 0 {
			api.ChallengeWithAny(e.User.EnrolledFactors...)
		}
	}})
}

func requireMFA(c *Config) { c.Linking.RequireMFA = true }

func TestASecondFactorIsAskedForInBothSignIns(t *testing.T) {
	w := newLinkingWorld(t, requireMFA, bothEnrolled, steppingUp)
	b := w.browser().toLinkConfirm(w.link(w.alice(), calendar)).want(200, "One-time code")
	b.press("code", "123456").press("action", "prove").choose("117").want(200, "One-time code")
	b.press("code", "654321").want(200, "Make these one account?").press("action", "merge").want(200, "is part of your account")
}

func TestWhoHasASecondFactorHasToUseItInBothSignIns(t *testing.T) {
	w := newLinkingWorld(t, requireMFA, func(c *auth0test.Config) {
		bothEnrolled(c)
		c.Users[0].Authenticators = nil
	})
	b := w.browser().toMerge(w.link(w.alice(), calendar), "117").wantRefused(403, "mfa_required")
	if !strings.Contains(b.body, "second factor") {
		t.Error("the page does not say why")
	}
	w.wantUnlinked()
	w = newLinkingWorld(t, requireMFA, bothEnrolled)
	w.browser().toLinkConfirm(w.link(w.alice(), calendar)).wantRefused(403, "mfa_required")
	w = newLinkingWorld(t, requireMFA, func(c *auth0test.Config) { aliceTwice(c); enrolled(c) })
	w.browser().open(w.site.URL+"/auth/unlink").press("action", "sign_in").signIn("alice").wantRefused(403, "mfa_required")
}

// Whether there is a factor has to be known: it is not assumed that there is none.
func TestFactorsThatCannotBeReadAreAReasonNotToLink(t *testing.T) {
	w := newLinkingWorld(t, requireMFA)
	if err := w.tenant.AddFault(auth0test.Fault{Path: "/api/v2/users/auth0|alice/enrollments", Status: new(403), Body: map[string]any{"statusCode": 403}}); err != nil {
		t.Fatal(err)
	}
	w.browser().toLinkConfirm(w.link(w.alice(), calendar)).wantRefused(502, "management_403")
}

func TestWithoutTheRuleNobodyIsAskedForAFactor(t *testing.T) {
	w := newLinkingWorld(t, nil, bothEnrolled, steppingUp)
	w.browser().toMerge(w.link(w.alice(), calendar), "117").want(200, "Make these one account?")
	if strings.Contains(strings.Join(w.asked(), "\n"), "enrollments") {
		t.Error("factors were read")
	}
}
