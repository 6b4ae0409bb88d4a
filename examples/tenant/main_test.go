package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// buffer is a bytes.Buffer for two goroutines.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// free is an address that nothing listens on.
func free(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// start runs the program until the test ends, and waits until it has printed all.
func start(t *testing.T, listen string, args ...string) (out *buffer, stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	out = &buffer{}
	ended := make(chan error, 1)
	args = append([]string{"-listen", listen, "-google", free(t), "-github", free(t)}, args...)
	go func() { ended <- run(ctx, args, out, out) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(out.String(), "/_tenant/tokens") { // the last that it prints
			return out, stop
		}
	}
	t.Fatalf("not ready: %s", out)
	return nil, nil
}

func TestProgramPrintsAllThatOneNeeds(t *testing.T) {
	listen := free(t)
	out, stop := start(t, listen)
	resp, err := http.Get("http://" + listen + "/.well-known/openid-configuration")
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("not ready: %v, %v", resp, err)
	}
	_ = resp.Body.Close()
	for _, want := range []string{
		"http://" + listen + "/\n", "alice@example.com", "alice-password", "bob@example.com", "bob-password",
		"vault-exchange-secret", "link-pages-secret", "demo-agent-secret",
		"export AUTH0_DOMAIN=http://" + listen + "\n", "export AUTH0_AUDIENCE=https://agents.example.com/\n",
		"export AUTH0_CLIENT_ID=vault-exchange\n", "export AUTH0_CLIENT_SECRET=vault-exchange-secret\n",
		"export AUTH0_LINK_CLIENT_ID=link-pages\n", "export AUTH0_LINK_CLIENT_SECRET=link-pages-secret\n",
		"export AGENT_CLIENT_ID=demo-agent\n", "export LINK_ORIGIN=http://localhost:8080\n",
		"export GOOGLE_UPSTREAM=http://127.0.0.1:", "export GITHUB_UPSTREAM=http://127.0.0.1:",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not printed: %s", want)
		}
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
	if l, err := net.Listen("tcp", listen); err != nil {
		t.Errorf("still listening: %v", err)
	} else {
		_ = l.Close()
	}
}

func TestProgramSpeaksTLSAndWritesItsCertificate(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tenant cert.pem")
	listen := free(t)
	out, _ := start(t, listen, "-tls", "-cert", file)
	for _, want := range []string{
		"export AUTH0_DOMAIN=https://" + listen + "\n", "export GOOGLE_UPSTREAM=https://127.0.0.1:", "export GITHUB_UPSTREAM=https://127.0.0.1:",
		"export SSL_CERT_FILE='" + file + "'\n", "export NODE_EXTRA_CA_CERTS='" + file + "'\n", "curl -s --cacert '" + file + "' ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not printed: %s", want)
		}
	}
	pem, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate: %s", pem)
	}
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	resp, err := client.Get("https://" + listen + "/.well-known/openid-configuration")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	client.CloseIdleConnections()
}

func TestProgramSaysWhyItRefuses(t *testing.T) {
	listen := free(t)
	out, _ := start(t, listen, "-v")
	resp, err := http.PostForm("http://"+listen+"/oauth/token", url.Values{
		"grant_type": {"client_credentials"}, "client_id": {"demo-agent"}, "client_secret": {"guess"},
	})
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	const want = " POST /oauth/token 401 client_credentials demo-agent: the secret is not that of demo-agent\n"
	if s := out.String(); !strings.Contains(s, want) || strings.Contains(s, "guess") {
		t.Errorf("printed %s", s)
	}
}

func TestProgramReadsAConfigFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tenant.json")
	config := `{"users":[{"user_id":"auth0|carol","email":"carol@example.com","password":"it's"}],
		"clients":[{"client_id":"a b","client_secret":"$HOME"}]}`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	out, _ := start(t, free(t), "-config", file)
	if s := out.String(); !strings.Contains(s, "auth0|carol") || strings.Contains(s, "alice") || !strings.Contains(s, "export AGENT_CLIENT_ID='a b'\n") {
		t.Errorf("printed %s", s)
	}
}

func TestProgramRefusesMistakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tenant.json")
	if err := os.WriteFile(file, []byte(`{"people":[]}`), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for want, args := range map[string][]string{
		"usage":               {"-nonsense"},
		`unexpected argument`: {"more"},
		"no such file":        {"-config", "/does/not/exist"},
		"tenant.json":         {"-config", file},
		l.Addr().String():     {"-listen", l.Addr().String()},
		"-cert is for -tls":   {"-cert", "x.pem"},
		"exist/x.pem":         {"-tls", "-cert", "/does/not/exist/x.pem", "-listen", "127.0.0.1:0", "-google", "127.0.0.1:0", "-github", "127.0.0.1:0"},
	} {
		var out bytes.Buffer
		if err := run(t.Context(), args, &out, &out); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestProgramStartsTheStandInsThatAreAskedFor(t *testing.T) {
	microsoft, slack := free(t), free(t)
	out, _ := start(t, free(t), "-microsoft", microsoft, "-slack", slack)
	for _, want := range []string{"export MICROSOFT_UPSTREAM=http://" + microsoft + "\n", "export SLACK_UPSTREAM=http://" + slack + "\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("not printed: %s", want)
		}
	}
	if out, _ := start(t, free(t)); strings.Contains(out.String(), "MICROSOFT") || strings.Contains(out.String(), "SLACK") {
		t.Errorf("nobody asked: %s", out)
	}
	for flag, connection := range map[string]string{"-microsoft": `"windowslive"`, "-slack": `"sign-in-with-slack"`} {
		for asked, args := range map[bool][]string{true: {flag, slack, "-print-config"}, false: {"-print-config"}} {
			var config bytes.Buffer
			if err := run(t.Context(), args, &config, &config); err != nil || strings.Contains(config.String(), connection) != asked {
				t.Errorf("%v: %v, %s", args, err, config.String())
			}
		}
	}
}
