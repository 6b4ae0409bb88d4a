package linkflow

import (
	"errors"
	"net/url"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
)

func TestEventsHoldNoURLs(t *testing.T) {
	l := &log{}
	f := stubFlow(t, nil, func(c *Config) { c.Hook = l.hook })
	inner := &url.Error{Op: "Get", URL: "https://tenant.example.com/?from=x", Err: errors.New("refused")}
	f.tell(t.Context(), Event{Kind: Fault, Err: inner})
	f.tell(t.Context(), Event{Kind: Fault, Err: &vault.Error{Code: vault.CodeUnavailable, Reason: "unreachable", Err: inner}})
	l.check(t)
	if e := l.last(); e.Err.Error() != "vault_unavailable: unreachable: refused" {
		t.Errorf("told %v", e.Err)
	}
	stubFlow(t, nil, nil).tell(t.Context(), Event{}) // without a hook
}
