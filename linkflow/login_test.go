package linkflow

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault"
)

func TestErrorsOfTheTokenEndpointArePlain(t *testing.T) {
	body := []byte("secret-body")
	for _, c := range []struct {
		err    error
		reason string
		status int
	}{
		{&oauth2.RetrieveError{Response: &http.Response{StatusCode: 403}, Body: body, ErrorCode: "invalid_grant", ErrorDescription: "secret-body"}, "invalid_grant", 400},
		{&oauth2.RetrieveError{Response: &http.Response{StatusCode: 500}, Body: body}, "token_endpoint", 502},
		{&oauth2.RetrieveError{Response: &http.Response{StatusCode: 401}, Body: body, ErrorCode: "secret-body"}, "token_endpoint", 502},
		{&url.Error{Op: "Post", URL: "https://secret-body", Err: context.DeadlineExceeded}, "timeout", 502},
		{&url.Error{Op: "Post", URL: "https://secret-body", Err: errors.New("refused")}, "no_token", 502},
	} {
		err := tokenError("token_endpoint", c.err)
		no := loginRefusal(err)
		if no.reason != c.reason || no.page.status != c.status || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %+v", err, no)
		}
	}
	if no := loginRefusal(&vault.Error{Code: vault.CodeInvalidToken, Reason: "wrong_nonce"}); no.page.status != 400 {
		t.Errorf("another nonce: %+v", no)
	}
	if no := loginRefusal(context.Canceled); no.page.status != 502 {
		t.Errorf("a bare error: %+v", no)
	}
}
