package caddymodule_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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

// TestLinksLeadSomewhere follows every relative link in the documents, to the heading
// or anchor that it names.
func TestLinksLeadSomewhere(t *testing.T) {
	var documents []string
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && (entry.Name() == ".git" || entry.Name() == "node_modules") {
			return fs.SkipDir
		}
		if strings.HasSuffix(path, ".md") {
			documents = append(documents, path)
		}
		return err
	})
	if err != nil || len(documents) < 5 {
		t.Fatalf("%d documents: %v", len(documents), err)
	}
	link := regexp.MustCompile(`\]\(([^)\s]+)\)`)
	for _, document := range documents {
		text := withoutCode(t, document)
		for _, match := range link.FindAllStringSubmatch(text, -1) {
			target, anchor, _ := strings.Cut(match[1], "#")
			if strings.Contains(target, "://") {
				continue
			}
			path := document
			if target != "" {
				path = filepath.Join(filepath.Dir(document), target)
			}
			if _, err := os.Stat(path); err != nil {
				t.Errorf("%s links to %s: %v", document, match[1], err)
				continue
			}
			if anchor != "" && !slices.Contains(anchorsOf(withoutCode(t, path)), anchor) {
				t.Errorf("%s links to %s, where no such heading is", document, match[1])
			}
		}
	}
}

// withoutCode is a document less its blocks of code, whose brackets are no links.
func withoutCode(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return regexp.MustCompile("(?ms)^```.*?^```").ReplaceAllString(string(text), "")
}

// anchorsOf are the headings as GitHub makes anchors of them, and the explicit ones.
func anchorsOf(text string) (anchors []string) {
	for _, match := range regexp.MustCompile(`(?m)^#+ (.+)$`).FindAllStringSubmatch(text, -1) {
		heading := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(match[1]), "")
		anchors = append(anchors, strings.ReplaceAll(heading, " ", "-"))
	}
	for _, match := range regexp.MustCompile(`<a id="([^"]+)">`).FindAllStringSubmatch(text, -1) {
		anchors = append(anchors, match[1])
	}
	return anchors
}

// TestTheWalkNamesEveryFileOnce holds the order of reading in the package comments to
// what there is to read. A name with a star stands for those that are not named.
func TestTheWalkNamesEveryFileOnce(t *testing.T) {
	for _, dir := range []string{"../vault", "../vault/auth0test", "../linkflow", "../linkflow/internal/outcome", ".", "tenantsetup"} {
		doc, err := os.ReadFile(filepath.Join(dir, "doc.go"))
		if err != nil {
			t.Fatal(err)
		}
		_, walk, _ := strings.Cut(string(doc), "// # Where to read on")
		named := make(map[string]int)
		for _, name := range regexp.MustCompile(`[\w*]+\.go`).FindAllString(walk, -1) {
			named[name]++
		}
		names, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		met := map[string]bool{"doc.go": true}
		for _, name := range names {
			name = filepath.Base(name)
			if strings.HasSuffix(name, "_test.go") || name == "doc.go" {
				continue
			}
			met[name] = true
			times := named[name]
			for pattern := range named {
				if matched, _ := filepath.Match(pattern, name); matched && named[name] == 0 {
					times++
					met[pattern] = true
				}
			}
			if times != 1 {
				t.Errorf("%s: %s is named %d times", dir, name, times)
			}
		}
		for name := range named {
			if !met[name] {
				t.Errorf("%s: there is no %s", dir, name)
			}
		}
	}
}
