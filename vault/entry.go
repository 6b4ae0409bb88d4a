package vault

import (
	"container/list"
	"crypto/rand"
	"math/big"
	"time"
)

const (
	// expiryMargin is how long before its end a provider's token is no longer
	// handed out, if the vault may have a newer one: it still has to travel.
	expiryMargin = 5 * time.Second

	// renewalLead is how long before that the vault is asked for a newer one, at
	// the earliest, while the token is still handed out.
	renewalLead = 5 * time.Second

	// renewalPause is the shortest time between two renewals of which the first one
	// failed.
	renewalPause = time.Second

	// lastSecond is between two exchanges while the vault gives a token again whose
	// life it counts as 0 s: it counts whole seconds, so this is over after one.
	lastSecond = 500 * time.Millisecond

	// rejectInterval separates two drops of one entry. An upstream path that
	// answers 401 to everybody must not cost an exchange per request.
	rejectInterval = time.Minute
)

// entry is a kept answer. One without an answer remembers that the vault served
// the account, and what is below.
type entry struct {
	account  account
	id       entryID
	tellHint bool // the caller may be told the hint
	element  *list.Element
	used     time.Time

	answer *answer
	until  time.Time // the answer serves
	token  *Token    // the last that the vault gave, served or not

	// While the answer serves, a request that it serves asks for what comes next
	// from renewal on (zero: none does). Otherwise those that wait ask from resume on.
	renewal, resume time.Time

	rejected time.Time
	dropped  bool // then, and the vault was not asked since
	hadLife  bool // the token, when the vault gave it first
	steady   bool // the vault gives a token again until its end, and only then another
}

// entryID tells the entries of an account apart.
type entryID struct {
	client string // issuer, API and exchange client
	caller string // user, organization and agent
	hint   string
}

// serves tells whether e has an answer that was asked for at or after oldest. A
// nil entry has none.
func (e *entry) serves(now, oldest time.Time) bool {
	return e != nil && e.answer != nil && now.Before(e.until) && !e.answer.asked.Before(oldest)
}

// keep makes a the answer of e for as long as it serves.
func (e *entry) keep(a *answer, renewed bool, maxAge time.Duration, now time.Time) {
	e.answer, e.renewal, e.resume = a, time.Time{}, time.Time{}
	if a.err != nil {
		e.until = a.asked.Add(linkMaxAge)
		return
	}
	a.token.entry = e
	same := e.token != nil && e.token.Reveal() == a.token.Reveal()
	if !same {
		e.hadLife = a.token.Expiry.IsZero() || a.token.Expiry.After(now)
	}
	e.token, e.dropped = a.token, false
	e.schedule(a, same, renewed, maxAge)
	if now.Before(e.until) {
		return
	}
	e.answer = nil // it is for those who wait, once
	if same && e.hadLife {
		e.resume = a.asked.Add(lastSecond)
	}
}

// retryRenewal sets when a renewal that failed is tried again.
func (e *entry) retryRenewal(now time.Time) {
	e.renewal = now.Add(max(renewalPause, e.until.Sub(now)/4))
}

// schedule says until when a token serves and when it is renewed. Auth0 gives the
// token that it has stored until that ends, and has no way to be asked for a
// newer one; some tenants may renew earlier. So the first renewal of an entry is
// a trial: where it brings the same token, later ones wait for the end.
func (e *entry) schedule(a *answer, same, renewed bool, maxAge time.Duration) {
	latest := a.asked.Add(maxAge)
	e.until = latest
	e.renewal = latest.Add(-jittered(maxAge / 10)) // many may have begun at once
	end := a.token.Expiry
	if end.IsZero() || !end.Add(-expiryMargin).Before(latest) {
		return
	}
	if same && renewed {
		e.steady = true
	}
	if same || e.steady {
		e.until, e.renewal = end, time.Time{}
		if latest.Before(end) {
			e.until = latest
		}
		return
	}
	e.until = end.Add(-expiryMargin)
	e.renewal = e.until.Add(-jittered(min(renewalLead, e.until.Sub(a.asked)/4)))
}

// reject drops the answer if token is what it gives, once in a rejectInterval.
// It reports whether it did, and whether asking may bring another token.
func (e *entry) reject(token *Token, now time.Time) (dropped, another bool) {
	switch {
	case e.token == nil || e.token.Reveal() != token.Reveal():
		return false, true // there is another one already
	case e.dropped:
		return false, true // and it is being asked for
	case now.Sub(e.rejected) < rejectInterval:
		return false, false
	}
	e.answer, e.rejected, e.dropped = nil, now, true
	return true, true
}

// jittered returns a random part of d, at least half of it.
func jittered(d time.Duration) time.Duration {
	half := max(d/2, 1)
	part, err := rand.Int(rand.Reader, big.NewInt(int64(half)))
	if err != nil {
		return d // cannot happen
	}
	return half + time.Duration(part.Int64())
}
