package tenantsetup

// Status says how a check ended.
type Status string

const (
	// StatusOK is shown as ✓.
	StatusOK Status = "ok"
	// StatusWrong is shown as ✗: something has to be changed.
	StatusWrong Status = "wrong"
	// StatusUnknown is shown as ?: it could not be seen.
	StatusUnknown Status = "unknown"
)

// Finding is what one check has to say.
type Finding struct {
	// Check is the check's id; the package comment lists them.
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Subject is what the check is about, where there may be several: a
	// connection, an agent.
	Subject string `json:"subject,omitempty"`
	// Found is what the tenant has, or why that could not be seen.
	Found string `json:"found"`
	// Expected is what it should have.
	Expected string `json:"expected,omitempty"`
	// Dashboard is where to change it in the Auth0 Dashboard.
	Dashboard string `json:"dashboard,omitempty"`
	// CLI is a line for Auth0's own command line that changes it, or opens the page
	// where to. Empty where no one call changes that and nothing else.
	CLI string `json:"cli,omitempty"`

	change *Change
	byHand bool // the change is the operator's to decide
}

func fine(check, found string) Finding {
	return Finding{Check: check, Status: StatusOK, Found: found}
}

func unseen(check string, err error) Finding {
	return Finding{Check: check, Status: StatusUnknown, Found: err.Error()}
}

// wrong begins a finding of something that has to be changed.
func wrong(check, found, expected, dashboard string) Finding {
	return Finding{Check: check, Status: StatusWrong, Found: found, Expected: expected, Dashboard: dashboard}
}

// about names what a finding is about.
func (f Finding) about(subject string) Finding {
	f.Subject = subject
	return f
}

// mendedBy is the change that setup makes.
func (f Finding) mendedBy(change Change) Finding {
	change.Check, change.Dashboard = f.Check, f.Dashboard
	f.change, f.CLI = &change, change.cli()
	return f
}

// mendedByHand is a change that setup leaves to the operator, since others may
// depend on what is there.
func (f Finding) mendedByHand(change Change) Finding {
	f = f.mendedBy(change)
	f.byHand = true
	return f
}

// opens is the line for a list that was not seen: sending it would drop what else
// is in it, so the line opens the application's page.
func (f Finding) opens(clientID string) Finding {
	f.CLI = "auth0 apps open " + quote(clientID)
	return f
}
