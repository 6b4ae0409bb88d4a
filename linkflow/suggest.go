package linkflow

import (
	"context"
	"net/http"
	"slices"
)

// suggestions are the other users who may be the same person as u, for a flow that
// has not been told what to link: those with the same e-mail address, where
// connections say so on both sides that the operator trusts about it (Auth0:
// "User-Initiated Account Linking"). They are told nobody but by the names of their
// connections until they have signed in.
func (f *Flow) suggestions(ctx context.Context, t ticket, u *user) ([]candidate, error) {
	machine := f.asMachine()
	if t.Connection != "" || machine == nil || !f.trusts(u) {
		return nil, nil
	}
	others, err := machine.byEmail(ctx, u.email)
	if err != nil {
		return nil, err
	}
	var found []candidate
	for _, other := range others {
		if other.id != u.id && len(other.identities) == 1 && f.trusts(other) {
			found = append(found, candidate{other.identities[0].connection, other.id})
		}
	}
	return found, nil
}

// trusts tells whether u's e-mail address is known to be u's. It is that of the
// first identity.
func (f *Flow) trusts(u *user) bool {
	return u.email != "" && u.verified && slices.Contains(f.linking.TrustEmail, u.identities[0].connection)
}

// connections are where those offered sign in, each once.
func (l *linking) connections() (names []string) {
	for _, c := range l.Offered {
		if !slices.Contains(names, c.Connection) {
			names = append(names, c.Connection)
		}
	}
	return names
}

// isOffered tells whether the person turned out to be one of those who were
// offered, or was offered none and named a connection.
func (l *linking) isOffered(connection, subject string) bool {
	return l.Offered == nil || slices.Contains(l.Offered, candidate{connection, subject})
}

// nothingToLink is for who named nothing and is offered nothing.
func (f *Flow) nothingToLink(r *http.Request, s *flowState) answer {
	return f.say(pageNothingToLink, nil, messagePage{Identities: true}).with(f.drop(r, s)...)
}
