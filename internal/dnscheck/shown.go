package dnscheck

import (
	"fmt"
	"io"

	"waxwing/dns"
	"waxwing/internal/dnsfinding"
	"waxwing/internal/text"
)

// Shown is what was found of one domain, as it is shown.
type Shown struct {
	Domain   string               `json:"domain"`
	Worst    dnsfinding.Level     `json:"worst"`
	Findings []dnsfinding.Finding `json:"findings"`
}

// NewShown makes it.
func NewShown(domain dns.Name, found []dnsfinding.Finding) Shown {
	return Shown{Domain: domain.ASCII(), Worst: dnsfinding.Worst(found), Findings: found}
}

// Count is how many findings have a level.
func (c *Shown) Count(l dnsfinding.Level) (n int) {
	for _, f := range c.Findings {
		if f.Level == l {
			n++
		}
	}
	return n
}

// Print writes it for people: what is wrong with its cure, and what is well in a line.
func (c *Shown) Print(w io.Writer, all bool) {
	fmt.Fprintf(w, "%s: %s, %d advice, %d not seen, %d ok\n", c.Domain, text.Count(c.Count(dnsfinding.Fault), "fault"),
		c.Count(dnsfinding.Advice), c.Count(dnsfinding.Unknown), c.Count(dnsfinding.OK))
	for _, f := range c.Findings {
		if f.Level == dnsfinding.OK {
			if all {
				fmt.Fprintf(w, "\nok       %s\n", text.Words(f.Subject+":", f.Seen))
			}
			continue
		}
		fmt.Fprintf(w, "\n%-8s %s: %s\n", f.Level, f.Subject, f.Word)
		for _, line := range [][2]string{{"seen", f.Seen}, {"wanted", f.Wanted}, {"cause", f.Cause}, {"cure", f.Cure}} {
			if line[1] != "" {
				fmt.Fprintf(w, "  %-7s %s\n", line[0]+":", line[1])
			}
		}
	}
	fmt.Fprintln(w)
}

// PrintNew is Print for a domain that has just been added.
func (c *Shown) PrintNew(w io.Writer) {
	fmt.Fprintf(w, "What DNS has today (again: \"waxwing dns check %s\"):\n\n", c.Domain)
	c.Print(w, false)
}
