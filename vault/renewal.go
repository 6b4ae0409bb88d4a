package vault

import (
	"crypto/rand"
	"crypto/sha256"
	"math/big"
	"time"
)

const (
	// linkMaxAge is the oldest answer that an account may be called insufficient
	// by: a user who has just connected it elsewhere is not sent to connect again.
	linkMaxAge = 2 * time.Second

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

// term says for how long an answer serves, and when the vault is asked for what comes
// next. Auth0 gives the token that it has stored until that ends, and has no way to be
// asked for a newer one; some tenants may renew earlier. So the first renewal is a
// trial: where it brings the same token, later ones wait for the end.
type term struct {
	until time.Time // the answer serves

	// While the answer serves, a request that it serves asks from renewal on (zero:
	// none does). Otherwise those that wait ask from resume on.
	renewal, resume time.Time

	last    digest // of the token that the vault gave last, served or not; zero: none
	hadLife bool   // that token, when the vault gave it first
	steady  bool   // the vault gives a token again until its end, and only then another
}

// after is the term of what the vault answered after t. renewed says that t's answer
// was still serving.
func (t term) after(a *answer, renewed bool, maxAge time.Duration, now time.Time) term {
	t.renewal, t.resume = time.Time{}, time.Time{}
	if a.err != nil {
		t.until = a.asked.Add(linkMaxAge)
		return t
	}
	end, id := a.token.Expiry, digestOf(a.token)
	same := t.last == id
	if !same {
		t.last, t.hadLife = id, end.IsZero() || end.After(now)
	}
	t.steady = t.steady || same && renewed && !end.IsZero() && end.Add(-expiryMargin).Before(a.asked.Add(maxAge))
	t.until, t.renewal = t.served(a, same, maxAge)
	if same && t.hadLife && !now.Before(t.until) {
		t.resume = a.asked.Add(lastSecond)
	}
	return t
}

// served says until when a token serves, and when it is renewed.
func (t term) served(a *answer, same bool, maxAge time.Duration) (until, renewal time.Time) {
	latest, end := a.asked.Add(maxAge), a.token.Expiry
	switch {
	case end.IsZero() || !end.Add(-expiryMargin).Before(latest):
		return latest, latest.Add(-jittered(maxAge / 10)) // many may have begun at once
	case same || t.steady:
		if latest.Before(end) {
			return latest, time.Time{}
		}
		return end, time.Time{}
	}
	until = end.Add(-expiryMargin)
	return until, until.Add(-jittered(min(renewalLead, until.Sub(a.asked)/4)))
}

// outlasting is t after a renewal that failed.
func (t term) outlasting(now time.Time) term {
	t.renewal = now.Add(max(renewalPause, t.until.Sub(now)/4))
	return t
}

// digest stands for a token where the token itself might be printed.
type digest [sha256.Size]byte

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
