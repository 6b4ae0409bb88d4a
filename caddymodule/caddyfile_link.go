package caddymodule

import (
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/tokenvault/caddy-token-vault/linkflow"
)

func (l *Link) unmarshal(d *caddyfile.Dispenser) error {
	err := parseBlock(d, words{
		"origin":      checked(&l.Origin, "an origin such as https://link.example.com", linkflow.CheckOrigin),
		"path":        checked(&l.Path, "a path such as /auth", linkflow.CheckPath),
		"client":      client(&l.Client),
		"via":         l.unmarshalVia,
		"return_to":   l.unmarshalReturnTo,
		"client_name": l.unmarshalClientName,
		"name":        scalar(&l.Name, "what the pages call your product"),
		"templates":   scalar(&l.Templates, "a directory"),
		"prompt":      choice(&l.Prompt, promptWords...),
		"key":         l.unmarshalKey,

		"require_mfa":            flag(&l.RequireMFA),
		"require_verified_email": flag(&l.RequireVerifiedEmail),
		"pin_ip":                 flag(&l.PinIP),
		"trust_email":            listOf(&l.TrustEmail, "connections whose word on e-mail addresses is believed"),
	})
	switch {
	case err != nil:
		return err
	case l.Origin == "":
		return d.Err("link: origin is required")
	case l.Client == nil && l.Via != viaURL:
		return d.Err("link: client is required")
	}
	return nil
}

// viaURL leads to a page of the operator's own.
const viaURL = string(linkflow.ViaURL)

// unmarshalVia parses how accounts are connected.
func (l *Link) unmarshalVia(d *caddyfile.Dispenser) error {
	const what = "connected_accounts, link_account, management, or url <template>"
	if l.Via != "" {
		return d.Err("via: given twice")
	}
	args := d.RemainingArgs()
	switch {
	case len(args) == 2 && args[0] == viaURL:
		if err := linkflow.CheckURL(args[1]); err != nil {
			return d.Errf("via url %q: %v; expected an https URL such as https://app.example.com/connect?connection={connection}", args[1], err)
		}
		l.URL = args[1]
	case len(args) == 1 && args[0] != viaURL && (linkflow.CheckVia(args[0]) == nil || hasPlaceholder(args[0])):
	default:
		return d.Errf("via: expected %s; got %q", what, strings.Join(args, " "))
	}
	l.Via = args[0]
	return nil
}

func (l *Link) unmarshalReturnTo(d *caddyfile.Dispenser) error {
	var origins []string
	if err := listOf(&origins, "origins such as https://app.example.com")(d); err != nil {
		return err
	}
	for _, origin := range origins {
		if err := linkflow.CheckOrigin(origin); err != nil && !hasPlaceholder(origin) {
			return d.Errf("return_to %q: %v; expected an origin such as https://app.example.com", origin, err)
		}
	}
	l.ReturnTo = append(l.ReturnTo, origins...)
	return nil
}

func (l *Link) unmarshalClientName(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.Errf("client_name: expected a client id and the agent's name, got %q", args)
	}
	if _, given := l.ClientName[args[0]]; given {
		return d.Errf("client_name: %q is named twice", args[0])
	}
	if l.ClientName == nil {
		l.ClientName = make(map[string]string)
	}
	l.ClientName[args[0]] = strings.Join(args[1:], " ")
	return nil
}

func (l *Link) unmarshalKey(d *caddyfile.Dispenser) error {
	const what = "keys of 32 bytes in base64"
	var keys []string
	if err := listOf(&keys, what)(d); err != nil {
		return err
	}
	for _, key := range keys {
		if _, err := decodeKey(key); err != nil && !hasPlaceholder(key) {
			return d.Errf("key: expected %s", what) // the key itself stays out of the error
		}
	}
	l.Key = append(l.Key, keys...)
	return nil
}
