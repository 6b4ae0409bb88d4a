package chromium

import (
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/linkflow"
)

// Who signed in a while ago sees the accounts, and has to give the password once
// more before one is disconnected.
func TestDisconnectingWantsAFreshLogin(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t), newTab(t)
	w.connect(google, "")
	b.haveSession(w, 6*time.Minute).open(w.url("/auth/accounts")).see(signInPage)
	b.press(buttonSignIn).says(accountsPage, "alice@example.com", "Google")

	b.press(linkDisconnect).see(disconnectPage)
	b.press(linkKeep).see(accountsPage)
	b.press(linkDisconnect).see(disconnectPage)
	b.press(buttonSignInAgain).signIn("alice").see(disconnectPage)
	if n := w.asked("DELETE", "/"); n != 0 {
		t.Errorf("the tenant was asked to delete %d times already", n)
	}
	b.press(buttonDisconnect).says(accountsPage, wordsDisconnected, wordsNoAccount)
	b.reload().says(accountsPage, wordsNoAccount)
	if n := w.asked("DELETE", "/"); n != 1 {
		t.Errorf("the tenant was asked to delete %d times", n)
	}
}

// Whose account was disconnected connects it again, from the list.
func TestConnectingAgainFromTheList(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t), newTab(t)
	w.connect(google, "")
	b.toAccounts(w).press(linkConnectAgain).see(google.connectPage())
	b.press(buttonContinue).see(google.confirmPage())
	b.press(buttonConnect).see(google.consent)
	b.press(buttonAllow).see(google.donePage())
	b.press(linkAccounts).see(accountsPage)
	if n := b.find(linkDisconnect, 0).Count; n != 1 {
		t.Errorf("%d accounts are listed, want the one that there was", n)
	}
	w.wantCompleted(1)
}

func TestSigningOut(t *testing.T) {
	t.Parallel()
	w, b := newWorld(t), newTab(t)
	w.connect(google, "")
	b.toAccounts(w).press(buttonSignOut).see(where{"/auth/accounts", headingSignedOut})
	b.open(w.url("/auth/accounts")).see(signInPage)
	b.press(buttonSignIn).see(accountsPage) // Auth0 knows the browser still
	b.press(buttonSignOut).see(where{"/auth/accounts", headingSignedOut})
	b.press(linkSignOutThere).see(signInPage)
	b.press(buttonSignIn).see(logIn)
	if got := w.events.kinds(linkflow.Started, linkflow.SignedIn); len(got) != 0 {
		t.Errorf("the operator was told %v", w.events)
	}
}
