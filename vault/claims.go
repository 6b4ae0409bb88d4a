package vault

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
	"unique"

	josejson "github.com/go-jose/go-jose/v4/json"
)

// claims are the members of an Auth0 token that we read (Auth0: "Access Token
// Profiles"). Pointers tell absent from empty where that makes a difference.
type claims struct {
	Issuer      string       `json:"iss"`
	Subject     string       `json:"sub"`
	Audience    audience     `json:"aud"`
	Expiry      *numericDate `json:"exp"`
	NotBefore   *numericDate `json:"nbf"`
	IssuedAt    *numericDate `json:"iat"`
	Scope       string       `json:"scope"`
	Permissions []string     `json:"permissions"`
	OrgID       string       `json:"org_id"`
	GrantType   string       `json:"gty"`

	// SubjectProfile says what kind of principal the subject is.
	SubjectProfile josejson.RawMessage `json:"sub_profile"`

	// Auth0's own profile names the client in azp, RFC 9068 in client_id.
	AuthorizedParty *string `json:"azp"`
	ClientID        *string `json:"client_id"`

	// Confirmation is there if the token is bound to a key (RFC 7800).
	Confirmation josejson.RawMessage `json:"cnf"`
}

// audience is a string or an array of strings (RFC 7519 §4.1.3).
type audience []string

// UnmarshalJSON implements json.Unmarshaler.
func (a *audience) UnmarshalJSON(data []byte) error {
	var one string
	if err := decode(data, &one); err == nil {
		*a = audience{one}
		return nil
	}
	return decode(data, (*[]string)(a))
}

// numericDate is seconds since 1970, possibly with a fraction (RFC 7519 §2).
type numericDate float64

func (d numericDate) time() time.Time {
	return time.Unix(int64(math.Min(math.Max(float64(d), 0), 1<<40)), 0)
}

// checkPast tells whether a claim, if it is there, lies in the past.
func (d *numericDate) checkPast(claim string, now time.Time) error {
	if d == nil {
		return nil
	}
	if ahead := d.time().Sub(now); ahead > clockSkew {
		return invalidTokenf("not_yet_valid", "%s is %v ahead of this machine's clock: one of the two clocks is wrong", claim, ahead.Round(100*time.Millisecond))
	}
	return nil
}

func parseClaims[C claims | idClaims](payload []byte) (*C, error) {
	var c C
	// The decoder would make one character of all bytes that are none.
	if !utf8.Valid(payload) || decode(payload, &c) != nil {
		return nil, invalidToken("malformed_claims")
	}
	return &c, nil
}

// identify tells whether what names the user, the agent and the API is text that can
// be told apart: the decoder makes U+FFFD of every half of a surrogate pair.
func (c *claims) identify() bool {
	names := append([]string{c.Issuer, c.Subject, c.OrgID, deref(c.AuthorizedParty), deref(c.ClientID)}, c.Audience...)
	return !slices.ContainsFunc(names, func(name string) bool {
		return strings.ContainsFunc(name, func(r rune) bool { return r == utf8.RuneError || unicode.IsControl(r) })
	})
}

// check checks what every token has to say, whatever its kind.
func (c *claims) check(issuer, audience string, now time.Time) error {
	switch {
	case !c.identify():
		return invalidToken("malformed_claims")
	case c.Issuer != issuer:
		return invalidToken("wrong_issuer")
	case !slices.Contains(c.Audience, audience):
		return invalidToken("wrong_audience")
	case c.Expiry == nil:
		return invalidToken("no_expiry")
	case !now.Before(c.Expiry.time()):
		return expired(c.Expiry.time(), now)
	case c.Subject == "":
		return invalidToken("no_subject")
	}
	return cmp.Or(c.NotBefore.checkPast("nbf", now), c.IssuedAt.checkPast("iat", now))
}

func (c *claims) accessToken(raw string) (*AccessToken, error) {
	if len(c.Confirmation) > 0 {
		return nil, invalidToken("sender_constrained")
	}
	handle := unique.Make(agent{orgID: c.OrgID, azp: deref(c.AuthorizedParty), clientID: deref(c.ClientID)})
	agent := handle.Value()
	t := &AccessToken{
		Subject:     c.Subject,
		OrgID:       agent.orgID,
		Scopes:      shared(strings.Fields(c.Scope)),
		Permissions: c.Permissions,
		Expiry:      c.Expiry.time(),
		raw:         NewSecret(raw),
		agent:       handle,
		machine:     c.isMachine(),
	}
	switch {
	case agent.azp == agent.clientID || agent.clientID == "":
		t.ClientID = agent.azp
	case agent.azp == "":
		t.ClientID = agent.clientID
	}
	return t, nil
}

// isMachine tells whether the subject is no user. Agents that are principals of their
// own are known by their profile only where the API opted in, by the form of their id
// everywhere.
func (c *claims) isMachine() bool {
	return strings.HasSuffix(c.Subject, "@clients") || !strings.Contains(c.Subject, "|") || c.GrantType == "client-credentials" ||
		!slices.Contains([]string{"", "null", `"user"`}, string(c.SubjectProfile))
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
