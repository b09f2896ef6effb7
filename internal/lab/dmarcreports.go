package lab

import (
	"bytes"
	"context"
	"crypto"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/dkim"
	"waxwing/dmarcrpt"
	"waxwing/dns"
	"waxwing/dns/dnstest"
	"waxwing/internal/outbox"
	"waxwing/internal/spool"
	"waxwing/message"
	"waxwing/tlsrpt"
)

// unsent is what becomes of a report that nobody gets.
const unsent = "not sent"

// dmarcCounts is the policy type of rows about DMARC reports: they count messages.
const dmarcCounts tlsrpt.PolicyType = "dmarc"

// The mail of a day in the name of a domain that asks for reports: so much has its signature, and
// so much is somebody else's, which its policy has refused.
const (
	genuine = 2
	forged  = 1
)

// asker is a domain that asks for DMARC reports, and what must become of the receiver's (DMR-1).
type asker struct {
	name, title string
	host        Host
	elsewhere   bool // its reports go to the sender, which hosts it too
	consent     bool // and says so in DNS
	outcome     string
	tls         string
	state       outbox.State
	note        string // in what the run says
}

func askers() []asker {
	return []asker{
		{name: "dmarc-report", title: "DMARC report of a day with good and forged mail, over DANE", host: Host{TLSA: EEMatch},
			outcome: delivered, tls: "dane", state: outbox.Reported},
		{name: "dmarc-report-elsewhere", title: "DMARC report to another domain, which has agreed: it takes the report in", host: Host{TLSA: EEMatch}, elsewhere: true, consent: true,
			outcome: delivered, tls: "dane", state: outbox.Reported},
		{name: "dmarc-report-unasked", title: "DMARC reports wanted at another domain, which has not agreed: none is sent", host: Host{TLSA: EEMatch}, elsewhere: true,
			outcome: unsent, state: outbox.Invalid, note: "does not say that it takes reports"},
		{name: "dmarc-report-no-tls", title: "DMARC report to a host without TLS: waits, never plaintext", host: Host{StartTLS: NotOffered},
			outcome: waiting, state: outbox.Reported},
	}
}

func (a *asker) domain() string { return a.name + ".test" }

// address is where its reports are to go.
func (a *asker) address(l *Lab) string {
	if a.elsewhere {
		return "dmarc-reports@" + l.Sender.Domain.ASCII()
	}
	return "dmarc@" + a.domain()
}

func (a *asker) words() string {
	w := "signed zone, DMARC p=reject, rua "
	switch {
	case a.consent:
		return w + "elsewhere, agreed"
	case a.elsewhere:
		return w + "elsewhere"
	case a.host.StartTLS == NotOffered:
		return w + "at a host without STARTTLS"
	}
	return w + "at a host with TLSA"
}

// ask has strangers write to the receiver in the name of domains that ask for DMARC reports.
func (l *Lab) ask(ctx context.Context) error {
	if err := l.DNS.Set(dnstest.Zone{Name: "test", Security: dns.Secure}); err != nil { // DMARC's tree walk asks up to it
		return err
	}
	// What the receiver publishes of itself, so that its reports pass DMARC.
	if err := l.DNS.Add(l.Receiver.Domain.ASCII(), `_dmarc TXT "v=DMARC1; p=reject"`); err != nil {
		return err
	}
	for _, a := range askers() {
		name := dns.MustParse(a.domain())
		d, err := l.Publish(ctx, name, Publish{Zone: dns.Secure, Hosts: []Host{a.host}}, "mailto:"+reportAddress(l.Receiver))
		if err != nil {
			return err
		}
		l.askers = append(l.askers, d)
		key, record, err := authorsKey()
		if err != nil {
			return err
		}
		err = l.DNS.Add(name.ASCII(), record, fmt.Sprintf("_dmarc TXT %q", "v=DMARC1; p=reject; rua=mailto:"+a.address(l)))
		if err == nil && a.elsewhere {
			err = l.Sender.Accounts.AddDomain(ctx, name)
		}
		if err == nil && a.consent {
			err = l.DNS.Add(l.Sender.Domain.ASCII(), name.ASCII()+`._report._dmarc TXT "v=DMARC1"`)
		}
		if err != nil {
			return err
		}
		if err := l.mailOf(ctx, name, key); err != nil {
			return err
		}
	}
	return nil
}

// authorsKey makes a DKIM key, with its record at the selector lab.
func authorsKey() (crypto.Signer, string, error) {
	key, err := dkim.GenerateEd25519()
	if err != nil {
		return nil, "", err
	}
	record, err := dkim.Record(key.Public())
	return key, fmt.Sprintf("lab._domainkey TXT %q", record), err
}

// mailOf hands the receiver a day's mail in the name of a domain.
func (l *Lab) mailOf(ctx context.Context, author dns.Name, key crypto.Signer) error {
	for i := range genuine + forged {
		text := fmt.Appendf(nil, "From: Joe <joe@%s>\r\nTo: <%s>\r\nDate: %s\r\nSubject: number %d\r\nMessage-ID: <%d@%s>\r\n\r\nHow many are we?\r\n",
			author, l.Receiver.Address(), l.Clock.Now().Format(time.RFC1123Z), i, i, author)
		if i < genuine {
			field, err := dkim.Sign(text, []dkim.Key{{Domain: author, Selector: "lab", Signer: key}}, dkim.SignOptions{Now: l.Clock.Now})
			if err != nil {
				return err
			}
			text = append(field, text...)
		}
		err := l.handText(ctx, "joe@"+author.ASCII(), l.Receiver.Address(), text)
		_, no := errors.AsType[*refusal](err)
		switch {
		case i < genuine && err != nil:
			return err
		case i >= genuine && !no:
			return fmt.Errorf("the forged mail of %s was taken: %w", author, err)
		}
	}
	return nil
}

// handText hands a whole message to the receiver.
func (l *Lab) handText(ctx context.Context, from, to string, text []byte) error {
	head, body, _ := bytes.Cut(text, []byte("\r\n\r\n"))
	return l.Receiver.Hand(ctx, Mail{From: from, To: to, Header: []string{string(head)}, Body: strings.TrimSuffix(string(body), "\r\n")})
}

// dmarcReports tells what becomes of the finished day's DMARC reports.
func (l *Lab) dmarcReports(ctx context.Context) error {
	if _, err := l.Receiver.DMARCReport.SendDay(ctx, outbox.SendOptions{Day: l.started}); err != nil {
		return err
	}
	for i, a := range askers() {
		row := Row{Story: a.name, Title: a.title, Domain: a.domain(), Published: a.words(), Basis: []string{}, Report: []Counts{}, Outcome: unsent}
		made, err := l.Receiver.DMARCReport.Outcomes(ctx, l.started, a.domain())
		if err != nil {
			return err
		}
		if len(made) != 1 || made[0].State != a.state || !strings.Contains(made[0].Note, a.note) {
			row.problem("the run says %+v, and should say %s", made, a.state)
		}
		for _, m := range made {
			row.Decision, row.Basis = string(m.State), append(row.Basis, strings.TrimSpace(string(m.State)+" "+m.Note))
		}
		if err := l.dmarcReport(ctx, &a, l.askers[i], &row); err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		if row.Outcome != a.outcome || row.TLS != a.tls {
			row.problem("the report is %s over %q, and should be %s over %q", row.Outcome, row.TLS, a.outcome, a.tls)
		}
		want := Counts{PolicyType: dmarcCounts, PolicyDomain: a.domain(), Successful: genuine, Failed: forged}
		if a.outcome == delivered && (len(row.Report) != 1 || !row.Report[0].equal(want)) || a.outcome != delivered && len(row.Report) > 0 {
			row.problem("reported: %v", row.Report)
		}
		l.Rows = append(l.Rows, row)
	}
	return nil
}

// dmarcReport fills a row with what became of one report, on both sides.
func (l *Lab) dmarcReport(ctx context.Context, a *asker, d *Domain, row *Row) error {
	sent, err := l.Receiver.DMARCReport.Sent(ctx, outbox.Filter{Domain: a.domain()})
	if err != nil || len(sent) == 0 {
		return err
	}
	if row.Outcome, row.TLS, err = l.reportOutcome(ctx, a.address(l)); err != nil {
		return err
	}
	if a.elsewhere {
		return l.dmarcTaken(ctx, row, a.domain(), l.Receiver.Domain.ASCII(), sent[0].ReportID)
	}
	for _, m := range d.Hosts[0].Received() {
		if !slices.Contains(m.To, a.address(l)) {
			continue
		}
		if err := l.dmarcMail(ctx, row, m, sent[0].ReportID); err != nil {
			return err
		}
	}
	return nil
}

// reportOutcome waits until the receiver's queue knows what becomes of the report to an address.
func (l *Lab) reportOutcome(ctx context.Context, to string) (outcome, tls string, err error) {
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		items, err := spool.List(ctx, l.Receiver.Queue.Store, spool.Filter{Address: to, States: everyState()})
		if err != nil {
			return "", "", err
		}
		for _, it := range items {
			switch {
			case it.State == spool.Delivered:
				return delivered, it.TLS, nil
			case it.State == spool.Failed:
				return bounced, "", nil
			case it.State == spool.Waiting && it.Recipient.Attempts > 0:
				return waiting, "", nil
			}
		}
	}
	return "", "", fmt.Errorf("the report to %s is not settled after a minute", to)
}

// dmarcMail holds a report mail, as a host took it, against RFC 9990 §3.5.
func (l *Lab) dmarcMail(ctx context.Context, row *Row, m Received, id string) error {
	if !m.TLS {
		row.problem("the report came in plaintext")
	}
	signatures, err := dkim.Verify(ctx, l.Receiver.DNS, m.Data, dkim.Limits{Now: l.Clock.Now})
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(signatures, func(v dkim.Verification) bool {
		return v.Result == dkim.Pass && v.Domain == l.Receiver.Domain
	}) {
		row.problem("no signature of %s passes: %+v", l.Receiver.Domain, signatures)
	}
	packed := false
	err = message.Walk(m.Data, message.Limits{}, func(p message.Part) error {
		packed = packed || p.MediaType == "application/gzip" && strings.HasSuffix(p.Filename, ".xml.gz")
		return nil
	})
	if err != nil || !packed {
		row.problem("no file of gzipped XML is attached: %v", err)
	}
	return dmarcrpt.Find(m.Data, func(r *dmarcrpt.Report) error {
		if r.ID != id {
			row.problem("the report's id is %s, and should be %s", r.ID, id)
		}
		row.dmarc(r)
		return nil
	})
}

// dmarcTaken reads what the sender, or with another reporter the receiver, has stored of a report.
func (l *Lab) dmarcTaken(ctx context.Context, row *Row, domain, reporter, id string) error {
	at := l.Receiver
	if reporter == l.Receiver.Domain.ASCII() {
		at = l.Sender
	}
	all, err := at.DMARCIntake.Reports(ctx, outbox.Filter{Domain: domain})
	if err != nil {
		return err
	}
	for _, x := range all {
		if x.Submitter != reporter || x.ReportID != id {
			continue
		}
		r, err := at.DMARCIntake.Show(ctx, x.ID)
		if err != nil {
			return err
		}
		row.dmarc(r)
	}
	return nil
}

// dmarc adds what a report counts.
func (r *Row) dmarc(rep *dmarcrpt.Report) {
	passed, failed := rep.Totals()
	r.Report = append(r.Report, Counts{PolicyType: dmarcCounts, PolicyDomain: rep.Policy.Domain, Successful: int(passed), Failed: int(failed)})
}

// strangersDMARC tells what a Waxwing does with DMARC reports of a stranger: one that passes DMARC
// and is about a domain of ours is taken; others are delivered, with a field that says why (DMR-2,
// DMR-6).
func (l *Lab) strangersDMARC(ctx context.Context) error {
	from := dns.MustParse("dmarc-reporter.test")
	key, record, err := authorsKey()
	if err != nil {
		return err
	}
	if err := l.DNS.Set(dnstest.Zone{Name: from.ASCII(), Security: dns.Secure, Records: []string{record, `_dmarc TXT "v=DMARC1; p=none"`}}); err != nil {
		return err
	}
	to := "dmarc-reports@" + l.Receiver.Domain.ASCII()
	if err := l.Receiver.Accounts.AddAddress(ctx, to, l.Receiver.Account); err != nil {
		return err
	}
	for _, s := range []strangersReport{
		{"dmarc-in", "a DMARC report of a stranger that passes DMARC: taken", l.Receiver.Domain.ASCII(), false, false, ""},
		{"dmarc-in-forged", "a DMARC report changed after it was signed: delivered as ordinary mail, and says why", l.Receiver.Domain.ASCII(), false, true, "DMARC of dmarc-reporter.test: fail"},
		{"dmarc-in-other", "a DMARC report about somebody else's domain: delivered as ordinary mail, and says why", "example.test", false, false, "the report is about no domain of this server"},
		{"dmarc-failure-in", "a DMARC failure report of a stranger that passes DMARC: taken", l.Receiver.Domain.ASCII(), true, false, ""},
		{"dmarc-failure-in-forged", "a DMARC failure report changed after it was signed: delivered as ordinary mail, and says why", l.Receiver.Domain.ASCII(), true, true, "DMARC of dmarc-reporter.test: fail"},
	} {
		row, err := l.strangerReports(ctx, s, from, key)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		l.Rows = append(l.Rows, row)
	}
	return nil
}

// strangersReport is a report that a stranger sends to the receiver, and why it is not taken; "": it is.
type strangersReport struct {
	name, title string
	about       string
	failure     bool // it is about single messages
	change      bool // after it was signed
	reason      string
}

// strangerReports hands a report to the receiver, and tells what becomes of it.
func (l *Lab) strangerReports(ctx context.Context, s strangersReport, from dns.Name, key crypto.Signer) (Row, error) {
	row := Row{Story: s.name, Title: s.title, Domain: from.ASCII(), Published: "signed zone, DKIM, DMARC p=none", Basis: []string{}, Report: []Counts{}}
	compose, stored, count, other := l.dmarcReportMail, l.dmarcTaken, "<count>7<", "<count>9<"
	if s.failure {
		compose, stored, count, other = l.failureMail, l.failureTaken, "Incidents: 7", "Incidents: 9"
	}
	text, err := compose(from, key, s.name, s.about)
	if err != nil {
		return row, err
	}
	if s.change {
		text = bytes.Replace(text, []byte(count), []byte(other), 1)
	}
	to := "dmarc-reports@" + l.Receiver.Domain.ASCII()
	if err := l.handText(ctx, "reports@"+from.ASCII(), to, text); err != nil {
		return row, err
	}
	row.Outcome, row.TLS = delivered, "pkix"
	if err := stored(ctx, &row, s.about, from.ASCII(), s.name); err != nil {
		return row, err
	}
	kept, err := l.awaitOrdinary(ctx, s.name, s.reason != "")
	if err != nil {
		return row, err
	}
	why := notTaken(kept)
	switch row.Decision = "taken as a report"; {
	case s.reason == "" && (len(row.Report) != 1 || kept != nil):
		row.problem("the report: stored %d times, kept as a mail: %v", len(row.Report), kept != nil)
	case s.reason != "" && (len(row.Report) > 0 || why != to+": "+s.reason):
		row.problem("the report: stored %d times; the mail says %q, and should say %q", len(row.Report), why, to+": "+s.reason)
	}
	if s.reason != "" {
		row.Decision, row.Basis = "not taken as a report", append(row.Basis, s.reason)
	}
	return row, nil
}

// notTaken is what a mail's header says of why it is not taken as a report; "" if nothing.
func notTaken(text []byte) string {
	h, _, err := message.SplitHeader(text)
	if text == nil || err != nil {
		return ""
	}
	return h.Get("Waxwing-Report-Not-Taken")
}

// dmarcReportMail is a report about a domain, in XML that is not packed, signed by from.
func (l *Lab) dmarcReportMail(from dns.Name, key crypto.Signer, id, about string) ([]byte, error) {
	day := l.started.UTC().Truncate(24 * time.Hour)
	r := dmarcrpt.Report{Version: "1.0", Org: "A Stranger", Email: "reports@" + from.ASCII(), ID: id, Begin: day, End: day.Add(24*time.Hour - time.Second),
		Policy: dmarcrpt.Policy{Domain: about, P: "reject"}, Records: []dmarcrpt.Record{{SourceIP: l.Sender.addr, Count: 7, Disposition: "none", DKIM: "pass", SPF: "pass", HeaderFrom: about}}}
	file, _, err := r.Pack()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: <reports@%s>\r\nTo: <dmarc-reports@%s>\r\nDate: %s\r\nSubject: %s\r\n", from, l.Receiver.Domain, l.Clock.Now().Format(time.RFC1123Z), r.Subject(from.ASCII()))
	fmt.Fprintf(&b, "Message-ID: <%s@%s>\r\nMIME-Version: 1.0\r\nContent-Type: text/xml\r\n\r\n", id, from)
	b.Write(message.ToCRLF(string(file)))
	b.WriteString("\r\n")
	fields, err := dkim.Sign(b.Bytes(), []dkim.Key{{Domain: from, Selector: "lab", Signer: key}}, dkim.SignOptions{Now: l.Clock.Now})
	return append(fields, b.Bytes()...), err
}
