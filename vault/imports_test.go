package vault

import (
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// banned are imports that would take this package away from other programs.
var banned = map[string]string{
	"github.com/caddyserver":             "it serves any Go program",
	"go.uber.org/zap":                    "it does not log",
	"log":                                "it does not log",
	"github.com/prometheus":              "its callers measure",
	"github.com/tokenvault":              "it stands below the project's other packages, and the local tenant is for tests",
	"github.com/auth0":                   "it speaks Auth0's protocol itself",
	"math/rand":                          "nothing here may be guessed",
	"encoding/json":                      "it folds case and takes duplicate names",
	"github.com/go-jose/go-jose/v4/jwt":  "it takes a token without expiry",
	"github.com/stretchr/testify/assert": "tests use the standard library",
}

func TestThePackageStandsAlone(t *testing.T) {
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		if !strings.HasSuffix(file.Name(), ".go") || strings.HasSuffix(file.Name(), "_test.go") {
			continue
		}
		parsed, err := parser.ParseFile(token.NewFileSet(), file.Name(), nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			path, _ := strconv.Unquote(spec.Path.Value)
			for ban, why := range banned {
				if path == ban || strings.HasPrefix(path, ban+"/") && path != "log/slog" {
					t.Errorf("%s imports %s: %s", file.Name(), path, why)
				}
			}
		}
	}
}

// TestTheWalkNamesEveryFileOnce holds the package comment's order of reading to what
// there is to read.
func TestTheWalkNamesEveryFileOnce(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	_, walk, _ := strings.Cut(string(doc), "// # Where to read on")
	named := make(map[string]int)
	for _, name := range regexp.MustCompile(`\w+\.go`).FindAllString(walk, -1) {
		named[name]++
	}
	files, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		name := file.Name()
		if strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, "_test.go") && name != "doc.go" {
			if named[name] != 1 {
				t.Errorf("%s is named %d times", name, named[name])
			}
			delete(named, name)
		}
	}
	for name := range named {
		t.Errorf("there is no %s", name)
	}
}
