package tenantsetup

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// checks run in this order; each is about one concern. What cannot be judged
// because something else is missing says nothing: that says it.
var checks = []func(*Needs, *observed) []Finding{
	checkDiscovery, checkKeys, checkClock, checkManagement, checkAPI, checkExchange, checkLink,
	checkLinking, checkMyAccount, checkConnections, checkAgents, checkMFA, checkRegistration, checkUser,
}

// check returns what all checks have to say.
func check(n *Needs, o *observed) (findings []Finding) {
	for _, one := range checks {
		findings = append(findings, one(n, o)...)
	}
	return findings
}

// unseenAll says of several checks that they could not look.
func unseenAll(err error, ids ...string) (findings []Finding) {
	for _, id := range ids {
		findings = append(findings, unseen(id, err))
	}
	return findings
}

func checkDiscovery(n *Needs, o *observed) []Finding {
	const id, where = "discovery", "Settings > Custom Domains, or the tenant's name at the top; then domain in the configuration"
	issuer := o.public.issuer
	switch {
	case issuer.err != nil:
		return []Finding{wrong(id, "no discovery document: "+issuer.err.Error(), "an Auth0 tenant at "+n.Issuer, where)}
	case issuer.value != n.Issuer:
		return []Finding{wrong(id, "issuer "+issuer.value, "domain "+issuer.value+", instead of "+n.Issuer, where)}
	}
	return []Finding{fine(id, "issuer "+issuer.value)}
}

func checkKeys(n *Needs, o *observed) []Finding {
	const id, where = "keys", "Settings > Signing Keys"
	if o.public.issuer.err != nil {
		return nil
	}
	keys := o.public.algorithms
	if keys.err != nil {
		return []Finding{wrong(id, "no keys: "+keys.err.Error(), "signing keys at "+n.Issuer+".well-known/jwks.json", where)}
	}
	wanted := n.Algorithms
	if rs := o.apis.value[n.Audience]; rs != nil {
		wanted = []string{rs.GetSigningAlgorithm()} // whether that is configured is api.signing_alg
		if !slices.Contains(n.Algorithms, wanted[0]) {
			return nil
		}
	}
	for _, alg := range wanted {
		if keys.value[alg] {
			return []Finding{fine(id, "a signing key for "+alg)}
		}
	}
	return []Finding{wrong(id, "no signing key for "+strings.Join(wanted, ", "), "algorithms that the tenant has keys for", where+"; or algorithms in the configuration")}
}

// maxSkew is how far the tenant's clock may be from ours: package vault takes
// tokens from 5 seconds in the future, and expired ones never. What is measured is
// off by half a second and the time that an answer takes.
const maxSkew = 5 * time.Second

func checkClock(_ *Needs, o *observed) []Finding {
	const id = "clock"
	if !o.public.hasDate {
		return nil
	}
	ahead := o.public.ahead.Round(time.Second)
	if ahead.Abs() <= maxSkew {
		return []Finding{fine(id, fmt.Sprintf("this machine's clock is within %d seconds of the tenant's", int(maxSkew.Seconds())))}
	}
	side := "behind"
	if ahead < 0 {
		side = "ahead of"
	}
	f := wrong(id, fmt.Sprintf("this machine's clock is %s %s the tenant's", ahead.Abs(), side),
		"the right time: tokens are refused as issued in the future, or as expired", "this machine: let NTP set its clock")
	return []Finding{f}
}

const managementWhere = "Applications > APIs > Auth0 Management API > Machine to Machine Applications"

func checkManagement(n *Needs, o *observed) []Finding {
	if o.management != nil {
		if n.Management.ID == "" {
			return nil // every check that it takes says so
		}
		return []Finding{wrong("management.credentials", o.management.Error(),
			"the id and secret of a machine-to-machine application that may use the Management API", managementWhere)}
	}
	findings := []Finding{fine("management.credentials", n.Management.ID+" may use the Management API")}
	if missing := o.lacks(n.readScopes()...); missing != nil {
		findings = append(findings, unseen("management.scopes", fmt.Errorf("%s lacks %s", n.Management.ID, strings.Join(missing, " "))))
	}
	return findings
}

func checkMFA(_ *Needs, o *observed) []Finding {
	const id = "tenant.mfa_policy"
	switch {
	case o.management != nil:
		return unseenAll(o.management, id)
	case o.mfa.err != nil:
		return unseenAll(o.mfa.err, id)
	case slices.Contains(o.mfa.value, "all-applications"):
		return []Finding{wrong(id, `the policy "Always require MFA" breaks every exchange`,
			"Never, and an Action that asks for a second factor at login", "Security > Multi-factor Auth > Define policies").
			mendedByHand(Change{What: "the tenant's MFA policy", Method: "PUT", Path: []string{"guardian", "policies"}, Body: []string{}})}
	}
	return []Finding{fine(id, "MFA is not required always")}
}

func checkRegistration(n *Needs, o *observed) []Finding {
	const id = "tenant.dynamic_registration"
	switch {
	case !n.AnyAgent:
		return nil // who registers is let through nowhere
	case o.management != nil:
		return unseenAll(o.management, id)
	case o.registration.err != nil:
		return unseenAll(o.registration.err, id)
	case o.registration.value:
		return []Finding{wrong(id, "dynamic client registration is on: with allow_clients * anybody on the internet can make an agent",
			"dynamic registration off, or allow_clients that names the agents", "Settings > Advanced > OIDC Dynamic Application Registration").
			mendedByHand(Change{
				What: "the tenant's settings", Method: "PATCH", Path: []string{"tenants", "settings"},
				Body: map[string]any{"flags": map[string]any{"enable_dynamic_client_registration": false}},
			})}
	}
	return []Finding{fine(id, "nobody registers clients by themselves")}
}

func either[T any](cond bool, yes, no T) T {
	if cond {
		return yes
	}
	return no
}

func orNone(s string) string { return either(s == "", "none", s) }

func list(values []string) string { return orNone(strings.Join(values, " ")) }
