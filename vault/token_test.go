package vault

import (
	"context"
	"errors"
	"net/http"
	"reflect"
	"testing"
	"time"
)

// notLinked says that alice has not connected the account.
func notLinked() http.HandlerFunc { return refusal(http.StatusUnauthorized, notConnected) }

const linkRequired = "link_required/" + notConnected

func TestNotConnectedIsRememberedForTwoSeconds(t *testing.T) {
	for name, code := range map[string]string{
		"link_required": notConnected, "relink_required": "federated_connection_refresh_token_flow_failed",
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				s.serveVault(refusal(401, code))
				c, caller := s.client(t, Config{}), alice(t, "raw")
				for range 100 {
					gets(t, c, caller, calendar, name+"/"+code)
				}
				s.asked(t, 1)
				time.Sleep(linkMaxAge - time.Nanosecond)
				gets(t, c, caller, calendar, name+"/"+code)
				s.asked(t, 1)
				s.serveVault(mint)
				time.Sleep(time.Nanosecond)
				gets(t, c, caller, calendar, "ok")
				s.asked(t, 2)
			})
		})
	}
}

func TestForgetMakesAFreshConnectionCountAtOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(notLinked())
		c, caller := s.client(t, Config{}), alice(t, "raw")
		gets(t, c, caller, calendar, linkRequired)
		s.serveVault(mint)
		c.Forget("auth0|alice", "google-oauth2")
		gets(t, c, caller, calendar, "ok")
	})
}

func TestNoAccountIsCalledInsufficientByAnOldAnswer(t *testing.T) {
	mail := Request{Connection: "google-oauth2", Scopes: []string{"calendar", "mail"}}
	readOnly := Request{Connection: "google-oauth2", MaxScopes: []string{"read"}}
	for name, tt := range map[string]struct {
		req  Request
		now  object
		want string
	}{
		"scopes":     {mail, object{"scope": "calendar mail"}, "scope_required/scopes_missing"},
		"max scopes": {readOnly, object{"scope": "read"}, "scope_excess/scopes_exceeded"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				c, caller := s.client(t, Config{}), alice(t, "raw")
				gets(t, c, caller, calendar, "ok")
				time.Sleep(linkMaxAge)
				gets(t, c, caller, tt.req, tt.want)
				s.asked(t, 1) // young enough to rest on
				time.Sleep(time.Nanosecond)
				gets(t, c, caller, tt.req, tt.want)
				s.asked(t, 2) // asked once more, and the answer is the same
				gets(t, c, caller, tt.req, tt.want)
				s.asked(t, 2)
				s.serveVault(minting(tt.now)) // connected anew elsewhere
				time.Sleep(linkMaxAge + time.Nanosecond)
				gets(t, c, caller, tt.req, "ok")
				s.asked(t, 3)
			})
		})
	}
}

func TestAnAccountDisconnectedElsewhereIsNoticedWhenItDoesNotSuffice(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, caller := s.client(t, Config{}), alice(t, "raw")
		gets(t, c, caller, calendar, "ok")
		s.serveVault(notLinked())
		time.Sleep(time.Minute)
		gets(t, c, caller, Request{Connection: "google-oauth2", Scopes: []string{"mail"}}, linkRequired)
		gets(t, c, caller, calendar, linkRequired)
		s.asked(t, 2)
	})
}

// A slow exchange is as old as its question: whoever joins it late is not sent
// to connect an account because of it.
func TestALinkAnswerDoesNotRestOnAFlightBegunLongAgo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(after(5*time.Second, notLinked()))
		c, caller := s.client(t, Config{}), alice(t, "raw")
		go func() { _, _ = c.Token(t.Context(), caller, calendar) }()
		time.Sleep(4 * time.Second)
		s.serveVault(mint) // connected now
		gets(t, c, caller, calendar, "ok")
	})
}

func TestAskingOnceMoreDoesNotJoinAFlightBegunLongAgo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, caller := s.client(t, Config{}), alice(t, "raw")
		gets(t, c, caller, calendar, "ok")
		time.Sleep(time.Minute)
		mail := Request{Connection: "google-oauth2", Scopes: []string{"mail"}}
		s.serveVault(after(6*time.Second, mint)) // without mail
		go func() { _, _ = c.Token(t.Context(), caller, mail) }()
		time.Sleep(5 * time.Second)
		s.serveVault(minting(object{"scope": "calendar mail"})) // connected now
		gets(t, c, caller, mail, "ok")
	})
}

func TestACallerMayGiveUpWhileItIsAskedOnceMore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		c, caller := s.client(t, Config{}), alice(t, "raw")
		gets(t, c, caller, calendar, "ok")
		time.Sleep(time.Minute)
		s.serveVault(blackHole)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := c.Token(ctx, caller, Request{Connection: "google-oauth2", Scopes: []string{"mail"}})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestScopesAreJudgedOnEveryCall(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := newTenant()
		s.serveVault(minting(object{"scope": "calendar,https://www.googleapis.com/auth/userinfo.email"}))
		c, caller := s.client(t, Config{}), alice(t, "raw")
		for _, tt := range []struct {
			scopes, most []string
			want         string
			missing      []string
		}{
			{nil, nil, "ok", nil},
			{[]string{"calendar"}, nil, "ok", nil},
			{[]string{"calendar", "email"}, []string{"calendar", "email", "x"}, "ok", nil},
			{[]string{"mail", "calendar", "drive"}, nil, "scope_required/scopes_missing", []string{"mail", "drive"}},
			{nil, []string{"calendar"}, "scope_excess/scopes_exceeded", nil},
			{nil, []string{}, "scope_excess/scopes_exceeded", nil},
			{[]string{"mail"}, []string{"calendar"}, "scope_required/scopes_missing", []string{"mail"}},
			{nil, nil, "ok", nil},
		} {
			_, err := c.Token(t.Context(), caller, Request{Connection: "google-oauth2", Scopes: tt.scopes, MaxScopes: tt.most})
			if got := describe(err); got != tt.want {
				t.Errorf("%q, at most %q: got %s, want %s", tt.scopes, tt.most, got, tt.want)
			}
			if tt.missing != nil && !reflect.DeepEqual(refused(t, err, CodeScopeRequired).Missing, tt.missing) {
				t.Errorf("%q: Missing is %q", tt.scopes, err.(*Error).Missing)
			}
		}
		s.asked(t, 1)
	})
}

func TestUnknownScopesPassAsEnoughAndNeverAsNotTooMuch(t *testing.T) {
	for name, scope := range map[string]any{"absent": nil, "empty": "", "commas": ",,"} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				s := newTenant()
				s.serveVault(minting(object{"scope": scope}))
				c, caller := s.client(t, Config{}), alice(t, "raw")
				gets(t, c, caller, calendar, "ok")
				gets(t, c, caller, Request{Connection: "google-oauth2", MaxScopes: []string{"calendar"}}, "scope_excess/scopes_unknown")
				gets(t, c, caller, Request{Connection: "google-oauth2", MaxScopes: []string{}}, "scope_excess/scopes_unknown")
			})
		})
	}
}

func TestOAuth2CarriesTokenAndExpiry(t *testing.T) {
	bubble(t, func(t *testing.T) {
		got := mustToken(t, newTenant().client(t, Config{}), alice(t, "raw"), calendar).OAuth2()
		if got.AccessToken != "raw/google-oauth2/" || got.Type() != "Bearer" || !got.Expiry.Equal(time.Now().Add(time.Hour)) {
			t.Errorf("got %+v", got)
		}
	})
}
