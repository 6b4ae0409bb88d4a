package chromium

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/linkflow"
	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// Caddy takes requests with a header of 16 KiB, cookies and all. A person who opens
// links and leaves them must get through all the same.
func TestFlowsThatAreLeftShutNobodyOut(t *testing.T) {
	t.Parallel()
	origin := freeOrigin(t)
	w, b := newWorld(t, viaManagement, servedAt(origin)), newTab(t)
	w.putCaddyInFront(origin)
	for range 4 {
		b.toMerge(google, w.link(google.request).URL)
	}
	if got := eval[string](b, `() => performance.getEntriesByType('navigation')[0].nextHopProtocol`); got != "h2" {
		t.Errorf("Chromium speaks %s", got)
	}
	last := eval[string](b, `() => location.href`)
	b.open(origin + "/auth/accounts").see(signInPage)
	b.open(w.link(github.request).URL).see(github.connectPage())
	b.open(last).see(mergePage)
	b.press(buttonMerge).see(google.linkedPage())
}

// freeOrigin is an origin with https where nobody listens.
func freeOrigin(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return "https://" + l.Addr().String()
}

// servedAt has browsers see the link pages at another origin than their server's.
func servedAt(origin string) change {
	return func(seeds *auth0test.Config, cfg *linkflow.Config) {
		cfg.Origin = origin
		for i := range seeds.Clients {
			if seeds.Clients[i].ClientID == cfg.ClientID {
				seeds.Clients[i].Callbacks = []string{origin + "/auth/callback"}
			}
		}
	}
}

// putCaddyInFront has a Caddy of that origin pass requests on, with all that is default.
func (w *world) putCaddyInFront(origin string) {
	w.Helper()
	dir := w.TempDir()
	binary, config := filepath.Join(dir, "caddy"), filepath.Join(dir, "Caddyfile")
	build := exec.CommandContext(w.Context(), "go", "build", "-o", binary, "./examples/caddy")
	build.Dir = "../.."
	if out, err := build.CombinedOutput(); err != nil {
		w.Fatalf("%v: %s", err, out)
	}
	text := fmt.Sprintf(`{
	admin off
	persist_config off
	skip_install_trust
	auto_https disable_redirects
	storage file_system %s
}
%s {
	tls internal
	reverse_proxy %s {
		transport http {
			tls_insecure_skip_verify
		}
	}
}
`, filepath.Join(dir, "storage"), origin, w.site.URL)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		w.Fatal(err)
	}
	caddy := exec.CommandContext(w.Context(), binary, "run", "--config", config)
	if err := caddy.Start(); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { _ = caddy.Wait() }) // its context ends first
	deadline := time.Now().Add(30 * time.Second)
	for {
		conn, err := net.Dial("tcp", strings.TrimPrefix(origin, "https://"))
		if err == nil {
			_ = conn.Close()
			return
		}
		if time.Now().After(deadline) {
			w.Fatal("Caddy does not start")
		}
		time.Sleep(50 * time.Millisecond)
	}
}
