package auth0test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// ProviderAccount is somebody's account at a stand-in.
type ProviderAccount struct {
	// Strategy says which stand-in: the strategy of the connections it serves.
	Strategy string `json:"strategy"`
	// Account is the provider's user id.
	Account string `json:"account"`
	// Email defaults to the account at accounts.example.
	Email string `json:"email,omitempty"`
	// EmailVerified defaults to true.
	EmailVerified *bool `json:"email_verified,omitempty"`
	// Name defaults to the e-mail address up to the @.
	Name string `json:"name,omitempty"`
}

func (a *ProviderAccount) fillDefaults() {
	if a.EmailVerified == nil {
		a.EmailVerified = new(true)
	}
	setDefault(&a.Email, a.Account+"@accounts.example")
	setDefault(&a.Name, localPart(a.Email))
}

// A profile is what Auth0 learns from a provider about who logged in: as much
// as the scopes allow.
type profile struct {
	id, email             string
	emailVerified         bool
	name, nickname        string
	givenName, familyName string
}

func (who profile) copyTo(u *User) {
	u.Email, u.EmailVerified = who.email, who.emailVerified
	u.Name, u.Nickname, u.GivenName, u.FamilyName = who.name, who.nickname, who.givenName, who.familyName
}

// personOf is what a stand-in knows of an account: what the config says, or the
// address of the user whom it was made for, or one made up.
func (p *provider) personOf(account string) ProviderAccount {
	known := find(p.tenant.cfg().ProviderAccounts, func(a ProviderAccount) bool {
		return a.Strategy == p.strategy && a.Account == account
	})
	if known != nil {
		return *known
	}
	person := ProviderAccount{Strategy: p.strategy, Account: account}
	if strings.Contains(account, "@") {
		person.Email = account
	}
	for _, u := range p.tenant.cfg().Users {
		if u.Email != "" && p.accountID(u.Email) == account {
			person.Email = u.Email
		}
	}
	person.fillDefaults()
	return person
}

// email is the address of an account.
func (p *provider) email(account string) string { return p.personOf(account).Email }

// knownAccounts are those of the config and of the tenant's users; the hinted
// one, which may be none of them, comes first.
func (p *provider) knownAccounts(hint string) []accountView {
	var out []accountView
	add := func(account, email string) {
		if email != "" && !slices.ContainsFunc(out, func(a accountView) bool { return a.ID == account || a.Email == email }) {
			out = append(out, accountView{ID: account, Email: email})
		}
	}
	for _, a := range p.tenant.cfg().ProviderAccounts {
		if a.Strategy == p.strategy {
			add(a.Account, a.Email)
		}
	}
	for _, u := range p.tenant.cfg().Users {
		if own, isOwn := strings.CutPrefix(u.UserID, p.strategy+"|"); isOwn {
			add(own[strings.LastIndexByte(own, '|')+1:], u.Email)
		} else {
			add(p.accountID(u.Email), u.Email)
		}
	}
	hinted := func(a accountView) bool { return a.ID == hint || strings.EqualFold(a.Email, hint) }
	if i := slices.IndexFunc(out, hinted); i > 0 {
		out[0], out[i] = out[i], out[0]
	} else if i < 0 && hint != "" {
		out = append([]accountView{{ID: hint, Email: p.email(hint)}}, out...)
	}
	return out
}

// getJSON is Auth0's call of a provider's API.
func (p *provider) getJSON(ctx context.Context, path, token string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.base+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", path, resp.StatusCode)
	}
	return json.NewDecoder(resp.Body).Decode(into)
}
