package lab

import (
	"bytes"
	"context"
	"crypto"
	"fmt"
	"slices"
	"strings"
	"time"

	"waxwing/arf"
	"waxwing/dkim"
	"waxwing/dns"
	"waxwing/internal/outbox"
	"waxwing/message"
)

// failuresWanted is a domain that asks to be told of each message that fails DMARC in its name (DMR-4).
const failuresWanted = "dmarc-failure"

func failuresTo() string { return "failures@" + failuresWanted + ".test" }

// askForFailures has strangers write to the receiver in the name of a domain that asks for failure reports.
func (l *Lab) askForFailures(ctx context.Context) error {
	name := dns.MustParse(failuresWanted + ".test")
	d, err := l.Publish(ctx, name, Publish{Zone: dns.Secure, Hosts: []Host{{TLSA: EEMatch}}}, "mailto:"+reportAddress(l.Receiver))
	if err != nil {
		return err
	}
	l.failed = d
	key, record, err := authorsKey()
	if err != nil {
		return err
	}
	if err := l.DNS.Add(name.ASCII(), record, fmt.Sprintf("_dmarc TXT %q", "v=DMARC1; p=reject; ruf=mailto:"+failuresTo())); err != nil {
		return err
	}
	if err := l.mailOf(ctx, name, key); err != nil {
		return err
	}
	_, err = l.Receiver.DMARCFailures.Step(ctx) // what was noted goes into the store
	return err
}

// failureReport tells what becomes of the report about the forged mail.
func (l *Lab) failureReport(ctx context.Context) error {
	if _, err := l.Receiver.DMARCFailures.Step(ctx); err != nil {
		return err
	}
	row := Row{Story: failuresWanted, Title: "DMARC failure report about forged mail: one, without names, subject and text, over DANE", Domain: failuresWanted + ".test",
		Published: "signed zone, DMARC p=reject, ruf at a host with TLSA", Decision: string(outbox.Reported), Basis: []string{}, Report: []Counts{}}
	var err error
	if row.Outcome, row.TLS, err = l.reportOutcome(ctx, failuresTo()); err != nil {
		return err
	}
	if row.Outcome != delivered || row.TLS != "dane" {
		row.problem("the report is %s over %q, and should be delivered over DANE", row.Outcome, row.TLS)
	}
	for _, m := range l.failed.Hosts[0].Received() {
		if !slices.Contains(m.To, failuresTo()) {
			continue
		}
		r, err := arf.Parse(m.Data)
		if err != nil {
			return err
		}
		if !m.TLS || !r.Source.IsLoopback() || r.Delivery != "reject" {
			row.problem("over TLS: %v; about mail from %s that is %s", m.TLS, r.Source, r.Delivery)
		}
		for _, secret := range []string{"Joe", "joe@", l.Receiver.Address(), "number", "How many"} {
			if bytes.Contains(r.File(), []byte(secret)) {
				row.problem("the report has %q", secret)
			}
		}
		row.failure(r)
	}
	want := Counts{PolicyType: dmarcCounts, PolicyDomain: row.Domain, Failed: forged}
	if len(row.Report) != 1 || !row.Report[0].equal(want) {
		row.problem("reported: %v", row.Report)
	}
	l.Rows = append(l.Rows, row)
	return nil
}

// failure adds what a failure report is about.
func (r *Row) failure(x *arf.Report) {
	r.Report = append(r.Report, Counts{PolicyType: dmarcCounts, PolicyDomain: x.Domain, Failed: int(x.Incidents)})
}

// failureMail is a failure report about a domain, signed by from.
func (l *Lab) failureMail(from dns.Name, key crypto.Signer, id, about string) ([]byte, error) {
	r := arf.Report{UserAgent: "Stranger", Failure: "dmarc", Domain: about, Alignment: []string{"dkim", "spf"}, Delivery: "reject", Source: l.Sender.addr,
		MTA: "mx." + from.ASCII(), Arrival: l.Clock.Now().UTC().Truncate(time.Second), Incidents: 7, Original: []byte("From: <x@" + about + ">\r\nMessage-ID: <secret@" + about + ">\r\n")}
	var b bytes.Buffer
	fmt.Fprintf(&b, "From: <reports@%s>\r\nTo: <dmarc-reports@%s>\r\nDate: %s\r\nSubject: a failure report\r\nMessage-ID: <%s@%s>\r\nMIME-Version: 1.0\r\n",
		from, l.Receiver.Domain, l.Clock.Now().Format(time.RFC1123Z), id, from)
	entity := r.Entity("Somebody has written in your name.\n")
	b.Write(message.ToCRLF(string(entity.Write())))
	fields, err := dkim.Sign(b.Bytes(), []dkim.Key{{Domain: from, Selector: "lab", Signer: key}}, dkim.SignOptions{Now: l.Clock.Now})
	return append(fields, b.Bytes()...), err
}

// failureTaken reads what the receiver has stored of a failure report.
func (l *Lab) failureTaken(ctx context.Context, row *Row, domain, reporter, id string) error {
	all, err := l.Receiver.DMARCIntake.Failures.Reports(ctx, outbox.Filter{Domain: domain})
	if err != nil {
		return err
	}
	for _, x := range all {
		if x.Submitter != reporter || !strings.Contains(x.ReportID, id+"@") {
			continue
		}
		file, err := l.Receiver.DMARCIntake.Failures.File(ctx, x.ID)
		if err != nil {
			return err
		}
		r, err := arf.ReadFile(file)
		if err != nil {
			return err
		}
		row.failure(r)
	}
	return nil
}
