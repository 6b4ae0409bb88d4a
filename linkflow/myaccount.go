package linkflow

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"regexp"

	josejson "github.com/go-jose/go-jose/v4/json"
	"golang.org/x/oauth2"

	"github.com/tokenvault/caddy-token-vault/vault"
)

// maxPages bounds how many pages of accounts are read, 20 accounts each: nobody
// has so many at one connection, and an answer that points to itself must end.
const maxPages = 25

// myAccount speaks for one user to Connected Accounts of Auth0's My Account API.
type myAccount struct {
	call    func(*http.Request) (*vault.Response, error)
	base    string
	token   string
	secrets []string // which no error may repeat
}

func (f *Flow) myAccount(token string, secrets ...string) *myAccount {
	return &myAccount{
		call:    f.vault.Call,
		base:    f.vault.Issuer() + "me/v1/connected-accounts/",
		token:   token,
		secrets: append(secrets, token),
	}
}

// connectedAccount is an account in an answer. Auth0 tells
// nobody whose it is at the provider.
type connectedAccount struct {
	ID         string   `json:"id"`
	Connection string   `json:"connection"`
	OrgID      string   `json:"org_id"`
	Scopes     []string `json:"scopes"` // nil: unknown
	CreatedAt  string   `json:"created_at"`
	ExpiresAt  string   `json:"expires_at"`
}

// accountPattern is wider than what Auth0 documents, cac_ and letters and digits.
var accountPattern = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// accounts lists the user's accounts, outside of organizations and in orgID: all
// of them, or those at one connection.
func (a *myAccount) accounts(ctx context.Context, connection, orgID string) ([]connectedAccount, error) {
	var all []connectedAccount
	query := url.Values{"take": {"20"}}
	if connection != "" {
		query.Set("connection", connection)
	}
	for range maxPages {
		var page struct {
			Accounts []connectedAccount `json:"accounts"`
			Next     string             `json:"next"`
		}
		if err := a.do(ctx, http.MethodGet, "accounts?"+query.Encode(), nil, &page); err != nil {
			return nil, err
		}
		for _, account := range page.Accounts {
			if !accountPattern.MatchString(account.ID) {
				return nil, errors.New("the list of connected accounts has an id that is none")
			}
			account.Scopes = vault.GrantedScopes(account.Scopes...)
			if (connection == "" || account.Connection == connection) && (account.OrgID == "" || account.OrgID == orgID) {
				all = append(all, account)
			}
		}
		if page.Next == "" {
			return all, nil
		}
		query.Set("from", page.Next)
	}
	return nil, errors.New("the list of connected accounts does not end")
}

// disconnect removes an account. The vault forgets its tokens.
func (a *myAccount) disconnect(ctx context.Context, id string) error {
	return a.do(ctx, http.MethodDelete, "accounts/"+url.PathEscape(id), nil, nil)
}

// connectRequest is the body of POST connect. An empty list of scopes would be
// refused, and empty parameters are left out as well.
type connectRequest struct {
	Connection          string            `json:"connection"`
	RedirectURI         string            `json:"redirect_uri"`
	State               string            `json:"state"`
	CodeChallenge       string            `json:"code_challenge"`
	CodeChallengeMethod string            `json:"code_challenge_method"`
	Scopes              []string          `json:"scopes,omitempty"`
	AuthorizationParams map[string]string `json:"authorization_params,omitempty"`
}

// newConnectRequest asks for the connection of s's ticket. The provider is told
// how to ask, and which account is meant, if the ticket says so.
func newConnectRequest(redirectURI string, s *flowState, scopes []string, prompt string) connectRequest {
	req := connectRequest{
		Connection:          s.Ticket.Connection,
		RedirectURI:         redirectURI,
		State:               s.State,
		CodeChallenge:       oauth2.S256ChallengeFromVerifier(s.Verifier),
		CodeChallengeMethod: "S256",
		Scopes:              scopes,
		AuthorizationParams: map[string]string{"prompt": prompt, "login_hint": s.Ticket.LoginHint},
	}
	maps.DeleteFunc(req.AuthorizationParams, func(_, value string) bool { return value == "" })
	return req
}

// connectAnswer is the answer of POST connect.
type connectAnswer struct {
	AuthSession   string `json:"auth_session"`
	ConnectURI    string `json:"connect_uri"`
	ConnectParams struct {
		Ticket string `json:"ticket"`
	} `json:"connect_params"`
	ExpiresIn int64 `json:"expires_in"`
}

func (a *myAccount) connect(ctx context.Context, req connectRequest) (*connectAnswer, error) {
	a.secrets = append(a.secrets, req.State)
	var answer connectAnswer
	if err := a.do(ctx, http.MethodPost, "connect", req, &answer); err != nil {
		return nil, err
	}
	if answer.AuthSession == "" || answer.ConnectParams.Ticket == "" || answer.ExpiresIn < 1 {
		return nil, errors.New("the answer to connect lacks auth_session, ticket or expires_in")
	}
	return &answer, nil
}

// completeRequest is the body of POST complete.
type completeRequest struct {
	AuthSession  string `json:"auth_session"`
	ConnectCode  string `json:"connect_code"`
	RedirectURI  string `json:"redirect_uri"`
	CodeVerifier string `json:"code_verifier"`
}

// complete connects the account and returns it.
func (a *myAccount) complete(ctx context.Context, req completeRequest) (connectedAccount, error) {
	a.secrets = append(a.secrets, req.ConnectCode)
	var answer connectedAccount
	err := a.do(ctx, http.MethodPost, "complete", req, &answer)
	answer.Scopes = vault.GrantedScopes(answer.Scopes...)
	return answer, err
}

// do sends one request and reads its answer strictly: member names in exact
// case, none twice. Auth0's documents differ on whether success is 200 or 201.
func (a *myAccount) do(ctx context.Context, method, path string, body, answer any) error {
	text := []byte{}
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return err
		}
	}
	req, err := http.NewRequestWithContext(ctx, method, a.base+path, bytes.NewReader(text))
	if err != nil {
		return withoutURL(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	got, err := a.call(req)
	if err != nil {
		return err
	}
	if got.Status != http.StatusOK && got.Status != http.StatusCreated && got.Status != http.StatusNoContent {
		return a.refusal(got)
	}
	if answer == nil {
		return nil
	}
	if err := josejson.Unmarshal(got.Body, answer); err != nil {
		return errors.New("the My Account API's answer is not the JSON it should be")
	}
	return nil
}

// refusal reads an error answer. Nothing of it is kept that repeats a secret.
func (a *myAccount) refusal(got *vault.Response) error {
	var e accountError
	if josejson.Unmarshal(got.Body, &e) != nil || vault.RepeatsSecret(e.Error(), a.secrets...) {
		e = accountError{}
	}
	e.Status = got.Status
	return &e
}
