package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json"
)

// The Token Vault grant and its subjects (Auth0: "Access Token Exchange with Token
// Vault", "Refresh Token Exchange with Token Vault"). The requested type does begin
// with http:.
const (
	grantType          = "urn:auth0:params:oauth:grant-type:token-exchange:federated-connection-access-token"
	accessTokenType    = "urn:ietf:params:oauth:token-type:access_token"
	refreshTokenType   = "urn:ietf:params:oauth:token-type:refresh_token"
	requestedTokenType = "http://auth0.com/oauth/token-type/federated-connection-access-token"
)

// exchange asks Token Vault for the token of the subject's user at a connection.
func (c *Client) exchange(ctx context.Context, q question) *answer {
	a := &answer{asked: time.Now()}
	token := q.subject.token.Reveal()
	form := url.Values{
		"grant_type":           {grantType},
		"subject_token":        {token},
		"subject_token_type":   {q.subject.kind},
		"requested_token_type": {requestedTokenType},
		"connection":           {q.request.Connection},
	}
	if q.request.LoginHint != "" {
		form.Set("login_hint", q.request.LoginHint)
	}
	req, err := c.tokenRequest(ctx, form)
	if err != nil {
		a.err = &Error{Code: CodeMisconfigured, Reason: "request", Err: errors.New("the domain gives no valid URL")}
		return a
	}
	resp, refused := c.send(req, exchanging, q.asker())
	switch {
	case refused != nil:
		a.err = refused
		return a
	case resp.Status == http.StatusOK:
		a.asked = resp.asked
		a.token, a.err = parseToken(resp.Body, resp.asked)
	case resp.Status >= 400:
		a.asked = resp.asked
		secret := c.clientSecret.Reveal()
		a.err = classify(resp, q.request.LoginHint != "", token, secret, url.QueryEscape(secret), req.Header.Get("Authorization"))
	default:
		a.err = &Error{Code: CodeUnavailable, Reason: "unexpected_status", Status: resp.Status}
	}
	if a.err != nil && a.err.aboutSubject() {
		a.refused = q.subject.token
	}
	return a
}

// tokenRequest is a request to the token endpoint with our client's
// authentication (RFC 6749 §2.3.1).
func (c *Client) tokenRequest(ctx context.Context, form url.Values) (*http.Request, error) {
	if !c.basicAuth {
		form.Set("client_id", c.clientID)
		form.Set("client_secret", c.clientSecret.Reveal())
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.issuer+"oauth/token", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	if c.basicAuth {
		req.SetBasicAuth(url.QueryEscape(c.clientID), url.QueryEscape(c.clientSecret.Reveal()))
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return req, nil
}

// parseToken reads a success answer (RFC 6749 §5.1). Whatever is not exactly
// that makes no sense, and a token that is not understood is not passed on.
func parseToken(body []byte, asked time.Time) (*Token, *Error) {
	var answer struct {
		AccessToken string              `json:"access_token"`
		TokenType   string              `json:"token_type"`
		Scope       string              `json:"scope"`
		ExpiresIn   josejson.RawMessage `json:"expires_in"`
	}
	if err := decode(body, &answer); err != nil {
		return nil, senseless("not the JSON of a token")
	}
	if !isToken(answer.AccessToken) {
		return nil, senseless("access_token is no token")
	}
	if !strings.EqualFold(answer.TokenType, "Bearer") {
		return nil, senseless("token_type is not Bearer")
	}
	token := &Token{bearer: NewSecret(bearerPrefix + answer.AccessToken)}
	token.Scopes, token.unknown = grantedScopes([]string{answer.Scope})
	if life := string(answer.ExpiresIn); life != "" && life != "null" {
		life, ok := parseSeconds(life)
		if !ok {
			return nil, senseless("expires_in is no number of seconds")
		}
		token.Expiry = asked.Add(life)
	}
	return token, nil
}

// maxProviderToken is the longest provider token that is taken, in bytes: many
// servers refuse a header of that size. The longest in use, Microsoft's, have
// some four kilobytes.
const maxProviderToken = 16 << 10

// isToken tells whether s is an access-token of RFC 6749 §A.12 that survives
// being a header value.
func isToken(s string) bool {
	for _, b := range []byte(s) {
		if b < ' ' || b > '~' {
			return false
		}
	}
	return s != "" && len(s) <= maxProviderToken && strings.TrimSpace(s) == s
}

// decimal is a number of seconds in JSON, bare or quoted: RFC 6749 §5.1 has integers,
// providers have more.
var decimal = regexp.MustCompile(`^"?(-?[0-9]+)(?:\.([0-9]+))?"?$`)

// parseSeconds reads a JSON value, rounded down, and cut to ten years either way.
func parseSeconds(value string) (time.Duration, bool) {
	const limit = 10 * 365 * 24 * 3600
	parts := decimal.FindStringSubmatch(value)
	if parts == nil {
		return 0, false
	}
	whole, fraction := parts[1], parts[2]
	n, _ := strconv.ParseInt(whole, 10, 64) // too large a one is the largest
	n = min(max(n, -limit), limit)
	if whole[0] == '-' && strings.Trim(fraction, "0") != "" && n > -limit {
		n--
	}
	return time.Duration(n) * time.Second, true
}

func senseless(why string) *Error {
	return &Error{Code: CodeUnavailable, Reason: "senseless_answer", Status: http.StatusOK, Err: errors.New(why)}
}

// classify turns Auth0's refusal into ours, by its code and never by its status
// alone: 401 is what Auth0 answers to an expired subject, to a wrong secret and
// to a missing account alike. Codes are those that Auth0 documents or has been
// seen to send; any other is taken for a fault of the set-up, since a link
// would send users to connect accounts for nothing.
func classify(answer *Response, hinted bool, secrets ...string) *Error {
	code, description, ok := parseOAuthError(answer.Body, secrets...)
	if !ok {
		return &Error{Code: CodeUnavailable, Reason: "no_oauth_error", Status: answer.Status}
	}
	e := &Error{Code: CodeMisconfigured, Reason: code, Status: answer.Status, Err: description}
	switch code {
	case "federated_connection_refresh_token_not_found", "tokenset_not_found":
		e.Code = CodeLinkRequired
	case "federated_connection_refresh_token_flow_failed":
		e.Code = CodeRelinkRequired
	case "user_not_found":
		// With a hint: no such account of the user. Without: no such user.
		e.Code = CodeInvalidToken
		if hinted {
			e.Code = CodeLinkRequired
		}
	case "invalid_grant", "invalid_token", "expired_token":
		e.Code = CodeInvalidToken
	case "mfa_required", "unmet_authentication_requirements":
		e.Code = CodeStepUp
	case "access_denied":
		// 403 is an Action's word. 401 is how Auth0 refuses a client secret.
		if answer.Status == http.StatusForbidden {
			e.Code = CodeAccessDenied
		}
	case "too_many_requests":
		e.Code, e.RetryAfter = CodeThrottled, retryAfter(answer.Header)
	}
	return e
}

// oauthError is the error answer of RFC 6749 §5.2.
type oauthError struct {
	Code        string `json:"error"`
	Description string `json:"error_description"`
	// Auth0 has been seen to send this one instead.
	Alternative string `json:"description"`
}

// parseOAuthError returns the error answer in body, if it is one. secrets are
// what the request carried: a description that repeats part of one is dropped.
func parseOAuthError(body []byte, secrets ...string) (code string, description error, ok bool) {
	var e oauthError
	if err := decode(body, &e); err != nil || e.Code == "" || printable(e.Code) != e.Code {
		return "", nil, false
	}
	if !isReason(e.Code) || RepeatsSecret(e.Code, secrets...) {
		e.Code = "unnamed_error"
	}
	text := e.Description
	if text == "" {
		text = e.Alternative
	}
	const most = 300
	text = text[:min(len(text), most)]
	if text == "" || RepeatsSecret(text, secrets...) {
		return e.Code, nil, true
	}
	return e.Code, fmt.Errorf("Auth0: %s", printable(text)), true
}

// isReason tells whether s is fit for Error.Reason.
func isReason(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for _, b := range []byte(s) {
		if (b < 'a' || b > 'z') && (b < '0' || b > '9') && b != '_' && b != '.' && b != '-' {
			return false
		}
	}
	return true
}

// printable replaces what is not printable ASCII.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}
