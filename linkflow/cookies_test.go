package linkflow

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestCookiesOnHTTPSAreKeptToTheHost(t *testing.T) {
	f := stubFlow(t, nil, nil)
	_, text := stubTicket(t, f)
	w := get(f, "GET", "/auth/connect?ticket="+text)
	cookies := w.Result().Cookies()
	if w.Code != 200 || len(cookies) != 1 {
		t.Fatalf("%d with %d cookies", w.Code, len(cookies))
	}
	c := cookies[0]
	if c.Name != "__Host-token_vault_form" || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" {
		t.Errorf("cookie is %+v", c)
	}
	s := &flowState{ID: strings.Repeat("A", 26), Expiry: time.Now().Add(time.Minute).Unix()}
	all, err := f.keep(httptest.NewRequest("GET", "/", nil), forLogin, s)
	if err != nil || len(all) != 1 {
		t.Fatalf("%d cookies, %v", len(all), err)
	}
	if kept := all[0]; kept.Name != "__Host-token_vault_flow_"+s.ID || kept.MaxAge < 58 || kept.MaxAge > 60 || !kept.Secure {
		t.Errorf("cookie is %+v", kept)
	}
}

func TestOurCookiesAreKnownByName(t *testing.T) {
	for name, want := range map[string]bool{
		"token_vault_form": true, "__Host-token_vault_form": true, "token_vault_flow_ABC": true,
		"__Host-token_vault_flow_ABC": true, "__host-Token_Vault_Flow_x": true, "token_vault_session": true, "__Host-token_vault_session_2": true, "token_vault_flow_ABC_3": true,
		"session": false, "token_vault": false, "x_token_vault_form": false, "__Host-session": false, "": false,
	} {
		if IsCookie(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestTheFormCookieIsUsedAgain(t *testing.T) {
	f := stubFlow(t, nil, nil)
	for value, kept := range map[string]bool{strings.Repeat("A", 26): true, "short": false, `<script>`: false} {
		r := httptest.NewRequest("GET", "/auth/connect", nil)
		r.Header.Set("Cookie", "__Host-token_vault_form="+value)
		_, c, err := f.formFor(r, "connect", opening{}, nil, time.Now().Add(time.Minute).Unix())
		if err != nil || (c.Value == value) != kept {
			t.Errorf("%s: %s, %v", value, c.Value, err)
		}
	}
}
