package auth0test

import (
	"fmt"
	"net/url"
	"slices"
	"time"
)

// Action is a post-login Action: it runs after the login of everybody who has
// a browser, before the code is issued, and may deny it, ask for a second
// factor, or send the person away and go on when they come back. It does not run
// at the token endpoint, where Auth0 runs it too.
type Action struct {
	// Name tells Actions apart. Without functions it picks a built-in one, of
	// which there is [AccountLinking].
	Name string `json:"name"`
	// Secrets and Configuration are what the Action finds in its event.
	Secrets       map[string]string `json:"secrets,omitempty"`
	Configuration map[string]string `json:"configuration,omitempty"`
	// OnExecutePostLogin runs after the login, in the order of the Actions.
	OnExecutePostLogin func(*PostLoginEvent, *PostLoginAPI) `json:"-"`
	// OnContinuePostLogin runs instead when the person comes back to /continue
	// from where the Action sent them.
	OnContinuePostLogin func(*PostLoginEvent, *PostLoginAPI) `json:"-"`
}

// PostLoginEvent is what an Action learns of a login. The members are those of
// Auth0's event object.
type PostLoginEvent struct {
	Authentication struct{ Methods []AuthenticationMethod }
	Client         struct {
		ClientID, Name string
		Metadata       map[string]any
	}
	Connection struct{ Name, Strategy string }
	// Request is the one to /authorize, or to /continue in OnContinuePostLogin.
	Request struct {
		// Hostname has the port where Auth0's has none.
		Hostname, IP, Method, UserAgent string
		// Query holds what was pushed when the request was.
		Query, Body url.Values
	}
	Session     struct{ ID string }
	Transaction struct {
		Protocol, RedirectURI, State, Locale string
		ACRValues, Prompt, ResponseType      []string
		// RequestedScopes are all that were asked for, those of no API too.
		RequestedScopes []string
	}
	User EventUser
	// Secrets and Configuration are the Action's.
	Secrets, Configuration map[string]string
}

// AuthenticationMethod is what a person did in this session: pwd, federated or
// mfa.
type AuthenticationMethod struct {
	Name      string
	Timestamp time.Time
}

// EventUser is the user who logs in, without passwords and codes.
type EventUser struct {
	User
	// EnrolledFactors are the methods of the user's authenticators.
	EnrolledFactors []string
}

// PostLoginAPI is what an Action does about a login.
type PostLoginAPI struct {
	denied         bool
	reason         string
	challenge      []string
	enroll         []string
	redirectTo     string
	redirectParams url.Values
}

// Deny is api.access.deny: the callback gets access_denied and the reason as
// its description. No further Action runs.
func (api *PostLoginAPI) Deny(reason string) { api.denied, api.reason = true, reason }

// SendUserTo is api.redirect.sendUserTo. The tenant adds state to the query; the
// person goes on at /continue with that state.
func (api *PostLoginAPI) SendUserTo(target string, query url.Values) {
	api.redirectTo, api.redirectParams = target, query
}

// ChallengeWithAny is api.authentication.challengeWithAny: one of these factors
// has to be shown, unless one was in this transaction already. The login fails
// when the user has enrolled none of them.
func (api *PostLoginAPI) ChallengeWithAny(factors ...string) { api.challenge = factors }

// EnrollWithAny is api.authentication.enrollWithAny: one of these factors has to
// be enrolled. The login fails when the user has them all.
func (api *PostLoginAPI) EnrollWithAny(factors ...string) { api.enroll = factors }

func (cfg *Config) checkActions() error {
	seen := map[string]bool{}
	for _, a := range cfg.Actions {
		if err := unique(seen, "action", a.Name); err != nil {
			return err
		}
		if a.builtIn() && a.Name != AccountLinking {
			return fmt.Errorf("action %q: it has no functions, and the one that is built in is called %s", a.Name, AccountLinking)
		}
	}
	return nil
}

// takeFunctions puts an Action's functions back after JSON, which has none.
func (cfg *Config) takeFunctions(from []Action) {
	for i := range cfg.Actions {
		cfg.Actions[i].OnExecutePostLogin = from[i].OnExecutePostLogin
		cfg.Actions[i].OnContinuePostLogin = from[i].OnContinuePostLogin
	}
}

// builtIn reports that an Action is to be had by its name.
func (a *Action) builtIn() bool { return a.OnExecutePostLogin == nil && a.OnContinuePostLogin == nil }

// resolve gives an Action that is known by its name its functions.
func (t *Tenant) resolve(a Action) Action {
	if a.builtIn() {
		linking := accountLinking{t}
		a.OnExecutePostLogin, a.OnContinuePostLogin = linking.execute, linking.resume
	}
	return a
}

// eventUser is what an Action may know of a user.
func eventUser(u User) EventUser {
	factors := u.enrolledFactors()
	u.Password, u.Authenticators, u.Identities = "", nil, slices.Clone(u.Identities)
	for n := range u.Identities {
		i := &u.Identities[n]
		i.Password, i.AccessToken, i.RefreshToken = "", "", ""
	}
	return EventUser{User: u, EnrolledFactors: factors}
}

// enrolledFactors are the methods of a user's authenticators.
func (u *User) enrolledFactors() []string {
	var out []string
	for _, a := range u.Authenticators {
		if !slices.Contains(out, a.Type) {
			out = append(out, a.Type)
		}
	}
	return out
}
