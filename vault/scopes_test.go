package vault

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

const (
	googleEmail   = "https://www.googleapis.com/auth/userinfo.email"
	googleProfile = "https://www.googleapis.com/auth/userinfo.profile"
	googleReads   = "https://www.googleapis.com/auth/calendar.readonly"
)

func TestSplitScopes(t *testing.T) {
	for s, want := range map[string][]string{
		"": {}, " ,, ": {}, "a": {"a"}, "a b": {"a", "b"}, "a,b": {"a", "b"}, " a , b,,c ": {"a", "b", "c"}, "read:user,repo": {"read:user", "repo"},
		"a;b": {"a", "b"}, "a\tb": {"a", "b"}, "a\nb\r\nc\n": {"a", "b", "c"}, "a\u00a0b": {"a\u00a0b"}, "a|b": {"a|b"},
	} {
		if got := SplitScopes(s); len(got)+len(want) > 0 && !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %q, want %q", s, got, want)
		}
	}
}

// TestWhatProvidersAnswerMeetsWhatIsAskedOfThem has answers as providers give them,
// and what they say of a route's scopes and max_scopes.
func TestWhatProvidersAnswerMeetsWhatIsAskedOfThem(t *testing.T) {
	const graphMail = "https://graph.microsoft.com/Mail.Read"
	for _, tt := range []struct {
		name, connection, answer string
		wanted, missing          string
		most, excess             string
	}{
		{
			"Google tells long names, and openid", "google-oauth2", googleReads + " openid " + googleEmail + " " + googleProfile,
			"offline_access openid email profile " + googleReads, "",
			"openid email " + googleProfile + " " + googleReads, "",
		},
		{
			"Google's checkbox that was not ticked", "google-oauth2", "openid " + googleReads,
			"email " + googleReads + " https://www.googleapis.com/auth/calendar.events", "email https://www.googleapis.com/auth/calendar.events",
			googleReads, "openid",
		},
		{
			"Google's wider scope is another one", "google-oauth2", "https://www.googleapis.com/auth/calendar",
			googleReads, googleReads, googleReads, "https://www.googleapis.com/auth/calendar",
		},
		{
			"Microsoft at work, bare", "windowslive", "Mail.Read User.Read openid profile email",
			"offline_access openid https://graph.microsoft.com/User.Read mail.read", "",
			"openid profile email " + graphMail + " user.read", "",
		},
		{
			"Microsoft at work, with the resource", "waad", "openid profile email https://graph.microsoft.com/User.Read " + graphMail,
			"offline_access User.Read Mail.Read", "", "openid profile email User.Read Mail.Read", "",
		},
		{
			"Microsoft at home, with the resource in part", "windowslive", "https://graph.microsoft.com/User.Read Mail.Read https://graph.microsoft.com/openid",
			"User.Read " + graphMail + " openid offline_access", "", "User.Read Mail.Read openid", "",
		},
		{
			"Microsoft at home, with offline_access", "windowslive", "User.Read offline_access", "User.Read", "", "User.Read", "",
		},
		{
			"Microsoft, more than was asked for", "azure-ad", "Mail.ReadWrite User.Read",
			"Mail.Read", "Mail.Read", "Mail.Read", "Mail.ReadWrite User.Read",
		},
		{
			"Microsoft, on a connection of another name", "contoso", graphMail + " User.Read",
			"mail.read user.read", "", "Mail.Read user.read " + googleEmail, graphMail + " User.Read",
		},
		{
			"Microsoft, all that is registered", "windowslive", "Mail.Read https://graph.microsoft.com/.default",
			"https://graph.microsoft.com/.default", "", "Mail.Read", "https://graph.microsoft.com/.default",
		},
		{
			"Microsoft, all that is registered, in other spellings", "windowslive", "Mail.Read",
			".default https://graph.microsoft.com/.Default api://x/.DEFAULT x.default", "x.default", "Mail.Read", "",
		},
		{
			"Microsoft, another resource", "waad", "https://outlook.office.com/Mail.Read",
			"Mail.Read https://outlook.office.com/mail.read", "Mail.Read https://outlook.office.com/mail.read",
			"Mail.Read https://outlook.office.com/mail.read", "https://outlook.office.com/Mail.Read",
		},
		{"a GitHub App tells none", "github", "", "read:user", "", "", ""},
		{
			"an OAuth App of GitHub's leaves out what is included", "github", "repo,user",
			"read:user user:email public_repo repo:status offline_access", "", "repo user", "",
		},
		{
			"an OAuth App of GitHub's, narrower than may be", "github", "public_repo,read:user,read:org",
			"read:org", "", "repo user admin:org", "",
		},
		{
			"an OAuth App of GitHub's, wider than may be", "github", "user,admin:org",
			"read:user read:org", "", "read:user write:org", "user admin:org",
		},
		{
			"GitHub's names on a connection of another name", "github-enterprise", "user,read:org",
			"user:email read:org write:org", "write:org", "user write:org", "read:org",
		},
		{
			"Slack, with what it adds", "slack", "identify,channels:read,users:read.email",
			"channels:read users:read.email", "", "channels:read users:read users:read.email", "identify",
		},
		{
			"Slack knows the case of scopes", "slack-oauth-2", "channels:read", "Channels:Read", "Channels:Read", "Channels:Read", "channels:read",
		},
		{"somebody unknown", "acme", "things:read;more\tyet\nlast", "things:read more yet last", "", "things:read more yet", "last"},
		{"somebody unknown, by another case", "acme", "read", "Read read:all", "Read read:all", "READ read:all", "read"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			granted, wanted, most := GrantedScopes(tt.answer), SplitScopes(tt.wanted), SplitScopes(tt.most)
			missing := MissingScopes(granted, wanted)
			if granted == nil { // which meets all, and is within nothing
				missing = nil
			}
			if got := strings.Join(missing, " "); got != tt.missing {
				t.Errorf("of %q it lacks %q, want %q", wanted, got, tt.missing)
			}
			if got := strings.Join(excessScopes(tt.connection, granted, most), " "); got != tt.excess {
				t.Errorf("beyond %q it has %q, want %q", most, got, tt.excess)
			}
			err := Request{Connection: tt.connection, Scopes: wanted}.CheckScopes(granted)
			if (err == nil) != (tt.missing == "") {
				t.Errorf("as the least: %v", err)
			}
			err = Request{Connection: tt.connection, MaxScopes: most}.CheckScopes(granted)
			if (err == nil) != (tt.excess == "" && granted != nil) {
				t.Errorf("as the most: %v", err)
			}
		})
	}
}

// What the two properties below speak of: all scopes of GitHub's, and of others
// those that are alike.
var (
	githubScopes = strings.Fields(`repo repo:status repo_deployment public_repo repo:invite security_events
		admin:repo_hook write:repo_hook read:repo_hook admin:org write:org read:org manage_runners:org admin:public_key
		write:public_key read:public_key admin:org_hook gist notifications user read:user user:email user:follow project
		read:project delete_repo write:packages read:packages delete:packages admin:gpg_key write:gpg_key read:gpg_key
		admin:ssh_signing_key write:ssh_signing_key read:ssh_signing_key codespace codespace:secrets workflow
		write:discussion read:discussion admin:enterprise manage_runners:enterprise manage_billing:enterprise read:enterprise
		scim:enterprise audit_log read:audit_log copilot manage_billing:copilot
		write:network_configurations read:network_configurations site_admin`)

	githubPairs = strings.Fields(`repo>repo:status repo>repo_deployment repo>public_repo repo>repo:invite repo>security_events
		admin:repo_hook>write:repo_hook admin:repo_hook>read:repo_hook write:repo_hook>read:repo_hook
		admin:org>write:org admin:org>read:org admin:org>manage_runners:org write:org>read:org
		admin:public_key>write:public_key admin:public_key>read:public_key write:public_key>read:public_key
		admin:gpg_key>write:gpg_key admin:gpg_key>read:gpg_key write:gpg_key>read:gpg_key
		admin:ssh_signing_key>write:ssh_signing_key admin:ssh_signing_key>read:ssh_signing_key write:ssh_signing_key>read:ssh_signing_key
		admin:enterprise>manage_runners:enterprise admin:enterprise>manage_billing:enterprise admin:enterprise>read:enterprise
		user>read:user user>user:email user>user:follow project>read:project write:packages>read:packages
		write:discussion>read:discussion codespace>codespace:secrets audit_log>read:audit_log copilot>manage_billing:copilot
		write:network_configurations>read:network_configurations`)

	otherScopes = []string{
		"openid", "OpenID", "email", "profile", googleEmail, googleProfile, googleReads, "https://www.googleapis.com/auth/calendar",
		"offline_access", "Offline_Access", "Mail.Read", "mail.read", "MAIL.READ", "Mail.ReadWrite", "ma\u0131l.read", "mail.\u212aead", "mail.Kead",
		"https://graph.microsoft.com/Mail.Read", "https://graph.microsoft.com/mail.read", "https://graph.microsoft.com/openid",
		"https://graph.microsoft.com/.default", "https://outlook.office.com/Mail.Read", "https://outlook.office.com/.default",
		".default", ".Default", "https://graph.microsoft.com/.Default", "https://graph.microsoft.com//.default", "api://x/.DEFAULT",
		"x.default", "default", "https://graph.microsoft.com/default", "https://graph.microsoft.com/.default/x", "https://graph.microsoft.com/.default ",
		"https://graph.microsoft.com/email", "https://graph.microsoft.com/profile",
		"https://graph.microsoft.com/", "https://graph.microsoft.com/v1.0/Mail.Read", "https://graph.microsoft.us/Mail.Read",
		"http://graph.microsoft.com/Mail.Read", "channels:read", "users:read.email", "Users:read.email", "read", "Read", "a/b.c", "A/b.c",
	}

	connections = map[string]string{
		"google-oauth2": "google", "google-apps": "google", "Google": "", "my-google-oauth2": "",
		"github": "github", "GitHub": "", "github-2": "", "windowslive": "microsoft", "waad": "microsoft",
		"azure-ad": "microsoft", "azuread": "microsoft", "Azure": "", "my-waad": "", "slack": "slack", "slack-oauth-2": "slack",
		"sign-in-with-slack": "slack", "acme": "", "": "",
	}
)

// sameByTable and its like are the table of how scopes are compared, row by row.
func sameByTable(g, w string) bool {
	short := map[string]string{googleEmail: "email", googleProfile: "profile"}
	return g == w || short[g] == w || short[w] == g
}

// sameAtEither: what has a name at both may be called by either's.
func sameAtEither(g, w string) bool {
	for long, short := range map[string]string{googleEmail: "email", googleProfile: "profile"} {
		if names := []string{short, "https://graph.microsoft.com/" + short}; slices.Contains(names, g) && w == long || slices.Contains(names, w) && g == long {
			return true
		}
	}
	return sameAtMicrosoft(g, w)
}

func sameAtMicrosoft(g, w string) bool {
	g, w = strings.TrimPrefix(g, "https://graph.microsoft.com/"), strings.TrimPrefix(w, "https://graph.microsoft.com/")
	if g == "" || strings.ContainsAny(g+w, "/:") {
		return false
	}
	ascii := func(s string) bool { return !strings.ContainsFunc(s, func(r rune) bool { return r > 0x7f }) }
	return g == w || strings.Contains(g, ".") && ascii(g) && ascii(w) && strings.EqualFold(g, w)
}

func includesByTable(wide, narrow string) bool { return slices.Contains(githubPairs, wide+">"+narrow) }

func meetsByTable(g, w string) bool {
	return w == "offline_access" || strings.HasSuffix("/"+strings.ToLower(w), "/.default") || sameByTable(g, w) || sameAtEither(g, w) || includesByTable(g, w)
}

func withinByTable(provider, g, m string) bool {
	return g == "offline_access" || sameByTable(g, m) || provider == "microsoft" && sameAtEither(g, m) || provider == "github" && includesByTable(m, g)
}

// askedByTable: what is asked for goes by a provider's names only at that provider.
func askedByTable(provider, s, other string) bool {
	return s == other || provider == "google" && sameByTable(s, other) || provider == "microsoft" && sameAtMicrosoft(s, other)
}

// TestEveryTwoScopesCompareAsTheTableSays takes all pairs, in both directions, on
// connections of everybody's.
func TestEveryTwoScopesCompareAsTheTableSays(t *testing.T) {
	all := append(slices.Clone(githubScopes), otherScopes...)
	for _, g := range all {
		for _, other := range all {
			if got := MissingScopes([]string{g}, []string{other}) == nil; got != meetsByTable(g, other) {
				t.Errorf("%s meets %s: %v", g, other, got)
			}
			for connection, provider := range connections {
				if got := excessScopes(connection, []string{g}, []string{other}) == nil; got != withinByTable(provider, g, other) {
					t.Errorf("%s: %s is within %s: %v", connection, g, other, got)
				}
				if got := len(MergeScopes(connection, []string{g}, []string{other})) == 1; got != askedByTable(provider, g, other) {
					t.Errorf("%s: %s is asked for as %s: %v", connection, other, g, got)
				}
				if name, got := OfferedScope(connection, []string{g}, other); got != askedByTable(provider, g, other) || got != (name == g) {
					t.Errorf("%s: %s is offered as %s: %q, %v", connection, other, g, name, got)
				}
			}
		}
	}
	for connection, provider := range connections {
		if got := ScopeProvider(connection); got != provider {
			t.Errorf("%s is %q", connection, got)
		}
	}
}

// TestWhatMeetsNeverWidensWhatIsAllowed: within is the same, by name, or narrower;
// what meets only because it is wider is an excess everywhere.
func TestWhatMeetsNeverWidensWhatIsAllowed(t *testing.T) {
	for _, pair := range githubPairs {
		wide, narrow, _ := strings.Cut(pair, ">")
		for connection := range connections {
			if excessScopes(connection, []string{wide}, []string{narrow}) == nil {
				t.Errorf("%s: %s is within %s", connection, wide, narrow)
			}
		}
	}
	for connection := range connections {
		for _, w := range append(slices.Clone(githubScopes), otherScopes...) {
			if w != offlineAccess && excessScopes(connection, []string{w}, nil) == nil {
				t.Errorf("%s: %s is within nothing", connection, w)
			}
		}
	}
}

func TestMergingAsksForAllUnderOneNameEach(t *testing.T) {
	for _, tt := range []struct{ connection, granted, wanted, want string }{
		{"acme", "", "", ""},
		{"acme", "a", "b a", "a b"},
		{"acme", "a a", "", "a"},
		{"google-oauth2", googleEmail, "email profile", googleEmail + " profile"},
		{"acme", googleEmail, "email profile", googleEmail + " email profile"},
		{"windowslive", "Mail.Read", "https://graph.microsoft.com/mail.read User.Read", "Mail.Read User.Read"},
		{"acme", "Mail.Read", "https://graph.microsoft.com/mail.read mail.read", "Mail.Read https://graph.microsoft.com/mail.read mail.read"},
		{"github", "user", "read:user", "user read:user"}, // who asks for both gets the wider one
		{"github", "read:user", "user", "read:user user"},
		{"google-oauth2", googleReads, "offline_access " + googleReads, googleReads + " offline_access"},
		{"windowslive", "", "https://graph.microsoft.com/.default .Default", "https://graph.microsoft.com/.default"},
	} {
		if got := strings.Join(MergeScopes(tt.connection, SplitScopes(tt.granted), append(SplitScopes(tt.wanted), "")), " "); got != tt.want {
			t.Errorf("%s: granted %q, wanted %q: got %q, want %q", tt.connection, tt.granted, tt.wanted, got, tt.want)
		}
	}
}

func TestAConsentAsksForNothingThatMicrosoftRefusesTogether(t *testing.T) {
	const all = "https://graph.microsoft.com/.default"
	signIn := []string{"openid", "https://graph.microsoft.com/email", "offline_access"}
	named := append(slices.Clone(signIn), "Mail.Read", "https://graph.microsoft.com/User.Read")
	for wanted, want := range map[string][]string{
		all:                                    append(slices.Clone(signIn), all),
		"https://graph.microsoft.com/.Default": append(slices.Clone(signIn), "https://graph.microsoft.com/.Default"),
		".default":                             append(slices.Clone(signIn), ".default"),
		"api://x/.DEFAULT":                     append(slices.Clone(signIn), "api://x/.DEFAULT"),
		all + " Mail.Read Files.Read":          append(slices.Clone(signIn), all), // what two routes ask for, in one link
		"mail.read":                            named,
		"Files.Read":                           append(slices.Clone(named), "Files.Read"),
	} {
		for _, answered := range []string{"", all, ".Default"} { // Microsoft may tell it beside what it stood for
			granted := append(slices.Clone(named), SplitScopes(answered)...)
			if got := ConsentScopes("windowslive", granted, SplitScopes(wanted)); !slices.Equal(got, want) {
				t.Errorf("%s after %q: got %q, want %q", wanted, answered, got, want)
			}
		}
	}
}

func TestWhatNoAccountCouldPassIsNotPrepared(t *testing.T) {
	for _, tt := range []struct{ connection, scopes, most, want string }{
		{"github", "read:user repo", "repo", "read:user is not"},
		{"github", "read:user", "user", ""},
		{"github", "user", "read:user", "user is not"},
		{"acme", "read:user", "user", "read:user is not"},
		{"windowslive", "mail.read", "https://graph.microsoft.com/Mail.Read", ""},
		{"acme", "mail.read", "Mail.Read", "mail.read is not"},
		{"google-oauth2", "offline_access email", googleEmail, ""},
		{"windowslive", "https://graph.microsoft.com/.default", "Mail.Read", ""},
		{"windowslive", "", "https://graph.microsoft.com/.default", "limits nothing"},
		{"acme", "a", "api://x/.default a", "limits nothing"},
		{"google-oauth2", "", "https://graph.microsoft.com/.Default", "limits nothing"},
		{"windowslive", "Mail.Read", "Mail.Read .default", "limits nothing"},
		{"acme", "", ".DEFAULT", "limits nothing"},
		{"windowslive", ".default https://graph.microsoft.com/.Default", "Mail.Read", ""},
		{"acme", "", "x.default", ""},
	} {
		_, err := Request{Connection: tt.connection, Scopes: SplitScopes(tt.scopes), MaxScopes: SplitScopes(tt.most)}.Prepare()
		if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %q within %q: %v, want %q", tt.connection, tt.scopes, tt.most, err, tt.want)
		}
	}
	if _, err := (Request{Connection: "a", Scopes: []string{"a"}, MaxScopes: []string{}}).Prepare(); err == nil {
		t.Error("no scope at all includes one")
	}
}

func TestAccountsOfTooManyScopesAreUnknownAndNotCut(t *testing.T) {
	numbered := func(n int) []string {
		list := make([]string, n)
		for i := range list {
			list[i] = fmt.Sprint("s", i)
		}
		return list
	}
	long := strings.Repeat("x", 8<<10)
	for name, tt := range map[string]struct {
		lists []string
		want  int
	}{
		"none": {nil, 0}, "an empty text": {[]string{""}, 0}, "separators": {[]string{" ,", ";"}, 0},
		"256": {numbered(256), 256}, "257": {numbered(257), 0},
		"256 in a text": {[]string{strings.Join(numbered(256), ",")}, 256}, "257 in a text": {[]string{strings.Join(numbered(257), "\n")}, 0},
		"257 times the same": {[]string{strings.Repeat("a ", 257)}, 0},
		"8 KiB":              {[]string{long}, 1}, "a byte more": {[]string{long + "x"}, 0}, "a byte more in two": {[]string{long[1:], "x"}, 0},
		"a list in a list": {[]string{"a,b", "c"}, 3},
	} {
		if got := GrantedScopes(tt.lists...); len(got) != tt.want || (got == nil) != (tt.want == 0) {
			t.Errorf("%s: %d scopes, want %d", name, len(got), tt.want)
		}
	}
}

// TestAProviderThatTellsScopesWithoutEndCostsNobodyAnything: such an answer passes
// `scopes`, fails `max_scopes`, and says so shortly.
func TestAProviderThatTellsScopesWithoutEndCostsNobodyAnything(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		var told strings.Builder
		for i := range 46_000 {
			fmt.Fprintf(&told, "%x,", i)
		}
		s.serveVault(minting(object{"scope": told.String()}))
		c, caller := s.client(t, Config{}), alice(t, "raw")
		if token := mustToken(t, c, caller, Request{Connection: "google-oauth2", Scopes: []string{"read"}}); token.Scopes != nil {
			t.Errorf("%d scopes are kept", len(token.Scopes))
		}
		_, err := c.Token(t.Context(), caller, Request{Connection: "google-oauth2", MaxScopes: []string{"scope1"}})
		if e := refused(t, err, CodeScopeExcess); e.Reason != "scopes_unknown" || !strings.Contains(e.Error(), "46000") || len(e.Error()) > 200 {
			t.Errorf("got %d bytes: %.200s", len(e.Error()), e)
		}

		s.serveVault(minting(object{"scope": strings.Repeat("x", 5000) + strings.Repeat(" more", 250)}))
		c.Forget("auth0|alice", "google-oauth2")
		_, err = c.Token(t.Context(), caller, Request{Connection: "google-oauth2", MaxScopes: []string{"scope1"}})
		if e := refused(t, err, CodeScopeExcess); e.Reason != "scopes_exceeded" || !strings.Contains(e.Error(), "251") || len(e.Error()) > 400 {
			t.Errorf("got %d bytes: %.400s", len(e.Error()), e)
		}
	})
}

// demanding are a client, a caller whose kept token has 256 scopes, and a prepared
// request for 20 of them and no more than all.
func demanding(t testing.TB) (*Client, *AccessToken, Request) {
	t.Helper()
	s := newTenant()
	all := make([]string, maxGrantedScopes)
	for i := range all {
		all[i] = fmt.Sprintf("https://graph.microsoft.com/S.%d", i)
	}
	s.serveVault(minting(object{"scope": strings.ReplaceAll(strings.Join(all, " "), graph, "")}))
	c, caller := s.client(t, Config{TenantBudget: 1e9}), alice(t, "raw")
	req, err := Request{Connection: "windowslive", Scopes: all[:20], MaxScopes: all}.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	mustToken(t, c, caller, req)
	return c, caller, req
}

// TestAWarmCallComparesNothing: comparing makes sets, and sets take memory.
func TestAWarmCallComparesNothing(t *testing.T) {
	c, caller, req := demanding(t)
	allocations := func(req Request) float64 {
		return testing.AllocsPerRun(100, func() { mustToken(t, c, caller, req) })
	}
	nothing := allocations(Request{Connection: req.Connection})
	if got := allocations(req); got > nothing {
		t.Errorf("a prepared request allocates %v times, one without scopes %v", got, nothing)
	}
	if got := allocations(Request{Connection: req.Connection, Scopes: req.Scopes}); got <= nothing {
		t.Error("this test sees no comparison")
	}
}

// TestAnAnswerRemembersAsManyVerdictsAsRoutesNeed: reloads do not add up.
func TestAnAnswerRemembersAsManyVerdictsAsRoutesNeed(t *testing.T) {
	granted := &answer{token: &Token{Scopes: []string{"a"}}}
	for i := range 100 {
		req, err := Request{Scopes: []string{"a", "b"}[i%2 : i%2+1]}.Prepare()
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if _, err := granted.judge(req); (err == nil) != (i%2 == 0) {
				t.Fatalf("request %d: %v", i, err)
			}
		}
		n := 0
		for v := granted.verdicts.Load(); v != nil; v = v.others {
			n++
		}
		if n > maxVerdicts+1 {
			t.Fatalf("%d verdicts", n)
		}
	}
}

func TestWhatIsPreparedDoesNotChangeWithTheLists(t *testing.T) {
	s := newTenant()
	s.serveVault(minting(object{"scope": "a"}))
	c, caller, scopes := s.client(t, Config{}), alice(t, "raw"), []string{"a"}
	req, err := Request{Connection: "acme", Scopes: scopes, MaxScopes: scopes}.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	scopes[0] = "b"
	mustToken(t, c, caller, req)
	if req.Scopes[0] != "a" {
		t.Error("the request changed")
	}
}
