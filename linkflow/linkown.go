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

// showLink is the page that such a link leads to.
func (f *Flow) showLink(r *http.Request) answer {
	return f.showFirst(r, linkRoute, f.readLink, func(o opening, t ticket, form string) answer {
		name := "link"
		if t.Connection == "" {
			name = "link_any"
		}
		return f.show(http.StatusOK, "link.html", name, f.request(t).vars(), linkPage{o, form})
	})
}

// postLink begins a flow that links an identity.
func (f *Flow) postLink(r *http.Request) answer { return f.begin(r, linkRoute) }
