package tenantsetup

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// unbreakable are the checks that no tenant makes wrong: what they are about is
// there or cannot be seen.
var unbreakable = map[string]string{
	"management.scopes": "TestDoctorSaysWhatItsTokenDoesNotShow",
	"link.action":       "TestDoctorSaysWhatItCannotSeeOfLinking",
	"link.par":          "TestDoctorSaysWhatItCannotSeeOfLinking",
}

// documented are the checks that the package comment lists.
func documented(t *testing.T) (ids []string) {
	t.Helper()
	text, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(text), "\n// # Checks\n//\n")
	list, _, _ = strings.Cut(list, "\n//\n")
	for _, match := range regexp.MustCompile(`(?m)^//\t([a-z_.]+) {2,}`).FindAllStringSubmatch(list, -1) {
		ids = append(ids, match[1])
	}
	return ids
}

// A check that is added has to be documented and to have a tenant that breaks it.
func TestEachCheckIsDocumentedAndTried(t *testing.T) {
	sources, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	groups := []string{"client", "link", "agents", "my_account", "management_api"} // of checks that several share
	written := make(map[string]bool)
	for _, file := range sources {
		if strings.HasSuffix(file.Name(), "_test.go") || !strings.HasSuffix(file.Name(), ".go") {
			continue
		}
		text, err := os.ReadFile(file.Name())
		if err != nil {
			t.Fatal(err)
		}
		for _, match := range regexp.MustCompile(`"((?:client|link|agents|api|my_account|management|management_api|connection|tenant|user)\.[a-z_]+)"|id(?:, where|, found)? = "([a-z]+)"`).FindAllSubmatch(text, -1) {
			written[string(match[1])+string(match[2])] = true
		}
		for _, match := range regexp.MustCompile(`group *\+ *"(\.[a-z_]+)"`).FindAllSubmatch(text, -1) {
			for _, group := range groups {
				if id := group + string(match[1]); slices.Contains(documented(t), id) {
					written[id] = true
				}
			}
		}
	}
	for _, id := range documented(t) {
		tried := slices.ContainsFunc(broken, func(b wrongSetting) bool { return b.check == id })
		if _, cannot := unbreakable[id]; tried == cannot {
			t.Errorf("%s is tried: %v, and cannot be: %v", id, tried, cannot)
		}
		if !written[id] {
			t.Errorf("%s is documented, and no check says it", id)
		}
		delete(written, id)
	}
	for id := range written {
		t.Errorf("%s is not documented", id)
	}
}

// Each line for Auth0's command line mends what it stands under, by itself: setup
// makes the same calls, and some people make them by hand.
func TestEachLineOfDoctorMendsWhatItStandsUnder(t *testing.T) {
	for _, w := range ways() {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			tenant := quick(t, w.tenant)
			n := managed(tenant)
			w.needs(n)
			for range 20 { // one line makes it possible to see what is wrong next
				findings := allWrong(t, n)
				at := slices.IndexFunc(findings, func(f Finding) bool { return f.CLI != "" })
				if at < 0 {
					return
				}
				f := findings[at]
				obey(t, n, f, runLine(t, tenant, f.CLI))
				if slices.ContainsFunc(allWrong(t, n), func(g Finding) bool { return g.Check == f.Check && g.Subject == f.Subject && g.CLI == f.CLI }) {
					t.Fatalf("after %s doctor still finds %+v", f.CLI, f)
				}
			}
			t.Errorf("there is no end of lines")
		})
	}
}

// obey puts what a line has made into the configuration, as the finding says.
func obey(t *testing.T, n *Needs, f Finding, answer []byte) {
	t.Helper()
	var made struct {
		ClientID     string `json:"client_id"`
		ClientSecret string `json:"client_secret"`
	}
	if len(answer) > 0 && answer[0] == '{' {
		if err := json.Unmarshal(answer, &made); err != nil {
			t.Fatal(err)
		}
	}
	switch {
	case f.Check == "client.exists", f.Check == "client.linked":
		n.Exchange.ID, n.Exchange.Secret = made.ClientID, vault.NewSecret(made.ClientSecret)
	case f.Check == "link.exists":
		n.Link.Client.ID, n.Link.Client.Secret = made.ClientID, vault.NewSecret(made.ClientSecret)
	case f.Check == "agents.exist":
		n.Agents[slices.IndexFunc(n.Agents, func(a Agent) bool { return a.ID == f.Subject })].ID = made.ClientID
	}
}
