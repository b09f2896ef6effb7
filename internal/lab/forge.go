package lab

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"time"

	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/outbox"
	"waxwing/tlsrpt"
)

// forge tells what a Waxwing does with report mail of a stranger: one signed
// as it should be is taken, one that was changed after signing is not, and
// lies in the mailbox as the ordinary mail it is (RPT-14).
func (l *Lab) forge(ctx context.Context) error {
	from := dns.MustParse("reporter.test")
	key, err := dkim.GenerateEd25519()
	if err != nil {
		return err
	}
	record, err := dkim.Record(key.Public(), "tlsrpt")
	if err != nil {
		return err
	}
	err = l.DNS.Set(dnstest.Zone{Name: from.ASCII(), Security: dns.Secure, Records: []string{fmt.Sprintf("lab._domainkey TXT %q", record)}})
	if err != nil {
		return err
	}
	if err := l.Receiver.Accounts.AddAddress(ctx, reportAddress(l.Receiver), l.Receiver.Account); err != nil {
		return err
	}
	for _, s := range []struct {
		name, title string
		change      bool
	}{
		{"report-signed", "a report of a stranger, rightly signed: taken", false},
		{"report-forged", "a report changed after it was signed: not taken, kept as ordinary mail", true},
	} {
		row := Row{Story: s.name, Title: s.title, Domain: from.ASCII(), Published: "signed, DKIM key for tlsrpt", Basis: []string{}, Report: []Counts{}}
		if err := l.strangersReport(ctx, &row, from, key, s.change); err != nil {
			return err
		}
		l.Rows = append(l.Rows, row)
	}
	return nil
}

func (l *Lab) strangersReport(ctx context.Context, row *Row, from dns.Name, key crypto.Signer, change bool) error {
	text, err := l.reportMail(from, key, row.Story)
	if err != nil {
		return err
	}
	row.Decision, row.Basis = "taken as a report", append(row.Basis, "DKIM pass")
	if change {
		text = bytes.Replace(text, []byte("-session-count\": 7"), []byte("-session-count\": 9"), 1)
		row.Decision, row.Basis = "not taken as a report", []string{"DKIM fail"}
	}
	if err := l.handText(ctx, "reports@"+from.ASCII(), reportAddress(l.Receiver), text); err != nil {
		return err
	}
	row.Outcome, row.TLS = delivered, "pkix"
	if err := l.strangersCounts(ctx, row, from); err != nil {
		return err
	}
	kept, err := l.awaitOrdinary(ctx, row.Story, change)
	if err != nil {
		return err
	}
	switch {
	case change && (len(row.Report) > 0 || kept == nil):
		row.problem("the forged report: stored %d times, kept as a mail: %v", len(row.Report), kept != nil)
	case !change && (len(row.Report) != 1 || kept != nil):
		row.problem("the signed report: stored %d times, kept as a mail: %v", len(row.Report), kept != nil)
	}
	return nil
}

// strangersCounts reads what the receiver stored of this story's report.
func (l *Lab) strangersCounts(ctx context.Context, row *Row, from dns.Name) error {
	all, err := l.Receiver.TLSIntake.Reports(ctx, outbox.Filter{})
	if err != nil {
		return err
	}
	for _, r := range all {
		if r.Submitter == from.ASCII() && r.ReportID == row.Story {
			row.Report = append(row.Report, Counts{PolicyType: tlsrpt.PolicyNone, PolicyDomain: r.PolicyDomain, Successful: int(r.OK), Failed: int(r.Failed)})
		}
	}
	return nil
}

// awaitOrdinary looks for the report with an id in the receiver's mailbox; expect says
// whether to wait for it. Nil: it is not there.
func (l *Lab) awaitOrdinary(ctx context.Context, id string, expect bool) ([]byte, error) {
	wait := 200 * time.Millisecond
	if expect {
		wait = 30 * time.Second
	}
	for end := time.Now().Add(wait); ; time.Sleep(10 * time.Millisecond) {
		list, err := l.Receiver.Mailboxes.List(ctx, l.Receiver.Account, "INBOX", 100)
		if err != nil {
			return nil, err
		}
		for _, m := range list {
			b, err := l.read(ctx, l.Receiver, m.ID)
			if err != nil {
				return nil, err
			}
			if bytes.Contains(b, []byte("<"+id+"@")) {
				return b, nil
			}
		}
		if time.Now().After(end) {
			return nil, nil
		}
	}
}

// reportMail is a plain report about the receiver's domain, in JSON that is
// not packed, signed by from.
func (l *Lab) reportMail(from dns.Name, key crypto.Signer, id string) ([]byte, error) {
	day := l.started.UTC().Truncate(24 * time.Hour)
	r := tlsrpt.Report{Organization: "A Stranger", Begin: day, End: day.Add(24*time.Hour - time.Second), Contact: "reports@" + from.ASCII(), ID: id,
		Policies: []tlsrpt.PolicyResult{{Type: tlsrpt.PolicyNone, Domain: l.Receiver.Domain.ASCII(), Success: 7}}}
	file, err := r.Encode()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: <reports@%s>\r\nTo: <%s>\r\nDate: %s\r\nSubject: Report Domain: %s Submitter: %s Report-ID: <%s>\r\n",
		from, reportAddress(l.Receiver), l.Clock.Now().Format(time.RFC1123Z), l.Receiver.Domain, from, id)
	fmt.Fprintf(&b, "Message-ID: <%s@%s>\r\nMIME-Version: 1.0\r\nContent-Type: application/tlsrpt+json\r\n\r\n", id, from)
	b.Write(bytes.ReplaceAll(file, []byte("\n"), []byte("\r\n")))
	b.WriteString("\r\n")
	fields, err := dkim.Sign(b.Bytes(), []dkim.Key{{Domain: from, Selector: "lab", Signer: key}}, dkim.SignOptions{Now: l.Clock.Now})
	if err != nil {
		return nil, err
	}
	return append(fields, b.Bytes()...), nil
}
