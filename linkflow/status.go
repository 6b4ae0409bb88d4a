package linkflow

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/tokenvault/caddy-token-vault/linkflow/internal/outcome"
	"github.com/tokenvault/caddy-token-vault/vault"
)

const (
	// MaxWait is the longest that Status waits: a little less than the minute
	// after which many clients and proxies give up.
	MaxWait = 55 * time.Second

	// askInterval separates two questions to the vault about the same.
	askInterval = 2 * time.Second

	// retryAfter is when to ask again whom there was no room for.
	retryAfter = 5 * time.Second
)

// Outcomes remembers what became of tickets. It may be shared by several Flows and
// outlive each of them. Make one with [NewOutcomes].
type Outcomes struct{ board *outcome.Board }

// NewOutcomes returns an empty Outcomes.
func NewOutcomes() *Outcomes { return &Outcomes{outcome.New()} }

// State is what became of a link.
type State string

// The states of a link.
const (
	// Pending: nothing final has happened yet.
	Pending State = "pending"
	// Completed: the account is connected and suffices; try again.
	Completed State = "completed"
	// Declined: the user said no, here or at the provider.
	Declined State = "declined"
	// Failed: Auth0 or the provider ended the attempt, or the user granted
	// less than was asked for.
	Failed State = "failed"
	// Expired: the link has ended, and nothing else happened.
	Expired State = "expired"
)

// Status is the answer to an agent that asks for a link it handed over.
type Status struct {
	State      State
	Connection string

	// RetryAfter is when to ask again, if there was no room to wait. Otherwise 0: at
	// once, or never if State is an end.
	RetryAfter time.Duration
}

// Status tells what became of the ticket that caller was given. While that is
// pending it waits, for MaxWait at most, until something happens. If ctx ends or
// the Flow is closed while it waits, it tells what is known by then.
//
// Two may wait for a ticket at the same time, 32 for one user's, and 4000 in all;
// further ones are told at once what is known.
//
// An account counts as connected when the vault serves it with all that is
// needed, however that came about; the vault is asked when a flow has ended, and
// otherwise at most every two seconds for what one agent wants of one user, and ten
// times a second for all. A failing vault is no error here: the state stays as it is known.
//
// Errors are ErrNoTicket, or that there are no keys to open the ticket with.
func (f *Flow) Status(ctx context.Context, caller *vault.AccessToken, ticketText string, wait time.Duration) (Status, error) {
	t, err := open[ticket](ctx, f.sealer, forTicket, ticketText)
	switch {
	case errors.Is(err, errTampered):
		return Status{}, ErrNoTicket
	case err != nil && !errors.Is(err, errExpired):
		return Status{}, err
	case !t.belongsTo(f.vault.Issuer(), caller):
		return Status{}, ErrNoTicket
	}
	leave := f.outcomes.Wait(t.wished())
	if leave == nil {
		f.askVault(ctx, caller, t) // for the next time
		status := f.statusOf(t)
		if status.State == Pending {
			status.RetryAfter = retryAfter
		}
		return status, nil
	}
	defer leave()
	return f.await(ctx, caller, t, time.Now().Add(min(wait, MaxWait))), nil
}

// await waits until end for t to come to something.
func (f *Flow) await(ctx context.Context, caller *vault.AccessToken, t ticket, end time.Time) Status {
	patience := MaxWait // the vault's first answer is waited for whatever wait is
	for {
		_, changed := f.outcomes.Known(t.wished())
		interval, asking := askInterval, f.askVault(ctx, caller, t)
		if asking == nil { // a crowd that came together must not come together again
			interval, asking = rand.N(askInterval), answered //nolint:gosec // nobody gains by guessing it
		}
		goOn := f.pause(ctx, changed, asking, patience)
		status, left := f.statusOf(t), time.Until(end)
		if !goOn || status.State != Pending || left <= 0 {
			return status
		}
		if !f.pause(ctx, changed, nil, min(interval, left)) {
			return f.statusOf(t)
		}
		patience = max(time.Until(end), 0)
	}
}

// pause waits for a change, an answer, or some time. It returns false if ctx
// ends or f is closed first.
func (f *Flow) pause(ctx context.Context, changed, answered <-chan struct{}, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-changed:
	case <-answered:
	case <-timer.C:
	case <-ctx.Done():
		return false
	case <-f.outcomes.Closed():
		return false
	}
	return true
}

// statusOf is what is known of t, without asking anybody. While the user decides, and
// while only a flow says that the account is connected, that is Pending.
func (f *Flow) statusOf(t ticket) Status {
	known, _ := f.outcomes.Known(t.wished())
	expired := time.Now().Unix() >= t.Expiry
	state := Pending
	switch {
	case known == outcome.Completed || known == outcome.Connected && expired:
		state = Completed
	case known == outcome.Declined:
		state = Declined
	case known == outcome.Failed:
		state = Failed
	case known != outcome.Connected && expired:
		state = Expired
	}
	return Status{State: state, Connection: t.Connection}
}

// answered is a channel for when there is nothing to wait for.
var answered = func() <-chan struct{} { c := make(chan struct{}); close(c); return c }()

// askVault asks the vault for the token that t is about, if it is t's turn. The
// returned channel is closed when the answer is there; it is nil if too many have
// asked just now. The question does not end with the caller, since others wait
// for it too.
func (f *Flow) askVault(ctx context.Context, caller *vault.AccessToken, t ticket) <-chan struct{} {
	state, _ := f.outcomes.Known(t.wished())
	if state == outcome.Completed || time.Since(time.Unix(t.Expiry, 0)) > outcome.LateLife {
		return answered
	}
	asking, finish := f.outcomes.Turn(t.wished(), askInterval)
	if finish != nil {
		go func() {
			defer finish()
			f.ask(context.WithoutCancel(ctx), caller, t)
		}()
	}
	return asking
}

// ask asks the vault. Only if a flow had ended before does a refusal say
// something about what that flow connected.
func (f *Flow) ask(ctx context.Context, caller *vault.AccessToken, t ticket) {
	before, _ := f.outcomes.Known(t.wished())
	_, err := f.vault.Token(ctx, caller, vault.Request{Connection: t.Connection, LoginHint: t.LoginHint, Scopes: t.Scopes})
	if err == nil {
		f.outcomes.Record(t.wished(), outcome.Completed)
		return
	}
	e, ok := errors.AsType[*vault.Error](err)
	if before == outcome.Connected {
		f.outcomes.Settle(t.wished(), ok && e.NeedsLink())
	}
	if ok && e.Code == vault.CodeMisconfigured {
		event := byUser(Fault, t)
		event.Reason, event.Err = e.Reason, err
		f.tell(ctx, event)
	}
}
