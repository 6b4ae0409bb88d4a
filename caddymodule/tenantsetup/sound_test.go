package tenantsetup

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// others adds what is nobody's of ours, much of it like ours.
func others(cfg *auth0test.Config) {
	const elsewhere = "https://elsewhere.example.com/"
	cfg.ResourceServers = append(cfg.ResourceServers, auth0test.ResourceServer{
		ID: "another-api", Name: "Agents", Identifier: elsewhere, SigningAlg: "PS256", TokenLifetime: 60,
		Scopes:                   []auth0test.Scope{{Value: "read:calendar", Description: "theirs"}},
		SubjectTypeAuthorization: &auth0test.SubjectTypeAuthorization{User: &auth0test.AccessPolicy{Policy: "deny_all"}},
	})
	cfg.Clients = append(cfg.Clients,
		auth0test.Client{
			ClientID: "another-exchange", ClientSecret: "another-exchange-secret", Name: "Token Vault exchange", AppType: "resource_server",
			ResourceServerIdentifier: elsewhere,
		},
		auth0test.Client{
			ClientID: "another-web", ClientSecret: "another-web-secret-of-theirs", Name: "Token Vault", AppType: "regular_web",
			Callbacks: []string{"https://elsewhere.example.com/auth/callback"}, AllowedLogoutURLs: []string{"https://elsewhere.example.com/"},
			JWTConfiguration: &auth0test.JWTConfig{Alg: "HS256", LifetimeInSeconds: 77}, ClientMetadata: map[string]any{"team": "theirs"},
		},
		auth0test.Client{
			ClientID: "registered-agent", Name: "Demo Agent", AppType: "native", IsFirstParty: new(false), TokenEndpointAuthMethod: "none",
		},
		auth0test.Client{
			ClientID: "registered-web", ClientSecret: "registered-web-secret", Name: "Token Vault", AppType: "regular_web", IsFirstParty: new(false),
			Callbacks: []string{"http://localhost:8080/auth/callback"}, AllowedLogoutURLs: []string{"http://localhost:8080/auth/accounts"},
		},
	)
	cfg.ClientGrants = append(cfg.ClientGrants, auth0test.ClientGrant{
		ID: "another-grant", ClientID: "another-web", Audience: elsewhere, Scope: []string{"read:calendar"}, SubjectType: "user",
	})
	cfg.Connections = append(cfg.Connections, auth0test.Connection{
		ID: "another-connection", Name: "another", Strategy: "github", EnabledClients: []string{"another-web"}, Authentication: &auth0test.Active{Active: false},
		Options: map[string]any{"client_secret": "another-provider-secret", "scope": []any{"repo"}},
	})
	for i := range cfg.Connections { // what setup knows nothing about
		c := &cfg.Connections[i]
		c.Metadata = map[string]any{"team": "ours"}
		if c.Options != nil {
			c.Options["set_user_root_attributes"] = "on_first_login"
		}
		if c.EnabledClients != nil {
			c.EnabledClients = append(c.EnabledClients, "another-web")
		}
	}
}

// A way is a tenant and a configuration that a run has to cope with.
type way struct {
	name   string
	tenant func(*auth0test.Config)
	needs  func(*Needs)
}

// ways are an empty tenant, each wrong setting alone, and several at once.
func ways() []way {
	all := []way{
		{"an empty tenant", empty, func(n *Needs) { n.CreateAgents = true }},
		{"an empty tenant, and identities to link", empty, func(n *Needs) {
			n.CreateAgents, n.Permissions, n.Link.Via, n.Linker = true, []string{"read:calendar"}, "management", n.Management.ID
			n.Agents = append(n.Agents, Agent{ID: "another", Name: "Another", IDVariable: "ANOTHER"})
		}},
	}
	var usable []int
	for i, b := range broken {
		if b.check != "discovery" && b.check != "management.credentials" { // without them there is no setup
			usable = append(usable, i)
			all = append(all, together(i))
		}
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 80 {
		random.Shuffle(len(usable), func(i, j int) { usable[i], usable[j] = usable[j], usable[i] })
		if w := together(usable[:2+random.IntN(3)]...); w.possible() {
			all = append(all, w)
		}
	}
	return all
}

// together makes some of the wrong settings.
func together(some ...int) way {
	some = slices.Clone(some)
	var names []string
	for _, i := range some {
		names = append(names, broken[i].name)
	}
	return way{strings.Join(names, ", and "), func(cfg *auth0test.Config) {
		for _, i := range some {
			if change := broken[i].tenant; change != nil {
				change(cfg)
			}
		}
	}, func(n *Needs) {
		for _, i := range some {
			if change := broken[i].needs; change != nil {
				change(n)
			}
		}
	}}
}

// possible tells whether the settings go together: some take away what others
// change.
func (w way) possible() (ok bool) {
	defer func() { ok = recover() == nil && ok }()
	cfg := auth0test.Seeds()
	w.tenant(&cfg)
	_, err := auth0test.New(cfg, auth0test.URLs{Issuer: "http://127.0.0.1:1"})
	return err == nil
}

// What is true of every run of setup, whatever it finds.
func TestSetupIsSound(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			tenant := wired(t, func(cfg *auth0test.Config) {
				w.tenant(cfg)
				others(cfg)
			})
			n := managed(tenant.Server)
			w.needs(n)
			sound(t, tenant, n)
		})
	}
}

func sound(t *testing.T, tenant *wire, n *Needs) {
	t.Helper()
	before := tenant.Config()
	var planned, told bytes.Buffer
	progress := NewProgress(&told, false)
	plan, err := Prepare(t.Context(), n, progress)
	if err != nil {
		t.Fatal(err)
	}
	WritePlan(&planned, plan)
	foreseen := foresee(t, n, plan)
	out := carryOut(t, t.Context(), n, plan, progress)
	WriteOutcome(&told, plan, out, "new.env")
	if out.Err != nil || len(out.Refused) > 0 || len(out.Done) != len(plan.Changes) {
		t.Fatalf("%+v", out)
	}
	sentAsPlanned(t, tenant.writes, plan, planned.String())
	changedAsPlanned(t, before, tenant.Config(), plan)

	if len(plan.Adopted) > 0 { // somebody looks the secrets up
		knowSecrets(tenant.Config(), n)
	}
	report, err := Examine(t.Context(), n, progress)
	if err != nil {
		t.Fatal(err)
	}
	WriteText(&told, []*Report{report})
	if err := WriteJSON(&told, []*Report{report}); err != nil {
		t.Error(err)
	}
	asForeseen(t, foreseen, report.Findings)
	if got, left := problems(report.Findings), problems(plan.ByHand); !slices.Equal(got, left) {
		t.Errorf("afterwards doctor finds %q, and %q was left to people", got, left)
	}
	if again := prepare(t, n); len(again.Changes)+len(again.Adopted) > 0 || !slices.Equal(problems(again.ByHand), problems(report.Findings)) {
		t.Errorf("a second run would do %+v", again)
	}
	for _, secret := range secretsOf(before, tenant.Config()) {
		if strings.Contains(planned.String()+told.String(), secret) {
			t.Errorf("%s was printed", secret)
		}
	}
}

// knowSecrets puts secrets of the tenant's into the configuration, as somebody does
// who has looked them up.
func knowSecrets(cfg auth0test.Config, n *Needs) {
	n.Exchange.Secret = vault.NewSecret(client(&cfg, n.Exchange.ID).ClientSecret)
	n.Link.Client.Secret = vault.NewSecret(client(&cfg, n.Link.Client.ID).ClientSecret)
}

// problems are the checks, with their subjects, of what is wrong.
func problems(findings []Finding) (all []string) {
	for _, f := range findings {
		if f.Status == StatusWrong {
			all = append(all, f.Check+" "+f.Subject)
		}
	}
	return all
}

// foresee is what doctor would find if a plan were carried out, by the plan's own
// idea of what Auth0 makes of it.
func foresee(t *testing.T, n *Needs, plan *Plan) []Finding {
	t.Helper()
	o, _, err := examine(t.Context(), n, silent)
	if err != nil {
		t.Fatal(err)
	}
	n = n.clone()
	adopt(n, o)
	o = o.clone()
	for _, change := range plan.Changes {
		if err := o.simulate(n, &change); err != nil {
			t.Fatal(err)
		}
	}
	return check(n, o)
}

// asForeseen compares what doctor finds with what was foreseen, but for the secrets
// of new applications, which nobody had.
func asForeseen(t *testing.T, foreseen, found []Finding) {
	t.Helper()
	short := func(findings []Finding) (all []string) {
		for _, f := range findings {
			if f.Check == "client.secret" || f.Check == "link.secret" {
				continue
			}
			if strings.HasPrefix(f.Check, "agents.") {
				f.Subject = "" // ids of new ones
			}
			all = append(all, fmt.Sprint(f.Check, " ", f.Status, " ", f.Subject, ": ", f.Found))
		}
		return all
	}
	if a, b := short(foreseen), short(found); !slices.Equal(a, b) {
		t.Errorf("foreseen:\n%s\nfound:\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
}

// sentAsPlanned: what went over the wire is what the plan shows, in its order.
func sentAsPlanned(t *testing.T, writes []written, plan *Plan, planned string) {
	t.Helper()
	if len(writes) != len(plan.Changes) {
		t.Fatalf("%d changes were planned, and these calls made: %q", len(plan.Changes), writes)
	}
	for i, change := range plan.Changes {
		sent := writes[i]
		if strings.Contains(sent.path+sent.body, "(id of") || strings.Contains(sent.path+sent.body, "(new)") {
			t.Errorf("sent %q", sent)
		}
		if sent.method != change.Method || len(strings.Split(sent.path, "/")) != len(change.Path) {
			t.Errorf("sent %s %s, planned %+v", sent.method, sent.path, change)
		}
		if waits := strings.Contains(compact(change.Body), "(id of"); !waits && sent.body != compact(change.Body) {
			t.Errorf("sent %s, planned %s", sent.body, compact(change.Body))
		}
		at := strings.Index(planned, change.Method+" "+strings.Join(change.Path, "/")+"\n")
		if at < 0 {
			t.Fatalf("%s is not in\n%s", change.What, planned)
		}
		var members map[string]any
		_ = json.Unmarshal([]byte(sent.body), &members) // a list of clients has none
		for name := range members {
			if line := "\n    " + name + ": "; !strings.Contains(planned[at:], line) {
				t.Errorf("no %q in\n%s", line, planned[at:])
			}
		}
	}
}

// kinds are the members of a tenant's configuration, by the paths of their calls.
var kinds = map[string]string{
	"resource-servers": "resource_servers", "clients": "clients", "client-grants": "client_grants", "connections": "connections",
}

// changedAsPlanned: nothing is gone, no object has changed that the plan does not
// name, and no member that is not sent.
func changedAsPlanned(t *testing.T, before, after auth0test.Config, plan *Plan) {
	t.Helper()
	made := 0
	var allowed []string
	for _, c := range plan.Changes {
		if c.creates() {
			made++
			continue
		}
		at := kinds[c.Path[0]] + " " + c.Path[1] + " "
		if members, ok := c.Body.(map[string]any); ok {
			for name := range members {
				allowed = append(allowed, at+name)
			}
			continue
		}
		allowed = append(allowed, at+"enabled_clients")
	}
	for _, d := range differences("", plainOf(before), plainOf(after)) {
		switch {
		case d.was != nil && d.is == nil:
			t.Errorf("%s is gone: it was %v", d.at, d.was)
		case d.was == nil && strings.Count(d.at, " ") == 1 && !slices.ContainsFunc(allowed, func(a string) bool { return strings.HasPrefix(d.at, a) }):
			made--
		case !slices.ContainsFunc(allowed, func(a string) bool { return d.at == a || strings.HasPrefix(d.at, a+" ") }):
			t.Errorf("%s was %v, and is %v", d.at, d.was, d.is)
		}
	}
	if made != 0 {
		t.Errorf("%d objects more were planned than made", made)
	}
}

// difference is what differs between two tenants: a scalar, or what one has alone.
type difference struct {
	at      string // its names, with a space between
	was, is any
}

// differences compares JSON values. Elements of lists are told apart by their ids,
// or by themselves.
func differences(at string, was, is any) (all []difference) {
	if was == nil || is == nil || reflect.TypeOf(was) != reflect.TypeOf(is) {
		if !reflect.DeepEqual(was, is) {
			all = append(all, difference{at, was, is})
		}
		return all
	}
	a, b := members(was), members(is)
	if a == nil {
		if was != is {
			all = append(all, difference{at, was, is})
		}
		return all
	}
	for name := range a {
		all = append(all, differences(strings.TrimSpace(at+" "+name), a[name], b[name])...)
	}
	for name := range b {
		if _, there := a[name]; !there {
			all = append(all, difference{strings.TrimSpace(at + " " + name), nil, b[name]})
		}
	}
	return all
}

// members are the parts of an object or a list by their names; nil for a scalar.
func members(of any) map[string]any {
	switch v := of.(type) {
	case map[string]any:
		return v
	case []any:
		named := make(map[string]any, len(v))
		for _, one := range v {
			named[nameOf(one)] = one
		}
		return named
	}
	return nil
}

// nameOf is what tells an element of a list from the others.
func nameOf(one any) string {
	object, _ := one.(map[string]any)
	for _, key := range []string{"id", "client_id", "identifier", "user_id", "value", "name"} {
		if name, ok := object[key].(string); ok {
			return name
		}
	}
	return compact(one)
}

// plainOf is a tenant's configuration as JSON has it.
func plainOf(cfg auth0test.Config) (plain map[string]any) {
	if err := json.Unmarshal([]byte(compact(cfg)), &plain); err != nil {
		panic(err)
	}
	return plain
}

// secretsOf are all secrets of clients, and of theirs at providers.
func secretsOf(configs ...auth0test.Config) (secrets []string) {
	for _, cfg := range configs {
		for _, c := range cfg.Clients {
			secrets = append(secrets, c.ClientSecret)
		}
		for _, c := range cfg.Connections {
			secret, _ := c.Options["client_secret"].(string)
			secrets = append(secrets, secret)
		}
	}
	return without(secrets, func(s string) bool { return s == "" || s == "another" })
}
