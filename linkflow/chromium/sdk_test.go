package chromium

import (
	_ "embed"
	"encoding/pem"
	"html/template"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// Auth0's own SDKs against the local tenant, as its users' applications have them: what
// they stumble over is a fault of the tenant.

//go:embed testdata/spa.html
var spaPage string

const (
	spaClient  = "spa"
	spaSession = "Signed in as alice@example.com"
)

// spa is a single-page application with Auth0's SDK, and its tenant. Both are at
// localhost: a browser takes them for one site, as it does with a custom domain.
type spa struct {
	tenant *auth0test.Server
	url    string
	sdks   string // the directory node_modules
}

func newSPA(t *testing.T) *spa {
	t.Helper()
	sdks := os.Getenv("AUTH0_SDKS")
	if _, err := os.Stat(filepath.Join(sdks, "@auth0")); err != nil {
		t.Fatalf("AUTH0_SDKS names no directory with Auth0's SDKs: %v", err)
	}
	app := newServer(nil)
	app.StartTLS()
	t.Cleanup(app.Close)
	s := &spa{url: localhost(app), sdks: sdks}
	tenant, err := auth0test.ListenTLS(s.config(), "localhost:0", "localhost:0", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tenant.Close)
	s.tenant = tenant
	app.Config.Handler = s
	return s
}

func localhost(s *httptest.Server) string {
	return strings.Replace(s.URL, "127.0.0.1", "localhost", 1)
}

// config is the seeds with a public client that rotates its refresh tokens, as Auth0
// tells people to set one up.
func (s *spa) config() auth0test.Config {
	cfg := auth0test.Seeds()
	connected := []string{"create:me:connected_accounts", "read:me:connected_accounts", "delete:me:connected_accounts"}
	cfg.Clients = append(cfg.Clients, auth0test.Client{
		ClientID: spaClient, AppType: "spa", TokenEndpointAuthMethod: "none", OIDCConformant: new(true),
		GrantTypes:       []string{"authorization_code", "refresh_token"},
		Callbacks:        []string{s.url + "/"},
		WebOrigins:       []string{s.url},
		JWTConfiguration: &auth0test.JWTConfig{Alg: "RS256"},

		AllowedLogoutURLs: []string{s.url + "/"},
		RefreshToken: &auth0test.RefreshToken{
			RotationType: "rotating", ExpirationType: "expiring",
			Policies: []auth0test.RefreshPolicy{{Audience: "{tenant}/me/", Scope: connected}},
		},
	})
	cfg.ClientGrants = append(cfg.ClientGrants, auth0test.ClientGrant{
		ClientID: spaClient, Audience: "{tenant}/me/", Scope: connected, SubjectType: "user",
	})
	for i := range cfg.Connections {
		cfg.Connections[i].EnabledClients = append(cfg.Connections[i].EnabledClients, spaClient)
	}
	return cfg
}

// ServeHTTP implements http.Handler: the application's page, and the SDK.
func (s *spa) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/":
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = template.Must(template.New("").Parse(spaPage)).Execute(w, map[string]string{
			"Domain": s.domain(), "ClientID": spaClient, "Audience": audience, "Scope": calendarScope,
		})
	case "/auth0-spa-js.js":
		http.ServeFile(w, r, filepath.Join(s.sdks, "@auth0/auth0-spa-js/dist/auth0-spa-js.production.js"))
	default:
		http.NotFound(w, r)
	}
}

func (s *spa) domain() string { return strings.TrimPrefix(s.tenant.URL, "https://") }

// token asks the SDK for a token. With cache off, it must get one from the tenant.
func (b *tab) token(cache string) string {
	b.Helper()
	return eval[string](b, `cacheMode => client.getTokenSilently({cacheMode})`, cache)
}

func TestASinglePageApplicationWithAuth0sSDK(t *testing.T) {
	t.Parallel()
	s, b := newSPA(t), newTab(t)
	signedOut, signedIn := where{"/", "Signed out"}, where{"/", spaSession}
	b.open(s.url).says(signedOut, "login_required")
	b.press("Sign in").signIn("alice").see(signedIn)

	first := b.token("on")
	if second := b.token("off"); first == second || b.token("on") != second {
		t.Error("it got no new access token")
	}
	if n := s.asked("refresh_token"); n != 1 {
		t.Errorf("it refreshed %d times", n)
	}
	// The page forgets its tokens: the session brings them back, in a frame.
	b.reload().see(signedIn)

	b.press("Connect").see(where{"/o/oauth2/v2/auth", "Google"})
	b.press(buttonAllow).says(signedIn, "Connected google-oauth2")
	if scopes := eval[[]string](b, `async () => {
		const audience = 'https://' + client.options.domain + '/me/';
		const token = await client.getTokenSilently({authorizationParams: {audience, scope: 'read:me:connected_accounts'}});
		const answer = await fetch(audience + 'v1/connected-accounts/accounts', {headers: {Authorization: 'Bearer ' + token}});
		return (await answer.json()).accounts[0].scopes;
	}`); len(scopes) == 0 || scopes[0] != calendarScope {
		t.Errorf("the account has the scopes %v", scopes)
	}

	b.press("Sign out").says(signedOut, "login_required")
	popup := b.popup(func() { b.press("Sign in with a popup") })
	popup.signIn("alice")
	b.left = 0 // the page stays
	b.see(signedIn)
}

// asked counts the token requests of a grant that the tenant let pass.
func (s *spa) asked(grant string) int {
	n := 0
	for _, r := range s.tenant.Requests() {
		if r.GrantType == grant && r.Status == http.StatusOK {
			n++
		}
	}
	return n
}

// logoutURL is where Auth0's server-side SDK sends somebody who signs out.
const logoutURL = `
	const {AuthClient} = await import('@auth0/auth0-auth-js');
	const [domain, clientId, returnTo] = process.argv.slice(1);
	const client = new AuthClient({domain, clientId, clientSecret: 'x'});
	console.log(String(await client.buildLogoutUrl({returnTo})));
`

func TestLogoutURLsOfAuth0sSDKLead(t *testing.T) {
	t.Parallel()
	s, b := newSPA(t), newTab(t)
	home, signedIn := s.url+"/", where{"/", spaSession}
	b.open(s.url).see(where{"/", "Signed out"})
	b.press("Sign in").signIn("alice").see(signedIn)

	// It has no ID token to show, so the person is asked.
	b.open(s.node(t, logoutURL, s.domain(), spaClient, home)).see(where{"/oidc/logout", "Log out"})
	b.press("Log out").says(where{"/", "Signed out"}, "login_required")
	b.press("Sign in").signIn("alice").see(signedIn)

	// A tenant that does not announce that endpoint has the older one.
	s.withoutEndSession(t)
	target := s.node(t, logoutURL, s.domain(), spaClient, home)
	if !strings.HasPrefix(target, s.tenant.URL+"/v2/logout?") {
		t.Errorf("it leads to %s", target)
	}
	b.open(target).says(where{"/", "Signed out"}, "login_required")
}

// withoutEndSession makes the tenant leave /oidc/logout out of its discovery document.
func (s *spa) withoutEndSession(t *testing.T) {
	t.Helper()
	tokens, err := s.tenant.IssueToken(auth0test.TokenRequest{
		ClientID: "tenant-management", Audience: s.tenant.Issuer() + "api/v2/", Scope: "update:tenant_settings",
	})
	if err != nil {
		t.Fatal(err)
	}
	body := `{"oidc_logout":{"rp_logout_end_session_endpoint_discovery":false}}`
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPatch, s.tenant.URL+"/api/v2/tenants/settings", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+tokens.AccessToken)
	req.Header.Set("Content-Type", "application/json")
	resp, err := s.tenant.Client().Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatal(resp, err)
	}
	_ = resp.Body.Close()
}

// node runs a module that may import the SDKs and trusts the tenant, and returns what it
// prints.
func (s *spa) node(t *testing.T, module string, args ...string) string {
	t.Helper()
	certificate := filepath.Join(t.TempDir(), "tenant.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.tenant.Certificate().Raw})
	if err := os.WriteFile(certificate, block, 0o600); err != nil {
		t.Fatal(err)
	}
	args = append([]string{"--input-type=module", "--eval", module, "--"}, args...)
	cmd := exec.CommandContext(t.Context(), "node", args...)
	cmd.Dir, cmd.Env = s.sdks, append(os.Environ(), "NODE_EXTRA_CA_CERTS="+certificate)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return strings.TrimSpace(string(out))
}
