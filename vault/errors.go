package vault

import (
	"fmt"
	"strings"
	"time"
)

// Code says why a call cannot go on, and thereby who has to act.
type Code string

// The agent has to act: its access token, or what it may do, is not enough.
const (
	// CodeInvalidRequest: the credential is no token at all, or too long.
	CodeInvalidRequest Code = "invalid_request"
	// CodeInvalidToken: the access token does not verify (RFC 6750 §3.1), or Auth0
	// refuses it, or the refresh token, as the subject of an exchange.
	CodeInvalidToken Code = "invalid_token"
	// CodeStepUp: Auth0 wants the user to authenticate more strongly (RFC 9470).
	CodeStepUp Code = "insufficient_user_authentication"
	// CodeScopeExcess: the provider's token may do more than the route allows.
	CodeScopeExcess Code = "scope_excess"
	// CodeAccessDenied: an Auth0 Action denied the exchange.
	CodeAccessDenied Code = "access_denied"
)

// The user has to act: [Error.NeedsLink] is true, and a link helps.
const (
	// CodeLinkRequired: the user has not connected this account.
	CodeLinkRequired Code = "link_required"
	// CodeRelinkRequired: the user has, but the provider refused the grant
	// that Auth0 stored.
	CodeRelinkRequired Code = "relink_required"
	// CodeScopeRequired: the user has, with fewer scopes than required.
	CodeScopeRequired Code = "scope_required"
)

// The operator or time has to act.
const (
	// CodeKeysUnavailable: no signing key to verify with, and the key endpoint
	// fails.
	CodeKeysUnavailable Code = "keys_unavailable"
	// CodeMisconfigured: Auth0 rejects our client, its grant, the connection
	// or the form of our request.
	CodeMisconfigured Code = "vault_misconfigured"
	// CodeUnavailable: Auth0 cannot be reached, fails, or makes no sense.
	CodeUnavailable Code = "vault_unavailable"
	// CodeTimeout: Auth0 gave no answer within [Config.Timeout].
	CodeTimeout Code = "vault_timeout"
	// CodeThrottled: Auth0 answered 429, or a budget of ours is spent.
	CodeThrottled Code = "vault_throttled"
)

// Error is every reason of its own for which this package refuses.
//
// It never holds a token, a secret, or a part of one, so it may be logged. Its
// text is for the operator; what an agent is told should be made from Code.
type Error struct {
	Code Code

	// Reason names the cause in one word: the `error` member of Auth0's
	// answer where there is one, otherwise a word of this package, such as
	// "expired". Always [a-z0-9_.-], at most 64 bytes.
	Reason string

	// Status is the HTTP status of Auth0's answer, 0 without one.
	Status int

	// Missing lists what is not granted, with CodeScopeRequired.
	Missing []string

	// RetryAfter says when to try again, with CodeThrottled and
	// CodeKeysUnavailable; 0 where that is not known.
	RetryAfter time.Duration

	// Err has the details, if there are any.
	Err error
}

// Error implements error.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(string(e.Code))
	if e.Reason != "" {
		b.WriteString(": " + e.Reason)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, " (Auth0 answered %d)", e.Status)
	}
	if e.Err != nil {
		b.WriteString(": " + e.Err.Error())
	}
	return b.String()
}

// Unwrap returns the details.
func (e *Error) Unwrap() error { return e.Err }

// NeedsLink reports whether the user can mend this by connecting the account.
func (e *Error) NeedsLink() bool {
	switch e.Code {
	case CodeLinkRequired, CodeRelinkRequired, CodeScopeRequired:
		return true
	}
	return false
}

// aboutSubject reports whether the refusal is about the token that was exchanged and
// not about the account: another token of the same user and agent may fare better, so
// such an answer is neither shared nor remembered.
func (e *Error) aboutSubject() bool {
	switch e.Code {
	case CodeInvalidToken, CodeStepUp, CodeAccessDenied:
		return true
	}
	return false
}
