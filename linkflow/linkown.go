package linkflow

import (
	"context"
	"net/http"
	"net/url"
)

// linkRoute is where people link an identity by their own will.
const linkRoute = "link"

// readLink reads a link to link an identity: to one of the connections that some
// route uses, or to what will be offered.
func (f *Flow) readLink(ctx context.Context, values url.Values) (o opening, t ticket, no *refusal) {
	if values.Get("connection") != "" {
		o, t, no = f.offer(ctx, values)
	} else if o.ReturnTo, no = f.readReturnTo(values); no == nil {
		t = f.openTicket()
	}
	if no != nil {
		return o, t, no
	}
	t.Own = true
	return f.sealOpening(ctx, o, t)
}

// showLink is the page that such a link leads to. As all first pages, it names
// nobody and does nothing.
func (f *Flow) showLink(r *http.Request) answer {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(r.URL.RawQuery) > maxQuery {
		return f.say(pageBadLink, nil, messagePage{})
	}
	o, t, no := f.readLink(r.Context(), values)
	if no != nil && no.page.status < 500 {
		return f.say(no.page, nil, messagePage{})
	}
	if no != nil {
		return f.refuse(r, Event{}, no)
	}
	form, cookie, err := f.formFor(r, linkRoute, t.ID, t.Expiry)
	if err != nil {
		return f.refuse(r, Event{}, refusalOf(err, pageBroken, "form"))
	}
	name, text := "link", f.request(t)
	if t.Connection == "" {
		name = "link_any"
	}
	return f.show(http.StatusOK, "link.html", name, text.vars(), linkPage{o, form}).with(cookie)
}

// postLink begins a flow that links an identity.
func (f *Flow) postLink(r *http.Request) answer { return f.begin(r, linkRoute) }
