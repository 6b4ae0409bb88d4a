package auth0test

import (
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
)

// A caller is who a My Account request speaks for.
type caller struct {
	userID, orgID string
	client        *Client
}

// myAccount wraps a method of the My Account API with what all share: an
// active API, a user's token for it, the scope, and JSON for what has a body.
func (t *Tenant) myAccount(scope string, serve func(http.ResponseWriter, *http.Request, caller) *problem) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		who, p := t.authorizeCaller(r, scope)
		if p == nil && r.Method == http.MethodPost {
			if kind, _, _ := mime.ParseMediaType(r.Header.Get("Content-Type")); kind != "application/json" {
				p = newProblem(http.StatusUnsupportedMediaType, "0001", "Unsupported Media Type", "Content-Type must be application/json")
			}
		}
		if p == nil {
			p = serve(w, r, who)
		}
		if p == nil {
			return
		}
		if p.Status == http.StatusUnauthorized && !t.cfg().Settings.OmitWWWAuthenticate {
			w.Header().Set("WWW-Authenticate", `Bearer error="invalid_token"`)
			if r.Header.Get("Authorization") == "" {
				w.Header().Set("WWW-Authenticate", "Bearer")
			}
		}
		p.write(w)
	}
}

func (t *Tenant) authorizeCaller(r *http.Request, scope string) (caller, *problem) {
	if t.cfg().resourceServer(t.myAccountAudience()) == nil {
		return caller{}, noResource(r).because("the My Account API is not activated: no resource server or client grant names %s", t.myAccountAudience())
	}
	if r.Header.Get("Authorization") == "" {
		return caller{}, newProblem(http.StatusUnauthorized, "0002", "Missing Token", "The request has no access token")
	}
	v, err := t.verifyToken(bearer(r, "Bearer"))
	client := t.cfg().client(v.client())
	switch {
	case err != nil:
	case !slices.Contains(v.Audience, t.myAccountAudience()):
		err = fmt.Errorf("for %s, not for %s", v.Audience, t.myAccountAudience())
	case t.cfg().user(v.Subject) == nil:
		err = fmt.Errorf("that of %q, who is no user of this tenant", v.Subject)
	case client == nil:
		err = fmt.Errorf("that of %q, which is no client of this tenant", v.client())
	}
	if err != nil {
		return caller{}, newProblem(http.StatusUnauthorized, "0003", "Invalid Token", "The access token is invalid or expired").
			because("the access token is %v", err)
	}
	if !v.hasScope(scope) {
		return caller{}, newProblem(http.StatusForbidden, "0002", "Insufficient Scope", "The access token lacks the scope "+scope)
	}
	return caller{userID: v.Subject, orgID: v.OrgID, client: client}, nil
}

// accountJSON is an account as the My Account API shows it.
type accountJSON struct {
	ID         string   `json:"id"`
	Connection string   `json:"connection"`
	AccessType string   `json:"access_type"`
	Scopes     []string `json:"scopes"`
	CreatedAt  string   `json:"created_at"`
	OrgID      string   `json:"org_id,omitempty"`
}

func (a *account) json() accountJSON {
	return accountJSON{
		ID: a.id, Connection: a.connection, AccessType: "offline", OrgID: a.orgID,
		Scopes:    append([]string{}, a.tokens.scopes...),
		CreatedAt: timestamp(a.createdAt),
	}
}

// listAccounts is GET …/accounts.
func (t *Tenant) listAccounts(w http.ResponseWriter, r *http.Request, who caller) *problem {
	q := r.URL.Query()
	take, errs := checkPage(q, "connection")
	wanted := q["connection"]
	if len(wanted) > 20 {
		errs = append(errs, queryError("connection", "must NOT have more than 20 items"))
	}
	if len(errs) > 0 {
		return invalidPayload(errs...)
	}
	t.mu.Lock()
	var list []accountJSON
	for _, a := range t.accountsOf(who.userID, "") {
		if len(wanted) == 0 || slices.Contains(wanted, a.connection) {
			list = append(list, a.json())
		}
	}
	t.mu.Unlock()
	page, next := pageOf(list, q.Get("from"), take, func(a accountJSON) string { return a.ID })
	writeList(w, "accounts", page, next)
	return nil
}

// deleteAccount is DELETE …/accounts/{id}: the vault forgets the tokens.
func (t *Tenant) deleteAccount(w http.ResponseWriter, r *http.Request, who caller) *problem {
	id := r.PathValue("id")
	removed := t.removeAccounts(func(a *account) bool { return a.id == id && a.userID == who.userID })
	if removed == 0 && t.cfg().Settings.DeleteUnknownStatus == http.StatusNotFound {
		return newProblem(http.StatusNotFound, "0001", "Not Found", "The connected account was not found")
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

type connectionJSON struct {
	Name     string   `json:"name"`
	Strategy string   `json:"strategy"`
	Scopes   []string `json:"scopes,omitempty"`
}

// listConnections is GET …/connections: what this user may connect here.
func (t *Tenant) listConnections(w http.ResponseWriter, r *http.Request, who caller) *problem {
	q := r.URL.Query()
	take, errs := checkPage(q)
	if len(errs) > 0 {
		return invalidPayload(errs...)
	}
	var list []connectionJSON
	for _, c := range t.cfg().Connections {
		if c.active() && c.enabledFor(who.client.ClientID) {
			list = append(list, connectionJSON{Name: c.Name, Strategy: c.Strategy, Scopes: c.scopes()})
		}
	}
	page, next := pageOf(list, q.Get("from"), take, func(c connectionJSON) string { return c.Name })
	writeList(w, "connections", page, next)
	return nil
}

// The default and the largest page.
const (
	defaultTake = 10
	maxTake     = 20
)

// checkPage reads from and take, and refuses parameters that are not there.
func checkPage(q url.Values, more ...string) (int, []validationError) {
	var errs []validationError
	for name, values := range q {
		if !slices.Contains(append(more, "from", "take"), name) {
			errs = append(errs, queryError(name, "must NOT have additional properties"))
		} else if len(values) > 1 && !slices.Contains(more, name) {
			errs = append(errs, queryError(name, "must be string"))
		}
	}
	take := defaultTake
	if q.Has("take") {
		n, err := strconv.Atoi(q.Get("take"))
		if err != nil {
			return 0, append(errs, queryError("take", "must be integer"))
		}
		if n < 1 || n > maxTake {
			errs = append(errs, queryError("take", fmt.Sprintf("must be between 1 and %d", maxTake)))
		}
		take = n
	}
	return take, errs
}

func queryError(name, detail string) validationError {
	return validationError{Detail: "query/" + name + " " + detail, Field: name, Source: "query"}
}

// pageOf cuts a page out of a list. The cursor is the key of the first item
// of the page.
func pageOf[T any](list []T, from string, take int, key func(T) string) ([]T, string) {
	if from != "" {
		i := slices.IndexFunc(list, func(item T) bool { return key(item) == from })
		if i < 0 {
			i = len(list)
		}
		list = list[i:]
	}
	if len(list) <= take {
		return list, ""
	}
	return list[:take], key(list[take])
}

func writeList[T any](w http.ResponseWriter, name string, page []T, next string) {
	body := map[string]any{name: append([]T{}, page...)}
	if next != "" {
		body["next"] = next
	}
	writeJSON(w, http.StatusOK, body)
}
