package linkflow

import "net/http"

// message is a page that says something, under its name in text.json.
type message struct {
	status int
	name   string
}

// The messages, in the order in which a person may meet them.
var (
	pageNotFound     = message{http.StatusNotFound, "not_found"}
	pageNotAllowed   = message{http.StatusMethodNotAllowed, "not_allowed"}
	pageBadLink      = message{http.StatusBadRequest, "bad_link"}
	pageExpired      = message{http.StatusGone, "expired"}
	pageNotOffered   = message{http.StatusBadRequest, "not_offered"}
	pageForeign      = message{http.StatusForbidden, "foreign"}
	pageNoCookie     = message{http.StatusForbidden, "no_cookie"}
	pageBadRequest   = message{http.StatusBadRequest, "bad_request"}
	pageNoFlow       = message{http.StatusBadRequest, "no_flow"}
	pageNotSignedIn  = message{http.StatusForbidden, "not_signed_in"}
	pageWrongPerson  = message{http.StatusForbidden, "wrong_person"}
	pageNotConnected = message{http.StatusBadGateway, "not_connected"}
	pageAuth0Fails   = message{http.StatusBadGateway, "auth0_fails"}
	pageBroken       = message{http.StatusInternalServerError, "broken"}

	pageNotFresh          = message{http.StatusForbidden, "not_fresh"}
	pageEmailUnverified   = message{http.StatusForbidden, "email_unverified"}
	pageFactorNeeded      = message{http.StatusForbidden, "factor_needed"}
	pageOtherAddress      = message{http.StatusForbidden, "other_address"}
	pageNothingToLink     = message{http.StatusOK, "nothing_to_link"}
	pageSecondSignIn      = message{http.StatusForbidden, "second_sign_in"}
	pageOtherConnection   = message{http.StatusForbidden, "other_connection"}
	pageNotTheOffered     = message{http.StatusForbidden, "not_the_offered"}
	pageIdentityTaken     = message{http.StatusConflict, "identity_taken"}
	pageHintRefused       = message{http.StatusForbidden, "hint_refused"}
	pagePerhapsTaken      = message{http.StatusForbidden, "perhaps_taken"}
	pageOtherLinked       = message{http.StatusConflict, "other_linked"}
	pageNothingGained     = message{http.StatusOK, "nothing_gained"}
	pageNotLinkedByAction = message{http.StatusBadGateway, "not_linked_by_action"}

	pageChanged   = message{http.StatusConflict, "changed"}
	pageNotLinked = message{http.StatusBadGateway, "not_linked"}
	pageUnclear   = message{http.StatusBadGateway, "unclear"}

	pageNotUnlinked = message{http.StatusBadGateway, "not_unlinked"}

	pageNoAccount       = message{http.StatusNotFound, "no_account"}
	pageNotDisconnected = message{http.StatusBadGateway, "not_disconnected"}
	pageDoneElsewhere   = message{http.StatusOK, "done_elsewhere"}
	pageSignedOut       = message{http.StatusOK, "signed_out"}
)
