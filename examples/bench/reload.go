package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"strings"
	"time"
)

// measureReload changes the configuration ten times while requests come in, as
// an operator does, through Caddy's admin endpoint.
func measureReload(ctx context.Context, s *stage) error {
	t, err := s.startTenant(1)
	if err != nil {
		return err
	}
	token, err := t.issue(user(0))
	if err != nil {
		return err
	}
	module, err := s.startReloadable(ctx, t.tenantBlock(), moduleSite(s.upstream.address))
	if err != nil {
		return err
	}
	bare, err := s.startReloadable(ctx, "", bareSite(s.upstream.address))
	if err != nil {
		return err
	}
	if err := errors.Join(s.warm(module, token), s.warm(bare, token), module.reload(ctx, 0), bare.reload(ctx, 0)); err != nil {
		return err
	}
	s.upstream.closeIdle()
	before, err := module.settled(ctx)
	if err != nil {
		return err
	}
	if err := s.reloadUnderGets(ctx, t, module, bare, token); err != nil {
		return err
	}
	if err := s.goroutinesAfter(ctx, t, module, before, "the same: goroutines"); err != nil {
		return err
	}
	return s.reloadUnderPosts(ctx, module, bare, token)
}

func (s *stage) startReloadable(ctx context.Context, global, site string) (*proxy, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return s.startCaddy(ctx, fmt.Sprintf("127.0.0.1:%d", port), global, site)
}

// reload loads the configuration with another line in it: Caddy does nothing
// about one that it has already.
func (p *proxy) reload(ctx context.Context, number int) error {
	config := strings.Replace(p.config, "bind 127.0.0.1", fmt.Sprintf("bind 127.0.0.1\n\theader X-Configuration %d", number), 1)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+p.admin+"/load", strings.NewReader(config))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/caddyfile")
	req.Close = true // the endpoint is another one afterwards
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if body, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the reload was answered %d: %s", resp.StatusCode, body)
	}
	return nil
}

// reloadUnder reloads so often while requests are sent, twice a second. They are
// sent by Go's own client, which does what clients do about connections that the
// server closes: it opens others, and sends a GET again that met that moment.
func (s *stage) reloadUnder(ctx context.Context, p *proxy, method, token string) (*results, error) {
	transport := &http.Transport{MaxIdleConnsPerHost: fixedConns}
	defer transport.CloseIdleConnections()
	l := load{conns: fixedConns, send: func(ctx context.Context) (int, error) { return call(ctx, transport, method, p, token) }}
	const pause = 500 * time.Millisecond
	reloads := s.scale(10, 3)
	failed := make(chan error, 1)
	start := time.Now()
	go func() {
		for i := range reloads {
			if !sleepUntil(ctx, start.Add(time.Duration(i+1)*pause)) {
				break
			}
			if err := p.reload(ctx, i+1); err != nil {
				failed <- err
				return
			}
		}
		failed <- nil
	}()
	r := l.atRate(ctx, fixedRate, time.Duration(reloads+2)*pause)
	return r, <-failed
}

// reloadUnderGets says what bare Caddy does, too: connections that wait to be accepted
// by a server that is about to end are lost, and no client sends again what it wrote
// to a new connection.
func (s *stage) reloadUnderGets(ctx context.Context, t *tenant, module, bare *proxy, token string) error {
	asked := t.exchanges.Load()
	r, err := s.reloadUnder(ctx, module, http.MethodGet, token)
	if err != nil {
		return err
	}
	extra := t.exchanges.Load() - asked
	without, err := s.reloadUnder(ctx, bare, http.MethodGet, token)
	if err != nil {
		return err
	}
	s.row(fmt.Sprintf("%d reloads at %d GET/s", s.scale(10, 3), fixedRate), "0 failed, 0 exchanges",
		fmt.Sprintf("%d of %d failed (bare %d), %d exchanges%s", r.notOK(), len(r.took), without.notOK(), extra, why(r)), r.notOK() == 0 && extra == 0)
	return nil
}

// reloadUnderPosts compares with bare Caddy, since a request that changes
// something is not sent again by itself when the server closes the connection
// that it was written to. How many meet that moment is chance: what is up to
// twice the standard deviation of such a number does not count.
func (s *stage) reloadUnderPosts(ctx context.Context, module, bare *proxy, token string) error {
	failures := func(p *proxy, sum *int) func() (float64, error) {
		return func() (float64, error) {
			r, err := s.reloadUnder(ctx, p, http.MethodPost, token)
			*sum += r.notOK()
			return float64(r.notOK()), err
		}
	}
	var ours, theirs int
	if _, err := inTurns(s.scale(2, 1), failures(module, &ours), failures(bare, &theirs)); err != nil {
		return err
	}
	s.row(fmt.Sprintf("%d reloads at %d POST/s, failed against bare", s.scale(20, 3), fixedRate), "no more",
		fmt.Sprintf("%d against %d", ours, theirs), float64(ours) <= float64(theirs)+2*math.Sqrt(float64(theirs)))
	return nil
}

// call sends a request with an empty body and reads the answer.
func call(ctx context.Context, transport http.RoundTripper, method string, p *proxy, token string) (int, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://"+p.address+"/", nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer func() { _ = resp.Body.Close() }()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

func why(r *results) string {
	if r.err == nil {
		return ""
	}
	return ": " + r.err.Error()
}
