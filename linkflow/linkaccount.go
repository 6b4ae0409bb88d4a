package linkflow

import (
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/oauth2"
)

// With ViaLinkAccount the tenant's account-linking Action links ("Client-Initiated
// Account Linking"). It is asked by an authorization request with a scope of its
// own and an ID token that says who asks; it has the person sign in at the
// connection, and joins the two. What came of it the identities tell, see action.go.

// What such a request asks for. Auth0 itself knows neither link_account nor
// unlink_account: without the Action, or where it does not allow this application,
// the request is a sign-in like any other.
var (
	toLinkByAction   = []string{"link_account", "openid", "profile", "offline_access"}
	toUnlinkByAction = []string{"unlink_account", "openid", "profile", "offline_access"}
)

// hintLife is how old the sign-in may be whose ID token says who asks. The Action
// takes ten minutes, of which one is left for the way there.
const hintLife = 9 * time.Minute

// subs are what the users of u's identities would be called if they were alone.
func (u *user) subs() []string {
	subs := make([]string, len(u.identities))
	for n, i := range u.identities {
		subs[n] = i.sub()
	}
	return subs
}

// mayGoUnread tells whether a flow through the Action may go on although nobody may
// read the person's identities: it links all the same, and that it did is not claimed.
func (f *Flow) mayGoUnread(err error) bool {
	return forbidden(err) && !f.linking.RequireVerifiedEmail && !f.linking.RequireMFA
}

// beginLinkAccount has the Action link the person's identity at a connection.
func (f *Flow) beginLinkAccount(r *http.Request, s *flowState, connection string) answer {
	if s.Linking.olderThan(hintLife) {
		return f.beginLinking(r, s, signIn{organization: s.Ticket.OrgID})
	}
	s.Ticket.Connection = connection
	onward, no := f.goThroughAction(r, forLinkAccount, s, toLinkByAction, connection)
	if no != nil {
		return f.notProved(r, s, no)
	}
	return onward
}

// beginUnlinkAccount has the Action unlink an identity of u. It is told no more than
// the connection, so there must be no other one there.
func (f *Flow) beginUnlinkAccount(r *http.Request, s *flowState, u *user, i identity) answer {
	s.Unlinking.Goes = candidate{i.connection, i.sub()}
	for _, other := range u.identities {
		if other.connection == i.connection && other != i {
			return f.keptByAction(r, s, &refusal{page: pageNotUnlinked, reason: "several_at_connection"})
		}
	}
	onward, no := f.goThroughAction(r, forUnlinkAccount, s, toUnlinkByAction, i.connection)
	if no != nil {
		return f.keptByAction(r, s, no)
	}
	return onward
}

// goThroughAction sends the person to sign in as whom they are, where the Action
// takes over.
func (f *Flow) goThroughAction(r *http.Request, leg purpose, s *flowState, scopes []string, connection string) (answer, *refusal) {
	s.beginLeg()
	params := url.Values{
		"response_type":              {"code"},
		"client_id":                  {f.oauth.ClientID},
		"redirect_uri":               {f.oauth.RedirectURL},
		"state":                      {s.State},
		"nonce":                      {s.Nonce},
		"code_challenge":             {oauth2.S256ChallengeFromVerifier(s.Verifier)},
		"code_challenge_method":      {"S256"},
		"scope":                      {strings.Join(scopes, " ")},
		"requested_connection":       {connection},
		"requested_connection_scope": {strings.Join(s.Ticket.Scopes, " ")},
		"id_token_hint":              {s.IDToken},
		"organization":               {s.Ticket.OrgID},
	}
	maps.DeleteFunc(params, func(_ string, values []string) bool { return values[0] == "" })
	target, err := f.authorizeURL(r.Context(), params)
	if err != nil {
		return answer{}, auth0Refusal(err, pageAuth0Fails)
	}
	cookies, err := f.keep(r, leg, s)
	if err != nil {
		return answer{}, notKept(err)
	}
	f.tell(r.Context(), byUser(Confirmed, s.Ticket))
	return f.goOn(target).with(cookies...), nil
}
