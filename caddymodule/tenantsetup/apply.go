package tenantsetup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// Outcome is what became of a plan.
type Outcome struct {
	Done []Change
	// Refused are one that Auth0 does not let programs do, and what rests on it: they
	// are to be done by hand. Why is what Auth0 says.
	Refused []Change
	Why     error
	// Err is why the run ended early, Failed the change at which it did, and Left
	// are those after it.
	Err    error
	Failed *Change
	Left   []Change
	// Kept are the environment variables that somebody keeps for the configuration;
	// Variables are the others, which have to be shown.
	Kept      []string
	Variables []Variables
}

// Keep is told of variables as soon as they are known, since Auth0 shows a new
// secret once, and returns the names of those that it has written.
type Keep func(Variables) (names []string, err error)

// Apply makes the changes one after the other, and ends at the first that fails:
// what was done stays, and the next run finds it. Without keep all variables are in
// the Outcome.
func (p *Plan) Apply(ctx context.Context, progress Progress, keep Keep) (out Outcome) {
	for _, v := range p.Adopted {
		if err := out.remember(v, keep); err != nil {
			out.Err, out.Left = err, p.Changes
			return out
		}
	}
	ids := make(map[string]string) // by what stood for them
	for i, change := range p.Changes {
		if len(out.Refused) > 0 && aboutMyAccount(change) {
			out.Refused = append(out.Refused, change) // it rests on what was refused
			continue
		}
		progress(either(change.creates(), "creating ", "changing ") + change.What)
		answer, err := p.api.do(ctx, change.with(ids))
		if err == nil && change.as != "" {
			ids[change.as] = answer.ClientID
			v := p.Needs.variables(change.as)
			v.ID, v.Secret = answer.ClientID, vault.NewSecret(answer.ClientSecret)
			err = out.remember(v, keep)
		}
		switch {
		case err == nil:
			out.Done = append(out.Done, change)
		case aboutMyAccount(change) && failure(err) == nil:
			out.Refused, out.Why = append(out.Refused, change), err
		default:
			if ctx.Err() != nil {
				err = errInterrupted
			}
			out.Failed, out.Err, out.Left = &p.Changes[i], err, p.Changes[i+1:]
			return out
		}
	}
	return out
}

// remember has variables kept, and those shown that are not.
func (out *Outcome) remember(v Variables, keep Keep) error {
	if keep == nil || v.IDVariable == "" {
		out.Variables = append(out.Variables, v)
		return nil
	}
	names, err := keep(v)
	if err != nil {
		out.Variables = append(out.Variables, v)
		return err
	}
	out.Kept = append(out.Kept, names...)
	return nil
}

var errInterrupted = errors.New("interrupted")

// aboutMyAccount: Auth0 has been seen to refuse that the My Account API is
// activated by API, and to store user access to it as client access.
func aboutMyAccount(c Change) bool { return strings.HasPrefix(c.Check, "my_account.") }

// with puts ids in place of what stood for them.
func (c Change) with(ids map[string]string) Change {
	c.Path = slices.Clone(c.Path)
	body := compact(c.Body)
	for stand, id := range ids {
		for i := range c.Path {
			if c.Path[i] == stand {
				c.Path[i] = id
			}
		}
		body = strings.ReplaceAll(body, compact(stand), compact(id))
	}
	c.Body = json.RawMessage(body)
	return c
}

// call is a request and its answer, as go-auth0 wants both in one value.
type call struct {
	body   any
	answer made
}

// made is what is read of an answer.
type made struct {
	ClientID     string  `json:"client_id"`
	ClientSecret string  `json:"client_secret"`
	SubjectType  *string `json:"subject_type"`
}

func (c *call) MarshalJSON() ([]byte, error) { return json.Marshal(c.body) }

func (c *call) UnmarshalJSON(data []byte) error { return json.Unmarshal(data, &c.answer) }

// do makes one change.
func (a *api) do(ctx context.Context, change Change) (made, error) {
	c := &call{body: change.Body}
	err := a.ask(func() error { return a.Request(ctx, change.Method, a.URI(change.Path...), c) })
	if err != nil {
		return c.answer, err
	}
	if change.Path[0] == "client-grants" && change.creates() && deref(c.answer.SubjectType) != subjectUser {
		return c.answer, &apiError{http.StatusConflict, "that the grant is stored as client access"}
	}
	if change.as != "" && c.answer.ClientID == "" {
		return c.answer, fmt.Errorf("the Management API names no id for %s", change.What)
	}
	return c.answer, nil
}

// ExitCode is 0 if nothing is left to do.
func (p *Plan) ExitCode(out Outcome) int {
	if out.Err != nil || len(out.Refused) > 0 || len(p.ByHand) > 0 {
		return ExitWrong
	}
	return ExitOK
}
