package linkflow

import (
	"net/url"
	"strings"
)

// maxReturnTo bounds the URL that a flow returns to: it travels in a cookie.
const maxReturnTo = 512

// droppedReturnTo stands for a URL that a flow may not return to, on the link's page
// and in its form: nobody is shown it, and the operator is told once the link is used.
const droppedReturnTo = "-"

// readReturnTo reads where a flow may go in the end. A path, which Auth0's front
// ends send, is one of the pages' own origin.
func (f *Flow) readReturnTo(values url.Values) (string, *refusal) {
	target, err := one(values, "returnTo")
	if err != nil {
		return "", &refusal{page: pageBadLink, reason: "return_to_repeated"}
	}
	if strings.HasPrefix(target, "/") {
		target = f.origin + target
	}
	if target != "" && !f.mayReturnTo(target) {
		target = droppedReturnTo
	}
	return target, nil
}

// mayReturnTo tells whether a finished flow may send the browser to target: an
// absolute URL of a configured origin, on which we and every browser agree. It
// compares bytes first, and does not trust any parser with what precedes the
// host.
func (f *Flow) mayReturnTo(target string) bool {
	if len(target) > maxReturnTo {
		return false
	}
	for _, b := range []byte(target) {
		if b <= ' ' || b > '~' || b == '\\' {
			return false
		}
	}
	for _, origin := range f.returnTo {
		rest, ok := strings.CutPrefix(target, origin)
		if !ok || rest != "" && !strings.ContainsRune("/?#", rune(rest[0])) {
			continue
		}
		u, err := url.Parse(target)
		return err == nil && u.User == nil && u.Scheme+"://"+u.Host == origin
	}
	return false
}
