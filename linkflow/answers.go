package linkflow

import (
	"bytes"
	"embed"
	"html/template"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// Every byte that a browser gets is written here, from the templates.

//go:embed pages
var files embed.FS

var (
	templates  = template.Must(template.ParseFS(files, "pages/*.html"))
	stylesheet = asset{"text/css; charset=utf-8", mustRead("pages/style.css")}
	icon       = asset{"image/svg+xml", mustRead("pages/icon.svg")}
)

// asset is what pages refer to. It is the same for everybody and may be kept.
type asset struct {
	contentType string
	data        []byte
}

func mustRead(name string) []byte {
	data, err := files.ReadFile(name)
	if err != nil {
		panic(err) // it is embedded
	}
	return data
}

// policy lets a page do nothing but show itself and post to us (Content Security
// Policy Level 3). No script, no frame around it, nothing from elsewhere.
const policy = "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

// answer is what a handler decided to answer.
type answer struct {
	status   int
	page     string // name of the template; empty for an answer without one
	data     any
	refresh  string // where the browser goes on to by itself
	location string // the same by redirect
	allow    string
	cookies  []*http.Cookie
	asset    *asset
}

// The data of the templates.
type (
	connectPage struct {
		requestText
		Form, Ticket, ReturnTo string
	}
	confirmPage struct {
		requestText
		Person, Form, Flow string
	}
	onwardPage  struct{ URL, Host string }
	messagePage struct {
		message
		ID   string // of the event, for the operator
		Back string // where the person may go on
	}
)

// refuse tells the operator of a refusal and the person on a page, by the same
// id. event has what is known, Reason and Err come from no. What is wrong on our
// side, or Auth0's, is a Fault.
func (f *Flow) refuse(r *http.Request, event Event, no *refusal, cookies ...*http.Cookie) answer {
	switch {
	case no.page.status >= 500 && event.Kind != FailedToLink:
		event.Kind = Fault
	case event.Kind == "":
		event.Kind = Refused
	}
	event.Reason, event.Err = no.reason, no.err
	id := f.tell(r.Context(), event)
	return answer{status: no.page.status, page: "message.html", data: messagePage{message: no.page, ID: id}, cookies: cookies}
}

// sayOnly shows a message of which nobody else is told.
func sayOnly(m message, cookies ...*http.Cookie) answer {
	return answer{status: m.status, page: "message.html", data: messagePage{message: m}, cookies: cookies}
}

func notAllowed(methods map[string]handler) answer {
	a := sayOnly(pageNotAllowed)
	a.allow = strings.Join(slices.Sorted(maps.Keys(methods)), ", ")
	return a
}

// goOn sends the browser on after a POST. It is no redirect, since browsers
// apply a page's form-action to where a redirected POST leads.
func goOn(target string, cookies []*http.Cookie) answer {
	host := ""
	if u, err := url.Parse(target); err == nil {
		host = u.Host
	}
	return answer{status: http.StatusOK, page: "onward.html", data: onwardPage{target, clean(host, maxShown)}, refresh: target, cookies: cookies}
}

// redirect sends the browser on after a GET.
func redirect(target string, cookies ...*http.Cookie) answer {
	return answer{status: http.StatusSeeOther, location: target, cookies: cookies}
}

func (f *Flow) style(*http.Request) answer { return answer{status: http.StatusOK, asset: &stylesheet} }

// icon keeps browsers from asking for /favicon.ico, which is not ours, with the
// URL of a callback as the page that they come from.
func (f *Flow) icon(*http.Request) answer { return answer{status: http.StatusOK, asset: &icon} }

// write sends an answer.
func (f *Flow) write(w http.ResponseWriter, a answer) {
	header := w.Header()
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", policy)
	header.Set("Referrer-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	for _, c := range a.cookies {
		http.SetCookie(w, c)
	}
	for name, value := range map[string]string{"Allow": a.allow, "Location": a.location} {
		if value != "" {
			header.Set(name, value)
		}
	}
	if a.refresh != "" {
		header.Set("Refresh", "0; url="+a.refresh)
	}
	var body bytes.Buffer
	switch {
	case a.asset != nil:
		header.Set("Cache-Control", "public, max-age=3600")
		header.Set("Content-Type", a.asset.contentType)
		body.Write(a.asset.data)
	case a.page != "":
		header.Set("Content-Type", "text/html; charset=utf-8")
		view := struct {
			Path, Product string
			Page          any
		}{f.path, product, a.data}
		if err := templates.ExecuteTemplate(&body, a.page, view); err != nil {
			a.status = http.StatusInternalServerError // the templates and their data are ours: a test would have seen it
			body.Reset()
		}
	}
	header.Set("Content-Length", strconv.Itoa(body.Len()))
	w.WriteHeader(a.status)
	_, _ = w.Write(body.Bytes()) // a browser that has left needs no answer
}
