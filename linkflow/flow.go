package linkflow

import (
	"context"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/linkflow/internal/outcome"
	"github.com/tokenvault/caddy-token-vault/vault"
)

// requestTime bounds the work for one request of a browser. It is several calls
// to Auth0 at most, and goes on when the browser leaves: an account that Auth0
// has connected must not go unrecorded.
const requestTime = 30 * time.Second

// Flow makes links, serves their pages, and tells what became of them. Make one
// with [New]. It is safe for concurrent use.
type Flow struct {
	vault       *vault.Client
	origin      string
	path        string
	secure      bool
	oauth       oauth2.Config
	returnTo    []string
	clientNames map[string]string
	via         Via
	url         string // the application's own page, with ViaURL
	linking     Linking
	machine     *machine // nil without one
	clientIP    func(*http.Request) string
	keepPrompt  bool
	name        string
	pages       *pageSet
	discovered  discovered
	offers      func(connection string) (scopes []string, ok bool)
	sealer      *sealer
	outcomes    *outcome.Board
	spent       spent
	kept        kept
	hook        func(context.Context, Event)
}

// New checks cfg and returns a Flow for it. It makes no network call and does
// not ask for keys.
func New(cfg Config) (*Flow, error) {
	if cfg.Path == "" {
		cfg.Path = DefaultPath
	}
	if cfg.Outcomes == nil {
		cfg.Outcomes = NewOutcomes()
	}
	if cfg.Offers == nil {
		cfg.Offers = func(string) ([]string, bool) { return nil, false }
	}
	if cfg.Via == "" {
		cfg.Via = ViaConnectedAccounts
	}
	if cfg.ClientIP == nil {
		cfg.ClientIP = remoteIP
	}
	if err := cfg.check(); err != nil {
		return nil, err
	}
	basic, err := vault.ParseAuthMethod(cfg.AuthMethod)
	if err != nil {
		return nil, err
	}
	pages, err := loadPages(cfg.Templates)
	if err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	return &Flow{
		vault:       cfg.Vault,
		origin:      cfg.Origin,
		path:        cfg.Path,
		secure:      strings.HasPrefix(cfg.Origin, "https:"),
		oauth:       oauthConfig(cfg, basic),
		returnTo:    cfg.ReturnTo,
		clientNames: cfg.ClientNames,
		via:         cfg.Via,
		url:         cfg.URL,
		linking:     cfg.Linking,
		machine:     newMachine(cfg),
		clientIP:    cfg.ClientIP,
		keepPrompt:  cfg.KeepPrompt,
		name:        cfg.Name,
		pages:       pages,
		offers:      cfg.Offers,
		sealer:      newSealer(cfg.Keys, cfg.Tenant, cfg.Origin),
		outcomes:    cfg.Outcomes.board,
		hook:        cfg.Hook,
	}, nil
}

// Close ends all waits in [Flow.Status] with the state that is known, also those
// in other Flows that share its Outcomes, for a process that exits. Pages go on
// being served.
func (f *Flow) Close() { f.outcomes.Close() }

// Route says what a path is to a Flow.
type Route int

// The routes of a Flow.
const (
	// RouteNone is not under the Flow's path, whatever its case.
	RouteNone Route = iota
	// RoutePage is under the Flow's path: ServeHTTP answers, be it with 404.
	RoutePage
	// RouteForm is a page that takes POSTs as well, whose answers tell where the
	// browser goes on to, with codes.
	RouteForm
	// RouteCallback is also for ServeHTTP, but its URLs carry codes, which
	// must appear in no log.
	RouteCallback
	// RouteStatus is for the agent, not for a browser: verify its access token
	// and answer from Status. Its URLs carry tickets.
	RouteStatus
)

// Route tells what the decoded path of a request is to f. What is a path of f only to
// those who ignore case, or clean paths, is nobody else's either: a page that is not
// there, or the callback, where the code would come along.
func (f *Flow) Route(requested string) Route {
	page, below := strings.CutPrefix(requested, f.path+"/")
	if below && page == "status" {
		return RouteStatus
	}
	if below && f.handlers(page)["POST"] != nil {
		return RouteForm
	}
	like, ours := strings.ToLower(path.Clean(requested)), strings.ToLower(f.path)
	switch {
	case like == ours+"/callback":
		return RouteCallback
	case below, like == ours, strings.HasPrefix(like, ours+"/"):
		return RoutePage
	}
	return RouteNone
}

// handler answers one kind of request.
type handler = func(*Flow, *http.Request) answer

// routes are the handlers by path below [Config.Path], and method. The callback
// has no HEAD: it redeems codes.
var routes = map[string]map[string]handler{
	"connect":   {"GET": (*Flow).showConnect, "HEAD": (*Flow).showConnect, "POST": (*Flow).postConnect},
	"callback":  {"GET": (*Flow).callback},
	"message":   {"GET": (*Flow).showSaid, "HEAD": (*Flow).showSaid},
	"confirm":   {"GET": (*Flow).showConfirm, "POST": (*Flow).postConfirm},
	"done":      {"GET": (*Flow).showDone, "HEAD": (*Flow).showDone},
	"accounts":  {"GET": (*Flow).showAccounts, "POST": (*Flow).postAccounts},
	linkRoute:   {"GET": (*Flow).showLink, "HEAD": (*Flow).showLink, "POST": (*Flow).postLink},
	unlinkRoute: {"GET": (*Flow).showUnlink, "POST": (*Flow).postUnlink},
	"style.css": {"GET": (*Flow).style, "HEAD": (*Flow).style},
	"icon.svg":  {"GET": (*Flow).icon, "HEAD": (*Flow).icon},
}

// handlers are those of a page, by method: nil if f has no such page. Where nobody
// signs in, there only is one to end on, and those about identities are there only
// where they can be linked.
func (f *Flow) handlers(page string) map[string]handler {
	switch {
	case f.oauth.ClientID == "" && !slices.Contains([]string{"done", styleFile, iconFile}, page),
		(page == linkRoute || page == unlinkRoute) && !f.via.Merges():
		return nil
	}
	return routes[page]
}

// ServeHTTP serves the pages for browsers. It answers 404 to the status path,
// which needs a verified caller: see [Flow.Status].
func (f *Flow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), requestTime)
	defer cancel()
	r = r.WithContext(vault.WithShare(ctx, addressShare(f.clientIP(r))))
	page, _ := strings.CutPrefix(r.URL.Path, f.path+"/")
	methods := f.handlers(page)
	if methods == nil {
		f.write(w, f.say(pageNotFound, nil, messagePage{}))
		return
	}
	handle, ok := methods[r.Method]
	if !ok {
		a := f.notAllowed(methods)
		if page == "callback" {
			a.body = nil // nothing is shown at its URL
		}
		f.write(w, a)
		return
	}
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	}
	a := f.makeRoom(r, handle(f, r))
	if a.fault != nil {
		f.tell(ctx, Event{Kind: Fault, Reason: "template", Err: a.fault})
	}
	f.write(w, a)
}
