package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test/browser"
)

// What somebody has to read who follows a request through the product: the files
// that it touches, their lines, whole, and the functions.
type walk struct {
	files     map[string]int // lines by file
	functions []string
}

func (w walk) lines() (sum int) {
	for _, lines := range w.files {
		sum += lines
	}
	return sum
}

// TestTheWaysOfARequestAreShort measures what a reader of the code goes through. The
// same program is run twice, with one step more the second time; what only the second
// run touched, in whatever goroutine, is the way of that step.
func TestTheWaysOfARequestAreShort(t *testing.T) {
	caddy := buildWithCoverage(t)
	call := func(w *world) { w.callWithoutAccount() }
	connect := func(w *world) { w.connect(w.callWithoutAccount()) }
	loaded, called, connected := touched(t, caddy, func(*world) {}), touched(t, caddy, call), touched(t, caddy, connect)

	cold := wayOf(t, called, loaded)
	t.Logf("a cold 401: %d files, %d lines, %d functions", len(cold.files), cold.lines(), len(cold.functions))
	for _, file := range slices.Sorted(maps.Keys(cold.files)) {
		t.Logf("  %4d %s", cold.files[file], file)
	}
	if len(cold.files) > maxColdFiles || cold.lines() > maxColdLines || len(cold.functions) > maxColdFunctions {
		t.Errorf("a cold 401 leads through %d files, %d lines and %d functions", len(cold.files), cold.lines(), len(cold.functions))
	}
	connecting := wayOf(t, connected, called)
	t.Logf("from the ticket to the account: %d files, %d lines, %d functions", len(connecting.files), connecting.lines(), len(connecting.functions))
	for _, file := range slices.Sorted(maps.Keys(connecting.files)) {
		t.Logf("  %4d %s", connecting.files[file], file)
	}
	if len(connecting.files) > maxConnectFiles {
		t.Errorf("from the ticket to the account there are %d files", len(connecting.files))
	}
}

// The bounds are what was reached; a change that needs more says why.
const (
	maxColdFiles     = 28
	maxColdLines     = 5400
	maxColdFunctions = 138
	maxConnectFiles  = 38
)

// checkoutDir is the root of the module that is measured.
func checkoutDir(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(checkout)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func buildWithCoverage(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "caddy")
	build := exec.CommandContext(t.Context(), "go", "build", "-cover", "-covermode=atomic", "-coverpkg=./...", "-o", program, "./examples/caddy")
	build.Dir = checkoutDir(t)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v: %s", err, out)
	}
	return program
}

// world is a Caddy with the top-level Caddyfile beside the local tenant.
type world struct {
	t     *testing.T
	base  string
	token string
}

// touched runs Caddy, plays, stops it, and returns where its coverage is.
func touched(t *testing.T, caddy string, play func(*world)) string {
	t.Helper()
	port := freeTestPort(t)
	seeds := auth0test.Seeds()
	for i := range seeds.Clients {
		for k, callback := range seeds.Clients[i].Callbacks {
			seeds.Clients[i].Callbacks[k] = strings.Replace(callback, ":8080", ":"+port, 1)
		}
	}
	tenant := auth0test.NewServer(seeds)
	defer tenant.Close()
	tokens, err := tenant.IssueToken(auth0test.TokenRequest{User: "alice@example.com", ClientID: agentID, Audience: audience})
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(checkoutDir(t), "Caddyfile"))
	if err != nil {
		t.Fatal(err)
	}
	dir, cover := t.TempDir(), t.TempDir()
	config := filepath.Join(dir, "Caddyfile")
	if err := os.WriteFile(config, bytes.ReplaceAll(text, []byte(":8080"), []byte(":"+port)), 0o600); err != nil {
		t.Fatal(err)
	}
	run := exec.CommandContext(t.Context(), caddy, "run", "--config", config, "--adapter", "caddyfile")
	run.Env = append(os.Environ(), "GOCOVERDIR="+cover, "XDG_DATA_HOME="+dir, "XDG_CONFIG_HOME="+dir, "CADDY_ADMIN=off",
		"AUTH0_DOMAIN="+tenant.URL, "GOOGLE_UPSTREAM="+tenant.GoogleURL, "GITHUB_UPSTREAM="+tenant.GitHubURL,
		"AUTH0_CLIENT_SECRET="+vaultKey, "AUTH0_LINK_CLIENT_SECRET=link-pages-secret")
	output := &tail{}
	run.Stdout, run.Stderr = output, output
	if err := run.Start(); err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, base: "http://localhost:" + port, token: tokens.AccessToken}
	for !listens(port) {
		if t.Context().Err() != nil || run.ProcessState != nil {
			t.Fatalf("Caddy does not listen: %s", output)
		}
		time.Sleep(20 * time.Millisecond)
	}
	play(w)
	if err := run.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := run.Wait(); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return cover
}

func freeTestPort(t *testing.T) string {
	t.Helper()
	port, err := freePort()
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(port)
}

func listens(port string) bool {
	conn, err := (&net.Dialer{Timeout: time.Second}).DialContext(context.Background(), "tcp", "127.0.0.1:"+port)
	if err != nil {
		return false
	}
	_ = conn.Close()
	return true
}

// callWithoutAccount makes the agent's call, and returns the link that it gets.
func (w *world) callWithoutAccount() string {
	w.t.Helper()
	req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, w.base+"/google/calendar/v3/calendars/primary/events", nil)
	if err != nil {
		w.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, _ := io.ReadAll(resp.Body)
	var answer struct {
		Error   string `json:"error"`
		LinkURL string `json:"link_url"`
	}
	if err := json.Unmarshal(body, &answer); err != nil || answer.Error != "link_required" {
		w.t.Fatalf("%d: %s", resp.StatusCode, body)
	}
	return answer.LinkURL
}

// connect is what the person does with it.
func (w *world) connect(link string) {
	w.t.Helper()
	person := browser.New()
	page, err := person.Open(w.t.Context(), link)
	for _, values := range []url.Values{nil, {"username": {"alice@example.com"}, "password": {"alice-password"}}, {"action": {"connect"}}, {"action": {"allow"}}} {
		if err == nil {
			page, err = person.Submit(w.t.Context(), page, values)
		}
	}
	if err != nil {
		w.t.Fatal(err)
	}
	if page.Status != http.StatusOK || !strings.HasPrefix(page.URL.String(), w.base) || !strings.Contains(page.URL.Path, "done") {
		w.t.Fatalf("the browser ended at %s with %d", page.URL.Redacted(), page.Status)
	}
}

var (
	coverBlock = regexp.MustCompile(`^(.+\.go:[0-9.,]+ [0-9]+) ([0-9]+)$`)
	coverFunc  = regexp.MustCompile(`^(.+\.go):[0-9]+:\s+(\S+)\s+([0-9.]+)%$`)
)

// wayOf is what the run whose coverage is in later touched and that in earlier did not.
func wayOf(t *testing.T, later, earlier string) walk {
	t.Helper()
	before := make(map[string]bool)
	for block, count := range blocks(t, earlier) {
		before[block] = count != "0"
	}
	profile := filepath.Join(t.TempDir(), "profile")
	var text strings.Builder
	text.WriteString("mode: set\n")
	for block, count := range blocks(t, later) {
		hit := "0"
		if count != "0" && !before[block] {
			hit = "1"
		}
		fmt.Fprintf(&text, "%s %s\n", block, hit)
	}
	if err := os.WriteFile(profile, []byte(text.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	w := walk{files: make(map[string]int)}
	root := checkoutDir(t)
	for line := range strings.Lines(goTool(t, "cover", "-func="+profile)) {
		match := coverFunc.FindStringSubmatch(strings.TrimSpace(line))
		if match == nil || match[3] == "0.0" {
			continue
		}
		file := strings.TrimPrefix(match[1], "github.com/tokenvault/caddy-token-vault/")
		source, err := os.ReadFile(filepath.Join(root, file))
		if err != nil {
			t.Fatal(err)
		}
		w.files[file] = bytes.Count(source, []byte("\n"))
		w.functions = append(w.functions, file+" "+match[2])
	}
	return w
}

// blocks are those of a run, with how often each was run.
func blocks(t *testing.T, cover string) map[string]string {
	t.Helper()
	profile := filepath.Join(t.TempDir(), "profile")
	goTool(t, "covdata", "textfmt", "-i="+cover, "-o="+profile)
	file, err := os.Open(profile)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	found := make(map[string]string)
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if match := coverBlock.FindStringSubmatch(lines.Text()); match != nil {
			found[match[1]] = match[2]
		}
	}
	return found
}

func goTool(t *testing.T, args ...string) string {
	t.Helper()
	tool := exec.CommandContext(t.Context(), "go", append([]string{"tool"}, args...)...)
	tool.Dir = checkoutDir(t)
	out, err := tool.CombinedOutput()
	if err != nil {
		t.Fatalf("go tool %v: %v: %s", args, err, out)
	}
	return string(out)
}
