package vault

import (
	"fmt"
	"slices"
	"strings"
	"unique"
)

// googleAliases maps the short names that Google accepts in a request to the
// names that its tokens carry.
var googleAliases = map[string]string{
	"email":   "https://www.googleapis.com/auth/userinfo.email",
	"profile": "https://www.googleapis.com/auth/userinfo.profile",
}

// SplitScopes splits a scope string at spaces and commas (GitHub and Slack use
// commas) and drops empty parts.
func SplitScopes(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
}

// shared makes the strings of list the same ones in memory as their likes in other
// lists: most users grant and are granted the same scopes.
func shared(list []string) []string {
	for i, s := range list {
		list[i] = unique.Make(s).Value()
	}
	return list
}

// CheckScopes compares what an account grants with Scopes and MaxScopes, as
// [Client.Token] does. Its errors are *Error with CodeScopeRequired or
// CodeScopeExcess. No granted scopes mean that nobody tells which there are.
func (r Request) CheckScopes(granted []string) error {
	if len(granted) > 0 {
		if missing := MissingScopes(granted, r.Scopes); missing != nil {
			return &Error{Code: CodeScopeRequired, Reason: "scopes_missing", Missing: missing}
		}
	}
	if r.MaxScopes == nil {
		return nil
	}
	if len(granted) == 0 {
		return &Error{Code: CodeScopeExcess, Reason: "scopes_unknown"}
	}
	if excess := MissingScopes(r.MaxScopes, granted); excess != nil {
		return &Error{Code: CodeScopeExcess, Reason: "scopes_exceeded", Err: fmt.Errorf("more than allowed: %q", excess)}
	}
	return nil
}

// MissingScopes returns those of wanted that granted lacks, in the order of
// wanted. Google's short and long names count as the same scope.
func MissingScopes(granted, wanted []string) []string {
	var missing []string
	for _, w := range wanted {
		if !slices.ContainsFunc(granted, func(g string) bool { return sameScope(g, w) }) {
			missing = append(missing, w)
		}
	}
	return missing
}

// MergeScopes returns the union of both, without empty or repeated scopes: what
// a new consent has to ask for so that nothing granted before is lost.
func MergeScopes(granted, wanted []string) []string {
	var all []string
	for _, s := range slices.Concat(granted, wanted) {
		if s != "" && len(MissingScopes(all, []string{s})) > 0 {
			all = append(all, s)
		}
	}
	return all
}

func sameScope(a, b string) bool { return a == b || canonicalScope(a) == canonicalScope(b) }

func canonicalScope(s string) string {
	if long, ok := googleAliases[s]; ok {
		return long
	}
	return s
}
