package linkflow

import (
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// The behaviour of the account-linking Action that Auth0 published, row by row,
// beside that of linking via management: the same outcome, or a fault that is
// mended.

// The Action's faults, and the tests that are named after them:
//
//	an address is pinned even where it is not to be     TestAnIPAddressIsPinnedOnlyWhereTheOperatorSaysSo
//	the requested connection may be missing             TestTheRequestedConnectionIsAlwaysNamed
//	nor is it compared with that of the second sign-in  TestTheSecondSignInHasToBeThroughTheRequestedConnection
//	who is linked already goes through all of it        TestWhatIsLinkedAlreadyIsNotLinkedAgain
//	the session in the end may be the second user's     TestTheUserOfTheTicketRemains
//	there is no nonce                                   TestTheSecondSignInIsOfThisFlowAndNow
//	an address that nothing is said about is verified   TestAnAddressThatNothingIsSaidAboutIsNotVerified
//	the second address is not looked at                 TestAnEmailThatIsNotVerifiedIsAReasonNotToLinkWhereTheOperatorSaysSo
//	a token is in a URL                                 TestNoTokenIsInAnyURLOfALinking
//	the Management API is sought where nobody said      TestTheMachinesTokenIsKeptUntilItIsRefused
//	its scope is the wrong one, its refusals are alike  TestWhyTheManagementAPIDoesNothingIsToldApart
//	a sign-in that links nothing passes for success     TestWhateverCallToTheManagementAPIFailsThePersonIsToldAndCanTryAgain

// One more is none: the Action does not compare the two e-mail addresses. Nor is it
// done here, since people have several; who signs in on both sides proves both.

// Outcomes. A refusal of the Action's is its description.
const (
	joined  = "joined"
	nothing = "nothing to do"
	silence = "signed in, and nothing linked without a word"
	refused = "refused, and told"

	r1 = "ID_TOKEN_HINT Invalid: The `id_token_hint` does not conform to the authorization policy"
	r2 = "You must perform MFA for account linking"
	r3 = "Email Verification is required for account linking"
	r4 = "Unexpected Error trying to start account linking"
	r5 = "Failed to complete account linking"
	r6 = "Failed to link users"
	r7 = "error linking"
)

// walk is what a person does.
type walk struct {
	as      string                      // who signs in first; alice if empty
	account string                      // at the provider; one that nobody had if empty
	deny    bool                        // there
	page    bool                        // another connection is chosen on Auth0\'s page
	edit    func(nth int, q url.Values) // of the authorization requests
	moves   bool                        // to another address during the second sign-in
}

type behaviour struct {
	name    string
	seed    func(*auth0test.Config)
	secrets map[string]string // of the Action; an empty one is missing
	rules   Linking
	walk    walk
	hint    func(q url.Values, issue func(life int) string) // changes the request to the Action
	action  string
	ours    string
	mended  string // what is wrong with the Action, where the two differ
}

func enrolled(c *auth0test.Config) { c.Users[0].Authenticators = []auth0test.Authenticator{{}} }

func challenged(c *auth0test.Config) {
	enrolled(c)
	c.Settings.MFAPolicy = "always"
}

func bobTwice(c *auth0test.Config) {
	c.Users[1].Identities = []auth0test.Identity{
		{Connection: "Username-Password-Authentication", Provider: "auth0", UserID: "bob"},
		{Connection: "google-oauth2", Provider: "google-oauth2", UserID: "118", IsSocial: true},
	}
}

func firstOnly(edit func(url.Values)) func(int, url.Values) {
	return func(nth int, q url.Values) {
		if nth == 1 {
			edit(q)
		}
	}
}

func secondOnly(edit func(url.Values)) func(int, url.Values) {
	return func(nth int, q url.Values) {
		if nth == 2 {
			edit(q)
		}
	}
}

var behaviours = []behaviour{
	{name: "a new second account", action: joined, ours: joined},
	{
		name: "R1: the first sign-in is too long ago", action: r1, ours: refused,
		hint: func(q url.Values, issue func(life int) string) {
			q.Set("id_token_hint", issue(-1))
		},
		walk: walk{edit: firstOnly(func(q url.Values) { q.Del("max_age") })}, // so that nothing says when it was
	},
	{
		name: "R1: nothing proves the first sign-in", action: r1, ours: refused,
		hint: func(q url.Values, _ func(int) string) { q.Del("id_token_hint") },
		walk: walk{edit: firstOnly(func(q url.Values) { q.Del("nonce") })},
	},
	{
		name: "R1: the first sign-in is somebody else's", action: r1, ours: refused,
		walk: walk{as: "bob"},
	},
	{
		name: "R2: a factor is enrolled and was not used", action: r2, ours: refused,
		seed: enrolled, secrets: map[string]string{"ENFORCE_MFA": "yes"}, rules: Linking{RequireMFA: true},
	},
	{
		name: "R2: a factor is enrolled, and nobody demands it", action: joined, ours: joined,
		seed: enrolled, secrets: map[string]string{"ENFORCE_MFA": "no"},
	},
	{
		name: "R2: no factor is enrolled", action: joined, ours: joined,
		secrets: map[string]string{"ENFORCE_MFA": "yes"}, rules: Linking{RequireMFA: true},
	},
	{
		name: "R2: the factor was used, in both", action: joined, ours: joined,
		seed: challenged, secrets: map[string]string{"ENFORCE_MFA": "yes"}, rules: Linking{RequireMFA: true},
	},
	{
		name: "R3: the first address is not verified", action: r3, ours: refused,
		seed:    func(c *auth0test.Config) { c.Users[0].EmailVerified = false },
		secrets: map[string]string{"ENFORCE_EMAIL_VERIFICATION": "yes"}, rules: Linking{RequireVerifiedEmail: true},
	},
	{
		name: "R3: and nobody demands it", action: joined, ours: joined,
		seed: func(c *auth0test.Config) { c.Users[0].EmailVerified = false },
	},
	{
		name: "R3: there is no first address", action: joined, ours: refused, mended: "what is not said counts as verified",
		seed: func(c *auth0test.Config) {
			c.Users[0].Email, c.Users[0].EmailVerified, c.Users[0].Username = "", false, "alice@example.com"
		},
		secrets: map[string]string{"ENFORCE_EMAIL_VERIFICATION": "yes"}, rules: Linking{RequireVerifiedEmail: true},
	},
	{
		name: "R3: the second address is not verified", action: joined, ours: refused, mended: "the second address is not looked at",
		seed: func(c *auth0test.Config) {
			c.ProviderAccounts = append(c.ProviderAccounts, auth0test.ProviderAccount{
				Strategy: "google-oauth2", Account: "117", Email: "mallory@example.com", EmailVerified: new(false),
			})
		},
		secrets: map[string]string{"ENFORCE_EMAIL_VERIFICATION": "yes"}, rules: Linking{RequireVerifiedEmail: true},
		walk: walk{account: "117"},
	},
	{
		name: "R4: the second sign-in cannot be begun", action: r4, ours: joined, mended: "it takes a client of its own",
		secrets: map[string]string{"AUTH0_CLIENT_ID": ""},
	},
	{name: "R5: the second sign-in is refused", action: r5, ours: refused, walk: walk{deny: true}},
	{
		name: "R5: the address changes, and nobody minds", action: r5, ours: joined, mended: "PIN_IP_ADDRESS counts even when it is no",
		secrets: map[string]string{"PIN_IP_ADDRESS": "no"}, walk: walk{moves: true},
	},
	{
		name: "R5: the address changes, and is pinned", action: r5, ours: refused,
		secrets: map[string]string{"PIN_IP_ADDRESS": "yes"}, rules: Linking{PinIP: true}, walk: walk{moves: true},
	},
	{
		name: "no connection is requested", action: joined, ours: refused, mended: "requested_connection is not validated",
		hint: func(q url.Values, _ func(int) string) { q.Del("requested_connection") },
		walk: walk{edit: secondOnly(func(q url.Values) { q.Del("connection") }), page: true},
	},
	{
		name: "the second sign-in is through another connection", action: joined, ours: refused, mended: "the connection of the second sign-in is not compared",
		walk: walk{edit: secondOnly(func(q url.Values) { q.Set("connection", "github") })},
	},
	{
		name: "R6: the Management API's domain is no secret of the instructions", action: r6, ours: joined, mended: "the audience is built from a secret that nobody is told to set",
		secrets: map[string]string{"AUTH0_DOMAIN": ""},
	},
	{
		name: "R7: the scope of the instructions", action: r7, ours: joined, mended: "create:users links nothing; people's own tokens do",
		seed: func(c *auth0test.Config) {
			for i := range c.ClientGrants {
				if c.ClientGrants[i].ClientID == "account-linking" {
					c.ClientGrants[i].Scope = []string{"create:users"}
				}
			}
		},
	},
	{
		name: "R7: the second account is part of another one", action: r7, ours: refused,
		seed: bobTwice, walk: walk{account: "118"},
	},
	{
		name: "linked already", action: nothing, ours: nothing, // ours after one sign-in
		seed: aliceTwice, walk: walk{account: "117"},
	},
	{
		name: "an agent that may not link", action: silence, ours: "", mended: "nobody is told; here it gets no link at all (TestWhichAgentsMayUseARoute of caddymodule)",
		secrets: map[string]string{"ALLOWED_CLIENT_IDS": "another-client"},
	},
}

func TestTheActionsBehaviourRowByRow(t *testing.T) {
	for _, row := range behaviours {
		t.Run(row.name, func(t *testing.T) {
			if got := row.throughAction(t); got != row.action {
				t.Errorf("the Action: %s, want %s", got, row.action)
			}
			if row.ours == "" {
				return
			}
			if got := row.viaManagement(t); got != row.ours {
				t.Errorf("via management: %s, want %s", got, row.ours)
			}
			same := row.ours == row.action || row.ours == refused && strings.Contains(r1+r2+r3+r5+r7, row.action)
			if same != (row.mended == "") {
				t.Error("the two differ without a reason, or agree with one")
			}
		})
	}
}

// throughAction asks the tenant's Action, as any application does.
func (row *behaviour) throughAction(t *testing.T) string {
	w := newTenantWorld(t, func(c *auth0test.Config) {
		c.AddAccountLinking()
		for name, value := range row.secrets {
			secret(name, value)(c)
		}
		if row.seed != nil {
			row.seed(c)
		}
	}, nil)
	before := len(w.identities("auth0|alice"))
	issue := func(life int) string { // one that has ended is a day old
		tokens, err := w.tenant.IssueToken(auth0test.TokenRequest{User: "auth0|alice", ClientID: "link-pages", ExpiresIn: &life})
		if err != nil {
			t.Fatal(err)
		}
		return tokens.IDToken
	}
	q := url.Values{
		"response_type": {"code"}, "client_id": {"link-pages"}, "redirect_uri": {w.site.URL + "/auth/callback"}, "state": {"s"},
		"scope": {"link_account openid profile offline_access"}, "requested_connection": {"google-oauth2"},
		"id_token_hint": {issue(3600)},
	}
	if row.hint != nil {
		row.hint(q, issue)
	}
	b := w.browser()
	second := row.walk.take(b)
	b.open(w.tenant.URL + "/authorize?" + q.Encode())
	row.walk.finish(b, second)
	if b.held == nil {
		return "it ends at " + b.at.String()
	}
	answer := b.held.URL.Query()
	switch {
	case answer.Has("error"):
		return answer.Get("error_description")
	case len(w.identities("auth0|alice")) > before:
		return joined
	case *second:
		return nothing
	}
	return silence
}

// viaManagement opens a link of an agent's.
func (row *behaviour) viaManagement(t *testing.T) string {
	w := newLinkingWorld(t, func(c *Config) { c.Linking = row.rules }, func(c *auth0test.Config) {
		if row.seed != nil {
			row.seed(c)
		}
	})
	before := len(w.identities("auth0|alice"))
	link := w.link(w.alice(), calendar)
	b := w.browser()
	second := row.walk.take(b)
	b.open(link.URL)
	row.walk.finish(b, second)
	linked := len(w.identities("auth0|alice")) > before
	switch {
	case linked && b.status == http.StatusOK && strings.Contains(b.body, "Google is part of your account<"):
		return joined
	case !linked && b.status == http.StatusOK && strings.Contains(b.body, "is part of your account already"):
		return nothing
	case !linked && b.status >= 400 && w.log.last().Reason != "":
		return refused
	}
	return "it ends at " + b.at.String() + ": " + titlePattern.FindString(b.body)
}

// take makes b take the walk's turns. It tells whether there was a second sign-in.
func (v *walk) take(b *browser) (second *bool) {
	asked := 0
	second = new(bool)
	b.before = func(r *http.Request) bool {
		if r.URL.Path == "/auth/callback" && !strings.Contains(r.URL.Query().Get("state"), ".") { // of no flow of ours
			return false
		}
		if r.URL.Path == "/authorize" {
			asked++
			q := r.URL.Query()
			if v.edit != nil {
				v.edit(asked, q)
			}
			r.URL.RawQuery = q.Encode()
			*second = asked == 2
			if *second && v.moves {
				b.client.Transport = &http.Transport{DialContext: (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}).DialContext}
			}
		}
		return true
	}
	return second
}

var newCodePattern = regexp.MustCompile(`<strong>(\d+)</strong>`)

// finish answers all pages until one leads nowhere.
func (v *walk) finish(b *browser, second *bool) {
	b.Helper()
	as := "alice"
	if v.as != "" {
		as = v.as
	}
	for range 30 {
		title := titlePattern.FindString(b.body)
		switch {
		case b.held != nil || b.status >= 400:
			return
		case strings.Contains(b.body, `name="password"`) && v.page && *second:
			b.submit(url.Values{"connection": {"github"}})
		case strings.Contains(b.body, `name="password"`):
			b.signIn(as)
		case strings.Contains(b.body, `name="code"`):
			code := "123456"
			if fresh := newCodePattern.FindStringSubmatch(b.body); fresh != nil {
				code = fresh[1]
			}
			b.submit(url.Values{"code": {code}})
		case strings.Contains(b.body, `name="request"`) && v.deny:
			b.consent("deny")
		case strings.Contains(b.body, `name="request"`):
			b.choose(v.account)
		case strings.Contains(title, "Connect Google?"):
			b.press("", "")
		case strings.Contains(title, "Add Google to your account?"):
			b.press("action", "prove")
		case strings.Contains(title, "Make these one account?"):
			b.press("action", "merge")
		default:
			return
		}
	}
	b.Fatal("it does not end")
}
