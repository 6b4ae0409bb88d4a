package chromium

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"
)

// patience is how long a tab waits for what has to come.
const patience = 10 * time.Second

// tab is one tab of a person's browser.
type tab struct {
	*testing.T
	ctx  context.Context
	left float64 // the page that the last step leaves, by when it was made
}

// where is a page by its path and its first heading.
type where struct{ path, heading string }

// newTab opens a tab in a browser that has never been anywhere.
func newTab(t *testing.T) *tab { return tabOf(t, everybodys, chromedp.WithNewBrowserContext()) }

// another opens one more tab in the same browser.
func (b *tab) another() *tab { return tabOf(b.T, b.ctx) }

func tabOf(t *testing.T, parent context.Context, options ...chromedp.ContextOption) *tab {
	t.Helper()
	ctx, cancel := chromedp.NewContext(parent, options...)
	t.Cleanup(cancel)
	if err := chromedp.Do(ctx); err != nil {
		t.Fatal(err)
	}
	return &tab{T: t, ctx: ctx}
}

// popup returns the tab that step opens.
func (b *tab) popup(step func()) *tab {
	b.Helper()
	opener := chromedp.FromContext(b.ctx).Target.TargetID
	opened := chromedp.WaitNewTarget(b.ctx, func(info *target.Info) bool { return info.OpenerID == opener })
	step()
	select {
	case id := <-opened:
		return tabOf(b.T, b.ctx, chromedp.WithTargetID(id))
	case <-time.After(patience):
		b.Fatal("no tab was opened")
		return nil
	}
}

// in makes b report to a subtest.
func (b *tab) in(t *testing.T) *tab { return &tab{T: t, ctx: b.ctx, left: b.left} }

// command sends a command of the DevTools protocol to a tab.
func command[P, R any](b *tab, c cdp.Command[P, R], params P) R {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	result, err := chromedp.Call(ctx, c, params)
	if err != nil {
		b.Fatalf("%T: %v", params, err)
	}
	return result
}

// eval runs a function of JavaScript in the page, and waits for its promise.
// The page's Content Security Policy does not apply to that.
func eval[T any](b *tab, function string, args ...any) T {
	b.Helper()
	value, err := tryEval[T](b, function, args...)
	if err != nil {
		b.Fatalf("%s: %v", function, err)
	}
	return value
}

func tryEval[T any](b *tab, function string, args ...any) (T, error) {
	list, err := json.Marshal(append([]any{}, args...))
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	return chromedp.Run(ctx, chromedp.Evaluate[T](fmt.Sprintf("(%s)(...%s)", function, list), chromedp.EvalAwaitPromise))
}

// view is what a person sees of a page.
type view struct {
	Origin, Path, Query, Heading, Text string
	Ready                              bool
	Born                               float64 // no two pages have the same
}

func (b *tab) look() (view, error) {
	return tryEval[view](b, `() => ({
		Origin: location.origin, Path: location.pathname, Query: location.search,
		Heading: document.querySelector('h1')?.innerText ?? '', Text: document.body?.innerText ?? '',
		Ready: document.readyState === 'complete', Born: performance.timeOrigin,
	})`)
}

// see waits until the tab has arrived at a page.
func (b *tab) see(want where) view {
	b.Helper()
	var v view
	var err error
	for start := time.Now(); time.Since(start) < patience; time.Sleep(20 * time.Millisecond) {
		v, err = b.look()
		if err == nil && v.Ready && v.Born != b.left && (v.Path == want.path || want.path == anyPath) && v.Heading == want.heading {
			return v
		}
	}
	if err != nil {
		b.Fatalf("want %v: %v", want, err)
	}
	b.Fatalf("want %v, see %s%s%s, born %v after %v:\n%s", want, v.Origin, v.Path, v.Query, v.Born, b.left, v.Text)
	return v
}

// says is see for a page that has to show some words.
func (b *tab) says(want where, words ...string) view {
	b.Helper()
	v := b.see(want)
	for _, text := range words {
		if !strings.Contains(v.Text, text) {
			b.Errorf("%v does not say %q:\n%s", want, text, v.Text)
		}
	}
	return v
}

// leave remembers the page that the next step leaves.
func (b *tab) leave() {
	b.Helper()
	v, err := b.look()
	if err != nil {
		b.Fatal(err)
	}
	b.left = v.Born
}

// open goes to a URL as by typing it.
func (b *tab) open(url string) *tab {
	b.Helper()
	b.leave()
	command(b, page.Navigate, page.NavigateParams{URL: url})
	return b
}

func (b *tab) reload() *tab {
	b.Helper()
	b.leave()
	command(b, page.Reload, page.ReloadParams{})
	return b
}

// back presses the browser's back button.
func (b *tab) back() *tab { return b.walk(-1) }

// forward presses the browser's forward button.
func (b *tab) forward() *tab { return b.walk(1) }

func (b *tab) walk(steps int64) *tab {
	b.Helper()
	b.leave()
	history := command(b, page.GetNavigationHistory, cdp.Empty{})
	at := history.CurrentIndex + steps
	if at < 0 || at >= int64(len(history.Entries)) {
		b.Fatalf("the history ends here: %d of %d", history.CurrentIndex, len(history.Entries))
	}
	command(b, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: history.Entries[at].ID})
	return b
}

// control is a button or a link, as the page has it.
type control struct {
	Count int     // how many there are of that name
	X, Y  float64 // its middle
	Hit   bool    // a click there meets it
}

// find looks for the n-th button or link of that name, and brings it into view.
func (b *tab) find(name string, n int) control {
	b.Helper()
	return eval[control](b, `(name, n) => {
		const all = [...document.querySelectorAll('button, a[href], input[type=submit]')]
			.filter(e => (e.innerText || e.textContent).trim().replace(/\s+/g, ' ') === name);
		if (n >= all.length) return {Count: all.length};
		all[n].scrollIntoView({block: 'center', behavior: 'instant'});
		const r = all[n].getBoundingClientRect(), X = r.left + r.width / 2, Y = r.top + r.height / 2;
		return {Count: all.length, X, Y, Hit: all[n].contains(document.elementFromPoint(X, Y))};
	}`, name, n)
}

// press clicks the only button or link of that name, as soon as it can be.
func (b *tab) press(name string) *tab {
	b.Helper()
	if n := b.find(name, 0).Count; n != 1 {
		v, _ := b.look()
		b.Fatalf("%d buttons or links %q on %s:\n%s", n, name, v.Path, v.Text)
	}
	return b.pressNth(name, 0)
}

// pressNth is press where there are several of that name.
func (b *tab) pressNth(name string, n int) *tab {
	b.Helper()
	for start := time.Now(); time.Since(start) < patience; time.Sleep(20 * time.Millisecond) {
		c := b.find(name, n)
		b.pointAt(c.X, c.Y)
		if c.Hit {
			b.leave()
			b.clickAt(c.X, c.Y)
			return b
		}
	}
	b.Fatalf("nothing to press: %q", name)
	return b
}

// pointAt moves the mouse.
func (b *tab) pointAt(x, y float64) {
	b.Helper()
	command(b, input.DispatchMouseEvent, input.DispatchMouseEventParams{Type: input.DispatchMouseEventTypeMouseMoved, X: x, Y: y})
}

func (b *tab) clickAt(x, y float64) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.MouseClickXY(x, y)); err != nil {
		b.Fatal(err)
	}
}

// fill types into the field of that name, over what is there.
func (b *tab) fill(name, text string) *tab {
	b.Helper()
	eval[bool](b, `name => { const e = document.getElementsByName(name)[0]; e.focus(); e.select(); return true }`, name)
	command(b, input.InsertText, input.InsertTextParams{Text: text})
	return b
}

// key presses a key that types no letter, such as Tab or Enter.
func (b *tab) key(keys string) *tab {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	if err := chromedp.Do(ctx, chromedp.KeyEvent(keys)); err != nil {
		b.Fatal(err)
	}
	return b
}
