package auth0test

import (
	"net/http"
	"slices"
	"strconv"
)

// A factor has a name of its own among Guardian's methods, among a user's
// authentication methods, and as an Authenticator's type.
type factor struct{ name, method, authenticator string }

var factors = []factor{
	{"sms", "phone", "sms"},
	{"push-notification", "push-notification", "push-notification"},
	{"otp", "totp", "otp"},
	{"email", "email", "email"},
	{"duo", "duo", ""},
	{"webauthn-roaming", "webauthn-roaming", "webauthn-roaming"},
	{"webauthn-platform", "webauthn-platform", "webauthn-platform"},
	{"recovery-code", "recovery-code", "recovery-code"},
}

// listAuthenticationMethods is GET …/users/{id}/authentication-methods.
func (t *Tenant) listAuthenticationMethods(r *managementRequest) (reply, error) {
	page, err := r.page(numbered)
	if err != nil {
		return reply{}, err
	}
	list, err := t.enrolled(r, func(id, method, since string) map[string]any {
		return map[string]any{"id": id, "type": method, "confirmed": true, "created_at": since}
	})
	return page.reply("authenticators", list, r), err
}

// listEnrollments is GET …/users/{id}/enrollments.
func (t *Tenant) listEnrollments(r *managementRequest) (reply, error) {
	list, err := t.enrolled(r, func(id, method, since string) map[string]any {
		return map[string]any{"id": id, "status": "confirmed", "type": method, "enrolled_at": since}
	})
	return reply{http.StatusOK, list}, err
}

// enrolled shows a user's second factors.
func (t *Tenant) enrolled(r *managementRequest, show func(id, method, since string) map[string]any) ([]any, error) {
	u := t.cfg().user(r.PathValue("id"))
	if u == nil {
		return nil, errNoUser
	}
	list := []any{}
	for i, a := range u.Authenticators {
		method := a.Type
		if f := find(factors, func(f factor) bool { return a.Type == f.authenticator }); f != nil {
			method = f.method
		}
		list = append(list, show(method+"|dev_"+hexID(u.UserID, strconv.Itoa(i))[:16], method, u.CreatedAt))
	}
	return list, nil
}

// listFactors is GET …/guardian/factors.
func (t *Tenant) listFactors(*managementRequest) (reply, error) {
	list := make([]any, 0, len(factors))
	for _, f := range factors {
		list = append(list, map[string]any{
			"name": f.name, "enabled": slices.Contains(t.cfg().Settings.MFAFactors, f.name), "trial_expired": false,
		})
	}
	return reply{http.StatusOK, list}, nil
}

// getMFAPolicies is GET …/guardian/policies: none, or the one.
func (t *Tenant) getMFAPolicies(*managementRequest) (reply, error) {
	policies := []string{}
	switch t.cfg().Settings.MFAPolicy {
	case "always":
		policies = append(policies, "all-applications")
	case "adaptive":
		policies = append(policies, "confidence-score")
	}
	return reply{http.StatusOK, policies}, nil
}

// putMFAPolicies is PUT …/guardian/policies.
func (t *Tenant) putMFAPolicies(r *managementRequest) (reply, error) {
	var policies []string
	if err := decodeMembers(r.body, &policies); err != nil {
		return reply{}, err
	}
	policy := "never"
	for _, name := range policies {
		switch name {
		case "all-applications":
			policy = "always"
		case "confidence-score":
			policy = "adaptive"
		default:
			return reply{}, invalidBody("No enum match for: %s", name)
		}
	}
	err := t.change(func(cfg *Config) error {
		cfg.Settings.MFAPolicy = policy
		return nil
	})
	if err != nil {
		return reply{}, err
	}
	return t.getMFAPolicies(r)
}
