package linkflow

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"net/http"
	"net/url"
)

// maxForm bounds the body of a POST. The longest of ours has a ticket and a URL.
const maxForm = 64 << 10

// formToken proves that a form was on a page that we gave to this browser.
type formToken struct {
	Action  string `json:"action"`  // the page that the form is posted to
	Subject string `json:"subject"` // the id of the ticket or flow it is about
	Browser string `json:"browser"` // digest of the form cookie
	Expiry  int64  `json:"exp"`
}

func (t formToken) expires() int64 { return t.Expiry }

// formFor makes the token for a form, and the cookie that it is bound to: the
// one that is there already if there is one, so that all tabs go on working.
func (f *Flow) formFor(r *http.Request, action, subject string, expiry int64) (token string, cookie *http.Cookie, err error) {
	browser := rand.Text()
	if c, err := r.Cookie(f.cookieName(formCookie)); err == nil && idPattern.MatchString(c.Value) {
		browser = c.Value
	}
	token, err = seal(r.Context(), f.sealer, forForm, formToken{action, subject, digest(browser), expiry})
	return token, f.cookie(formCookie, browser, 0), err
}

// checkForm tells whether token was made for this action, subject and browser.
func (f *Flow) checkForm(r *http.Request, token, action, subject string) error {
	t, err := open[formToken](r.Context(), f.sealer, forForm, token)
	if err != nil {
		return err
	}
	c, err := r.Cookie(f.cookieName(formCookie))
	if err != nil {
		return errNoCookie
	}
	if t.Action != action || t.Subject != subject ||
		subtle.ConstantTimeCompare([]byte(t.Browser), []byte(digest(c.Value))) != 1 {
		return errTampered
	}
	return nil
}

func digest(s string) string {
	sum := sha256.Sum256([]byte(s))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// readPost reads the form of a POST that a page of ours sent. Another site's is
// 403: the request is understood, and not permitted. A body that is no form, too
// long, or has a field twice, is 400.
func (f *Flow) readPost(r *http.Request) (url.Values, *refusal) {
	if !f.fromOurPage(r) {
		return nil, &refusal{page: pageForeign, reason: "cross_site"}
	}
	if err := r.ParseForm(); err != nil {
		return nil, malformed()
	}
	for name := range r.PostForm {
		if _, err := one(r.PostForm, name); err != nil {
			return nil, malformed()
		}
	}
	return r.PostForm, nil
}

// fromOurPage tells by what browsers alone can set where a POST came from.
func (f *Flow) fromOurPage(r *http.Request) bool {
	if site := r.Header.Values("Sec-Fetch-Site"); len(site) > 0 {
		return len(site) == 1 && site[0] == "same-origin"
	}
	origin := r.Header.Values("Origin")
	return len(origin) == 1 && origin[0] == f.origin
}

// one returns the only value of a parameter. Absent is "", twice is an error:
// two readers could differ on which one counts.
func one(values url.Values, name string) (string, error) {
	switch v := values[name]; len(v) {
	case 0:
		return "", nil
	case 1:
		return v[0], nil
	}
	return "", errors.New(name + " is given twice")
}
