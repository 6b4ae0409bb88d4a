package tenantsetup

import "cmp"

func checkAgents(n *Needs, o *observed) (findings []Finding) {
	if err := cmp.Or(o.management, o.clients.err); err != nil {
		if len(n.Agents) == 0 {
			return nil
		}
		return unseenAll(err, "agents.exist")
	}
	for _, agent := range n.Agents {
		client := o.clients.value[agent.ID]
		if client == nil {
			findings = append(findings, missingAgent(n, o, agent).about(agent.ID))
			continue
		}
		findings = append(findings, fine("agents.exist", "application "+client.GetName()).about(agent.ID))
		findings = append(findings, checkAgentGrant(n, o, agent.ID)...)
	}
	return findings
}

func missingAgent(n *Needs, o *observed, agent Agent) Finding {
	const id = "agents.exist"
	if other := o.applicationFor(n, agent.fits); other != "" {
		return wrong(id, "no application "+agent.ID, other+" in allow_clients: it has the agent's name", inConfiguration)
	}
	f := wrong(id, "no application "+agent.ID, "another id in allow_clients, or an application for the agent, which setup --create-agent makes", "Applications > Create Application")
	f = f.mendedBy(Change{What: "the agent's application", Method: "POST", Path: []string{"clients"}, as: newAgent(agent.ID), Body: map[string]any{
		// The one kind that needs to know no address of the agent's.
		"name": agent.Name, "app_type": "native", "grant_types": []string{grantDeviceCode, grantRefreshToken},
		"token_endpoint_auth_method": "none", "oidc_conformant": true, "jwt_configuration": map[string]any{"alg": "RS256"},
	}})
	f.byHand = !n.CreateAgents // more often a misspelt id than a wish
	return f
}

// checkAgentGrant: where the API's policy asks for it, each agent needs a grant.
func checkAgentGrant(n *Needs, o *observed, id string) []Finding {
	rs := o.apis.value[n.Audience]
	if rs == nil || userPolicy(rs) != "require_client_grant" {
		return nil
	}
	if o.grants.err != nil {
		return unseenAll(o.grants.err, "agents.grant")
	}
	return []Finding{checkGrant("agents", id, n.Permissions, o, rs).about(id)}
}
