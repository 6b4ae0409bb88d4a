package linkflow

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// opening is what a flow begins with: a ticket, sealed, and where to go in the
// end; droppedReturnTo if the link says where, and it may not be there.
type opening struct{ Ticket, ReturnTo string }

// matter is what the link asks for: its ticket says all of it.
func (o opening) matter() (id string, all any) { return digestOf(o), nil }

// readOpening reads the parameters of the link's page and of its form. route is
// where they were sent: what one page begins with is nothing to the other.
func (f *Flow) readOpening(ctx context.Context, route string, values url.Values) (o opening, t ticket, no *refusal) {
	text, err := one(values, "ticket")
	if err != nil {
		return o, t, &refusal{page: pageBadLink, reason: "ticket_repeated"}
	}
	if o.ReturnTo, no = f.readReturnTo(values); no != nil {
		return o, t, no
	}
	if t, err = open[ticket](ctx, f.sealer, forTicket, text); err == nil && t.Own != (route == linkRoute) {
		err = errTampered
	}
	if err != nil {
		return o, t, refusalOf(err, pageBadLink, "ticket")
	}
	o.Ticket = text
	return o, t, nil
}

func (f *Flow) readLinkOrOffer(ctx context.Context, values url.Values) (opening, ticket, *refusal) {
	if !values.Has("ticket") && values.Has("connection") {
		return f.offer(ctx, values)
	}
	return f.readOpening(ctx, "connect", values)
}

// signInScopes are about the sign-in at Auth0. Auth0's SDKs ask for them beside those of
// the provider, where they mean what no route may want.
var signInScopes = []string{"openid", "profile", "email"}

// offer reads a link without a ticket, as front ends made for Auth0's SDKs build
// them. It gets a ticket here and now, for whoever will sign in, and asks for
// nothing that no route uses, in the routes' words. The page of accounts says which one to connect
// again. Parameters that we do not know are not looked at.
func (f *Flow) offer(ctx context.Context, values url.Values) (o opening, t ticket, no *refusal) {
	connection, err := one(values, "connection")
	if err != nil {
		return o, t, &refusal{page: pageBadLink, reason: "connection_repeated"}
	}
	if o.ReturnTo, no = f.readReturnTo(values); no != nil {
		return o, t, no
	}
	offered, ok := f.offers(connection)
	if !ok {
		return o, t, &refusal{page: pageNotOffered, reason: "connection"}
	}
	var scopes []string
	for _, scope := range vault.SplitScopes(strings.Join(values["scopes"], " ")) {
		if name, ok := vault.OfferedScope(connection, offered, scope); ok {
			scopes = append(scopes, name)
		} else if !slices.Contains(signInScopes, scope) {
			return o, t, &refusal{page: pageNotOffered, reason: "scopes"}
		}
	}
	account, err := one(values, "account")
	if err != nil || !accountPattern.MatchString(account) {
		account = ""
	}
	t = f.openTicket()
	t.Connection, t.Account, t.Scopes = connection, account, vault.MergeScopes(connection, nil, scopes)
	return f.sealOpening(ctx, o, t)
}

// openTicket is a ticket for whoever will sign in.
func (f *Flow) openTicket() ticket {
	return ticket{Issuer: f.vault.Issuer(), Open: true, ID: rand.Text(), Expiry: time.Now().Add(ticketLife).Unix()}
}

func (f *Flow) sealOpening(ctx context.Context, o opening, t ticket) (opening, ticket, *refusal) {
	var err error
	if o.Ticket, err = seal(ctx, f.sealer, forTicket, t); err != nil {
		return o, t, refusalOf(err, pageBroken, "ticket")
	}
	return o, t, nil
}

// showConnect is the page that a link leads to. It says what is asked for.
func (f *Flow) showConnect(r *http.Request) answer {
	return f.showFirst(r, "connect", f.readLinkOrOffer, func(o opening, t ticket, form string) answer {
		text := f.request(t)
		return f.show(http.StatusOK, "connect.html", "connect", text.vars(), connectPage{text, o, form, f.via.Merges()})
	})
}

// showFirst is the first page of a flow. It names nobody, since anybody may look at
// it; and it does nothing, since agents, chats and crawlers do look. Not even the
// hook is told, unless something is wrong on our side.
func (f *Flow) showFirst(
	r *http.Request, route string, read func(context.Context, url.Values) (opening, ticket, *refusal),
	page func(o opening, t ticket, form string) answer,
) answer {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil || len(r.URL.RawQuery) > maxQuery {
		return f.say(pageBadLink, nil, messagePage{})
	}
	o, t, no := read(r.Context(), values)
	if no != nil {
		return f.cannotShow(r, no)
	}
	form, cookie, err := f.formFor(r, route, o, nil, t.Expiry)
	if err != nil {
		return f.cannotShow(r, refusalOf(err, pageBroken, "form"))
	}
	return page(o, t, form).with(cookie)
}

// postConnect begins a flow: its first leg is to sign in at Auth0.
func (f *Flow) postConnect(r *http.Request) answer { return f.begin(r, "connect") }

// begin begins a flow from the page that is called route.
func (f *Flow) begin(r *http.Request, route string) answer {
	values, no := f.readPost(r)
	if no != nil {
		return f.refuse(r, Event{}, no)
	}
	o, t, no := f.readOpening(r.Context(), route, values)
	if no != nil {
		return f.refuse(r, Event{}, no)
	}
	if _, err := f.checkForm(r, values.Get("form"), route, o); err != nil {
		return f.refuse(r, about(Refused, t), refusalOf(err, pageForeign, "form_token"))
	}
	s := &flowState{ID: rand.Text(), Ticket: t, ReturnTo: o.ReturnTo, Expiry: t.Expiry}
	how := signIn{organization: t.OrgID, afresh: values.Get("prompt") == "login"}
	if s.ReturnTo == droppedReturnTo {
		s.ReturnTo, how.remark = "", "return_to"
	}
	if f.via.Merges() {
		return f.beginLinking(r, s, how)
	}
	return f.beginLogin(r, forLogin, s, how)
}

// requestText is what a ticket asks for, in words.
type requestText struct {
	Provider string
	Account  string // empty if any will do
	Agent    string // empty if the link names none
	Verified bool   // the operator vouches for the agent's name
	Open     bool   // the link is for whoever signs in
	Scopes   []scopeText
}

func (f *Flow) request(t ticket) requestText {
	name, verified := f.clientNames[t.Agent]
	if !verified {
		name = t.Agent
	}
	return requestText{
		Provider: f.pages.texts.provider(t.Connection),
		Account:  clean(t.LoginHint, maxShown),
		Agent:    clean(name, maxShown),
		Verified: verified,
		Open:     t.Open,
		Scopes:   f.pages.texts.scopes(t.Connection, t.Scopes),
	}
}

func (t requestText) vars() variables {
	return variables{"provider": t.Provider}
}
