package tlsreport

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/outbox"
	"waxwing/internal/tlsresult"
	"waxwing/message"
	"waxwing/tlsrpt"
)

// compose makes the report of a unit, and what its mail holds (RFC 8460 §5.3).
func (s *Service) compose(u *outbox.Unit, rows []tlsresult.Row, from dns.Name) (d outbox.Draft, err error) {
	r := s.report(u, rows, from, s.Now())
	d.ID = r.ID
	d.OK, d.Failed = r.Totals()
	if d.Text, err = r.Encode(); err != nil {
		return d, err
	}
	if d.Body, err = tlsrpt.Compress(d.Text); err != nil {
		return d, err
	}
	name := tlsrpt.Filename(from.ASCII(), u.Name, r.Begin, r.End, unique(u))
	d.Subject = "Report Domain: " + u.Name + " Submitter: " + from.ASCII() + " Report-ID: <" + r.ID + ">"
	d.Fields = []message.Pair{{Name: "TLS-Report-Domain", Value: u.Name}, {Name: "TLS-Report-Submitter", Value: from.ASCII()}, {Name: "TLS-Required", Value: "No"}}
	d.Mail = message.Entity{
		Type: "multipart/report", Params: map[string]string{"report-type": "tlsrpt"},
		Parts: []message.Entity{
			{Type: "text/plain", Params: map[string]string{"charset": "utf-8"}, Body: message.ToCRLF(summary(u, r, rows, from))},
			{Type: tlsrpt.MediaGzip, Encoding: message.Base64, Body: d.Body,
				Params: map[string]string{"name": name},
				Fields: []message.Pair{{Name: "Content-Disposition", Value: `attachment; filename="` + name + `"`}}},
		},
	}
	return d, nil
}

// report is the report of a unit. The same unit always gives the same id, so
// that a report that arrives twice is known as one; a partial one has its own.
func (s *Service) report(u *outbox.Unit, rows []tlsresult.Row, from dns.Name, now time.Time) *tlsrpt.Report {
	left := u.Date() + "." + []string{"domain", "host"}[u.Kind] + "." + u.Name
	end := tlsresult.Start(u.Day + 1).Add(-time.Second)
	if u.Partial {
		left += ".partial-" + strconv.FormatInt(now.Unix(), 10)
		end = now.UTC().Truncate(time.Second)
	}
	r := &tlsrpt.Report{
		Organization: s.Organization, Begin: tlsresult.Start(u.Day), End: end,
		Contact: s.Contact(from), ID: left + "@" + from.ASCII(),
	}
	if r.Organization == "" {
		r.Organization = from.ASCII()
	}
	if !r.End.After(r.Begin) {
		r.End = r.Begin.Add(time.Second)
	}
	for _, row := range rows {
		r.Policies = append(r.Policies, row.Policy())
	}
	return r
}

// unique tells reports about one policy domain and range apart: as a domain, as
// an MX host, or of a part of the day.
func unique(u *outbox.Unit) string {
	switch {
	case u.Partial:
		return "partial"
	case u.Kind == mxHost:
		return "host"
	}
	return "domain"
}

// summary is the readable part.
func summary(u *outbox.Unit, r *tlsrpt.Report, rows []tlsresult.Row, from dns.Name) string {
	var b strings.Builder
	ok, failed := r.Totals()
	what := "mail to " + u.Name
	if u.Kind == mxHost {
		what = "the mail host " + u.Name
	}
	fmt.Fprintf(&b, "This is an aggregate TLS report from %s about %s,\nfrom %s to %s.\n\n", from, what,
		r.Begin.Format(time.RFC3339), r.End.Format(time.RFC3339))
	if u.Partial {
		b.WriteString("It is a trial report of a day that is not over; the report of the whole day follows.\n\n")
	}
	fmt.Fprintf(&b, "Sessions that met a policy: %d. Sessions that did not: %d.\n", ok, failed)
	if len(r.Policies) > 1 {
		b.WriteString("A session that was held to more than one policy counts under each.\n")
	}
	b.WriteByte('\n')
	for _, row := range rows {
		fmt.Fprintf(&b, "%s for %s, mail to %s: %d met, %d failed\n", row.Type, row.PolicyDomain, row.Domain, row.OK, row.Failed)
		for _, d := range row.Details[:min(len(row.Details), 20)] {
			fmt.Fprintf(&b, "  %d x %s at %s: %s\n", d.Count, d.Type, d.MXHostname, d.Reason)
		}
	}
	fmt.Fprintf(&b, "\nThe attached file holds the details (RFC 8460). Report-ID: %s\n", r.ID)
	return b.String()
}
