package auth0test

import (
	"fmt"
	"slices"
)

// loginConnections are those that a client's users may log in through.
func (cfg *Config) loginConnections(client *Client) []Connection {
	var out []Connection
	for _, c := range cfg.Connections {
		usable := c.social() || c.Strategy == databaseProvider
		if usable && c.logsIn() && c.enabledFor(client.ClientID) {
			out = append(out, c)
		}
	}
	return out
}

// whyNoLogin is why nobody logs in to a client through a connection.
func (cfg *Config) whyNoLogin(connection, clientID string) string {
	c := cfg.connection(connection)
	switch {
	case c == nil:
		return fmt.Sprintf("there is no connection %q", connection)
	case !c.enabledFor(clientID):
		return fmt.Sprintf("the connection %s is not enabled for %s", connection, clientID)
	}
	return fmt.Sprintf("the connection %s is not active for authentication", connection)
}

// social connections have a stand-in.
func (c *Connection) social() bool { return standInFor(c.Strategy) != nil }

// loginScopes are what Auth0 asks the provider for at a login: the scopes set on
// the dashboard, and those of the attributes it always or by option reads.
func (c *Connection) loginScopes() []string {
	all := slices.Concat(standInFor(c.Strategy).loginScopes(c), c.scopes())
	return intersect(all, all) // each once
}

// logsIn tells whether users may log in through it: unless it says otherwise.
func (c *Connection) logsIn() bool { return c.Authentication == nil || c.Authentication.Active }
