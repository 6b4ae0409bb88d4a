package linkflow

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// DefaultPath is where the pages are unless [Config.Path] says otherwise. It is
// the path that Auth0's SDKs use.
const DefaultPath = "/auth"

// requestTime bounds the work for one request of a browser. It is several calls
// to Auth0 at most, and goes on when the browser leaves: an account that Auth0
// has connected must not go unrecorded.
const requestTime = 30 * time.Second

// Config describes the link pages of one tenant.
type Config struct {
	// Vault verifies tokens of the tenant and exchanges them. Required.
	Vault *vault.Client

	// Tenant is what the configuration calls the tenant. What is sealed for one
	// name opens under no other. Default: the empty name.
	Tenant string

	// Origin is the public origin of the pages, such as
	// "https://link.example.com". It is never taken from a request. http is
	// accepted for loopback hosts only. Required.
	Origin string

	// Path is the path under which the pages are. Default: DefaultPath.
	Path string

	// ClientID and ClientSecret belong to the regular web application that
	// people sign in to. Required.
	ClientID     string
	ClientSecret vault.Secret

	// AuthMethod is how that application authenticates: "client_secret_post"
	// (default) or "client_secret_basic".
	AuthMethod string

	// ReturnTo lists the origins that a finished flow may send the browser to,
	// written as browsers write them. Default: none.
	ReturnTo []string

	// ClientNames maps an agent's client ID to what the pages call it. An agent
	// that is not listed is called by its ID, marked as unverified.
	ClientNames map[string]string

	// Keys returns the keys of 32 bytes each that seal tickets and cookies: the
	// first seals, all open. It is called when first needed, may do I/O, and is
	// called again after a failure; success is remembered. Required.
	Keys func(context.Context) ([][]byte, error)

	// Outcomes remembers what became of tickets. Share one among the Flows of
	// successive configurations. Default: a new one.
	Outcomes *Outcomes

	// Hook is told of everything an operator wants to know, once for every
	// request that did something. It must be safe for concurrent use and
	// should return soon. Default: nobody is told.
	Hook func(context.Context, Event)
}

// StaticKeys returns a [Config.Keys] for keys that are known already.
func StaticKeys(keys ...[]byte) func(context.Context) ([][]byte, error) {
	return func(context.Context) ([][]byte, error) { return keys, nil }
}

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
	sealer      *sealer
	outcomes    *Outcomes
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
	if err := cfg.check(); err != nil {
		return nil, err
	}
	basic, err := vault.ParseAuthMethod(cfg.AuthMethod)
	if err != nil {
		return nil, err
	}
	return &Flow{
		vault:       cfg.Vault,
		origin:      cfg.Origin,
		path:        cfg.Path,
		secure:      strings.HasPrefix(cfg.Origin, "https:"),
		oauth:       oauthConfig(cfg, basic),
		returnTo:    cfg.ReturnTo,
		clientNames: cfg.ClientNames,
		sealer:      newSealer(cfg.Keys, cfg.Tenant, cfg.Origin),
		outcomes:    cfg.Outcomes,
		hook:        cfg.Hook,
	}, nil
}

var pathPattern = regexp.MustCompile(`^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$`)

func (cfg *Config) check() error {
	switch {
	case cfg.Vault == nil:
		return errors.New("vault: required")
	case cfg.ClientID == "":
		return errors.New("client id: required")
	case cfg.ClientSecret.Reveal() == "":
		return errors.New("client secret: required")
	case cfg.Keys == nil:
		return errors.New("keys: required")
	}
	if err := CheckPath(cfg.Path); err != nil {
		return fmt.Errorf("path: %w", err)
	}
	if err := CheckOrigin(cfg.Origin); err != nil {
		return fmt.Errorf("origin: %w", err)
	}
	for _, origin := range cfg.ReturnTo {
		if err := CheckOrigin(origin); err != nil {
			return fmt.Errorf("return to: %w", err)
		}
	}
	return nil
}

// CheckPath tells whether path is fit for [Config.Path].
func CheckPath(path string) error {
	if !pathPattern.MatchString(path) {
		return errors.New("not slashes and plain words in turn")
	}
	return nil
}

// CheckOrigin tells whether origin is fit for [Config.Origin] and
// [Config.ReturnTo]. It accepts an origin only as browsers write it (RFC 6454
// §6.1), since it is compared byte by byte.
func CheckOrigin(origin string) error {
	if origin == "" {
		return errors.New("required")
	}
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != origin || strings.ToLower(origin) != origin {
		return fmt.Errorf("%q is not an origin in lower case, such as https://link.example.com, with nothing after it", origin)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !vault.IsLoopback(u.Hostname())) {
		return fmt.Errorf("%q must be https; http is for loopback hosts only", origin)
	}
	if port := u.Port(); strings.HasSuffix(u.Host, ":") || u.Scheme == "https" && port == "443" || u.Scheme == "http" && port == "80" {
		return fmt.Errorf("%q: leave out the default port", origin)
	}
	return nil
}

// Close ends all waits in [Flow.Status] with the state that is known, also those
// in other Flows that share its Outcomes, for a process that exits. Pages go on
// being served.
func (f *Flow) Close() { f.outcomes.close() }

// Route says what a path is to a Flow.
type Route int

// The routes of a Flow.
const (
	// RouteNone is not under the Flow's path.
	RouteNone Route = iota
	// RoutePage is under the Flow's path: ServeHTTP answers, be it with 404.
	RoutePage
	// RouteCallback is also for ServeHTTP, but its URLs carry codes, which
	// must appear in no log.
	RouteCallback
	// RouteStatus is for the agent, not for a browser: verify its access token
	// and answer from Status. Its URLs carry tickets.
	RouteStatus
)

// Route tells what the decoded path of a request is to f.
func (f *Flow) Route(path string) Route {
	page, below := strings.CutPrefix(path, f.path+"/")
	switch {
	case !below && path != f.path:
		return RouteNone
	case page == "callback":
		return RouteCallback
	case page == "status":
		return RouteStatus
	}
	return RoutePage
}

// handler answers one kind of request.
type handler = func(*Flow, *http.Request) answer

// pages are the handlers by path below [Config.Path], and method. The callback
// has no HEAD: it redeems codes.
var pages = map[string]map[string]handler{
	"connect":   {"GET": (*Flow).showConnect, "HEAD": (*Flow).showConnect, "POST": (*Flow).postConnect},
	"callback":  {"GET": (*Flow).callback},
	"confirm":   {"POST": (*Flow).postConfirm},
	"style.css": {"GET": (*Flow).style, "HEAD": (*Flow).style},
	"icon.svg":  {"GET": (*Flow).icon, "HEAD": (*Flow).icon},
}

// ServeHTTP serves the pages for browsers. It answers 404 to the status path,
// which needs a verified caller: see [Flow.Status].
func (f *Flow) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), requestTime)
	defer cancel()
	r = r.WithContext(ctx)
	page, _ := strings.CutPrefix(r.URL.Path, f.path+"/")
	methods, ok := pages[page]
	if !ok {
		f.write(w, sayOnly(pageNotFound))
		return
	}
	handle, ok := methods[r.Method]
	if !ok {
		f.write(w, notAllowed(methods))
		return
	}
	if r.Method == http.MethodPost {
		r.Body = http.MaxBytesReader(w, r.Body, maxForm)
	}
	f.write(w, handle(f, r))
}
