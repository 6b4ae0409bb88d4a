package caddymodule

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/tokenvault/caddy-token-vault/linkflow"
)

// viaURL leads to a page of the operator's own.
const viaURL = string(linkflow.ViaURL)

// checkLinking finds words that cannot work together, and says what to do.
func (t *Tenant) checkLinking() error {
	l := t.Link
	switch {
	case l == nil:
		return nil
	case l.Via != "" && linkflow.CheckVia(l.Via) != nil:
		return linkflow.CheckVia(l.Via)
	case l.Via == viaURL && l.URL == "":
		return errors.New("via url: the template of the URL is missing")
	case l.Via != viaURL && l.URL != "":
		return errors.New("url: only `via url` leads to a page of your own")
	case l.Via == viaURL:
		if err := linkflow.CheckURL(l.URL); err != nil {
			return fmt.Errorf("url %q: %w", l.URL, err)
		}
	}
	if words := l.policies(); len(words) > 0 && !linkflow.Via(l.Via).Links() {
		return fmt.Errorf("%s: only `via management` and `via link_account` link identities: choose one of them, or leave the word out", words[0])
	}
	if len(l.TrustEmail) > 0 && t.Management == nil {
		return errors.New("trust_email: finding users by their e-mail addresses needs the tenant's `management <id> <secret>`")
	}
	return nil
}

// policies are the words given about who may link what.
func (l *Link) policies() (words []string) {
	for _, policy := range []struct {
		word  string
		given bool
	}{
		{"require_mfa", l.RequireMFA},
		{"require_verified_email", l.RequireVerifiedEmail},
		{"pin_ip", l.PinIP},
		{"trust_email", len(l.TrustEmail) > 0},
	} {
		if policy.given {
			words = append(words, policy.word)
		}
	}
	return words
}

// check tells what is missing.
func (m *Management) check() error {
	switch {
	case m == nil:
		return nil
	case m.ID == "":
		return errors.New("management: id: required")
	case m.Secret == "":
		return errors.New("management: secret: required")
	}
	return nil
}

// clientIP is the address of whoever sent a request, as Caddy's trusted_proxies
// lets it be told.
func clientIP(r *http.Request) string {
	ip, _ := caddyhttp.GetVar(r.Context(), caddyhttp.ClientIPVarKey).(string)
	return ip
}
