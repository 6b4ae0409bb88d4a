//go:build agents

package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test/browser"
)

// everyAgent runs a test with each of the agents in examples/agent, from the root of
// the checkout.
func everyAgent(t *testing.T, test func(t *testing.T, run func(url, token string) *running)) {
	t.Chdir("../..")
	binary := filepath.Join(t.TempDir(), "agent")
	if out, err := exec.Command("go", "build", "-o", binary, "./examples/agent").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	for name, command := range map[string][]string{
		"Go": {binary}, "Python": {"python3", "examples/agent/agent.py"}, "JavaScript": {"node", "examples/agent/agent.mjs"},
	} {
		t.Run(name, func(t *testing.T) {
			test(t, func(url, token string) *running { return startAgent(t, append(command, url), token) })
		})
	}
}

// running is an agent at work.
type running struct {
	t      *testing.T
	cmd    *exec.Cmd
	out    *bufio.Reader
	errors *bytes.Buffer
}

func startAgent(t *testing.T, command []string, token string) *running {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Env = append(cmd.Environ(), "ACCESS_TOKEN="+token)
	errors := &bytes.Buffer{}
	cmd.Stderr = errors
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	return &running{t, cmd, bufio.NewReader(out), errors}
}

// link is the one that it shows.
func (r *running) link() string {
	r.t.Helper()
	for {
		line, err := r.out.ReadString('\n')
		if link, ok := strings.CutPrefix(line, "  "); ok {
			return strings.TrimSpace(link)
		}
		if err != nil {
			r.t.Fatalf("no link: %v, %s", err, r.errors)
		}
	}
}

// end is what it prints from here on, and whether it was content.
func (r *running) end() (out, errors string, ok bool) {
	r.t.Helper()
	rest, err := io.ReadAll(r.out)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(rest), r.errors.String(), r.cmd.Wait() == nil
}

func TestEveryAgentGetsItsAnswerOnceThePersonConnected(t *testing.T) {
	everyAgent(t, func(t *testing.T, start func(url, token string) *running) {
		tenant, err := auth0test.Listen(auth0test.Seeds(), tenantAddress, googleAddress, githubAddress)
		if err != nil {
			t.Fatal(err)
		}
		defer tenant.Close()
		stop, err := startCaddy(true)
		if err != nil {
			t.Fatal(err)
		}
		defer stop()
		tokens, err := tenant.IssueToken(auth0test.TokenRequest{User: user, ClientID: agentID, Audience: audience})
		if err != nil {
			t.Fatal(err)
		}
		agent := start(calls[0].url, tokens.AccessToken)
		person := &story{out: io.Discard, person: browser.New()}
		if err := person.connect(t.Context(), agent.link()); err != nil {
			t.Fatal(err)
		}
		if out, errors, ok := agent.end(); !ok || !strings.Contains(out, "Coffee with the team") {
			t.Errorf("%s%s", out, errors)
		}
	})
}

func TestEveryAgentReadsWhatItIsTold(t *testing.T) {
	everyAgent(t, func(t *testing.T, start func(url, token string) *running) {
		mux := http.NewServeMux()
		server := httptest.NewServer(mux)
		defer server.Close()
		refuse := func(w http.ResponseWriter, members map[string]string) {
			w.Header().Set("Token-Vault-Error", members["error"])
			w.WriteHeader(http.StatusUnauthorized)
			_ = json.NewEncoder(w).Encode(members)
		}
		mux.HandleFunc("/declined", func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, map[string]string{"error": "link_required", "link_url": "https://link.example.com/", "status_url": server.URL + "/status?ticket=t"})
		})
		polls := 0
		mux.HandleFunc("/status", func(w http.ResponseWriter, r *http.Request) {
			if r.Header.Get("Authorization") != "Bearer token" || r.URL.Query().Get("wait") == "" {
				t.Errorf("status asked with %v", r.URL)
			}
			status := "pending"
			if polls++; polls == 2 {
				status = "declined"
			}
			_ = json.NewEncoder(w).Encode(map[string]string{"status": status})
		})
		mux.HandleFunc("/refused", func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, map[string]string{"error": "invalid_token", "detail": "Get a new one."})
		})
		mux.HandleFunc("/own", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) })
		var brought []string
		mux.HandleFunc("/elsewhere", func(_ http.ResponseWriter, r *http.Request) { brought = r.Header["Authorization"] })
		mux.HandleFunc("/moved", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, strings.Replace(server.URL, "127.0.0.1", "localhost", 1)+"/elsewhere", http.StatusFound)
		})
		for path, want := range map[string]string{"/declined": "not connected: declined", "/refused": "invalid_token: Get a new one.", "/own": "401"} {
			agent := start(server.URL+path, "token")
			out, errors, ok := agent.end()
			if ok || !strings.Contains(errors, want) || strings.Contains(out, "https://link.example.com/") != (path == "/declined") {
				t.Errorf("%s: %s%s", path, out, errors)
			}
		}
		if _, errors, ok := start(server.URL+"/moved", "token").end(); !ok || brought != nil {
			t.Errorf("a redirect took the token elsewhere: %v, %s", brought, errors)
		}
	})
}
