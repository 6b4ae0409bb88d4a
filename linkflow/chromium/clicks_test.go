package chromium

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/browser"
	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// guard is how long no button of a page takes a click, after the pointer has come.
const guard = time.Second

// steps are the pages of a flow that have a button on, one after the other, for a
// person with a session at Auth0.
var steps = []struct {
	page   where
	button string
	next   where
}{
	{google.connectPage(), buttonContinue, google.confirmPage()},
	{google.confirmPage(), buttonConnect, google.consent},
}

// A person clicks and double-clicks at a foreign site, which has a window of ours
// under its own, and takes that away after the first click of a double click.
func TestADoubleClickMeantForAnotherSitePressesNothing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		delay time.Duration // after which the cover comes
		rest  bool          // when the pointer has long been there
	}{
		"the pointer comes to the cover":       {},
		"the cover comes to where it has been": {2500 * time.Millisecond, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, d := newWorld(t), newDesktop(t)
			person := d.person(w)
			person.open(newLure(t, w.link(google.request).URL, c.delay).URL).see(where{"/", "Lure"})
			d.point(person, "Open")
			prey := person.popup(d.click)
			prey.see(where{"/decoy", "Decoy"})
			target := "Play"
			for _, step := range steps {
				d.point(person, "Cover")
				cover := person.popup(func() {
					d.click()
					if c.rest {
						d.point(prey, target)
					}
				})
				cover.see(where{"/cover", "Double-click here"})
				at := prey.see(step.page)
				d.point(prey, step.button)
				time.Sleep(guard + guard/2) // the page under the cover has been there for long
				d.doubleClick()
				time.Sleep(guard)
				if v := prey.see(step.page); v.Born != at.Born {
					t.Errorf("%s was pressed", step.button)
				}
				prey.leave()
				d.click() // which is meant
				prey.see(step.next)
				target = buttonConnect
			}
		})
	}
}

// newLure is a site that opens a window, covers it with another one after a delay,
// and leads it to a link meanwhile.
func newLure(t *testing.T, link string, delay time.Duration) *httptest.Server {
	site := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		switch r.URL.Path {
		case "/":
			fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Lure</title><h1>Lure</h1>
<button onclick="prey = open('/decoy', 'prey', where)">Open</button> <button onclick="setTimeout(cover, %d)">Cover</button><script>
const where = 'left=700,top=50,width=500,height=700';
let prey, link = %q;
const cover = () => {
	open('/cover', 'cover', where);
	if (link) setTimeout(() => { prey.location = link; link = '' }, 1000);
};</script>`, delay.Milliseconds(), link)
		case "/decoy":
			fmt.Fprint(w, `<!doctype html><html lang="en"><title>Decoy</title><h1>Decoy</h1><button>Play</button>`)
		case "/cover":
			fmt.Fprint(w, `<!doctype html><html lang="en"><title>Cover</title><h1>Double-click here</h1><script>onmousedown = () => close()</script>`)
		}
	}))
	site.Start()
	t.Cleanup(site.Close)
	site.URL = strings.Replace(site.URL, "127.0.0.1", "localhost", 1)
	return site
}

// desktop is a screen with real windows and a mouse.
type desktop struct {
	*testing.T
	display string // as an environment variable
	ctx     context.Context
}

// newDesktop starts a screen, a window manager and a browser on it.
func newDesktop(t *testing.T) *desktop {
	t.Helper()
	number, told, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	d := &desktop{T: t}
	screen := exec.Command("Xvfb", "-displayfd", "3", "-screen", "0", "1400x900x24", "-nolisten", "tcp")
	screen.ExtraFiles = []*os.File{told}
	d.start(screen)
	_ = told.Close()
	line, err := io.ReadAll(number)
	if err != nil || len(line) == 0 {
		t.Fatalf("Xvfb names no display: %v", err)
	}
	d.display = "DISPLAY=:" + strings.TrimSpace(string(line))
	d.start(d.command("openbox"))
	ctx, stop, err := startChromium(
		chromedp.Env(d.display), chromedp.Flag("headless", false),
		chromedp.Flag("enable-automation", false),      // whose bar moves pages
		chromedp.Flag("disable-popup-blocking", false), // one window for each click
	)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(stop)
	d.ctx = ctx
	return d
}

func (d *desktop) command(name string, words ...string) *exec.Cmd {
	cmd := exec.Command(name, words...)
	cmd.Env = append(os.Environ(), d.display)
	return cmd
}

func (d *desktop) start(cmd *exec.Cmd) {
	d.Helper()
	if err := cmd.Start(); err != nil {
		d.Fatal(err)
	}
	d.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

// person is a tab in a window at the left, of somebody whom Auth0 knows as alice.
func (d *desktop) person(w *world) *tab {
	d.Helper()
	b := tabOf(d.T, d.ctx)
	window := command(b, browser.GetWindowForTarget, browser.GetWindowForTargetParams{})
	command(b, browser.SetWindowBounds, browser.SetWindowBoundsParams{
		WindowID: window.WindowID, Bounds: &browser.Bounds{Left: new(int64), Top: new(int64), Width: 650, Height: 800},
	})
	return b.haveSession(w, time.Minute)
}

// mouse has xdotool do something, and returns what it tells.
func (d *desktop) mouse(words ...string) string {
	d.Helper()
	told, err := d.command("xdotool", words...).CombinedOutput()
	if err != nil {
		d.Fatalf("xdotool %v: %v: %s", words, err, told)
	}
	return string(told)
}

func (d *desktop) click() { d.mouse("click", "1") }

// point moves the mouse to the button of that name, or to where it is under another
// window.
func (d *desktop) point(b *tab, name string) {
	d.Helper()
	c := b.find(name, 0)
	if c.Count != 1 {
		d.Fatalf("%d buttons or links %q", c.Count, name)
	}
	page := eval[struct{ X, Y float64 }](b, `() => {
		const border = (outerWidth - innerWidth) / 2;
		return {X: screenX + border, Y: screenY + outerHeight - innerHeight - border};
	}`)
	d.mouse("mousemove", fmt.Sprint(int(page.X+c.X)), fmt.Sprint(int(page.Y+c.Y)))
}

// doubleClick clicks twice where the pointer is: the second time as soon as the
// window that was clicked at is gone.
func (d *desktop) doubleClick() {
	d.Helper()
	under := d.mouse("getmouselocation")
	d.click()
	first, gone := time.Now(), time.Now()
	for d.mouse("getmouselocation") == under {
		if gone = time.Now(); gone.Sub(first) > patience {
			d.Fatal("nothing was taken away")
		}
	}
	d.click()
	if late := time.Since(gone); late > guard*3/4 {
		d.Fatalf("clicked %v after the window was gone, too late to tell", late)
	}
}

// With motion or without, for the mouse that comes and the finger. Beside a mouse, a
// finger has to have touched the page before.
func TestNoButtonTakesAClickInItsFirstSecond(t *testing.T) {
	for _, how := range []struct {
		name  string
		touch bool
		click func(*tab, float64, float64)
	}{
		{"a mouse", false, (*tab).clickAt},
		{"a finger", true, (*tab).tapAt},
		{"a finger beside a mouse", false, (*tab).tapAt},
	} {
		for _, motion := range []string{"no-preference", "reduce"} {
			t.Run(how.name+", motion: "+motion, func(t *testing.T) {
				w, b := newWorld(t), newTab(t)
				b.haveSession(w, time.Minute).prefer("prefers-reduced-motion", motion)
				command(b, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: how.touch})
				b.open(w.link(google.request).URL)
				b.wantHover(!how.touch)
				for _, step := range steps {
					at := b.see(step.page)
					c := b.find(step.button, 0)
					how.click(b, c.X, c.Y)
					if age := eval[float64](b, `() => performance.now()`); age > 900 {
						t.Fatalf("pressed %v ms after the page began, too late to tell", age)
					}
					time.Sleep(guard + guard/5)
					if b.left = 0; b.see(step.page).Born != at.Born {
						t.Fatalf("%s was pressed", step.button)
					}
					b.leave()
					how.click(b, c.X, c.Y)
					b.see(step.next)
				}
			})
		}
	}
}

// Where nothing hovers, nobody has to touch the page before.
func TestTheFirstTouchOfAPagePressesItsButton(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t), newTab(t)
	b.haveSession(w, time.Minute)
	command(b, emulation.SetTouchEmulationEnabled, emulation.SetTouchEmulationEnabledParams{Enabled: true})
	b.open(w.link(google.request).URL)
	b.wantHover(false)
	for _, step := range steps {
		b.see(step.page)
		time.Sleep(guard + guard/5)
		c := b.find(step.button, 0)
		b.leave()
		b.tapAt(c.X, c.Y)
		b.see(step.next)
	}
}

// wantHover checks whether the browser has a mouse, or what else hovers.
func (b *tab) wantHover(want bool) {
	b.Helper()
	if eval[bool](b, `() => matchMedia('(hover: hover)').matches`) != want {
		b.Errorf("something hovers: %t", !want)
	}
}

// tapAt touches the screen.
func (b *tab) tapAt(x, y float64) {
	b.Helper()
	command(b, input.DispatchTouchEvent, input.DispatchTouchEventParams{
		Type: input.DispatchTouchEventTypeTouchStart, TouchPoints: []*input.TouchPoint{{X: x, Y: y}},
	})
	command(b, input.DispatchTouchEvent, input.DispatchTouchEventParams{Type: input.DispatchTouchEventTypeTouchEnd, TouchPoints: []*input.TouchPoint{}})
}

// untouched is the page that was sent last in a tab that no pointer has ever come to.
func (b *tab) untouched(w *world, heading string) *tab {
	b.Helper()
	sent, bare := string(w.seen.page()), b.another()
	bare.open(w.url("/auth/nothing")).see(where{anyPath, headingNotFound})
	frame := command(bare, page.GetFrameTree, cdp.Empty{}).FrameTree.Frame.ID
	command(bare, page.SetDocumentContent, page.SetDocumentContentParams{FrameID: frame, HTML: sent})
	bare.see(where{anyPath, heading})
	return bare
}

// wantGuarded checks every button of a page that no pointer has come to. A click does
// not meet it, also after a second; and yet a key or a screen reader can press it, and
// it can be read. No URL and no key of a foreign page's choosing leads to it.
func (b *tab) wantGuarded() {
	b.Helper()
	time.Sleep(guard + guard/5)
	faults := eval[[]string](b, `() => [...document.querySelectorAll('button, input:not([type=hidden])')].flatMap(e => {
		const style = getComputedStyle(e);
		return Object.entries({
			'takes clicks': style.pointerEvents !== 'none',
			'is not dimmed': style.opacity === '1',
			'cannot be reached': e.tabIndex < 0 || e.disabled || !e.checkVisibility({visibilityProperty: true, opacityProperty: true}),
			'can be reached by a URL': e.id !== '',
			'can be reached by a key': e.accessKey !== '',
			'has the focus': e === document.activeElement,
		}).filter(([, is]) => is).map(([fault]) => e.outerHTML + ' ' + fault);
	})`)
	for _, fault := range faults {
		b.Error(fault)
	}
	for _, scheme := range []string{"light", "dark"} {
		s := screen{scheme, 360, 740}
		b.use(s)
		b.wantAccessible(s)
	}
}
