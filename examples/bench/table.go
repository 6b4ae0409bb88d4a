package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// table is what was measured so far.
type table struct {
	rows   [][4]string
	missed bool // a figure
	failed bool // something could not be measured
}

// row adds a figure, and whether it is what was to be reached.
func (t *table) row(what, reach, measured string, reached bool) {
	verdict := "ok"
	if !reached {
		verdict, t.missed = "MISSED", true
	}
	t.note(what, reach, measured, verdict)
}

// note adds a line that nothing has to be reached on.
func (t *table) note(what, reach, measured, verdict string) {
	t.rows = append(t.rows, [4]string{what, reach, measured, verdict})
}

func (b *bench) print(out io.Writer) {
	fmt.Fprintf(out, "%s; %s\n\n", b.head, readCPUTime().others(b.started))
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "what\treach\tmeasured\t")
	for _, r := range b.rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", r[0], r[1], r[2], r[3])
	}
	_ = w.Flush()
	if b.quick {
		fmt.Fprintln(out, "\nThis was a try with -quick: these figures mean nothing.")
	}
}
