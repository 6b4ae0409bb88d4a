package vault

import (
	"context"
	"crypto/sha256"
	"sync"

	"github.com/go-jose/go-jose/v4"
)

// verifiedShards is how many parts the verified tokens are kept in, each with a
// lock of its own, so that requests do not wait for each other.
const verifiedShards = 64

// verifiedTokens are access tokens that were verified before. Those that were
// not asked for lately are forgotten: each shard has two generations, and what
// is in the older one when the younger is full is dropped.
type verifiedTokens [verifiedShards]struct {
	mu         sync.Mutex
	young, old map[tokenID]*verifiedToken
}

// tokenID is a token by its digest, and all that its verification depends on
// besides the key.
type tokenID struct {
	digest [sha256.Size]byte
	rules  string
}

// verifiedToken is what verifying a token came to, and by which key.
type verifiedToken struct {
	token *AccessToken
	kid   string
	alg   jose.SignatureAlgorithm
	key   any
}

func (v *verifiedTokens) get(id tokenID) *verifiedToken {
	shard := &v[id.digest[0]%verifiedShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if t := shard.young[id]; t != nil {
		return t
	}
	t := shard.old[id]
	if t != nil { // it lives on, in the place of what it was
		delete(shard.old, id)
		shard.young[id] = t
	}
	return t
}

// put keeps t; of all shards together about most tokens are kept.
func (v *verifiedTokens) put(id tokenID, t *verifiedToken, most int) {
	shard := &v[id.digest[0]%verifiedShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if len(shard.young) >= max(1, most/verifiedShards/2) {
		shard.young, shard.old = nil, shard.young
	}
	if shard.young == nil {
		shard.young = make(map[tokenID]*verifiedToken)
	}
	shard.young[id] = t
}

// stillGood tells whether verifying t again would come to the same, but for the
// clock: whether the tenant still has the key.
func (c *Client) stillGood(ctx context.Context, t *verifiedToken) bool {
	key, err := c.keys.find(ctx, c, t.kid, t.alg)
	return err == nil && key == t.key
}
