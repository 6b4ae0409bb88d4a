package auth0test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sort"
	"unicode/utf8"
)

// A schema describes a JSON object of the My Account API. Objects are closed:
// a member that is not listed is an error.
type schema struct {
	members  map[string]rule
	required []string
	// needs: the first member may be there only with the second.
	needs map[string]string
}

// A rule checks one member's value and says what is wrong with it.
type rule func(at string, value any) []string

// readBody decodes a request against a schema.
func readBody(r *http.Request, s schema, into any) *problem {
	data, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return invalidPayload(bodyError("data cannot be read"))
	}
	var value any
	if err := json.Unmarshal(data, &value); err != nil {
		return invalidPayload(bodyError("data must be JSON"))
	}
	var errs []validationError
	for _, detail := range s.check("data", value) {
		errs = append(errs, bodyError(detail))
	}
	if len(errs) > 0 {
		return invalidPayload(errs...)
	}
	if err := json.Unmarshal(data, into); err != nil {
		return invalidPayload(bodyError("data is not usable"))
	}
	return nil
}

func bodyError(detail string) validationError {
	return validationError{Detail: detail, Pointer: new("")}
}

func (s schema) check(at string, value any) []string {
	object, ok := value.(map[string]any)
	if !ok {
		return []string{at + " must be object"}
	}
	var errs []string
	for _, name := range s.required {
		if _, ok := object[name]; !ok {
			errs = append(errs, fmt.Sprintf("%s must have required property '%s'", at, name))
		}
	}
	for name, other := range s.needs {
		_, has := object[name]
		if _, hasOther := object[other]; has && !hasOther {
			errs = append(errs, fmt.Sprintf("%s must have property %s when property %s is present", at, other, name))
		}
	}
	names := make([]string, 0, len(object))
	for name := range object {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		check, ok := s.members[name]
		if !ok {
			errs = append(errs, at+" must NOT have additional properties")
			continue
		}
		errs = append(errs, check(at+"/"+name, object[name])...)
	}
	return errs
}

// text is a string of so many characters.
func text(shortest, longest int) rule {
	return func(at string, value any) []string {
		s, ok := value.(string)
		switch n := utf8.RuneCountInString(s); {
		case !ok:
			return []string{at + " must be string"}
		case n < shortest:
			return []string{fmt.Sprintf("%s must NOT have fewer than %d characters", at, shortest)}
		case n > longest:
			return []string{fmt.Sprintf("%s must NOT have more than %d characters", at, longest)}
		}
		return nil
	}
}

// uri is an absolute URL.
func uri(longest int) rule {
	length := text(0, longest)
	return func(at string, value any) []string {
		if errs := length(at, value); errs != nil {
			return errs
		}
		if u, err := url.Parse(value.(string)); err != nil || !u.IsAbs() {
			return []string{at + ` must match format "uri"`}
		}
		return nil
	}
}

// choice is one of a few strings.
func choice(allowed ...string) rule {
	return func(at string, value any) []string {
		s, ok := value.(string)
		switch {
		case ok && slices.Contains(allowed, s):
			return nil
		case len(allowed) == 1:
			return []string{at + " must be equal to constant"}
		default:
			return []string{at + " must be equal to one of the allowed values"}
		}
	}
}

func integer(at string, value any) []string {
	if n, ok := value.(float64); !ok || n != float64(int64(n)) {
		return []string{at + " must be integer"}
	}
	return nil
}

// texts is a list of different strings.
func texts(fewest, most int, item rule) rule {
	return func(at string, value any) []string {
		list, ok := value.([]any)
		switch {
		case !ok:
			return []string{at + " must be array"}
		case len(list) < fewest:
			return []string{fmt.Sprintf("%s must NOT have fewer than %d items", at, fewest)}
		case len(list) > most:
			return []string{fmt.Sprintf("%s must NOT have more than %d items", at, most)}
		}
		var errs []string
		for i, v := range list {
			errs = append(errs, item(fmt.Sprintf("%s/%d", at, i), v)...)
			if s, ok := v.(string); ok && slices.Contains(list[:i], any(s)) {
				errs = append(errs, at+" must NOT have duplicate items")
			}
		}
		return errs
	}
}

func object(s schema) rule { return s.check }

// connectSchema is the body of POST …/connect, completeSchema that of
// POST …/complete, as Auth0's OpenAPI documents have them.
var (
	connectSchema = schema{
		required: []string{"connection", "redirect_uri"},
		needs:    map[string]string{"code_challenge": "code_challenge_method"},
		members: map[string]rule{
			"connection": text(1, 128), "redirect_uri": uri(2048), "state": text(1, 4096),
			"code_challenge": text(43, 128), "code_challenge_method": choice("S256"),
			"scopes": texts(1, 100, text(1, 255)),
			"authorization_params": object(schema{members: map[string]rule{
				"acr_values": text(0, 1024), "audience": text(0, 512), "display": choice("page", "popup", "touch", "wap"),
				"id_token_hint": text(0, 4096), "login_hint": text(0, 255), "max_age": integer,
				"prompt":   choice("none", "login", "consent", "select_account"),
				"resource": text(0, 512), "ui_locales": text(0, 255),
			}}),
		},
	}
	completeSchema = schema{
		required: []string{"auth_session", "connect_code", "redirect_uri"},
		members: map[string]rule{
			"auth_session": text(1, 64), "connect_code": text(1, 46), "redirect_uri": uri(2048),
			"code_verifier": text(43, 128),
		},
	}
)
