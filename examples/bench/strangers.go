package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// linkRate is how many people a second connect an account.
const linkRate = 3

// crossroads is a proxy with link pages, and its tenant.
type crossroads struct {
	*stage
	tenant *auth0test.Server
	proxy  *proxy
	offer  string       // a link for whoever signs in
	warm   []string     // tokens of users who have connected an account
	next   atomic.Int64 // of those who have not
	people int          // of both
}

// measureStrangers has people connect accounts, each at an address of their own, beside
// two strangers at one address, one of whom begins flow after flow and comes back with
// made-up codes, while the other comes back to the same one again and again; and beside
// a user who is signed in, reloads the page that asks, and presses its button. None of
// the three ever waits, which keeps the cores busy whatever they ask for: what counts is
// that they are no worse than three who load the style sheet as fast as they can.
func measureStrangers(ctx context.Context, s *stage) error {
	d, turns := time.Duration(s.scale(20, 2))*time.Second, min(s.pairs, 3)
	c, err := s.startCrossroads(ctx, warmUsers+(1+2*turns)*linkRate*int(d/time.Second))
	if err != nil {
		return err
	}
	before, err := c.proxy.settled(ctx)
	if err != nil {
		return err
	}
	others := &results{statuses: make(map[int]int)}
	beside := func(start func(context.Context) (stop func())) func() (float64, error) {
		return func() (float64, error) {
			stop := start(ctx)
			warm, people := c.traffic(ctx, d)
			stop()
			others.add(people)
			return milliseconds(people.percentile(99)), warm.check()
		}
	}
	quiet, err := beside(func(context.Context) func() { return func() {} })()
	if err != nil {
		return err
	}
	pairs, err := inTurns(turns, beside(c.harass), beside(c.hurry))
	if err != nil {
		return err
	}
	after, err := c.proxy.settled(ctx)
	if err != nil {
		return err
	}
	measured := fmt.Sprintf("%d of %d", len(others.took)-others.notOK(), len(others.took))
	if others.err != nil {
		measured += ": " + others.err.Error()
	}
	s.row("two strangers and a user at full speed: others who connected an account", "all", measured, others.notOK() == 0)
	s.row("the same: others' p99, from an agent's 401 to its 200, against three who load the style sheet", "≤ 2",
		fmt.Sprintf("%s; %.3g without any", pairs.describe("ms"), quiet), pairs.ratio() <= 2)
	const bound = 16 << 20
	grown := int64(after.Memory) - int64(before.Memory) //nolint:gosec // far from 2^63
	s.row("the same: memory afterwards", fmt.Sprintf("≤ %d MiB more", bound>>20), fmt.Sprintf("%.1f MiB more", float64(grown)/(1<<20)), grown <= bound)
	return nil
}

// startCrossroads has so many users, some of whom have connected an account. Caddy
// believes us where a request comes from.
func (s *stage) startCrossroads(ctx context.Context, people int) (*crossroads, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	pages := fmt.Sprintf("http://127.0.0.1:%d", port)
	seeds := seedsWith(people)
	for i := range seeds.Clients {
		if seeds.Clients[i].ClientID == "link-pages" {
			seeds.Clients[i].Callbacks = append(seeds.Clients[i].Callbacks, pages+"/auth/callback")
		}
	}
	c := &crossroads{stage: s, tenant: auth0test.NewServer(seeds), offer: pages + "/auth/connect?connection=" + connection, people: people}
	s.later(c.tenant.Close)
	for i := range warmUsers {
		token, err := c.token(i)
		if err := errors.Join(err, c.tenant.Connect(user(i), connection, []string{calendar}, "")); err != nil {
			return nil, err
		}
		c.warm = append(c.warm, token)
	}
	c.next.Store(warmUsers)
	t := &tenant{url: c.tenant.URL, algorithm: "RS256"}
	global := "servers {\n trusted_proxies static 127.0.0.1/32\n }\n" + t.tenantBlock("link {\n origin "+pages+"\n client link-pages link-pages-secret\n }")
	if c.proxy, err = s.startCaddyAt(ctx, port, "off", global, "token_vault_link\n"+moduleSite(s.upstream.address)); err != nil {
		return nil, err
	}
	plain := http.DefaultTransport
	http.DefaultTransport = byOrigin{plain}
	s.later(func() { http.DefaultTransport = plain })
	return c, mixed(c.proxy.address, c.warm, 1).all(ctx, warmUsers).check()
}

func (c *crossroads) token(n int) (string, error) {
	tokens, err := c.tenant.IssueToken(auth0test.TokenRequest{User: user(n), ClientID: agentID, Audience: audience})
	return tokens.AccessToken, err
}

// traffic is that of an ordinary day.
func (c *crossroads) traffic(ctx context.Context, d time.Duration) (warm, people *results) {
	var both sync.WaitGroup
	both.Go(func() { warm = mixed(c.proxy.address, c.warm, fixedConns).atRate(ctx, 100, d) })
	both.Go(func() { people = load{conns: newConns, send: c.connectNext}.atRate(ctx, linkRate, d) })
	both.Wait()
	return warm, people
}

// connectNext has the next user connect an account for their agent, and returns how
// that one's call is answered then.
func (c *crossroads) connectNext(ctx context.Context) (status int, err error) {
	n := int(c.next.Add(1)) - 1
	if n >= c.people {
		return 0, errors.New("all users have connected an account")
	}
	token, err := c.token(n)
	if err != nil {
		return 0, err
	}
	ctx = from(ctx, &origin{address: fmt.Sprintf("10.0.%d.%d", n/250, n%250)})
	_, link, err := c.call(ctx, token)
	if err != nil {
		return 0, err
	}
	p := newPerson().signIn(ctx, link, n).submit(ctx, url.Values{"action": {"connect"}}).submit(ctx, url.Values{"action": {"allow"}})
	if p.err != nil {
		return 0, p.err
	}
	status, _, err = c.call(ctx, token)
	return status, err
}

// call is an agent's. A refusal comes with a link.
func (c *crossroads) call(ctx context.Context, token string) (status int, link string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.proxy.address+"/", nil)
	if err != nil {
		return 0, "", err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusUnauthorized {
		return resp.StatusCode, "", nil
	}
	var problem struct {
		LinkURL string `json:"link_url"`
	}
	err = json.NewDecoder(resp.Body).Decode(&problem)
	return resp.StatusCode, problem.LinkURL, err
}

// harass has the three begin. The returned function ends them.
func (c *crossroads) harass(ctx context.Context) (stop func()) {
	return atFullSpeed(ctx, c.makeUpCodes, c.replay, c.reload)
}

// hurry is harass for three who mean no harm.
func (c *crossroads) hurry(ctx context.Context) (stop func()) {
	return atFullSpeed(ctx, c.loadStyle, c.loadStyle, c.loadStyle)
}

// atFullSpeed has each of them do the same over and over: the first two at one address.
func atFullSpeed(ctx context.Context, do ...func(context.Context, *origin)) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	var all sync.WaitGroup
	for i, do := range do {
		o := &origin{address: fmt.Sprintf("192.0.2.%d", i/2), makesUp: i < 2}
		all.Go(func() {
			for ctx := from(ctx, o); ctx.Err() == nil; {
				do(ctx, o)
			}
		})
	}
	return func() {
		cancel()
		all.Wait()
	}
}

func (c *crossroads) loadStyle(ctx context.Context, _ *origin) {
	newPerson().open(ctx, "http://"+c.proxy.address+"/auth/style.css")
}

// makeUpCodes begins a flow, and comes back with such a code.
func (c *crossroads) makeUpCodes(ctx context.Context, _ *origin) {
	newPerson().open(ctx, c.offer).submit(ctx, nil)
}

// replay does so, and then sends the same again.
func (c *crossroads) replay(ctx context.Context, o *origin) {
	c.makeUpCodes(ctx, o)
	for o.cameBack != nil && ctx.Err() == nil {
		if resp, err := http.DefaultTransport.RoundTrip(o.cameBack.Clone(ctx)); err == nil {
			_ = resp.Body.Close()
		}
	}
}

// reload signs in, and then does what costs calls to Auth0.
func (c *crossroads) reload(ctx context.Context, _ *origin) {
	p := newPerson().signIn(ctx, c.offer, 0)
	if p.err != nil {
		return
	}
	for page := *p.page; ctx.Err() == nil; {
		p.err = nil
		p.open(ctx, page.URL.String()).submit(ctx, url.Values{"action": {"connect"}, "account": {"cac_nobodys"}})
	}
}
