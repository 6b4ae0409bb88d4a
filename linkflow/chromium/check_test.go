package chromium

import (
	"encoding/json"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
)

// rules are the tags of axe-core's rules that every page has to pass.
var rules = []string{"wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"}

// screen is what a person looks at a page with.
type screen struct {
	scheme string // prefers-color-scheme
	width  int64
	height int64
}

var screens = []screen{{"light", 360, 740}, {"dark", 360, 740}, {"light", 1280, 800}, {"dark", 1280, 800}}

// narrowest is the width at which WCAG 1.4.10 wants no scrolling sideways.
const narrowest = 320

func (b *tab) use(s screen) {
	b.Helper()
	command(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{
		Width: s.width, Height: s.height, DeviceScaleFactor: 1, Mobile: s.width < 1000,
	})
	b.prefer("prefers-color-scheme", s.scheme)
}

// prefer sets a media feature that a person chooses.
func (b *tab) prefer(feature, value string) {
	b.Helper()
	command(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
		Features: []*emulation.MediaFeature{{Name: feature, Value: value}},
	})
}

// wantGood checks the page that the tab shows, on every screen: nothing to
// scroll sideways, nothing that axe-core finds. It leaves screenshots.
func (b *tab) wantGood(name string) {
	b.Helper()
	for _, s := range screens {
		b.use(s)
		b.wantNoScrolling(s.width)
		b.screenshot(fmt.Sprintf("%s-%s-%d.png", name, s.scheme, s.width))
		b.wantAccessible(s)
	}
	b.use(screen{"light", narrowest, 740})
	b.wantNoScrolling(narrowest)
	command(b, emulation.ClearDeviceMetricsOverride, cdp.Empty{})
}

func (b *tab) wantNoScrolling(width int64) {
	b.Helper()
	if wide := eval[int64](b, `() => document.scrollingElement.scrollWidth`); wide > width {
		b.Errorf("the page is %d pixels wide on a screen of %d", wide, width)
	}
}

func (b *tab) screenshot(file string) {
	b.Helper()
	beyond := true
	shot := command(b, page.CaptureScreenshot, page.CaptureScreenshotParams{CaptureBeyondViewport: &beyond})
	if err := os.MkdirAll("screenshots", 0o755); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("screenshots", file), shot.Data, 0o644); err != nil {
		b.Fatal(err)
	}
}

// violation is what axe-core found.
type violation struct {
	ID, Help string
	Nodes    []struct{ HTML, FailureSummary string }
}

func (b *tab) wantAccessible(s screen) {
	b.Helper()
	if !eval[bool](b, `() => 'axe' in window`) {
		eval[any](b, `source => { (0, eval)(source); return null }`, tools.axe)
	}
	found := eval[[]violation](b, `async rules => {
		const result = await axe.run(document, {runOnly: {type: 'tag', values: rules}, resultTypes: ['violations']});
		return result.violations.map(v => ({ID: v.id, Help: v.help,
			Nodes: v.nodes.map(n => ({HTML: n.html, FailureSummary: n.failureSummary}))}));
	}`, rules)
	for _, v := range found {
		for _, n := range v.Nodes {
			b.Errorf("axe-core on %s, %d pixels: %s: %s\n%s\n%s", s.scheme, s.width, v.ID, v.Help, n.HTML, n.FailureSummary)
		}
	}
}

// htmlRules is the configuration of html-validate. It deviates from the presets
// in two rules: the pages write the doctype in lower case, which HTML permits;
// and integrity attributes are for files of other origins, of which the pages'
// policy allows none.
const htmlRules = `{
	"root": true,
	"extends": ["html-validate:recommended", "html-validate:a11y", "html-validate:document"],
	"rules": {
		"doctype-style": ["error", {"style": "lowercase"}],
		"require-sri": ["error", {"target": "crossorigin"}]
	}
}`

// savePage keeps the bytes of the page that the tab shows for wantValid.
func (w *world) savePage(b *tab, dir, name string) {
	w.Helper()
	v, err := b.look()
	if err != nil {
		w.Fatal(err)
	}
	sent := w.seen.page()
	if !strings.Contains(html.UnescapeString(string(sent)), v.Heading+"</h1>") {
		w.Fatalf("this is not what the tab shows, which is %q:\n%s", v.Heading, sent)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".html"), sent, 0o600); err != nil {
		w.Fatal(err)
	}
}

// wantValid checks all saved pages with html-validate.
func wantValid(t *testing.T, dir string) {
	t.Helper()
	config := filepath.Join(dir, "rules.json")
	if err := os.WriteFile(config, []byte(htmlRules), 0o600); err != nil {
		t.Fatal(err)
	}
	pages, err := filepath.Glob(filepath.Join(dir, "*.html"))
	if err != nil || len(pages) == 0 {
		t.Fatal("there is no page to check")
	}
	out, err := exec.Command(tools.htmlValidate, append([]string{"--config", config, "--formatter", "json"}, pages...)...).Output()
	var results []struct {
		FilePath string
		Messages []struct {
			RuleID, Message string
			Line, Column    int
		}
	}
	if jsonErr := json.Unmarshal(out, &results); jsonErr != nil {
		t.Fatalf("html-validate: %v: %s", err, out)
	}
	for _, r := range results {
		for _, m := range r.Messages {
			t.Errorf("html-validate: %s:%d:%d: %s: %s", filepath.Base(r.FilePath), m.Line, m.Column, m.RuleID, m.Message)
		}
	}
	if err != nil && !t.Failed() {
		t.Fatalf("html-validate: %v: %s", err, out)
	}
}
