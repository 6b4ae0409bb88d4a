package linkflow

import (
	"context"
	"time"

	"github.com/tokenvault/caddy-token-vault/linkflow/internal/outcome"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// Hold waits, for d at most, while the user whom caller speaks for is about to
// connect the account that req asks for: has opened a link that caller's agent
// got, and has signed in, at a Flow with the same Outcomes. It reports whether
// something happened that makes asking the vault again worth while: that ended, one
// way or another, or an identity was linked, which is the end only on tenants whose
// vault identities feed; on others the user goes on Connecting. It returns false
// at once if nobody is about to do so, or if another call of the same user,
// organization and agent is held for the same account.
//
// It ends early, with false, when ctx ends or the Flow is closed.
func (f *Flow) Hold(ctx context.Context, caller *vault.AccessToken, req vault.Request, d time.Duration) bool {
	ended, left, leave := f.outcomes.Hold(f.wish(caller, req))
	if ended == nil {
		return false
	}
	defer leave()
	timer := time.NewTimer(min(d, left))
	defer timer.Stop()
	select {
	case <-ended:
		return true
	case <-timer.C:
		return left <= d // the ticket has ended, and the flow with it
	case <-ctx.Done():
		return false
	case <-f.outcomes.Closed():
		return false
	}
}

// Connecting tells whether the user is about to connect the account, without
// waiting for it: whether Hold would, if it holds no other call.
func (f *Flow) Connecting(caller *vault.AccessToken, req vault.Request) bool {
	return f.outcomes.Connecting(f.wish(caller, req)) > 0
}

// wish is what caller's tickets for req are made for.
func (f *Flow) wish(caller *vault.AccessToken, req vault.Request) outcome.Wish {
	return outcome.Wish{
		Account: accountOf(f.vault.Issuer(), caller.Subject, req.Connection),
		OrgID:   caller.OrgID, Agent: caller.ClientID, LoginHint: req.LoginHint,
	}
}
