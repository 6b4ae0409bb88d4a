package tenantsetup

import (
	"fmt"
	"io"
)

// Progress is told what a run is doing, in a few words; empty: nothing any more.
type Progress func(string)

// NewProgress writes progress to w: on a terminal one line that changes and goes
// away, elsewhere a line for each step.
func NewProgress(w io.Writer, terminal bool) Progress {
	return func(text string) {
		switch {
		case terminal && text == "":
			fmt.Fprint(w, clearLine)
		case terminal:
			fmt.Fprintf(w, "%s%s…", clearLine, printable(text))
		case text != "":
			fmt.Fprintf(w, "token-vault: %s\n", printable(text))
		}
	}
}

// clearLine goes to the beginning of a terminal's line and empties it.
const clearLine = "\r\x1b[K"
