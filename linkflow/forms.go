package linkflow

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
)

// maxForm bounds the body of a POST. The longest of ours has a ticket and a URL.
const maxForm = 64 << 10

// matter is what a form decides about. A form is bound to all of it, so that a page
// that was left open decides nothing about what another tab has put in its place.
type matter interface {
	// matter returns its id, and whatever of it a page may say is decided.
	matter() (id string, all any)
}

// formToken proves that a form was on a page that we gave to this browser, and tells
// what that page said.
type formToken struct {
	Page    string `json:"page"`    // that it was on
	ID      string `json:"id"`      // of the matter
	Matter  string `json:"matter"`  // digest of all of it
	Seen    string `json:"seen"`    // digest of what else the page showed
	Browser string `json:"browser"` // digest of the form cookie
	Expiry  int64  `json:"exp"`
}

func (t formToken) expires() int64 { return t.Expiry }

// saw tells whether that is what the page showed besides the matter.
func (t formToken) saw(seen any) bool { return t.Seen == digestOf(seen) }

// formFor makes the token for the form of a page about m, which also shows what was
// seen at Auth0; and the cookie that it is bound to: the one that is there already if
// there is one, so that all tabs go on working.
func (f *Flow) formFor(r *http.Request, page string, m matter, seen any, expiry int64) (token string, cookie *http.Cookie, err error) {
	browser := rand.Text()
	if c, err := r.Cookie(f.cookieName(formCookie)); err == nil && idPattern.MatchString(c.Value) {
		browser = c.Value
	}
	id, all := m.matter()
	token, err = seal(r.Context(), f.sealer, forForm, formToken{page, id, digestOf(all), digestOf(seen), digest(browser), expiry})
	return token, f.cookie(formCookie, browser, 0), err
}

// checkForm tells whether token was made for this browser, page and matter. errChanged
// is that the matter is another one by now.
func (f *Flow) checkForm(r *http.Request, token, page string, m matter) (formToken, error) {
	t, err := open[formToken](r.Context(), f.sealer, forForm, token)
	if err != nil {
		return t, err
	}
	c, err := r.Cookie(f.cookieName(formCookie))
	if err != nil {
		return t, errNoCookie
	}
	id, all := m.matter()
	switch {
	case t.ID != id || subtle.ConstantTimeCompare([]byte(t.Browser), []byte(digest(c.Value))) != 1:
		return t, errTampered
	case t.Page != page || t.Matter != digestOf(all):
		return t, errChanged
	}
	return t, nil
}

func digestOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("linkflow: " + err.Error()) // all of them are texts and lists
	}
	return digest(string(text))
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
