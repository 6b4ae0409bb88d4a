package caddymodule

import (
	"slices"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// anyClient in a list of allowed clients lets every agent through.
const anyClient = "*"

// checkPolicy tells whether the route is open to the caller. It runs on every
// request, whatever is cached.
func (h *Handler) checkPolicy(caller *vault.AccessToken) error {
	switch {
	case caller.Machine():
		return &refusal{code: codeUserRequired}
	case !h.allows(caller.ClientID):
		return &refusal{code: codeClientNotAllowed}
	case !caller.Grants(h.RequireScopes):
		return &refusal{code: codeInsufficientScope, scopes: h.RequireScopes}
	}
	return nil
}

// allows tells whether the agent may use the route. A token that names no agent,
// or two different ones, passes only where any may.
func (h *Handler) allows(clientID string) bool {
	return slices.Contains(h.AllowClients, anyClient) ||
		clientID != "" && slices.Contains(h.AllowClients, clientID)
}
