package auth0test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

// The reasons with which the older Action denies an unlinking.
const (
	denyBoth         = "both link_account and unlink_account requested"
	denyNoHint       = "no id_token_hint present"
	denyNoConnection = "no requested_connection requested"
	denyBadHint      = "id_token_hint verification failed"
	denyNoCode       = "missing code"
	denyExchange     = "error in exchange"
	denyNoIdentity   = "target identity not found"
	denyUnlinking    = "error unlinking"
)

// startUnlinking has the person log in again through the connection of their
// own identity. Which one is to go travels in the nonce of that login.
func (l accountLinking) startUnlinking(e *PostLoginEvent, api *PostLoginAPI) error {
	connection := e.Request.Query.Get("requested_connection")
	target := find(e.User.Identities, func(i Identity) bool { return i.Connection == connection })
	switch {
	case requested(e, "link_account"):
		api.Deny(denyBoth)
	case e.Request.Query.Get("id_token_hint") == "":
		api.Deny(denyNoHint)
	case connection == "":
		api.Deny(denyNoConnection)
	case target == nil:
		api.Deny(fmt.Sprintf("user %s does not have profile against connection: %s", e.User.UserID, connection))
	case l.checkHint(e) != nil:
		api.Deny(denyBadHint)
	default:
		q := url.Values{
			"scope": {"openid profile email"}, "prompt": {"login"}, "max_age": {"0"},
			"connection": {e.User.Identities[0].Connection}, "nonce": {target.Connection + "|" + target.UserID},
		}
		optional(q, "login_hint", e.User.Email)
		return l.nest(e, api, q)
	}
	return nil
}

// finishUnlinking takes the identity away that the nonce names, whoever it was
// that logged in again.
func (l accountLinking) finishUnlinking(e *PostLoginEvent, api *PostLoginAPI) {
	if e.Request.Query.Get("code") == "" {
		api.Deny(denyNoCode)
		return
	}
	again, err := l.redeem(e, nil)
	if err != nil {
		api.Deny(denyExchange)
		return
	}
	connection, userID, _ := strings.Cut(again.Nonce, "|")
	target := find(e.User.Identities, func(i Identity) bool { return i.Connection == connection && i.UserID == userID })
	if target == nil {
		api.Deny(denyNoIdentity)
		return
	}
	token, err := l.managementToken(e)
	if err == nil {
		path := "api/v2/users/" + url.PathEscape(e.User.UserID) + "/identities/" + target.Provider + "/" + url.PathEscape(target.UserID)
		err = l.call(e, http.MethodDelete, path, token, nil, nil)
	}
	if err != nil {
		api.Deny(denyUnlinking)
	}
}
