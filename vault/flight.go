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
	caller  *AccessToken
	request Request
	key     string            // who asks for what: answers to it may be shared
	account string            // user and connection: what Client.Forget forgets
	subject [sha256.Size]byte // digest of the very access token
}

// answer is what the vault said to a question.
type answer struct {
	token   *Token
	err     *Error
	asked   time.Time
	subject [sha256.Size]byte // whose access token was exchanged
}

// flight is an exchange on its way. done is closed when the answer is there.
type flight struct {
	account string
	done    chan struct{}
	answer  *answer
	stale   bool // the account was forgotten meanwhile; guarded by Cache.mu
}

func (c *Client) question(caller *AccessToken, req Request) question {
	return question{
		caller:  caller,
		request: req,
		key: joinKey(c.issuer, c.clientID, c.audience, caller.Subject, caller.OrgID,
			caller.agent, req.Connection, req.LoginHint),
		account: joinKey(c.issuer, caller.Subject, req.Connection),
		subject: caller.digest,
	}
}

// group is the key without the login hint: questions that differ in nothing but
// that, of one user, agent, organization and connection, share it.
func (q question) group() string { return strings.TrimSuffix(q.key, joinKey(q.request.LoginHint)) }

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
// Without one it waits for the flight of that name, beginning it if there is
// none. It ends early with ctx; the flight goes on for the others.
func (c *Client) join(ctx context.Context, q question, name string, oldest time.Time) (*answer, error) {
	kept, f, first := c.cache.board(q, name, oldest)
	if kept != nil {
		return kept, nil
	}
	if first {
		go c.fly(context.WithoutCancel(ctx), q, name, f)
	}
	select {
	case <-f.done:
		return f.answer, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// fly asks the vault and lands the flight, whatever happens.
func (c *Client) fly(ctx context.Context, q question, name string, f *flight) {
	f.answer = &answer{
		asked:   time.Now(),
		subject: q.subject,
		err:     &Error{Code: CodeUnavailable, Reason: "internal", Err: errors.New("the exchange did not finish")},
	}
	defer func() { c.cache.land(name, f, q, c.keep(f.answer), c.maxEntries) }()

	user := joinKey(c.issuer, q.caller.Subject, q.caller.agent)
	if wait := c.cache.budgets.spend("user", user, float64(c.userBudget)/60, c.userBudget); wait > 0 {
		f.answer.err = &Error{Code: CodeThrottled, Reason: "user_budget", RetryAfter: wait}
		return
	}
	f.answer.token, f.answer.err = c.exchange(ctx, q)
}

// keep says until when an answer may be given to others; in the past means that
// it may not.
func (c *Client) keep(a *answer) time.Time {
	switch {
	case a.err == nil && a.token.Expiry.IsZero():
		return a.asked.Add(c.maxAge)
	case a.err == nil:
		end := a.token.Expiry.Add(-expiryMargin)
		if limit := a.asked.Add(c.maxAge); limit.Before(end) {
			end = limit
		}
		return end
	case a.err.Code == CodeLinkRequired || a.err.Code == CodeRelinkRequired:
		return a.asked.Add(linkMaxAge)
	}
	return time.Time{}
}
