package chromium

// The visible names that the tests rely on, all in one place.
const (
	buttonContinue      = "Continue"
	buttonOther         = "Use another account"
	buttonConnect       = "Connect"
	buttonDecline       = "Decline"
	buttonNotYou        = "Not you?"
	linkGrantRest       = "Grant the rest"
	buttonSignIn        = "Sign in"
	buttonSignInAgain   = "Sign in again"
	buttonSignOut       = "Sign out"
	buttonDisconnect    = "Disconnect"
	linkConnectAgain    = "Connect again"
	linkDisconnect      = "Disconnect"
	linkKeep            = "Keep it"
	headingConnect      = "Connect %s?"
	headingConfirm      = "Connect %s?"
	headingDone         = "%s is connected"
	headingTooLittle    = "Some permissions are missing"
	headingDeclined     = "Nothing was connected"
	headingWrongPerson  = "This link is for somebody else"
	headingExpired      = "This link has expired"
	headingBadLink      = "This link does not work"
	headingNoFlow       = "Please open the link again"
	headingBlocked      = "Please open the link again"
	headingNotSignedIn  = "You are not signed in"
	headingFailed       = "The account was not connected"
	headingFault        = "The sign-in service does not work"
	headingNotFound     = "Page not found"
	headingOnward       = "One moment"
	headingSignIn       = "Your connected accounts"
	headingAccounts     = "Your connected accounts"
	headingDisconnect   = "Disconnect %s?"
	headingDisconnected = "%s is disconnected"
	headingSignedOut    = "You are signed out here"
	wordsSignedInAs     = "Signed in as"
	wordsAllowCookies   = "cookies"

	// At the local tenant and its stand-ins.
	buttonLogIn  = "Continue"
	buttonAllow  = "Allow"
	buttonCancel = "Cancel"
	headingLogIn = "Welcome"

	// What the tenant calls a login that is over.
	headingAtTenant = "invalid_request"
)
