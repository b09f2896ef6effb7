package tlsreport

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"waxwing/dns"
	"waxwing/internal/delivery"
	"waxwing/internal/signing"
	"waxwing/internal/store"
	"waxwing/internal/tlsresult"
	"waxwing/message"
	"waxwing/tlsrpt"
)

// mail is one report mail, signed.
type mail struct {
	uri, to string
	from    dns.Name
	domain  delivery.RecipientDomain
	data    []byte
	id      int64            // of the message; store sets it
	content delivery.Content // data, as the Enqueuer has prepared it; store sets it
}

// store hands the octets of mails to the Enqueuer, ahead of the transaction that
// queues them.
func (s *Service) store(ctx context.Context, mails []mail) error {
	for i := range mails {
		ml := &mails[i]
		env := &delivery.Envelope{ID: store.NewID()}
		c, err := s.Enqueuer.Prepare(ctx, env, delivery.Bytes(ml.data))
		if err != nil {
			return fmt.Errorf("store the report to %s: %w", ml.to, err)
		}
		ml.id, ml.content = env.ID, c
	}
	return nil
}

// envelope: the report goes even where TLS fails (RFC 8460 §5.3), and nobody is
// told if it does not arrive (RPT-12). Ref names the row that waits for its
// outcome, and so does the return path, for a bounce that comes by mail.
func (m mail) envelope(deliveryID int64, secret []byte, now time.Time) *delivery.Envelope {
	return &delivery.Envelope{
		ID: m.id, Sender: returnPath(secret, deliveryID) + "@" + m.from.ASCII(), Need: delivery.TLSOptional, Purpose: delivery.TLSReport,
		Ref: strconv.FormatInt(deliveryID, 10), Size: int64(len(m.data)), Accepted: now, Peer: "tlsreport",
		Recipients: []delivery.Recipient{{
			ID: store.NewID(), Address: m.to, Domain: m.domain, Notify: delivery.NotifyNever,
		}},
	}
}

// signed are the header fields that the signature covers beside the usual ones (RPT-9).
func signed() []string { return []string{"TLS-Report-Domain", "TLS-Report-Submitter", "TLS-Required"} }

// compose fills m with the report and its mails. With no domain to send mail
// from, only https addresses are served, and Note says so.
func (s *Service) compose(ctx context.Context, m *Made, rows []tlsresult.Row) error {
	from, canMail, err := s.Submitter(ctx)
	if err != nil {
		return err
	}
	m.Report = s.report(m.unit, rows, from, m.partial, s.now())
	if m.JSON, err = m.Report.Encode(); err != nil {
		return err
	}
	if m.gzip, err = tlsrpt.Compress(m.JSON); err != nil {
		return err
	}
	if m.secret, err = s.secret(ctx); err != nil {
		return err
	}
	var notes []string
	if m.Note != "" {
		notes = append(notes, m.Note)
	}
	for _, uri := range m.RUA {
		note, err := s.address(ctx, m, rows, uri, sender{from, canMail})
		if err != nil {
			return err
		}
		if note != "" {
			notes = append(notes, note)
		}
	}
	m.Note = strings.Join(notes, "; ")
	return nil
}

// sender is the From domain, and whether it signs.
type sender struct {
	domain dns.Name
	ok     bool
}

// address adds what one rua address gets; note says why it gets nothing.
func (s *Service) address(ctx context.Context, m *Made, rows []tlsresult.Row, uri string, from sender) (note string, err error) {
	suppressed, err := s.suppressed(ctx, uri)
	if err != nil {
		return "", err
	}
	if suppressed {
		return uri + " is suppressed", nil
	}
	u, err := tlsrpt.ParseURI(uri)
	switch {
	case err != nil:
		return err.Error(), nil
	case u.HTTPS != "":
		m.posts = append(m.posts, u.HTTPS)
		return "", nil
	case !from.ok || s.Enqueuer == nil:
		return "no hosted domain above " + s.Hostname.ASCII() + " signs with DKIM: no report by mail to " + u.Mail, nil
	}
	at := strings.LastIndexByte(u.Mail, '@')
	domain, err := delivery.ParseRecipientDomain(u.Mail[at+1:])
	if err != nil {
		return uri + ": " + err.Error(), nil
	}
	data := s.mailText(m, rows, u.Mail, from.domain)
	fields, err := s.Signer.Sign(ctx, from.domain, data, signed())
	if err != nil {
		return "", fmt.Errorf("sign the report to %s: %w", u.Mail, err)
	}
	if len(fields) == 0 {
		return "", fmt.Errorf("sign the report to %s: no signature was made", u.Mail)
	}
	m.mails = append(m.mails, mail{uri: uri, to: u.Mail, from: from.domain, domain: domain, data: append(fields, data...)})
	return "", nil
}

// Submitter is the domain that reports are sent from: the nearest domain at or
// above our host name that is hosted here and signs with DKIM (RPT-9). Without
// one, ok is false, no mail is sent, and the host name stands in reports by HTTPS.
func (s *Service) Submitter(ctx context.Context) (domain dns.Name, ok bool, err error) {
	if s.Hosted == nil || s.Signer == nil {
		return s.Hostname, false, nil
	}
	for d := s.Hostname; !d.IsZero(); d = d.Parent() {
		hosted, err := s.Hosted(ctx, d)
		if err != nil {
			return d, false, fmt.Errorf("find the domain to send TLS reports from: %w", err)
		}
		if !hosted {
			continue
		}
		keys, err := s.Signer.Keys(ctx, d)
		if err != nil {
			return d, false, fmt.Errorf("find the domain to send TLS reports from: %w", err)
		}
		if slices.ContainsFunc(keys, func(k signing.Key) bool { return k.Stage() == signing.Signing }) {
			return d, true, nil
		}
	}
	return s.Hostname, false, nil
}

func (s *Service) contact(from dns.Name) string {
	local := s.FromLocal
	if local == "" {
		local = "tls-reports"
	}
	return local + "@" + from.ASCII()
}

// report is the report of a unit. The same unit always gives the same id, so
// that a report that arrives twice is known as one; a partial one has its own.
func (s *Service) report(u *unit, rows []tlsresult.Row, from dns.Name, partial bool, now time.Time) *tlsrpt.Report {
	left := u.date() + "." + []string{"domain", "host"}[u.kind] + "." + u.name
	end := tlsresult.Start(u.day + 1).Add(-time.Second)
	if partial {
		left += ".partial-" + strconv.FormatInt(now.Unix(), 10)
		end = now.UTC().Truncate(time.Second)
	}
	r := &tlsrpt.Report{
		Organization: s.Organization, Begin: tlsresult.Start(u.day), End: end,
		Contact: s.contact(from), ID: left + "@" + from.ASCII(),
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

// mailText is the report mail without its signature (RFC 8460 §5.3).
func (s *Service) mailText(m *Made, rows []tlsresult.Row, to string, from dns.Name) []byte {
	now := s.now()
	name := tlsrpt.Filename(from.ASCII(), m.PolicyDomain, m.Report.Begin, m.Report.End, unique(m))
	body := message.Entity{
		Type: "multipart/report", Params: map[string]string{"report-type": "tlsrpt"},
		Parts: []message.Entity{
			{Type: "text/plain", Params: map[string]string{"charset": "utf-8"}, Body: message.ToCRLF(summary(m, rows, from))},
			{Type: tlsrpt.MediaGzip, Encoding: message.Base64, Body: m.gzip,
				Params: map[string]string{"name": name},
				Fields: []message.Pair{{Name: "Content-Disposition", Value: `attachment; filename="` + name + `"`}}},
		},
	}
	var out []byte
	for _, f := range []message.Pair{
		{Name: "From", Value: message.Address{Local: strings.TrimSuffix(s.contact(from), "@"+from.ASCII()), Domain: from.ASCII()}.String()},
		{Name: "To", Value: "<" + to + ">"},
		{Name: "Subject", Value: "Report Domain: " + m.PolicyDomain + " Submitter: " + from.ASCII() + " Report-ID: <" + m.Report.ID + ">"},
		{Name: "Date", Value: message.FormatDate(now)},
		{Name: "Message-ID", Value: message.NewMessageID(now, nil, from)},
		{Name: "TLS-Report-Domain", Value: m.PolicyDomain},
		{Name: "TLS-Report-Submitter", Value: from.ASCII()},
		{Name: "TLS-Required", Value: "No"},
		{Name: "Auto-Submitted", Value: "auto-generated"},
		{Name: "MIME-Version", Value: "1.0"},
	} {
		out = append(out, message.Fold(f.Name, f.Value)...)
	}
	return append(out, body.Write()...)
}

// unique tells reports about one policy domain and range apart: as a domain, as
// an MX host, or of a part of the day.
func unique(m *Made) string {
	switch {
	case m.partial:
		return "partial"
	case m.Host:
		return "host"
	}
	return "domain"
}

// summary is the readable part.
func summary(m *Made, rows []tlsresult.Row, from dns.Name) string {
	var b strings.Builder
	ok, failed := m.Report.Totals()
	what := "mail to " + m.PolicyDomain
	if m.Host {
		what = "the mail host " + m.PolicyDomain
	}
	fmt.Fprintf(&b, "This is an aggregate TLS report from %s about %s,\nfrom %s to %s.\n\n", from, what,
		m.Report.Begin.Format(time.RFC3339), m.Report.End.Format(time.RFC3339))
	if m.partial {
		b.WriteString("It is a trial report of a day that is not over; the report of the whole day follows.\n\n")
	}
	fmt.Fprintf(&b, "Sessions that met a policy: %d. Sessions that did not: %d.\n", ok, failed)
	if len(m.Report.Policies) > 1 {
		b.WriteString("A session that was judged by more than one policy counts under each.\n")
	}
	b.WriteByte('\n')
	for _, r := range rows {
		fmt.Fprintf(&b, "%s for %s, mail to %s: %d met, %d failed\n", r.Type, r.PolicyDomain, r.Domain, r.OK, r.Failed)
		for _, d := range r.Details[:min(len(r.Details), 20)] {
			fmt.Fprintf(&b, "  %d x %s at %s: %s\n", d.Count, d.Type, d.MXHostname, d.Reason)
		}
	}
	fmt.Fprintf(&b, "\nThe attached file holds the details (RFC 8460). Report-ID: %s\n", m.Report.ID)
	return b.String()
}
