package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// load is what is sent to a proxy.
type load struct {
	address string
	request func(i int) []byte // the i-th, as it goes over the wire
	conns   int                // at most so many requests are on the way

	// send, if set, is a client that sends instead.
	send func(ctx context.Context) (status int, err error)
}

// same is the same request again and again.
func same(address string, request []byte, conns int) load {
	return load{address: address, request: func(int) []byte { return request }, conns: conns}
}

// mixed is a request of each of the tokens in turn.
func mixed(address string, tokens []string, conns int) load {
	return load{address: address, request: func(i int) []byte { return get(address, "/", tokens[i%len(tokens)]) }, conns: conns}
}

// results are what became of requests.
type results struct {
	took     []time.Duration // each, sorted
	statuses map[int]int     // how many were answered so
	failed   int             // not answered
	err      error           // the first failure
	elapsed  time.Duration
}

// percentile is the time that so many of a hundred requests took at most.
func (r *results) percentile(p float64) time.Duration {
	if len(r.took) == 0 {
		return 0
	}
	return r.took[max(0, int(math.Ceil(p/100*float64(len(r.took))))-1)]
}

func (r *results) longest() time.Duration { return r.percentile(100) }

// notOK is how many were not answered with 200.
func (r *results) notOK() int { return len(r.took) - r.statuses[http.StatusOK] }

// check fails unless all were answered with one of those, by default 200.
func (r *results) check(wanted ...int) error {
	if r.failed > 0 {
		return fmt.Errorf("%d of %d requests failed: %w", r.failed, len(r.took), r.err)
	}
	if wanted == nil {
		wanted = []int{http.StatusOK}
	}
	for status, n := range r.statuses {
		if !slices.Contains(wanted, status) {
			return fmt.Errorf("%d of %d requests were answered %d", n, len(r.took), status)
		}
	}
	return nil
}

// atRate sends so many requests a second, each when it is due, and counts the
// time from then: also that of a request which waited for a free connection.
func (l load) atRate(ctx context.Context, rate int, d time.Duration) *results {
	total := int64(float64(rate) * d.Seconds())
	start := time.Now().Add(10 * time.Millisecond)
	return l.drive(ctx, func(i int64) (due time.Time, more bool) {
		return start.Add(time.Duration(i) * time.Second / time.Duration(rate)), i < total
	})
}

// flatOut has a request on the way on every connection, all the time.
func (l load) flatOut(ctx context.Context, d time.Duration) *results {
	end := time.Now().Add(d)
	return l.drive(ctx, func(int64) (due time.Time, more bool) { return time.Time{}, time.Now().Before(end) })
}

// all sends the first n requests as fast as the connections allow.
func (l load) all(ctx context.Context, n int) *results {
	return l.drive(ctx, func(i int64) (due time.Time, more bool) { return time.Time{}, i < int64(n) })
}

// drive sends requests until there are no more. next says when the i-th is due;
// the zero time is now.
func (l load) drive(ctx context.Context, next func(i int64) (due time.Time, more bool)) *results {
	var count atomic.Int64
	var mu sync.Mutex
	var workers sync.WaitGroup
	sum := &results{statuses: make(map[int]int)}
	start := time.Now()
	for range l.conns {
		workers.Go(func() {
			own := l.work(ctx, func() (int, time.Time, bool) {
				i := count.Add(1) - 1
				due, more := next(i)
				return int(i), due, more
			})
			mu.Lock()
			defer mu.Unlock()
			sum.add(own)
		})
	}
	workers.Wait()
	sum.elapsed = time.Since(start)
	sum.sort()
	return sum
}

// work sends requests over one connection.
func (l load) work(ctx context.Context, next func() (i int, due time.Time, more bool)) *results {
	own := &results{statuses: make(map[int]int)}
	c := &conn{address: l.address}
	defer c.close()
	for {
		i, due, more := next()
		if !more || ctx.Err() != nil || (!due.IsZero() && !sleepUntil(ctx, due)) {
			return own
		}
		if due.IsZero() {
			due = time.Now()
		}
		var status int
		var err error
		if l.send != nil {
			status, err = l.send(ctx)
		} else {
			status, err = c.do(l.request(i))
		}
		own.note(time.Since(due), status, err)
	}
}

func (r *results) note(took time.Duration, status int, err error) {
	r.took = append(r.took, took)
	if err == nil {
		r.statuses[status]++
		return
	}
	r.failed++
	if r.err == nil {
		r.err = err
	}
}

func (r *results) sort() { slices.Sort(r.took) }

func (r *results) add(other *results) {
	r.took = append(r.took, other.took...)
	for status, n := range other.statuses {
		r.statuses[status] += n
	}
	r.failed += other.failed
	if r.err == nil {
		r.err = other.err
	}
}

// patience is how long a request may take before it counts as failed.
const patience = 30 * time.Second

// conn is a connection that is opened when needed. It does much less than an
// HTTP client of Go's, which would take a good part of the load's core.
type conn struct {
	address string
	net     net.Conn
	reader  *bufio.Reader
}

// do sends a request and reads the whole answer.
func (c *conn) do(request []byte) (status int, err error) {
	if err := c.open(); err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			c.close()
		}
	}()
	if err := c.net.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, err
	}
	if _, err := c.net.Write(request); err != nil {
		return 0, err
	}
	resp, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	if resp.Close {
		c.close()
	}
	return resp.StatusCode, err
}

func (c *conn) open() (err error) {
	if c.net != nil {
		return nil
	}
	if c.net, err = net.DialTimeout("tcp", c.address, patience); err != nil {
		c.net = nil
		return err
	}
	c.reader = bufio.NewReaderSize(c.net, 4<<10)
	return nil
}

func (c *conn) close() {
	if c.net != nil {
		_ = c.net.Close()
		c.net = nil
	}
}
