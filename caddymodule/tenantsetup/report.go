package tenantsetup

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
)

// Exit codes of both commands.
const (
	ExitOK        = 0
	ExitWrong     = 1 // something is wrong, or left to do
	ExitCannotRun = 2
)

// marks are how findings begin.
var marks = map[Status]string{StatusOK: "✓", StatusWrong: "✗", StatusUnknown: "?"}

// ExitCode is 1 if something is wrong; what could not be seen does not count.
func ExitCode(reports []*Report) int {
	for _, report := range reports {
		for _, f := range report.Findings {
			if f.Status == StatusWrong {
				return ExitWrong
			}
		}
	}
	return ExitOK
}

// WriteJSON writes reports for programs, and for people who look at them on a
// terminal: what that would obey is escaped.
func WriteJSON(w io.Writer, reports []*Report) error {
	var text, shown strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(map[string]any{"tenants": reports}); err != nil {
		return err
	}
	for _, r := range text.String() {
		if unicode.IsPrint(r) || r == '\n' {
			shown.WriteRune(r)
			continue
		}
		for _, unit := range utf16.AppendRune(nil, r) {
			fmt.Fprintf(&shown, `\u%04x`, unit)
		}
	}
	_, err := io.WriteString(w, shown.String())
	return err
}

// WriteText writes reports for people: what was seen, one line each; what is
// wrong, with how to mend it; what could not be seen, by reason.
func WriteText(w io.Writer, reports []*Report) {
	for _, report := range reports {
		fmt.Fprintf(w, "Auth0 tenant %s (%s)\n\n", printable(report.Issuer), printable(report.Tenant))
		width := 0
		for _, f := range report.Findings {
			if f.Status != StatusUnknown {
				width = max(width, len(f.Check))
			}
		}
		for _, f := range report.Findings {
			if f.Status != StatusUnknown {
				writeFinding(w, f, width)
			}
		}
		writeUnseen(w, report)
		count := make(map[Status]int)
		for _, f := range report.Findings {
			count[f.Status]++
		}
		fmt.Fprintf(w, "\n%d ✓   %d ✗   %d ?\n", count[StatusOK], count[StatusWrong], count[StatusUnknown])
	}
}

// WriteError writes why a command could not do what it is for.
func WriteError(w io.Writer, err error) {
	for line := range strings.Lines(err.Error()) {
		fmt.Fprintf(w, "token-vault: %s\n", printable(strings.TrimSuffix(line, "\n")))
	}
}

// writeFinding writes one line, and for what is wrong how to mend it.
func writeFinding(w io.Writer, f Finding, width int) {
	fmt.Fprintf(w, "%s %-*s  %s\n", marks[f.Status], width, f.Check, printable(subject(f)+f.Found))
	if f.Status != StatusWrong {
		return
	}
	for _, line := range [][2]string{{"expected", f.Expected}, {"Dashboard", f.Dashboard}, {"CLI", f.CLI}} {
		if line[1] != "" {
			fmt.Fprintf(w, "    %-9s  %s\n", line[0], printable(line[1]))
		}
	}
}

func subject(f Finding) string {
	if f.Subject == "" {
		return ""
	}
	return f.Subject + ": "
}

// writeUnseen writes what could not be seen, by reason.
func writeUnseen(w io.Writer, report *Report) {
	var reasons []string
	checks := make(map[string][]string)
	for _, f := range report.Findings {
		if f.Status != StatusUnknown {
			continue
		}
		if checks[f.Found] == nil {
			reasons = append(reasons, f.Found)
		}
		name := f.Check
		if f.Subject != "" {
			name += " (" + f.Subject + ")"
		}
		checks[f.Found] = append(checks[f.Found], name)
	}
	for _, reason := range reasons {
		fmt.Fprintf(w, "\n? not seen: %s\n", printable(reason))
		writeWrapped(w, checks[reason])
		if reason == errNoCredentials.Error() {
			fmt.Fprintf(w, "    That takes a machine-to-machine application for the Management API with\n")
			writeWrapped(w, report.scopes)
			fmt.Fprintf(w, "    as management <id> <secret> in the configuration, or in the environment as\n"+
				"    AUTH0_MANAGEMENT_CLIENT_ID and AUTH0_MANAGEMENT_CLIENT_SECRET.\n")
		}
	}
}

// writeWrapped writes words over as many lines as they take.
func writeWrapped(w io.Writer, words []string) {
	const most = 76
	line := ""
	for _, word := range words {
		word = printable(word)
		if line != "" && len(line)+2+len(word) > most {
			fmt.Fprintf(w, "    %s,\n", line)
			line = ""
		}
		if line != "" {
			line += ", "
		}
		line += word
	}
	if line != "" {
		fmt.Fprintf(w, "    %s\n", strings.TrimSpace(line))
	}
}
