package vault

import (
	"go/parser"
	"go/token"
	"os"
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
