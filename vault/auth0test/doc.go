// Package auth0test is an Auth0 tenant on loopback, with stand-ins for Google,
// GitHub, Microsoft and Slack, for tests, demos and your own tests. It does what Token Vault
// needs: logins, the token endpoint with the vault exchange, the My Account
// API's connected accounts, and the Management API as far as it is about them.
// What Auth0 refuses it refuses too, with Auth0's answers; it never bends a rule to
// let a client's test pass.
//
//	tenant := auth0test.NewServer(auth0test.Seeds())
//	defer tenant.Close()
//	tokens, err := tenant.IssueToken(auth0test.TokenRequest{User: "auth0|alice", ClientID: "demo-agent"})
//	err = tenant.Connect("auth0|alice", "google-oauth2", []string{"openid"}, "")
//
// [NewServer] listens on free ports, [Listen] on given ones; [NewTLSServer] and
// [ListenTLS] do over https, which Auth0's own SDKs insist on, and [Server.Client]
// trusts their certificate. [New] does not listen at all: its handlers work inside a
// testing/synctest bubble, and even there the tenant reaches its stand-ins. [Config]
// is plain data in the shapes of Auth0's Management API; [Seeds] is a complete one to
// start from, [ParseConfig] reads one from JSON.
//
// # Endpoints
//
// At the tenant: the two discovery documents, /.well-known/jwks.json,
// /authorize with its login and second-factor pages, /continue, /oauth/par when
// a setting turns it on, /oauth/token (authorization_code,
// refresh_token with rotation and multi-resource policies, client_credentials,
// and the Token Vault exchange for access tokens and refresh tokens),
// /oauth/revoke, /userinfo, /v2/logout, /oidc/logout, and below /me/v1/connected-accounts:
// connect, complete, accounts, connections. Everything else answers 404 as
// Auth0 does. There is no consent page of Auth0's own, no DPoP (a proof is refused), no
// mTLS and no private_key_jwt.
//
// Applications in browsers read the answers of /oauth/token, /oauth/revoke, /userinfo
// and both APIs from the origins of their callbacks, allowed_origins and web_origins, and
// the public documents from anywhere. /authorize also answers with response_mode
// form_post, and web_message, of which only web_origins hear. Over https the cookies
// reach frames of other sites.
//
// Below /api/v2, the Management API, for tokens with the audience
// "{tenant}/api/v2/". A machine gets one by a client grant; a user gets one
// with the scopes for the current user, good for that user's own record:
//
//	users                        list and search, create, read, update, delete
//	users-by-email
//	users/{id}/identities        link, unlink
//	users/{id}/connected-accounts, authentication-methods, enrollments
//	clients, client-grants, connections, resource-servers
//	                             list, create, read, update, delete
//	connections/{id}/clients     list, update
//	tenants/settings             read, update
//	guardian/policies            read, replace
//	guardian/factors             list
//
// What it changes is in [Tenant.Config]. A search understands email, username,
// user_id and identities.user_id, each as name:"value", joined by AND.
//
// At the stand-ins: consent page, token endpoint and a few API methods under
// the providers' real paths, erring in the providers' style:
//
//	Google     /o/oauth2/v2/auth  /token  /revoke  /oauth2/v3/userinfo
//	           /calendar/v3/calendars/primary/events (GET, POST)
//	           /calendar/v3/users/me/calendarList
//	GitHub     /login/oauth/authorize  /login/oauth/access_token
//	           /user  /user/emails  /user/repos
//	Microsoft  /common/oauth2/v2.0/authorize  /common/oauth2/v2.0/token
//	           /v1.0/me  /v1.0/me/messages  /v1.0/me/sendMail
//	Slack      /oauth/v2_user/authorize  /api/oauth.v2.user.access
//	           /api/auth.test  /api/conversations.list  /api/chat.postMessage
//	           /api/openid.connect.userInfo
//
// Google spells the scopes email and profile out and issues a refresh token
// only when the connection's options have offline_access. The real one does so
// only when it asks for consent too: the first time that an account grants these
// scopes to this client, after a revocation, or with prompt=consent; that is the
// setting google_refresh_token. The page is the same each time and shows the
// prompt. With prompt=none there is none, and the answer is interaction_required;
// GitHub takes no notice of that one. GitHub behaves as a
// GitHub App with expiring user tokens: comma-separated scopes, a refresh token
// always, good once.
//
// Microsoft (strategy windowslive) issues a refresh token for the scope
// offline_access, which no answer has; each refresh brings a new one. Its answers
// spell the scopes of Graph by the kind of account: User.Read for a personal one,
// https://graph.microsoft.com/User.Read for one of an organization, whose id is a
// GUID. Slack (strategy oauth2: it is a custom social connection, which Auth0 calls
// sign-in-with-slack) is an app with token rotation: comma-separated scopes, a
// refresh token always, good once. It refuses with status 200 and {"ok":false}; a
// revoked token is told by token_revoked, and by no status.
//
// # Logins
//
// /authorize shows a login page with the connections that are enabled for the
// client and active for authentication: the password of a database, a button for
// each provider. With the parameter connection only that one counts, and a
// provider's page comes at once; connection_scope asks it for more. Whoever logs
// in through a provider is the user whose identities have that account, and
// otherwise becomes one ("google-oauth2|" and the account), with the e-mail
// address as far as the provider tells it. That fills identities and never the
// vault. A session spares the login, except with prompt=login, when it is older
// than max_age (0: always) or came through another connection than the one asked
// for. The ID token has auth_time when max_age was asked for, and amr when the
// session had a second factor.
//
// A user's Authenticators are second factors: whoever posts the code of one has
// shown it. The setting mfa_policy asks for one once a session, an Action whenever
// it wants; who has none enrolls one there, and the page shows its code.
//
// Pushed authorization requests (RFC 9126) are as at Auth0: for confidential
// clients, in a form, good once for 30 seconds. Auth0 keeps the parameters it
// knows and ten that begin with "ext-"; others, requested_connection among them,
// are gone.
//
// # Actions
//
// An [Action] is a post-login Action in Go: it sees the login as Auth0's event
// has it, and may deny it, ask for a second factor, or send the person away. They
// come back to /continue with the state they were sent with, once, in the same
// browser. Scopes that no API has, such as link_account, reach the Action and
// never the token. In JSON an Action is the name of a built-in one with secrets
// and configuration; that is [AccountLinking], which
// [Config.AddAccountLinking] sets up:
//
//	"actions": [{"name": "account-linking", "secrets": {"AUTH0_CLIENT_ID": "linker", …}}]
//
// # Accounts
//
// A provider account is named by the provider's user id, which login_hint
// matches. The account that a stand-in has for one of the tenant's users is a
// id made from the provider's name and the user's e-mail address: 21 digits at
// Google, 8 at GitHub, a GUID at Microsoft (16 hexadecimal digits for addresses at
// outlook.com and the like), team and user at Slack. The consent page offers those, and what
// [Config].ProviderAccounts lists, where addresses may be unverified. Whatever
// else is posted, or given to [Tenant.Connect], is taken as the id of another
// account, with a verified address. Accounts have no passwords: choosing one is
// the provider's login.
//
// # Forms
//
// The login page posts username and password, or connection when a provider's
// button is pressed; the page for a second factor, or to enroll one, code; the
// consent page account, repeated scope, and action (allow or deny). Hidden fields
// must come back. Cookies are needed, scripts are not.
//
// # Controls
//
// Below /_tenant, in JSON, answering loopback names only and no other site's
// pages; each has a twin in Go. Unknown members are errors. Users may be named
// by id or e-mail address.
//
// Auth0 gives one answer for many reasons. Here each request that is refused has the
// rule that refused it as its [Request.Reason], and /_tenant/connect answers with
// warnings, those of [Tenant.ConnectWarnings], when no exchange will find the account.
//
//	POST   /_tenant/tokens       [Tenant.IssueToken]
//	POST   /_tenant/connect      [Tenant.Connect]
//	POST   /_tenant/disconnect   [Tenant.Disconnect]
//	POST   /_tenant/revoke       [Tenant.Revoke]
//	POST   /_tenant/faults       [Tenant.AddFault]
//	DELETE /_tenant/faults       [Tenant.ClearFaults]
//	POST   /_tenant/rotate-keys  [Tenant.RotateKeys]
//	GET    /_tenant/requests     [Tenant.Requests]
//	DELETE /_tenant/requests     [Tenant.ClearRequests]
//
// # Settings
//
// Where Auth0 documents nothing, or has been seen to do both, [Settings] picks.
// The default comes first.
//
//	refresh_leeway            0: seconds before its expiry that a stored provider token is refreshed
//	not_connected_error       federated_connection_refresh_token_not_found; tokenset_not_found is the older name
//	unknown_connection_error  empty: as not connected; otherwise a code, with status 400
//	unknown_user_error        user_not_found: the subject token's user is gone, or a machine
//	user_not_found_member     error_description; description
//	invalid_subject_error     invalid_grant; any code: the subject token is bad or expired (401)
//	wrong_audience_error      unauthorized_client; any code: the subject token is another API's
//	wrong_audience_status     403; 401
//	rotating_subject_error    unauthorized_client; any code: a rotating refresh token as subject (403)
//	refuse_bound_subject      false; true: a subject token with cnf is bad
//	several_accounts          first; newest, error: which account serves an exchange without login_hint
//	login_hint_email          false; true: login_hint matches the account's e-mail address too
//	vault_request_scope       ignored; rejected, honoured: the parameter scope of an exchange
//	omit_scope                false; true: the exchange's answer has no scope
//	scope_separator           provider: as the provider wrote them; space, comma
//	omit_expires_in           false; true: the exchange's answer has no expires_in
//	expires_in                absent: the remaining life; a number to answer instead
//	mfa_policy                never; always: logins ask for a second factor, every exchange answers mfa_required; adaptive: no effect
//	mfa_required_status       403; 401
//	wrong_secret_error        access_denied; invalid_client
//	unsupported_grant_status  403; 400
//	clock_skew                0: seconds that the tenant's clock is ahead
//	complete_status           201; 200
//	connect_uri_path          /connected-accounts/connect; /connect
//	connect_uri_query         empty: a query that connect_uri has already
//	connect_redirect_uri      registered: among the client's callbacks; any
//	connect_wrong_browser     callback: error=access_denied; page: nothing goes back
//	reconnect                 update: the same account again keeps its record; add: a second one
//	max_accounts              0: no limit; per user and connection, more answer 409
//	delete_unknown_status     204; 404
//	omit_www_authenticate     false; true: the My Account API's 401 has no challenge
//	refused_connection_error  invalid_request; any code: /authorize names a connection that the client cannot use
//	identities_feed_vault     false; true: as in 2025, a login through a provider connects the account too, a link takes it along
//	session_after_continue    transaction: the browser has the session that it was sent away with; latest: that of a login meanwhile
//	pushed_authorization_requests_supported  false; true: POST /oauth/par, which Auth0 sells with Highly Regulated Identity
//	offline_access            connection: refresh tokens from Google if its options say so; always
//	google_refresh_token      always: with every such connect; consent: as at Google, see above
//	github_oauth_app          false; true: GitHub is a classic OAuth App without refresh tokens
//	id_token_alg                  RS256; HS256, as Auth0 documents: for clients whose jwt_configuration has no alg
//	client_grant_subject_type     kept; client: the API stores every grant as a machine's, as has been reported
//	patch_enabled_clients         refused: a connection's enabled_clients has methods of its own; accepted
//	my_account_api                creatable; dashboard: the API refuses to make it, as has been reported
//	tokenset_methods              false; true: users/{id}/federated-connections-tokensets, gone since July 2026
//	mfa_factors                   none: the factors of guardian/factors that are enabled
//	link_self_message             text of the 400 for linking a user to itself
//	link_conflict_message         text of the 409 for an identity that is linked already
//	link_again                    refused: 409 for what is linked to this very user; accepted
//	link_primary_with_identities  refused: 409 when the secondary has identities of its own; accepted: they come along
//	link_connected_accounts       gone: the vault forgets the secondary's accounts; moved: the primary has them
//	link_unknown_primary_status   404; 400
//	unlink_main_message           text of the 400 for unlinking the user's own identity
//	unlink_unknown_message        text of the 400 for unlinking what is not there
//	unowned_message               text of the 403 for a user's token used on another user
//	github_identity_user_id       number: as GitHub's are in identities; string
//	organizations             none: a list of {id, name, display_name, members}
//	any_organization          false; true: every organization exists and has everybody
//
// # Where to read on
//
// In the order of a request:
//
//	config.go, defaults.go, validate.go, schema.go, settings.go, management_settings.go, seeds.go, directory.go
//	                                   what a tenant is made of
//	server.go, tls.go, tenant.go, cors.go
//	                                   listening, routing, and who may read answers
//	faults.go, request_log.go, reasons.go
//	                                   what a test makes fail, what was asked, and why it was refused
//	params.go, client_auth.go          what a request says, and which client sent it
//	discovery.go, keys.go              the public documents
//	par.go, authorize.go, transaction.go, session.go
//	                                   a login begins
//	login.go, login_connections.go, social_login.go, mfa.go, pages.go
//	                                   who it is
//	pipeline.go, actions.go, account_linking.go, account_linking_resume.go, account_unlinking.go, response_modes.go
//	                                   what Actions make of it, and how it ends
//	logout.go                          how a session ends
//	token_endpoint.go, refresh_tokens.go, tokens.go, issue_token.go
//	                                   the token endpoint, and tokens without it
//	vault_grant.go, accounts.go        the vault's exchange, and what the vault holds
//	verify.go, userinfo.go             tokens that come back
//	my_account.go, connect.go, connect_ticket.go
//	                                   connecting an account
//	management.go, management_*.go, users.go, identities.go
//	                                   the Management API
//	standin.go, google.go, github.go, microsoft.go, slack.go
//	                                   how one provider differs from another
//	provider.go, provider_pages.go, provider_api.go, provider_profile.go, transport.go
//	                                   the stand-ins
//	controls.go                        the controls
//	answers.go                         every byte that goes out, and every refusal
package auth0test
