// Package linkflow lets a person connect an account at a provider for an agent
// that asks for it. The agent hands over a link; the person opens it, signs in
// at Auth0, confirms, and consents at the provider; the agent learns that it is
// done. The account is connected through Auth0's My Account API (Connected
// Accounts), so that Token Vault can serve it from then on.
//
// A [Flow] serves one tenant on one public origin:
//
//	flow, err := linkflow.New(linkflow.Config{
//		Vault:        client, // *vault.Client
//		Origin:       "https://link.example.com",
//		ClientID:     "…", // a regular web application of the same tenant
//		ClientSecret: vault.NewSecret(os.Getenv("LINK_CLIENT_SECRET")),
//		Keys:         linkflow.StaticKeys(key),
//	})
//	http.Handle("/auth/", flow)
//
//	if _, err := client.Token(ctx, caller, request); needsLink(err) {
//		link, err := flow.Link(ctx, caller, request)
//		// tell the agent link.URL and link.StatusURL
//	}
//
// The application at Auth0 needs {Origin}{Path}/callback among its allowed
// callback URLs, the authorization code grant, and a client grant for the My
// Account API with create:me:connected_accounts, read:me:connected_accounts and,
// for the page on which people look after their accounts,
// delete:me:connected_accounts.
//
// # What a link can do
//
// A link holds a ticket: sealed, ten minutes long, made for one user and one
// agent. It starts nothing by itself, since chats and crawlers open links too,
// and it serves nobody but the user it was made for: whoever opens it has to
// sign in, and the verified ID token of that very sign-in has to name the same
// issuer, subject and organization. A link that is forwarded, or an account
// page that is opened in another browser, therefore connects nothing.
//
// A link without a ticket, as front ends made for Auth0's SDKs build them, is for
// whoever signs in. It asks for what [Config.Offers] offers and no more.
//
// # Where state lives
//
// In the browser, sealed: a cookie for each flow, and one for the quarter of an
// hour in which somebody looks after accounts. Together they take 7 000 bytes of a
// request; the oldest flows give way. Any node that has the keys can serve any
// request. Everything sealed has a key of its own, made for its
// purpose, so that a ticket is no cookie, and what was sealed for one step opens
// at no other; and a version: nodes of different ones take nothing from each
// other. What became of tickets is in an [Outcomes], on the node where it
// happened; other nodes learn of success by asking the vault.
//
// # Who learns what
//
// Pages show what the ID token calls the person, which scopes an account has and
// since when, and nothing else that Auth0 or a provider said. What an operator has to
// know goes to [Config.Hook]; this package logs nothing. No event, error or page
// holds a ticket, a code, a token or a URL with one.
//
// # Other ways
//
// [Config.Via] says what a link does. With ViaManagement and ViaLinkAccount the
// person's identity at the connection becomes a part of their user first: here, or by
// the tenant's account-linking Action. Whether it did, the identities tell. With
// ViaURL a link leads to a page of the application's own, and what remains here is
// the status.
//
// # Where to read on
//
// In the order of a request:
//
//	config.go, via.go, flow.go         configuration and routing
//	ticket.go, url.go, seal.go         the link, and how things are sealed
//	connect.go                         the page that it leads to
//	forms.go, cookies.go, state.go     what a POST must bring, what a browser keeps
//	legs.go                            the legs of a flow, and what ends each
//	fair.go                            what one browser may cost the others
//	login.go, callback.go              signing in, and coming back from Auth0
//	confirm.go, consent.go, myaccount.go
//	                                   deciding, and connecting the account
//	linking.go, prove.go, merge.go     linking an identity: both sign-ins, and joining the two
//	linkaccount.go, pushed.go, action.go
//	                                   having the tenant's Action link
//	linkown.go, suggest.go             linking by one's own will
//	unlink.go, separate.go             looking at identities, and separating one
//	identities.go, management.go       Auth0's Management API
//	done.go, returnto.go               where it ends
//	accounts.go, session.go            looking after accounts
//	status.go, hold.go, internal/outcome
//	                                   what the agent is told
//	answers.go, pagedata.go, pages.go, messages.go, text.go
//	                                   every byte that a browser gets
//	errors.go                          every way in which it can end
//	events.go                          what the operator gets
package linkflow
