package linkflow

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

var returnToCases = map[string]bool{
	"https://app.example.com":                                     true,
	"https://app.example.com/":                                    true,
	"https://app.example.com/a/b?c=d#e":                           true,
	"https://app.example.com?x":                                   true,
	"https://app.example.com#x":                                   true,
	"http://localhost:3000/back":                                  true,
	"":                                                            false,
	"/relative":                                                   false,
	"//app.example.com/":                                          false,
	"https:app.example.com":                                       false,
	"https:/app.example.com":                                      false,
	"https:///app.example.com":                                    false,
	"http://app.example.com/":                                     false,
	"https://app.example.com:443/":                                false,
	"https://app.example.com:8443/":                               false,
	"https://app.example.com.evil.com/":                           false,
	"https://app.example.com@evil.com/":                           false,
	"https://app.example.com:x@evil.com/":                         false,
	"https://evil.com/https://app.example.com":                    false,
	"https://evil.com\\@app.example.com/":                         false,
	"https://app.example.com\\@evil.com/":                         false,
	"https://app.example.com\\.evil.com/":                         false,
	"https://app.example.com/\\evil":                              false,
	"https://APP.example.com/":                                    false,
	"HTTPS://app.example.com/":                                    false,
	"https://app.example.com/ x":                                  false,
	" https://app.example.com/":                                   false,
	"https://app.example.com/\r\nSet-Cookie:x":                    false,
	"https://app.example.com/\x00":                                false,
	"https://app.example.com/é":                                   false,
	"https://app.example.com/%zz":                                 false,
	"javascript://app.example.com/%0aalert(1)":                    false,
	"data:text/html,x":                                            false,
	"http://localhost:30001/":                                     false,
	"http://localhost/":                                           false,
	"https://app.example.com/" + strings.Repeat("x", maxReturnTo): false,
}

func returnFlow() *Flow {
	return &Flow{returnTo: []string{"https://app.example.com", "http://localhost:3000"}}
}

func TestReturnToIsOneOfTheConfiguredOrigins(t *testing.T) {
	for target, want := range returnToCases {
		if got := returnFlow().mayReturnTo(target); got != want {
			t.Errorf("%q: %v", target, got)
		}
	}
	f := stubFlow(t, nil, nil)
	_, text := stubTicket(t, f)
	for _, query := range []string{"&returnTo=https://evil.example.com/", "&returnTo=", "&returnTo=&returnTo="} {
		want := 400
		if query == "&returnTo=" {
			want = 200
		}
		if w := get(f, "GET", "/auth/connect?ticket="+text+query); w.Code != want {
			t.Errorf("%s: %d", query, w.Code)
		}
	}
}

func FuzzReturnTo(f *testing.F) {
	for target := range returnToCases {
		f.Add(target)
	}
	flow := returnFlow()
	f.Fuzz(func(t *testing.T, target string) {
		if !flow.mayReturnTo(target) {
			return
		}
		u, err := url.Parse(target)
		if err != nil || !slices.Contains(flow.returnTo, u.Scheme+"://"+u.Host) || u.User != nil || strings.ContainsAny(target, "\\\r\n\t ") {
			t.Errorf("%q is taken", target)
		}
	})
}
