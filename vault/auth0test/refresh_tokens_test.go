package auth0test_test

import (
	"sync"
	"sync/atomic"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault/auth0test"
)

// rotatingTenant has a client whose refresh tokens rotate, without leeway.
func rotatingTenant(t *testing.T) (s *auth0test.Server, refreshed func(token string, pairs ...string) answer) {
	t.Helper()
	s = tenant(t, func(cfg *auth0test.Config) {
		cfg.Clients[2].RefreshToken = &auth0test.RefreshToken{RotationType: "rotating"}
	})
	return s, func(token string, pairs ...string) answer {
		base := []string{"grant_type", "refresh_token", "client_id", "demo-agent", "client_secret", "demo-agent-secret", "refresh_token", token}
		return postForm(t, s.URL+"/oauth/token", values(append(base, pairs...)...))
	}
}

func refreshTokenOf(t *testing.T, s *auth0test.Server) string {
	t.Helper()
	tokens, err := s.IssueToken(auth0test.TokenRequest{User: "alice@example.com", ClientID: "demo-agent", Scope: "openid offline_access"})
	if err != nil || tokens.RefreshToken == "" {
		t.Fatalf("%v, refresh token %q", err, tokens.RefreshToken)
	}
	return tokens.RefreshToken
}

// Who redeems a token at the same time as somebody else reuses it.
func TestARotatingRefreshTokenIsRedeemedOnce(t *testing.T) {
	s, refreshed := rotatingTenant(t)
	const rounds, atOnce = 10, 8
	for range rounds {
		token := refreshTokenOf(t, s)
		var redeemed atomic.Int32
		var successor atomic.Value
		var all sync.WaitGroup
		for range atOnce {
			all.Go(func() {
				if a := refreshed(token); a.Status == 200 {
					redeemed.Add(1)
					successor.Store(a.JSON["refresh_token"])
				}
			})
		}
		all.Wait()
		if redeemed.Load() != 1 {
			t.Fatalf("redeemed %d times", redeemed.Load())
		}
		if a := refreshed(successor.Load().(string)); a.Status != 403 {
			t.Fatalf("the reuse has not ended the family: %d %s", a.Status, a.Body)
		}
	}
}

func TestARefusedRequestLeavesItsRefreshTokenAsItWas(t *testing.T) {
	s, refreshed := rotatingTenant(t)
	token := refreshTokenOf(t, s)
	if a := refreshed(token, "audience", s.Issuer()+"me/"); a.Status != 400 {
		t.Fatalf("an API outside the policies: %d %s", a.Status, a.Body)
	}
	if a := refreshed(token); a.Status != 200 {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}
