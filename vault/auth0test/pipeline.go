package auth0test

import (
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// proceed does what is left after a login: the tenant's policy, the Actions, the
// code. Each may need the person, and then proceed is called again when they are
// back.
func (t *Tenant) proceed(w http.ResponseWriter, r *http.Request, tx *transaction) {
	user := t.cfg().user(tx.session.userID)
	if oerr := t.mayLogIn(tx, user); oerr != nil {
		tx.fail(w, r, oerr)
		return
	}
	if t.cfg().Settings.MFAPolicy == "always" && !tx.session.did("mfa") {
		t.askForFactor(w, r, tx, user)
		return
	}
	if tx.redirectTo != "" {
		t.sendAway(w, r, tx)
		return
	}
	for actions := t.cfg().Actions; tx.nextAction < len(actions); {
		action := t.resolve(actions[tx.nextAction])
		tx.nextAction++
		if action.OnExecutePostLogin == nil {
			continue
		}
		api := &PostLoginAPI{}
		action.OnExecutePostLogin(t.event(r, tx, user, action), api)
		if t.obey(w, r, tx, user, api) {
			return
		}
	}
	t.finish(w, r, tx)
}

// mayLogIn refuses users who proved who they are, and still may not.
func (t *Tenant) mayLogIn(tx *transaction, user *User) *oauthError {
	org, settings := tx.grant.OrgID, t.cfg().Settings
	switch {
	case user == nil: // deleted, or linked to another, meanwhile
		return refuse(0, "access_denied", "The user does not exist.")
	case user.Blocked != nil && *user.Blocked:
		return refuse(0, "unauthorized", "user is blocked")
	case org != "" && !settings.member(settings.organization(org), user.UserID):
		return refuse(0, "access_denied", "user is not part of the %s organization", org)
	}
	return nil
}

// obey does what an Action wants, and reports whether the pipeline stops there.
// A second factor comes before a redirect.
func (t *Tenant) obey(w http.ResponseWriter, r *http.Request, tx *transaction, user *User, api *PostLoginAPI) (stopped bool) {
	tx.redirectTo = ""
	if api.redirectTo != "" {
		tx.redirectTo = addQuery(api.redirectTo, api.redirectParams)
	}
	switch {
	case api.denied:
		tx.fail(w, r, refuse(0, "access_denied", "%s", api.reason))
	case len(api.challenge) > 0 && !tx.mfaDone:
		t.challenge(w, r, tx, user, api.challenge)
	case len(api.enroll) > 0 && !tx.mfaDone:
		t.enroll(w, r, tx, user, api.enroll)
	case tx.redirectTo != "":
		t.sendAway(w, r, tx)
	default:
		return false
	}
	return true
}

// sendAway suspends the pipeline: the person is sent to where an Action wants
// them.
func (t *Tenant) sendAway(w http.ResponseWriter, r *http.Request, tx *transaction) {
	if slices.Contains(tx.prompt, "none") {
		tx.fail(w, r, refuse(0, "interaction_required", "External interaction required"))
		return
	}
	target := tx.redirectTo
	tx.redirectTo = ""
	redirect(w, r, target, url.Values{"state": {t.park(tx, sentAway)}})
}

// serveContinue is /continue: the Action that sent the person away goes on.
func (t *Tenant) serveContinue(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil {
		showError(w, http.StatusBadRequest, "invalid_request", "The request cannot be read.")
		return
	}
	tx, err := t.take(r, r.Form.Get("state"), sentAway)
	if err != nil {
		showLostTransaction(w, err)
		return
	}
	tx.resumed = true
	user := t.cfg().user(tx.session.userID)
	actions := t.cfg().Actions
	if action := t.resolve(actions[tx.nextAction-1]); action.OnContinuePostLogin != nil && user != nil {
		api := &PostLoginAPI{}
		action.OnContinuePostLogin(t.event(r, tx, user, action), api)
		if t.obey(w, r, tx, user, api) {
			return
		}
	}
	t.proceed(w, r, tx)
}

// event is what an Action sees of a transaction. At /continue the request is
// that one.
func (t *Tenant) event(r *http.Request, tx *transaction, user *User, action Action) *PostLoginEvent {
	e := &PostLoginEvent{Secrets: maps.Clone(action.Secrets), Configuration: maps.Clone(action.Configuration)}
	e.Authentication.Methods = slices.Clone(tx.session.methods)
	e.Client.ClientID, e.Client.Name, e.Client.Metadata = tx.client.ClientID, tx.client.Name, tx.client.ClientMetadata
	e.Connection.Name = tx.session.connection
	e.Connection.Strategy = databaseProvider
	if c := t.cfg().connection(tx.session.connection); c != nil {
		e.Connection.Strategy = c.Strategy
	}
	e.Request.Hostname, e.Request.Method, e.Request.UserAgent = r.Host, r.Method, r.UserAgent()
	e.Request.IP, _, _ = net.SplitHostPort(r.RemoteAddr)
	e.Request.Query, e.Request.Body = tx.query, url.Values{}
	if tx.resumed {
		e.Request.Query, e.Request.Body = r.URL.Query(), r.PostForm
	}
	e.Session.ID = tx.session.sid
	e.Transaction.Protocol, e.Transaction.ResponseType = "oidc-basic-profile", []string{"code"}
	e.Transaction.RedirectURI, e.Transaction.State = tx.redirectURI, tx.state
	e.Transaction.Locale, _, _ = strings.Cut(tx.query.Get("ui_locales"), " ")
	setDefault(&e.Transaction.Locale, "en")
	e.Transaction.ACRValues, e.Transaction.Prompt = strings.Fields(tx.query.Get("acr_values")), tx.prompt
	e.Transaction.RequestedScopes = strings.Fields(tx.query.Get("scope"))
	e.User = eventUser(*user)
	return e
}
