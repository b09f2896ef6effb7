package intake

import (
	"fmt"
	"io"

	"waxwing/internal/foreign"
	"waxwing/internal/text"
)

// LineListing is how the lines of a digest are listed for people.
func LineListing() text.List[Line] {
	return text.List[Line]{Columns: text.Columns("DOMAIN|SOURCE|IS|BY|POLICY|PASSED|FAILED|HIT", "POLICY", "BY"), Cells: func(l *Line) []any {
		kind := string(l.Kind)
		if l.Unverified {
			kind += " (https, not authenticated)"
		}
		return []any{l.Domain, l.Source, kind, l.By, l.Policy, l.Passed, l.Failed, l.Hit}
	}}
}

// PrintAdvice writes what stands below the lines: what to do.
func (d *Digest) PrintAdvice(w io.Writer) {
	for i, a := range d.Advice {
		if i == 0 {
			fmt.Fprint(w, "\nWhat to do:\n")
		}
		urgent := ""
		if a.Urgent {
			urgent = " (urgent)"
		}
		fmt.Fprintf(w, "  %s%s: %s\n", a.Domain, urgent, foreign.Shown(a.Text))
	}
	if d.Truncated {
		fmt.Fprint(w, "\nThere are more reports than were summed up: ask for one --domain, or fewer --days.\n")
	}
}
