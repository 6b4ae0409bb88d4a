package vault

import "time"

// Event is something that happened, for whoever measures: see [Config.Hook]. It holds
// nothing secret.
type Event struct {
	Kind EventKind

	// Connection is that of an Exchanged, Remembered or Missed.
	Connection string

	// API is that of a Throttled: "authentication", "management" or "my_account".
	API string

	// Duration is that of an Exchanged, with what it waited to begin, or KeysFetched.
	Duration time.Duration

	// Err is what went wrong; nil if nothing did. With Exchanged, whatever the vault
	// refused is an [*Error].
	Err error
}

// EventKind says what happened.
type EventKind int

// The kinds of events.
const (
	// Exchanged: an exchange ended, or was not allowed to begin.
	Exchanged EventKind = iota
	// Remembered: a kept answer served; Auth0 was not asked.
	Remembered
	// Missed: no kept answer served, so that an exchange was begun or waited for.
	Missed
	// KeysFetched: the tenant's key set was asked for.
	KeysFetched
	// Throttled: Auth0 answered 429, or a budget of ours was spent; Err tells.
	Throttled
)

// tell tells the hook, if there is one. Connections are told as they are configured.
func (c *Client) tell(e Event) {
	if c.hook != nil {
		c.hook(e)
	}
}
