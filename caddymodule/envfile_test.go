package caddymodule_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tokenvault/caddy-token-vault/caddymodule"
)

// setupInto runs setup, from nothing, with a file for the secrets.
func setupInto(t *testing.T, file string) (code int, errOut string, changes int) {
	t.Helper()
	tenant := commandTenant(t, emptyTenant)
	asManager(t)
	for _, name := range []string{"AUTH0_CLIENT_SECRET", "AUTH0_LINK_CLIENT_SECRET"} {
		t.Setenv(name, "")
	}
	code, _, errOut = command(t, t.Context(), commandCaddyfile(tenant), "setup", "--apply", "--env-file", file)
	for _, r := range tenant.Requests() {
		if strings.HasPrefix(r.Path, "/api/v2/") && r.Method != "GET" {
			changes++
		}
	}
	return code, errOut, changes
}

// privateDir is a directory for secrets, whatever the umask.
func privateDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

// Whoever can read or replace the file would have the secrets. Nothing is made at
// Auth0 before that is known.
func TestSetupKeepsSecretsInNoFileThatOthersHave(t *testing.T) {
	const before = "# somebody's\n"
	chmod := func(mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, file string) {
			if err := os.Chmod(file, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	cases := map[string]func(t *testing.T, file string){
		"everybody reads":    chmod(0o644),
		"the group reads":    chmod(0o640),
		"the group writes":   chmod(0o620),
		"everybody can list": chmod(0o601),
		"a symbolic link": func(t *testing.T, file string) {
			if err := os.Rename(file, file+"-real"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(file+"-real", file); err != nil {
				t.Fatal(err)
			}
		},
		"a link to nothing": func(t *testing.T, file string) {
			if err := os.Rename(file, file+"-real"); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(file+"-nothing", file); err != nil {
				t.Fatal(err)
			}
		},
		"a hard link": func(t *testing.T, file string) {
			if err := os.Link(file, file+"-real"); err != nil {
				t.Fatal(err)
			}
		},
		"a directory": func(t *testing.T, file string) {
			if err := os.Rename(file, file+"-real"); err != nil {
				t.Fatal(err)
			}
			if err := os.Mkdir(file, 0o700); err != nil {
				t.Fatal(err)
			}
		},
	}
	if os.Geteuid() == 0 { // who else may give files away?
		cases["somebody else's"] = func(t *testing.T, file string) {
			if err := os.Chown(file, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
	}
	for what, prepare := range cases {
		t.Run(what, func(t *testing.T) {
			dir := privateDir(t)
			file := filepath.Join(dir, "auth0.env")
			if err := os.WriteFile(file, []byte(before), 0o600); err != nil {
				t.Fatal(err)
			}
			prepare(t, file)
			code, errOut, changes := setupInto(t, file)
			if code != 2 || !strings.Contains(errOut, file+": ") || changes != 0 {
				t.Errorf("exit %d, %d changes\n%s", code, changes, errOut)
			}
			for _, name := range filesIn(t, dir, "") {
				data, err := os.ReadFile(filepath.Join(dir, name))
				if what == "a link to nothing" && os.IsNotExist(err) {
					continue
				}
				if err != nil || string(data) != before {
					t.Errorf("%s has %s, %v", name, data, err)
				}
			}
		})
	}
}

func TestWhoHasTheFileOpenReadsNoSecret(t *testing.T) {
	dir := privateDir(t)
	name := filepath.Join(dir, "auth0.env")
	if err := os.WriteFile(name, []byte("# old\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	if code, errOut, changes := setupInto(t, name); code == 2 || changes == 0 {
		t.Fatalf("exit %d, %d changes\n%s", code, changes, errOut)
	}
	if data, err := io.ReadAll(open); err != nil || string(data) != "# old\n" {
		t.Errorf("the open file has %s, %v", data, err)
	}
	data, err := os.ReadFile(name)
	if err != nil || !strings.HasPrefix(string(data), "# old\n") || !strings.Contains(string(data), "AUTH0_CLIENT_SECRET=") {
		t.Errorf("the new one has %s, %v", data, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	if left := filesIn(t, dir, ""); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
}

func TestSetupMakesNothingWhereItCannotKeepTheSecrets(t *testing.T) {
	if code, errOut, changes := setupInto(t, filepath.Join(privateDir(t), "nowhere", "auth0.env")); code != 2 || changes != 0 {
		t.Errorf("exit %d, %d changes\n%s", code, changes, errOut)
	}
}

// Whoever can put another file in its place would have commands of theirs run by the
// operator who reads it into a shell.
func TestSetupKeepsSecretsInNoDirectoryThatOthersHave(t *testing.T) {
	chmod := func(mode os.FileMode) func(*testing.T, string) {
		return func(t *testing.T, dir string) {
			if err := os.Chmod(dir, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	type way struct {
		prepare func(t *testing.T, dir string) // of way/to/auth0.env, from where way begins
		refused string                         // what is named, below dir
	}
	linked := func(t *testing.T, dir string) {
		if err := os.Rename(dir+"/way", dir+"/real"); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink("./real/to/..", dir+"/way"); err != nil {
			t.Fatal(err)
		}
	}
	at := func(below string, prepare func(*testing.T, string)) func(*testing.T, string) {
		return func(t *testing.T, dir string) { prepare(t, dir+below) }
	}
	cases := map[string]way{
		"everybody writes":                {at("/way/to", chmod(0o777)), "/way/to"},
		"the group writes":                {at("/way/to", chmod(0o770)), "/way/to"},
		"everybody writes above":          {at("/way", chmod(0o777)), "/way"},
		"everybody writes to what it is":  {func(t *testing.T, dir string) { linked(t, dir); chmod(0o777)(t, dir+"/real") }, "/real"},
		"ours":                            {chmod(0o755), ""},
		"a link of ours":                  {linked, ""},
		"as everybody's, but sticky":      {at("/way", chmod(0o777|os.ModeSticky)), ""},
		"as everybody's, but sticky last": {at("/way/to", chmod(0o777|os.ModeSticky)), ""},
	}
	if os.Geteuid() == 0 { // who else may give files away?
		chown := func(t *testing.T, name string) {
			if err := os.Lchown(name, 65534, 65534); err != nil {
				t.Fatal(err)
			}
		}
		cases["somebody else's"] = way{at("/way/to", chown), "/way/to"}
		cases["somebody else's above"] = way{at("/way", chown), "/way"}
		cases["somebody else's link"] = way{func(t *testing.T, dir string) { linked(t, dir); chown(t, dir+"/way") }, "/way"}
	}
	for what, c := range cases {
		t.Run(what, func(t *testing.T) {
			dir := privateDir(t)
			for _, private := range []string{"/way", "/way/to"} {
				if err := os.MkdirAll(dir+private, 0o700); err != nil {
					t.Fatal(err)
				}
				chmod(0o700)(t, dir+private)
			}
			c.prepare(t, dir)
			code, errOut, changes := setupInto(t, dir+"/way/to/auth0.env")
			if c.refused == "" {
				if code == 2 || changes == 0 {
					t.Errorf("exit %d, %d changes\n%s", code, changes, errOut)
				}
				return
			}
			if code != 2 || changes != 0 || !strings.Contains(errOut, dir+c.refused+": ") {
				t.Errorf("exit %d, %d changes\n%s", code, changes, errOut)
			}
			if files := filesIn(t, dir, ""); strings.Contains(fmt.Sprint(files), "auth0.env") {
				t.Errorf("there are %v", files)
			}
		})
	}
}

// Auth0 shows a secret once.
func TestSetupsAtOnceLoseNoSecret(t *testing.T) {
	dir := privateDir(t)
	name := filepath.Join(dir, "auth0.env")
	var setups sync.WaitGroup
	for setup := range 3 {
		setups.Go(func() {
			for i := range 10 {
				if _, err := fmt.Fprintf(caddymodule.EnvFile(name), "export SECRET_%d_%d=x\n", setup, i); err != nil {
					t.Error(err)
				}
			}
		})
	}
	setups.Wait()
	data, err := os.ReadFile(name)
	if n := strings.Count(string(data), "export "); err != nil || n != 30 {
		t.Errorf("%d of 30 secrets are left, %v", n, err)
	}
	if left := filesIn(t, dir, ""); len(left) != 1 {
		t.Errorf("left are %v", left)
	}
}

func TestASetupThatNeverEndedIsNamed(t *testing.T) {
	name := filepath.Join(privateDir(t), "auth0.env")
	if err := os.WriteFile(name+".lock", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		_, err := io.WriteString(caddymodule.EnvFile(name), "export SECRET=x\n")
		if err == nil || !strings.Contains(err.Error(), name+".lock: another setup") {
			t.Errorf("error %v", err)
		}
	})
}
