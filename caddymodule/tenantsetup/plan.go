package tenantsetup

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/auth0/go-auth0/management"
)

// Plan is what setup would do, and what it leaves to people.
type Plan struct {
	// Needs are those of the configuration, with the ids that applications have or
	// will get.
	Needs *Needs
	// Exists are the things that are as they should be.
	Exists []Finding
	// Changes run in this order.
	Changes []Change
	// ByHand is what the operator has to decide or do.
	ByHand []Finding
	// Adopted are existing applications that take the place of ids in the
	// configuration that the tenant does not know.
	Adopted []Variables

	api *api
}

// Ids that stand for what is yet to be created.
const (
	newExchange = "(id of the Custom API client)"
	newLink     = "(id of the link pages' application)"
)

func newAgent(id string) string { return "(id of the application for " + id + ")" }

// makePlan finds out which changes leave nothing wrong that setup can mend: it
// mends a copy of what was observed, one finding after the other, and checks
// again each time. So a plan is whole before anything is done, holds nothing that
// no check asks for, and is empty where doctor is content.
func makePlan(needs *Needs, o *observed) (*Plan, error) {
	if err := cmp.Or(o.management, o.clients.err, o.apis.err, o.grants.err); err != nil {
		return nil, fmt.Errorf(takesAll, err)
	}
	for _, name := range needs.connections() {
		c := o.connections[name]
		if c.err == nil && c.value != nil {
			c.err = c.value.enabled.err
		}
		if c.err != nil {
			return nil, fmt.Errorf(takesAll, c.err)
		}
	}
	if f := checkDiscovery(needs, o)[0]; f.Status != StatusOK {
		return nil, fmt.Errorf("there is no plan for another tenant: found %s, expected %s", f.Found, f.Expected)
	}
	n, before := needs.clone(), check(needs, o)
	plan := &Plan{Needs: n, Adopted: adopt(n, o)}
	o = o.clone()
	for range maxChanges {
		findings := check(n, o)
		at := slices.IndexFunc(findings, func(f Finding) bool { return f.change != nil && !f.byHand })
		if at < 0 {
			plan.sort(needs, before, findings)
			return plan, nil
		}
		change := *findings[at].change
		if err := o.simulate(n, &change); err != nil {
			return nil, fmt.Errorf("planning %s: %w", change.What, err)
		}
		plan.add(change)
	}
	return nil, errors.New("the plan does not end")
}

// takesAll: what is not seen is not planned for, so a plan without it would say that
// nothing is to be done there.
const takesAll = "a plan takes all of the tenant's settings: %w"

// maxChanges is far beyond what any configuration takes.
const maxChanges = 1000

// add puts a change at the end, or into an earlier one of the same object.
func (p *Plan) add(change Change) {
	for i := range p.Changes {
		if p.Changes[i].merge(change) {
			return
		}
	}
	p.Changes = append(p.Changes, change)
}

// sort tells what is there from what people have to do.
func (p *Plan) sort(needs *Needs, before, after []Finding) {
	for _, f := range after {
		was := slices.IndexFunc(before, func(b Finding) bool { return b.Check == f.Check && b.Subject == f.Subject })
		switch {
		case f.Check == "client.secret" && p.Needs.Exchange.ID != needs.Exchange.ID,
			f.Check == "link.secret" && p.Needs.Link.Client.ID != needs.Link.Client.ID:
			// The configuration cannot have it yet.
		case f.Status == StatusWrong:
			p.ByHand = append(p.ByHand, f)
		case f.Status == StatusOK && was >= 0 && before[was].Status == StatusOK:
			p.Exists = append(p.Exists, f)
		}
	}
}

// adopt takes applications that are there already in place of ids that the
// tenant does not know, so that a run whose ids nobody copied makes no second
// ones: the API's own Custom API client, a web application with our callback, an
// agent's by its name, none of them twice. A third-party application is nobody's of ours: where a tenant
// has dynamic client registration, anybody may have made it, and has its secret.
func adopt(n *Needs, o *observed) (adopted []Variables) {
	take := func(id *string, v Variables, fits func(*management.Client) bool) {
		if o.clients.value[*id] != nil {
			return
		}
		if found := o.applicationFor(n, fits); found != "" {
			*id, v.ID = found, found
			adopted = append(adopted, v)
		}
	}
	take(&n.Exchange.ID, n.Exchange.variables(), n.isExchange)
	if n.Link != nil {
		take(&n.Link.Client.ID, n.Link.Client.variables(), n.Link.fits)
	}
	for i, agent := range n.Agents {
		if n.CreateAgents {
			take(&n.Agents[i].ID, agent.variables(), agent.fits)
		}
	}
	return adopted
}

// applicationFor finds an application of ours that fits and that the configuration
// does not have; empty if there is none.
func (o *observed) applicationFor(n *Needs, fits func(*management.Client) bool) string {
	for _, id := range slices.Sorted(maps.Keys(o.clients.value)) {
		if c := o.clients.value[id]; c.GetIsFirstParty() && fits(c) && !n.names(id) {
			return id
		}
	}
	return ""
}

// fits tells whether c is an application that the pages may use.
func (l *Link) fits(c *management.Client) bool {
	return isWeb(c) && slices.Contains(c.GetCallbacks(), l.Callback)
}

// fits tells whether c is what setup makes for the agent.
func (a Agent) fits(c *management.Client) bool {
	return c.GetAppType() == "native" && c.GetName() == a.Name
}

// names tells whether an application is one of the configuration's already.
func (n *Needs) names(id string) bool {
	return id == n.Exchange.ID || n.Link != nil && id == n.Link.Client.ID ||
		slices.ContainsFunc(n.Agents, func(a Agent) bool { return a.ID == id })
}

// clone copies what planning changes.
func (n *Needs) clone() *Needs {
	copied := *n
	copied.Agents = slices.Clone(n.Agents)
	if n.Link != nil {
		link := *n.Link
		copied.Link = &link
	}
	return &copied
}

func (o *observed) clone() *observed {
	copied := *o
	copied.clients.value = maps.Clone(o.clients.value)
	copied.apis.value = maps.Clone(o.apis.value)
	copied.grants.value = slices.Clone(o.grants.value)
	copied.connections = make(map[string]seen[*connection], len(o.connections))
	for name, c := range o.connections {
		if c.value != nil {
			c.value = c.value.clone()
		}
		copied.connections[name] = c
	}
	return &copied
}
