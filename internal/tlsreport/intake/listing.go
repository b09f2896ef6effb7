package intake

import (
	"fmt"
	"io"

	"waxwing/internal/text"
	"waxwing/tlsrpt"
)

// LineListing is how the lines of a digest are listed for people.
func LineListing() text.List[Line] {
	return text.List[Line]{Columns: text.Columns("DOMAIN|DAY|REPORTER|POLICY|OK|FAILED", "POLICY"), Cells: func(l *Line) []any {
		by := l.Reporter
		if l.Source != "mail" {
			by += " (" + l.Source + ", not authenticated)"
		}
		return []any{l.Domain, l.Day, by, text.Words(string(l.Policy), l.Mode), l.OK, l.Failed}
	}}
}

// PrintAdvice writes what stands below the lines: the failures, and what to do.
func (d *Digest) PrintAdvice(w io.Writer) {
	printFailures(w, d.Lines)
	for i, a := range d.Advice {
		if i == 0 {
			fmt.Fprint(w, "\nWhat to do:\n")
		}
		urgent := ""
		if a.Urgent {
			urgent = " (urgent)"
		}
		fmt.Fprintf(w, "  %s%s: %s\n", a.Domain, urgent, tlsrpt.Printable(a.Text))
	}
	if d.Truncated {
		fmt.Fprint(w, "\nThere are more reports than were summed up: ask for one --domain, or fewer --days.\n")
	}
}

// printFailures lists the failures below the table, each type explained once.
func printFailures(w io.Writer, lines []Line) {
	explained := map[tlsrpt.ResultType]bool{}
	for _, l := range lines {
		for _, x := range l.Failures {
			fmt.Fprintf(w, "\n%s %s, %s: %d x %s", l.Domain, l.Day, l.Reporter, x.Sessions, tlsrpt.Printable(string(x.Type)))
			if x.MXHost != "" {
				fmt.Fprintf(w, " at %s", tlsrpt.Printable(x.MXHost))
			}
			if x.Reason != "" {
				fmt.Fprintf(w, ": %s", tlsrpt.Printable(x.Reason))
			}
			fmt.Fprintln(w)
			if !explained[x.Type] {
				explained[x.Type] = true
				fmt.Fprintf(w, "    %s\n    %s\n", x.Meaning, x.Cure)
			}
		}
		if l.Incomplete {
			fmt.Fprintf(w, "%s %s, %s: and more kinds of failures; \"waxwing tlsrpt reports\" and show list them\n", l.Domain, l.Day, l.Reporter)
		}
	}
}
