package caddymodule

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"
)

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
			next = at.behind
			for _, routes := range routesIn(reflect.ValueOf(handler)) {
				if _, err = w.routes(routes, at); err != nil {
					break
				}
			}
		}
		if err != nil {
			return nil, err
		}
		if at.behind = next; isLast(handler) {
			at.behind = nil // nothing comes there
		}
	}
	return at.behind, nil
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

// isLast tells whether a handler never calls the next one.
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
