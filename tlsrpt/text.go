package tlsrpt

import (
	"cmp"
	"fmt"
	"strings"
	"time"
	"unicode"
)

// maxTextDetails bounds what Text lists of one policy.
const maxTextDetails = 100

// Text is the report for people, lines ended by LF. What others wrote is
// printed without control characters.
func (r *Report) Text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "TLS report of %s", cmp.Or(printable(r.Organization), "(no name)"))
	if r.Contact != "" {
		fmt.Fprintf(&b, " (%s)", printable(r.Contact))
	}
	fmt.Fprintf(&b, "\nId:    %s\nRange: %s to %s\n", printable(r.ID), r.Begin.UTC().Format(time.RFC3339), r.End.UTC().Format(time.RFC3339))
	for i := range r.Policies {
		r.Policies[i].text(&b)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "\nNote: %s\n", printable(n))
	}
	if err := r.Check(); err != nil {
		fmt.Fprintf(&b, "\nNote: the report does not add up: %s\n", printable(err.Error()))
	}
	return b.String()
}

func (p *PolicyResult) text(b *strings.Builder) {
	fmt.Fprintf(b, "\n%s, policy %s: %d sessions ok, %d failed\n", printable(p.Domain), printable(string(p.Type)), p.Success, p.Failed)
	for i, s := range p.Strings {
		if i == maxTextDetails {
			break
		}
		fmt.Fprintf(b, "  | %s\n", printable(s))
	}
	explained := map[ResultType]bool{}
	for i, d := range p.Details {
		if i == maxTextDetails {
			fmt.Fprintf(b, "  … and %d more\n", len(p.Details)-i)
			break
		}
		d.text(b)
		if !explained[d.Type] {
			explained[d.Type] = true
			meaning, cure := d.Type.Advice(printable(p.Domain))
			fmt.Fprintf(b, "      %s\n      %s\n", meaning, cure)
		}
	}
}

func (d *FailureDetail) text(b *strings.Builder) {
	fmt.Fprintf(b, "  %d x %s", d.Sessions, printable(string(d.Type)))
	if host := cmp.Or(d.MXHostname, d.HELO); host != "" {
		fmt.Fprintf(b, " at %s", printable(host))
	}
	if d.ReceivingIP != "" {
		fmt.Fprintf(b, " [%s]", printable(d.ReceivingIP))
	}
	if d.SendingIP != "" {
		fmt.Fprintf(b, " from [%s]", printable(d.SendingIP))
	}
	if d.Reason != "" {
		fmt.Fprintf(b, ": %s", printable(d.Reason))
	}
	if d.Info != "" {
		fmt.Fprintf(b, " (%s)", printable(d.Info))
	}
	b.WriteByte('\n')
}

// Printable is foreign text without control characters, fit for a terminal.
func Printable(s string) string { return printable(s) }

// printable keeps a peer's text from moving the cursor of who reads it.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '\uFFFD'
		}
		return r
	}, s)
}
