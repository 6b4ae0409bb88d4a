package caddymodule

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// Every byte that an agent gets from this module comes from this file, and so
// does every reason to refuse. The rules:
//
//   - A refusal carries Token-Vault-Error, so that an agent can tell it from the
//     provider's answer, and no-store.
//   - The body is RFC 9457 problem details; its `detail` is a sentence that a
//     language model can act on, the same for everybody.
//   - Nothing that came with a request, in a token or from Auth0 is repeated,
//     except, in answers with a link: connection and scopes, which the operator
//     configured, Auth0's error code, and the login hints that served this very
//     agent for this very user.

// errorHeader marks the answers that come from us and not from the provider.
const errorHeader = "Token-Vault-Error"

// problemTypes is where the README explains each error.
const problemTypes = "https://github.com/tokenvault/caddy-token-vault#/"

// Codes of refusals that are not the vault's.
const (
	codeNoCredentials     = "no_credentials"
	codeUserRequired      = "user_required"
	codeClientNotAllowed  = "client_not_allowed"
	codeInsufficientScope = "insufficient_scope"
	codeMethodNotAllowed  = "method_not_allowed"
	codeTicketNotFound    = "ticket_not_found"
)

// answer is what a refusal looks like to the agent.
type answer struct {
	status    int
	title     string
	detail    string
	challenge string // error attribute of WWW-Authenticate; "-" for a bare challenge
}

const bareChallenge = "-"

var answers = map[string]answer{
	codeNoCredentials: {
		401, "Access token required",
		"Send an Auth0 access token for this API as a bearer token in the Authorization header.", bareChallenge,
	},
	string(vault.CodeInvalidRequest): {
		400, "Malformed request",
		"Send exactly one access token, as a bearer token in one Authorization header and nowhere else.", "invalid_request",
	},
	string(vault.CodeInvalidToken): {
		401, "Access token not accepted",
		"The access token is expired, malformed or not meant for this API. Get a new one from Auth0, for the audience that WWW-Authenticate names as realm; if that is refused as well, the user has to sign in again.", "invalid_token",
	},
	string(vault.CodeKeysUnavailable): {
		503, "Access token cannot be verified now",
		"The keys to verify access tokens with are not available at the moment. The token may be fine: retry the same request later.", "",
	},
	codeUserRequired: {
		403, "A user's access token is required",
		"This access token belongs to no user, so there is no account to use. Send a token that the agent got on behalf of a user.", "",
	},
	codeClientNotAllowed: {
		403, "Agent not allowed",
		"This agent may not use this route. The operator decides which agents may.", "",
	},
	codeInsufficientScope: {
		403, "Access token lacks scopes",
		"The access token lacks a scope or permission that this route requires. Get a token with the scopes named in the WWW-Authenticate header.", "insufficient_scope",
	},
	string(vault.CodeStepUp): {
		401, "Stronger authentication required",
		"The user has to sign in again with a second factor. Then retry with the access token from that login.", "insufficient_user_authentication",
	},
	string(vault.CodeLinkRequired): {
		401, "Account not connected",
		"Ask the user to open link_url and connect the account, then retry the same request. " + tooEarly, "link_required",
	},
	string(vault.CodeRelinkRequired): {
		401, "Account has to be connected again",
		"The provider no longer accepts the connection to this account. Ask the user to open link_url and connect it again, then retry the same request. " + tooEarly, "relink_required",
	},
	string(vault.CodeScopeRequired): {
		401, "More access to the account required",
		"The account is connected, but the user has not granted what this request needs. Ask the user to open link_url and grant missing_scopes, then retry the same request. " + tooEarly, "scope_required",
	},
	string(vault.CodeScopeExcess): {
		403, "Account grants too much",
		"The connected account grants more than this route allows, or does not tell what it grants. The user may disconnect it and connect it with less; otherwise only the operator can change this.", "",
	},
	string(vault.CodeAccessDenied): {
		403, "Exchange denied",
		"A policy of the Auth0 tenant denies this. Retrying does not help.", "",
	},
	string(vault.CodeMisconfigured): {
		502, "Token vault misconfigured",
		"The operator of this proxy has to mend its set-up; the proxy's log says what is wrong. Neither the user nor a retry can help.", "",
	},
	string(vault.CodeUnavailable): {
		502, "Token vault unavailable",
		"The token vault cannot be reached or gives no sensible answer. Retry the same request later.", "",
	},
	string(vault.CodeTimeout): {
		504, "Token vault timed out",
		"The token vault did not answer in time. Retry the same request later.", "",
	},
	string(vault.CodeThrottled): {
		503, "Too many exchanges",
		"Too many tokens are being asked for. Wait as long as the Retry-After header says, then retry the same request.", "",
	},
	codeMethodNotAllowed: {
		405, "Method not allowed",
		"This method is not allowed here. Use one that the Allow header names.", "",
	},
	codeTicketNotFound: {
		404, "No such ticket",
		"There is no such ticket for this user and agent. Repeat the original request to get a new one.", "",
	},
}

// Details of requests that are malformed elsewhere than in their credentials.
const (
	detailLoginHint = "The request names an account in a form that no account's id has."
	detailWait      = "Send wait as a whole number of seconds, or not at all."

	detailMethodOverride = "Send the request with the method that it means: X-HTTP-Method-Override and headers like it are not allowed here."
)

// reply is what there is to say to an agent whose call goes no further, in whichever
// dialect.
type reply struct {
	refused *refusal
	realm   string // the API whose access tokens are wanted
	body    body
}

// body is the body of a reply (RFC 9457).
type body struct {
	problem
	*linkMembers // nil where connecting an account does not help
}

// problem has the members of every reply.
type problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	Error  string `json:"error"`
}

// linkMembers say what has to be connected, and where.
type linkMembers struct {
	Reason        string   `json:"reason"`
	Connection    string   `json:"connection"`
	Scopes        []string `json:"scopes"`
	MissingScopes []string `json:"missing_scopes"`
	LoginHints    []string `json:"login_hints,omitzero"` // on routes with a login_hint
	LinkURL       string   `json:"link_url,omitempty"`   // this and what follows only with a link block
	StatusURL     string   `json:"status_url,omitempty"`
	ExpiresIn     int      `json:"expires_in,omitempty"` // in seconds
	interrupt
}

// interrupt has the members of the TokenVaultInterrupt of Auth0's AI SDKs, in
// JavaScript's spelling and in Python's, so that front ends made for them work.
type interrupt struct {
	Name                string            `json:"name"`
	Code                string            `json:"code"`
	Message             string            `json:"message"`
	RequiredScopes      []string          `json:"requiredScopes"`
	RequiredScopesSnake []string          `json:"required_scopes"`
	AuthorizationParams map[string]string `json:"authorizationParams"`
	Behavior            string            `json:"behavior"`
}

// newReply says what is wrong.
func newReply(r *refusal, realm string) reply {
	a := answers[r.code]
	return reply{refused: r, realm: realm, body: body{problem: problem{
		Type: problemTypes + r.code, Title: a.title, Status: a.status, Detail: cmp.Or(r.detail, a.detail), Error: r.code,
	}}}
}

// addLink says what has to be connected. hints are nil where an agent names no
// account; link may be nil. mayHold says that the route holds such calls.
func (a *reply) addLink(h *Handler, hints []string, link *linkflow.Link, mayHold bool) {
	missing := a.refused.missing
	message := "Authorization required to access the Token Vault: " + h.Connection
	if len(missing) > 0 {
		message += ". Missing scopes: " + strings.Join(missing, ", ")
	}
	if a.refused.code == string(vault.CodeLinkRequired) {
		missing = h.Scopes
	}
	a.body.linkMembers = &linkMembers{
		Reason:        a.refused.reason,
		Connection:    h.Connection,
		Scopes:        list(h.Scopes),
		MissingScopes: list(missing),
		LoginHints:    hints,
		interrupt: interrupt{
			Name:                "AUTH0_AI_INTERRUPT",
			Code:                "TOKEN_VAULT_ERROR",
			Message:             message,
			RequiredScopes:      list(h.Scopes),
			RequiredScopesSnake: list(h.Scopes),
			AuthorizationParams: map[string]string{},
			Behavior:            "resume",
		},
	}
	if link == nil {
		a.body.Detail = "The user has to connect the account, but this proxy serves no page for that. Tell the user; the operator knows where accounts are connected. " + tooEarly
		return
	}
	a.body.LinkURL, a.body.StatusURL, a.body.ExpiresIn = link.URL, link.StatusURL, int(link.ExpiresIn.Seconds())
	if a.refused.reason == reasonNoSuchAccount && len(hints) > 0 {
		a.body.Detail = "The user has not connected the account that this request names. Use one of login_hints, or ask the user to open link_url and connect that account, then retry the same request. " + tooEarly
	}
	if mayHold {
		a.body.Detail = strings.TrimSuffix(a.body.Detail, tooEarly) + "While the user is doing that, a retry waits for the end of it."
	}
}

// reasonNoSuchAccount is what Auth0 says of a login hint that fits none of the
// user's accounts.
const reasonNoSuchAccount = "user_not_found"

// tooEarly ends what agents are told that do not wait.
const tooEarly = "Retrying before that does not help."

// linkURL is empty where there is no link.
func (b body) linkURL() string {
	if b.linkMembers == nil {
		return ""
	}
	return b.LinkURL
}

// A dialect is a way to tell an agent why its call goes no further. What it returns
// is the handler's error: nil if it has answered.
type dialect func(w http.ResponseWriter, r *http.Request, a reply) error

// dialects are the words of `on_missing`.
var dialects = map[string]dialect{
	onMissingProblem:  answerProblem,
	onMissingRedirect: answerRedirect,
	onMissingError:    answerError,
}

const (
	onMissingProblem  = "problem"
	onMissingRedirect = "redirect"
	onMissingError    = "error"
)

var onMissingWords = []string{onMissingProblem, onMissingRedirect, onMissingError}

// answerProblem sends problem details.
func answerProblem(w http.ResponseWriter, _ *http.Request, a reply) error {
	a.setHeaders(w.Header())
	writeJSON(w, "application/problem+json", a.body.Status, a.body)
	return nil
}

// answerRedirect sends a browser that navigates to the link.
func answerRedirect(w http.ResponseWriter, r *http.Request, a reply) error {
	if a.body.linkURL() == "" || r.Header.Get("Sec-Fetch-Mode") != "navigate" {
		return answerProblem(w, r, a)
	}
	a.setHeaders(w.Header())
	w.Header().Set("Location", a.body.LinkURL)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// answerError leaves it to handle_errors to send people to the link.
func answerError(w http.ResponseWriter, r *http.Request, a reply) error {
	if a.body.linkMembers == nil {
		return answerProblem(w, r, a)
	}
	a.setHeaders(w.Header())
	repl := replacer(r)
	repl.Set("http.token_vault.error", a.refused.code)
	repl.Set("http.token_vault.link_url", a.body.LinkURL)
	repl.Set("http.token_vault.connection", a.body.Connection)
	return caddyhttp.Error(a.body.Status, errors.New(a.refused.code))
}

// setHeaders sets what a reply says outside of its body.
func (a reply) setHeaders(h http.Header) {
	h.Set(errorHeader, a.refused.code)
	h.Set("Cache-Control", "no-store")
	if challenge := a.challenge(); challenge != "" {
		h.Set("WWW-Authenticate", challenge)
	}
	if a.body.linkMembers != nil {
		h.Set("X-Should-Retry", "false")
	}
	switch a.body.Status {
	case http.StatusServiceUnavailable:
		setRetryAfter(h, a.refused.retryAfter)
	case http.StatusMethodNotAllowed:
		h.Set("Allow", strings.Join(a.refused.allow, ", "))
	}
}

func setRetryAfter(h http.Header, d time.Duration) {
	h.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(d.Seconds())))))
}

// challenge is the WWW-Authenticate value (RFC 6750 §3, RFC 9470 §3), empty where the
// status asks for none.
func (a reply) challenge() string {
	attribute := answers[a.refused.code].challenge
	if attribute == "" {
		return ""
	}
	challenge := "Bearer realm=" + quoted(a.realm)
	if attribute == bareChallenge {
		return challenge
	}
	challenge += ", error=" + quoted(attribute)
	switch {
	case a.body.linkURL() != "":
		return challenge + ", link_uri=" + quoted(a.body.LinkURL)
	case a.body.linkMembers != nil:
		return challenge
	case a.refused.code == codeInsufficientScope:
		challenge += ", scope=" + quoted(strings.Join(a.refused.scopes, " "))
	case a.refused.reason == "mfa_required":
		challenge += ", acr_values=" + quoted(vault.MultiFactor)
	}
	return challenge + ", error_description=" + quoted(a.body.Title)
}

// quoted makes a quoted-string (RFC 9110 §5.6.4) of printable ASCII.
func quoted(s string) string {
	var b strings.Builder
	b.WriteByte('"')
	for _, r := range s {
		switch {
		case r < ' ' || r > '~':
			b.WriteByte('?')
		case r == '"' || r == '\\':
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteRune(r)
		}
	}
	b.WriteByte('"')
	return b.String()
}

// statusAnswer is the body of the status endpoint.
type statusAnswer struct {
	Status     string `json:"status"`
	Connection string `json:"connection"`
}

func writeStatus(w http.ResponseWriter, status linkflow.Status) {
	w.Header().Set("Cache-Control", "no-store")
	if status.RetryAfter > 0 {
		setRetryAfter(w.Header(), status.RetryAfter)
	}
	writeJSON(w, "application/json", http.StatusOK, statusAnswer{Status: string(status.State), Connection: status.Connection})
}

func writeJSON(w http.ResponseWriter, contentType string, status int, body any) {
	var buf bytes.Buffer
	encoder := json.NewEncoder(&buf)
	encoder.SetEscapeHTML(false) // agents read URLs in these texts
	if err := encoder.Encode(body); err != nil {
		http.Error(w, "", http.StatusInternalServerError) // cannot happen: strings and numbers
		return
	}
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(buf.Len()))
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(buf.Bytes())
}

// list never is null in JSON.
func list(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}
