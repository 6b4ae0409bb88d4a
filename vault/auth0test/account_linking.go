package auth0test

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// AccountLinking is the name of the built-in Action for client-initiated account
// linking: what Auth0 published for it in March 2025, written anew from its
// facts, with its faults.
//
// A client asks at /authorize with scope link_account, id_token_hint and
// requested_connection, and optionally requested_connection_scope. The person
// logs in a second time, through that connection, as a client of the Action's
// own; that account then becomes an identity of the first one. The scope
// unlink_account, which only an older version of the Action had, takes the
// identity of requested_connection away again.
//
// Secrets: AUTH0_CLIENT_ID and AUTH0_CLIENT_SECRET of that client, whose
// callback is {tenant}/continue; ACTION_SECRET; ALLOWED_CLIENT_IDS, separated by
// commas and nothing else. ENFORCE_MFA, ENFORCE_EMAIL_VERIFICATION and
// PIN_IP_ADDRESS, "yes" or "no", may be configuration or secrets. AUTH0_DOMAIN is
// no secret that the instructions name, but nothing is linked without it.
//
// The faults: PIN_IP_ADDRESS counts even when it is "no"; without
// requested_connection any account may be linked; nothing compares the
// connection or the e-mail address of the second login; there is no nonce; the
// scope that the instructions give the Action's client, create:users, does not
// link; a client outside ALLOWED_CLIENT_IDS is logged in without a word; an
// unlinking does not look who logged in again.
const AccountLinking = "account-linking"

// AddAccountLinking gives a configuration the Action [AccountLinking], and the
// client account-linking that it needs: enabled for every connection, with
// update:users. AUTH0_DOMAIN is set.
func (cfg *Config) AddAccountLinking() {
	const id, secret = "account-linking", "account-linking-secret"
	cfg.Clients = append(cfg.Clients, Client{
		ClientID: id, ClientSecret: secret, Name: "Account linking", AppType: "regular_web", OIDCConformant: new(true),
		GrantTypes: []string{grantCode, grantClientCredentials}, Callbacks: []string{"{tenant}/continue"},
	})
	cfg.ClientGrants = append(cfg.ClientGrants, ClientGrant{
		ClientID: id, Audience: "{tenant}/api/v2/", Scope: []string{"update:users"}, SubjectType: "client",
	})
	for i := range cfg.Connections {
		cfg.Connections[i].EnabledClients = append(slices.Clone(cfg.Connections[i].EnabledClients), id)
	}
	cfg.Actions = append(cfg.Actions, Action{Name: AccountLinking, Secrets: map[string]string{
		"AUTH0_CLIENT_ID": id, "AUTH0_CLIENT_SECRET": secret, "AUTH0_DOMAIN": "{tenant}",
		"ACTION_SECRET": "a-secret-of-the-action-alone",
	}})
}

// The reasons with which the Action denies.
const (
	denyHint     = "ID_TOKEN_HINT Invalid: The `id_token_hint` does not conform to the authorization policy"
	denyMFA      = "You must perform MFA for account linking"
	denyEmail    = "Email Verification is required for account linking"
	denyStart    = "Unexpected Error trying to start account linking"
	denyComplete = "Failed to complete account linking"
	denyUsers    = "Failed to link users"
	denyLinking  = "error linking"
)

// hintMaxAge is how old an id_token_hint may be.
const hintMaxAge = 10 * time.Minute

// accountLinking is the built-in Action.
type accountLinking struct{ tenant *Tenant }

// execute starts an account linking, or guards its nested login.
func (l accountLinking) execute(e *PostLoginEvent, api *PostLoginAPI) {
	normalizeConfiguration(e)
	if err := l.start(e, api); err != nil {
		api.Deny(denyStart)
	}
}

func (l accountLinking) start(e *PostLoginEvent, api *PostLoginAPI) error {
	switch {
	case requested(e, "unlink_account"):
		return l.startUnlinking(e, api)
	case requested(e, "link_account"):
		return l.startLinking(e, api)
	case e.Client.ClientID == e.Secrets["AUTH0_CLIENT_ID"] && e.Configuration["ENFORCE_MFA"] == "yes" &&
		len(e.User.EnrolledFactors) > 0: // the nested login
		factors := slices.Clone(e.User.EnrolledFactors)
		for i, f := range factors {
			if f == "sms" {
				factors[i] = "phone"
			}
		}
		api.ChallengeWithAny(factors...)
	}
	return nil
}

// normalizeConfiguration fills the configuration from the secrets and the defaults.
func normalizeConfiguration(e *PostLoginEvent) {
	if e.Configuration == nil {
		e.Configuration = map[string]string{}
	}
	for _, name := range []string{"ENFORCE_MFA", "ENFORCE_EMAIL_VERIFICATION", "PIN_IP_ADDRESS"} {
		value := e.Configuration[name]
		setDefault(&value, e.Secrets[name])
		setDefault(&value, "no")
		e.Configuration[name] = value
	}
}

// requested reports whether a client that may do so asks for something.
func requested(e *PostLoginEvent, scope string) bool {
	protocols := []string{"oidc-basic-profile", "oidc-implicit-profile", "oauth2-device-code", "oidc-hybrid-profile"}
	if !slices.Contains(protocols, e.Transaction.Protocol) || !slices.Contains(e.Transaction.RequestedScopes, scope) {
		return false
	}
	allowed, restricted := e.Secrets["ALLOWED_CLIENT_IDS"]
	return !restricted || slices.Contains(strings.Split(allowed, ","), e.Client.ClientID)
}

// startLinking checks what may be checked before the second login, and sends
// the person there.
func (l accountLinking) startLinking(e *PostLoginEvent, api *PostLoginAPI) error {
	did := func(m AuthenticationMethod) bool { return m.Name == "mfa" }
	switch {
	case l.checkHint(e) != nil:
		api.Deny(denyHint)
	case e.Configuration["ENFORCE_MFA"] == "yes" && len(e.User.EnrolledFactors) > 0 &&
		!slices.ContainsFunc(e.Authentication.Methods, did):
		api.Deny(denyMFA)
	case e.Configuration["ENFORCE_EMAIL_VERIFICATION"] == "yes" && e.User.Email != "" && !e.User.EmailVerified:
		api.Deny(denyEmail)
	default:
		verifier, err := l.verifier(e)
		if err != nil {
			return err
		}
		q := url.Values{
			"scope": {"openid profile email"}, "max_age": {"0"},
			"code_challenge": {challengeOf(verifier)}, "code_challenge_method": {"S256"},
		}
		optional(q, "connection", e.Request.Query.Get("requested_connection"))
		optional(q, "connection_scope", e.Request.Query.Get("requested_connection_scope"))
		return l.nest(e, api, q)
	}
	return nil
}

// nest sends the person into a login of the Action's own client.
func (l accountLinking) nest(e *PostLoginEvent, api *PostLoginAPI, q url.Values) error {
	id := e.Secrets["AUTH0_CLIENT_ID"]
	if id == "" {
		return errors.New("no secret AUTH0_CLIENT_ID")
	}
	q.Set("client_id", id)
	q.Set("response_type", "code")
	q.Set("redirect_uri", l.issuer(e)+"continue")
	api.SendUserTo(l.issuer(e)+"authorize", q)
	return nil
}

func optional(q url.Values, name, value string) {
	if value != "" {
		q.Set(name, value)
	}
}

// issuer is the tenant under the name by which the person reached it: a hint of
// another of its names does not count.
func (l accountLinking) issuer(e *PostLoginEvent) string {
	scheme, _, _ := strings.Cut(l.tenant.base, ":")
	return scheme + "://" + e.Request.Hostname + "/"
}

// checkHint: the hint must be a recent ID token of this client and this user.
func (l accountLinking) checkHint(e *PostLoginEvent) error {
	hint, err := jwt.ParseSigned(e.Request.Query.Get("id_token_hint"), []jose.SignatureAlgorithm{jose.RS256})
	if err != nil {
		return err
	}
	var claims jwt.Claims
	key := l.tenant.verificationKey(hint)
	if key == nil {
		return errors.New("no key of the tenant made the signature")
	}
	if err := hint.Claims(key, &claims); err != nil {
		return err
	}
	now := time.Unix(l.tenant.now(), 0)
	expected := jwt.Expected{
		Issuer: l.issuer(e), Subject: e.User.UserID, AnyAudience: jwt.Audience{e.Client.ClientID}, Time: now,
	}
	if err := claims.ValidateWithLeeway(expected, 0); err != nil {
		return err
	}
	if claims.IssuedAt == nil || now.Sub(claims.IssuedAt.Time()) > hintMaxAge {
		return fmt.Errorf("issued more than %v ago", hintMaxAge)
	}
	return nil
}
