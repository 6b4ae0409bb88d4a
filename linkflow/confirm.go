package linkflow

import (
	"net/http"
	"net/url"
)

// showConfirm is the page on which the ticket's user decides. It is the first
// one that names a person, whom Auth0 has vouched for by then. It may be opened
// again, also by the back button of somebody who is at the provider already.
func (f *Flow) showConfirm(r *http.Request) answer {
	s, leg, no := f.flowOfPage(r, decisions...)
	switch {
	case no != nil:
		return f.refuse(r, Event{}, no)
	case leg == forEnd:
		return redirect(f.donePage(s))
	case s.Linking != nil:
		return f.showLinking(r, s, leg)
	}
	accounts, err := keptFor(&f.kept, s.ID, s.AccessToken, func() ([]connectedAccount, error) {
		return f.myAccount(s.AccessToken, s.secrets()...).accounts(r.Context(), s.Ticket.Connection, s.Ticket.OrgID)
	})
	if err != nil {
		return f.refuse(r, byUser(Fault, s.Ticket), auth0Refusal(err, pageAuth0Fails))
	}
	form, cookie, err := f.formFor(r, pageOf[forConfirm], s, seenOfAccounts(accounts), s.Expiry)
	if err != nil {
		return f.refuse(r, byUser(Fault, s.Ticket), refusalOf(err, pageBroken, "form"))
	}
	text := f.request(s.Ticket)
	data := confirmPage{requestText: text, Person: s.Person, Again: s.Ticket.Account, Back: hostOf(s.ReturnTo), Flow: s.ID, Form: form}
	for _, account := range accounts {
		data.Accounts = append(data.Accounts, f.accountText(account))
		data.Own = data.Own || account.ID == s.Ticket.Account // which no other site knows
	}
	return f.show(http.StatusOK, "confirm.html", "confirm", text.vars(), data).with(cookie)
}

// flowOfPage is flowOf for a page that names the flow in its query.
func (f *Flow) flowOfPage(r *http.Request, legs ...purpose) (*flowState, purpose, *refusal) {
	id, err := one(r.URL.Query(), "flow")
	if err != nil {
		return nil, "", &refusal{page: pageNoFlow, reason: "flow_repeated"}
	}
	s, leg, err := f.flowOf(r, id, legs...)
	if err != nil {
		return nil, "", refusalOf(err, pageNoFlow, "no_flow")
	}
	return s, leg, nil
}

func (f *Flow) confirmPage(s *flowState) string { return f.page("confirm", url.Values{"flow": {s.ID}}) }

// postConfirm is that user's decision.
func (f *Flow) postConfirm(r *http.Request) answer {
	values, no := f.readPost(r)
	if no != nil {
		return f.refuse(r, Event{}, no)
	}
	s, leg, err := f.flowOf(r, values.Get("flow"), decisions...)
	if err != nil {
		return f.refuse(r, Event{}, refusalOf(err, pageNoFlow, "no_flow"))
	}
	if leg == forEnd { // the page was loaded once more
		return redirect(f.donePage(s))
	}
	form, err := f.checkForm(r, values.Get("form"), pageOf[leg], s)
	if err != nil {
		no := refusalOf(err, pageForeign, "form_token")
		no.data.GoOn = f.confirmPage(s)
		return f.refuse(r, about(Refused, s.Ticket), no)
	}
	defer f.kept.drop(s.ID)
	switch action := values.Get("action"); {
	case s.Linking != nil:
		return f.postLinking(r, s, leg, form, values)
	case action == "connect":
		return f.beginConnect(r, s, form, values.Get("account"))
	case action == "decline":
		return f.declined(r, s, byUser(DeclinedByUser, s.Ticket))
	case action == "switch":
		f.outcomes.Leave(s.Ticket.wished())
		s.forgetPerson()
		return f.beginLogin(r, forLogin, s, signIn{organization: s.Ticket.OrgID, afresh: true})
	}
	return f.refuse(r, byUser(Refused, s.Ticket), malformed())
}
