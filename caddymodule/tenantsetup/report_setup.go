package tenantsetup

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// WritePlan writes what there is, what setup would do, what it leaves to people,
// and how to go on.
func WritePlan(w io.Writer, plan *Plan) {
	writeThere(w, plan)
	for i := range plan.Changes {
		writeChange(w, &plan.Changes[i])
	}
	writeByHand(w, plan)
	switch len(plan.Changes) {
	case 0:
		fmt.Fprintf(w, "\n%s\n", nothingToDo)
		return
	case 1:
		fmt.Fprintf(w, "\nOne change.\n")
	default:
		fmt.Fprintf(w, "\n%d changes.\n", len(plan.Changes))
	}
	fmt.Fprintf(w, "Nothing has been changed. The same command with --apply does it.\n")
}

const nothingToDo = "There is nothing to set up."

// writeThere writes what there is.
func writeThere(w io.Writer, plan *Plan) {
	fmt.Fprintf(w, "Auth0 tenant %s (%s)\n", printable(plan.Needs.Issuer), printable(plan.Needs.Tenant))
	if len(plan.Exists) > 0 {
		fmt.Fprintf(w, "\nAs it should be:\n")
		var names []string
		for _, f := range plan.Exists {
			name := f.Check + either(f.Subject == "", "", " ("+f.Subject+")")
			if !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
		writeWrapped(w, names)
	}
	for _, v := range plan.Adopted {
		fmt.Fprintf(w, "\nAlready there, under another id than the configuration's: %s=%s\n", printable(cmp.Or(v.IDVariable, v.Agent)), printable(v.ID))
	}
}

// writeByHand writes what is left to people.
func writeByHand(w io.Writer, plan *Plan) {
	if len(plan.ByHand) == 0 {
		return
	}
	fmt.Fprintf(w, "\nLeft to you:\n\n")
	for _, f := range plan.ByHand {
		writeFinding(w, f, 0)
	}
}

// writeChange writes what would be sent, member by member.
func writeChange(w io.Writer, c *Change) {
	fmt.Fprintf(w, "\n%s %s: %s %s\n", either(c.creates(), "Would create", "Would change"), printable(c.What),
		c.Method, printable(strings.Join(c.Path, "/")))
	members, ok := c.shown().(map[string]any)
	if !ok {
		fmt.Fprintf(w, "    %s\n", printable(compact(c.shown())))
		return
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		fmt.Fprintf(w, "    %s: %s\n", printable(name), printable(compact(members[name])))
	}
}

// WriteOutcome writes what there was, what was done, what was not, how to go on, and
// what there is to put into the environment; file is where some of that is kept.
func WriteOutcome(w io.Writer, plan *Plan, out Outcome, file string) {
	writeThere(w, plan)
	fmt.Fprintln(w)
	if len(plan.Changes) == 0 {
		fmt.Fprintln(w, nothingToDo)
	}
	for _, c := range out.Done {
		fmt.Fprintf(w, "✓ %s %s\n", either(c.creates(), "created", "changed"), printable(c.What))
	}
	for i, c := range out.Refused {
		fmt.Fprintf(w, "✗ %s: Auth0 does not let a program do this\n", printable(c.What))
		if i == 0 && out.Why != nil {
			fmt.Fprintf(w, "    %s\n", printable(out.Why.Error()))
		}
		fmt.Fprintf(w, "    Dashboard  %s\n", printable(c.Dashboard))
	}
	writeFailure(w, out)
	if len(out.Kept) > 0 {
		fmt.Fprintf(w, "✓ appended to %s: %s\n", printable(file), printable(strings.Join(out.Kept, " ")))
	}
	writeByHand(w, plan)
	writeEnvironment(w, out.Variables)
	for _, c := range out.Done {
		if c.as == newLink {
			name := printable(plan.Needs.Link.Name)
			fmt.Fprintf(w, "\nPeople sign in to the new application %s as to the agent's: enable the same connections for both\n"+
				"    Dashboard  Applications > Applications > %s > Connections\n", name, name)
		}
	}
	if out.Err == nil && len(out.Kept)+len(out.Variables)+len(plan.Adopted) > 0 {
		fmt.Fprintf(w, "\nWith these in the environment, token-vault doctor says what is still missing. It cannot\nsee by which connections people are to sign in: enable those for new applications.\n")
	}
}

// writeFailure writes why a run ended early, and how to go on.
func writeFailure(w io.Writer, out Outcome) {
	if out.Err == nil {
		return
	}
	if out.Failed != nil {
		fmt.Fprintf(w, "✗ %s: ", printable(out.Failed.What))
	}
	fmt.Fprintln(w, printable(out.Err.Error()))
	for _, c := range out.Left {
		fmt.Fprintf(w, "  not done: %s\n", printable(c.What))
	}
	fmt.Fprintf(w, "\nRun the same command again when that is mended: what is done is found, and not done twice.\n"+
		"If no answer came, the failed change may have been made or not: the next run sees which.\n")
}

// writeEnvironment writes variables that nobody keeps.
func writeEnvironment(w io.Writer, variables []Variables) {
	if len(variables) == 0 {
		return
	}
	fmt.Fprintf(w, "\n# For Caddy's environment. New secrets are shown this once. An id that the\n"+
		"# configuration spells out has to be changed there.\n")
	for _, v := range variables {
		_, _ = WriteVariables(w, v, "")
	}
}

// WriteVariables writes lines for a shell, or for Caddy's --envfile, after those
// that are there, and returns the names of the variables that they set. The secret
// is there in clear, and nowhere else. An id without a variable is a comment.
func WriteVariables(w io.Writer, v Variables, there string) (names []string, err error) {
	whose := "# the agent " + printable(v.Agent)
	if v.IDVariable == "" {
		_, err = fmt.Fprintf(w, "%s: %s in allow_clients\n", whose, printable(v.ID))
		return nil, err
	}
	lines := "export " + v.IDVariable + "=" + quote(printable(v.ID)) + "\n"
	known := strings.Contains("\n"+there, "\n"+lines)
	if known {
		lines = ""
	} else {
		lines = either(v.Agent == "", "", whose+"\n") + lines
		names = append(names, v.IDVariable)
	}
	switch secret := v.Secret.Reveal(); {
	case v.SecretVariable == "":
	case secret != "" && printable(secret) == secret: // Auth0's are letters, digits, - and _
		lines += "export " + v.SecretVariable + "=" + quote(secret) + "\n"
		names = append(names, v.SecretVariable)
	case !known: // with a known id came its secret, or this line
		lines += "# " + v.SecretVariable + ": Applications > Applications > (" + printable(v.ID) + ") > Settings > Client Secret\n"
	}
	_, err = io.WriteString(w, lines)
	return names, err
}
