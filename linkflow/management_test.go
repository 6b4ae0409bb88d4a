package linkflow

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// managed is a Flow whose tenant is answer, for what a tenant that is in order
// would not answer.
func managed(t *testing.T, answer http.HandlerFunc) *Flow {
	t.Helper()
	tenant := httptest.NewServer(answer)
	t.Cleanup(tenant.Close)
	client, err := vault.New(vault.Config{
		Domain: tenant.URL, Audience: "https://agents.example.com/", Timeout: time.Second,
		ClientID: "vault-exchange", ClientSecret: vault.NewSecret("vault-exchange-secret"),
	})
	if err != nil {
		t.Fatal(err)
	}
	flow, err := New(Config{
		Vault: client, Origin: "https://link.example.com", ClientID: "link-pages", ClientSecret: vault.NewSecret("link-pages-secret"),
		Keys: StaticKeys(testKey), Via: ViaManagement,
		Linking: Linking{ManagementID: "management", ManagementSecret: vault.NewSecret("management-secret")},
	})
	if err != nil {
		t.Fatal(err)
	}
	return flow
}

const aliceAtAuth0 = `{"user_id": "auth0|alice", "email": "alice@example.com", "email_verified": true, "multifactor": ["guardian"],
	"user_metadata": {"color": "teal"}, "app_metadata": {"plan": "gold"},
	"identities": [{"provider": "auth0", "user_id": "alice", "connection": "Username-Password-Authentication", "isSocial": false},
		{"provider": "github", "user_id": 583231, "connection": "github", "isSocial": true, "profileData": {"nickname": "octo"}}]}`

func TestAUserIsReadWithAllThatLinkingGoesBy(t *testing.T) {
	f := managed(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.EscapedPath() != "/api/v2/users/auth0%7Calice" || r.Header.Get("Authorization") != "Bearer alices-token" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, aliceAtAuth0)
	})
	alice, err := f.asPerson("alices-token").read(t.Context(), "auth0|alice")
	if err != nil {
		t.Fatal(err)
	}
	if !alice.has("github|583231") || !alice.has("auth0|alice") || alice.has("github|1") || alice.identities[1].name != "octo" || alice.identities[0].name != "alice@example.com" {
		t.Errorf("the identities are %+v", alice.identities)
	}
	if got := strings.Join(alice.metadata, " "); got != "app_metadata.plan user_metadata.color" {
		t.Errorf("the metadata is %s", got)
	}
	if !alice.verified || alice.email != "alice@example.com" || !alice.factor {
		t.Errorf("alice is %+v", alice)
	}
}

func TestAnAddressThatNothingIsSaidAboutIsNotVerified(t *testing.T) {
	for text, want := range map[string]bool{`"email_verified": true,`: true, `"email_verified": "true",`: true, `"email_verified": false,`: false, ``: false} {
		f := managed(t, func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, `{`+text+`"user_id": "a|b", "email": "e", "identities": [{"provider": "a", "user_id": "b", "connection": "c"}]}`)
		})
		u, err := f.asPerson("token").read(t.Context(), "a|b")
		if err != nil || u.verified != want {
			t.Errorf("%q: %+v, %v", text, u, err)
		}
	}
}

func TestAnAnswerThatMakesNoSenseIsAnError(t *testing.T) {
	for _, body := range []string{
		"", "null", "[]", "{", "<html>", aliceAtAuth0[:40],
		strings.Replace(aliceAtAuth0, "auth0|alice", "auth0|bob", 1),
		strings.Replace(aliceAtAuth0, "583231", "true", 1),                                // go-auth0 panics
		strings.Replace(aliceAtAuth0, `"email_verified": true`, `"email_verified": 1`, 1), // and here
		strings.Replace(aliceAtAuth0, `"connection": "github"`, `"connection": ""`, 1),
		`{"user_id": "auth0|alice"}`, `{"user_id": "auth0|alice", "identities": [null]}`,
	} {
		f := managed(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, body) })
		if u, err := f.asPerson("token").read(t.Context(), "auth0|alice"); !errors.Is(err, errSenseless) {
			t.Errorf("%s: %+v, %v", body, u, err)
		}
	}
}

func TestWhyTheManagementAPIDoesNothingIsToldApart(t *testing.T) {
	refusal := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = io.WriteString(w, body)
		}
	}
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		reason string
		text   string
	}{
		"a scope":       {refusal(403, `{"statusCode": 200, "error": "Forbidden", "message": "Insufficient scope", "errorCode": "insufficient_scope"}`), "management_403", "insufficient_scope"},
		"a token":       {refusal(401, `{"statusCode": 401, "error": "Unauthorized", "message": "Invalid token"}`), "management_401", "Invalid token"},
		"a conflict":    {refusal(409, `{"statusCode": 409, "error": "Conflict", "message": "taken"}`), "management_409", "taken"},
		"no JSON":       {refusal(404, `<html>`), "management_404", "404"},
		"too many":      {refusal(429, `{"statusCode": 429}`), "too_many_requests", "429"},
		"a failure":     {refusal(503, `{"statusCode": 503}`), "server_error", "503"},
		"silence":       {func(_ http.ResponseWriter, r *http.Request) { _, _ = io.ReadAll(r.Body); <-r.Context().Done() }, "timeout", "timeout"},
		"a broken line": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "unreachable", "EOF"},
		"its secrets":   {refusal(403, `{"message": "the token the-token-of-alice is bad", "errorCode": "link-with-of-bob"}`), "management_403", "answered 403"},
	} {
		t.Run(name, func(t *testing.T) {
			f := managed(t, c.answer)
			err := f.asPerson("the-token-of-alice").linkWith(t.Context(), "auth0|alice", "link-with-of-bob")
			if err == nil {
				t.Fatal("no error")
			}
			if no := auth0Refusal(err, pageAuth0Fails); no.reason != c.reason || !strings.Contains(no.err.Error(), c.text) {
				t.Errorf("told %s: %v", no.reason, no.err)
			}
			if vault.RepeatsSecret(err.Error(), "the-token-of-alice", "link-with-of-bob") {
				t.Errorf("the error repeats a token: %v", err)
			}
		})
	}
}

func TestATokenIsNotSentWhereTheManagementAPIRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("%s was asked with %s", r.URL, r.Header.Get("Authorization"))
	}))
	defer elsewhere.Close()
	f := managed(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	for _, u := range []*users{f.asPerson("token"), f.asMachine()} {
		if _, err := u.read(t.Context(), "auth0|alice"); err == nil {
			t.Error("the redirect was followed")
		}
	}
}

func TestLinkingIsTriedOnce(t *testing.T) {
	for _, status := range []int{429, 500, 503} {
		asked := 0
		f := managed(t, func(w http.ResponseWriter, _ *http.Request) { asked++; w.WriteHeader(status) })
		_ = f.asPerson("token").linkWith(t.Context(), "auth0|alice", "id token")
		if asked != 1 {
			t.Errorf("%d: asked %d times", status, asked)
		}
	}
}

func TestTheMachinesTokenIsKeptUntilItIsRefused(t *testing.T) {
	tokens, forbid := 0, false
	f := managed(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == "/oauth/token":
			tokens++
			if r.FormValue("audience") != "http://"+r.Host+"/api/v2/" {
				t.Errorf("the audience is %s", r.FormValue("audience"))
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, `{"access_token": "machine-token", "token_type": "Bearer", "expires_in": 86400}`)
		case forbid:
			w.WriteHeader(403)
			_, _ = io.WriteString(w, `{"errorCode": "insufficient_scope"}`)
		default:
			_, _ = io.WriteString(w, aliceAtAuth0)
		}
	})
	read := func() error { _, err := f.asMachine().read(context.Background(), "auth0|alice"); return err }
	for range 3 {
		if err := read(); err != nil {
			t.Fatal(err)
		}
	}
	forbid = true
	if err := read(); !forbidden(err) {
		t.Error(err)
	}
	forbid = false
	if err := read(); err != nil || tokens != 2 {
		t.Errorf("%d tokens: %v", tokens, err)
	}
}

func TestAMachineThatGetsNoTokenIsToldWithoutItsSecret(t *testing.T) {
	f := managed(t, func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(401)
		_, _ = io.WriteString(w, `{"error": "access_denied", "error_description": "management-secret is wrong"}`)
	})
	_, err := f.asMachine().read(t.Context(), "auth0|alice")
	if no := auth0Refusal(err, pageAuth0Fails); no.reason != "management_token" || strings.Contains(no.err.Error(), "management-secret") {
		t.Errorf("told %s: %v", no.reason, no.err)
	}
}

func TestRulesThatNothingFollowsDoNotLoad(t *testing.T) {
	secret := vault.NewSecret("s")
	for name, c := range map[string]struct {
		via     Via
		url     string
		linking Linking
		want    string
	}{
		"an unknown way":               {via: "magic", want: `"magic": want connected_accounts`},
		"a page without its URL":       {via: ViaURL, want: "via url: the template"},
		"a URL without its way":        {url: "https://app.example.com/{ticket}", want: "url: only `via url`"},
		"a policy without linking":     {linking: Linking{RequireMFA: true}, want: "require_mfa: "},
		"an id without its secret":     {via: ViaManagement, linking: Linking{ManagementID: "m"}, want: "both id and secret"},
		"trust without the machine":    {via: ViaManagement, linking: Linking{TrustEmail: []string{"google-oauth2"}}, want: "trust_email: "},
		"":                             {via: ViaManagement, linking: Linking{ManagementID: "m", ManagementSecret: secret, TrustEmail: []string{"google-oauth2"}, RequireMFA: true, PinIP: true}},
		"the machine without any rule": {linking: Linking{ManagementID: "m", ManagementSecret: secret}},
	} {
		cfg := Config{Via: c.via, URL: c.url, Linking: c.linking}
		if err := cfg.CheckVia(); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
