package linkflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"strings"

	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// ErrNoTicket is Status's answer to every ticket that is not the caller's own:
// of another user, agent or organization, tampered with, or unknown. They are
// told apart nowhere, so that nobody can find out who uses what.
var ErrNoTicket = errors.New("no such ticket")

// What can be wrong with something sealed.
var (
	errTampered = errors.New("not sealed by us for this purpose")
	errExpired  = errors.New("expired")
	errNoCookie = errors.New("the browser sent no cookie")
	errChanged  = errors.New("not what the page was about")
)

// nobody tells whether err means that nobody is signed in.
func nobody(err error) bool { return errors.Is(err, errTampered) || errors.Is(err, errExpired) }

// refusal is why a request goes no further: the page that says so, and what the
// operator is told.
type refusal struct {
	page   message
	reason string
	err    error
	data   messagePage // what more the page shows
}

// refusalOf is what to say when something sealed does not open, and page is for
// what was tampered with.
func refusalOf(err error, page message, reason string) *refusal {
	switch {
	case errors.Is(err, errExpired):
		return &refusal{page: pageExpired, reason: "expired"}
	case errors.Is(err, errNoCookie):
		return &refusal{page: pageNoCookie, reason: "no_cookie"}
	case errors.Is(err, errChanged):
		return changed()
	case errors.Is(err, errTampered):
		return &refusal{page: page, reason: reason}
	case errors.Is(err, context.DeadlineExceeded):
		return &refusal{page: pageBroken, reason: "timeout", err: err}
	}
	return &refusal{page: pageBroken, reason: "keys", err: err}
}

// notKept is what to say when a browser cannot be given what it is to keep.
func notKept(err error) *refusal { return &refusal{page: pageBroken, reason: "cookie", err: err} }

// changed is what to say to a form about what is not as its page said any more.
func changed() *refusal { return &refusal{page: pageChanged, reason: "changed_meanwhile"} }

// malformed is what to say to a form that is none of ours.
func malformed() *refusal { return &refusal{page: pageBadRequest, reason: "form_malformed"} }

// auth0Refusal is what to say when Auth0 refuses or fails.
func auth0Refusal(err error, page message) *refusal {
	return &refusal{page: page, reason: auth0Reason(err), err: err}
}

// auth0Reason says in one word who refused, or what failed.
func auth0Reason(err error) string {
	if e, ok := errors.AsType[*accountError](err); ok {
		return fmt.Sprintf("my_account_%d", e.Status)
	}
	if e, ok := errors.AsType[*managementError](err); ok {
		return fmt.Sprintf("management_%d", e.Status)
	}
	if e, ok := errors.AsType[*oauthError](err); ok {
		return e.where
	}
	if e, ok := errors.AsType[*vault.Error](err); ok {
		return e.Reason
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return "timeout"
	}
	return "invalid_response"
}

// loginRefusal is what to say when a code brought no verified user. A code that
// is spent, or belongs to another sign-in, is no fault of anybody who has to
// be told of one.
func loginRefusal(err error) *refusal {
	if e, ok := errors.AsType[*oauthError](err); ok && e.code == "invalid_grant" {
		return &refusal{page: pageNoFlow, reason: e.code, err: err}
	}
	if e, ok := errors.AsType[*vault.Error](err); ok && e.Reason == "wrong_nonce" {
		return &refusal{page: pageNoFlow, reason: e.Reason, err: err}
	}
	return auth0Refusal(err, pageAuth0Fails)
}

// oauthError is a refusal in the manner of OAuth, with no more of the answer than its
// error code (RFC 6749 §5.2): the rest may repeat what we sent.
type oauthError struct {
	where  string // the endpoint, or what it was asked for
	status int
	code   string
}

var codePattern = regexp.MustCompile(`^[a-z_]{1,64}$`)

func newOAuthError(where string, status int, code string) *oauthError {
	if !codePattern.MatchString(code) {
		code = ""
	}
	return &oauthError{where, status, code}
}

func (e *oauthError) Error() string {
	return fmt.Sprintf("Auth0 answered %d with error %q", e.status, e.code)
}

// tokenError is err without what oauth2's own errors print. where is what the token
// endpoint was asked for.
func tokenError(where string, err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		return newOAuthError(where, refused.Response.StatusCode, refused.ErrorCode)
	}
	if e, ok := errors.AsType[*vault.Error](err); ok {
		return e
	}
	if err = withoutURL(err); errors.Is(err, context.DeadlineExceeded) {
		return &vault.Error{Code: vault.CodeTimeout, Reason: "timeout", Err: err}
	}
	return &vault.Error{Code: vault.CodeUnavailable, Reason: "no_token", Err: err}
}

// accountError is a refusal by the My Account API. Its text is for the operator.
type accountError struct {
	Status int    `json:"-"`
	Type   string `json:"type"`
	Title  string `json:"title"`
	Detail string `json:"detail"`
	Errors []struct {
		Detail string `json:"detail"`
	} `json:"validation_errors"`
}

// Error implements error.
func (e *accountError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "My Account API answered %d", e.Status)
	// Of the type, a URL, the last part is the code: A0E-400-0003.
	for _, part := range []string{e.Type[strings.LastIndexAny(e.Type, "/#")+1:], e.Title, e.Detail} {
		if part != "" {
			text.WriteString(": " + clean(part, maxTold))
		}
	}
	for i, v := range e.Errors {
		if i < 5 {
			text.WriteString("; " + clean(v.Detail, maxTold))
		}
	}
	switch e.Status {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusNotFound:
		text.WriteString(" (is the My Account API activated, with a client grant for the link pages' application: create:me:connected_accounts, read:me:connected_accounts, delete:me:connected_accounts?)")
	}
	return text.String()
}

// tokenEnded tells whether the My Account API does not take the token any more.
func tokenEnded(err error) bool {
	refused, ok := errors.AsType[*accountError](err)
	return ok && refused.Status == http.StatusUnauthorized
}

// errSenseless stands for an answer of the Management API that does not say what
// it should.
var errSenseless = errors.New("the Management API's answer makes no sense")

// managementError is a refusal by the Management API. Its text is for the
// operator.
type managementError struct {
	Status  int    `json:"-"`
	Code    string `json:"errorCode"`
	Title   string `json:"error"`
	Message string `json:"message"`
}

// Error implements error.
func (e *managementError) Error() string {
	var text strings.Builder
	fmt.Fprintf(&text, "Management API answered %d", e.Status)
	for _, part := range []string{e.Code, e.Title, e.Message} {
		if part != "" {
			text.WriteString(": " + clean(part, maxTold))
		}
	}
	if e.forbids() {
		text.WriteString(" (people need read:current_user and update:current_user_identities, the management application read:users and update:users)")
	}
	return text.String()
}

// forbids tells whether the credential is refused, and not what was asked.
func (e *managementError) forbids() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden
}

// forbidden tells whether err says that a credential lacks a scope, so that another
// one might do. A token that is bad (401), or is not of the user whom it is used for,
// is no reason to use another one.
func forbidden(err error) bool {
	e, ok := errors.AsType[*managementError](err)
	return ok && e.Status == http.StatusForbidden && e.Code == "insufficient_scope"
}

// isConflict tells whether Auth0 says that the identity is somebody's already.
func isConflict(err error) bool {
	e, ok := errors.AsType[*managementError](err)
	return ok && e.Status == http.StatusConflict
}

// unanswered tells whether err leaves open what Auth0 did, or is still about to do.
func unanswered(err error) bool {
	e, ok := errors.AsType[*vault.Error](err)
	return ok && (e.Code == vault.CodeTimeout || e.Code == vault.CodeUnavailable)
}

// isGone tells whether Auth0 says that there is no such user.
func isGone(err error) bool {
	e, ok := errors.AsType[*managementError](err)
	return ok && e.Status == http.StatusNotFound
}
