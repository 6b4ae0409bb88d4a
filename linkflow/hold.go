package linkflow

import (
	"context"
	"time"

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
	ended, left, leave := f.outcomes.hold(f.wish(caller, req))
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
	case <-f.outcomes.closed:
		return false
	}
}

// Connecting tells whether the user is about to connect the account, without
// waiting for it: whether Hold would, if it holds no other call.
func (f *Flow) Connecting(caller *vault.AccessToken, req vault.Request) bool {
	return f.outcomes.connecting(f.wish(caller, req)) > 0
}

// wish is what caller's tickets for req are made for.
func (f *Flow) wish(caller *vault.AccessToken, req vault.Request) wish {
	return wish{
		account{f.vault.Issuer(), caller.Subject, req.Connection},
		caller.OrgID, caller.ClientID, req.LoginHint,
	}
}

// connecting tells how long the user may still take who has signed in to grant
// this wish: until the last ticket ends. 0 means that there is none who has.
func (o *Outcomes) connecting(w wish) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.left(w)
}

func (o *Outcomes) left(w wish) (left time.Duration) {
	for entry := range o.accounts[w.account] {
		if entry.wish == w && entry.state == begun {
			left = max(left, time.Until(entry.expiry))
		}
	}
	return left
}

// hold is connecting for a call that waits. It returns a channel that is closed
// when the wait is over, and a function to call in the end; or neither, if
// there is nothing to wait for or somebody waits already.
func (o *Outcomes) hold(w wish) (ended <-chan struct{}, left time.Duration, leave func()) {
	o.mu.Lock()
	defer o.mu.Unlock()
	left = o.left(w)
	if left <= 0 || o.held[w] != nil {
		return nil, 0, nil
	}
	c := make(chan struct{})
	o.held[w] = c
	return c, left, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.held[w] == c {
			delete(o.held, w)
		}
	}
}

// letGo ends the wait of the call that is held for w, if there is one.
func (o *Outcomes) letGo(w wish) {
	if c := o.held[w]; c != nil {
		close(c)
		delete(o.held, w)
	}
}
