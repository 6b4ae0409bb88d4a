package linkflow

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

var callbackQueries = map[string]bool{
	"code=a&state=s": true, "connect_code=a&state=s": true, "error=e&state=s&error_description=d": true,
	"code=a": true, "code=a&iss=i&other=1&other=2": true,
	"": false, "state=s": false, "code=": false, "code=&state=s": false, "code=a&code=a": false, "code=a&connect_code=b": false,
	"code=a&error=": false, "code=a&connect_code=": false, "error=a&error=b": false, "code=a&state=s&state=s": false,
	"code=a&iss=i&iss=i": false, "error=a&error_description=b&error_description=c": false, "code=a;state=s": false, "code=%zz": false,
}

func TestACallbackSaysOneThing(t *testing.T) {
	for query, want := range callbackQueries {
		if _, err := parseCallback(query); (err == nil) != want {
			t.Errorf("%q: %v", query, err)
		}
	}
}

func FuzzCallbackQuery(f *testing.F) {
	for query := range callbackQueries {
		f.Add(query)
	}
	f.Fuzz(func(t *testing.T, query string) {
		q, err := parseCallback(query)
		if err != nil {
			return
		}
		set := 0
		for _, value := range []string{q.Code, q.ConnectCode, q.Error} {
			if value != "" {
				set++
			}
		}
		if set != 1 {
			t.Errorf("%q says %d things", query, set)
		}
	})
}

// A callback that is refused has a code that is still good. Its URL, copied out of the
// address bar into somebody else's chat, must not finish their flow.
func TestARefusedCallbackLeavesNoCodeInTheAddressBar(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	b := w.browser()
	b.stopAt("/auth/callback", "code")
	b.open(w.link(w.alice(), calendar).URL).press("", "").signIn("alice")
	q := b.held.URL.Query()
	q.Set("state", "somebody else's")
	b.before = nil
	b.open(w.site.URL+"/auth/callback?"+q.Encode()).want(400, titleOf(pageNoFlow))
	if strings.Contains(b.at.String(), q.Get("code")) || b.at.Path != "/auth/message" {
		t.Errorf("the address bar says %s", b.at)
	}
	for _, method := range []string{http.MethodPost, http.MethodHead} {
		req := httptest.NewRequest(method, "/auth/callback?"+q.Encode(), nil)
		rec := httptest.NewRecorder()
		w.flow.ServeHTTP(rec, req)
		if rec.Code != http.StatusMethodNotAllowed || rec.Body.Len() > 0 {
			t.Errorf("%s is answered %d: %s", method, rec.Code, rec.Body)
		}
	}
}

// A flow that began with a very long returnTo still ends on a page that says why.
func TestAMessageThatIsTooLongForAURLLeavesOutTheWayBack(t *testing.T) {
	w := newWorld(t, auth0test.Settings{}, nil)
	page := messagePage{ID: "an id", Again: "/auth/connect?" + strings.Repeat("x", 8000)}
	b := w.browser().open(w.site.URL + w.flow.saidPage(t.Context(), said{"wrong_person", 403, nil, page, time.Now().Add(time.Minute).Unix()}))
	b.want(403, titleOf(pageWrongPerson)).want(403, "an id")
	if len(b.at.RawQuery) > maxSealed {
		t.Errorf("its URL has %d bytes", len(b.at.RawQuery))
	}
}
