package caddymodule

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

// hosts are the hosts of requests: in lower case, with `*` for any one label.
type hosts struct {
	named  []string // nil means any
	except []string
}

// and returns those that named names too; nil means any.
func (h hosts) and(named []string) hosts {
	switch {
	case named == nil:
	case h.named == nil:
		h.named = named
	default:
		both := []string{}
		for _, one := range h.named {
			for _, other := range named {
				if host, ok := commonHost(one, other); ok {
					both = append(both, host)
				}
			}
		}
		h.named = both
	}
	return h
}

// without returns those that named does not name.
func (h hosts) without(named []string) hosts {
	h.except = append(slices.Clip(h.except), named...)
	return h
}

// overlap tells whether both may be of one request.
func (h hosts) overlap(other hosts) bool {
	both := h.and(other.named)
	if both.named == nil {
		return true
	}
	except := slices.Concat(h.except, other.except)
	return slices.ContainsFunc(both.named, func(host string) bool {
		return !slices.ContainsFunc(except, func(pattern string) bool {
			common, ok := commonHost(host, pattern)
			return ok && common == host
		})
	})
}

// overlap tells whether one of each may be of one request.
func overlap(some, others []hosts) bool {
	return slices.ContainsFunc(some, func(h hosts) bool { return slices.ContainsFunc(others, h.overlap) })
}

// commonHost is what two names have in common.
func commonHost(a, b string) (string, bool) {
	labels, others := strings.Split(a, "."), strings.Split(b, ".")
	if len(labels) != len(others) {
		return "", false
	}
	for i, other := range others {
		switch {
		case labels[i] == "*":
			labels[i] = other
		case other != "*" && other != labels[i]:
			return "", false
		}
	}
	return strings.Join(labels, "."), true
}

// matchedHosts returns the hosts that a route is for, nil if that is not known; whole
// is whether it is for all requests to them.
func matchedHosts(route *caddyhttp.Route) (named []string, whole bool, err error) {
	whole = true
	sets, err := matchersOf(route)
	for _, set := range sets {
		match := set.host
		if match == nil || slices.ContainsFunc(match, func(host string) bool { return strings.Contains(host, "{") }) {
			return nil, false, err
		}
		for _, host := range match {
			named = append(named, strings.ToLower(host))
		}
		whole = whole && set.alone
	}
	return named, whole && err == nil, err
}

// hostMatcher is the host matcher of a set.
type hostMatcher struct {
	host  caddyhttp.MatchHost // nil without one
	alone bool
}

// matchersOf returns what the sets of a route's matchers say about hosts.
func matchersOf(route *caddyhttp.Route) (sets []hostMatcher, err error) {
	for _, set := range route.MatcherSets {
		one := hostMatcher{alone: len(set) == 1}
		for _, matcher := range set {
			if match, ok := matcher.(*caddyhttp.MatchHost); ok {
				one.host = *match
			}
		}
		sets = append(sets, one)
	}
	for _, set := range route.MatcherSetsRaw { // which are gone when they have been provisioned
		one := hostMatcher{alone: len(set) == 1}
		if raw, ok := set["host"]; ok {
			if err := json.Unmarshal(raw, &one.host); err != nil {
				return nil, err
			}
		}
		sets = append(sets, one)
	}
	return sets, nil
}
