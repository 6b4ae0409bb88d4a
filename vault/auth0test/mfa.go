package auth0test

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"math/big"
	"net/http"
	"net/url"
	"slices"
	"time"
)

// Authenticator is a second factor that a user has enrolled. There is no device
// behind it: whoever posts its code has shown the factor.
type Authenticator struct {
	// Type is otp (default), sms, email, push-notification, webauthn-roaming,
	// webauthn-platform or recovery-code.
	Type string `json:"type,omitempty"`
	// Code is what the challenge takes. Default: 123456.
	Code string `json:"code,omitempty"`
}

var factorTypes = []string{
	"otp", "sms", "email", "push-notification", "webauthn-roaming", "webauthn-platform", "recovery-code",
}

func (a *Authenticator) fillDefaults() {
	setDefault(&a.Type, "otp")
	setDefault(&a.Code, "123456")
}

// matches: Actions call text messages phone.
func (a *Authenticator) matches(factors []string) bool {
	return slices.Contains(factors, a.Type) || (a.Type == "sms" && slices.Contains(factors, "phone"))
}

// askForFactor is the policy's demand: any factor, and one enrolled first if
// there is none.
func (t *Tenant) askForFactor(w http.ResponseWriter, r *http.Request, tx *transaction, user *User) {
	if len(user.Authenticators) > 0 {
		t.challenge(w, r, tx, user, user.enrolledFactors())
		return
	}
	t.enroll(w, r, tx, user, []string{"otp"})
}

// challenge shows the form for the code of one of some factors.
func (t *Tenant) challenge(w http.ResponseWriter, r *http.Request, tx *transaction, user *User, factors []string) {
	var accepted []Authenticator
	for _, a := range user.Authenticators {
		if a.matches(factors) {
			accepted = append(accepted, a)
		}
	}
	if len(accepted) == 0 {
		tx.fail(w, r, refuse(0, "access_denied", "None of the requested factors is enrolled"))
		return
	}
	t.goToFactorPage(w, r, tx, &factorRequest{accepted: accepted})
}

// enroll shows a new authenticator of the first type that the user has not.
func (t *Tenant) enroll(w http.ResponseWriter, r *http.Request, tx *transaction, user *User, factors []string) {
	for _, factor := range factors {
		if factor == "phone" {
			factor = "sms"
		}
		if !slices.Contains(factorTypes, factor) || slices.Contains(user.enrolledFactors(), factor) {
			continue
		}
		fresh := Authenticator{Type: factor, Code: randomDigits()}
		t.goToFactorPage(w, r, tx, &factorRequest{accepted: []Authenticator{fresh}, enrols: true})
		return
	}
	tx.fail(w, r, refuse(0, "access_denied", "None of the requested factors can be enrolled"))
}

// A factorRequest is the second factor that a transaction waits for.
type factorRequest struct {
	accepted []Authenticator // any one of them
	enrols   bool            // it is not the user's yet
}

func (t *Tenant) goToFactorPage(w http.ResponseWriter, r *http.Request, tx *transaction, wanted *factorRequest) {
	if slices.Contains(tx.prompt, "none") {
		tx.fail(w, r, refuse(0, "interaction_required", "Multifactor authentication required"))
		return
	}
	tx.factor = wanted
	redirect(w, r, t.base+"/u/mfa-otp-challenge", url.Values{"state": {t.park(tx, atFactor)}})
}

// serveFactorPage shows the form for the code, and at an enrolment the code.
func (t *Tenant) serveFactorPage(w http.ResponseWriter, r *http.Request) {
	state := r.URL.Query().Get("state")
	tx, err := t.parked(r, state, atFactor)
	if err != nil {
		showLostTransaction(w, err)
		return
	}
	showFactor(w, http.StatusOK, tx, state, "")
}

func showFactor(w http.ResponseWriter, status int, tx *transaction, state, message string) {
	view := factorView{State: state, Error: message}
	for _, a := range tx.factor.accepted {
		view.Types = append(view.Types, a.Type)
	}
	if tx.factor.enrols {
		view.NewCode = tx.factor.accepted[0].Code
	}
	writePage(w, status, factorPage, view)
}

// serveFactor checks the code.
func (t *Tenant) serveFactor(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	if err := r.ParseForm(); err != nil || crossSite(r) {
		showError(w, http.StatusBadRequest, "invalid_request", "This form cannot be used.")
		return
	}
	state := r.Form.Get("state")
	tx, err := t.parked(r, state, atFactor)
	if err != nil {
		showLostTransaction(w, err)
		return
	}
	shown := find(tx.factor.accepted, func(a Authenticator) bool {
		return subtle.ConstantTimeCompare([]byte(a.Code), []byte(r.PostForm.Get("code"))) == 1
	})
	if shown == nil {
		note(w, "the code is none of the factors that were asked for")
		showFactor(w, http.StatusBadRequest, tx, state, "The code you entered is invalid")
		return
	}
	if tx, err = t.take(r, state, atFactor); err != nil {
		showLostTransaction(w, err)
		return
	}
	if err := t.acceptFactor(tx, *shown); err != nil {
		tx.fail(w, r, serverError(err))
		return
	}
	t.proceed(w, r, tx)
}

// acceptFactor notes in transaction and session that a factor was shown, and
// gives a new one to the user.
func (t *Tenant) acceptFactor(tx *transaction, shown Authenticator) error {
	tx.mfaDone = true
	t.amendSession(tx, AuthenticationMethod{Name: "mfa", Timestamp: time.Now()})
	if !tx.factor.enrols {
		return nil
	}
	return t.change(func(cfg *Config) error {
		if u := cfg.user(tx.session.userID); u != nil {
			u.Authenticators = append(u.Authenticators, shown)
		}
		return nil
	})
}

func randomDigits() string {
	n, _ := rand.Int(rand.Reader, big.NewInt(1e6)) // crypto/rand does not fail
	return fmt.Sprintf("%06d", n)
}
