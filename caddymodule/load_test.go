package caddymodule_test

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Load: calls that go on, over several connections, while something happens to
// Auth0 or to the configuration; and what they were answered.

// whoSite answers who the user is: nobody may be served as somebody else.
const whoSite = "token_vault google-oauth2\nrespond {http.auth.user.id}"

// loadQuietly is load with a log of errors only: a debug log of so many calls
// would be most of the work.
func (p *proxy) loadQuietly(site string, tenantLines ...string) {
	p.t.Helper()
	if err := p.tryLoad(quiet(p.caddyfile(site, tenantLines...))); err != nil {
		p.t.Fatal(err)
	}
}

func quiet(caddyfile string) string {
	return strings.Replace(caddyfile, "level DEBUG", "level ERROR", 1)
}

// user is somebody with an access token.
type user struct{ id, token string }

// people are users of a crowd who have connected an account, from one number up
// to another.
func (p *proxy) people(from, to int) []user {
	p.t.Helper()
	var users []user
	for i := from; i < to; i++ {
		id := fmt.Sprintf("auth0|user%d", i)
		p.connect(id, google, calendar)
		users = append(users, user{id, p.token(id)})
	}
	return users
}

// warm makes each user's first call.
func (p *proxy) warm(users []user) {
	p.t.Helper()
	for _, u := range users {
		if got := p.get("/", u.token); got.Status != 200 || got.Body != u.id {
			p.t.Fatalf("%s: status %d, body %s", u.id, got.Status, got.Body)
		}
	}
}

// granted counts the exchanges that ended with a token.
func (p *proxy) granted() (n int) {
	for _, r := range p.Tenant.Requests() {
		if r.Path == "/oauth/token" && r.Status == 200 {
			n++
		}
	}
	return n
}

// tally counts calls by what they were answered: "200", the status with the error
// of ours, or what went wrong otherwise.
type tally struct {
	mu      sync.Mutex
	calls   int
	answers map[string]int
	served  map[string]bool // by the users' ids
	longest time.Duration
}

func (c *tally) add(u user, got *reply, err error, took time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.answers == nil {
		c.answers, c.served = make(map[string]int), make(map[string]bool)
	}
	c.calls++
	c.answers[outcome(u, got, err)]++
	c.longest = max(c.longest, took)
	if err == nil && got.Status == 200 {
		c.served[u.id] = true
	}
}

func outcome(u user, got *reply, err error) string {
	switch {
	case err != nil:
		return "no answer: " + err.Error()
	case got.Status == 200 && got.Body == u.id:
		return "200"
	case got.Status == 200:
		return "200 for " + got.Body
	case got.Status == 503:
		if wait, err := strconv.Atoi(got.Header.Get("Retry-After")); err != nil || wait < 1 {
			return "503 without Retry-After"
		}
	}
	return fmt.Sprint(got.Status, " ", got.code())
}

// only demands that there were so many calls at least, and no other answers.
func (c *tally) only(t *testing.T, what string, atLeast int, answers ...string) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.calls < atLeast {
		t.Errorf("%s: only %d calls", what, c.calls)
	}
	for answer, n := range c.answers {
		if !slices.Contains(answers, answer) {
			t.Errorf("%s: %d of %d calls were answered %s", what, n, c.calls, answer)
		}
	}
}

// all tells whether each user was served.
func (c *tally) all(users []user) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return !slices.ContainsFunc(users, func(u user) bool { return !c.served[u.id] })
}

// total returns how many calls were answered.
func (c *tally) total() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.calls
}

// traffic is a load under way.
type traffic struct {
	tally
	client *http.Client
	stop   chan struct{}
	once   sync.Once
	under  sync.WaitGroup
}

// pace is between two calls on one connection: the load is not to take the whole
// machine from what it is there to watch.
const pace = 2 * time.Millisecond

// begin has the users call a path, in turn, over so many connections, until the
// load is ended.
func (p *proxy) begin(users []user, connections int, path string) *traffic {
	p.t.Helper()
	return p.beginWith(func(n int) user { return users[n%len(users)] }, connections, path)
}

// beginWith is begin with the user of every call made up.
func (p *proxy) beginWith(next func(n int) user, connections int, path string) *traffic {
	p.t.Helper()
	return p.beginOver(&http.Transport{MaxIdleConnsPerHost: connections}, next, connections, path)
}

func (p *proxy) beginOver(transport http.RoundTripper, next func(n int) user, connections int, path string) *traffic {
	p.t.Helper()
	l := &traffic{client: &http.Client{Transport: transport}, stop: make(chan struct{})}
	for connection := range connections {
		l.under.Go(func() {
			for n := connection; ; n += connections {
				select {
				case <-l.stop:
					return
				case <-time.After(pace):
				}
				u, began := next(n), time.Now()
				got, err := call(l.client, p.URL+path, u.token)
				l.add(u, got, err, time.Since(began))
			}
		})
	}
	p.t.Cleanup(l.end)
	return l
}

// end waits for the last answers.
func (l *traffic) end() {
	l.once.Do(func() { close(l.stop) })
	l.under.Wait()
	l.client.CloseIdleConnections()
}

// more waits for so many more answers.
func (p *proxy) more(l *traffic, n int) {
	p.t.Helper()
	before := l.total()
	p.eventually(fmt.Sprint(n, " more answers"), func() bool { return l.total() >= before+n })
}

// goroutines counts those that are left when nobody calls.
func goroutines() int {
	noRedirects.CloseIdleConnections()
	http.DefaultClient.CloseIdleConnections()
	runtime.GC()
	return runtime.NumGoroutine()
}

// settle waits until no more goroutines are left than there were, but for some
// that idle connections to the tenant have.
func (p *proxy) settle(before, slack int) {
	p.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for n := goroutines(); n > before+slack; n = goroutines() {
		if time.Now().After(deadline) {
			stacks := make([]byte, 1<<20)
			p.t.Fatalf("%d goroutines, had %d:\n%s", n, before, stacks[:runtime.Stack(stacks, true)])
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// most watches a number until the returned function says what its maximum was.
func most(number func() int) (stop func() int) {
	done, result := make(chan struct{}), make(chan int)
	go func() {
		highest := 0
		for {
			highest = max(highest, number())
			select {
			case <-done:
				result <- highest
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	}()
	return func() int { close(done); return <-result }
}
