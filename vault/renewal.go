package vault

import (
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"time"
	"unique"
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
	account      account
	id           entryID
	used         time.Time
	newer, older *entry // in the order of use

	answer *answer
	until  time.Time // the answer serves
	last   digest    // of the token that the vault gave last, served or not; zero: none

	// While the answer serves, a request that it serves asks for what comes next
	// from renewal on (zero: none does). Otherwise those that wait ask from resume on.
	renewal, resume time.Time

	rejected time.Time
	tellHint bool // the caller may be told the hint
	dropped  bool // when rejected; the answer does not serve until the vault was asked
	hadLife  bool // the token, when the vault gave it first
	steady   bool // the vault gives a token again until its end, and only then another
}

// entryID tells the entries of an account apart.
type entryID struct {
	client unique.Handle[string] // issuer, API and exchange client
	agent  unique.Handle[agent]
	hint   string
}

// serves tells whether e has an answer that was asked for at or after oldest. A
// nil entry has none.
func (e *entry) serves(now, oldest time.Time) bool {
	return e != nil && e.answer != nil && !e.dropped && now.Before(e.until) && !e.answer.asked.Before(oldest)
}

// keep makes a the answer of e for as long as it serves.
func (e *entry) keep(a *answer, renewed bool, maxAge time.Duration, now time.Time) {
	e.answer, e.dropped, e.renewal, e.resume = a, false, time.Time{}, time.Time{}
	if a.err != nil {
		e.until = a.asked.Add(linkMaxAge)
		return
	}
	a.token.entry = e
	same := e.last == digestOf(a.token)
	if !same {
		e.hadLife = a.token.Expiry.IsZero() || a.token.Expiry.After(now)
	}
	e.last = digestOf(a.token)
	e.schedule(a, same, renewed, maxAge)
	if now.Before(e.until) {
		return
	}
	e.answer = nil // it is for those who wait, once
	if same && e.hadLife {
		e.resume = a.asked.Add(lastSecond)
	}
}

// outlast is for a flight that failed: the answer goes on serving, also one that
// was dropped for a newer one, since the vault may be out of reach for long.
func (e *entry) outlast(f *flight, now time.Time) {
	if f.renews {
		e.renewal = now.Add(max(renewalPause, e.until.Sub(now)/4))
	}
	if e.dropped && !f.answer.err.aboutSubject() {
		e.dropped = false
		if e.serves(now, time.Time{}) {
			f.answer = e.answer
		}
	}
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
// It reports whether it did, and whether asking may bring another answer.
func (e *entry) reject(token *Token, now time.Time) (dropped, another bool) {
	switch {
	case e.last != digestOf(token):
		return false, true // there is another one already
	case e.answer != nil && e.answer.err != nil:
		return false, true // or none any more
	case e.dropped:
		return false, true // and it is being asked for
	case now.Sub(e.rejected) < rejectInterval:
		return false, false
	}
	e.rejected, e.dropped = now, true
	return true, true
}

func digestOf(token *Token) digest { return sha256.Sum256([]byte(token.Reveal())) }

// jittered returns a random part of d, at least half of it.
func jittered(d time.Duration) time.Duration {
	half := max(d/2, 1)
	part, err := rand.Int(rand.Reader, big.NewInt(int64(half)))
	if err != nil {
		return d // cannot happen
	}
	return half + time.Duration(part.Int64())
}
