package auth0test

import (
	"encoding/json"
	"errors"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// readObject decodes a request's body, a closed JSON object: a member that the
// type has not, or that the method takes not, is an error.
func (r *managementRequest) readObject(into any, refused ...string) (map[string]json.RawMessage, error) {
	var given map[string]json.RawMessage
	if err := json.Unmarshal(r.body, &given); err != nil || given == nil {
		return nil, invalidBody("Expected type object but found another type")
	}
	allowed := memberNames(into)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(allowed, name) || slices.Contains(refused, name) {
			return nil, invalidBody("Additional properties not allowed: %s", name)
		}
	}
	return given, decodeMembers(r.body, into)
}

// readPatch decodes the members given over what is stored; null removes one.
func readPatch[T any](r *managementRequest, stored *T, refused ...string) (map[string]json.RawMessage, error) {
	given, err := r.readObject(new(T), refused...)
	if err != nil {
		return nil, err
	}
	members := objectOf(stored)
	for name, value := range given {
		if string(value) == "null" {
			delete(members, name)
		} else {
			members[name] = value
		}
	}
	data, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	var patched T
	if err := decodeMembers(data, &patched); err != nil {
		return nil, err
	}
	*stored = patched
	return given, nil
}

func decodeMembers(data []byte, into any) error {
	err := decodeStrict(data, into)
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &kind):
		return invalidBody("Expected type %s but found type %s' on property '%s", jsonType(kind.Type), kind.Value, kind.Field)
	}
	if name, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		return invalidBody("Additional properties not allowed: %s", strings.Trim(name, `"`))
	}
	return invalidBody("%v", err)
}

// require wants members in a body.
func require(given map[string]json.RawMessage, names ...string) error {
	for _, name := range names {
		if _, ok := given[name]; !ok {
			return invalidBody("Missing required property: %s", name)
		}
	}
	return nil
}

func invalidBody(format string, args ...any) *managementError {
	return badRequest("invalid_body", "Payload validation error: '"+format+"'.", args...)
}

// memberNames are the JSON names of a struct's fields.
func memberNames(of any) []string {
	var out []string
	for _, f := range reflect.VisibleFields(reflect.TypeOf(of).Elem()) {
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			out = append(out, name)
		}
	}
	return out
}

func jsonType(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Slice:
		return "array"
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return "object"
	case reflect.Bool:
		return "boolean"
	case reflect.Int, reflect.Int64:
		return "integer"
	default:
		return "string"
	}
}

// objectOf is a value as the JSON object it becomes.
func objectOf(v any) map[string]any {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // only values of this package come here
	}
	var out map[string]any
	if err := json.Unmarshal(data, &out); err != nil {
		panic(err)
	}
	return out
}
