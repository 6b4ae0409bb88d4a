package linkflow

import (
	"errors"
	"fmt"
	"html"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// broken is a network on which calls to the Management API fail as the test wants:
// before Auth0 hears of them, or after.
type broken struct {
	mu    sync.Mutex
	calls []string // method and path, in order
	fail  func(n int, r *http.Request) *failure
}

// failure is what becomes of a call. Without a status the connection breaks.
type failure struct {
	heard  bool // Auth0 does what it is asked all the same
	status int
	body   string
}

// RoundTrip implements http.RoundTripper.
func (b *broken) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasPrefix(r.URL.Path, "/api/v2/") {
		return http.DefaultTransport.RoundTrip(r)
	}
	b.mu.Lock()
	n, fail := len(b.calls), b.fail
	b.calls = append(b.calls, r.Method+" "+r.URL.Path)
	b.mu.Unlock()
	var f *failure
	if fail != nil {
		f = fail(n, r)
	}
	if f == nil || f.heard {
		resp, err := http.DefaultTransport.RoundTrip(r)
		if f == nil || err != nil {
			return resp, err
		}
		_ = resp.Body.Close()
	}
	if f.status == 0 {
		return nil, io.ErrUnexpectedEOF
	}
	return &http.Response{
		StatusCode: f.status, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(f.body)),
	}, nil
}

// through makes the link pages reach Auth0 over network.
func through(network http.RoundTripper) func(*Config) {
	return func(c *Config) {
		client, err := vault.New(vault.Config{
			Domain: c.Vault.Issuer(), Audience: "https://agents.example.com/", Transport: network,
			ClientID: "vault-exchange", ClientSecret: vault.NewSecret("vault-exchange-secret"),
		})
		if err != nil {
			panic(err)
		}
		c.Vault = client
	}
}

var (
	againPattern = regexp.MustCompile(`<a class="button first" href="([^"]+)">Try again`)
	goOnPattern  = regexp.MustCompile(`<a class="button first" href="([^"]+)">Go on where you were`)
	titlePattern = regexp.MustCompile(`<h1>([^<]*)</h1>`)
)

// persist does what a person does who wants to link an identity, and presses on
// where something fails. told is called with each page that says so.
func (b *browser) persist(link *Link, person string, told func()) error {
	b.open(link.URL)
	for range 30 {
		switch title := titlePattern.FindStringSubmatch(b.body); {
		case strings.Contains(b.body, `name="password"`):
			b.signIn(person)
		case strings.Contains(b.body, `name="request"`): // the provider's
			b.choose(b.providerAccount(person))
		case title == nil:
			return fmt.Errorf("at %s (%d)", b.at, b.status)
		case title[1] == "Connect Google?":
			b.press("", "")
		case title[1] == "Add Google to your account?":
			b.press("action", "prove")
		case title[1] == "Make these one account?":
			b.press("action", "merge")
		case strings.HasPrefix(title[1], "Google is part of your account"):
			return nil
		default:
			told()
			next := append(goOnPattern.FindStringSubmatch(b.body), againPattern.FindStringSubmatch(b.body)...)
			if next == nil {
				return fmt.Errorf("the page %q (%d) leads nowhere", title[1], b.status)
			}
			b.open(b.site.URL + html.UnescapeString(next[1]))
		}
	}
	return errors.New("it does not end")
}

// providerAccount finds somebody's account on the provider's page.
func (b *browser) providerAccount(person string) string {
	b.Helper()
	account := regexp.MustCompile(`<option value="([^"]*)">` + person + `@example\.com`).FindStringSubmatch(b.body)
	if account == nil {
		b.Fatalf("%s has no account on %s:\n%s", person, b.at, b.body)
	}
	return account[1]
}

// withPersons adds so many people to a tenant, and tells their names.
func withPersons(count int) (names []string, seed func(*auth0test.Config)) {
	for i := range count {
		names = append(names, fmt.Sprintf("person-%d", i))
	}
	return names, func(c *auth0test.Config) {
		for _, name := range names {
			c.Users = append(c.Users, auth0test.User{
				UserID: "auth0|" + name, Email: name + "@example.com", EmailVerified: true, Password: name + "-password",
			})
		}
	}
}

// At every call: what Auth0 has done is not told as undone, nor the other way
// round, and who tries again gets there.
func TestWhateverCallToTheManagementAPIFailsThePersonIsToldAndCanTryAgain(t *testing.T) {
	persons, seed := withPersons(100)
	network := &broken{}
	w := newLinkingWorld(t, through(network), seed)
	if err := w.browser().persist(w.link(w.alice(), calendar), "alice", func() { t.Error("something failed") }); err != nil {
		t.Fatal(err)
	}
	calls := network.calls
	for name, f := range map[string]failure{
		"is not heard":                    {},
		"loses its answer":                {heard: true},
		"is throttled":                    {status: 429, body: `{"statusCode": 429, "errorCode": "too_many_requests"}`},
		"meets a failure":                 {status: 503},
		"may not":                         {status: 403, body: `{"statusCode": 403, "errorCode": "insufficient_scope"}`},
		"has a bad token":                 {status: 401, body: `{"statusCode": 401, "message": "Invalid token"}`},
		"makes no sense":                  {status: 200, body: `<html>`},
		"succeeds in words":               {status: 201, body: `[]`},
		"is heard, and a failure answers": {heard: true, status: 500},
	} {
		for n, call := range calls {
			person := persons[0]
			persons = persons[1:]
			t.Run(fmt.Sprintf("%d %s %s", n, call[:4], name), func(t *testing.T) {
				w := w.in(t)
				w.freshNode(network.failing(n, f))
				b := w.browser()
				told := 0
				err := b.persist(w.link(w.caller("auth0|"+person, "demo-agent", nil), calendar), person, func() {
					told++
					if linked := len(w.identities("auth0|"+person)) == 2; linked && !strings.Contains(b.body, titleOf(pageUnclear)) {
						t.Errorf("linked, and told: %s", titlePattern.FindString(b.body))
					}
					if e := w.log.last(); e.Reason == "" || !strings.Contains(b.body, e.ID) {
						t.Errorf("the operator was told %+v", e)
					}
					if f.status == http.StatusTooManyRequests { // which says when to come back
						w.freshNode(network)
					}
				})
				if err != nil {
					t.Fatalf("%v, after %v", err, network.calls)
				}
				if len(w.identities("auth0|"+person)) != 2 {
					t.Error("told to be linked, and is not")
				}
				want := 1
				if f.heard && strings.HasPrefix(call, http.MethodPost) {
					want = 0 // found out by reading
				}
				if told != want {
					t.Errorf("%d pages said that something failed", told)
				}
			})
		}
	}
}

// failing is a network that behaves but for its nth call from now.
func (b *broken) failing(n int, f failure) *broken {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.calls = nil
	b.fail = func(i int, _ *http.Request) *failure {
		if i == n {
			return &f
		}
		return nil
	}
	return b
}

// freshNode makes another node serve the pages, one that knows nothing of how Auth0
// fares.
func (w *world) freshNode(network *broken) {
	w.Helper()
	cfg := Config{
		Vault: w.vault, Tenant: "default", Origin: w.site.URL, ClientID: "link-pages", ClientSecret: vault.NewSecret("link-pages-secret"),
		Keys: StaticKeys(testKey), Hook: w.log.hook, Via: ViaManagement, Offers: offers,
	}
	through(network)(&cfg)
	flow, err := New(cfg)
	if err != nil {
		w.Fatal(err)
	}
	w.flow, w.site.Config.Handler = flow, w.watched(flow)
}

// Two failures in a row: the answer to the linking is lost, and so is the one that
// would tell what came of it.
func TestALinkingThatIsNotKnownToHaveHappenedIsFoundOutLater(t *testing.T) {
	network := &broken{}
	posted := false
	network.fail = func(_ int, r *http.Request) *failure {
		if r.Method == http.MethodPost {
			posted = true
			return &failure{heard: true}
		}
		if posted {
			posted = false
			return &failure{status: 503}
		}
		return nil
	}
	w := newLinkingWorld(t, through(network))
	b := w.browser().toMerge(w.link(w.alice(), calendar), "")
	b.press("action", "merge").wantRefused(502, "unreachable").want(502, titleOf(pageUnclear))
	if slices.Contains(w.log.kinds(), Merged) {
		t.Error("success was claimed")
	}
	b.open(b.at.Scheme+"://"+b.at.Host+html.UnescapeString(goOnPattern.FindStringSubmatch(b.body)[1])).want(200, "is part of your account")
	if !slices.Contains(w.log.kinds(), Merged) {
		t.Errorf("told %v", w.log.kinds())
	}
}

// A call that got no answer may be on its way still: that nothing is listed right
// afterwards does not say that nothing will be.
func TestALinkingWithoutAnAnswerIsNotToldAsUndone(t *testing.T) {
	for name, f := range map[string]failure{"the connection breaks": {}, "a gateway gives up": {status: 504}} {
		t.Run(name, func(t *testing.T) {
			network := &broken{}
			network.fail = func(_ int, r *http.Request) *failure {
				if r.Method == http.MethodPost && network.posts() == 1 {
					return &f
				}
				return nil
			}
			w := newLinkingWorld(t, through(network))
			b := w.browser().toMerge(w.link(w.alice(), calendar), "").press("action", "merge").want(502, titleOf(pageUnclear))
			w.wantUnlinked()
			b.open(w.site.URL+html.UnescapeString(goOnPattern.FindStringSubmatch(b.body)[1])).want(200, "Make these one account?")
			b.press("action", "merge").want(200, "is part of your account")
		})
	}
}

func TestTheMachineLinksOnlyWhereAPersonMayNot(t *testing.T) {
	for name, c := range map[string]struct {
		refuse  int
		code    string
		machine bool
		want    bool
	}{
		"a scope is missing":                 {403, "insufficient_scope", true, true},
		"a scope is missing, and no machine": {403, "insufficient_scope", false, false},
		"the token is of another user":       {403, "unowned_resource", true, false},
		"nobody says why":                    {403, "", true, false},
		"the proof is refused":               {401, "", true, false},
		"the proof makes no sense":           {400, "", true, false},
	} {
		t.Run(name, func(t *testing.T) {
			network := &broken{}
			network.fail = func(_ int, r *http.Request) *failure {
				if r.Method == http.MethodPost && network.posts() == 1 {
					return &failure{status: c.refuse, body: `{"errorCode": "` + c.code + `"}`}
				}
				return nil
			}
			w := newLinkingWorld(t, func(cfg *Config) {
				through(network)(cfg)
				if c.machine {
					withMachine(cfg)
				}
			})
			b := w.browser().toMerge(w.link(w.alice(), calendar), "").press("action", "merge")
			if linked := len(w.identities("auth0|alice")) == 2; linked != c.want || linked != (b.status == 200) {
				t.Errorf("linked: %t, the page: %d %s", linked, b.status, titlePattern.FindString(b.body))
			}
		})
	}
}

// posts are how many calls there were that change something.
func (b *broken) posts() (n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, call := range b.calls {
		if strings.HasPrefix(call, "POST") {
			n++
		}
	}
	return n
}
