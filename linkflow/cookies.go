package linkflow

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
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
	// value are over 4096 bytes together. What is longer goes on in a cookie more,
	// since Auth0's tokens may be as long as an operator's Actions like.
	maxPart  = 3800
	maxParts = 2

	// cookieRoom is what all of ours together take of a request's header, of which proxies
	// commonly admit 8 KiB, cookies and all. Beyond it a browser would be shut out of
	// every page until its flows end.
	cookieRoom = 7000

	// maxFlows is how many flows one browser can have under way.
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

// errNoRoom is that a browser cannot keep something even if it keeps nothing else.
var errNoRoom = errors.New("what the browser has to keep is too long")

// put returns the cookies that keep value in the browser until end. The first
// one begins with how many there are.
func (f *Flow) put(name, value string, end int64) ([]*http.Cookie, error) {
	count := (len(value) + maxPart - 1) / maxPart
	life := max(time.Until(time.Unix(end, 0)), time.Second)
	form := f.cookie(formCookie, rand.Text(), 0)
	size := sizeOf(form.Name, form.Value) // there always is one
	var cookies []*http.Cookie
	for part := 1; part <= count; part++ {
		piece := value[(part-1)*maxPart : min(part*maxPart, len(value))]
		if part == 1 {
			piece = strconv.Itoa(count) + "." + piece
		}
		c := f.cookie(partName(name, part), piece, life)
		size += sizeOf(c.Name, c.Value)
		cookies = append(cookies, c)
	}
	if count > maxParts || size > cookieRoom {
		return nil, fmt.Errorf("%w: %d bytes, of %d that there is room for", errNoRoom, size, cookieRoom)
	}
	return cookies, nil
}

// sizeOf is what a cookie takes of a request's header.
func sizeOf(name, value string) int { return len(name) + len("=") + len(value) + len("; ") }

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

// makeRoom has the browser drop what it cannot keep besides what a gives it: the
// oldest flows first, and then the session of who looks after accounts. Browsers send
// the cookie first that was made first (RFC 6265 §5.4).
func (f *Flow) makeRoom(r *http.Request, a answer) answer {
	kept := f.keptAfter(r, a)
	size := 0
	for _, c := range kept {
		size += sizeOf(c.Name, c.Value)
	}
	flows := f.flowsAmong(kept)
	stays := append(f.flowsAmong(setBy(a)), r.URL.Query().Get("flow"), r.PostForm.Get("flow"))
	names := make([]string, 0, len(flows)+1)
	for _, id := range flows {
		if !slices.Contains(stays, id) {
			names = append(names, flowCookie+id)
		}
	}
	if !slices.ContainsFunc(setBy(a), func(c *http.Cookie) bool { return c.Name == f.cookieName(sessionCookie) }) {
		names = append(names, sessionCookie)
	}
	for left := len(flows); len(names) > 0 && (size > cookieRoom || left > maxFlows); left-- {
		for _, c := range kept {
			if own, _ := strings.CutPrefix(c.Name, f.cookieName("")); own == names[0] || strings.HasPrefix(own, names[0]+"_") {
				size -= sizeOf(c.Name, c.Value)
				a = a.with(f.cookie(own, "", -time.Second))
			}
		}
		names = names[1:]
	}
	return a
}

// keptAfter are our cookies in the browser when it has got a, the oldest first.
func (f *Flow) keptAfter(r *http.Request, a answer) (kept []*http.Cookie) {
	for _, c := range r.Cookies() {
		if name, ours := strings.CutPrefix(c.Name, f.cookieName("")); ours && IsCookie(name) {
			kept = append(kept, c)
		}
	}
	for _, c := range setBy(a) {
		same := func(other *http.Cookie) bool { return other.Name == c.Name }
		switch i := slices.IndexFunc(kept, same); {
		case c.MaxAge < 0:
			kept = slices.DeleteFunc(kept, same)
		case i < 0:
			kept = append(kept, c)
		default:
			kept[i] = c
		}
	}
	return kept
}

// setBy are the cookies that a sets or removes.
func setBy(a answer) (cookies []*http.Cookie) {
	for _, line := range a.header["Set-Cookie"] {
		if c, err := http.ParseSetCookie(line); err == nil {
			cookies = append(cookies, c)
		}
	}
	return cookies
}

// flowsAmong are the ids of the flows that such cookies keep.
func (f *Flow) flowsAmong(cookies []*http.Cookie) (ids []string) {
	for _, c := range cookies {
		if id, ok := strings.CutPrefix(c.Name, f.cookieName(flowCookie)); ok && idPattern.MatchString(id) {
			ids = append(ids, id)
		}
	}
	return ids
}
