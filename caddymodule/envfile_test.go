package caddymodule_test

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
			dir := t.TempDir()
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
	dir := t.TempDir()
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
	if code, errOut, changes := setupInto(t, filepath.Join(t.TempDir(), "nowhere", "auth0.env")); code != 2 || changes != 0 {
		t.Errorf("exit %d, %d changes\n%s", code, changes, errOut)
	}
}
