package linkflow

// The data of the templates.
type (
	connectPage struct {
		requestText
		opening
		Form  string
		Links bool // two sign-ins follow, and an identity is linked
	}
	linkPage struct {
		opening
		Form string
	}
	linkConfirmPage struct {
		requestText
		Person  string
		Offered []offeredText // connections to choose from; none if the link names one
		Own     bool          // the person wants to, and nobody asks
		Back    string        // host to go on at in the end
		Flow    string
		Form    string
	}
	mergePage struct {
		requestText
		Person, Stays string   // who remains, and that user's id
		Second, Goes  string   // who becomes an identity, and the user's id that ends
		Lost          []string // metadata of that one, by its names
		Flow          string
		Form          string
	}
	linkedPage struct {
		Connect bool // leads on to connecting the account
		Own     bool // which may be connected: no agent asked
		SignIn  bool // which takes one more sign-in
		Flow    string
		Form    string
	}
	identitiesPage struct {
		Person  string // empty if nobody has just signed in
		Notice  string // of what was just done
		Primary identityText
		Others  []identityText
		Form    string
	}
	unlinkPage struct {
		identityText
		Person, Stays string // who remains, and that user's id
		Flow          string
		Form          string
	}
	confirmPage struct {
		requestText
		Person   string
		Accounts []accountText // connected there already
		Again    string        // the one of them to connect again
		Own      bool          // the person wants to, and nobody asks
		Back     string        // host to go on at in the end
		Flow     string
		Form     string
	}
	donePage struct {
		Scopes  []scopeText // granted
		Missing []scopeText
		Again   string // link to grant what is missing
		Back    string // where the person may go back to
		Hint    string // the account that the agent named
	}
	accountsPage struct {
		Person     string // empty if nobody is signed in
		Notice     string // of what was just done
		Accounts   []accountText
		Disconnect string // the account to go on with after signing in
		Identities bool   // there is a page of them too
		Form       string
	}
	disconnectPage struct {
		accountText
		Fresh bool // the person has just signed in
		Form  string
	}
	onwardPage  struct{ URL string }
	messagePage struct {
		ID         string      // of the event, for the operator
		Switch     *switchForm // to begin again as somebody else
		GoOn       string      // where the person was
		Again      string      // link to begin again
		Accounts   bool        // leads on to the accounts
		Identities bool        // leads on to the identities
		SignOut    string      // where to sign out of Auth0
	}
	switchForm struct {
		opening
		Form string
	}
)

// accountText is a connected account in words.
type accountText struct {
	ID, Provider string
	Since, Until string // dates; empty if they are not known
	Scopes       []scopeText
	Again        string // link to connect it again
}

// offeredText is a connection to choose.
type offeredText struct{ Connection, Provider string }

// identityText is an identity in words.
type identityText struct {
	ID             string // as the form has it
	User           string // the same, as people see it
	Provider, Name string
	Unlink         string // page that asks about it; empty if it stays
}

// samplePages are all pages with a template of their own, with as little and with
// as much on them as there may be. Messages share one.
var samplePages = map[string][2]any{
	"connect.html":      {connectPage{}, connectPage{sampleRequest, opening{"t", "r"}, "f", true}},
	"link.html":         {linkPage{}, linkPage{opening{"t", "r"}, "f"}},
	"link_confirm.html": {linkConfirmPage{}, linkConfirmPage{sampleRequest, "p", []offeredText{{"c", "p"}, {}}, true, "b", "f", "f"}},
	"merge.html":        {mergePage{}, mergePage{sampleRequest, "p", "i", "p", "i", []string{"m", ""}, "f", "f"}},
	"linked.html":       {linkedPage{}, linkedPage{true, true, true, "f", "f"}},
	"identities.html":   {identitiesPage{}, identitiesPage{"p", "n", sampleIdentities[0], sampleIdentities, "f"}},
	"unlink.html":       {unlinkPage{}, unlinkPage{sampleIdentities[0], "p", "s", "f", "f"}},
	"confirm.html": {confirmPage{}, confirmPage{
		requestText: sampleRequest, Person: "p", Accounts: sampleAccounts, Again: "i", Back: "b", Flow: "f", Form: "f",
	}},
	"done.html":       {donePage{Scopes: sampleScopes}, donePage{sampleScopes, sampleScopes, "a", "b", "h"}},
	"accounts.html":   {accountsPage{Disconnect: "d"}, accountsPage{"p", "n", sampleAccounts, "", true, "f"}},
	"disconnect.html": {disconnectPage{}, disconnectPage{sampleAccounts[0], true, "f"}},
	"onward.html":     {onwardPage{}, onwardPage{"u"}},
	"message.html":    {messagePage{}, messagePage{"i", &switchForm{opening{"t", "r"}, "f"}, "g", "a", true, true, "s"}},
}

var (
	sampleScopes     = []scopeText{{"w", "n"}, {"", "n"}}
	sampleAccounts   = []accountText{{"i", "p", "s", "u", sampleScopes, "a"}, {}}
	sampleIdentities = []identityText{{"i", "i", "p", "n", "u"}, {}}
	sampleRequest    = requestText{"p", "a", "g", true, true, sampleScopes}
)
