package vault

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
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

// Response is one answer of Auth0, read whole.
type Response struct {
	Status int
	Header http.Header
	Body   []byte

	asked time.Time // when the request was sent
}

// Call sends one request to Auth0 for a page that somebody looks at: within a quarter
// of the tenant's budget, of which [WithShare] makes a fair one, and the configured
// timeout, following no redirect, reading a bounded answer, and closing the request's
// body. A tenant that cannot be reached, or said 429, is asked by one caller at a time
// until it answers; its Management API and its My Account API are so when they said
// 429 themselves. What could not be sent at all is tried twice.
//
// Errors are [*Error]: CodeTimeout, CodeUnavailable for transport failures and 5xx,
// CodeThrottled for 429 and a spent budget, CodeMisconfigured for a redirect. Every
// other status is the caller's to judge.
func (c *Client) Call(req *http.Request) (*Response, error) {
	resp, err := c.send(req, forPages, asker{})
	if err != nil {
		return nil, err
	}
	return resp, nil
}

// send makes a call to Auth0. Where it may not be made the request's body is closed, as
// http.RoundTripper demands.
func (c *Client) send(req *http.Request, e errand, who asker) (*Response, *Error) {
	leave, err := c.enter(req, e, who)
	if err != nil {
		closeBody(req)
		return nil, err
	}
	resp, err := c.fetch(req)
	if err != nil && neverSent(err) && c.cache.breakersOf(c.issuer+apiOf(req).path).closed(who) && c.pause(req) {
		resp, err = c.fetch(req)
	}
	if err == nil {
		err = judge(resp.Status, resp.Header)
	}
	leave(err)
	if err != nil {
		return nil, err
	}
	return resp, nil
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
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

// sparing is a transport for calls that anybody can cause, without a token.
type sparing struct{ client *Client }

// RoundTrip implements http.RoundTripper.
func (s sparing) RoundTrip(req *http.Request) (*http.Response, error) {
	leave, refused := s.client.enter(req, signingIn, asker{})
	if refused != nil {
		closeBody(req)
		return nil, refused
	}
	resp, err := s.client.http.Transport.RoundTrip(req)
	if err != nil {
		leave(transportError(err))
		return nil, err
	}
	leave(judge(resp.StatusCode, resp.Header))
	return resp, nil
}

// fetch sends a request once, and reads what comes.
func (c *Client) fetch(req *http.Request) (*Response, *Error) {
	ctx, cancel := context.WithTimeout(req.Context(), c.timeout)
	defer cancel()
	req = req.WithContext(ctx)
	req.Header.Set("Accept", "application/json")
	asked := time.Now()
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
	return &Response{Status: resp.StatusCode, Header: resp.Header, Body: body, asked: asked}, nil
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
