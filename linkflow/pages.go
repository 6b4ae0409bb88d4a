package linkflow

import (
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"sync"
)

//go:embed pages
var embedded embed.FS

// What pages have in common: their frame, what they refer to, and their words.
const (
	layoutFile = "layout.html"
	styleFile  = "style.css"
	iconFile   = "icon.svg"
	textFile   = "text.json"
)

// pageSet is what pages are made of.
type pageSet struct {
	templates *template.Template
	texts     texts
	assets    map[string][]byte // by file name
}

// loadPages returns the pages as they come, with the files of own in place of
// theirs; own may be nil.
func loadPages(own fs.FS) (*pageSet, error) {
	if own == nil {
		return sharedPages()
	}
	return makePages(own)
}

// sharedPages are made once: a configuration is loaded while requests wait.
var sharedPages = sync.OnceValues(func() (*pageSet, error) { return makePages(nil) })

// makePages tries each page, since a template shows some of its faults only then.
func makePages(own fs.FS) (*pageSet, error) {
	builtIn, err := fs.Sub(embedded, "pages")
	if err != nil {
		return nil, err
	}
	set := &pageSet{templates: template.New(""), assets: make(map[string][]byte)}
	if err := set.read(builtIn); err != nil {
		return nil, err
	}
	if own != nil {
		if err := set.read(own); err != nil {
			return nil, err
		}
	}
	for name, samples := range samplePages {
		for _, data := range samples {
			if err := set.templates.ExecuteTemplate(io.Discard, name, view{texts: set.texts, Page: data}); err != nil {
				return nil, err
			}
		}
	}
	return set, nil
}

// read takes every file that is not hidden. One that no page uses is an error: its name is misspelt.
func (p *pageSet) read(files fs.FS) error {
	entries, err := fs.ReadDir(files, ".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), ".") { // of the file system's or an editor's own
			continue
		}
		data, err := fs.ReadFile(files, entry.Name())
		if err != nil {
			return err
		}
		if err := p.take(entry.Name(), data); err != nil {
			return fmt.Errorf("%s: %w", entry.Name(), err)
		}
	}
	return nil
}

func (p *pageSet) take(name string, data []byte) (err error) {
	_, isPage := samplePages[name]
	switch {
	case name == styleFile || name == iconFile:
		p.assets[name] = data
	case name == textFile:
		p.texts, err = parseTexts(p.texts, data)
	case name == layoutFile || isPage:
		_, err = p.templates.New(name).Parse(string(data))
	default:
		known := append(slices.Collect(maps.Keys(samplePages)), layoutFile, styleFile, iconFile, textFile)
		slices.Sort(known)
		err = errors.New("no page uses a file of this name; expected one of " + strings.Join(known, ", "))
	}
	return err
}
