package vault

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unique"
)

// What is more than this tells nothing: to cut it would hide an excess, and to
// compare it would cost everybody who calls.
const (
	maxGrantedScopes = 256
	maxGrantedBytes  = 8 << 10
)

// SplitScopes splits a list of scopes at spaces, commas (GitHub and Slack use
// them), semicolons, tabs and line ends, and drops empty parts.
func SplitScopes(s string) []string {
	return strings.FieldsFunc(s, separatesScopes)
}

func separatesScopes(r rune) bool { return strings.ContainsRune(" ,;\t\r\n", r) }

// GrantedScopes returns the scopes that lists tell, as [SplitScopes] splits them,
// or nil where they are unknown: there are none, more than 256, or more than 8 KiB.
func GrantedScopes(lists ...string) []string {
	scopes, _ := grantedScopes(lists)
	return scopes
}

// grantedScopes also says why they are unknown though some are told.
func grantedScopes(lists []string) (scopes []string, unknown *Error) {
	count, size := 0, 0
	for _, list := range lists {
		size += len(list) + 1
		for range strings.FieldsFuncSeq(list, separatesScopes) {
			count++
		}
	}
	switch {
	case count == 0:
		return nil, nil
	case count > maxGrantedScopes || size-1 > maxGrantedBytes:
		return nil, scopesUnknown(fmt.Errorf("%d scopes of %d bytes in all are told, too many to compare", count, size-1))
	}
	scopes = make([]string, 0, count)
	for _, list := range lists {
		scopes = slices.AppendSeq(scopes, strings.FieldsFuncSeq(list, separatesScopes))
	}
	return shared(scopes), nil
}

func scopesUnknown(why error) *Error {
	return &Error{Code: CodeScopeExcess, Reason: "scopes_unknown", Err: why}
}

// shared makes the strings of list the same ones in memory as their likes in other
// lists: most users grant and are granted the same scopes.
func shared(list []string) []string {
	for i, s := range list {
		list[i] = unique.Make(s).Value()
	}
	return list
}

// demand is what requests ask of a token's scopes.
type demand struct {
	connection  string
	least, most []string
}

func (r Request) demand() demand { return demand{r.Connection, r.Scopes, r.MaxScopes} }

// Prepare returns r in the form that [Client.Token] compares once with each token,
// and not on each call: what is changed afterwards in Connection or the lists does
// not count for that. An error says why no account could ever pass.
func (r Request) Prepare() (Request, error) {
	for _, scope := range r.MaxScopes {
		if isDefault(scope) {
			return r, fmt.Errorf("%s stands for whatever the application is registered for, and limits nothing", scope)
		}
	}
	if r.MaxScopes != nil {
		named := slices.DeleteFunc(slices.Clone(r.Scopes), isDefault)
		if excess := excessScopes(r.Connection, named, r.MaxScopes); excess != nil {
			return r, fmt.Errorf("has to include all of scopes; %s is not", strings.Join(excess, ", "))
		}
	}
	r.Scopes, r.MaxScopes = slices.Clone(r.Scopes), slices.Clone(r.MaxScopes)
	if r.Scopes != nil || r.MaxScopes != nil {
		d := r.demand()
		r.prepared = &d
	}
	return r, nil
}

// CheckScopes compares what an account grants with Scopes and MaxScopes, as
// [Client.Token] does. Its errors are *Error with CodeScopeRequired or
// CodeScopeExcess. No granted scopes mean that they are unknown.
func (r Request) CheckScopes(granted []string) error {
	if err := r.demand().check(granted, nil); err != nil {
		return err
	}
	return nil
}

func (d demand) check(granted []string, unknown *Error) *Error {
	if len(granted) > 0 {
		if missing := MissingScopes(granted, d.least); missing != nil {
			return &Error{Code: CodeScopeRequired, Reason: "scopes_missing", Missing: missing}
		}
	}
	if d.most == nil {
		return nil
	}
	if len(granted) == 0 && unknown == nil {
		return scopesUnknown(errors.New("none are told"))
	}
	if len(granted) == 0 {
		return unknown
	}
	if excess := excessScopes(d.connection, granted, d.most); excess != nil {
		return &Error{Code: CodeScopeExcess, Reason: "scopes_exceeded", Err: tooMuch(excess)}
	}
	return nil
}

// maxVerdicts is how many routes an answer remembers: more than use one connection,
// and room for those that a reload replaced.
const maxVerdicts = 16

// verdict is what became of a prepared demand, and of others before it.
type verdict struct {
	demand *demand
	err    *Error
	others *verdict
}

// check compares the token's scopes with what req asks of them; with a prepared
// one's, once.
func (a *answer) check(req Request) *Error {
	if req.prepared == nil {
		return req.demand().check(a.token.Scopes, a.token.unknown)
	}
	known, count := a.verdicts.Load(), 0
	for v := known; v != nil; v = v.others {
		if v.demand == req.prepared {
			return v.err
		}
		count++
	}
	v := &verdict{demand: req.prepared, err: req.prepared.check(a.token.Scopes, a.token.unknown)}
	if count < maxVerdicts {
		v.others = known
	}
	a.verdicts.CompareAndSwap(known, v) // otherwise the next call compares again
	return v.err
}

// tooMuch names the first few, and not at length.
func tooMuch(excess []string) error {
	const few, most = 5, 100
	shown := slices.Clone(excess[:min(len(excess), few)])
	for i, scope := range shown {
		shown[i] = scope[:min(len(scope), most)]
	}
	if len(excess) > few {
		return fmt.Errorf("%d more than allowed, beginning with %q", len(excess), shown)
	}
	return fmt.Errorf("more than allowed: %q", shown)
}

// MissingScopes returns those of wanted that granted does not meet, in the order of
// wanted. A scope is met by itself under any of its names, see [ScopeName], and by
// one of GitHub's that includes it. offline_access, and what Microsoft has for
// "whatever is registered", are never missing: no answer names them.
func MissingScopes(granted, wanted []string) (missing []string) {
	if len(wanted) == 0 {
		return nil
	}
	names := setOf(granted, ScopeName)
	for _, w := range wanted {
		if ScopeName(w) == offlineAccess || isDefault(w) || names.has(ScopeName(w)) || names.hasAny(githubWider[w]) {
			continue
		}
		missing = append(missing, w)
	}
	return missing
}

// excessScopes returns those of granted that are not within allowed. What would let a
// token do more if it were another provider's holds where [ScopeProvider] is known.
func excessScopes(connection string, granted, allowed []string) (excess []string) {
	provider, name := ScopeProvider(connection), googleName
	if provider == "microsoft" {
		name = ScopeName
	}
	names := setOf(allowed, name)
	for _, g := range granted {
		if name(g) == offlineAccess || names.has(name(g)) || provider == "github" && names.hasAny(githubWider[g]) {
			continue
		}
		excess = append(excess, g)
	}
	return excess
}

// ConsentScopes returns what a new consent on a connection has to ask for so that
// nothing granted before is lost: the union of both. Microsoft takes its …/.default
// with none but OpenID Connect's scopes beside it, and then answers all that was
// granted. So it is asked for only where it is wanted, and then without the others.
func ConsentScopes(connection string, granted, wanted []string) []string {
	all := MergeScopes(connection, slices.DeleteFunc(slices.Clone(granted), isDefault), wanted)
	if !slices.ContainsFunc(wanted, isDefault) {
		return all
	}
	openID := setOf([]string{"openid", "profile", "email", offlineAccess}, ScopeName)
	return slices.DeleteFunc(all, func(s string) bool { return !isDefault(s) && !openID.has(ScopeName(s)) })
}

// MergeScopes returns the union of both, without empty scopes and with each once,
// under the name that comes first. Several names are one scope only on a connection
// of the provider that has them, see [ScopeProvider].
func MergeScopes(connection string, granted, wanted []string) (all []string) {
	names, nameOf := make(scopeSet), askedName(connection)
	for _, s := range slices.Concat(granted, wanted) {
		if name := nameOf(s); s != "" && !names.has(name) {
			names[name] = struct{}{}
			all = append(all, s)
		}
	}
	return all
}

// OfferedScope returns the one of offered that scope asks for, which is called by
// the same name as [MergeScopes] has it; ok tells whether there is one.
func OfferedScope(connection string, offered []string, scope string) (name string, ok bool) {
	nameOf := askedName(connection)
	i := slices.IndexFunc(offered, func(s string) bool { return nameOf(s) == nameOf(scope) })
	if i < 0 {
		return "", false
	}
	return offered[i], true
}

// scopeSet has scopes by name.
type scopeSet map[string]struct{}

func setOf(scopes []string, name func(string) string) scopeSet {
	set := make(scopeSet, len(scopes))
	for _, s := range scopes {
		set[name(s)] = struct{}{}
	}
	return set
}

func (s scopeSet) has(name string) bool { _, ok := s[name]; return ok }

func (s scopeSet) hasAny(names []string) bool { return slices.ContainsFunc(names, s.has) }
