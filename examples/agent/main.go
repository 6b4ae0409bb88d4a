// Command agent is an AI agent's side of the proxy, with nothing but net/http:
// it calls an API, and when the proxy says that the user has to connect an
// account, it shows the link, waits until that is done, and repeats the call.
//
//	go run ./examples/agent -token <access token> http://localhost:8080/google/calendar/v3/calendars/primary/events
//
// The token may also come from the environment variable ACCESS_TOKEN, where
// other users of the machine do not see it.
//
// agent.py and agent.mjs do the same in Python and JavaScript.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"time"
)

func main() {
	token := flag.String("token", os.Getenv("ACCESS_TOKEN"), "the user's Auth0 access token; default: the environment variable ACCESS_TOKEN")
	flag.Parse()
	if flag.NArg() != 1 || *token == "" {
		fmt.Fprintln(os.Stderr, "usage: agent -token <access token> <url>")
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	a := agent{token: *token, show: func(link string) {
		fmt.Printf("To go on, open this link and connect your account:\n\n  %s\n\nWaiting for you…\n", link)
	}}
	body, err := a.call(ctx, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, "agent:", err)
		os.Exit(1)
	}
	fmt.Printf("%s\n", body)
}

// agent calls APIs on behalf of one user.
type agent struct {
	token string
	show  func(link string) // tells the user
}

// problem is what the proxy says when it does not pass a call on.
type problem struct {
	Detail    string `json:"detail"`
	Error     string `json:"error"`
	LinkURL   string `json:"link_url"`
	StatusURL string `json:"status_url"`
}

// maxAnswer is the most of an answer that the agent reads, in bytes.
const maxAnswer = 10 << 20

// call returns what the API answers, after the user connected the account if
// that was needed.
func (a *agent) call(ctx context.Context, url string) ([]byte, error) {
	resp, body, err := a.get(ctx, url)
	if err != nil {
		return nil, err
	}
	// Only the proxy sets this header: a 401 without it is the API's own.
	if resp.Header.Get("Token-Vault-Error") == "" {
		return body, statusError(resp)
	}
	var p problem
	if err := json.Unmarshal(body, &p); err != nil {
		return nil, fmt.Errorf("the proxy answered %s", resp.Status)
	}
	if p.LinkURL == "" {
		return nil, fmt.Errorf("%s: %s", p.Error, p.Detail)
	}
	a.show(p.LinkURL)
	if err := a.wait(ctx, p.StatusURL); err != nil {
		return nil, err
	}
	resp, body, err = a.get(ctx, url)
	if err != nil {
		return nil, err
	}
	return body, statusError(resp)
}

// wait returns when the account is connected.
func (a *agent) wait(ctx context.Context, statusURL string) error {
	for {
		// The proxy answers when there is news, at the latest after 50 seconds.
		resp, body, err := a.get(ctx, statusURL+"&wait=50")
		if err != nil {
			return err
		}
		if err := statusError(resp); err != nil {
			return fmt.Errorf("asking for the status: %w", err)
		}
		var status struct {
			Status string `json:"status"`
		}
		if err := json.Unmarshal(body, &status); err != nil {
			return err
		}
		switch status.Status {
		case "completed":
			return nil
		case "pending":
			seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After")) // should the proxy not wait
			time.Sleep(max(time.Duration(seconds)*time.Second, 100*time.Millisecond))
		default:
			return errors.New("the account was not connected: " + status.Status)
		}
	}
}

func (a *agent) get(ctx context.Context, url string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	return resp, body, err
}

func statusError(resp *http.Response) error {
	if resp.StatusCode >= 400 {
		return fmt.Errorf("%s answered %s", resp.Request.URL.Host, resp.Status)
	}
	return nil
}
