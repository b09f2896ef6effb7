package tlsreport

import (
	"fmt"
	"io"

	"waxwing/tlsrpt"
)

// Print writes it for people.
func (p *Published) Print(w io.Writer) {
	fmt.Fprintf(w, "%s (%s)\n", p.Name, p.Security)
	for _, t := range p.Texts {
		fmt.Fprintf(w, "  TXT  %s\n", tlsrpt.Printable(t))
	}
	for _, a := range p.RUA {
		note := ""
		if a.Suppressed {
			note = "  suppressed: see \"waxwing tlsrpt suppress list\""
		}
		fmt.Fprintf(w, "  reports go to %s%s\n", tlsrpt.Printable(a.URI), note)
	}
	for _, u := range p.Unsupported {
		fmt.Fprintf(w, "  not supported: %s\n", tlsrpt.Printable(u))
	}
	for _, f := range p.Faulty {
		fmt.Fprintf(w, "  passed over: %s\n", tlsrpt.Printable(f))
	}
	if p.Problem != "" {
		fmt.Fprintf(w, "  %s\n", tlsrpt.Printable(p.Problem))
	}
}
