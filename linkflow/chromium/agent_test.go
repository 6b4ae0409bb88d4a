package chromium

import (
	"bufio"
	"bytes"
	"io"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// root is the checkout, from here.
const root = "../.."

// TestAgentResumes is the whole story in processes of their own: the quickstart,
// an agent that is refused, its user in a browser, and the agent going on.
func TestAgentResumes(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "./examples/quickstart", "./examples/agent")
	build.Dir = root
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	quickstart := start(t, filepath.Join(dir, "quickstart"))
	token := quickstart.find(`TOKEN=(\S+)`)
	for _, c := range []struct {
		service
		api, result string
	}{
		{google, "/google/calendar/v3/calendars/primary/events", `Coffee with the team`},
		{github, "/github/user/repos", `"full_name"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newTab(t)
			agent := start(t, filepath.Join(dir, "agent"), "-token", token, "http://localhost:8080"+c.api)
			link := agent.find(`(http://localhost:8080/auth/connect\?ticket=\S+)`)
			b.toConsent(c.service, link)
			clicked := time.Now()
			b.press(buttonAllow)
			agent.find(`(` + c.result + `)`)
			took := time.Since(clicked)
			t.Logf("the agent had its answer %v after the person's last click", took.Round(time.Millisecond))
			if took > time.Second {
				t.Errorf("the agent took %v, want less than a second", took)
			}
			b.see(c.donePage())
		})
	}
}

// process is a program that runs until the test ends.
type process struct {
	*testing.T
	name  string
	lines chan string
	said  bytes.Buffer
}

func start(t *testing.T, program string, args ...string) *process {
	t.Helper()
	p := &process{T: t, name: filepath.Base(program), lines: make(chan string, 1000)}
	cmd := exec.Command(program, args...)
	cmd.Dir = root
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // should this process be killed
	out, in := io.Pipe()
	cmd.Stdout, cmd.Stderr = in, in
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			p.lines <- lines.Text()
		}
	}()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = cmd.Wait()
		_ = in.Close()
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-ended
		}
	})
	return p
}

// find waits for a line that matches, and returns what the first group does.
func (p *process) find(pattern string) string {
	p.Helper()
	expr := regexp.MustCompile(pattern)
	timeout := time.After(patience)
	for {
		select {
		case line, more := <-p.lines:
			if !more {
				p.Fatalf("%s ended, and did not say %s:\n%s", p.name, pattern, p.said.String())
			}
			p.said.WriteString(line + "\n")
			if m := expr.FindStringSubmatch(line); m != nil {
				return m[1]
			}
		case <-timeout:
			p.Fatalf("%s does not say %s:\n%s", p.name, pattern, strings.TrimSpace(p.said.String()))
		}
	}
}
