package auth0test

import (
	"bytes"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// nestedMaxAge is how long before its end the nested login may have happened.
const nestedMaxAge = 60 * time.Second

// resume finishes what execute began, when the person is back from the nested
// login.
func (l accountLinking) resume(e *PostLoginEvent, api *PostLoginAPI) {
	normalizeConfiguration(e)
	switch {
	case requested(e, "unlink_account"):
		l.finishUnlinking(e, api)
	case requested(e, "link_account"):
		l.finishLinking(e, api)
	}
}

func (l accountLinking) finishLinking(e *PostLoginEvent, api *PostLoginAPI) {
	second, err := l.nestedLogin(e)
	if err != nil {
		api.Deny(denyComplete)
		return
	}
	if second.Subject == e.User.UserID {
		return // it is linked already
	}
	token, err := l.managementToken(e)
	if err != nil {
		api.Deny(denyUsers)
		return
	}
	provider, userID, _ := strings.Cut(second.Subject, "|")
	body := map[string]string{"provider": provider, "user_id": userID}
	if err := l.call(e, http.MethodPost, "api/v2/users/"+url.PathEscape(e.User.UserID)+"/identities", token, body, nil); err != nil {
		api.Deny(denyLinking)
	}
}

// nestedClaims are what the Action reads of the second ID token.
type nestedClaims struct {
	jwt.Claims
	AuthTime *jwt.NumericDate `json:"auth_time"`
	Nonce    string           `json:"nonce"`
}

// nestedLogin redeems the code of the nested login. An error of the login is in
// the query instead.
func (l accountLinking) nestedLogin(e *PostLoginEvent) (nestedClaims, error) {
	verifier, err := l.verifier(e)
	if err != nil {
		return nestedClaims{}, err
	}
	claims, err := l.redeem(e, map[string]string{"code_verifier": verifier})
	if err != nil {
		return nestedClaims{}, err
	}
	now := time.Unix(l.tenant.now(), 0)
	if claims.AuthTime == nil || now.Sub(claims.AuthTime.Time()) > nestedMaxAge {
		return nestedClaims{}, fmt.Errorf("the login was more than %v ago", nestedMaxAge)
	}
	return claims, nil
}

// redeem is the authorization_code grant for what came to /continue.
func (l accountLinking) redeem(e *PostLoginEvent, more map[string]string) (nestedClaims, error) {
	var claims nestedClaims
	code := e.Request.Query.Get("code")
	if e.Request.Query.Has("error") || code == "" {
		return claims, errors.New("the nested login gave no code")
	}
	form := map[string]string{
		"grant_type": grantCode, "code": code, "redirect_uri": l.issuer(e) + "continue",
		"client_id": e.Secrets["AUTH0_CLIENT_ID"], "client_secret": e.Secrets["AUTH0_CLIENT_SECRET"],
	}
	maps.Copy(form, more)
	var answer tokenResponse
	if err := l.call(e, http.MethodPost, "oauth/token", "", form, &answer); err != nil {
		return claims, err
	}
	id, err := jwt.ParseSigned(answer.IDToken, []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return claims, err
	}
	// It came from the token endpoint itself: that vouches for it.
	if err := id.UnsafeClaimsWithoutVerification(&claims); err != nil {
		return claims, err
	}
	expected := jwt.Expected{
		Issuer: l.issuer(e), AnyAudience: jwt.Audience{e.Secrets["AUTH0_CLIENT_ID"]}, Time: time.Unix(l.tenant.now(), 0),
	}
	return claims, claims.ValidateWithLeeway(expected, 0)
}

// managementToken is a token of the Action's client. The API's name is made of
// a secret that the instructions do not mention.
func (l accountLinking) managementToken(e *PostLoginEvent) (string, error) {
	scheme, _, _ := strings.Cut(l.tenant.base, ":")
	domain := strings.TrimPrefix(e.Secrets["AUTH0_DOMAIN"], scheme+"://") // "{tenant}" will do
	setDefault(&domain, "undefined")
	var answer tokenResponse
	err := l.call(e, http.MethodPost, "oauth/token", "", map[string]string{
		"grant_type": grantClientCredentials, "audience": scheme + "://" + domain + "/api/v2/",
		"client_id": e.Secrets["AUTH0_CLIENT_ID"], "client_secret": e.Secrets["AUTH0_CLIENT_SECRET"],
	}, &answer)
	return answer.AccessToken, err
}

// call is an HTTP request of the Action to the tenant.
func (l accountLinking) call(e *PostLoginEvent, method, path, token string, body, into any) error {
	data, err := json.Marshal(body)
	if err != nil {
		return err
	}
	req, err := http.NewRequest(method, l.issuer(e)+path, bytes.NewReader(data))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := (&http.Client{Transport: handlerTransport{l.tenant.handler}, Timeout: time.Minute}).Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s answered %d", method, path, resp.StatusCode)
	}
	if into == nil {
		return nil
	}
	return json.NewDecoder(resp.Body).Decode(into)
}

// verifier is the PKCE verifier of the nested login. Nothing keeps it between
// the two halves of the Action: it is made of the transaction again, and so ties
// them together. The address is among it whenever PIN_IP_ADDRESS is any text at
// all, "no" included.
func (l accountLinking) verifier(e *PostLoginEvent) (string, error) {
	secret := e.Secrets["ACTION_SECRET"]
	if secret == "" {
		return "", errors.New("no secret ACTION_SECRET")
	}
	tuple := []any{
		e.User.UserID, e.Transaction.Protocol, e.Transaction.RequestedScopes, e.Transaction.ResponseType,
		e.Transaction.RedirectURI, e.Transaction.State, e.Transaction.Locale, e.Session.ID,
	}
	if e.Configuration["PIN_IP_ADDRESS"] != "" {
		tuple = append(tuple, e.Request.IP)
	}
	info, err := json.Marshal(tuple)
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(info)
	key, err := hkdf.Key(sha256.New, sum[:], []byte(secret), string(info), 64)
	return base64.RawURLEncoding.EncodeToString(key), err
}
