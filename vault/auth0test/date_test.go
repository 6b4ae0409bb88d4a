package auth0test_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

func TestTheDateHeaderFollowsTheTenantsClock(t *testing.T) {
	s := tenant(t, settings(func(s *auth0test.Settings) { s.ClockSkew = 3600 }))
	date, err := http.ParseTime(get(t, s.URL+"/.well-known/openid-configuration", "").Header.Get("Date"))
	if ahead := time.Until(date); err != nil || ahead < 59*time.Minute || ahead > 61*time.Minute {
		t.Errorf("%v ahead, %v", ahead, err)
	}
}
