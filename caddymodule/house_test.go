package caddymodule_test

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// TestImportsGoOneWay holds examples → caddymodule → linkflow → vault, and that
// nobody who uses the module gets the local tenant built in.
func TestImportsGoOneWay(t *testing.T) {
	const module = "github.com/tokenvault/caddy-token-vault/"
	host := []string{"github.com/caddyserver/", "go.uber.org/zap", "github.com/prometheus/"}
	for dir, banned := range map[string][]string{
		"../vault":                     append(host, module),
		"../linkflow":                  append(host, module+"caddymodule", module+"examples", module+"vault/auth0test"),
		"../linkflow/internal/outcome": append(host, module+"caddymodule", module+"examples", module+"linkflow", module+"vault/auth0test"),
		"../vault/auth0test":           append(host, module),
		"../caddymodule":               {module + "examples", module + "vault/auth0test"},
		"../caddymodule/tenantsetup":   append(host, module+"caddymodule", module+"examples", module+"vault/auth0test"),
		"../vault/auth0test/browser":   append(host, module),
	} {
		for file, imports := range importsOf(t, dir) {
			for _, imported := range imports {
				for _, prefix := range banned {
					if strings.HasPrefix(imported, prefix) {
						t.Errorf("%s imports %s", file, imported)
					}
				}
			}
		}
	}
}

// importsOf returns what the package's own files import, by file.
func importsOf(t *testing.T, dir string) map[string][]string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(names) == 0 {
		t.Fatalf("%s: no Go files (%v)", dir, err)
	}
	imports := make(map[string][]string)
	for _, name := range names {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		source, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, source, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range file.Imports {
			path, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imports[name] = append(imports[name], path)
		}
	}
	return imports
}

// TestTheThreatModelNamesTestsThatExist holds SECURITY.md to its word.
func TestTheThreatModelNamesTestsThatExist(t *testing.T) {
	document, err := os.ReadFile("../.github/SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	var sources strings.Builder
	for _, pattern := range []string{"*_test.go", "tenantsetup/*_test.go", "../linkflow/*_test.go", "../linkflow/internal/outcome/*_test.go", "../vault/*_test.go"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			source, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(source)
		}
	}
	named := regexp.MustCompile("`(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(document), -1)
	if len(named) < 30 {
		t.Fatalf("only %d tests are named", len(named))
	}
	for _, test := range named {
		if !strings.Contains(sources.String(), "func "+test[1]+"(") {
			t.Errorf("there is no %s", test[1])
		}
	}
}
