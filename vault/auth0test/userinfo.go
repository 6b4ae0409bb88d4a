package auth0test

import (
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
	userID, scope := t.userInfoSubject(bearer(r, "Bearer"))
	if t.cfg().user(userID) == nil || !slices.Contains(scope, "openid") {
		refuseUserInfo(w, r.Header.Get("Authorization") != "")
		return
	}
	claims := map[string]any{"sub": userID}
	maps.Copy(claims, t.profileClaims(userID, scope))
	writeJSON(w, http.StatusOK, claims)
}

func (t *Tenant) userInfoSubject(token string) (userID string, scope []string) {
	t.mu.Lock()
	o := t.opaque[token]
	t.mu.Unlock()
	if o != nil && time.Now().Before(o.expires) {
		return o.userID, o.scope
	}
	v, err := t.verifyToken(token)
	if err != nil || !slices.Contains(v.Audience, t.Issuer()+"userinfo") {
		return "", nil
	}
	return v.Subject, strings.Fields(v.Scope)
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
