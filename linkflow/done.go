package linkflow

import (
	"net/http"
	"net/url"
	"time"
)

// finish ends a flow: the page that says how may be opened again.
func (f *Flow) finish(r *http.Request, s *flowState, e ending) answer {
	if e.success() && s.ReturnTo != "" && f.mayReturnTo(s.ReturnTo) {
		return f.finishOn(r, s, e, s.ReturnTo)
	}
	return f.finishOn(r, s, e, f.donePage(s))
}

// finishOn ends a flow and sends the browser there.
func (f *Flow) finishOn(r *http.Request, s *flowState, e ending, target string) answer {
	cookies, err := f.end(r, s, e)
	if err != nil {
		return f.refuse(r, byUser(Fault, s.Ticket), notKept(err)).with(f.drop(r, s)...)
	}
	return redirect(target).with(cookies...)
}

// startAgain is what a page shows that ends s early: where it began.
func (f *Flow) startAgain(r *http.Request, s *flowState) messagePage {
	switch {
	case s.Ticket.ID == "":
		return messagePage{Accounts: true}
	case s.Unlinking != nil:
		return messagePage{Identities: true}
	}
	return messagePage{Again: f.again(r, s)}
}

// again is a link to begin again with what s began with; empty if its ticket has
// ended.
func (f *Flow) again(r *http.Request, s *flowState) string {
	t := s.asked()
	if time.Now().Unix() >= t.Expiry {
		return ""
	}
	route, query := linkRoute, url.Values{}
	if !t.Own {
		text, err := seal(r.Context(), f.sealer, forTicket, t)
		if err != nil {
			return ""
		}
		route, query = "connect", url.Values{"ticket": {text}}
	} else if t.Connection != "" {
		query = url.Values{"connection": {t.Connection}, "scopes": t.Scopes}
	}
	if s.ReturnTo != "" {
		query.Set("returnTo", s.ReturnTo)
	}
	return f.page(route, query)
}

// showDone is the page on which a flow ends.
func (f *Flow) showDone(r *http.Request) answer {
	if f.via == ViaURL && !r.URL.Query().Has("flow") {
		return f.say(pageDoneElsewhere, nil, messagePage{})
	}
	s, leg, no := f.flowOfPage(r, decisions...)
	if no != nil {
		return f.refuse(r, Event{}, no)
	}
	if leg != forEnd {
		return redirect(f.confirmPage(s))
	}
	return f.ended(r, s, *s.Ended)
}

func (f *Flow) donePage(s *flowState) string { return f.page("done", url.Values{"flow": {s.ID}}) }

// ended says how a flow ended.
func (f *Flow) ended(r *http.Request, s *flowState, e ending) answer {
	t, request := s.Ticket, f.request(s.Ticket)
	vars := request.vars()
	switch {
	case request.Verified:
		vars["agent"] = request.Agent
	case t.Agent == "":
		vars["agent"] = f.pages.texts["agent.none"]
	default:
		vars["agent"] = f.pages.texts["agent"]
	}
	if s.ReturnTo != "" && !f.mayReturnTo(s.ReturnTo) {
		s.ReturnTo = ""
	}
	data := donePage{Back: s.ReturnTo}
	switch {
	case e.Declined:
		return f.show(http.StatusOK, "done.html", "declined", vars, data)
	case e.Missing != nil:
		data.Missing = f.pages.texts.scopes(t.Connection, e.Missing)
		data.Again = f.again(r, s)
		return f.show(http.StatusOK, "done.html", "too_little", vars, data)
	}
	data.Scopes, data.Hint = f.pages.texts.scopes(t.Connection, e.Granted), request.Account
	return f.show(http.StatusOK, "done.html", "done", vars, data)
}
