package tenantsetup

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// roundTrip is an http.RoundTripper.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }

// throttling answers 429 with a header so many times, and then 200.
func throttling(t *testing.T, times int, name, value string) roundTrip {
	return func(req *http.Request) (*http.Response, error) {
		if body, _ := io.ReadAll(req.Body); string(body) != "a=b" {
			t.Errorf("sent %q", body)
		}
		resp := &http.Response{StatusCode: http.StatusOK, Header: make(http.Header), Body: http.NoBody}
		if times > 0 {
			resp.StatusCode = http.StatusTooManyRequests
			resp.Header.Set(name, value)
		}
		times--
		return resp, nil
	}
}

func TestACallWaitsAsLongAsAuth0Asks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		later := time.Now().Add(20 * time.Second)
		for _, c := range []struct {
			times       int
			name, value string
			wait        time.Duration
			status      int
		}{
			{1, "Retry-After", "7", 7 * time.Second, 200},
			{3, "Retry-After", "60", 3 * time.Minute, 200},
			{4, "Retry-After", "1", 3 * time.Second, 429},
			{1, "Retry-After", "61", 0, 429},
			{1, "Retry-After", "99999999999999999999", 0, 429},
			{1, "Retry-After", "-5", time.Second, 200},
			{1, "X-Other", "", time.Second, 200},
		} {
			began := time.Now()
			var told time.Duration
			p := &patient{timeout: time.Minute, base: throttling(t, c.times, c.name, c.value), waiting: func(d time.Duration) { told += d }}
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://tenant.example.com/", strings.NewReader("a=b"))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := p.RoundTrip(req)
			if err != nil || resp.StatusCode != c.status || time.Since(began) != c.wait || told != c.wait {
				t.Errorf("%+v: %v %v after %s, told %s", c, resp, err, time.Since(began), told)
			}
		}
		for name, value := range map[string]string{
			"Retry-After": later.UTC().Format(http.TimeFormat), "X-Ratelimit-Reset": strconv.FormatInt(later.Unix(), 10),
		} {
			if wait := retryAfter(http.Header{name: {value}}); time.Until(later)-wait >= time.Second {
				t.Errorf("%s %s: %s", name, value, wait)
			}
		}
	})
}

func TestAWaitEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		p := &patient{timeout: time.Minute, base: throttling(t, 1, "Retry-After", "30"), waiting: func(time.Duration) { time.AfterFunc(time.Second, cancel) }}
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://tenant.example.com/", strings.NewReader("a=b"))
		if err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		if _, err := p.RoundTrip(req); !errors.Is(err, context.Canceled) || time.Since(began) != time.Second {
			t.Errorf("%v after %s", err, time.Since(began))
		}
	})
}

// Whoever answers on the tenant's behalf can begin an answer and never end it.
func TestATenantThatStallsEndsACall(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	defer server.Close()
	n := demo(start(t, nil))
	n.Issuer, n.Timeout = server.URL+"/", 50*time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	report, err := Examine(ctx, n, silent)
	if err != nil || !strings.Contains(report.Findings[0].Found, "no whole answer within 50ms") {
		t.Errorf("%v: %+v", err, report)
	}
}

func TestTheProgramMayHaveAnotherDefaultTransport(t *testing.T) {
	gos := http.DefaultTransport
	defer func() { http.DefaultTransport = gos }()
	var asked int
	http.DefaultTransport = roundTrip(func(req *http.Request) (*http.Response, error) {
		asked++
		return gos.RoundTrip(req)
	})
	if got := wrongs(t, demo(start(t, nil))); got != nil || asked == 0 {
		t.Errorf("wrong: %q, and %d requests went its way", got, asked)
	}
}
