package vault

import (
	"context"
	"crypto/sha256"
	"errors"
	"strconv"
	"strings"
	"time"
)

// question is one exchange to be made, with all that its answer depends on.
type question struct {
	subject subject
	request Request
	at      time.Time // when it was asked
	account account
	id      entryID // with account: answers may be shared
}

// answer is what the vault said to a question.
type answer struct {
	token   *Token
	err     *Error
	asked   time.Time
	refused Secret // the subject token that err is about; empty: none
}

// lasts tells whether the answer says something about the account, and not about
// the token that was exchanged, or about how Auth0 is doing.
func (a *answer) lasts() bool {
	return a.err == nil || a.err.Code == CodeLinkRequired || a.err.Code == CodeRelinkRequired
}

// flight is an exchange on its way. done is closed when the answer is there.
type flight struct {
	name      flightName
	notBefore time.Time // when it may begin
	renews    bool      // a kept answer serves meanwhile
	stale     bool      // the account was forgotten, or its token rejected, meanwhile; guarded by shard.mu
	done      chan struct{}
	answer    *answer
}

// flightName tells flights apart.
type flightName struct {
	account account
	id      entryID
	subject digest // of the one subject token that it is for; zero: anybody's
}

func (q question) asker() asker {
	return asker{q.account.subject, q.id.agent, q.account.connection}
}

// digest stands for a token where the token itself might be printed.
type digest [sha256.Size]byte

func (c *Client) question(caller Caller, req Request, at time.Time) (question, error) {
	if req.Connection == "" {
		return question{}, errors.New("vault: Request.Connection is required")
	}
	subject, err := caller.subject(c)
	return question{
		subject: subject,
		request: req,
		at:      at,
		account: account{c.tenant, subject.user, req.Connection},
		id:      entryID{c.id, subject.agent, req.LoginHint},
	}, err
}

// joinKey joins parts so that no two lists of parts give the same key.
func joinKey(parts ...string) string {
	var b strings.Builder
	for _, part := range parts {
		b.WriteString(strconv.Itoa(len(part)))
		b.WriteByte(':')
		b.WriteString(part)
	}
	return b.String()
}

// join returns the kept answer to q if it was asked for at or after oldest.
// Without one it waits for the flight of that subject, beginning it if there is
// none. It ends early with ctx; the flight goes on for the others.
func (c *Client) join(ctx context.Context, q question, subject digest, oldest time.Time) (*answer, error) {
	name := flightName{q.account, q.id, subject}
	kept, f, first := c.cache.board(q, name, oldest, c.room())
	if first {
		c.flying.Add(1)
		go c.fly(context.WithoutCancel(ctx), q, f)
	}
	if kept != nil {
		return kept, nil
	}
	if f == nil {
		return nil, &Error{Code: CodeThrottled, Reason: "too_many_waiting", RetryAfter: time.Second}
	}
	c.waiting.Add(1)
	defer func() {
		c.waiting.Add(-1)
		c.cache.leave(q)
	}()
	select {
	case <-f.done:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if end := q.subject.expiry; q.at.Before(end) && !time.Now().Before(end) { // while it waited
		return nil, invalidToken("expired")
	}
	return f.answer, nil
}

// room tells whether more may wait and be begun. One user gets half of the callers
// and an eighth of the exchanges, so that it takes several to keep all others out.
func (c *Client) room() room {
	return room{
		forCallers:       c.waiting.Load() < c.maxWaiting,
		forFlights:       c.flying.Load() < c.maxWaiting,
		callersOfOneUser: max(1, int(c.maxWaiting/2)),
		flightsOfOneUser: max(1, cap(c.slots)/8),
	}
}

// fly asks the vault and lands the flight, whatever happens.
func (c *Client) fly(ctx context.Context, q question, f *flight) {
	f.answer = &answer{
		asked: time.Now(),
		err:   &Error{Code: CodeUnavailable, Reason: "internal", Err: errors.New("the exchange did not finish")},
	}
	defer func() {
		c.flying.Add(-1) // before anybody has the answer and asks again
		c.cache.land(f, q, c.maxAge, c.maxEntries)
	}()

	if wait := time.Until(f.notBefore); wait > 0 {
		time.Sleep(wait)
	}
	if f.answer.err = c.mayExchange(q); f.answer.err != nil {
		return
	}
	if f.answer.err = c.takeSlot(); f.answer.err != nil {
		return
	}
	defer func() { <-c.slots }()
	if f.answer.err = c.admit(c.health, q.asker()); f.answer.err != nil {
		return
	}
	f.answer.asked = time.Now()
	f.answer.token, f.answer.err = c.exchange(ctx, q)
	if err := f.answer.err; err != nil && err.aboutSubject() {
		f.answer.refused = q.subject.token
	}
}

// mayExchange tells whether the tenant's state and the user's budget allow an
// exchange, before it waits for anything.
func (c *Client) mayExchange(q question) *Error {
	if err := c.health.check(q.asker()); err != nil {
		return err
	}
	who := spender{issuer: c.issuer, purpose: "exchange", user: q.subject.user, agent: q.subject.agent}
	if wait := c.cache.budgets.spend(who, float64(c.userBudget)/60, c.userBudget); wait > 0 {
		return &Error{Code: CodeThrottled, Reason: "user_budget", RetryAfter: wait}
	}
	return nil
}

// takeSlot waits for one of the exchanges under way to end, if there are as many
// as may be.
func (c *Client) takeSlot() *Error {
	select {
	case c.slots <- struct{}{}:
		return nil
	default:
	}
	patience := time.NewTimer(c.timeout / 2)
	defer patience.Stop()
	select {
	case c.slots <- struct{}{}:
		return nil
	case <-patience.C:
		return &Error{Code: CodeThrottled, Reason: "too_many_exchanges", RetryAfter: time.Second}
	}
}
