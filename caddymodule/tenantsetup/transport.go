package tenantsetup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

const (
	// maxWait is the longest that a run waits because Auth0 asks for it, and
	// maxWaits how often for one call.
	maxWait  = time.Minute
	maxWaits = 3
)

// patient carries calls to the tenant: it bounds each, from the connection to the
// end of the answer, waits as long as a 429 asks for and sends again, which is safe
// since nothing was done.
type patient struct {
	base    http.RoundTripper
	timeout time.Duration       // of one attempt
	waiting func(time.Duration) // is told of each wait
}

// newTransport returns a patient transport.
func newTransport(timeout time.Duration, waiting func(time.Duration)) *patient {
	return &patient{base: http.DefaultTransport, timeout: timeout, waiting: waiting}
}

// RoundTrip implements http.RoundTripper.
func (p *patient) RoundTrip(req *http.Request) (*http.Response, error) {
	for waits := 0; ; waits++ {
		resp, err := p.attempt(req)
		if err != nil || resp.StatusCode != http.StatusTooManyRequests {
			return resp, err
		}
		wait := retryAfter(resp.Header)
		if waits == maxWaits || wait > maxWait {
			return resp, nil
		}
		_ = resp.Body.Close()
		p.waiting(wait)
		if err := pause(req.Context(), wait); err != nil {
			return nil, err
		}
		if req, err = again(req); err != nil {
			return nil, err
		}
	}
}

// attempt sends a request once. Its time ends with the body's Close.
func (p *patient) attempt(req *http.Request) (*http.Response, error) {
	ctx, end := context.WithTimeoutCause(req.Context(), p.timeout, fmt.Errorf("no whole answer within %s", p.timeout))
	resp, err := p.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		end()
		return nil, err
	}
	resp.Body = timedBody{resp.Body, end}
	return resp, nil
}

type timedBody struct {
	io.ReadCloser
	end context.CancelFunc
}

// Close implements io.Closer.
func (b timedBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// again returns the request with its body from the start.
func again(req *http.Request) (*http.Request, error) {
	req = req.Clone(req.Context())
	if req.Body == nil || req.Body == http.NoBody {
		return req, nil
	}
	if req.GetBody == nil {
		return nil, errors.New("a request cannot be sent twice")
	}
	body, err := req.GetBody()
	req.Body = body
	return req, err
}

func pause(ctx context.Context, wait time.Duration) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// retryAfter reads how long a 429 asks to wait: Retry-After in seconds or as a
// date, else Auth0's x-ratelimit-reset in Unix seconds.
func retryAfter(h http.Header) time.Duration {
	wait := time.Second
	if seconds, err := strconv.Atoi(h.Get("Retry-After")); err == nil || errors.Is(err, strconv.ErrRange) {
		wait = time.Duration(min(seconds, 3600)) * time.Second
	} else if date, err := http.ParseTime(h.Get("Retry-After")); err == nil {
		wait = time.Until(date)
	} else if reset, err := strconv.ParseInt(h.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
		wait = time.Until(time.Unix(reset, 0))
	}
	return max(wait, time.Second)
}

// answer is one answer of the tenant, read whole.
type answer struct {
	status int
	header http.Header
	body   []byte
}

// maxAnswer bounds what is read of an answer.
const maxAnswer = 256 << 10

// send sends one request to the tenant, following no redirect.
func send(ctx context.Context, transport http.RoundTripper, method, target string, form url.Values) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, target, strings.NewReader(form.Encode()))
	if err != nil {
		return answer{}, err
	}
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return answer{resp.StatusCode, resp.Header, body}, err
}

// unexpected is an answer that makes no sense where it came.
func unexpected(what string, status int) error { return fmt.Errorf("%s answers %d", what, status) }
