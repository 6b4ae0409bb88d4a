package auth0test_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// recordedModule carries HTTP traffic that Auth0's Go SDK recorded from a real
// tenant. Its secrets were replaced, its statuses, members and types were not.
const recordedModule = "github.com/auth0/go-auth0@v1.45.0"

// An interaction is one recorded request with its answer.
type interaction struct {
	Request struct {
		Body, URL, Method string
		Headers           map[string][]string
	}
	Response struct {
		Body    string
		Headers map[string][]string
		Code    int
		Length  int64 `yaml:"content_length"`
	}
}

// recordingsDir finds the recordings, or fails: a replay that quietly does
// nothing would be worse than none.
func recordingsDir(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "mod", "download", "-json", recordedModule)
	var errText bytes.Buffer
	cmd.Stderr = &errText
	out, err := cmd.Output()
	var module struct{ Dir, Error string }
	if jsonErr := json.Unmarshal(out, &module); err != nil || jsonErr != nil || module.Dir == "" {
		t.Fatalf("no recordings: %s cannot be had: %v %s %s", recordedModule, err, module.Error, errText.String())
	}
	return filepath.Join(module.Dir, "test", "data", "recordings", "authentication")
}

func readRecording(t *testing.T, dir, name string) interaction {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Interactions []interaction }
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Interactions) != 1 {
		t.Fatalf("%s: %d interactions", name, len(file.Interactions))
	}
	return file.Interactions[0]
}

// recordedTenant has the recorded ids: a confidential client, a public one
// for the requests that were sent without a secret, and the APIs they name.
func recordedTenant(t *testing.T, publicClient bool) *auth0test.Server {
	t.Helper()
	cfg := auth0test.Config{
		ResourceServers: []auth0test.ResourceServer{{Identifier: "test-audience"}, {Identifier: "my-api"}},
		Clients: []auth0test.Client{
			{ClientID: "test-client_id", ClientSecret: "test-client_secret", Callbacks: []string{"http://localhost:3000"}},
			{ClientID: "test-other-clientid", ClientSecret: "test-client_secret"},
		},
		ClientGrants: []auth0test.ClientGrant{
			{ClientID: "test-client_id", Audience: "test-audience"},
			{ClientID: "test-client_id", Audience: "my-api"},
			{ClientID: "test-other-clientid", Audience: "test-audience"},
		},
		Users:    auth0test.Seeds().Users,
		Settings: auth0test.Settings{Organizations: []auth0test.Organization{{ID: "org_test", Name: "test"}}},
	}
	if publicClient {
		cfg.Clients[0].TokenEndpointAuthMethod, cfg.Clients[0].ClientSecret = "none", ""
		cfg.Clients[0].RefreshToken = &auth0test.RefreshToken{RotationType: "rotating"}
	}
	s := auth0test.NewServer(cfg)
	t.Cleanup(s.Close)
	return s
}

// A replay says how a recording is played: what the tenant needs first, whose
// results replace placeholders in the recorded body.
type replay struct {
	name   string
	public bool // the recorded client had no secret
	// prepare returns replacements for the request's body or header.
	prepare func(*testing.T, *auth0test.Server, interaction) map[string]string
	// scrubbed means that the recorded body was overwritten; its recorded length
	// is compared instead.
	scrubbed bool
	// lacks are members that the recording has and this tenant has not.
	lacks []string
}

// loginCode logs alice in as the recorded request's client would have.
func loginCode(scope string, pairs ...string) func(*testing.T, *auth0test.Server, interaction) map[string]string {
	return func(t *testing.T, s *auth0test.Server, in interaction) map[string]string {
		form, _ := url.ParseQuery(in.Request.Body)
		base := []string{
			"response_type", "code", "client_id", "test-client_id", "scope", scope, "audience", "test-audience",
			"redirect_uri", form.Get("redirect_uri"),
		}
		q := values(append(base, pairs...)...)
		return map[string]string{form.Get("code"): codeFor(t, s, q)}
	}
}

// codeFor logs alice in; without a redirect_uri the answer goes to the client's
// first callback.
func codeFor(t *testing.T, s *auth0test.Server, q url.Values) string {
	t.Helper()
	b := newBrowser(t)
	const first = "http://localhost:3000"
	page, at := b.open(s.URL+"/authorize?"+q.Encode(), first)
	page = b.submit(page, at, url.Values{"username": {"alice@example.com"}, "password": {"alice-password"}})
	_, end := b.follow(page, at, first)
	u, err := url.Parse(end)
	if err != nil || u.Query().Get("code") == "" {
		t.Fatalf("no code at %s", end)
	}
	return u.Query().Get("code")
}

// refreshToken gets a refresh token for the recorded client.
func refreshToken(t *testing.T, s *auth0test.Server, public bool) map[string]string {
	t.Helper()
	q := values("response_type", "code", "client_id", "test-client_id", "scope", "openid profile email offline_access",
		"code_challenge", challenge, "code_challenge_method", "S256")
	form := values("grant_type", "authorization_code", "client_id", "test-client_id", "client_secret", "test-client_secret",
		"code", codeFor(t, s, q), "code_verifier", verifier)
	if public {
		form.Del("client_secret")
	}
	a := postForm(t, s.URL+"/oauth/token", form)
	token, _ := a.JSON["refresh_token"].(string)
	if token == "" {
		t.Fatalf("no refresh token: %s", a.Body)
	}
	return map[string]string{"test-refresh-token": token}
}

func replays() []replay {
	pkce := []string{"code_challenge", challenge, "code_challenge_method", "S256"}
	withVerifier := func(t *testing.T, s *auth0test.Server, in interaction) map[string]string {
		out := loginCode("", pkce...)(t, s, in)
		out["test-code-verifier"] = verifier
		return out
	}
	publicRefresh := func(t *testing.T, s *auth0test.Server, _ interaction) map[string]string {
		return refreshToken(t, s, true)
	}
	return []replay{
		{name: "TestLoginWithAuthCode/Should_return_tokens", prepare: loginCode("")},
		{name: "TestLoginWithAuthCode/Should_support_setting_a_redirect_uri", prepare: loginCode("")},
		{name: "TestLoginWithAuthCode/Should_throw_for_an_invalid_code"},
		{name: "TestLoginWithAuthCodeWithPKCE/Should_return_tokens", public: true, prepare: withVerifier},
		{name: "TestLoginWithAuthCodeWithPKCE/Should_support_setting_a_redirect_uri", public: true, prepare: withVerifier},
		{name: "TestLoginWithAuthCodeWithPKCE/Should_throw_for_an_invalid_code", public: true},
		// The recorded length is that of Auth0's answer to a confidential client
		// without its secret, so that is what was recorded.
		{name: "TestLoginWithAuthCodeWithPKCE/Should_throw_for_an_invalid_code_verifier", prepare: loginCode("", pkce...), scrubbed: true},
		{name: "TestLoginWithClientCredentials/Should_return_tokens"},
		{name: "TestLoginWithClientCredentials/Should_allow_overriding_clientid"},
		{name: "TestLoginWithClientCredentials/Should_allow_sending_extra_parameters"},
		{name: "TestLoginWithClientCredentials/Should_support_passing_an_organization"},
		{name: "TestRefreshToken/Should_return_tokens", public: true, prepare: publicRefresh},
		{name: "TestRefreshToken/Should_return_tokens_with_reduced_scopes", public: true, prepare: publicRefresh},
		{name: "TestRevokeRefreshToken/Should_revoke_token", public: true, prepare: publicRefresh},
		{
			name: "TestRevokeRefreshToken/Should_support_passing_a_ClientID_and_ClientSecret",
			prepare: func(t *testing.T, s *auth0test.Server, _ interaction) map[string]string {
				return refreshToken(t, s, false)
			},
		},
		{
			name: "TestUserInfo",
			prepare: func(t *testing.T, s *auth0test.Server, _ interaction) map[string]string {
				return map[string]string{"Authorization": "Bearer " + accessToken(t, s, func(r *auth0test.TokenRequest) {
					r.ClientID, r.Audience, r.Scope = "test-client_id", "test-audience", "openid profile email"
				})}
			},
			lacks: []string{"unknown-param"}, // a custom member of that tenant
		},
	}
}

// The answers must have the recorded status, media type, members and types.
func TestRecordedTraffic(t *testing.T) {
	dir := recordingsDir(t)
	for _, r := range replays() {
		t.Run(r.name, func(t *testing.T) {
			in := readRecording(t, dir, r.name)
			s := recordedTenant(t, r.public)
			var put map[string]string
			if r.prepare != nil {
				put = r.prepare(t, s, in)
			}
			compare(t, r, in, play(t, s, in, put))
		})
	}
}

func play(t *testing.T, s *auth0test.Server, in interaction, put map[string]string) answer {
	t.Helper()
	u, err := url.Parse(in.Request.URL)
	if err != nil {
		t.Fatal(err)
	}
	req := request(t, in.Request.Method, s.URL+u.RequestURI(), "", fillIn(in.Request.Body, put))
	for name, list := range in.Request.Headers {
		req.Header[name] = list
	}
	if auth := put["Authorization"]; auth != "" { // the recordings have none
		req.Header.Set("Authorization", auth)
	}
	return do(t, http.DefaultClient, req)
}

// fillIn replaces placeholders where they are a whole value of the form, or of
// the JSON object.
func fillIn(body string, put map[string]string) string {
	for old, value := range put {
		body = strings.ReplaceAll(body+"&", "="+old+"&", "="+url.QueryEscape(value)+"&")
		body = strings.ReplaceAll(strings.TrimSuffix(body, "&"), `"`+old+`"`, `"`+value+`"`)
	}
	return body
}

func compare(t *testing.T, r replay, in interaction, got answer) {
	t.Helper()
	if got.Status != in.Response.Code {
		t.Fatalf("status %d, recorded %d: %s", got.Status, in.Response.Code, got.Body)
	}
	want, _, _ := mime.ParseMediaType(strings.Join(in.Response.Headers["Content-Type"], ""))
	if kind, _, _ := mime.ParseMediaType(got.Header.Get("Content-Type")); kind != want {
		t.Errorf("media type %s, recorded %s", kind, want)
	}
	if r.scrubbed {
		if int64(len(got.Body)) != in.Response.Length {
			t.Errorf("%d bytes, recorded %d: %s", len(got.Body), in.Response.Length, got.Body)
		}
		return
	}
	if in.Response.Body == "" {
		if got.Body != "" {
			t.Errorf("a body, recorded none: %s", got.Body)
		}
		return
	}
	var recorded map[string]any
	if err := json.Unmarshal([]byte(in.Response.Body), &recorded); err != nil {
		t.Fatal(err)
	}
	for _, name := range r.lacks {
		delete(recorded, name)
	}
	compareMembers(t, recorded, got)
}

// compareMembers wants the recorded members with the recorded types, and no
// others but an ID token: the recordings' were cut out. Texts that are no
// secrets must be equal.
func compareMembers(t *testing.T, recorded map[string]any, got answer) {
	t.Helper()
	for name, value := range recorded {
		mine, ok := got.JSON[name]
		if !ok || fmt.Sprintf("%T", mine) != fmt.Sprintf("%T", value) {
			t.Errorf("%s is %v, recorded %v", name, mine, value)
			continue
		}
		switch name {
		case "error", "error_description", "token_type", "scope", "expires_in":
			if mine != value {
				t.Errorf("%s is %v, recorded %v", name, mine, value)
			}
		}
	}
	for name := range got.JSON {
		if _, ok := recorded[name]; !ok && name != "id_token" {
			t.Errorf("member %s is not in the recording", name)
		}
	}
}
