package linkflow

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// accountStub is a My Account API that answers what it is given, in turn.
func accountStub(requests *[]*http.Request, bodies *[]string, answers ...string) *myAccount {
	return &myAccount{
		base: "https://tenant.example.com/me/v1/connected-accounts/", token: "my-account-token", secrets: []string{"my-account-token"},
		call: func(r *http.Request) (*vault.Response, error) {
			var body bytes.Buffer
			_, _ = body.ReadFrom(r.Body)
			*requests, *bodies = append(*requests, r), append(*bodies, body.String())
			i := min(len(*requests), len(answers)) - 1
			status, text, _ := strings.Cut(answers[i], " ")
			answer := &vault.Response{Body: []byte(text)}
			_, err := fmt.Sscan(status, &answer.Status)
			return answer, err
		},
	}
}

func TestAccountsAreThoseOfAllPages(t *testing.T) {
	var requests []*http.Request
	var bodies []string
	pages := []string{
		`200 {"accounts":[{"id":"1","connection":"google-oauth2"},{"id":"2","connection":"github"}],"next":"2/"}`,
		`200 {"accounts":[{"id":"3","connection":"google-oauth2","org_id":"org"},{"id":"4","connection":"google-oauth2","org_id":"other"}]}`,
	}
	for connection, want := range map[string][]string{"google-oauth2": {"1", "3"}, "": {"1", "2", "3"}} {
		requests = nil
		got, err := accountStub(&requests, &bodies, pages...).accounts(t.Context(), connection, "org")
		var ids []string
		for _, account := range got {
			ids = append(ids, account.ID)
		}
		if err != nil || !slices.Equal(ids, want) {
			t.Errorf("%q: %v, %v", connection, ids, err)
		}
		q := requests[1].URL.Query()
		if q.Get("from") != "2/" || q.Get("connection") != connection || requests[1].Header.Get("Authorization") != "Bearer my-account-token" {
			t.Errorf("asked for %v", requests[1].URL)
		}
	}
	if _, err := accountStub(&requests, &bodies, `200 {"accounts":[{"id":"../1","connection":"c"}]}`).accounts(t.Context(), "c", ""); err == nil {
		t.Error("any id is taken")
	}
	requests = nil
	a := accountStub(&requests, &bodies, `200 {"accounts":[],"next":"again"}`)
	if _, err := a.accounts(t.Context(), "google-oauth2", ""); err == nil || len(requests) != maxPages {
		t.Errorf("an endless list: %v after %d requests", err, len(requests))
	}
}

func TestTheConnectRequestHasNoEmptyMembers(t *testing.T) {
	s := &flowState{Ticket: ticket{Connection: "c"}, State: "s", Verifier: "v"}
	members := func(scopes []string) []string {
		text, err := json.Marshal(newConnectRequest("https://link.example.com/auth/callback", s, scopes, ""))
		if err != nil {
			t.Fatal(err)
		}
		var all map[string]any
		if err := json.Unmarshal(text, &all); err != nil {
			t.Fatal(err)
		}
		return slices.Sorted(maps.Keys(all))
	}
	least := []string{"code_challenge", "code_challenge_method", "connection", "redirect_uri", "state"}
	if got := members(nil); !reflect.DeepEqual(got, least) {
		t.Errorf("members are %v", got)
	}
	s.Ticket.LoginHint = "1234"
	if got := members([]string{"a"}); len(got) != len(least)+2 {
		t.Errorf("members are %v", got)
	}
}

func TestMyAccountErrorsSayWhatTheyMayAndNoMore(t *testing.T) {
	var requests []*http.Request
	var bodies []string
	for answer, want := range map[string]string{
		`400 {"type":"https://auth0.com/api-errors/A0E-400-0003","title":"Validation Error","detail":"Invalid","status":400,"validation_errors":[{"detail":"data must have it"}]}`: "A0E-400-0003: Validation Error: Invalid; data must have it",
		`403 {"type":"https://auth0.com/api-errors#A0E-403-0002","title":"Insufficient Scope","detail":"d"}`:                                                                       "activated",
		`400 {"type":"x","title":"Echo","detail":"got my-account-token"}`:                                                                                                          "answered 400",
		`418 <html>`: "answered 418",
	} {
		_, err := accountStub(&requests, &bodies, answer).complete(t.Context(), completeRequest{})
		var refused *accountError
		if !errors.As(err, &refused) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "my-account-t") {
			t.Errorf("%s: %v", answer, err)
		}
	}
	for _, answer := range []string{"", "[]", `{"scopes":["a"],"scopes":["b"]}`, `{} {}`} {
		if _, err := accountStub(&requests, &bodies, "201 "+answer).complete(t.Context(), completeRequest{}); err == nil {
			t.Errorf("%q is taken", answer)
		}
	}
	got, err := accountStub(&requests, &bodies, `200 {"Scopes":["a"]}`).complete(t.Context(), completeRequest{})
	if err != nil || got.Scopes != nil {
		t.Errorf("another case: %v, %v", got, err)
	}
}

// TestScopesWithoutEndOfAnAccountAreUnknown, wherever Auth0 tells them.
func TestScopesWithoutEndOfAnAccountAreUnknown(t *testing.T) {
	scopes := func(n int) string {
		text, err := json.Marshal(slices.Repeat([]string{"s"}, n))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var requests []*http.Request
	var bodies []string
	for list, want := range map[string]int{scopes(256): 256, scopes(46_000): 0, `["repo,user"]`: 2, `[]`: 0, `null`: 0} {
		requests = nil
		listed, err := accountStub(&requests, &bodies, `200 {"accounts":[{"id":"1","connection":"c","scopes":`+list+`}]}`).accounts(t.Context(), "c", "")
		if err != nil || len(listed) != 1 || len(listed[0].Scopes) != want {
			t.Errorf("%.40s listed: %d, %v", list, len(listed[0].Scopes), err)
		}
		requests = nil
		done, err := accountStub(&requests, &bodies, `201 {"id":"1","connection":"c","scopes":`+list+`}`).complete(t.Context(), completeRequest{})
		if err != nil || len(done.Scopes) != want {
			t.Errorf("%.40s connected: %d, %v", list, len(done.Scopes), err)
		}
	}
}
