package auth0test

import (
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"
)

// fillDefaults completes what was left out; what is complete stays as it is.
func (cfg *Config) fillDefaults(base string) {
	for i := range cfg.ResourceServers {
		cfg.ResourceServers[i].fillDefaults(base)
	}
	for i := range cfg.Clients {
		cfg.Clients[i].fillDefaults()
	}
	for i := range cfg.ClientGrants {
		cfg.ClientGrants[i].fillDefaults()
	}
	for i := range cfg.Connections {
		cfg.Connections[i].fillDefaults()
	}
	for i := range cfg.Users {
		cfg.Users[i].fillDefaults()
		cfg.Users[i].fillIdentities(cfg)
	}
	for i := range cfg.ProviderAccounts {
		cfg.ProviderAccounts[i].fillDefaults()
	}
	cfg.addSystemAPIs(base)
	cfg.Tenant.fillDefaults()
	cfg.Settings.fillDefaults()
}

// addDatabase adds the database that Auth0 creates with every tenant.
func (cfg *Config) addDatabase() {
	if find(cfg.Connections, func(c Connection) bool { return c.Strategy == databaseProvider }) != nil {
		return
	}
	database := Connection{Name: "Username-Password-Authentication", Strategy: databaseProvider}
	for _, c := range cfg.Clients {
		database.EnabledClients = append(database.EnabledClients, c.ClientID)
	}
	cfg.Connections = append(cfg.Connections, database)
}

// addSystemAPIs adds the Management API, which every tenant has, and the My
// Account API when only a grant names it: at Auth0 such a grant cannot exist
// before that API is activated.
func (cfg *Config) addSystemAPIs(base string) {
	apis := map[string]string{base + "/api/v2/": "Auth0 Management API"}
	me := base + "/me/"
	if find(cfg.ClientGrants, func(g ClientGrant) bool { return g.Audience == me }) != nil {
		apis[me] = myAccountName
	}
	for _, identifier := range slices.Sorted(maps.Keys(apis)) {
		if cfg.resourceServer(identifier) == nil {
			rs := ResourceServer{Name: apis[identifier], Identifier: identifier}
			rs.fillDefaults(base)
			cfg.ResourceServers = append(cfg.ResourceServers, rs)
		}
	}
}

const myAccountName = "Auth0 My Account API"

func (rs *ResourceServer) fillDefaults(base string) {
	setDefault(&rs.ID, hexID(rs.Identifier))
	setDefault(&rs.SigningAlg, "RS256")
	lifetime, forWeb := 86400, 7200
	switch rs.Identifier {
	case base + "/me/":
		lifetime, forWeb, rs.IsSystem = 600, 600, true
		if len(rs.Scopes) == 0 {
			rs.Scopes = myAccountScopes()
		}
		rs.closeToMachines()
	case base + "/api/v2/":
		rs.IsSystem, rs.Scopes = true, managementScopes()
	}
	setDefaultNumber(&rs.TokenLifetime, lifetime)
	setDefaultNumber(&rs.TokenLifetimeForWeb, forWeb)
}

// closeToMachines: Auth0 gives the My Account API to no machine, and that
// cannot be changed; users need a client grant unless it says otherwise.
func (rs *ResourceServer) closeToMachines() {
	if rs.SubjectTypeAuthorization == nil {
		rs.SubjectTypeAuthorization = &SubjectTypeAuthorization{}
	}
	if rs.SubjectTypeAuthorization.User == nil {
		rs.SubjectTypeAuthorization.User = &AccessPolicy{Policy: "require_client_grant"}
	}
	rs.SubjectTypeAuthorization.Client = &AccessPolicy{Policy: "deny_all"}
}

// policy is who may have the API's tokens, for users or for machines.
func (rs *ResourceServer) policy(subject string) string {
	of := rs.SubjectTypeAuthorization
	switch {
	case of != nil && subject == "user" && of.User != nil:
		return of.User.Policy
	case of != nil && subject == "client" && of.Client != nil:
		return of.Client.Policy
	case subject == "user":
		return "allow_all"
	}
	return "require_client_grant"
}

func (c *Client) fillDefaults() {
	custom := c.AppType == "resource_server"
	if c.IsFirstParty == nil {
		c.IsFirstParty = new(true)
	}
	if c.OIDCConformant == nil {
		c.OIDCConformant = new(custom)
	}
	if c.GrantTypes == nil && custom {
		c.GrantTypes = []string{}
	}
	if c.GrantTypes == nil {
		c.GrantTypes = []string{grantCode, "implicit", grantRefresh, grantClientCredentials}
	}
	if c.CustomLoginPageOn == nil {
		c.CustomLoginPageOn = new(true)
	}
	if c.RefreshToken == nil {
		c.RefreshToken = &RefreshToken{}
	}
	c.RefreshToken.fillDefaults()
	if c.JWTConfiguration == nil && custom {
		c.JWTConfiguration = &JWTConfig{Alg: "RS256"}
	}
	if c.JWTConfiguration == nil {
		c.JWTConfiguration = &JWTConfig{LifetimeInSeconds: 36000}
	}
}

func (rt *RefreshToken) fillDefaults() {
	setDefault(&rt.RotationType, "non-rotating")
	setDefault(&rt.ExpirationType, "non-expiring")
	setDefaultNumber(&rt.TokenLifetime, 2592000)
	setDefaultNumber(&rt.IdleTokenLifetime, 1296000)
	if rt.ExpirationType == "non-expiring" {
		rt.InfiniteTokenLifetime, rt.InfiniteIdleTokenLifetime = true, true
	}
}

func (g *ClientGrant) fillDefaults() {
	setDefault(&g.SubjectType, "client")
	setDefault(&g.ID, "cgr_"+hexID(g.ClientID, g.Audience, g.SubjectType)[:16])
	if g.Scope == nil {
		g.Scope = []string{}
	}
}

func (c *Connection) fillDefaults() {
	setDefault(&c.ID, "con_"+hexID(c.Name)[:16])
	if c.EnabledClients == nil {
		c.EnabledClients = []string{}
	}
	if c.Realms == nil {
		c.Realms = []string{c.Name}
	}
}

// hexID is an id made of names: the same tenant.json has the same ids.
func hexID(names ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(names, "\x00")))
	return hex.EncodeToString(sum[:12])
}

func (u *User) fillDefaults() {
	if u.UserID == "" {
		u.UserID = "auth0|" + hexID(strings.ToLower(u.Email))
	}
	setDefault(&u.Name, u.Email)
	setDefault(&u.Nickname, localPart(u.Email))
	setDefault(&u.CreatedAt, timestamp(time.Now()))
	setDefault(&u.UpdatedAt, u.CreatedAt)
	for i := range u.Authenticators {
		u.Authenticators[i].fillDefaults()
	}
}

// localPart is an e-mail address up to the @.
func localPart(email string) string {
	local, _, _ := strings.Cut(email, "@")
	return local
}

func setDefault(s *string, value string) {
	if *s == "" {
		*s = value
	}
}

func setDefaultNumber(n *int, value int) {
	if *n == 0 {
		*n = value
	}
}
