package linkflow

import (
	"errors"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"time"
)

const (
	flowCookie    = "token_vault_flow_" // followed by the flow's id
	sessionCookie = "token_vault_session"
	formCookie    = "token_vault_form"

	// hostPrefix makes a browser keep a cookie to this very host, over https,
	// so that no neighbouring host can plant one (RFC 6265bis §4.1.3.2).
	hostPrefix = "__Host-"

	// maxPart is how much one cookie holds: browsers drop those whose name and
	// value are over 4096 bytes together. What is longer goes on in a cookie
	// more, since Auth0's tokens may be as long as an operator's Actions like.
	maxPart  = 3800
	maxParts = 4

	// maxFlows is how many flows one browser can have under way. They share
	// the room that servers give to a request's header.
	maxFlows = 5
)

var idPattern = regexp.MustCompile(`^[A-Z2-7]{26}$`) // as rand.Text makes them

// IsCookie tells whether a cookie of that name is one of ours, so that a proxy
// can keep it from upstreams. Case is not looked at, as some of them do not.
func IsCookie(name string) bool {
	name = strings.TrimPrefix(strings.ToLower(name), strings.ToLower(hostPrefix))
	return name == formCookie || strings.HasPrefix(name, flowCookie) || strings.HasPrefix(name, sessionCookie)
}

func (f *Flow) cookieName(name string) string {
	if f.secure {
		return hostPrefix + name
	}
	return name
}

// cookie makes one of our cookies. A life of 0 ends with the browser's session;
// a negative one removes the cookie.
func (f *Flow) cookie(name, value string, life time.Duration) *http.Cookie {
	return &http.Cookie{ //nolint:gosec // Secure wherever the origin is https
		Name: f.cookieName(name), Value: value, Path: "/", MaxAge: int(life / time.Second),
		Secure: f.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
}

// partName is the name of one of the cookies that hold a long value together.
func partName(name string, part int) string {
	if part == 1 {
		return name
	}
	return name + "_" + strconv.Itoa(part)
}

// put returns the cookies that keep value in the browser until end. The first
// one begins with how many there are.
func (f *Flow) put(name, value string, end int64) ([]*http.Cookie, error) {
	count := (len(value) + maxPart - 1) / maxPart
	if count > maxParts {
		return nil, errors.New("what the browser has to keep is too large: Auth0's tokens, or the scopes, are too long")
	}
	life := max(time.Until(time.Unix(end, 0)), time.Second)
	var cookies []*http.Cookie
	for part := 1; part <= count; part++ {
		piece := value[(part-1)*maxPart : min(part*maxPart, len(value))]
		if part == 1 {
			piece = strconv.Itoa(count) + "." + piece
		}
		cookies = append(cookies, f.cookie(partName(name, part), piece, life))
	}
	return cookies, nil
}

// get returns what put made the browser keep.
func (f *Flow) get(r *http.Request, name string) (string, error) {
	first, err := r.Cookie(f.cookieName(name))
	if err != nil {
		return "", errTampered
	}
	number, value, _ := strings.Cut(first.Value, ".")
	count, err := strconv.Atoi(number)
	if err != nil || count < 1 || count > maxParts {
		return "", errTampered
	}
	for part := 2; part <= count; part++ {
		c, err := r.Cookie(f.cookieName(partName(name, part)))
		if err != nil {
			return "", errTampered
		}
		value += c.Value
	}
	return value, nil
}

// remove takes from the browser what put made it keep.
func (f *Flow) remove(r *http.Request, name string) []*http.Cookie {
	cookies := []*http.Cookie{f.cookie(name, "", -time.Second)}
	for part := 2; part <= maxParts; part++ {
		if _, err := r.Cookie(f.cookieName(partName(name, part))); err == nil {
			cookies = append(cookies, f.cookie(partName(name, part), "", -time.Second))
		}
	}
	return cookies
}

// removeAll takes from the browser everything but the cookie of forms, which
// says nothing of anybody.
func (f *Flow) removeAll(r *http.Request) (removed []*http.Cookie) {
	for _, c := range r.Cookies() {
		name, ours := strings.CutPrefix(c.Name, f.cookieName(""))
		if ours && IsCookie(name) && name != formCookie {
			removed = append(removed, f.cookie(name, "", -time.Second))
		}
	}
	return removed
}

// makeRoom removes the oldest flows so that one more can begin. Browsers send
// the cookie first that was made first (RFC 6265 §5.4).
func (f *Flow) makeRoom(r *http.Request) (removed []*http.Cookie) {
	var ids []string
	for _, c := range r.Cookies() {
		if id, ok := strings.CutPrefix(c.Name, f.cookieName(flowCookie)); ok && idPattern.MatchString(id) {
			ids = append(ids, id)
		}
	}
	for len(ids) >= maxFlows {
		removed = append(removed, f.remove(r, flowCookie+ids[0])...)
		ids = ids[1:]
	}
	return removed
}
