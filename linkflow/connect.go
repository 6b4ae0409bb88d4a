package linkflow

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
)

// opening is what the link's page is asked for: a ticket, and where to go in
// the end.
type opening struct {
	ticket   ticket
	text     string // the ticket, sealed
	returnTo string
}

// readOpening reads the parameters of the link's page and of its form.
func (f *Flow) readOpening(ctx context.Context, values url.Values) (*opening, *refusal) {
	text, err := one(values, "ticket")
	if err != nil {
		return nil, &refusal{pageBadLink, "ticket_repeated", nil}
	}
	returnTo, err := one(values, "returnTo")
	if err != nil || returnTo != "" && !f.mayReturnTo(returnTo) {
		return nil, &refusal{pageBadReturn, "return_to", nil}
	}
	t, err := open[ticket](ctx, f.sealer, forTicket, text)
	if err != nil {
		return nil, refusalOf(err, pageBadLink, "ticket")
	}
	return &opening{t, text, returnTo}, nil
}

// showConnect is the page that a link leads to. It says what is asked for and
// names nobody, since anybody may look at it; and it does nothing, since agents,
// chats and crawlers do look. Not even the hook is told, unless something is
// wrong on our side.
func (f *Flow) showConnect(r *http.Request) answer {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return sayOnly(pageBadLink)
	}
	o, no := f.readOpening(r.Context(), values)
	if no != nil && no.page.status < 500 {
		return sayOnly(no.page)
	}
	if no != nil {
		return f.refuse(r, Event{}, no)
	}
	form, cookie, err := f.formFor(r, "connect", o.ticket.ID, o.ticket.Expiry)
	if err != nil {
		return f.refuse(r, Event{}, refusalOf(err, pageBroken, "form"))
	}
	return answer{
		status:  http.StatusOK,
		page:    "connect.html",
		data:    connectPage{f.request(o.ticket), form, o.text, o.returnTo},
		cookies: []*http.Cookie{cookie},
	}
}

// postConnect begins a flow: its first leg is to sign in at Auth0.
func (f *Flow) postConnect(r *http.Request) answer {
	values, no := f.readPost(r)
	if no != nil {
		return f.refuse(r, Event{}, no)
	}
	o, no := f.readOpening(r.Context(), values)
	if no != nil {
		return f.refuse(r, Event{}, no)
	}
	event := about(Refused, o.ticket)
	token, err := one(values, "form")
	if err != nil {
		return f.refuse(r, event, &refusal{pageBadRequest, "form_malformed", nil})
	}
	if err := f.checkForm(r, token, "connect", o.ticket.ID); err != nil {
		return f.refuse(r, event, refusalOf(err, pageForeign, "form_token"))
	}
	s := &flowState{ID: rand.Text(), Ticket: o.ticket, ReturnTo: o.returnTo, Expiry: o.ticket.Expiry}
	target := f.beginLogin(s, values.Get("prompt") == "login")
	cookie, err := f.keep(r.Context(), forLogin, s)
	if err != nil {
		return f.refuse(r, event, &refusal{pageBroken, "cookie", err})
	}
	f.tell(r.Context(), about(Started, o.ticket))
	return goOn(target, append(f.makeRoom(r), cookie))
}
