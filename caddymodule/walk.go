package caddymodule

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
	"go.uber.org/zap"
)

// Start warns of sites that will not do what was meant. It has to wait until
// now for the HTTP app to be complete.
func (a *App) Start() error {
	app, err := a.ctx.AppIfConfigured("http")
	if err != nil {
		return nil // no HTTP app, no routes
	}
	served := make(map[*Tenant]bool)
	for name, server := range app.(*caddyhttp.App).Servers {
		logger := a.logger.With(zap.String("server", name))
		if err := warnOf(server, served, logger); err != nil {
			return err
		}
	}
	for _, tenant := range a.Tenants {
		if tenant.flow != nil && !served[tenant] {
			tenant.logger.Warn("no site here serves the link pages: links lead nowhere unless another Caddy has token_vault_link for this tenant")
		}
	}
	return nil
}

// warnOf warns of what is wrong on one server, and notes whose pages it serves.
func warnOf(server *caddyhttp.Server, served map[*Tenant]bool, logger *zap.Logger) error {
	var agents, pages []hosts
	exposed := make(map[*Handler]bool)
	err := walkServer(server, func(handler any, at place) {
		switch handler := handler.(type) {
		case *Handler:
			agents = append(agents, at.hosts)
		case *LinkHandler:
			pages = append(pages, at.hosts)
			served[handler.tenant] = true
		case *caddyhttp.Subroute:
			if at.behind != nil && handler.Errors != nil && !exposed[at.behind] {
				exposed[at.behind] = true
				logger.Warn("the errors of a subroute behind token_vault run on the request with the provider's token, and send it on where they have an upstream: put them around token_vault, or remove the header there",
					zap.String("connection", at.behind.Connection), zap.String("header", at.behind.tokenHeader))
			}
		}
	})
	if overlap(agents, pages) {
		logger.Warn("token_vault and token_vault_link share a site: what the upstreams answer can then act as the link pages' origin in a browser; give the pages a host of their own")
	}
	return err
}

// A walk goes to every handler that a request to a server can come to: in subroutes
// and their errors, in named routes that are invoked, in the server's errors, and in
// the routes that any other handler has in its configuration, such as handle_response.
// The configuration may have been provisioned or not.
type walk struct {
	server  *caddyhttp.Server
	visit   func(handler any, at place)
	invoked []string // the named routes that it is in
}

// place is what is known of the requests that come to a handler.
type place struct {
	hosts  hosts
	behind *Handler // a token_vault that they may have come through: they have its token
}

// walkServer visits the handlers of a server.
func walkServer(server *caddyhttp.Server, visit func(handler any, at place)) error {
	w := &walk{server: server, visit: visit}
	if _, err := w.routes(server.Routes, place{}); err != nil || server.Errors == nil {
		return err
	}
	_, err := w.routes(server.Errors.Routes, place{}) // which run on the request as it came
	return err
}

// routes visits the handlers of routes, and returns what follows them may be behind.
func (w *walk) routes(routes caddyhttp.RouteList, at place) (behind *Handler, err error) {
	groups := make(map[string]place) // what comes to the next route of a group: of each, one runs
	behind = at.behind
	for i := range routes {
		route := &routes[i]
		here, further := groups[route.Group]
		if route.Group == "" || !further {
			here = place{at.hosts, behind}
		}
		matched, whole, err := matchedHosts(route)
		if err != nil {
			return nil, err
		}
		after, err := w.handlers(route, place{here.hosts.and(matched), here.behind})
		if err != nil {
			return nil, err
		}
		if whole {
			here.hosts = here.hosts.without(matched)
		}
		groups[route.Group] = here
		switch {
		case !route.Terminal && after != nil:
			behind = after
		case route.Terminal && whole:
			at.hosts = at.hosts.without(matched)
		}
	}
	return behind, nil
}

// handlers visits those of one route, and returns what follows them may be behind.
func (w *walk) handlers(route *caddyhttp.Route, at place) (behind *Handler, err error) {
	handlers, err := handlersOf(route)
	if err != nil {
		return nil, err
	}
	for _, handler := range handlers {
		w.visit(handler, at)
		var next *Handler
		switch h := handler.(type) {
		case *Handler:
			next = h
		case *caddyhttp.Subroute:
			if next, err = w.routes(h.Routes, at); err == nil && h.Errors != nil {
				_, err = w.routes(h.Errors.Routes, at)
			}
		case *caddyhttp.Invoke:
			next, err = w.named(h.Name, at)
		default:
			next, err = w.other(handler, at)
		}
		if err != nil {
			return nil, err
		}
		at.behind = next
	}
	return at.behind, nil
}

// other visits the handlers in the configuration of one that is not known here, and
// returns what follows it may be behind. What follows a handler may follow the routes
// that it has, too: those of handle_response go on to it.
func (w *walk) other(handler any, at place) (behind *Handler, err error) {
	lists := routesIn(reflect.ValueOf(handler))
	if len(lists) == 0 && isLast(handler) {
		return nil, nil // nothing comes there
	}
	behind = at.behind
	for _, routes := range lists {
		after, err := w.routes(routes, at)
		if err != nil {
			return nil, err
		}
		behind = cmp.Or(after, behind)
	}
	return behind, nil
}

// named visits the handlers of a named route that is invoked.
func (w *walk) named(name string, at place) (behind *Handler, err error) {
	route := w.server.NamedRoutes[name]
	if route == nil || slices.Contains(w.invoked, name) {
		return at.behind, nil
	}
	w.invoked = append(w.invoked, name)
	defer func() { w.invoked = w.invoked[:len(w.invoked)-1] }()
	return w.routes(caddyhttp.RouteList{*route}, at)
}

// isLast tells whether a handler without routes never calls the next one.
func isLast(handler any) bool {
	module, ok := handler.(caddy.Module)
	return ok && slices.Contains([]caddy.ModuleID{
		"http.handlers.reverse_proxy", "http.handlers.static_response", "http.handlers.error",
	}, module.CaddyModule().ID)
}

// handlersOf returns the handlers of a route.
func handlersOf(route *caddyhttp.Route) (handlers []any, err error) {
	for _, handler := range route.Handlers {
		handlers = append(handlers, handler)
	}
	for _, raw := range route.HandlersRaw { // which are gone when they have been provisioned
		var named struct {
			Handler string `json:"handler"`
		}
		if err := json.Unmarshal(raw, &named); err != nil {
			return nil, err
		}
		info, err := caddy.GetModule("http.handlers." + named.Handler)
		if err != nil {
			return nil, err
		}
		handler := info.New()
		if err := json.Unmarshal(raw, handler); err != nil {
			return nil, fmt.Errorf("a %s handler: %w", named.Handler, err)
		}
		handlers = append(handlers, handler)
	}
	return handlers, nil
}

// routesIn finds the lists of routes in a handler's configuration.
func routesIn(v reflect.Value) (lists []caddyhttp.RouteList) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			return routesIn(v.Elem())
		}
	case reflect.Slice, reflect.Array:
		if routes, ok := reflect.TypeAssert[caddyhttp.RouteList](v); ok {
			return []caddyhttp.RouteList{routes}
		}
		for _, item := range v.Seq2() {
			lists = append(lists, routesIn(item)...)
		}
	case reflect.Map:
		for _, item := range v.Seq2() {
			lists = append(lists, routesIn(item)...)
		}
	case reflect.Struct:
		for field, value := range v.Fields() {
			name := field.Tag.Get("json") // what is made of the configuration has none, or "-"
			if field.IsExported() && name != "-" && (name != "" || field.Anonymous) {
				lists = append(lists, routesIn(value)...)
			}
		}
	}
	return lists
}

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
