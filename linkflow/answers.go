package linkflow

import (
	"bytes"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Every byte that a browser gets is made here, from the files in pages.

// policy lets a page do nothing but show itself and post to us (Content Security
// Policy Level 3). No script, no frame around it, nothing from elsewhere.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// answer is what a handler decided to answer.
type answer struct {
	status int
	header http.Header // besides those that all answers have
	body   []byte
	fault  error // for which there is no page

	said   *said  // the message that it is, if it is one
	onward string // where its page sends the browser on to, if it does
}

// with adds cookies.
func (a answer) with(cookies ...*http.Cookie) answer {
	for _, c := range cookies {
		if c != nil {
			a.header.Add("Set-Cookie", c.String())
		}
	}
	return a
}

// view is what a template is given.
type view struct {
	Path string // of the pages
	Page any    // one of the types of samplePages

	name    string // of the page
	product string
	texts   texts
	vars    variables
}

// Text returns one of the pages' texts. Names and values in turn stand for
// variables that the whole page does not have.
func (v view) Text(key string, more ...string) string {
	vars := v.vars
	if len(more) > 0 {
		vars = maps.Clone(vars)
		if vars == nil {
			vars = variables{}
		}
		for pair := range slices.Chunk(more, 2) {
			vars[pair[0]] = pair[len(pair)-1]
		}
	}
	return v.texts.say(key, vars)
}

// Title returns the page's title.
func (v view) Title() string { return v.Text(v.name + ".title") }

// Explain returns the page's text.
func (v view) Explain() string { return v.Text(v.name + ".text") }

// Product returns what the pages call the whole.
func (v view) Product() string {
	if v.product != "" {
		return v.product
	}
	return v.Text("product")
}

// show returns a page. vars are for its texts, data for its template.
func (f *Flow) show(status int, template, name string, vars variables, data any) answer {
	v := view{Path: f.path, Page: data, name: name, product: f.name, texts: f.pages.texts, vars: vars}
	a := newAnswer(status)
	a.header.Set("Content-Type", "text/html; charset=utf-8")
	var body bytes.Buffer
	if err := f.pages.templates.ExecuteTemplate(&body, template, v); err != nil {
		a = newAnswer(http.StatusInternalServerError)
		a.fault = err // of an operator's template, on what no sample had
		return a
	}
	a.body = body.Bytes()
	return a
}

// say shows a message.
func (f *Flow) say(m message, vars variables, data messagePage) answer {
	a := f.show(m.status, "message.html", m.name, vars, data)
	a.said = &said{m.name, m.status, vars, data, time.Now().Add(ticketLife).Unix()}
	return a
}

// refuse tells the operator of a refusal and the person on a page, by the same
// id. event has what is known, Reason and Err come from no. What is wrong on our
// side, or Auth0's, is a Fault.
func (f *Flow) refuse(r *http.Request, event Event, no *refusal) answer {
	switch {
	case no.page.status >= 500 && event.Kind != FailedToConnect:
		event.Kind = Fault
	case event.Kind == "":
		event.Kind = Refused
	}
	event.Reason, event.Err = no.reason, no.err
	data := no.data
	data.ID = f.tell(r.Context(), event)
	return f.say(no.page, variables{"provider": f.pages.texts.provider(event.Connection)}, data)
}

func (f *Flow) notAllowed(methods map[string]handler) answer {
	a := f.say(pageNotAllowed, nil, messagePage{})
	a.header.Set("Allow", strings.Join(slices.Sorted(maps.Keys(methods)), ", "))
	return a
}

// goOn sends the browser on after a POST. It is no redirect, since browsers
// apply a page's form-action to where a redirected POST leads.
func (f *Flow) goOn(target string) answer {
	a := f.show(http.StatusOK, "onward.html", "onward", variables{"host": hostOf(target)}, onwardPage{target})
	a.header.Set("Refresh", "0; url="+target)
	a.onward = target
	return a
}

// hostOf is where a URL leads.
func hostOf(target string) string {
	u, err := url.Parse(target)
	if err != nil {
		return ""
	}
	return clean(u.Host, maxShown)
}

// redirect sends the browser on after a GET, or to a page of ours.
func redirect(target string) answer {
	a := newAnswer(http.StatusSeeOther)
	a.header.Set("Location", target)
	return a
}

// page returns the URL of one of our pages.
func (f *Flow) page(name string, query url.Values) string {
	target := f.path + "/" + name
	if len(query) > 0 {
		target += "?" + query.Encode()
	}
	return target
}

// style and icon are the same for everybody. The icon keeps browsers from asking
// for /favicon.ico, which is not ours.
func (f *Flow) style(*http.Request) answer { return f.asset(styleFile, "text/css; charset=utf-8") }
func (f *Flow) icon(*http.Request) answer  { return f.asset(iconFile, "image/svg+xml") }

func (f *Flow) asset(name, contentType string) answer {
	a := newAnswer(http.StatusOK)
	a.header.Set("Content-Type", contentType)
	a.header.Set("Cache-Control", "public, max-age=3600")
	a.body = f.pages.assets[name]
	return a
}

func newAnswer(status int) answer { return answer{status: status, header: make(http.Header)} }

// write sends an answer.
func (f *Flow) write(w http.ResponseWriter, a answer) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	maps.Copy(header, a.header)
	header.Set("Content-Length", strconv.Itoa(len(a.body)))
	w.WriteHeader(a.status)
	_, _ = w.Write(a.body) // a browser that has left needs no answer
}
