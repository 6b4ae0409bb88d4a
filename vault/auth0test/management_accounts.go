package auth0test

import (
	"net/http"
	"strings"
)

// listConnectedAccounts is GET …/users/{id}/connected-accounts: what the vault
// holds for a user.
func (t *Tenant) listConnectedAccounts(r *managementRequest) (reply, error) {
	page, err := r.page(checkpoints)
	if err != nil {
		return reply{}, err
	}
	list, err := t.accountViews(r, func(a *account, c *Connection) map[string]any {
		view := map[string]any{
			"id": a.id, "connection": a.connection, "connection_id": c.ID, "strategy": c.Strategy,
			"access_type": "offline", "scopes": append([]string{}, a.tokens.scopes...), "created_at": timestamp(a.createdAt),
		}
		if a.orgID != "" {
			view["organization_id"] = a.orgID
		}
		return view
	})
	return page.reply("connected_accounts", list, r), err
}

// accountViews shows a user's accounts.
func (t *Tenant) accountViews(r *managementRequest, show func(*account, *Connection) map[string]any) ([]any, error) {
	cfg := t.cfg()
	id := r.PathValue("id")
	if cfg.user(id) == nil {
		return nil, errNoUser
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	out := []any{}
	for _, a := range t.accountsOf(id, "") {
		if c := cfg.connection(a.connection); c != nil {
			out = append(out, show(a, c))
		}
	}
	return out, nil
}

// listTokensets is GET …/users/{id}/federated-connections-tokensets.
func (t *Tenant) listTokensets(r *managementRequest) (reply, error) {
	list, err := t.accountViews(r, func(a *account, _ *Connection) map[string]any {
		return map[string]any{
			"id": a.id, "connection": a.connection, "scope": strings.Join(a.tokens.scopes, " "),
			"issued_at": timestamp(a.createdAt), "expires_at": timestamp(a.tokens.expires), "last_used_at": timestamp(a.createdAt),
		}
	})
	return reply{http.StatusOK, list}, err
}

// deleteTokenset is DELETE …/federated-connections-tokensets/{tokenset}: no
// error when there is none.
func (t *Tenant) deleteTokenset(r *managementRequest) (reply, error) {
	t.removeAccounts(func(a *account) bool { return a.id == r.PathValue("tokenset") && a.userID == r.PathValue("id") })
	return reply{http.StatusNoContent, nil}, nil
}
