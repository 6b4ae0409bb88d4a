package tenantsetup

import "github.com/tokenvault/caddy-token-vault/vault"

// Variables are the id and the secret of an application, with the environment
// variables that the configuration takes them from.
type Variables struct {
	// Agent is what an agent is called whose application it is; empty for ours.
	Agent string
	// IDVariable is empty where an agent's id is spelt out in the configuration.
	IDVariable, ID string
	// SecretVariable is empty where the proxy needs no secret.
	SecretVariable string
	// Secret is empty if it is not new, or Auth0 did not show it.
	Secret vault.Secret
}

// variables are those of the application that `as` stands for.
func (n *Needs) variables(as string) Variables {
	switch as {
	case newExchange:
		return n.Exchange.variables()
	case newLink:
		return n.Link.Client.variables()
	}
	for _, agent := range n.Agents {
		if agent.ID == as {
			return agent.variables()
		}
	}
	return Variables{}
}

func (c Client) variables() Variables {
	return Variables{IDVariable: c.IDVariable, SecretVariable: c.SecretVariable}
}

// variables: the proxy needs no secret of an agent's.
func (a Agent) variables() Variables { return Variables{Agent: a.Name, IDVariable: a.IDVariable} }
