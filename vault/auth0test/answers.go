package auth0test

import (
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// An oauthError is the error body of Auth0's Authentication API.
type oauthError struct {
	Status      int
	Code        string
	Description string
	// Member replaces error_description as the description's name.
	Member string
	// MFAToken goes with mfa_required.
	MFAToken string

	reason string // for the request log, where the description does not tell
}

// Error makes oauthError an error; its text never reaches a client.
func (e *oauthError) Error() string { return e.Code + ": " + e.Description }

func refuse(status int, code, format string, args ...any) *oauthError {
	return &oauthError{Status: status, Code: code, Description: fmt.Sprintf(format, args...)}
}

func missing(param string) *oauthError {
	return refuse(http.StatusBadRequest, "invalid_request", "Missing required parameter: %s", param)
}

func (e *oauthError) write(w http.ResponseWriter) {
	member := e.Member
	setDefault(&member, "error_description")
	body := map[string]string{"error": e.Code, member: e.Description}
	if e.MFAToken != "" {
		body["mfa_token"] = e.MFAToken
	}
	note(w, "%s", e.why())
	writeJSON(w, e.Status, body)
}

// A problem is the error body of the My Account API: the members of RFC 9457
// served as plain application/json.
type problem struct {
	Type             string            `json:"type"`
	Status           int               `json:"status"`
	Title            string            `json:"title"`
	Detail           string            `json:"detail"`
	ValidationErrors []validationError `json:"validation_errors,omitempty"`

	reason string // for the request log, where the detail does not tell
}

// A validationError is one fault of a request's body or query.
type validationError struct {
	Detail  string  `json:"detail"`
	Field   string  `json:"field,omitempty"`
	Pointer *string `json:"pointer,omitempty"`
	Source  string  `json:"source,omitempty"`
}

// Error makes problem an error.
func (p *problem) Error() string { return p.Title + ": " + p.Detail }

func newProblem(status int, number, title, detail string) *problem {
	kind := fmt.Sprintf("https://auth0.com/api-errors/A0E-%d-%s", status, number)
	return &problem{Type: kind, Status: status, Title: title, Detail: detail}
}

func invalidPayload(errs ...validationError) *problem {
	p := newProblem(http.StatusBadRequest, "0003", "Validation Error", "Invalid request payload input")
	p.ValidationErrors = errs
	return p
}

func (p *problem) write(w http.ResponseWriter) {
	note(w, "%s", p.why())
	writeJSON(w, p.Status, p)
}

// A managementError is the error body of the Management API.
type managementError struct {
	StatusCode int               `json:"statusCode"`
	Title      string            `json:"error"`
	Message    string            `json:"message"`
	ErrorCode  string            `json:"errorCode,omitempty"`
	Attributes map[string]string `json:"attributes,omitempty"`

	reason string // for the request log, where the message does not tell
}

// Error makes managementError an error.
func (e *managementError) Error() string { return e.Title + ": " + e.Message }

func newManagementError(status int, code, format string, args ...any) *managementError {
	return &managementError{
		StatusCode: status, Title: http.StatusText(status), Message: fmt.Sprintf(format, args...), ErrorCode: code,
	}
}

func badRequest(code, format string, args ...any) *managementError {
	return newManagementError(http.StatusBadRequest, code, format, args...)
}

func conflict(code, format string, args ...any) *managementError {
	return newManagementError(http.StatusConflict, code, format, args...)
}

// inexistent is how the Management API misses something: inexistent("user",
// "The user does not exist.").
func inexistent(what, message string) *managementError {
	return newManagementError(http.StatusNotFound, "inexistent_"+what, "%s", message)
}

// badToken is a 401 of the Management API.
func badToken(message string) *managementError {
	e := newManagementError(http.StatusUnauthorized, "", "%s", message)
	e.Attributes = map[string]string{"error": message}
	return e
}

func (e *managementError) write(w http.ResponseWriter) {
	note(w, "%s", e.why())
	writeJSON(w, e.StatusCode, e)
}

// timestamp is a time as Auth0 writes it.
func timestamp(at time.Time) string { return at.UTC().Format("2006-01-02T15:04:05.000Z") }

func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil {
		panic(err) // only values of this package come here
	}
	h := w.Header()
	h.Set("Content-Type", "application/json; charset=utf-8")
	if h.Get("Cache-Control") == "" {
		h.Set("Cache-Control", "no-store")
	}
	w.WriteHeader(status)
	_, _ = w.Write(data)
}

func writeText(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text))
}

// writePage writes a page for people, which no other page may frame.
func writePage(w http.ResponseWriter, status int, page *template.Template, data any) {
	w.Header().Set("X-Frame-Options", "DENY")
	writeHTML(w, status, page, data, "style-src 'unsafe-inline'; frame-ancestors 'none'")
}

// writeScriptPage writes a page whose script passes an answer on. Only the given
// origin may frame it.
func writeScriptPage(w http.ResponseWriter, page *template.Template, view answerView, framedBy string) {
	setDefault(&framedBy, "'none'")
	view.Nonce = randomID(22)
	writeHTML(w, http.StatusOK, page, view, "script-src 'nonce-"+view.Nonce+"'; frame-ancestors "+framedBy)
}

func writeHTML(w http.ResponseWriter, status int, page *template.Template, data any, policy string) {
	var text strings.Builder
	if err := page.Execute(&text, data); err != nil {
		panic(err) // the templates are this package's
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Cache-Control", "no-store")
	h.Set("Content-Security-Policy", "default-src 'none'; base-uri 'none'; "+policy)
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text.String()))
}

// refuseUserInfo is /userinfo's answer to a bad token, or to none.
func refuseUserInfo(w http.ResponseWriter, withToken bool, why string) {
	note(w, "%s", why)
	challenge := `Bearer realm="Users"`
	if withToken {
		challenge += `, error="invalid_token", error_description="The access token is invalid or expired"`
	}
	w.Header().Set("WWW-Authenticate", challenge)
	writeText(w, http.StatusUnauthorized, "Unauthorized")
}

const noDPoP = "DPoP is not supported by this tenant"

// refuseDPoP: bound tokens are not built here, and a client that proves a key must not
// take a bearer token for a bound one. It answers each API in its envelope.
func refuseDPoP(w http.ResponseWriter, r *http.Request) {
	switch {
	case strings.HasPrefix(r.URL.Path, "/api/v2/"):
		badRequest("", noDPoP).write(w)
	case strings.HasPrefix(r.URL.Path, "/me/"):
		newProblem(http.StatusBadRequest, "0001", "Bad Request", noDPoP).write(w)
	default:
		refuse(http.StatusBadRequest, "invalid_request", noDPoP).write(w)
	}
}

// notFound answers what this tenant does not build as Auth0 answers what it
// does not have; each of its APIs has an envelope of its own.
func notFound(w http.ResponseWriter, r *http.Request) {
	note(w, "this tenant serves no %s %s", r.Method, r.URL.Path)
	switch {
	case strings.HasPrefix(r.URL.Path, "/api/v2/"):
		newManagementError(http.StatusNotFound, "", "Not Found").write(w)
	case strings.HasPrefix(r.URL.Path, "/me/"):
		noResource(r).write(w)
	default:
		writeText(w, http.StatusNotFound, "Not Found")
	}
}

func noResource(r *http.Request) *problem {
	return newProblem(http.StatusNotFound, "0001", "Not Found",
		fmt.Sprintf("The requested resource %s %s was not found", r.Method, r.URL.Path))
}

// redirect sends the browser to target with params added to its query.
func redirect(w http.ResponseWriter, r *http.Request, target string, params url.Values) {
	w.Header().Set("Cache-Control", "no-store")
	http.Redirect(w, r, addQuery(target, params), http.StatusFound)
}

// addQuery keeps what the URL's query already has.
func addQuery(target string, params url.Values) string {
	u, err := url.Parse(target)
	if err != nil {
		return target
	}
	query := params.Encode()
	if u.RawQuery != "" && query != "" {
		query = u.RawQuery + "&" + query
	} else if query == "" {
		query = u.RawQuery
	}
	u.RawQuery = query
	return u.String()
}
