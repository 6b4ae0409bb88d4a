package vault

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json"
)

const (
	// maxAnswer bounds what is read of one answer. The largest we expect is a
	// page of connected accounts, some 20 KB.
	maxAnswer = 256 << 10

	// maxRetryAfter caps what an answer can make callers wait.
	maxRetryAfter = time.Minute

	// defaultRetryAfter is for a 429 that does not say.
	defaultRetryAfter = 2 * time.Second
)

// Answer is one answer of Auth0, read whole.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// Call sends one request to Auth0 for a page that somebody looks at: within a quarter
// of the tenant's budget and the configured timeout, following no redirect, reading a
// bounded answer, and closing the request's body. A tenant that cannot be reached, or
// said 429, is asked by one caller at a time until it answers; its Management API and
// its My Account API are so when they said 429 themselves. What could not be sent at all
// is tried twice.
//
// Errors are [*Error]: CodeTimeout, CodeUnavailable for transport failures and 5xx,
// CodeThrottled for 429 and a spent budget, CodeMisconfigured for a redirect. Every
// other status is the caller's to judge.
func (c *Client) Call(req *http.Request) (*Answer, error) {
	if err := c.admitPage(req, "pages"); err != nil {
		return nil, err
	}
	answer, err := c.call(req, asker{})
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// admitPage is admit for what is done in a browser, as often as somebody likes: a
// quarter of the tenant's budget is there for each such purpose, and what agents need
// is out of its reach. Where it refuses it closes the request's body, as
// http.RoundTripper demands.
func (c *Client) admitPage(req *http.Request, purpose string) *Error {
	h := c.healthOf(req)
	err := h.check(asker{})
	if err == nil {
		err = c.spend(purpose, max(1, c.tenantBudget/4))
	}
	if err == nil {
		err = c.admit(h, asker{})
	}
	if err != nil && req.Body != nil {
		_ = req.Body.Close()
	}
	return err
}

// admit tells whether the tenant's state and budget allow a call, which is then made.
// One that is refused costs nothing.
func (c *Client) admit(h *health, who asker) *Error {
	if err := h.check(who); err != nil {
		return err
	}
	if err := c.spend("tenant", c.tenantBudget); err != nil {
		return err
	}
	return h.admit(who)
}

// call makes a call that was admitted, and tells the tenant's state what came of it.
func (c *Client) call(req *http.Request, who asker) (*Answer, *Error) {
	asked := time.Now()
	answer, err := c.fetch(req)
	if err != nil && neverSent(err) && c.healthOf(req).open(who) && c.pause(req) {
		answer, err = c.fetch(req)
	}
	if err == nil {
		err = judge(answer.Status, answer.Header)
	}
	c.report(req, who, asked, err)
	if err != nil {
		return nil, err
	}
	return answer, nil
}

// judge is what the status of an answer says about the tenant, whatever was asked.
func judge(status int, header http.Header) *Error {
	switch {
	case status == http.StatusTooManyRequests:
		return &Error{Code: CodeThrottled, Reason: "too_many_requests", Status: status, RetryAfter: retryAfter(header)}
	case status >= 500:
		return &Error{Code: CodeUnavailable, Reason: "server_error", Status: status}
	case status >= 300 && status < 400:
		return &Error{Code: CodeMisconfigured, Reason: "redirect", Status: status, Err: errors.New("Auth0 redirects: is the domain the one that Auth0 serves?")}
	}
	return nil
}

// healthOf is the state that a call depends on. The Management API has a rate limit
// of its own, and a low one. Of the My Account API Auth0 does not tell; if it counts
// with the exchanges, they are told 429 themselves.
func (c *Client) healthOf(req *http.Request) *health {
	switch path := req.URL.Path; {
	case strings.HasPrefix(path, "/api/v2/"):
		return c.managementHealth
	case strings.HasPrefix(path, "/me/"):
		return c.myAccountHealth
	}
	return c.health
}

// report tells the tenant's state what came of a call. A caller that gave up says
// nothing about the tenant.
func (c *Client) report(req *http.Request, who asker, asked time.Time, err *Error) {
	switch h := c.healthOf(req); {
	case errors.Is(req.Context().Err(), context.Canceled):
	case err == nil || err.Code == CodeMisconfigured:
		h.report(who, asked, nil)
	default:
		h.report(who, asked, err)
	}
}

// retryPause is how long what could not be sent is left alone, at most.
const retryPause = 200 * time.Millisecond

// pause makes req fit to be sent again, after a while. It reports whether the
// caller still waits for that.
func (c *Client) pause(req *http.Request) bool {
	if req.GetBody == nil && req.Body != nil {
		return false
	}
	timer := time.NewTimer(jittered(retryPause))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-req.Context().Done():
		return false
	}
	if req.GetBody != nil {
		req.Body, _ = req.GetBody() // of bytes in memory: never fails
	}
	return true
}

// neverSent tells whether no part of the request can have reached the tenant.
// What did may have used up a refresh token at the provider, and is not repeated.
func neverSent(err *Error) bool {
	network, ok := errors.AsType[*net.OpError](err)
	return ok && network.Op == "dial"
}

// spend takes one call off a budget of the tenant: so many a second, ten seconds'
// worth at once.
func (c *Client) spend(purpose string, perSecond int) *Error {
	if wait := c.cache.budgets.spend(spender{issuer: c.issuer, purpose: purpose}, float64(perSecond), 10*perSecond); wait > 0 {
		return &Error{Code: CodeThrottled, Reason: "tenant_budget", RetryAfter: wait}
	}
	return nil
}

// sparing is a transport for calls that anybody can cause, without a token.
type sparing struct{ client *Client }

// RoundTrip implements http.RoundTripper.
func (s sparing) RoundTrip(req *http.Request) (*http.Response, error) {
	c := s.client
	if err := c.admitPage(req, "sign-ins"); err != nil {
		return nil, err
	}
	asked := time.Now()
	resp, err := c.http.Transport.RoundTrip(req)
	if err != nil {
		c.report(req, asker{}, asked, transportError(err))
		return nil, err
	}
	c.report(req, asker{}, asked, judge(resp.StatusCode, resp.Header))
	return resp, nil
}

// fetch sends a request once, and reads what comes.
func (c *Client) fetch(req *http.Request) (*Answer, *Error) {
	ctx, cancel := context.WithTimeout(req.Context(), c.timeout)
	defer cancel()
	req = req.WithContext(ctx)
	req.Header.Set("Accept", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, transportError(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, transportError(err)
	}
	if len(body) > maxAnswer {
		return nil, &Error{Code: CodeUnavailable, Reason: "answer_too_large", Status: resp.StatusCode}
	}
	return &Answer{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// reasonUnreachable: no answer came, for another reason than time.
const reasonUnreachable = "unreachable"

func transportError(err error) *Error {
	var netErr net.Error
	if errors.Is(err, context.DeadlineExceeded) || (errors.As(err, &netErr) && netErr.Timeout()) {
		return &Error{Code: CodeTimeout, Reason: "timeout", Err: err}
	}
	return &Error{Code: CodeUnavailable, Reason: reasonUnreachable, Err: withoutAnswer(err)}
}

// withoutAnswer passes on what went wrong around an answer. An error about the
// answer itself quotes it, and it may repeat the secrets that it was sent.
func withoutAnswer(err error) error {
	var network *net.OpError
	var certificate *tls.CertificateVerificationError
	if errors.As(err, &network) || errors.As(err, &certificate) {
		return err
	}
	for _, harmless := range []error{io.EOF, io.ErrUnexpectedEOF, context.Canceled, http.ErrSchemeMismatch} {
		if errors.Is(err, harmless) {
			return err
		}
	}
	return errors.New("the answer is not HTTP")
}

// retryAfter reads what a 429 says about when to come back: Retry-After in
// seconds or as a date, else Auth0's x-ratelimit-reset in Unix seconds.
func retryAfter(h http.Header) time.Duration {
	wait := defaultRetryAfter
	if v := h.Get("Retry-After"); v != "" {
		if seconds, ok := parseSeconds(v); ok {
			wait = seconds
		} else if date, err := http.ParseTime(v); err == nil {
			wait = time.Until(date)
		}
	} else if reset, err := strconv.ParseInt(h.Get("X-Ratelimit-Reset"), 10, 64); err == nil {
		wait = time.Until(time.Unix(reset, 0))
	}
	return min(max(wait, time.Second), maxRetryAfter)
}

// decode reads JSON strictly: member names in exact case, none twice, nothing
// after the value. encoding/json would take "Access_Token" for "access_token".
func decode(data []byte, v any) error { return josejson.Unmarshal(data, v) }
