package tenantsetup

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/auth0/go-auth0/management"
)

// simulate does to what was observed what a change does to the tenant.
func (o *observed) simulate(n *Needs, change *Change) error {
	body, err := json.Marshal(change.Body)
	if err != nil {
		return err
	}
	switch kind := change.Path[0]; {
	case kind == "resource-servers" && change.creates():
		rs := &management.ResourceServer{ID: new("(new)")}
		if err := json.Unmarshal(body, rs); err != nil {
			return err
		}
		if rs.GetIdentifier() == n.myAccount() { // Auth0's policy for this API
			policy := "require_client_grant"
			rs.SubjectTypeAuthorization = &management.ResourceServerSubjectTypeAuthorization{
				User: &management.ResourceServerSubjectTypeAuthorizationUser{Policy: &policy},
			}
		}
		o.apis.value[rs.GetIdentifier()] = rs
		return nil
	case kind == "resource-servers":
		return patchIn(o.apis.value, change.Path[1], (*management.ResourceServer).GetID, body)
	case kind == "clients" && change.creates():
		client := &management.Client{ClientID: &change.as, IsFirstParty: new(true)} // Auth0's default
		o.clients.value[change.as] = client
		n.rename(change.as)
		err := json.Unmarshal(body, client)
		if client.GetAppType() == "resource_server" {
			client.OIDCConformant = new(true) // likewise
		}
		return err
	case kind == "clients":
		return patchIn(o.clients.value, change.Path[1], (*management.Client).GetClientID, body)
	case kind == "client-grants":
		return o.simulateGrant(change, body)
	case kind == "connections":
		return o.simulateConnection(change, body)
	}
	return fmt.Errorf("unexpected path %q", change.Path)
}

// rename puts the id of what is to be created where the configuration has one
// that the tenant does not know.
func (n *Needs) rename(id string) {
	switch id {
	case newExchange:
		n.Exchange.ID = id
	case newLink:
		n.Link.Client.ID = id
	}
	for i := range n.Agents {
		if newAgent(n.Agents[i].ID) == id {
			n.Agents[i].ID = id
		}
	}
}

// patchIn puts a changed copy in the place of one of the objects.
func patchIn[T any](objects map[string]*T, id string, idOf func(*T) string, body []byte) error {
	for key, object := range objects {
		if idOf(object) == id {
			changed, err := patched(object, body)
			objects[key] = changed
			return err
		}
	}
	return fmt.Errorf("nothing has the id %s", id)
}

// patched is a copy of an object with what PATCH sends in place of its members.
func patched[T any](object *T, body []byte) (*T, error) {
	members, copied := make(map[string]json.RawMessage), new(T)
	whole, err := json.Marshal(object)
	for _, data := range [][]byte{whole, body} {
		err = errors.Join(err, json.Unmarshal(data, &members))
	}
	whole, _ = json.Marshal(members) // raw messages that were just read
	return copied, errors.Join(err, json.Unmarshal(whole, copied))
}

func (o *observed) simulateGrant(change *Change, body []byte) error {
	if change.creates() {
		grant := &management.ClientGrant{ID: new("(new)")}
		o.grants.value = append(o.grants.value, grant)
		return json.Unmarshal(body, grant)
	}
	for i, grant := range o.grants.value {
		if grant.GetID() == change.Path[1] {
			changed, err := patched(grant, body)
			o.grants.value[i] = changed
			return err
		}
	}
	return fmt.Errorf("no client grant has the id %s", change.Path[1])
}

func (o *observed) simulateConnection(change *Change, body []byte) error {
	for _, c := range o.connections {
		if c.value == nil || c.value.ID != change.Path[1] {
			continue
		}
		if len(change.Path) == 2 {
			return json.Unmarshal(body, c.value)
		}
		var clients []management.ConnectionEnabledClient
		if err := json.Unmarshal(body, &clients); err != nil {
			return err
		}
		for _, client := range clients {
			c.value.enabled.value[client.GetClientID()] = client.GetStatus()
		}
		return nil
	}
	return fmt.Errorf("no connection has the id %s", change.Path[1])
}
