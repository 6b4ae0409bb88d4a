package linkflow

import (
	"maps"
	"net/http"
	"slices"
)

// A flow goes in legs: each ends when the browser comes back from Auth0, or when the
// person decides on a page of ours. What a browser keeps of its flow is sealed for
// the leg it is on, so that what ends one leg is nothing to another.
const (
	forLogin   purpose = "login"   // the person signs in
	forConfirm purpose = "confirm" // the person decides
	forConnect purpose = "connect" // the provider asks
	forEnd     purpose = "end"     // it is over; the page still says so
	forSignIn  purpose = "sign_in" // the person signs in to look after accounts

	// While it links an identity, before it connects an account.
	forLinkLogin   purpose = "link_login"   // the person signs in, as whom all ends up with
	forLinkConfirm purpose = "link_confirm" // the person decides whether to prove another identity
	forSecond      purpose = "second"       // the person signs in with that one
	forMerge       purpose = "merge"        // the person decides whether to join the two
	forLinkAccount purpose = "link_account" // the tenant's Action has them sign in there, and joins the two
	forLinked      purpose = "linked"       // they are joined

	forUnlinkLogin   purpose = "identities_login" // the person signs in to look at identities
	forUnlink        purpose = "identities"       // the person decides which to make a user of its own
	forUnlinkAccount purpose = "separate"         // the tenant's Action does that
)

var (
	// signIns are the legs that are one, with what each asks for.
	signIns = map[purpose]asked{
		forLogin: toConnect, forSignIn: toLookUp,
		forLinkLogin: toLink, forSecond: toBeLinked, forUnlinkLogin: toLink,
	}

	// redeemed are those that end with a code: the sign-ins, and those in which the
	// Action has a part.
	redeemed = slices.AppendSeq([]purpose{forLinkAccount, forUnlinkAccount}, maps.Keys(signIns))

	// decisions are those in which the page of showConfirm can be opened. In some of
	// them the person is at Auth0 or a provider, and may come back by the back button.
	decisions = append(slices.Collect(maps.Keys(pageOf)), forEnd)

	// pageOf is which page that is, while there is something to decide.
	pageOf = map[purpose]string{
		forConfirm: "confirm", forConnect: "confirm",
		forLinkConfirm: "link_confirm", forSecond: "link_confirm", forLinkAccount: "link_confirm",
		forMerge: "merge", forLinked: "linked",
	}
)

// comingBack is how a flow goes on when Auth0 ends a leg: with a code, or without.
func (f *Flow) comingBack(leg purpose) (with func(*http.Request, *flowState, string) answer, without func(*http.Request, *flowState, *callbackQuery) answer) {
	switch leg {
	case forConnect:
		return f.connected, f.notConnected
	case forSignIn:
		return f.signedInForAccounts, f.notSignedIn
	case forLinkLogin:
		return f.signedInToLink, f.notSignedIn
	case forSecond:
		return f.signedInSecond, f.secondRefused
	case forLinkAccount:
		return f.linkedByAction, f.notLinkedByAction
	case forUnlinkLogin:
		return f.signedInToUnlink, f.notSignedIn
	case forUnlinkAccount:
		return f.unlinkedByAction, f.notUnlinkedByAction
	}
	return f.signedIn, f.notSignedIn
}
