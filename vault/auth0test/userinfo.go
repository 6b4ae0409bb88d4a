package auth0test

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// An opaqueToken is an access token for no API, good for /userinfo only.
type opaqueToken struct {
	userID  string
	scope   []string
	expires time.Time
}

// newOpaqueToken makes an opaque token; like Auth0's it looks like a JWE whose
// key nobody has.
func (t *Tenant) newOpaqueToken(g tokenGrant) string {
	token := "eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0.." + randomID(16) + "." + randomID(120) + "." + randomID(22)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.opaque[token] = &opaqueToken{userID: g.UserID, scope: g.Scope, expires: time.Now().Add(24 * time.Hour)}
	return token
}

// serveUserInfo tells who a token's user is: all that profile and email stand
// for, as far as the token has them.
func (t *Tenant) serveUserInfo(w http.ResponseWriter, r *http.Request) {
	if r.Header.Get("Authorization") == "" {
		refuseUserInfo(w, false, "the request has no access token")
		return
	}
	userID, scope, err := t.userInfoSubject(bearer(r, "Bearer"))
	if err != nil {
		refuseUserInfo(w, true, "the access token is "+err.Error())
		return
	}
	claims := map[string]any{"sub": userID}
	maps.Copy(claims, t.profileClaims(userID, scope))
	writeJSON(w, http.StatusOK, claims)
}

// userInfoSubject is whose token it is, and with which scopes.
func (t *Tenant) userInfoSubject(token string) (userID string, scope []string, err error) {
	t.mu.Lock()
	o := t.opaque[token]
	t.mu.Unlock()
	if o != nil && time.Now().Before(o.expires) {
		userID, scope = o.userID, o.scope
	} else {
		v, err := t.verifyToken(token)
		if err != nil {
			return "", nil, err
		}
		if !slices.Contains(v.Audience, t.Issuer()+"userinfo") {
			return "", nil, fmt.Errorf("for %s, not for %suserinfo, which comes with the scope openid", v.Audience, t.Issuer())
		}
		userID, scope = v.Subject, strings.Fields(v.Scope)
	}
	switch {
	case t.cfg().user(userID) == nil:
		return "", nil, fmt.Errorf("that of %q, who is no user of this tenant", userID)
	case !slices.Contains(scope, "openid"):
		return "", nil, errors.New("without the scope openid")
	}
	return userID, scope, nil
}

// serveRevoke ends a refresh token and all that came from the same login.
// A token nobody knows is as good as revoked.
func (t *Tenant) serveRevoke(w http.ResponseWriter, r *http.Request) {
	p, oerr := readParams(r)
	if oerr == nil && p["token"] == "" {
		oerr = missing("token")
	}
	var client *Client
	if oerr == nil {
		client, oerr = t.authenticate(r, p)
	}
	if oerr != nil {
		oerr.write(w)
		return
	}
	t.mu.Lock()
	if rt := t.refresh[p["token"]]; rt != nil && rt.grant.ClientID == client.ClientID {
		t.endFamily(rt.family)
	}
	t.mu.Unlock()
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(http.StatusOK)
}
