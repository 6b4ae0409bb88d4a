package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"

	_ "github.com/tokenvault/caddy-token-vault/caddymodule"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// The roles that this program has as a child, and how it is told.
const (
	roleVariable   = "TOKEN_VAULT_BENCH_ROLE"
	configVariable = "TOKEN_VAULT_BENCH_CONFIG"
	dirVariable    = "TOKEN_VAULT_BENCH_DIR"

	roleCaddy   = "caddy"
	roleSidecar = "sidecar"
)

// play plays a role until standard input ends. Then it exits.
func play(role string) error {
	signal.Ignore(os.Interrupt) // Ctrl-C goes to all of us, and the parent ends us
	config := os.Getenv(configVariable)
	var service string
	var err error
	switch role {
	case roleCaddy:
		err = playCaddy(config)
	case roleSidecar:
		service, err = playSidecar(config)
	default:
		err = errors.New("no role " + role)
	}
	if err != nil {
		return err
	}
	control, err := listenAndServe(controls())
	if err != nil {
		return err
	}
	fmt.Println(control, service)
	_, _ = io.Copy(io.Discard, os.Stdin)
	os.Exit(0)
	return nil
}

// playCaddy runs Caddy with a Caddyfile, which touches nobody else's files.
func playCaddy(caddyfile string) error {
	dir := os.Getenv(dirVariable)
	caddy.DefaultStorage.Path = dir
	caddy.ConfigAutosavePath = filepath.Join(dir, "autosave.json")
	config, _, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(caddyfile), map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return err
	}
	return caddy.Load(config, true)
}

// sidecarConfig is what differs from one sidecar to the next.
type sidecarConfig struct {
	Domain     string
	Algorithms []string
}

// playSidecar serves what forward_auth asks: it verifies the agent's token, gets
// the user's token at the provider, and answers with the header to copy. It is
// the module's own engine, as quick as one can have it behind a second proxy hop.
func playSidecar(config string) (address string, err error) {
	var c sidecarConfig
	if err := json.Unmarshal([]byte(config), &c); err != nil {
		return "", err
	}
	client, err := vault.New(vault.Config{
		Domain: c.Domain, Audience: audience, ClientID: vaultID, Algorithms: c.Algorithms,
		ClientSecret: vault.NewSecret(os.Getenv("AUTH0_CLIENT_SECRET")),
	})
	if err != nil {
		return "", err
	}
	return listenAndServe(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		token, err := exchange(r.Context(), client, r.Header.Get("Authorization"))
		if err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		w.Header().Set("Authorization", "Bearer "+token.Reveal())
	}))
}

func exchange(ctx context.Context, client *vault.Client, authorization string) (*vault.Token, error) {
	caller, err := client.Verify(ctx, strings.TrimPrefix(authorization, "Bearer "))
	if err != nil {
		return nil, err
	}
	if caller.ClientID != agentID {
		return nil, errors.New("not an agent of ours")
	}
	return client.Token(ctx, caller, vault.Request{Connection: connection, Scopes: []string{calendar}})
}

func listenAndServe(handler http.Handler) (address string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return listener.Addr().String(), nil
}

// controls answer questions about this process.
func controls() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/now", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, readState()) })
	mux.HandleFunc("/settled", func(w http.ResponseWriter, _ *http.Request) {
		for range 5 { // stacks shrink by half each time
			runtime.GC()
		}
		writeJSON(w, readState())
	})
	return mux
}

func readState() state {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return state{Memory: stats.HeapAlloc + stats.StackInuse, Goroutines: runtime.NumGoroutine(), CPU: readCPUTime().ours}
}
