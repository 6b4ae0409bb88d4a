package linkflow

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"net/http"
	"regexp"
	"strings"
	"time"
)

const (
	flowCookie = "token_vault_flow_" // followed by the flow's id
	formCookie = "token_vault_form"

	// hostPrefix makes a browser keep a cookie to this very host, over https,
	// so that no neighbouring host can plant one (RFC 6265bis §4.1.3.2).
	hostPrefix = "__Host-"

	// maxFlows is how many flows one browser can have under way. They share
	// the room that servers give to a request's header.
	maxFlows = 5

	// maxCookie is how long name and value may be together. Browsers drop
	// cookies over 4096 bytes.
	maxCookie = 4096
)

// flowState is what a browser keeps of its flow, sealed for the leg it is on.
// State, Verifier and Nonce are new for each leg.
type flowState struct {
	ID       string `json:"id"`
	Ticket   ticket `json:"ticket"`
	State    string `json:"state,omitempty"`
	Verifier string `json:"verifier,omitempty"`
	Nonce    string `json:"nonce,omitempty"`
	ReturnTo string `json:"return_to,omitempty"`

	// AccessToken is for the My Account API, AuthSession what it calls the
	// connecting that is under way.
	AccessToken string `json:"access_token,omitempty"`
	AuthSession string `json:"auth_session,omitempty"`

	Expiry int64 `json:"exp"`
}

func (s flowState) expires() int64 { return s.Expiry }

// secrets are what no text may repeat.
func (s *flowState) secrets() []string {
	return []string{s.State, s.Verifier, s.Nonce, s.AccessToken, s.AuthSession}
}

// newState gives the leg that begins a `state` of its own: the flow's id, to
// find the cookie by, and what nobody can guess.
func (s *flowState) newState() { s.State = s.ID + "." + rand.Text() }

var idPattern = regexp.MustCompile(`^[A-Z2-7]{26}$`) // as rand.Text makes them

// IsCookie tells whether a cookie of that name is one of ours, so that a proxy
// can keep it from upstreams. Case is not looked at, as some of them do not.
func IsCookie(name string) bool {
	name = strings.TrimPrefix(strings.ToLower(name), strings.ToLower(hostPrefix))
	return name == formCookie || strings.HasPrefix(name, flowCookie)
}

func (f *Flow) cookieName(name string) string {
	if f.secure {
		return hostPrefix + name
	}
	return name
}

// cookie makes one of our cookies. A life of 0 ends with the browser's session;
// a negative one removes the cookie.
func (f *Flow) cookie(name, value string, life time.Duration) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure wherever the origin is https
		Name: f.cookieName(name), Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: f.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// keep seals s for a leg into its cookie.
func (f *Flow) keep(ctx context.Context, leg purpose, s *flowState) (*http.Cookie, error) {
	text, err := seal(ctx, f.sealer, leg, *s)
	if err != nil {
		return nil, err
	}
	life := max(time.Until(time.Unix(s.Expiry, 0)), time.Second)
	c := f.cookie(flowCookie+s.ID, text, life)
	if len(c.Name)+len(c.Value) > maxCookie {
		return nil, errors.New("the cookie of this flow is too large: the My Account access token, or the scopes, are too long")
	}
	return c, nil
}

// drop removes the cookie of s.
func (f *Flow) drop(s *flowState) *http.Cookie { return f.cookie(flowCookie+s.ID, "", -time.Second) }

// flowOf returns the flow of that id that the browser is on, if it is on leg.
func (f *Flow) flowOf(r *http.Request, leg purpose, id string) (*flowState, error) {
	if !idPattern.MatchString(id) {
		return nil, errTampered
	}
	c, err := r.Cookie(f.cookieName(flowCookie + id))
	if err != nil {
		return nil, errTampered
	}
	s, err := open[flowState](r.Context(), f.sealer, leg, c.Value)
	if err != nil {
		return nil, err
	}
	if s.ID != id {
		return nil, errTampered
	}
	return &s, nil
}

// flowByState is flowOf for an answer that came with the leg's `state`.
func (f *Flow) flowByState(r *http.Request, leg purpose, state string) (*flowState, error) {
	id, _, _ := strings.Cut(state, ".")
	s, err := f.flowOf(r, leg, id)
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(s.State), []byte(state)) != 1 {
		return nil, errTampered
	}
	return s, nil
}

// makeRoom removes the oldest flows so that one more can begin. Browsers send
// the cookie first that was made first (RFC 6265 §5.4).
func (f *Flow) makeRoom(r *http.Request) []*http.Cookie {
	var names []string
	for _, c := range r.Cookies() {
		if name, ok := strings.CutPrefix(c.Name, f.cookieName("")); ok && strings.HasPrefix(name, flowCookie) {
			names = append(names, name)
		}
	}
	var removed []*http.Cookie
	for len(names) >= maxFlows {
		removed = append(removed, f.cookie(names[0], "", -time.Second))
		names = names[1:]
	}
	return removed
}
