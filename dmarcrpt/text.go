package dmarcrpt

import (
	"fmt"
	"strings"
	"time"

	"waxwing/internal/foreign"
)

// maxShown bounds the records that Text lists.
const maxShown = 200

// Text is the report for people, lines ended by LF, without control characters.
func (r *Report) Text() string {
	var b strings.Builder
	line := func(format string, args ...any) {
		b.WriteString(strings.TrimRight(foreign.Shown(fmt.Sprintf(format, args...)), " ") + "\n")
	}
	line("DMARC report of %s (%s)", r.Org, r.Email)
	line("Id:     %s", r.ID)
	line("Range:  %s to %s", r.Begin.Format(time.RFC3339), r.End.Format(time.RFC3339))
	p := r.Policy
	line("Policy: %s p=%s sp=%s np=%s adkim=%s aspf=%s t=%s", p.Domain, p.P, p.SP, p.NP, p.ADKIM, p.ASPF, p.Testing)
	passed, failed := r.Totals()
	line("Messages that passed: %d; that failed: %d", passed, failed)
	for i := range r.Records {
		if i == maxShown {
			line("… and %d rows more", len(r.Records)-i)
			break
		}
		r.Records[i].text(line)
	}
	for _, e := range r.Errors {
		line("Error: %s", e)
	}
	for _, n := range r.Notes {
		line("Note: %s", n)
	}
	return b.String()
}

func (r *Record) text(line func(string, ...any)) {
	line("")
	line("%d from %s as %s (envelope %s): %s; dkim %s, spf %s", r.Count, r.SourceIP, r.HeaderFrom, r.EnvelopeFrom, r.Disposition, r.DKIM, r.SPF)
	for _, x := range r.DKIMResults {
		line("  dkim %s: %s %s %s", x.Result, x.Domain, x.Selector, x.Human)
	}
	for _, x := range r.SPFResults {
		line("  spf %s: %s %s %s", x.Result, x.Domain, x.Scope, x.Human)
	}
	for _, x := range r.Reasons {
		line("  because %s %s", x.Type, x.Comment)
	}
}
