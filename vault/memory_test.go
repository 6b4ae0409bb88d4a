package vault

import (
	"fmt"
	"runtime"
	"testing"
)

// TestAUserCostsOneKibibyteBesideTheTokens counts all that is kept of users whose
// access tokens were verified and exchanged, less the bytes of both tokens.
func TestAUserCostsOneKibibyteBesideTheTokens(t *testing.T) {
	const n = 3000
	const providers = "ya29.%0215d" // as long as Google's
	s := newTenant()
	s.serveKeys(answering(200, keySetOf(jwk(ecKey().Public(), "lcKZW5xVbZ0hTnKkVnfCj", nil))))
	// A budget is forgotten when it is whole again: with this one at once, however fast
	// the machine makes users.
	c := s.client(t, Config{Algorithms: []string{"ES256"}, TenantBudget: 1e9, UserBudget: 1e9})
	header := mustJSON(object{"alg": "ES256", "typ": "JWT", "kid": "lcKZW5xVbZ0hTnKkVnfCj"})
	asked, err := Request{Connection: "google-oauth2", Scopes: []string{"email"}}.Prepare()
	if err != nil {
		t.Fatal(err)
	}
	tokens := 0
	user := func(i int) {
		raw := sign(ecKey(), header, mustJSON(with(goodClaims(), object{
			"sub": fmt.Sprint("auth0|64f0c2a1b7e3d9f8a5c6e", i), "azp": "mB7zXkP2vQ9sT4wR6yU8aC1dE3fG5hJ0",
			"scope": "openid profile email offline_access read:calendar",
		})))
		s.serveVault(minting(object{
			"access_token": fmt.Sprintf(providers, i),
			"scope":        "https://www.googleapis.com/auth/calendar.readonly https://www.googleapis.com/auth/userinfo.email",
		}))
		token := mustToken(t, c, verify(t, c, raw), asked)
		tokens += len(raw) + len(token.Reveal())
	}
	user(0) // with all that is there once
	tokens = 0
	before := heap()
	for i := range n {
		user(i + 1)
	}
	each := (int(heap()-before) - tokens) / n
	t.Logf("%d bytes", each)
	if each > 1<<10 {
		t.Errorf("a user costs %d bytes beside the tokens", each)
	}
	runtime.KeepAlive(c)
}

// heap is how many bytes are in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
