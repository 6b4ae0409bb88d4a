package linkflow

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// Kind says what happened. No other values are used.
type Kind string

// The kinds of events.
const (
	// Started: somebody pressed Continue and goes to sign in. The reason is "return_to" if
	// the link says to return to where flows may not: this one ends on our page.
	Started Kind = "started"
	// SignedIn: the user whom the ticket was made for came back from there; or, to link
	// an identity, has signed in as Event.Identity too.
	SignedIn Kind = "signed_in"
	// Confirmed: that user pressed Connect and goes to the provider; or agreed, and
	// goes to the tenant's Action.
	Confirmed Kind = "confirmed"
	// Connected: Auth0 says that the account is connected.
	Connected Kind = "linked"
	// DeclinedByUser: that user pressed Decline, here or at the provider.
	DeclinedByUser Kind = "declined"
	// FailedToConnect: Auth0 or the provider ended the attempt of that user.
	FailedToConnect Kind = "failed"
	// Merged: Auth0 lists another identity of that user, Event.Identity.
	Merged Kind = "merged"
	// Separated: Auth0 lists it no more.
	Separated Kind = "separated"
	// Disconnected: that user disconnected an account.
	Disconnected Kind = "disconnected"
	// Refused: a request that was not in order. Nothing changed.
	Refused Kind = "refused"
	// Fault: Auth0 fails, or something is set up wrongly. Nothing changed.
	Fault Kind = "fault"
)

// Event is something that an operator wants to know. It never holds a ticket, a
// code, a token or a URL with one.
type Event struct {
	Kind Kind

	// ID is on the page that the person sees, if it tells of an error. All events
	// about one ticket have the same.
	ID string

	// Connection and Agent are what the link is about; empty if that is not
	// known.
	Connection string
	Agent      string

	// Subject is the user who signed in; empty before that is verified.
	Subject string

	// Identity is the user that an identity was, or is from now on, by itself; empty
	// in events that are about no other.
	Identity string

	// Reason names the cause in one word. It is empty if all is well.
	Reason string

	// Err has the details, if there are any: also what Auth0 says, which
	// pages never show.
	Err error
}

// tell tells the hook, and returns the event's id.
func (f *Flow) tell(ctx context.Context, e Event) string {
	if e.ID == "" {
		e.ID = rand.Text()[:idLength]
	}
	e.Err = withoutURL(e.Err)
	if f.hook != nil {
		f.hook(ctx, e)
	}
	return e.ID
}

// about is an event about a ticket, of a person who is not known yet.
func about(kind Kind, t ticket) Event {
	return Event{Kind: kind, ID: eventID(t.ID), Connection: t.Connection, Agent: t.Agent}
}

// eventID is what events tell of a ticket's or session's id.
func eventID(id string) string { return id[:min(len(id), idLength)] }

// idLength is enough to find a line in a log, and not the ticket's whole id.
const idLength = 12

// about is an event about a flow of a person who is not known yet: one that a
// ticket began, or a sign-in to look after accounts.
func (s *flowState) about(kind Kind) Event {
	if s.Ticket.ID == "" {
		return Event{Kind: kind, ID: eventID(s.ID)}
	}
	return about(kind, s.Ticket)
}

// byUser is an event about a ticket whose user has signed in.
func byUser(kind Kind, t ticket) Event {
	e := about(kind, t)
	e.Subject = t.Subject
	return e
}

// withoutURL takes from an error of net/http the URL that was called, whose
// query may tell more than it should.
func withoutURL(err error) error {
	var inURL *url.Error
	if !errors.As(err, &inURL) {
		return err
	}
	var inVault *vault.Error
	if !errors.As(err, &inVault) {
		return inURL.Err
	}
	bare := *inVault
	bare.Err = inURL.Err
	return &bare
}
