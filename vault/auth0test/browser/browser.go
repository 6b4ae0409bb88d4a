// Package browser is a person with a web browser, for tests and demos of login
// and consent pages: it keeps cookies, follows redirects and Refresh headers,
// submits HTML forms with their hidden fields, and sends the headers by which
// servers tell where a request comes from (Origin, Sec-Fetch-*). It runs no
// scripts and renders nothing.
package browser

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"

	"golang.org/x/net/html"
)

const (
	maxPage = 1 << 20
	maxHops = 20
)

// Browser keeps cookies between pages. Make one with [New]. It is not safe for
// concurrent use, like a person.
type Browser struct {
	client *http.Client
}

// Page is what the browser shows after it followed every redirect.
type Page struct {
	// URL is where the browser ended up.
	URL *url.URL
	// Status, Header and Body are the last answer's.
	Status int
	Header http.Header
	Body   string
	// Forms are the forms on the page.
	Forms []Form
}

// Form is a form on a page.
type Form struct {
	Method string
	Action *url.URL
	// Values are the fields as the page filled them in: hidden ones, text
	// fields with a value, ticked boxes. Submit buttons are not among them.
	Values url.Values
}

// New returns a browser without any cookies.
func New() *Browser {
	jar, _ := cookiejar.New(nil) // fails for no options
	return &Browser{client: &http.Client{
		Jar:           jar,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// Cookies returns the cookies that the browser would send to u.
func (b *Browser) Cookies(u *url.URL) []*http.Cookie { return b.client.Jar.Cookies(u) }

// SetCookies makes the browser have more cookies for u.
func (b *Browser) SetCookies(u *url.URL, cookies []*http.Cookie) { b.client.Jar.SetCookies(u, cookies) }

// Open opens a link that was typed or clicked outside of the browser.
func (b *Browser) Open(ctx context.Context, link string) (*Page, error) {
	u, err := url.Parse(link)
	if err != nil {
		return nil, err
	}
	return b.navigate(ctx, http.MethodGet, u, nil, nil)
}

// Submit submits the page's form that has the fields in values, which replace
// the form's own.
func (b *Browser) Submit(ctx context.Context, page *Page, values url.Values) (*Page, error) {
	form, err := page.form(values)
	if err != nil {
		return nil, err
	}
	fields := url.Values{}
	for _, set := range []url.Values{form.Values, values} {
		maps.Copy(fields, set)
	}
	if form.Method == http.MethodGet {
		target := *form.Action
		target.RawQuery = fields.Encode()
		return b.navigate(ctx, http.MethodGet, &target, nil, page.URL)
	}
	return b.navigate(ctx, http.MethodPost, form.Action, fields, page.URL)
}

// form returns the only form, or the one that takes these values.
func (p *Page) form(values url.Values) (*Form, error) {
	if len(p.Forms) == 1 {
		return &p.Forms[0], nil
	}
	for i, form := range p.Forms {
		fits := len(values) > 0
		for name, v := range values {
			if own, ok := form.Values[name]; ok && len(v) == 1 && own[0] != v[0] && own[0] != "" {
				fits = false
			}
		}
		if fits {
			return &p.Forms[i], nil
		}
	}
	return nil, fmt.Errorf("%s answered %d with %d forms, none fits", p.URL.Redacted(), p.Status, len(p.Forms))
}

// navigate sends a request and follows where the answers lead. from is the page
// that the request comes from, nil for none.
func (b *Browser) navigate(ctx context.Context, method string, to *url.URL, form url.Values, from *url.URL) (*Page, error) {
	for range maxHops {
		page, err := b.load(ctx, method, to, form, from)
		if err != nil {
			return nil, err
		}
		next := page.next()
		if next == "" {
			return page, nil
		}
		target, err := page.URL.Parse(next)
		if err != nil {
			return nil, err
		}
		method, form, from, to = http.MethodGet, nil, page.URL, target
	}
	return nil, fmt.Errorf("more than %d redirects, the last to %s", maxHops, to.Redacted())
}

// next returns where the page sends the browser, or nothing.
func (p *Page) next() string {
	if p.Status >= 300 && p.Status < 400 {
		return p.Header.Get("Location")
	}
	if delay, target, ok := strings.Cut(p.Header.Get("Refresh"), "url="); ok && strings.HasPrefix(delay, "0") {
		return target
	}
	return ""
}

func (b *Browser) load(ctx context.Context, method string, to *url.URL, form url.Values, from *url.URL) (*Page, error) {
	var body io.Reader
	if form != nil {
		body = strings.NewReader(form.Encode())
	}
	req, err := http.NewRequestWithContext(ctx, method, to.String(), body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/html")
	req.Header.Set("Sec-Fetch-Mode", "navigate")
	req.Header.Set("Sec-Fetch-Dest", "document")
	req.Header.Set("Sec-Fetch-Site", site(from, to))
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", origin(from))
	}
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(io.LimitReader(resp.Body, maxPage))
	if err != nil {
		return nil, err
	}
	page := &Page{URL: to, Status: resp.StatusCode, Header: resp.Header, Body: string(data)}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/html") {
		page.Forms, err = forms(data, to)
	}
	return page, err
}

// site is what a browser says in Sec-Fetch-Site. Hosts count as different
// sites, which is stricter than a browser is about subdomains.
func site(from, to *url.URL) string {
	switch {
	case from == nil:
		return "none"
	case origin(from) == origin(to):
		return "same-origin"
	case from.Hostname() == to.Hostname():
		return "same-site"
	}
	return "cross-site"
}

func origin(u *url.URL) string {
	if u == nil {
		return "null"
	}
	return u.Scheme + "://" + u.Host
}

// forms finds the forms of a page.
func forms(document []byte, base *url.URL) ([]Form, error) {
	root, err := html.Parse(bytes.NewReader(document))
	if err != nil {
		return nil, err
	}
	var found []Form
	for node := range root.Descendants() {
		if node.Type != html.ElementNode || node.Data != "form" {
			continue
		}
		action, err := base.Parse(attribute(node, "action"))
		if err != nil {
			return nil, err
		}
		form := Form{Method: strings.ToUpper(attribute(node, "method")), Action: action, Values: url.Values{}}
		if form.Method == "" {
			form.Method = http.MethodGet
		}
		for field := range node.Descendants() {
			addField(form.Values, field)
		}
		found = append(found, form)
	}
	return found, nil
}

func addField(values url.Values, field *html.Node) {
	name := attribute(field, "name")
	if field.Type != html.ElementNode || name == "" {
		return
	}
	switch field.Data {
	case "input":
	case "select":
		for option := range field.Descendants() { // the first one is selected
			if option.Data == "option" && !values.Has(name) {
				values.Set(name, attribute(option, "value"))
			}
		}
		return
	default:
		return
	}
	switch attribute(field, "type") {
	case "submit", "button", "image":
	case "checkbox", "radio":
		if hasAttribute(field, "checked") {
			values.Add(name, attribute(field, "value"))
		}
	default:
		values.Add(name, attribute(field, "value"))
	}
}

func attribute(node *html.Node, name string) string {
	for _, a := range node.Attr {
		if a.Key == name {
			return a.Val
		}
	}
	return ""
}

func hasAttribute(node *html.Node, name string) bool {
	for _, a := range node.Attr {
		if a.Key == name {
			return true
		}
	}
	return false
}
