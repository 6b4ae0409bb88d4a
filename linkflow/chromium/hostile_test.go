package chromium

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/target"
	"github.com/chromedp/chromedp"

	"github.com/tokenvault/caddy-token-vault/linkflow"
)

// form is a form of ours with all that is in it, and one of its buttons.
type form struct {
	Action string
	Fields [][2]string
}

// forms are what the page could send, one for each button.
func (b *tab) forms() []form {
	b.Helper()
	return eval[[]form](b, `() => [...document.querySelectorAll('form button')].map(button => ({
		Action: new URL(button.form.getAttribute('action'), location).href, // form.action is the button
		Fields: [...new FormData(button.form, button)],
	}))`)
}

// victim is alice in the middle of something, and what a thief could know at
// worst: every page, and every form on it.
type victim struct {
	*world
	tab        *tab
	link       *linkflow.Link
	forms      []form
	pages      []string
	identities []string // hers, to remain so
	goOn       func()   // does what she was about to do
}

// victims are those that a hostile site may find.
var victims = map[string]func(*testing.T) *victim{"connecting": newVictim, "linking": newLinkingVictim}

// newVictim is alice in the middle of connecting GitHub, signed in to her accounts.
func newVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{world: newWorld(t), tab: newTab(t), identities: []string{alice}}
	v.connect(google, "")
	v.link = v.world.link(github.request)
	v.know(v.tab.open(v.link.URL), github.connectPage())
	v.know(v.tab.open(v.url("/auth/connect?connection=github&scopes=repo")), github.connectPage())
	v.know(v.tab.toDisconnect(v.world), disconnectPage)
	v.know(v.tab.open(v.url("/auth/accounts")), accountsPage)
	v.tab.open(v.link.URL).see(github.connectPage())
	v.tab.press(buttonContinue).see(github.confirmPage())
	v.know(v.tab, github.confirmPage())
	for _, path := range []string{"/auth/callback?code=x&state=y", strings.Replace(v.seen.last("/auth/confirm?"), "confirm", "done", 1)} {
		v.pages = append(v.pages, v.url(path))
	}
	v.goOn = func() {
		v.tab.press(buttonConnect).see(github.consent)
		v.tab.press(buttonAllow).see(github.donePage())
		v.wantState(v.link, linkflow.Completed)
		v.wantCompleted(1)
	}
	v.tenant.ClearRequests()
	v.events.clear()
	return v
}

// newLinkingVictim is alice on the page that makes her Google account a part of
// hers, where her GitHub account is one already, and signed in to separate that.
func newLinkingVictim(t *testing.T) *victim {
	t.Helper()
	v := &victim{world: newWorld(t, viaManagement, linkedToGitHub), tab: newTab(t), identities: []string{alice, aliceGitHub}}
	v.link = v.world.link(google.request)
	v.know(v.tab.open(v.link.URL), google.connectPage())
	v.know(v.tab.open(v.url("/auth/link")), linkAnyPage)
	v.know(v.tab.open(v.url("/auth/link?connection=google-oauth2")), google.linkPage())
	v.know(v.tab.open(v.url("/auth/unlink")), identitiesPage)
	v.know(v.tab.toIdentities(v.world), identitiesPage)
	v.know(v.tab.press(linkSeparate), github.unlinkPage())
	v.know(v.tab.toAdd(google, v.link.URL), google.addPage())
	v.tab.press(buttonProve).see(google.consent)
	v.know(v.tab.press(buttonAllow), mergePage)
	v.pages = append(v.pages, v.url(v.seen.last("/auth/callback?code=")))
	v.goOn = func() {
		v.tab.press(buttonMerge).see(google.linkedPage())
		v.wantIdentities(alice, alice, aliceGitHub, aliceGoogle)
	}
	v.tenant.ClearRequests()
	v.events.clear()
	return v
}

// know notes the page that the tab shows.
func (v *victim) know(b *tab, at where) {
	v.Helper()
	seen := b.see(at)
	v.pages = append(v.pages, seen.Origin+seen.Path+seen.Query)
	v.forms = append(v.forms, b.forms()...)
}

// wantUntouched checks that nothing was started, confirmed, declined, linked,
// separated, disconnected or counted.
func (v *victim) wantUntouched() {
	v.Helper()
	if got := v.events.kinds(linkflow.Refused); len(got) != 0 {
		v.Errorf("this happened: %v", v.events)
	}
	for _, r := range v.tenant.Requests() {
		if r.Method != http.MethodGet || r.Path == "/authorize" {
			v.Errorf("the tenant was asked: %s %s", r.Method, r.Path)
		}
	}
	v.wantIdentities(alice, v.identities...)
	v.wantState(v.link, linkflow.Pending)
	v.tenant.ClearRequests() // the agent's question was one, too
	v.events.clear()
}

// hostileSite serves pages that hold a script. A script tells that it is over by
// the page's heading.
type hostileSite struct {
	*httptest.Server
	script string
}

func (h *hostileSite) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	fmt.Fprintf(w, `<!doctype html><html lang="en"><title>Hostile</title><h1>Wait</h1><script>
const sleep = ms => new Promise(done => setTimeout(done, ms));
const send = (form, target) => {
	const f = document.createElement('form');
	f.method = 'post'; f.action = form.Action; f.target = target;
	for (const [name, value] of form.Fields) {
		const input = document.createElement('input');
		input.type = 'hidden'; input.name = name; input.value = value;
		f.append(input);
	}
	document.body.append(f);
	HTMLFormElement.prototype.submit.call(f);
};
const leaks = [];
onload = async () => {
	%s
	document.querySelector('h1').innerText = 'Over';
};
</script>`, h.script)
}

// strike opens a hostile page with a script that knows FORMS and PAGES, waits
// until it is over, and checks that it got hold of nothing.
func (h *hostileSite) strike(v *victim, forms []form, script string) *tab {
	v.Helper()
	known, err := json.Marshal(map[string]any{"forms": forms, "pages": v.pages})
	if err != nil {
		v.Fatal(err)
	}
	h.script = fmt.Sprintf("const {forms, pages} = %s;\n%s", known, script)
	b := v.tab.another()
	b.open(h.URL).see(where{"/", "Over"})
	if leaks := eval[[]string](b, `() => leaks`); len(leaks) != 0 {
		v.Errorf("the page got hold of %q", leaks)
	}
	return b
}

// The hostile sites: another site, and another port of our own host, where
// SameSite cookies do not help.
func hostileSites() map[string]func(*testing.T) *hostileSite {
	return map[string]func(*testing.T) *hostileSite{
		"another site": func(t *testing.T) *hostileSite {
			h := &hostileSite{}
			h.Server = newServer(h)
			h.Start()
			t.Cleanup(h.Close)
			h.URL = strings.Replace(h.URL, "127.0.0.1", "localhost", 1)
			return h
		},
		"the same site": func(t *testing.T) *hostileSite {
			h := &hostileSite{}
			h.Server = newServer(h)
			h.StartTLS()
			t.Cleanup(h.Close)
			return h
		},
	}
}

func TestAHostileSite(t *testing.T) {
	t.Parallel()
	for name, newSite := range hostileSites() {
		for doing, newVictim := range victims {
			t.Run(name+", "+doing, func(t *testing.T) {
				t.Parallel()
				attack(t, newVictim(t), newSite(t))
			})
		}
	}
}

// attack lets a hostile site do what it can.
func attack(t *testing.T, v *victim, h *hostileSite) {
	for _, attack := range []struct {
		name string
		run  func(*victim, *hostileSite)
	}{
		{"forms in new windows", formsInNewWindows},
		{"forms in its own window", formsInItsOwnWindow},
		{"fetch", fetchEverything},
		{"frames", frameEverything},
		{"a window that it opened", openAndReach},
		{"looking ahead", lookAhead},
	} {
		t.Run(attack.name, func(t *testing.T) {
			copied := *v
			copied.world = v.world.in(t)
			attack.run(&copied, h)
			copied.wantUntouched()
		})
	}
	v.goOn() // nothing was lost for the victim
}

// wantForeign waits until so many POSTs have come from other sites: all of an
// attack.
func (v *victim) wantForeign(posts int) {
	v.Helper()
	v.eventually(fmt.Sprintf("%d hostile POSTs arrive", posts), func() bool { return v.seen.foreign(http.MethodPost) >= posts })
}

func formsInNewWindows(v *victim, h *hostileSite) {
	posts := v.seen.foreign(http.MethodPost) + len(v.forms)
	h.strike(v, v.forms, `for (const f of forms) { send(f, '_blank'); await sleep(50); }`)
	v.wantForeign(posts)
}

func formsInItsOwnWindow(v *victim, h *hostileSite) {
	for _, f := range v.forms {
		posts := v.seen.foreign(http.MethodPost) + 1
		b := h.strike(v, nil, ``)
		eval[bool](b, `form => { send(form, '_top'); return true }`, f)
		v.wantForeign(posts)
	}
}

func fetchEverything(v *victim, h *hostileSite) {
	posts := v.seen.foreign(http.MethodPost) + len(v.forms)
	h.strike(v, v.forms, `
		for (const mode of ['no-cors', 'cors']) {
			for (const f of forms) try {
				const r = await fetch(f.Action, {method: 'POST', mode, credentials: 'include', body: new URLSearchParams(f.Fields)});
				if (r.type !== 'opaque') leaks.push(await r.text());
			} catch {}
			for (const p of pages) try {
				const r = await fetch(p, {mode, credentials: 'include'});
				if (r.type !== 'opaque') leaks.push(await r.text());
			} catch {}
		}`)
	v.wantForeign(posts)
}

// frameEverything also frames a page that may be framed, to see that this would
// be noticed.
func frameEverything(v *victim, h *hostileSite) {
	control := v.app.URL + "/close"
	b := h.strike(v, v.forms, fmt.Sprintf(`
		for (const p of [%q, ...pages]) {
			const f = document.createElement('iframe');
			f.src = p;
			const loaded = new Promise(done => f.onload = done);
			document.body.append(f);
			await Promise.race([loaded, sleep(1000)]);
		}
		const f = document.createElement('iframe');
		f.name = 'inside';
		document.body.append(f);
		for (const form of forms) { send(form, 'inside'); await sleep(50); }
		await sleep(300);`, control))
	framed := b.framed()
	if !slices.Contains(framed, v.app.URL) {
		v.Errorf("the page that may be framed is not: %q", framed)
	}
	if slices.Contains(framed, v.site.URL) {
		v.Errorf("a page of ours is in a frame: %q", framed)
	}
}

// framed returns the origins of the pages that frames of the tab show. Frames of
// other sites are targets of their own.
func (b *tab) framed() []string {
	b.Helper()
	var origins []string
	for _, child := range command(b, page.GetFrameTree, cdp.Empty{}).FrameTree.ChildFrames {
		if child.Frame.UnreachableURL == "" {
			origins = append(origins, child.Frame.SecurityOrigin)
		}
	}
	targets, err := chromedp.Targets(b.ctx)
	if err != nil {
		b.Fatal(err)
	}
	self := chromedp.FromContext(b.ctx).Target.TargetID
	for _, info := range targets {
		if info.Type == "iframe" && info.ParentID == self {
			origins = append(origins, b.frame(info))
		}
	}
	return origins
}

// frame returns the origin of what a frame shows.
func (b *tab) frame(info *target.Info) string {
	b.Helper()
	v, err := tabOf(b.T, b.ctx, chromedp.WithTargetID(info.TargetID)).look()
	if err != nil {
		return err.Error()
	}
	return v.Origin
}

func openAndReach(v *victim, h *hostileSite) {
	h.strike(v, v.forms, `
		for (const p of pages) {
			const w = open(p, 'prey');
			for (let i = 0; i < 100; i++) { // until it is there, and out of reach
				await sleep(50);
				try { w.document; } catch { break; }
			}
			for (const reach of [
				() => w.document.body.innerText,
				() => { w.document.forms[0].submit(); return 'submitted'; },
				() => { w.location = 'javascript:document.forms[0].submit()'; },
				() => w.location.href,
				() => w.name,
			]) try { const got = reach(); if (got !== undefined) leaks.push(String(got)); } catch {}
			w.close();
		}`)
}

// lookAhead lets the browser load pages before anybody goes there.
func lookAhead(v *victim, h *hostileSite) {
	looks := v.seen.foreign(http.MethodGet)
	h.strike(v, nil, `
		const add = (name, members) => document.head.append(Object.assign(document.createElement(name), members));
		for (const href of pages) {
			for (const rel of ['prefetch', 'prerender', 'preload']) add('link', {rel, href, as: 'document'});
			add('img', {src: href});
		}
		const rule = [{source: 'list', urls: pages, eagerness: 'immediate'}];
		add('script', {type: 'speculationrules', text: JSON.stringify({prefetch: rule, prerender: rule})});
		await sleep(1500);`)
	if n := v.seen.foreign(http.MethodGet); n < looks+len(v.pages) {
		v.Errorf("only %d requests came", n-looks)
	}
}

// A chat that shows what a link leads to, and whatever else follows links.
func TestABotLooks(t *testing.T) {
	t.Parallel()
	for doing, newVictim := range victims {
		t.Run(doing, func(t *testing.T) {
			t.Parallel()
			botLooks(t, newVictim(t))
		})
	}
}

func botLooks(t *testing.T, v *victim) {
	client := v.site.Client()
	client.Timeout = patience
	for _, page := range append(v.pages, v.url("/auth/accounts?disconnect=x"), v.url("/auth/connect?"+url.Values{
		"connection": {"github"}, "scopes": {"repo"}, "returnTo": {v.app.URL},
	}.Encode())) {
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			req, err := http.NewRequest(method, page, nil)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("User-Agent", "Slackbot-LinkExpanding 1.0")
			resp, err := client.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
		}
	}
	time.Sleep(100 * time.Millisecond)
	v.wantUntouched()
	v.goOn()
}
