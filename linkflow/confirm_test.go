package linkflow

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/tokenvault/caddy-token-vault/vault"
)

func TestConnectURIIsAPageOfTheTenant(t *testing.T) {
	const issuer = "https://tenant.example.com/"
	for uri, want := range map[string]string{
		"https://tenant.example.com/connect":           "https://tenant.example.com/connect?ticket=t%26x",
		"https://tenant.example.com/c?a=b":             "https://tenant.example.com/c?a=b&ticket=t%26x",
		"https://TENANT.example.com/c?ticket=old":      "https://TENANT.example.com/c?ticket=t%26x",
		"http://tenant.example.com/connect":            "",
		"https://evil.example.com/":                    "",
		"https://tenant.example.com:8443/":             "",
		"https://tenant.example.com@evil.example.com/": "",
		"https://u:p@tenant.example.com/":              "",
		"https://tenant.example.com/#x":                "",
		"https://tenant.example.com/?%zz":              "",
		"//tenant.example.com/":                        "",
		"/connect":                                     "",
		"javascript:alert(1)":                          "",
		"https://tenant.example.com/\x00":              "",
		"":                                             "",
	} {
		begun := &connectAnswer{ConnectURI: uri}
		begun.ConnectParams.Ticket = "t&x"
		got, err := connectURL(issuer, begun)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%q: %q, %v", uri, got, err)
		}
	}
}

func TestReasonsOfMyAccountFailures(t *testing.T) {
	for err, want := range map[error]string{
		context.DeadlineExceeded:                          "timeout",
		errors.New("x"):                                   "invalid_response",
		&vault.Error{Reason: "server_error"}:              "server_error",
		&accountError{Status: 409}:                        "my_account_409",
		error(fmt.Errorf("%w", &vault.Error{Reason: ""})): "",
	} {
		if no := auth0Refusal(err, pageAuth0Fails); no.reason != want {
			t.Errorf("%v: %q", err, no.reason)
		}
	}
}
