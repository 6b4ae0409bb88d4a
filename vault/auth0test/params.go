package auth0test

import (
	"encoding/json"
	"io"
	"mime"
	"net/http"
	"net/url"
)

// maxBody is more than any request to Auth0 needs.
const maxBody = 1 << 20

// params are the parameters of a request to the Authentication API.
type params map[string]string

// readParams takes JSON as well as a form, as Auth0 does. A parameter that is
// there twice, or no text, is an invalid request.
func readParams(r *http.Request) (params, *oauthError) {
	body, err := io.ReadAll(io.LimitReader(r.Body, maxBody))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid_request", "The request body cannot be read")
	}
	return parseParams(r.Header.Get("Content-Type"), body)
}

func parseParams(contentType string, body []byte) (params, *oauthError) {
	kind, _, _ := mime.ParseMediaType(contentType)
	switch kind {
	case "application/json":
		return jsonParams(body)
	case "application/x-www-form-urlencoded":
		return formParams(body)
	default: // Auth0 parses no other body: every parameter is missing then
		return params{}, nil
	}
}

func jsonParams(body []byte) (params, *oauthError) {
	var values map[string]any
	if err := json.Unmarshal(body, &values); err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid_request", "Invalid JSON in the request body")
	}
	out := params{}
	for name, value := range values {
		text, ok := value.(string)
		if !ok && value != nil {
			return nil, refuse(http.StatusBadRequest, "invalid_request", "Parameter %s must be a string", name)
		}
		out[name] = text
	}
	return out, nil
}

func formParams(body []byte) (params, *oauthError) {
	values, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "invalid_request", "Invalid form in the request body")
	}
	out := params{}
	for name, list := range values {
		if len(list) != 1 {
			return nil, refuse(http.StatusBadRequest, "invalid_request", "Parameter %s must be a string", name)
		}
		out[name] = list[0]
	}
	return out, nil
}
