package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test/browser"
)

// calls are what the agent wants to know.
var calls = []struct {
	provider, url string
}{
	{"Google", proxyURL + "/google/calendar/v3/calendars/primary/events"},
	{"GitHub", proxyURL + "/github/user/repos"},
}

// play is the whole story for both providers, told on out.
func play(ctx context.Context, out io.Writer, token string) error {
	s := &story{out: out, token: token, person: browser.New()}
	for _, call := range calls {
		fmt.Fprintf(out, "\n%s\n", call.provider)
		if err := s.tell(ctx, call.url); err != nil {
			return fmt.Errorf("%s: %w", call.provider, err)
		}
	}
	fmt.Fprintln(out, "\nDone: the agent got both answers and never held a provider's token.")
	return nil
}

type story struct {
	out    io.Writer
	token  string // the agent's
	person *browser.Browser
}

// linkAnswer is what the agent reads of a 401.
type linkAnswer struct {
	Error     string `json:"error"`
	LinkURL   string `json:"link_url"`
	StatusURL string `json:"status_url"`
}

// askForLink makes the agent's first call, which has to be answered with a link.
func askForLink(ctx context.Context, token string) (*linkAnswer, error) {
	s := &story{token: token}
	status, body, err := s.call(ctx, calls[0].url)
	if err != nil {
		return nil, err
	}
	return readLink(status, body)
}

func readLink(status int, body []byte) (*linkAnswer, error) {
	var answer linkAnswer
	if err := json.Unmarshal(body, &answer); err != nil || status != http.StatusUnauthorized || answer.LinkURL == "" {
		return nil, fmt.Errorf("the first call was answered %d: %s", status, body)
	}
	return &answer, nil
}

func (s *story) tell(ctx context.Context, apiURL string) error {
	status, body, err := s.call(ctx, apiURL)
	if err != nil {
		return err
	}
	answer, err := readLink(status, body)
	if err != nil {
		return err
	}
	s.step("agent calls", status, answer.Error)
	if err := s.connect(ctx, answer.LinkURL); err != nil {
		return err
	}
	status, body, err = s.call(ctx, answer.StatusURL)
	if err != nil {
		return err
	}
	s.step("agent asks for the status", status, compact(body))
	if status, body, err = s.call(ctx, apiURL); err != nil {
		return err
	}
	s.step("agent calls again", status, compact(body))
	if status != http.StatusOK {
		return errors.New("the second call failed")
	}
	return nil
}

// connect is what the person does: open the link, and answer what is asked until
// there is nothing left to answer.
func (s *story) connect(ctx context.Context, link string) error {
	page, err := s.person.Open(ctx, link)
	if err != nil {
		return err
	}
	s.step("person opens the link", page.Status, "")
	for _, act := range []struct {
		what   string
		skip   func(*browser.Page) bool
		values url.Values
	}{
		{"person continues", nil, nil},
		{"person signs in at Auth0", signedIn, url.Values{"username": {user}, "password": {password}}},
		{"person confirms", nil, url.Values{"action": {"connect"}}},
		{"person signs in at the provider", signedIn, url.Values{"username": {user}, "password": {password}}},
		{"person grants access", nil, url.Values{"action": {"allow"}}},
	} {
		if act.skip != nil && act.skip(page) {
			continue
		}
		next, err := s.person.Submit(ctx, page, act.values)
		if err != nil {
			return fmt.Errorf("%s: %w", act.what, err)
		}
		page = next
		s.step(act.what, page.Status, "")
	}
	if page.Status != http.StatusOK || page.URL.Host != mustParse(link).Host {
		return fmt.Errorf("the browser ended at %s with %d", page.URL.Host, page.Status)
	}
	return nil
}

// signedIn tells whether a page asks for no password, since the person has a
// session already.
func signedIn(page *browser.Page) bool {
	for _, form := range page.Forms {
		if _, ok := form.Values["password"]; ok {
			return false
		}
	}
	return true
}

func (s *story) call(ctx context.Context, target string) (int, []byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return 0, nil, err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, body, err
}

func (s *story) step(what string, status int, note string) {
	fmt.Fprintf(s.out, "  %-32s %d  %s\n", what, status, note)
}

// compact shortens a JSON body to a line.
func compact(body []byte) string {
	var line bytes.Buffer
	if json.Compact(&line, body) != nil {
		return ""
	}
	const most = 90
	if text := line.String(); len(text) > most {
		return text[:most] + "…"
	}
	return line.String()
}

func mustParse(raw string) *url.URL {
	u, err := url.Parse(raw)
	if err != nil {
		return &url.URL{}
	}
	return u
}
