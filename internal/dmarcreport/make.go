package dmarcreport

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/dmarc"
	"waxwing/dmarcrpt"
	"waxwing/dns"
	"waxwing/internal/dmarcresult"
	"waxwing/internal/outbox"
	"waxwing/internal/store"
	"waxwing/message"
)

const (
	maxRUA  = 5 // addresses of a record that are reported to
	maxRows = dmarcresult.MaxOfOrganization
)

// day is what there is to report of a unit.
type day struct {
	dmarcresult.Parted
	rows    []dmarcresult.Row
	policy  dmarcrpt.Policy
	leftOut int64
}

// Make looks a domain's record up and composes its report.
func (s *Service) Make(ctx context.Context, u *outbox.Unit, from dns.Name) (outbox.Draft, error) {
	d, err := s.day(ctx, u)
	if err != nil {
		return outbox.Draft{}, err
	}
	if !slices.ContainsFunc(d.rows, func(r dmarcresult.Row) bool { return r.Mail > 0 }) {
		return outbox.Draft{State: outbox.Skipped, Note: "no mail but reports"}, nil
	}
	w := s.find(ctx, d.Domain)
	if w.state != "" {
		return outbox.Draft{State: w.state, Note: w.note}, nil
	}
	draft, err := s.compose(u, d, w, from)
	draft.State, draft.Note, draft.About = outbox.Reported, w.note, d.Domain
	for _, a := range w.rua {
		if a.maxSize > 0 && int64(len(draft.Body)) > a.maxSize { // RFC 7489 §6.2: after compression, before any encoding
			draft.Note = join(draft.Note, fmt.Sprintf("%s takes %d octets, the report has %d", a.uri, a.maxSize, len(draft.Body)))
			continue
		}
		draft.RUA = append(draft.RUA, a.uri)
	}
	return draft, err
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}

func (s *Service) day(ctx context.Context, u *outbox.Unit) (day, error) {
	p, err := of(u)
	if err != nil {
		return day{}, err
	}
	return store.Read(ctx, s.Store, func(tx *store.Tx) (d day, err error) {
		d.Parted = p
		if d.rows, err = dmarcresult.RowsOf(tx, u.Day, p, maxRows); err != nil {
			return d, err
		}
		if d.policy, err = dmarcresult.Policy(tx, u.Day, p); err != nil {
			return d, err
		}
		d.leftOut, err = dmarcresult.LeftOut(tx, u.Day, p.Domain)
		return d, err
	})
}

// where is the record of a policy domain, and where its reports go. A state other than ""
// says why they go nowhere; the note then says more, or else which addresses were passed over.
type where struct {
	answer dns.Answer[string]
	record *dmarc.Record
	rua    []destination
	state  outbox.State
	note   string
}

type destination struct {
	uri     string
	maxSize int64 // octets; 0: any
}

// find looks up where the reports about a policy domain go (RFC 9990 §3.4, §4).
func (s *Service) find(ctx context.Context, domain string) (w where) {
	at, name, err := policyName(domain)
	if err != nil {
		return where{state: outbox.None, note: err.Error()}
	}
	if w.answer, err = s.DNS.LookupTXT(ctx, name); err != nil {
		return where{state: outbox.Open, note: err.Error()}
	}
	if w.record = dmarc.Single(w.answer.Records); w.record == nil {
		w.state, w.note = outbox.None, "no DMARC record, or several, at "+name.ASCII()
		return w
	}
	if len(w.record.RUA) == 0 {
		w.state, w.note = outbox.None, "the record names no address for reports"
		return w
	}
	all, err := dmarc.Destinations(ctx, s.DNS, at, w.record.RUA, "rua")
	if err != nil {
		w.state, w.note = outbox.Open, err.Error()
		return w
	}
	for _, d := range all {
		a, err := address(d.URI)
		switch {
		case d.Problem != "":
			w.note = join(w.note, d.Problem)
		case err != nil:
			w.note = join(w.note, err.Error())
		case a == outbox.Address{}:
			w.note = join(w.note, d.URI+" is of a scheme that is not supported")
		case len(w.rua) == maxRUA:
			w.note = join(w.note, fmt.Sprintf("%s is beyond the first %d addresses", d.URI, maxRUA))
		default:
			w.rua = append(w.rua, destination{d.URI, w.record.MaxSize[d.URI]})
		}
	}
	if len(w.rua) == 0 {
		w.state = outbox.Invalid
	}
	return w
}

// compose makes the report of a unit, and what its mail holds (RFC 9990 §3.5.2).
func (s *Service) compose(u *outbox.Unit, d day, w where, from dns.Name) (out outbox.Draft, err error) {
	r := s.report(u, d, w, from)
	if out.Text, out.Body, err = r.Pack(); err != nil {
		return out, err
	}
	out.ID, out.Subject = r.ID, r.Subject(from.ASCII())
	out.OK, out.Failed = r.Totals()
	unique := ""
	if u.Partial {
		unique = "partial" + strconv.FormatInt(r.End.Unix(), 10)
	}
	name := r.Filename(from.ASCII(), unique)
	out.Mail = message.Entity{Type: "multipart/mixed", Parts: []message.Entity{
		{Type: "text/plain", Params: map[string]string{"charset": "utf-8"}, Body: message.ToCRLF(summary(u, d.Domain, r, from))},
		{Type: "application/gzip", Encoding: message.Base64, Body: out.Body, Params: map[string]string{"name": name},
			Fields: []message.Pair{{Name: "Content-Disposition", Value: `attachment; filename="` + name + `"`}}},
	}}
	return out, nil
}

// report is the report of a unit. The same unit always gives the same id, so that a report that
// arrives twice is known as one; a partial one has its own.
func (s *Service) report(u *outbox.Unit, d day, w where, from dns.Name) *dmarcrpt.Report {
	begin, end := d.Part.Times(u.Day)
	left := u.Date() + "." + d.Domain
	if d.Part.Hours > 0 {
		left = fmt.Sprintf("%sT%02d-%02d.%s", u.Date(), d.Part.Begin, d.Part.Begin+d.Part.Hours, d.Domain)
	}
	end = end.Add(-time.Second)
	if u.Partial {
		end = s.Now().UTC().Truncate(time.Second)
		left += ".partial-" + strconv.FormatInt(end.Unix(), 10)
	}
	r := &dmarcrpt.Report{Version: "1.0", Org: from.ASCII(), Email: s.Contact(from), ID: left + "@" + from.ASCII(), Begin: begin, End: end,
		Generator: "Waxwing", Policy: d.policy, Errors: slices.Clone(w.record.Problems)}
	if d.leftOut > 0 {
		r.Errors = append(r.Errors, fmt.Sprintf("%d messages of the day are not listed: they were of more different kinds than are kept", d.leftOut))
	}
	for i := range d.rows {
		r.Records = append(r.Records, d.rows[i].Record)
	}
	return r
}

// summary is the readable part.
func summary(u *outbox.Unit, domain string, r *dmarcrpt.Report, from dns.Name) string {
	var b strings.Builder
	ok, failed := r.Totals()
	fmt.Fprintf(&b, "This is an aggregate DMARC report from %s about mail that claims to be from %s,\nfrom %s to %s.\n\n", from, domain,
		r.Begin.Format(time.RFC3339), r.End.Format(time.RFC3339))
	if u.Partial {
		b.WriteString("It is a trial report of a time that is not over; the report of all of it follows.\n\n")
	}
	fmt.Fprintf(&b, "Messages that passed: %d. Messages that did not: %d.\n", ok, failed)
	fmt.Fprintf(&b, "\nThe attached file holds the details (RFC 9990). Report-ID: %s\n", r.ID)
	return b.String()
}
