package linkflow

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault"
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

	// Person is what the one who signed in is called.
	Person string `json:"person,omitempty"`

	// AccessToken is for the My Account API, or, in legs that link an identity, for
	// the Management API. AuthSession is what the former calls the connecting that
	// is under way.
	AccessToken string `json:"access_token,omitempty"`
	AuthSession string `json:"auth_session,omitempty"`

	// Ended is how the flow ended.
	Ended *ending `json:"ended,omitempty"`

	// In flows about identities: what one that links one knows besides, and one in
	// which a person looks at theirs; the address that all steps have to come from,
	// where the operator wants that; and the ID token with which the flow began, for
	// the tenant's Action.
	Linking   *linking   `json:"linking,omitempty"`
	Unlinking *unlinking `json:"unlinking,omitempty"`
	Address   string     `json:"address,omitempty"`
	IDToken   string     `json:"id_token,omitempty"`

	// Disconnect is the account that a sign-in to look after accounts goes on
	// with.
	Disconnect string `json:"disconnect,omitempty"`

	Expiry int64 `json:"exp"`
}

// ending is how a flow ended.
type ending struct {
	Declined bool     `json:"declined,omitempty"`
	Granted  []string `json:"granted,omitempty"`
	Missing  []string `json:"missing,omitempty"`
}

func (e ending) success() bool { return !e.Declined && e.Missing == nil }

func (s flowState) expires() int64 { return s.Expiry }

// secrets are what no text may repeat.
func (s *flowState) secrets() []string {
	secrets := []string{s.State, s.Verifier, s.Nonce, s.AccessToken, s.AuthSession, s.IDToken}
	if s.Linking != nil && s.Linking.Second != nil {
		secrets = append(secrets, s.Linking.Second.IDToken, s.Linking.Second.AccessToken)
	}
	return secrets
}

// matter is what forms about s decide on: all of s but what no page tells, and what
// the way to Auth0 and back changes.
func (s *flowState) matter() (id string, all any) {
	m := *s
	m.endLeg()
	m.AccessToken, m.AuthSession, m.IDToken, m.Unlinking, m.Expiry = "", "", "", nil, 0
	if s.Linking == nil {
		return s.ID, m
	}
	l := *s.Linking
	l.AuthTime, l.MFA, l.Before, l.Tried = 0, false, nil, false
	if l.Second == nil {
		m.Ticket = s.asked() // the connection is chosen on the page
	} else {
		l.Second = &proven{Subject: l.Second.Subject, Person: l.Second.Person}
	}
	m.Linking = &l
	return s.ID, m
}

// signedIn notes who signed in, if the ticket is for that person.
func (s *flowState) signedIn(issuer string, id *vault.IDToken, accessToken string) bool {
	t := &s.Ticket
	if t.Open && t.Subject == "" {
		t.Subject, t.OrgID = id.Subject, id.OrgID
	}
	if t.Issuer != issuer || t.Subject != id.Subject || t.OrgID != id.OrgID {
		return false
	}
	s.endLeg()
	s.Person, s.AccessToken = personOf(id), accessToken
	return true
}

// forgetPerson takes back what signedIn noted.
func (s *flowState) forgetPerson() {
	if s.Ticket.Open {
		s.Ticket.Subject, s.Ticket.OrgID = "", ""
	}
	s.Person, s.AccessToken, s.AuthSession, s.IDToken = "", "", "", ""
}

// beginLeg gives the leg that begins a `state` of its own, the flow's id, to find the
// cookie by, and what nobody can guess; and a verifier and a nonce.
func (s *flowState) beginLeg() {
	s.State, s.Verifier, s.Nonce = s.ID+"."+rand.Text(), oauth2.GenerateVerifier(), rand.Text()
}

// endLeg takes them back: nothing may be redeemed by them any more.
func (s *flowState) endLeg() { s.State, s.Verifier, s.Nonce = "", "", "" }

// personOf is what pages call somebody who signed in.
func personOf(id *vault.IDToken) string {
	return cmp.Or(clean(id.Name, maxShown), clean(id.Subject, maxShown))
}

// authTime is when somebody authenticated; long ago if the token does not say.
func authTime(id *vault.IDToken) int64 {
	if id.AuthTime.IsZero() {
		return 0
	}
	return id.AuthTime.Unix()
}

// keep seals s for a leg into its cookies.
func (f *Flow) keep(r *http.Request, leg purpose, s *flowState) ([]*http.Cookie, error) {
	text, err := seal(r.Context(), f.sealer, leg, *s)
	if err != nil {
		return nil, err
	}
	cookies, err := f.put(flowCookie+s.ID, text, s.Expiry)
	if err != nil {
		return nil, fmt.Errorf("%w; %s", err, s.longest())
	}
	return cookies, nil
}

// longest says what of s takes most room, and how much.
func (s *flowState) longest() string {
	parts := map[string]int{
		"the access token": len(s.AccessToken), "the ID token": len(s.IDToken), "auth_session": len(s.AuthSession),
		"the list of scopes": len(strings.Join(s.Ticket.Scopes, " ")), "returnTo": len(s.ReturnTo),
	}
	if s.Linking != nil && s.Linking.Second != nil {
		parts["the access token of the second sign-in"] = len(s.Linking.Second.AccessToken)
		parts["the ID token of the second sign-in"] = len(s.Linking.Second.IDToken)
	}
	name := slices.MaxFunc(slices.Sorted(maps.Keys(parts)), func(a, b string) int { return cmp.Compare(parts[a], parts[b]) })
	return fmt.Sprintf("the longest of it is %s, with %d", name, parts[name])
}

// drop removes the cookies of s.
func (f *Flow) drop(r *http.Request, s *flowState) []*http.Cookie {
	return f.remove(r, flowCookie+s.ID)
}

// end keeps of s how it ended, so that the page that says so can be opened
// again, and nothing that could do any more.
func (f *Flow) end(r *http.Request, s *flowState, e ending) ([]*http.Cookie, error) {
	return f.keep(r, forEnd, &flowState{
		ID: s.ID, Ticket: s.Ticket, ReturnTo: s.ReturnTo, Ended: &e,
		Expiry: time.Now().Add(ticketLife).Unix(),
	})
}

// flowOf returns the flow of that id that the browser is on, and its leg, if it
// is one of legs.
func (f *Flow) flowOf(r *http.Request, id string, legs ...purpose) (*flowState, purpose, error) {
	if !idPattern.MatchString(id) {
		return nil, "", errTampered
	}
	text, err := f.get(r, flowCookie+id)
	if err != nil {
		return nil, "", err
	}
	for _, leg := range legs {
		s, err := open[flowState](r.Context(), f.sealer, leg, text)
		switch {
		case errors.Is(err, errTampered):
			continue // sealed for another leg, or by nobody
		case err != nil:
			return nil, "", err
		case s.ID != id:
			return nil, "", errTampered
		}
		if s.AccessToken != "" { // which is that of whoever signed in
			countAs(r, s.Ticket.Subject)
		}
		return &s, leg, nil
	}
	return nil, "", errTampered
}

// flowByState is flowOf for an answer that came with the leg's `state`.
func (f *Flow) flowByState(r *http.Request, state string, legs ...purpose) (*flowState, purpose, error) {
	id, _, _ := strings.Cut(state, ".")
	s, leg, err := f.flowOf(r, id, legs...)
	if err != nil {
		return nil, "", err
	}
	if subtle.ConstantTimeCompare([]byte(s.State), []byte(state)) != 1 {
		return nil, "", errTampered
	}
	return s, leg, nil
}
