package vault

import (
	"strconv"
	"testing"
	"time"
	"unique"
)

// verify is Verify of a token that has to be good.
func verify(t testing.TB, c *Client, raw string) *AccessToken {
	t.Helper()
	token, err := c.Verify(t.Context(), raw)
	if err != nil {
		t.Fatal(describe(err))
	}
	return token
}

func TestATokenIsVerifiedOnce(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newTenant().client(t, Config{})
		raw := goodToken(nil)
		if verify(t, c, raw) != verify(t, c, raw) {
			t.Error("it was verified again")
		}
	})
}

func TestAVerifiedTokenExpires(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newTenant().client(t, Config{})
		raw := goodToken(object{"exp": seconds(time.Now()) + 60})
		verify(t, c, raw)
		time.Sleep(59 * time.Second)
		verify(t, c, raw)
		time.Sleep(time.Second)
		_, err := c.Verify(t.Context(), raw)
		if e := refused(t, err, CodeInvalidToken); e.Reason != "expired" {
			t.Errorf("refused as %s", e.Reason)
		}
	})
}

func TestWhatOneClientVerifiedIsNothingToAnotherWithOtherRules(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tenant, cache := newTenant(), NewCache()
		raw := goodToken(nil)
		known := verify(t, tenant.client(t, Config{Cache: cache}), raw)
		if verify(t, tenant.client(t, Config{Cache: cache, ClientID: "another"}), raw) != known {
			t.Error("a client with the same rules verified it again")
		}
		for name, cfg := range map[string]Config{
			"another API":       {Cache: cache, Audience: "https://other.example.com/"},
			"another algorithm": {Cache: cache, Algorithms: []string{"ES256"}},
			"another issuer":    {Cache: cache, Domain: "other.example.com"},
			"nothing verified":  {Audience: "https://other.example.com/"},
		} {
			if _, err := tenant.client(t, cfg).Verify(t.Context(), raw); err == nil {
				t.Errorf("%s: the token passes", name)
			}
		}
	})
}

func TestATokenThatDiffersInOneByteIsAnother(t *testing.T) {
	bubble(t, func(t *testing.T) {
		c := newTenant().client(t, Config{})
		raw := goodToken(nil)
		verify(t, c, raw)
		for i := 0; i < len(raw); i += 5 {
			changed := []byte(raw)
			changed[i] ^= 1
			if _, err := c.Verify(t.Context(), string(changed)); err == nil {
				t.Fatalf("byte %d may be changed", i)
			}
		}
	})
}

func TestAKeyThatIsConfirmedKeepsItsTokensVerified(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tenant := newTenant()
		c := tenant.client(t, Config{})
		raw := longToken()
		first := verify(t, c, raw)
		time.Sleep(keysFresh + time.Second)
		if verify(t, c, raw) != first {
			t.Error("it was verified again")
		}
		tenant.fetched(t, 2)
	})
}

func TestAKeyOfTheSameNameIsAnotherKey(t *testing.T) {
	bubble(t, func(t *testing.T) {
		tenant := newTenant()
		c := tenant.client(t, Config{})
		raw := longToken()
		verify(t, c, raw)
		tenant.serveKeys(answering(200, keySetOf(jwk(&otherRSAKey().PublicKey, "key-1", nil))))
		time.Sleep(keysFresh + time.Second)
		_, err := c.Verify(t.Context(), raw)
		if e := refused(t, err, CodeInvalidToken); e.Reason != "bad_signature" {
			t.Errorf("refused as %s", e.Reason)
		}
	})
}

var noRules unique.Handle[string]

func TestVerifiedTokensAreBounded(t *testing.T) {
	const most = 1000
	tokens := &NewCache().verified
	put := func(i int) tokenID {
		raw := strconv.Itoa(i)
		id := tokens.id(raw, noRules)
		tokens.put(id, verifiedToken{token: &AccessToken{raw: NewSecret(raw)}}, most)
		return id
	}
	used := put(0)
	for i := range 20 * most {
		put(i + 1)
		if _, ok := tokens.get(used, "0", most); !ok {
			t.Fatalf("a token in use was forgotten after %d others", i)
		}
	}
	kept := 0
	for i := range tokens.shards {
		kept += len(tokens.shards[i].young) + len(tokens.shards[i].old)
	}
	if kept > 2*(most+most/8+verifiedShards) {
		t.Errorf("%d tokens are kept", kept)
	}
}

// All tokens are used between two new ones.
func TestVerifiedTokensThatAreAllInUseAreBounded(t *testing.T) {
	const most = 64
	tokens := &NewCache().verified
	var raws []string
	for i := range 1000 {
		raw := strconv.Itoa(i)
		tokens.put(tokens.id(raw, noRules), verifiedToken{token: &AccessToken{raw: NewSecret(raw)}}, most)
		raws = append(raws, raw)
		for _, raw := range raws {
			tokens.get(tokens.id(raw, noRules), raw, most)
		}
	}
	kept := 0
	for i := range tokens.shards {
		kept += len(tokens.shards[i].young) + len(tokens.shards[i].old)
	}
	if kept > 4*verifiedShards {
		t.Errorf("%d tokens are kept", kept)
	}
}

func TestAsManyTokensAsMayBeKeptStayVerified(t *testing.T) {
	const most = 100_000
	tokens := &NewCache().verified
	raws := make([]string, most)
	for i := range raws {
		raws[i] = strconv.Itoa(i)
		tokens.put(tokens.id(raws[i], noRules), verifiedToken{token: &AccessToken{raw: NewSecret(raws[i])}}, most)
	}
	for _, raw := range raws {
		if _, ok := tokens.get(tokens.id(raw, noRules), raw, most); !ok {
			t.Fatal("a token in use was forgotten")
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	c := newTenant().client(b, Config{})
	raw := longToken()
	b.Run("again", func(b *testing.B) {
		verify(b, c, raw)
		b.ReportAllocs()
		for b.Loop() {
			verify(b, c, raw)
		}
	})
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			c.cache.verified.drop(c.cache.verified.id(raw, c.rules))
			verify(b, c, raw)
		}
	})
}
