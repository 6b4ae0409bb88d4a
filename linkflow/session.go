package linkflow

import (
	"fmt"
	"net/http"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault"
)

const (
	// sessionLife is how long somebody stays signed in to look after accounts.
	sessionLife = 15 * time.Minute

	// freshLife is how old a sign-in may be by which an account is disconnected.
	freshLife = 5 * time.Minute

	// knownLife is how old any other sign-in may be. It is asked for so that
	// Auth0 tells when that was.
	knownLife = 12 * time.Hour
)

// session is who looks after their accounts in this browser.
type session struct {
	ID          string `json:"id"`
	Subject     string `json:"sub"`
	OrgID       string `json:"org_id,omitempty"`
	Person      string `json:"person"`
	AccessToken string `json:"access_token"`
	AuthTime    int64  `json:"auth_time,omitempty"` // 0: not known
	Expiry      int64  `json:"exp"`

	// Disconnected is the connection of an account that the person has just
	// disconnected.
	Disconnected string `json:"disconnected,omitempty"`
}

func (s session) expires() int64 { return s.Expiry }

// matter is who is signed in.
func (s *session) matter() (id string, all any) {
	return s.ID, []string{s.Subject, s.OrgID, s.Person}
}

// fresh tells whether the person has signed in a short time ago.
func (s *session) fresh() bool {
	return s.AuthTime != 0 && time.Since(time.Unix(s.AuthTime, 0)) <= freshLife
}

// newSession is the session that a sign-in began; it has the id of its flow.
func newSession(flow string, id *vault.IDToken, token *oauth2.Token) *session {
	end := time.Now().Add(sessionLife)
	if !token.Expiry.IsZero() && token.Expiry.Before(end) {
		end = token.Expiry
	}
	return &session{
		ID: flow, Subject: id.Subject, OrgID: id.OrgID, Person: personOf(id),
		AccessToken: token.AccessToken, AuthTime: authTime(id), Expiry: end.Unix(),
	}
}

// keepSession seals s into its cookies.
func (f *Flow) keepSession(r *http.Request, s *session) ([]*http.Cookie, error) {
	text, err := seal(r.Context(), f.sealer, forSession, *s)
	if err != nil {
		return nil, err
	}
	cookies, err := f.put(sessionCookie, text, s.Expiry)
	if err != nil {
		return nil, fmt.Errorf("%w; the access token has %d", err, len(s.AccessToken))
	}
	return cookies, nil
}

// session returns who is signed in; errTampered and errExpired mean nobody.
func (f *Flow) session(r *http.Request) (*session, error) {
	text, err := f.get(r, sessionCookie)
	if err != nil {
		return nil, err
	}
	s, err := open[session](r.Context(), f.sealer, forSession, text)
	if err != nil {
		return nil, err
	}
	countAs(r, s.Subject)
	return &s, nil
}

// about is an event about what s does.
func (s *session) about(kind Kind, connection string) Event {
	return Event{Kind: kind, ID: eventID(s.ID), Subject: s.Subject, Connection: connection}
}
