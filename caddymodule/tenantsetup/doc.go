// Package tenantsetup compares an Auth0 tenant with what a configuration needs of
// it: `caddy token-vault doctor` says what is wrong and where to change it,
// `caddy token-vault setup` changes it. It knows nothing of Caddy.
//
// [Examine] looks and changes nothing; [Prepare] looks and plans, and [Plan.Apply]
// carries the plan out. With a machine-to-machine client the Management API shows
// everything. Without one, the public documents and requests that have to fail
// tell some of it: an exchange of what is no token names a refused client before it
// names the token.
//
// A plan is made of what doctor finds wrong: each finding carries the call that
// mends it, and planning mends a copy of what was seen until no check finds more.
// So setup does nothing that doctor would not have named, and where doctor is
// content it does nothing. What others may depend on, or what only a person can
// do, is left to the operator with the place in the Dashboard, and with a line for
// Auth0's own command line where one call does it and leaves all else as it is. No
// such line is for what is not the tenant's (the configuration, this machine's clock,
// what a person has connected), for secrets and keys, and for a connection's options,
// of which PATCH drops what it is not sent.
//
// Where the configuration has the id of an application of another kind, that is said,
// and nothing else is asked of it: it is somebody else's. An answer that is empty or
// makes no sense ends a run; it is not what the tenant has.
//
// # Checks
//
//	discovery                    the tenant answers, and its issuer is the configured domain
//	keys                         there are signing keys for the algorithm
//	clock                        this machine's clock is right
//	management.credentials       Auth0 accepts the management client
//	management.scopes            its token shows the settings
//	management.linking           the configuration's may link identities, where the pages do
//	api.exists                   an API has the audience as its identifier
//	api.signing_alg              its tokens are signed as the configuration wants
//	api.user_access              applications may have users' tokens of it
//	api.permissions              it has the permissions that require_scopes names
//	client.exists                the Custom API client exists
//	client.linked                it is that API's
//	client.first_party           it is first-party
//	client.oidc_conformant       it is OIDC-conformant
//	client.auth_method           it has a secret
//	client.grant                 it has the Token Vault grant
//	client.secret                Auth0 accepts the configured secret
//	link.exists                  the link pages' application exists
//	link.app_type                it is a regular web application
//	link.callback                Auth0 sends browsers back to the pages
//	link.logout_url              also after signing out
//	link.auth_method             it has a secret
//	link.id_token_alg            its ID tokens are signed with RS256
//	link.grant                   it has the grant authorization_code
//	link.secret                  Auth0 accepts the configured secret
//	link.action                  the account-linking Action is there; nobody can see that
//	link.par                     ID tokens stay out of the URLs of link_account
//	management_api.user_access   people who link identities may have tokens of their own of it
//	management_api.grant         the link pages' application may, where that takes a grant
//	management_api.subject_type  that grant is not stored as client access
//	management_api.scopes        it has what linking takes
//	my_account.active            the My Account API is active
//	my_account.user_access       applications may have users' tokens of it
//	my_account.grant             the link pages' application may
//	my_account.subject_type      that grant is not stored as client access
//	my_account.scopes            it has the three scopes of connected accounts
//	connection.exists            the connection of a route, or of trust_email, exists
//	connection.keys              it has a client of its own at the provider
//	connection.active            Connected Accounts is on
//	connection.offline_access    it asks for refresh tokens
//	connection.enabled           the exchange, if it is in a route, and the link pages may use it
//	connection.scopes            the provider can know the routes' scopes
//	connection.login             people may sign in through it, where the pages link identities
//	agents.exist                 the agents in allow_clients exist
//	agents.grant                 they may have the API's tokens, where that takes a grant
//	agents.subject_type          that grant is not stored as client access
//	agents.scopes                it has the permissions that require_scopes names
//	tenant.mfa_policy            the MFA policy is not Always
//	tenant.dynamic_registration  nobody registers agents where any agent is let through
//	user.exists                  the person asked about exists
//	user.connected               and has connected the account of each route
//	user.scopes                  with the route's scopes
//	user.scope_excess            and with none that its max_scopes leaves out
//
// # Where to read on
//
//	needs.go                     what a configuration needs
//	doctor.go                    comparing it with what there is
//	observe.go, read.go, read_user.go, probe.go
//	                             what the tenant has
//	checks.go, check_*.go, client_rules.go
//	                             the comparison, each part of a tenant in a file
//	finding.go, change.go        what it finds, and what would mend it
//	setup.go, plan.go, simulate.go, apply.go, variables.go
//	                             mending it
//	api.go, transport.go         calls to the tenant
//	report.go, report_setup.go, progress.go
//	                             every byte that is printed
package tenantsetup
