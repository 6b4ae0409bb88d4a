package linkflow

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"time"

	"github.com/tokenvault/caddy-token-vault/linkflow/internal/outcome"
	"github.com/tokenvault/caddy-token-vault/vault"
)

const (
	// ticketLife is how long a link works: time enough for a person to see it,
	// sign in and consent.
	ticketLife = 10 * time.Minute

	// maxTicket bounds a sealed ticket: it has to fit into a URL.
	maxTicket = 2048
)

// ticket is what a link is about: whose account, for which agent.
type ticket struct {
	Issuer     string   `json:"iss"`
	Subject    string   `json:"sub"`
	OrgID      string   `json:"org_id,omitempty"`
	Agent      string   `json:"agent,omitempty"`
	Connection string   `json:"connection"`
	Scopes     []string `json:"scopes,omitempty"`
	LoginHint  string   `json:"login_hint,omitempty"`
	Account    string   `json:"account,omitempty"` // to connect again
	Open       bool     `json:"open,omitempty"`    // for whoever signs in, who is the subject from then on
	Own        bool     `json:"own,omitempty"`     // the person wants to link an identity, and nobody asks
	ID         string   `json:"id"`
	Expiry     int64    `json:"exp"`
}

func (t ticket) expires() int64 { return t.Expiry }

// belongsTo tells whether the ticket was made for caller.
func (t ticket) belongsTo(issuer string, caller *vault.AccessToken) bool {
	return t.Issuer == issuer && t.Subject == caller.Subject && t.OrgID == caller.OrgID && t.Agent == caller.ClientID
}

// wished is t for [Outcomes].
func (t ticket) wished() outcome.Ticket {
	expiry := time.Unix(t.Expiry, 0)
	return outcome.Ticket{
		ID:     t.ID,
		Wish:   outcome.Wish{Account: accountOf(t.Issuer, t.Subject, t.Connection), OrgID: t.OrgID, Agent: t.Agent, LoginHint: t.LoginHint},
		Scopes: t.Scopes,
		Made:   expiry.Add(-ticketLife),
		Expiry: expiry,
	}
}

func accountOf(issuer, subject, connection string) outcome.Account {
	return outcome.Account{User: outcome.User{Issuer: issuer, Subject: subject}, Connection: connection}
}

// Link is what an agent hands to its user.
type Link struct {
	// URL is for the user's browser.
	URL string
	// StatusURL is for the agent, with the same access token: see Status.
	StatusURL string
	// ExpiresIn is how long both are good for.
	ExpiresIn time.Duration
	// ID is that of the events about it.
	ID string
}

// Link makes a link by which the user who caller speaks for can connect the
// account that req asks for. req.MaxScopes plays no part: what an account may
// at most do is nothing that connecting it could mend. An error means that Config.Keys
// failed, or that req's scopes are too long for a link.
func (f *Flow) Link(ctx context.Context, caller *vault.AccessToken, req vault.Request) (*Link, error) {
	t := ticket{
		Issuer:     f.vault.Issuer(),
		Subject:    caller.Subject,
		OrgID:      caller.OrgID,
		Agent:      caller.ClientID,
		Connection: req.Connection,
		Scopes:     req.Scopes,
		LoginHint:  req.LoginHint,
		ID:         rand.Text(),
		Expiry:     time.Now().Add(ticketLife).Unix(),
	}
	text, err := seal(ctx, f.sealer, forTicket, t)
	if err != nil {
		return nil, err
	}
	if len(text) > maxTicket {
		return nil, errors.New("the scopes of this request do not fit into a link")
	}
	query := url.Values{"ticket": {text}}
	page := f.origin + f.page("connect", query)
	if f.via == ViaURL {
		page = f.ownURL(t, text)
	}
	return &Link{
		URL:       page,
		StatusURL: f.origin + f.page("status", query),
		ExpiresIn: ticketLife,
		ID:        eventID(t.ID),
	}, nil
}
