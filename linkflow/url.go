package linkflow

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// The placeholders of [Config.URL].
const (
	urlConnection = "{connection}"
	urlScopes     = "{scopes}"
	urlReturnTo   = "{return_to}"
	urlTicket     = "{ticket}"
)

var (
	urlPlaceholders    = []string{urlConnection, urlScopes, urlReturnTo, urlTicket}
	placeholderPattern = regexp.MustCompile(`\{[^{}]*\}`)
)

// CheckURL tells whether template is fit for [Config.URL].
func CheckURL(template string) error {
	for _, word := range placeholderPattern.FindAllString(template, -1) {
		if !slices.Contains(urlPlaceholders, word) {
			return fmt.Errorf("%s stands for nothing there; expected %s", word, strings.Join(urlPlaceholders, ", "))
		}
	}
	filled := placeholderPattern.ReplaceAllString(template, "x")
	u, err := url.Parse(filled)
	switch {
	case strings.ContainsFunc(filled, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`{}\"<>`, r) }):
		return errors.New("it has a character that no URL has, or a brace without its other one")
	case !strings.Contains(template, urlConnection):
		return errors.New("without {connection} the page cannot know what to connect")
	case err != nil || u.Host == "" || !strings.HasPrefix(template, u.Scheme+"://"+u.Host):
		return errors.New("it is no absolute URL whose host is written out")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopback(u.Hostname())):
		return errors.New("it must be https; http is for loopback hosts only")
	}
	return nil
}

// ownURL is the page of the application's own for a ticket, whose text is
// sealed. Every value is percent-encoded (RFC 3986 §2.1), so that it can stand
// anywhere behind the host; what was put in is not looked at again.
func (f *Flow) ownURL(t ticket, sealed string) string {
	return strings.NewReplacer(
		urlConnection, escape(t.Connection),
		urlScopes, escape(strings.Join(t.Scopes, " ")),
		urlReturnTo, escape(f.afterOwnPage()),
		urlTicket, escape(sealed),
	).Replace(f.url)
}

// afterOwnPage is where the application's page may send the browser in the end:
// the first origin that the operator named for that, or a page of ours.
func (f *Flow) afterOwnPage() string {
	if len(f.returnTo) > 0 {
		return f.returnTo[0]
	}
	return f.origin + f.page("done", nil)
}

// escape is url.QueryEscape for every place in a URL: a space is %20.
func escape(s string) string { return strings.ReplaceAll(url.QueryEscape(s), "+", "%20") }
