package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// proxy is one of the set-ups, running.
type proxy struct {
	*child
	address string // of the site
	admin   string // of Caddy's admin endpoint, or "off"
	config  string // a Caddyfile
}

// frame is the configuration around a site. No request is logged.
const frame = `{
	admin %s
	log {
		level ERROR
	}
	%s
}
http://%s {
	bind 127.0.0.1
	%s
}
`

// bareToken is what the bare proxy attaches: as long as what the module gets from
// the tenant of auth0test.
var bareToken = "Bearer ya29." + strings.Repeat("0", 40)

func bareSite(upstream string) string {
	return fmt.Sprintf("reverse_proxy %s {\n\t\theader_up Authorization %q\n\t}", upstream, bareToken)
}

func moduleSite(upstream string) string {
	return fmt.Sprintf("token_vault %s {\n\t\tscopes %s\n\t}\n\treverse_proxy %s", connection, calendar, upstream)
}

func sidecarSite(upstream, sidecar string) string {
	return fmt.Sprintf("forward_auth %s {\n\t\turi /\n\t\tcopy_headers Authorization\n\t}\n\treverse_proxy %s", sidecar, upstream)
}

// tenantBlock is the global option; lines are more of its words.
func (t *tenant) tenantBlock(lines ...string) string {
	return fmt.Sprintf(`token_vault {
		domain %s
		audience %s
		client %s {env.AUTH0_CLIENT_SECRET}
		allow_clients %s
		algorithms %s
		%s
	}`, t.url, audience, vaultID, agentID, t.algorithm, strings.Join(lines, "\n\t\t"))
}

// unlimited are the words for a tenant whose users all come at once: the
// default budget would let through a hundred of them a second.
const unlimited = "budget {\n user 1000000\n tenant 1000000\n }"

func (s *stage) startBare(ctx context.Context) (*proxy, error) {
	return s.startCaddy(ctx, "off", "", bareSite(s.upstream.address))
}

func (s *stage) startModule(ctx context.Context, t *tenant, lines ...string) (*proxy, error) {
	return s.startCaddy(ctx, "off", t.tenantBlock(lines...), moduleSite(s.upstream.address))
}

// startSidecar starts Caddy and, on the same core, what it asks.
func (s *stage) startSidecar(ctx context.Context, t *tenant) (*proxy, error) {
	config, err := json.Marshal(sidecarConfig{Domain: t.url, Algorithms: []string{t.algorithm}})
	if err != nil {
		return nil, err
	}
	sidecar, err := s.startChild(ctx, roleSidecar, string(config))
	if err != nil {
		return nil, err
	}
	return s.startCaddy(ctx, "off", "", sidecarSite(s.upstream.address, sidecar.service))
}

// startCaddy starts a Caddy with global options and the body of a site.
func (s *stage) startCaddy(ctx context.Context, admin, global, site string) (*proxy, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	return s.startCaddyAt(ctx, port, admin, global, site)
}

func (s *stage) startCaddyAt(ctx context.Context, port int, admin, global, site string) (p *proxy, err error) {
	p = &proxy{address: fmt.Sprintf("127.0.0.1:%d", port), admin: admin}
	p.config = fmt.Sprintf(frame, admin, global, p.address, site)
	p.child, err = s.startChild(ctx, roleCaddy, p.config)
	return p, err
}

// warm makes the first call, and checks that the right token comes through: a
// set-up that answers quickly because it does not work would be measured well.
func (s *stage) warm(p *proxy, token string) error {
	c := &conn{address: p.address}
	defer c.close()
	status, err := c.do(get(p.address, "/", token))
	if err != nil {
		return err
	}
	sent, _ := s.upstream.last.Load().(string)
	if status != http.StatusOK || !strings.HasPrefix(sent, "Bearer ya29.") {
		return fmt.Errorf("the first call was answered %d, and %.15q… reached the upstream", status, sent)
	}
	return nil
}

// get is a request as it goes over the wire, with four headers.
func get(address, path, token string) []byte {
	return fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nAccept: */*\r\nUser-Agent: agent/1.0\r\nX-Request-Id: 4bf92f3577b34da6\r\n\r\n",
		path, address, token)
}
