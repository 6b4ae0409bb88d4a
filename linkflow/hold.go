package linkflow

import (
	"context"
	"time"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// Hold waits, for d at most, while the user whom caller speaks for is about to
// connect the account that req asks for: has opened a link that caller's agent
// got, and has signed in. It reports whether that ended, one way or another, so
// that asking the vault again is worth while. It returns false at once if
// nobody is about to do so.
func (f *Flow) Hold(ctx context.Context, caller *vault.AccessToken, req vault.Request, d time.Duration) bool {
	return false
}
