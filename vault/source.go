package vault

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"golang.org/x/oauth2"
)

// TokenSource returns an oauth2.TokenSource for one caller and request. Every
// call of its Token goes through [Client.Token] with ctx.
func (c *Client) TokenSource(ctx context.Context, caller Caller, req Request) oauth2.TokenSource {
	return tokenSource{ctx, c, caller, req}
}

type tokenSource struct {
	ctx    context.Context
	client *Client
	caller Caller
	req    Request
}

func (s tokenSource) Token() (*oauth2.Token, error) {
	token, err := s.client.Token(s.ctx, s.caller, s.req)
	if err != nil {
		return nil, err
	}
	return token.OAuth2(), nil
}

// Transport is an http.RoundTripper that sends requests with the provider's
// token of one caller, and asks the vault again after the provider answered
// 401. Client, Caller, Request and Host are required.
type Transport struct {
	Client  *Client
	Caller  Caller
	Request Request

	// Host is the provider's host, with port if there is one, as in a URL. The
	// token goes nowhere else: a request to another host, as after a redirect,
	// or without TLS to any but a loopback host, fails.
	Host string

	// Base carries the requests. Default: http.DefaultTransport.
	Base http.RoundTripper
}

// RoundTrip implements http.RoundTripper. Where the vault gives no token the
// request is not sent, and the error is Client.Token's.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := t.roundTrip(req)
	if err != nil && resp == nil && req.Body != nil {
		_ = req.Body.Close() // as http.RoundTripper demands
	}
	return resp, err
}

func (t *Transport) roundTrip(req *http.Request) (*http.Response, error) {
	if req.URL.Host != t.Host {
		return nil, fmt.Errorf("vault: the token is for %s, not for %s", t.Host, req.URL.Host)
	}
	if req.URL.Scheme != "https" && !IsLoopback(req.URL.Hostname()) {
		return nil, errors.New("vault: the token does not travel without TLS")
	}
	token, err := t.Client.Token(req.Context(), t.Caller, t.Request)
	if err != nil {
		return nil, err
	}
	base := t.Base
	if base == nil {
		base = http.DefaultTransport
	}
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", token.Bearer())
	resp, err := base.RoundTrip(req)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		t.Client.Reject(token)
	}
	return resp, err
}
